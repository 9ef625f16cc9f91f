"""Figures for people: a table; and for programs: numbers in %."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["COLUMNS", "Figures", "cell", "figures_json", "figures_table", "table"]

COLUMNS = {
    "R@20": "recall@20",
    "HR@20": "hr@20",
    "N@20": "ndcg@20",
    "R@50": "recall@50",
    "HR@50": "hr@50",
    "N@50": "ndcg@50",
}
SURE = ("recall@50", "hr@50")  # shown with their intervals


@dataclass(frozen=True)
class Figures:
    """How good a ranker is.

    Attributes
    ----------
    name : of the ranker.
    users : number of cases, one a user.
    means : recall@20, hr@20, ndcg@20 and the same at 50, between 0 and 1.
    intervals : the 95 % bootstrap interval of each mean.
    """

    name: str
    users: int
    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns of equal width, the first to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for row in cells:
        first, *rest = row
        others = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *others]))
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def figures_table(figures: Sequence[Figures]) -> str:
    """A row for each ranker: Recall, HR and NDCG in %, R@50 and HR@50 with their 95 % intervals."""
    return table(["%", *COLUMNS], [(one.name, *(cell(one, name) for name in COLUMNS.values())) for one in figures])


def cell(figures: Figures, name: str) -> str:
    """A mean in %, such as "15.52", with its interval where it is one of SURE: "15.52 [14.30, 16.80]"."""
    low, high = figures.intervals[name]
    mean = f"{100 * figures.means[name]:.2f}"
    return f"{mean} [{100 * low:.2f}, {100 * high:.2f}]" if name in SURE else mean


def figures_json(figures: Figures) -> dict[str, Any]:
    """What a program reads: means and intervals in %, four decimals."""
    means = {name: round(100 * mean, 4) for name, mean in figures.means.items()}
    intervals = {name: [round(100 * end, 4) for end in ends] for name, ends in figures.intervals.items()}
    return {"name": figures.name, "users": figures.users, **means, "intervals": intervals}
