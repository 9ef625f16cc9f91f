"""The archiver: events from the topic into the archive, each once, whoever is killed or thought dead.

What was read is kept in memory until it is a cut. A cut and how far the topic is then in the archive are written as one
change (`mindstream.archive.folder`), and then the offsets are committed, so that others see them. Where reading goes on
says the archive alone: after a crash, after partitions moved, and to one who was thought dead and writes late, whose
cut does not begin where the archive ends and is not taken.
"""

import logging
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from mindstream.settings import Settings
from stream.archive.archive import Archive
from stream.archive.columns import Row
from stream.archive.cutting import Cut, Part
from stream.archive.goal import Goal
from stream.archive.metrics import ArchiveMetrics
from stream.archive.reader import ArchiveReader
from stream.archive.state import Erasure, Log
from stream.archive.upkeep import Upkeep, now_ms
from stream.events.decoders import RecordDecoder
from stream.events.event import BadEventError, Event, Forget
from stream.events.mapped.event_ids import RecordIds
from stream.events.published import published_ms
from stream.kafka.batch import RecordBatch
from stream.kafka.cluster import Cluster
from stream.kafka.fetch.unreadable_record import UnreadableRecord, last_offset_of
from stream.kafka.group.reader import POLL_MS
from stream.kafka.progress import partition_names
from stream.monitoring.health import Health

__all__ = ["Archiver", "Pace"]

log = logging.getLogger(__name__)

RETRY_MS = 500
NO_PARTITIONS_YET = "the group has not given this archiver its partitions yet"


@dataclass(frozen=True)
class Pace:
    """When a cut is made: after so many seconds, or with so many events."""

    every_s: float = 60.0
    events: int = 100_000


