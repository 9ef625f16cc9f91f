"""The rows of the archive as Arrow tables: columns that logs are read by, and the place of each event on Kafka."""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import pyarrow as pa

from stream.events.event import Event

__all__ = ["MORE_PROFILE", "MOST_FIELDS", "Row", "table_of"]

PROFILE = "profile_"  # as readers of logs know a profile's fields
MORE_PROFILE = "further_fields"
MOST_FIELDS = 100  # columns of profile fields in a file: a table of ten thousand would not fit into memory


class Row(msgspec.Struct, frozen=True, gc=False):
    """An event and where it came from.

    Attributes
    ----------
    number : which of its record's events it is, from 0 on.
    published_ms : when the record was published, Unix time.
    """

    event: Event
    partition: int
    offset: int
    number: int
    published_ms: int


def table_of(rows: Sequence[Row], life: str) -> pa.Table:
    """Return rows of one topic as a table.

    A profile field has a column of its own, `profile_...`, if it is among the most frequent; the others are one JSON
    object in `further_fields`.
    """
    events = [row.event for row in rows]
    columns = {
        "user_id": pa.array([one.user_id for one in events], pa.string()),
        "item_id": pa.array([one.item_id for one in events], pa.string()),
        "event_type": pa.array([one.event_type for one in events], pa.string()),
        "event_time_ms": pa.array([one.event_time_ms for one in events], pa.int64()),
        "event_id": pa.array([one.event_id for one in events], pa.string()),
        "published_ms": pa.array([row.published_ms for row in rows], pa.int64()),
        "topic_life": pa.array([life] * len(rows), pa.string()),
        "partition": pa.array([row.partition for row in rows], pa.int32()),
        "offset": pa.array([row.offset for row in rows], pa.int64()),
        "event_in_record": pa.array([row.number for row in rows], pa.int32()),
    }
    return pa.table(columns | _profile_columns([one.profile or {} for one in events]))


def _profile_columns(profiles: Sequence[dict[str, str]]) -> dict[str, pa.Array]:
    """Return the columns of profile fields."""
    fields = _fields_with_columns(profiles)
    columns = {f"{PROFILE}{name}": pa.array([one.get(name) for one in profiles], pa.string()) for name in fields}
    own = set(fields)
    others = [{name: value for name, value in one.items() if name not in own} for one in profiles]
    if any(others):
        encode = msgspec.json.Encoder().encode
        columns[MORE_PROFILE] = pa.array([encode(one).decode() if one else None for one in others], pa.string())
    return columns


def _fields_with_columns(profiles: Iterable[dict[str, str]]) -> list[str]:
    """Return the fields that get columns: the most frequent.

    Of those that differ in upper case alone it is one: readers of Parquet take such names for the same.
    """
    counted = Counter(name for one in profiles for name in one)
    chosen: dict[str, str] = {}
    for name in sorted(counted, key=lambda one: (-counted[one], one)):
        if name and len(chosen) < MOST_FIELDS:
            chosen.setdefault(name.lower(), name)
    return sorted(chosen.values())
