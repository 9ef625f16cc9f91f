"""The columns of a log as integers, which are counted and compared without a Python object an event."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from model_export.data.interactions import InteractionLog

__all__ = ["Coded", "CodedEvents", "coded", "coded_events"]


@dataclass(frozen=True)
class Coded:
    """A column as places among its different values.

    Attributes
    ----------
    codes : int (n,), places in `values`.
    values : different values, each of which the column has.
    counts : int64, how often each comes.
    """

    codes: np.ndarray
    values: pd.Index
    counts: np.ndarray


@dataclass(frozen=True)
class CodedEvents:
    """The events of a log in time order: users, items and types as places, times in Unix milliseconds."""

    users: Coded
    items: Coded
    types: Coded
    times: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    def pairs(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return a number for the pair of user and item of each event: int64, a new array."""
        pairs: np.ndarray = self.users.codes[rows].astype(np.int64)
        pairs *= len(self.items.values)
        pairs += self.items.codes[rows]
        return pairs


def coded(column: pd.Series) -> Coded:
    """Code a column of text, or a categorical one, whose categories may be more than it has."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, values = column.cat.codes.to_numpy(), column.cat.categories
    else:
        codes, values = pd.factorize(column)
    counts = np.bincount(codes, minlength=len(values))
    if (there := counts > 0).all():
        return Coded(codes, values, counts)
    return Coded((np.cumsum(there) - 1)[codes], values[there], counts[there])


def coded_events(log: InteractionLog) -> CodedEvents:
    """Code the events of a log."""
    users, items, types = (coded(log.events[name]) for name in ("user_id", "item_id", "event_type"))
    return CodedEvents(users, items, types, log.events.event_time_ms.to_numpy())