class Archiver:
    """A worker that puts a topic into an archive.

    Parameters
    ----------
    start_ms : where to begin partitions that the archive does not know: at the first record of this time (Unix,
        milliseconds) or later; 0: at the beginning.

    Attributes
    ----------
    parts : what was read and is not archived yet, of each partition that is read where the archive ends.
    trouble : why reading is paused, None where it is not.
    held : a record that could not be decoded yet, for want of its schema.

    Raises
    ------
    OSError
        If no broker answers, or there is no such topic.
    """

    def __init__(
        self,
        cluster: Cluster,
        archive: Archive,
        decoder: RecordDecoder,
        settings: Settings,
        pace: Pace,
        metrics: ArchiveMetrics,
        health: Health,
        start_ms: int = 0,
    ) -> None:
        self.archive, self.decoder, self.pace, self.metrics, self.health = archive, decoder, pace, metrics, health
        self.start_ms = start_ms
        self.parts: dict[Log, Part] = {}
        self.lasts: dict[Log, ConsumerRecord] = {}
        self.since = 0.0  # when the first of them was read
        self.trouble: str | None = None
        self.held: ConsumerRecord | None = None
        self.record_ids: dict[str, RecordIds] = {}
        self.upkeep = Upkeep(archive, metrics)
        self.closing = ExitStack()
        members = settings.model_copy(update={"group": settings.archive_group})
        self.reader = ArchiveReader(cluster, members, metrics, self.leave_to_others, self.holds)
        self.closing.callback(self.reader.close)
        self.first_life = self.reader.life.id

    def close(self) -> None:
        """Leave the group at once, so that others take over without waiting for a timeout."""
        self.closing.close()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then archive what was read and leave the group."""
        self._work(stop, once=False)

    def run_once(self, stop: threading.Event) -> None:
        """Archive what is on the topic now, do the upkeep, and leave the group."""
        self._work(stop, once=True)
        if not stop.is_set():
            self.upkeep.finish(stop.wait)

    def _work(self, stop: threading.Event, once: bool) -> None:
        try:
            goal = Goal(self.reader) if once else None
            while not stop.is_set() and not (goal and not self.trouble and goal.is_reached(self.parts)):
                self.step()
                self.tell_health()
            self.cut()
            self.reader.finish(all_done=self.trouble is None)
        except BaseException as error:
            self.health.stuck(f"the archiver has ended: {error}")
            raise
        finally:
            self.close()

    def step(self, poll_ms: int = POLL_MS) -> None:
        """Read on, make a cut if it is time, and else do a little of the upkeep."""
        if self.trouble:
            self.reader.pause()  # also what was assigned since
        self.take(self.reader.poll(RETRY_MS if self.trouble else poll_ms))
        if self.trouble or self._is_cut_due():
            self._try_to_cut()
        else:
            self.upkeep.step()

    def take(self, records: Collection[ConsumerRecord]) -> None:
        """Keep records until the next cut; begin partitions that are new here."""
        known = {log[1] for log in self.parts if log[0] == self.reader.life.id}
        self._begin([one for one in self.reader.partitions() if one.partition not in known])
        for record in records:
            if record.partition not in known:
                continue
            try:
                self._keep(record)
            except OSError as error:  # its schema cannot be had now
                self.held = record
                known.discard(record.partition)
                self.reader.rewind(RecordBatch([record]))
                self._pause(error)

    def _begin(self, partitions: Collection[TopicPartition]) -> None:
        """Read partitions from where the archive ends.

        What was polled of them by now is read again from there.
        """
        if not partitions:
            return
        state, life = self.archive.state(), self.reader.life.id
        for one in partitions:
            base = state.next_offset((life, one.partition))
            if self.reader.go_to(one, base, self.start_ms if life == self.first_life else 0):
                self.parts[life, one.partition] = Part(base)

    def _keep(self, record: ConsumerRecord) -> None:
        """Keep the events of a record.

        One that cannot be read is counted; the updaters make its dead letter.
        """
        place = self.reader.life.id, record.partition
        part, last = self.parts[place], last_offset_of(record)
        if not part.is_new(record.offset):
            self.metrics.rows("read_again", 1)
            return
        found: Sequence[Event | Forget] = ()
        try:
            found = self._events_of(record)
        except BadEventError as error:
            self.metrics.unreadable(error.reason, last - record.offset + 1)
        if not self.lasts:
            self.since = time.monotonic()
        self.lasts[place] = record
        part.passed(record.offset, last)
        published = published_ms(record)
        for number, one in enumerate(found):
            _add(part, place, record.offset, number, one, published)

    def _events_of(self, record: ConsumerRecord) -> Sequence[Event | Forget]:
        """Decode a record.

        Raises
        ------
        BadEventError
            If it cannot be read.
        OSError
            If its schema cannot be had now.
        """
        if isinstance(record, UnreadableRecord):
            raise BadEventError("record", record.error)
        value = self.decoder.whole(record).value
        return self.decoder.decode(value, record.key, published_ms(record), self._id_of(record))

    def _id_of(self, record: ConsumerRecord) -> str | None:
        """Return what a record's events without an id are known by, where they need one."""
        if not self.decoder.needs_record_ids:
            return None
        life = self.reader.life.id
        if life not in self.record_ids:
            self.record_ids[life] = RecordIds(life)
        return self.record_ids[life].of(record)

    def holds(self) -> bool:
        """Tell whether something was read that is not archived yet."""
        return bool(self.lasts)

    def leave_to_others(self, partitions: Collection[TopicPartition]) -> None:
        """Archive what was read of partitions that were taken away, and be done with them.

        Whoever has them now begins where the archive ends. Of a topic that was deleted nobody could read it again.
        """
        numbers = {one.partition for one in partitions}
        leaving = {place: part for place, part in self.parts.items() if place[1] in numbers}
        try:
            self._archive(leaving)
        except OSError as error:
            log.warning("what was read of %s is left to whoever reads it now: %s", partition_names(partitions), error)
        for place in leaving:
            del self.parts[place]
            self.lasts.pop(place, None)
        if self.held is not None and self.held.partition in numbers:
            self.held = None

    def _is_cut_due(self) -> bool:
        if not self.holds():
            return False
        events = sum(len(part.rows) for part in self.parts.values())
        return events >= self.pace.events or time.monotonic() - self.since >= self.pace.every_s

    def _try_to_cut(self) -> None:
        """Make a cut and decode what is held; where that cannot be done yet, pause until it can."""
        try:
            self.cut()
            if self.held is not None:
                with suppress(BadEventError):  # it is counted when it is read again
                    self._events_of(self.held)
        except OSError as error:
            self._pause(error)
            return
        self.held = None
        if self.trouble:
            log.info("reading goes on")
            self.trouble = None
            self.reader.resume()

    def _pause(self, error: OSError) -> None:
        """Pause reading, and say why once."""
        if str(error) != self.trouble:
            log.error("reading is paused: %s", error)
        self.trouble = str(error)

    def cut(self) -> None:
        """Archive what was read, then commit it.

        Raises
        ------
        OSError
            If it cannot be written; it is kept then.
        """
        taken, life = self._archive(self.parts), self.reader.life.id
        self.reader.commit_records([one for place, one in self.lasts.items() if place in taken and place[0] == life])
        for place in self.lasts:
            part = self.parts.pop(place)
            if place in taken and place[0] == life:
                self.parts[place] = Part(part.next)
        self.lasts = {}  # what was not taken is begun anew, where the archive ends

    def _archive(self, parts: Mapping[Log, Part]) -> Collection[Log]:
        """Write parts to the archive; return those that it has taken."""
        read = {place: part for place, part in parts.items() if part.first is not None}
        if not read:
            return ()
        made = self.archive.cut(read, now_ms())
        self._count(made, {place: part for place, part in read.items() if place not in made.taken})
        return made.taken

    def _count(self, made: Cut, left: Mapping[Log, Part]) -> None:
        """Count and say what was archived, and what was not."""
        for result, number in made.counts.items():
            self.metrics.rows(result, number)
        self.metrics.files("written", len(made.files))
        if left:
            rows = sum(len(part.rows) for part in left.values())
            self.metrics.rows("left_to_others", rows)
            log.warning(
                "%d events of partitions %s were archived by somebody else meanwhile, and are not written again",
                *(rows, ", ".join(str(partition) for _, partition in sorted(left))),
            )
        said = ", ".join(f"{number:,} {name}" for name, number in made.counts.items() if number)
        log.info("%s; %d files", said or "no events", len(made.files))

    def tell_health(self) -> None:
        """Tell the Health that a step is done, and what keeps the archiver from working."""
        self.health.beat()
        self.health.waits_for = NO_PARTITIONS_YET if self.reader.waits_for_partitions() else None
        self.health.note = self.reader.note
        trouble = self.trouble or self.reader.trouble or self.upkeep.trouble
        if trouble:
            self.health.stuck(trouble)
        else:
            self.health.well()


def _add(part: Part, place: Log, offset: int, number: int, one: Event | Forget, published: int) -> None:
    """Add an event, or a request to forget a user, to what was read."""
    if isinstance(one, Event):
        part.rows.append(Row(one, place[1], offset, number, published))
    else:
        part.erasures.append(Erasure(one.user_id, one.event_time_ms, *place, offset))
