"""Candidates and interests for people to read; what others wrote of items does nothing to a terminal."""

from index.catalogue.snapshot import CatalogueSnapshot
from index.recommend.candidates import SIMILAR, Candidates
from mindstream.printable import printable
from stream.store.interests import ExplainedInterest

__all__ = ["candidates_as_text"]

MADE_BY = 3  # behaviours shown of each interest


def candidates_as_text(candidates: Candidates, snapshot: CatalogueSnapshot) -> str:
    """Write path, interests and candidates as lines for people.

    Each interest comes with what formed it, each candidate with its score, origin and category.
    """
    lines = [f"model {candidates.model_version}, path: {candidates.path}"]
    lines += [_interest_line(number, interest, snapshot) for number, interest in enumerate(candidates.interests)]
    if candidates.ranked:
        lines.append(f"ranked: the best of {candidates.ranked}, by {' + '.join(candidates.tasks)}")
    columns = candidates.item_ids, candidates.scores, candidates.capsule, candidates.because
    for place, (item_id, score, capsule, because) in enumerate(zip(*columns, strict=True)):
        summary = snapshot.summary(item_id)
        category = f" ({summary.category})" if summary.category else ""
        taken = f", as who took {snapshot.summary(because).title}" if because else ""
        ranked = _ranked_as(place, candidates)
        brought = f"{_brought_by(capsule, candidates.path):<10}"
        lines.append(f"{score:10.3f}  {brought}  {summary.title}{category}{taken}{ranked}")
    return "\n".join(map(printable, lines))


def _ranked_as(place: int, candidates: Candidates) -> str:
    """Say where matching had a candidate, and what spoke for it; "" if it was not ranked."""
    if not candidates.ranked:
        return ""
    reasons = f": {', '.join(candidates.reasons[place])}" if candidates.reasons else ""
    return f", no. {candidates.matching_rank[place] + 1} of matching{reasons}"


def _brought_by(capsule: int, path: str) -> str:
    """Name what brought a candidate."""
    if path == SIMILAR:
        return path
    return f"interest {capsule}" if capsule >= 0 else "popular"


def _interest_line(number: int, interest: ExplainedInterest, snapshot: CatalogueSnapshot) -> str:
    """Write an interest with its behaviours, and the share of each that went into it."""
    behaviours = [f"{snapshot.summary(b.item_id).title} {100 * b.weight:.0f} %" for b in interest.behaviours[:MADE_BY]]
    return f"interest {number} ({100 * interest.importance:.0f} % of the behaviours): {'; '.join(behaviours)}"
