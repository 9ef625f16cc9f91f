"""How every benchmark reports: a table for people, then one JSON object as the last line of standard output."""

import json
from collections.abc import Mapping, Sequence


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


def finish(figures: Mapping[str, float | int | str]) -> None:
    """Print the figures as the last line; percentages and times with two decimals."""
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}
    print(json.dumps(rounded))
