"""What an archive knows of itself: how far the topic is in it, and who was forgotten."""

from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec

from stream.archive.names import ArchiveFile

__all__ = ["ArchiveState", "Erasure", "Log", "decoded", "encoded", "with_progress_of"]

VERSION = 1
DAY_MS = 86_400_000

Log = tuple[str, int]  # a partition of one life of the topic
Offset = Annotated[int, msgspec.Meta(ge=0)]


class Erasure(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request to remove the rows of a user, as it lies on a partition.

    Attributes
    ----------
    before_ms : rows that were published before it are removed; Unix time.
    life, partition, offset : where it lies; rows of the same partition with a smaller offset are removed.
    """

    user_id: str
    before_ms: int
    life: str
    partition: int
    offset: int


class ArchiveState(msgspec.Struct, frozen=True):
    """The state of an archive; it changes together with the files.

    Attributes
    ----------
    topic : the topic's name.
    progress : life of the topic -> partition -> the offset of the next record to be archived.
    forgotten : user_id -> when the user asked to be forgotten, and when that was read (Unix time, milliseconds). Rows
        that were published before it and are read later are left out.
    due : erasures of which there may still be rows in the files.
    """

    topic: str
    progress: dict[str, dict[int, Offset]] = {}
    forgotten: dict[str, tuple[int, int]] = {}
    due: list[Erasure] = []
    version: int = VERSION

    def next_offset(self, log: Log) -> int | None:
        """Return the offset of the next record of a partition; None where none was archived."""
        return self.progress.get(log[0], {}).get(log[1])

    def with_progress(self, reached: Mapping[Log, int]) -> "ArchiveState":
        """Return the state with other next offsets of some partitions."""
        progress = {life: dict(partitions) for life, partitions in self.progress.items()}
        for (life, partition), offset in reached.items():
            progress.setdefault(life, {})[partition] = offset
        return msgspec.structs.replace(self, progress=progress)

    def with_erasures(self, new: Iterable[Erasure], now_ms: int, marker_days: float) -> "ArchiveState":
        """Return the state with users who were forgotten, and without those whose time is over.

        A user is remembered for so many days from the request on, and from when it was read: where a topic is read
        from its beginning, older rows of other partitions are still to come.
        """
        forgotten = dict(self.forgotten)
        due = list(self.due)
        for one in new:
            at_ms, _ = forgotten.get(one.user_id, (0, 0))
            forgotten[one.user_id] = max(at_ms, one.before_ms), now_ms
            due.append(one)
        since_ms = now_ms - round(marker_days * DAY_MS)
        kept = {user_id: times for user_id, times in forgotten.items() if max(times) >= since_ms}
        return msgspec.structs.replace(self, forgotten=kept, due=due)

    def without_due(self, done: Iterable[Erasure]) -> "ArchiveState":
        """Return the state without erasures that are done."""
        over = set(done)
        return msgspec.structs.replace(self, due=[one for one in self.due if one not in over])


def encoded(state: ArchiveState) -> bytes:
    """Return the content of the state's file."""
    return msgspec.json.encode(state)


def decoded(content: bytes, source: str) -> ArchiveState:
    """Read the content of the state's file.

    Raises
    ------
    ValueError
        If it is none, or that of a later version; names the file.
    """
    try:
        state = msgspec.json.decode(content, type=ArchiveState)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{source} is no state of an archive ({error}); restore it. Without it (removed) the archive goes on from "
            "the names of its files, but forgets who was forgotten"
        ) from error
    if state.version != VERSION:
        raise ValueError(f"{source} was written by another version of Mindstream ({state.version}; here {VERSION})")
    return state


def with_progress_of(state: ArchiveState, files: Iterable[ArchiveFile]) -> ArchiveState:
    """Return a state that is past all offsets in the names of files.

    It is so anyway, unless its file was lost.
    """
    reached: dict[Log, int] = {}
    for one in files:
        log = one.life, one.partition
        reached[log] = max(reached.get(log, 0), one.last + 1)
    return state.with_progress({log: max(at, state.next_offset(log) or 0) for log, at in reached.items()})
