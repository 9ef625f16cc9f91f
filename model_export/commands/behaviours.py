"""The behaviours of a log as all commands that learn from one, or measure on one, read them."""

from datetime import datetime
from pathlib import Path

from mindstream import settings
from mindstream.mapping import AS_IT_IS, Mapping
from model_export.data.behaviours import behaviours_of
from model_export.data.interactions import InteractionLog
from model_export.data.period import events_between
from model_export.readers import read_log

__all__ = ["read_behaviours"]


def read_behaviours(
    path: str | Path,
    mapping: Mapping = AS_IT_IS,
    since: datetime | None = None,
    until: datetime | None = None,
    impressions: bool = False,
) -> InteractionLog:
    """Read the behaviours of a log between two dates (UTC), by the configured rule.

    The rule is MINDSTREAM_BEHAVIOURS. What happens after the period takes nothing back in it.

    Parameters
    ----------
    impressions : keep what users were only shown beside; a ranker learns from it.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_log`, `events_between` and `behaviours_of` do.
    """
    return behaviours_of(events_between(read_log(path, mapping), since, until), settings.load().rule, impressions)
