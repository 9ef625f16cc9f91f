"""A small topic as lists, archivers that work on it without Kafka, and what a reader finds in their archive."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from mindstream.archive.folder import reading
from stream.archive.archive import Archive
from stream.archive.columns import Row
from stream.archive.cutting import Part
from stream.archive.state import Erasure, Log
from stream.events.event import Event, Forget

DAY_MS = 86_400_000
NOON_MS = 1_764_000_000_000 // DAY_MS * DAY_MS + DAY_MS // 2

Rows = Counter[tuple[str, str, int, int]]  # user_id, life, partition, offset


@dataclass
class Topic:
    """A topic: what lies on each partition, by its offset; each event is published at its own time.

    Attributes
    ----------
    life : its identity.
    partitions : the events and requests of each.
    """

    life: str
    partitions: list[list[Event | Forget]] = field(default_factory=list)

    def part(self, number: int, base: int | None, count: int) -> Part:
        """What an archiver holds that has read so many records from where the archive ends."""
        part = Part(base)
        begin = base or 0
        for offset, one in enumerate(self.partitions[number][begin : begin + count], begin):
            part.passed(offset, offset)
            if isinstance(one, Event):
                part.rows.append(Row(one, number, offset, 0, one.event_time_ms))
            else:
                part.erasures.append(Erasure(one.user_id, one.event_time_ms, self.life, number, offset))
        return part

    def parts(self, archive: Archive, count: int) -> dict[Log, Part]:
        """What an archiver of all partitions holds that begins now."""
        state = archive.state()
        places = [(self.life, number) for number in range(len(self.partitions))]
        return {place: self.part(place[1], state.next_offset(place), count) for place in places}

    def left(self) -> Rows:
        """The rows that have to be in the archive in the end: all but those from before a forgetting."""
        requests = [
            (one, number, offset)
            for number, records in enumerate(self.partitions)
            for offset, one in enumerate(records)
            if isinstance(one, Forget)
        ]
        return Counter(
            (one.user_id, self.life, number, offset)
            for number, records in enumerate(self.partitions)
            for offset, one in enumerate(records)
            if isinstance(one, Event)
            and not any(
                asked.user_id == one.user_id
                and (one.event_time_ms < asked.event_time_ms or (number == where and offset < at))
                for asked, where, at in requests
            )
        )


def rows_in(folder: Path) -> Rows:
    """What a reader finds."""
    found: Rows = Counter()
    with reading(folder):
        for file in sorted(folder.glob("day=*/*.parquet")):
            cells = pq.read_table(file, partitioning=None).to_pydict()
            days = {time // DAY_MS for time in cells["event_time_ms"]}
            assert len(days) == 1, f"{file} has rows of {len(days)} days"
            found.update(zip(cells["user_id"], cells["topic_life"], cells["partition"], cells["offset"], strict=True))
    return found
