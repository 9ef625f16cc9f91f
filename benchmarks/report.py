"""The last line of every benchmark: its figures as one JSON object."""

import json
import math
from collections.abc import Mapping


def finish(figures: Mapping[str, float | int | str]) -> None:
    """Print the figures as the last line, with four decimals; null where there is no number."""
    print(json.dumps({name: rounded(value) for name, value in figures.items()}, allow_nan=False))


def rounded(value: float | int | str) -> float | int | str | None:
    """A figure as JSON has it."""
    if not isinstance(value, float):
        return value
    return round(value, 4) if math.isfinite(value) else None
