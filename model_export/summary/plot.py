"""Events by day as a plot: bars in the terminal, or a PNG image."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from rich.bar import Bar
from rich.table import Table

__all__ = ["bars_of", "events_by_period", "write_png"]

MOST_BARS = 50
PERIODS = {"day": "D", "week": "W-MON", "month": "MS", "year": "YS", "decade": "10YS", "century": "100YS"}
LONGEST = "century"
COLOUR = "#0f766e"


def events_by_period(by_day: Mapping[str, int], most: int = MOST_BARS) -> tuple[str, dict[str, int]]:
    """Add days up to the shortest periods of which there are not more than `most`.

    Parameters
    ----------
    by_day : day (ISO) -> events, in order, at least one; days without events may be missing.

    Returns
    -------
    "day", "week" (from Monday on), "month", "year", "decade" or "century"; first day of each (ISO) -> events, 0 too.
    """
    days = pd.Series(by_day.values(), index=pd.DatetimeIndex(list(by_day)))
    sums = ((name, days.resample(one, closed="left", label="left").sum()) for name, one in PERIODS.items())
    name, found = next((name, found) for name, found in sums if len(found) <= most or name == LONGEST)
    starts = pd.DatetimeIndex(found.index).strftime("%Y-%m-%d")
    return name, dict(zip(starts, found.tolist(), strict=True))


def bars_of(by_day: Mapping[str, int]) -> Table:
    """Draw the events of each period as a bar, to be printed by rich."""
    name, counts = events_by_period(by_day)
    most = max(counts.values())
    grid = Table(title=f"events by {name}", title_justify="left", box=None, padding=(0, 1), expand=True)
    grid.add_column(name, no_wrap=True)
    grid.add_column("", ratio=1)
    grid.add_column("events", no_wrap=True, justify="right")
    for start, events in counts.items():
        grid.add_row(start, Bar(most, 0, events, color=COLOUR), f"{events:,}")
    return grid


def write_png(by_day: Mapping[str, int], file: Path) -> None:
    """Draw the events of each day as an image.

    Raises
    ------
    ModuleNotFoundError
        If vl-convert-python, which draws it, is not installed.
    OSError
        If the file cannot be written.
    """
    import altair as alt  # here: only who wants an image waits for it
    import vl_convert

    name, counts = events_by_period(by_day, most=1_000)
    table = pd.DataFrame({"day": counts.keys(), "events": counts.values()})
    chart = (
        alt.Chart(table)
        .mark_bar(color=COLOUR)
        .encode(x=alt.X("day:T", title=None), y=alt.Y("events:Q", title=f"events by {name}"))
        .properties(width=900, height=300)
    )
    file.write_bytes(vl_convert.vegalite_to_png(chart.to_json(), scale=2))
