"""Candidates and interests for people to read."""

from index.recommender import Candidates
from model_export.bundle import Bundle
from stream.interests import Interest

MADE_BY = 3  # behaviours shown of each interest


def table(candidates: Candidates, bundle: Bundle) -> str:
    """The path, what formed each interest, and each candidate with its score, what brought it, and its category."""
    title = dict(zip(bundle.item_ids, bundle.catalogue.title, strict=True))
    lines = [f"model {candidates.model_version}, path: {candidates.path}"]
    lines += [formed(number, interest, title) for number, interest in enumerate(candidates.interests)]
    for item_id, score, capsule in zip(candidates.item_ids, candidates.scores, candidates.capsule, strict=True):
        brought_by = f"interest {capsule}" if capsule >= 0 else "popular"
        category = bundle.catalogue.category[bundle.rows[item_id]]
        lines.append(f"{score:10.3f}  {brought_by:<10}  {title[item_id]}" + (f" ({category})" if category else ""))
    return "\n".join(lines)


def formed(number: int, interest: Interest, title: dict[str, str]) -> str:
    """An interest with the behaviours that formed it, and the share of each that went into it."""
    behaviours = [f"{title.get(b.item_id, b.item_id)} {100 * b.weight:.0f} %" for b in interest.behaviours[:MADE_BY]]
    return f"interest {number} ({100 * interest.importance:.0f} % of the behaviours): {'; '.join(behaviours)}"
