"""The last line of every benchmark: its figures as one JSON object."""

import json
from collections.abc import Mapping


def finish(figures: Mapping[str, float | int | str]) -> None:
    """Print the figures as the last line; percentages and times with two decimals."""
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}
    print(json.dumps(rounded))
