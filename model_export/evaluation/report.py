"""Metrics as a table for people, and as numbers in % for programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["COLUMNS", "RankerMetrics", "metrics_json", "metrics_table", "table"]

COLUMNS = {
    "R@10": "recall@10",
    "R@20": "recall@20",
    "R@50": "recall@50",
    "HR@50": "hr@50",
    "NDCG@10": "ndcg@10",
    "NDCG@50": "ndcg@50",
}
WITH_INTERVAL = ("recall@50", "hr@50")  # shown with their intervals


@dataclass(frozen=True)
class RankerMetrics:
    """Metrics of one ranker, with their confidence intervals.

    Attributes
    ----------
    name : of the ranker.
    users : number of cases, one a user.
    means : recall, hr and ndcg at each of CUTOFFS, such as recall@20, between 0 and 1.
    intervals : the 95 % bootstrap interval of each mean.
    """

    name: str
    users: int
    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a text table: the first column to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for row in cells:
        first, *rest = row
        others = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *others]))
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def metrics_table(rankers: Sequence[RankerMetrics]) -> str:
    """Return a table with a row for each ranker: Recall, HR and NDCG in %.

    R@50 and HR@50 come with their 95 % intervals.
    """
    return table(
        ["%", *COLUMNS],
        [(ranker.name, *(_metric_cell(ranker, metric) for metric in COLUMNS.values())) for ranker in rankers],
    )


def _metric_cell(ranker: RankerMetrics, metric: str) -> str:
    """Return a mean in %, such as "15.52", or "15.52 [14.30, 16.80]" if WITH_INTERVAL."""
    low, high = ranker.intervals[metric]
    mean = f"{100 * ranker.means[metric]:.2f}"
    return f"{mean} [{100 * low:.2f}, {100 * high:.2f}]" if metric in WITH_INTERVAL else mean


def metrics_json(ranker: RankerMetrics) -> dict[str, Any]:
    """Return means and intervals in %, with four decimals, for programs."""
    means = {name: round(100 * mean, 4) for name, mean in ranker.means.items()}
    intervals = {name: [round(100 * end, 4) for end in ends] for name, ends in ranker.intervals.items()}
    return {"name": ranker.name, "users": ranker.users, **means, "intervals": intervals}
