"""The last line of every benchmark: its figures as one JSON object."""

import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["finish"]


def finish(figures: Mapping[str, Any]) -> None:
    """Print the figures as the last line, with four decimals; null where there is no number."""
    print(json.dumps({name: _rounded(value) for name, value in figures.items()}, allow_nan=False))


def _rounded(value: Any) -> Any:
    """Round a figure, or figures with names, as JSON has it."""
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    if not isinstance(value, float):
        return value
    return round(value, 4) if math.isfinite(value) else None
