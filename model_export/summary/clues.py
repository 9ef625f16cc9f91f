"""All that suspicions look at, and the words that they have in common."""

import re
import shlex
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mindstream.behaviour_rule import BehaviourRule
from mindstream.printable import printable
from model_export.data.interactions import InteractionLog
from model_export.summary.coded import CodedEvents

__all__ = [
    "FEW_EVENTS",
    "LEAST_EVENTS",
    "Clues",
    "count_of",
    "date",
    "example_of",
    "leave_out",
    "of_all",
    "option",
    "other_rule",
    "said",
]

FEW_EVENTS = 5  # an item with fewer is hardly learnt
LEAST_EVENTS = 20  # shares of fewer say nothing
MOST_SHOWN = 60  # characters of an id


@dataclass(frozen=True)
class Clues:
    """All that suspicions look at.

    Attributes
    ----------
    duplicates : events that repeat an earlier one in user, item, type and time.
    now_ms : Unix time from which on events are in the future.
    """

    log: InteractionLog
    rule: BehaviourRule
    events: CodedEvents
    duplicates: int
    now_ms: int

    @property
    def few(self) -> bool:
        """Tell whether there are too few events for shares to say something."""
        return len(self.events) < LEAST_EVENTS

    @property
    def times(self) -> np.ndarray:
        """Return the times of the events, Unix milliseconds; none if the log has only an order."""
        return self.events.times if self.log.timed else self.events.times[:0]


def said(value: object) -> str:
    """Quote a value of the log for people, on one line and not too long."""
    text = printable(str(value))
    return f"'{text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + '...'}'"


def of_all(part: int, whole: int) -> str:
    """Write a count with its share, such as "1,234 of 5,000 (25 %)"."""
    return f"{part:,} of {whole:,} ({_percent(part, whole)} %)"


def _percent(part: int, whole: int) -> str:
    """Write a share in %, so that only nothing is 0 and only all is 100."""
    share = 100 * part / whole
    if part in (0, whole) or 1 <= share < 99:
        return f"{share:.0f}"
    if share >= 99:
        return f"{min(share, 99.99):.2f}"
    return f"{share:.2g}" if share >= 0.01 else "under 0.01"


def count_of(count: int, one: str, several: str = "") -> str:
    """Write a count with its noun, such as "1 user" or "1,234 users"."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def date(time_ms: float) -> str:
    """Return the ISO date (UTC) of Unix milliseconds, also far outside of usual years."""
    return str(np.datetime64(int(time_ms), "ms").astype("datetime64[D]"))


def column_of(clues: Clues, field: str) -> str | None:
    """Return the column of a field as SQL names it; None if it is not one column."""
    name = clues.log.columns.get(field, "")
    if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name):
        return name
    return '"' + name.replace('"', '""') + '"' if re.fullmatch(r"[^.,\[\]]+", name) else None


def leave_out(clues: Clues, field: str, value: object) -> str:
    """Say how the events with a value are left out."""
    column, quoted = column_of(clues, field), "'" + str(value).replace("'", "''") + "'"
    if column is None or not str(value).isprintable():
        return "--where with an SQL condition leaves these events out"
    return f"--where {shlex.quote(f'{column} <> {quoted}')} leaves these events out"


def option(clues: Clues, field: str) -> str:
    """Say which column a field was read from, and the option that names another."""
    column = clues.log.columns.get(field)
    return f"--{field} names another column" + (f" than {said(column)}" if column else "")


def other_rule(clues: Clues, **weights: float) -> str | None:
    """Return the rule's setting with other weights; None if a type cannot stand in it."""
    if any(re.search(r"[,=]|^\s|\s$|^$", name) or name == "*" or not name.isprintable() for name in weights):
        return None
    lower = {name.lower(): f"{weight:g}" for name, weight in weights.items()}
    kept = [part for part in str(clues.rule).split(",") if part and part.rpartition("=")[0] not in lower]
    return f"MINDSTREAM_BEHAVIOURS={shlex.quote(','.join([*kept, *(f'{one}={lower[one]}' for one in lower)]))}"


def example_of(values: pd.Index) -> str:
    """Return up to two values, quoted."""
    return ", ".join(said(one) for one in values[:2])
