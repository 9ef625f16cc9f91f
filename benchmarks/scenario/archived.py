"""What an archive lacks, holds twice, or holds of forgotten users, compared with the topic."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from kafka.consumer.fetcher import ConsumerRecord

from mindstream.archive.folder import reading
from stream.events.event import BadEventError, Forget, decode
from stream.events.published import published_ms

__all__ = ["Place", "archive_faults", "places_in", "wanted_places"]

Place = tuple[int, int]  # partition and offset


def archive_faults(folder: Path, records: Sequence[ConsumerRecord], acknowledged: int = 0) -> dict[str, int]:
    """Count what is lost, there twice, or left of forgotten users.

    Parameters
    ----------
    records : all that is on the topic, which has had one life.
    acknowledged : events that the broker has said that it has; fewer on the topic are lost as well.
    """
    wanted, forgotten = wanted_places(records)
    found = places_in(folder)
    return {
        "lost": len(wanted - found.keys()) + max(0, acknowledged - len(wanted) - len(forgotten)),
        "applied_twice": sum(found.values()) - len(found),
        "forgotten_left": len(found.keys() & forgotten),
        "invented": len(found.keys() - wanted - forgotten),
    }


def wanted_places(records: Sequence[ConsumerRecord]) -> tuple[set[Place], set[Place]]:
    """Return where the events lie that belong into an archive, and those that do not.

    Not those of users who were forgotten after them.
    """
    events, asked = [], list[tuple[Forget, ConsumerRecord]]()
    for record in records:
        try:
            found = decode(record.value, record.key, published_ms(record))
        except BadEventError:
            continue
        if isinstance(found, Forget):
            asked.append((found, record))
        else:
            events.append((found, record))
    of_users: dict[str, list[tuple[Forget, ConsumerRecord]]] = {}
    for one, record in asked:
        of_users.setdefault(one.user_id, []).append((one, record))
    taken = {_place(record) for event, record in events if _is_forgotten(record, of_users.get(event.user_id, ()))}
    return {_place(record) for _, record in events} - taken, taken


def _is_forgotten(record: ConsumerRecord, asked: Sequence[tuple[Forget, ConsumerRecord]]) -> bool:
    """Tell whether an event is from before one of these requests of its user."""
    return any(
        published_ms(record) < one.event_time_ms
        or (record.partition == request.partition and record.offset < request.offset)
        for one, request in asked
    )


def _place(record: ConsumerRecord) -> Place:
    return record.partition, record.offset


def places_in(folder: Path) -> Counter[Place]:
    """Count the rows of an archive by where their records lie."""
    found: Counter[Place] = Counter()
    with reading(folder):
        for file in folder.glob("day=*/*.parquet"):
            cells = pq.read_table(file, columns=["partition", "offset"], partitioning=None).to_pydict()
            found.update(zip(cells["partition"], cells["offset"], strict=True))
    return found
