"""Candidates and interests for people to read; what others wrote of items does nothing to a terminal."""

from index.catalogue.snapshot import CatalogueSnapshot
from index.recommend.recommender import Candidates
from mindstream.printable import printable
from stream.store.interests import ExplainedInterest

__all__ = ["table"]

MADE_BY = 3  # behaviours shown of each interest


def table(candidates: Candidates, items: CatalogueSnapshot) -> str:
    """The path, what formed each interest, and each candidate with its score, what brought it, and its category."""
    lines = [f"model {candidates.model_version}, path: {candidates.path}"]
    lines += [_formed(number, interest, items) for number, interest in enumerate(candidates.interests)]
    for item_id, score, capsule in zip(candidates.item_ids, candidates.scores, candidates.capsule, strict=True):
        brought_by = f"interest {capsule}" if capsule >= 0 else "popular"
        card = items.card(item_id)
        category = f" ({card.category})" if card.category else ""
        lines.append(f"{score:10.3f}  {brought_by:<10}  {card.title}{category}")
    return "\n".join(map(printable, lines))


def _formed(number: int, interest: ExplainedInterest, items: CatalogueSnapshot) -> str:
    """An interest with the behaviours that formed it, and the share of each that went into it."""
    behaviours = [f"{items.card(b.item_id).title} {100 * b.weight:.0f} %" for b in interest.behaviours[:MADE_BY]]
    return f"interest {number} ({100 * interest.importance:.0f} % of the behaviours): {'; '.join(behaviours)}"
