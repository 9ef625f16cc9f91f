"""The updater: behaviour events in, fresh capsules out, nothing lost and nothing applied twice.

One batch goes this way, see `Updater.step` and `Updater.finish`:

    1. poll        records from Kafka                        stream/kafka/group/reader.py
    2. decode      events by user, and dead letters          stream/updater/pending_batch.py
    3. apply       events to the stored histories            stream/updater/user_states.py, stream/store/state.py
    4. encode      histories to capsules                     model_export/bundle/extractor.py
    5. write       states, each over the one it came from    stream/store/contract.py
    6. publish     dead letters                              stream/dead_letters/writer.py
    7. publish     interest updates, where they are wanted   stream/updater/interest_updates.py
    8. commit      offsets                                   stream/kafka/group/commits.py

Offsets are committed last. A crash before that replays the events; the Position in each user's state tells those that
were applied already, so the replay changes nothing. A state is written only over the one that it was made from: a user
whom somebody else has written since is read again, and what is new to the user is applied to that. Where a state or a
dead letter cannot be written, reading pauses, and the same batch is tried until it can: nothing is skipped, and the
group does not take the updater for dead.
"""

import gc
import logging
import sys
import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack

from kafka import TopicPartition

from mindstream.settings import Settings
from model_export.bundle.extractor import Extractor
from model_export.bundle.serving import AnyServing
from stream.dead_letters.letter_log import LetterLog
from stream.dead_letters.writer import LetterWriter
from stream.events.decoders import decoder_of
from stream.events.event import Forget
from stream.kafka.batch import RecordBatch
from stream.kafka.cluster import Cluster
from stream.kafka.group.reader import POLL_MS, EventReader
from stream.kafka.outbox import Outbox
from stream.monitoring.health import Health
from stream.monitoring.metrics import Metrics
from stream.monitoring.observer import Observer
from stream.store.contract import Store
from stream.store.state import UserState
from stream.store.unreadable import UnreadableUsersError
from stream.updater import interest_updates
from stream.updater.claimant import UpdaterClaim
from stream.updater.pending_batch import PendingBatch, Stage, decode_batch
from stream.updater.sweeper import Sweeper
from stream.updater.tally import count_applied, count_stored
from stream.updater.user_states import UserStates

__all__ = ["MOST_TRIES", "Updater", "collect_less_garbage", "take_turns_sooner"]

log = logging.getLogger(__name__)

RETRY_MS = 500
TURN_S = 0.0005
MOST_TRIES = 10  # of a user whom others write; each time one of them got further
SWEEPING_MS = 5
NOBODY = "-"  # whom a question of the store is about that only asks whether it answers
NO_PARTITIONS_YET = "the group has not given this updater its partitions yet"


def collect_less_garbage() -> None:
    """Make Python look for reference cycles less often, which saves a tenth of the time.

    For a process that does nothing but update. What is loaded by now stays, and the thousands of small objects of a
    batch are in no cycles.
    """
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


def take_turns_sooner() -> None:
    """Make Python's threads take turns ten times as often.

    For a process that does nothing but update. Kafka's client works in a thread of its own, and whoever has waited for
    disk or network waits for its turn as well: 5 ms by default, longer than a small batch takes.
    """
    sys.setswitchinterval(TURN_S)


class Updater:
    """A worker that keeps the capsules in a store as fresh as the last event on a topic.

    Parameters
    ----------
    serving : the extractor of the current model, which is looked at anew for each batch. Where another one is served,
        the stored capsules are brought to it between batches; with a FixedServing nothing is swept.
    observer : told of each batch.
    start_ms : where to begin partitions that are new to the group, see `EventReader`.

    Attributes
    ----------
    decoder : of the topic's records.
    extractor : of this batch.
    pending : the batch that is not committed yet; empty between batches.
    trouble : why reading is paused, None where it is not.
    """

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        serving: AnyServing[Extractor],
        settings: Settings,
        metrics: Metrics | None = None,
        health: Health | None = None,
        observer: Observer | None = None,
        start_ms: int = 0,
    ) -> None:
        """Connect and join the consumer group.

        Raises
        ------
        OSError
            If no broker answers, or the store does not.
        ValueError
            If the store is another topic's or group's, or the mapping cannot be used.
        """
        self.store, self.serving, self.settings = store, serving, settings
        self.decoder = decoder_of(settings)
        self.metrics, self.health, self.observer = metrics or Metrics(), health or Health(), observer or Observer()
        self.health.checks.append(self._store_away)
        self.users = UserStates(store, settings, self.metrics, self.observer)
        self.extractor = serving.current
        self.metrics.bundle(self.extractor.bundle.version)
        self.trouble: str | None = None
        self.pending = PendingBatch()
        self.closing = ExitStack()
        try:
            cluster.ensure_topics([settings.topic, settings.dead_letter_topic], settings.partitions)
            if settings.updates_topic:
                cluster.ensure_topics([settings.updates_topic], settings.partitions, interest_updates.TOPIC_CONFIG)
            self.outbox = Outbox(cluster, settings.dead_letter_bytes)
            self.closing.callback(self.outbox.close)
            self.letters = LetterWriter(self.outbox, settings.dead_letter_topic, settings.dead_letter_bytes)
            self.letter_log = LetterLog()
            self.reader = EventReader(cluster, settings, self.metrics, self.leave_to_others, self.observer, start_ms)
            self.closing.callback(self.reader.close)
            store.claim(UpdaterClaim(cluster, settings, self.reader.life.id))
            self.reader.commits.marks = store.marks
            self.sweeper = Sweeper(store, self.metrics, self._publish_swept, self.reader)
        except BaseException:
            self.close()
            raise

    @property
    def counts(self) -> Counter[str]:
        """Return what has happened so far, by the names of `Metrics.counts`."""
        return self.metrics.counts

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then leave the group.

        Everything polled is written and committed by then.
        """
        try:
            while not stop.is_set():
                self.step()
                self.tell_health()
            self.reader.finish(all_done=self.trouble is None)
        except BaseException as error:
            self.health.stuck(f"the updater has ended: {error}")
            raise
        finally:
            self.close()

    def close(self) -> None:
        """Leave the group at once, so that others take over without waiting for a timeout."""
        self.closing.close()

    # The way of a batch, from here on in its order.

    def step(self, poll_ms: int = POLL_MS) -> None:
        """Do one batch, from poll to commit, or try again the one that could not be finished.

        Parameters
        ----------
        poll_ms : how long to wait for events.
        """
        arrived = self._poll(poll_ms)  # 1; may take partitions from the pending batch
        self.follow()
        if self.trouble:
            self.reader.rewind(arrived)  # of partitions that were assigned just now: their turn comes
        else:
            self.pending = PendingBatch(arrived)
        try:
            self._decode_pending()  # 2
            self.finish(self.pending)  # 3 to 8
        except OSError as error:
            self._wait_because(error)
        else:
            self._go_on()
            self.sweeper.step(idle=not arrived.records)

    def finish(self, pending: PendingBatch) -> None:
        """Take a batch through the stages that are left of it, and commit it.

        Raises
        ------
        OSError
            If something cannot be written. The batch is not committed then, and may be finished again.
        """
        if not pending.batch.records:
            return
        if not self._store(pending):  # 3, 4, 5
            return
        self._write_dead_letters(pending)  # 6
        self._publish_updates(pending)  # 7
        self._commit(pending)  # 8

    def _poll(self, poll_ms: int) -> RecordBatch:
        """Return the next records, or none where the pending batch has to be finished first."""
        if self.trouble:
            self.reader.pause()  # also what was assigned since
        return RecordBatch(self.reader.poll(self._patience_ms(poll_ms)))

    def _decode_pending(self) -> None:
        """Decode the pending batch if that is due.

        Raises
        ------
        OSError
            If a schema is out of reach that the events were written by.
        """
        if self.pending.stage is Stage.DECODE:
            self.pending = self.decode(self.pending.batch)

    def decode(self, batch: RecordBatch) -> PendingBatch:
        """Decode a batch that has just arrived."""
        with self.observer.timed("decode"):
            return decode_batch(batch, self.reader.life.id, self.settings.rule, self.decoder)

    def _store(self, pending: PendingBatch) -> bool:
        """Do the store stage if it is due; tell whether the batch is still ours."""
        if pending.stage is not Stage.STORE:
            return self.reader.still_reads(pending.batch)
        if not self.update(pending):
            return False
        count_stored(self.metrics, pending)
        pending.stage = Stage.DEAD_LETTERS
        return True

    def update(self, pending: PendingBatch) -> bool:
        """Apply a batch's events and write the states; return False if the batch is not ours now.

        Somebody else reads its partitions then.

        Raises
        ------
        OSError
            Also where others write the same users all the time. Those who are written by then are not done again.
        """
        for _ in range(MOST_TRIES):
            left = pending.unwritten()
            try:
                changed = self.users.change(left, self.extractor)
            except UnreadableUsersError as error:
                self._set_aside(pending, error.users)
                continue
            if not self.reader.still_reads(pending.batch):
                return False
            refused = self.users.write(changed)
            taken = [(applied, state) for applied, state in changed if state.user_id not in refused]
            pending.note_written(left.keys() - refused, (state for _, state in taken))
            events = [events for user_id, events in left.items() if user_id not in refused]
            count_applied(self.metrics, events, [one for one, _ in taken], self.extractor.bundle.rows)
            if not refused:
                return True
        raise OSError(
            f"{len(pending.unwritten())} users of the batch were written by others at each of {MOST_TRIES} tries"
        )

    def _set_aside(self, pending: PendingBatch, unreadable: Mapping[str, str]) -> None:
        """Let a batch do without users who cannot be read: their events become dead letters.

        Who is forgotten by the batch needs no reading: what is stored of them is removed instead.
        """
        forgotten = [
            user_id for user_id in unreadable if any(isinstance(one, Forget) for one, *_ in pending.events[user_id])
        ]
        self.store.remove_unreadable(self.store.unreadable(forgotten))
        for user_id in forgotten:
            log.warning("user %r is forgotten, and could not be read before: %s", user_id, unreadable[user_id])
        pending.set_aside({user_id: why for user_id, why in unreadable.items() if user_id not in forgotten})

    def _write_dead_letters(self, pending: PendingBatch) -> None:
        """Write the dead letters; they must be on the broker before their offsets are committed."""
        if pending.stage is not Stage.DEAD_LETTERS:
            return
        if pending.letters:
            self.letters.write(pending.letters)
            self.letter_log.note(pending.letters)
            for letter in pending.letters:
                self.metrics.dead_letter(letter.error.reason, letter.records)
        pending.stage = Stage.UPDATES

    def _publish_updates(self, pending: PendingBatch) -> None:
        """Publish the interests of the batch's users as they are stored.

        Also of those whose events were all applied before: whoever applied them may have died before saying so.

        What was just written is the latest: nobody else has the partitions, and that is sure for some seconds (see
        `EventReader.is_sure`). After a stall it need not be. A partition may have come and gone meanwhile, and a user
        whose events lie on several partitions may have been written by another updater, which has published that. So
        what a stall leaves behind is read again (`PendingBatch.note_failure`), and so is a user whose events were all
        applied before: there we wrote nothing. Of who cannot be read (any more) there is nothing to say.
        """
        if self.settings.updates_topic:
            latest = self.users.latest(pending.events, pending.states if self.reader.is_sure() else {})
            interest_updates.publish_updates(self.outbox, self.settings.updates_topic, latest)

    def _commit(self, pending: PendingBatch) -> None:
        """Commit the offsets, and with dead letters wait for it.

        Read again, they would be written twice.
        """
        self.reader.commit(pending.batch, wait=bool(pending.letters))
        self.metrics.batch(len(pending.batch.records))

    # What happens beside and between batches.

    def _patience_ms(self, poll_ms: int) -> int:
        """Return how long to wait for events."""
        if self.trouble:
            return RETRY_MS
        return SWEEPING_MS if self.sweeper.is_at_work() else poll_ms

    def follow(self) -> None:
        """Work from this batch on with the model that is served now."""
        served = self.serving.current
        if served is not self.extractor:
            self.extractor = served
            self.metrics.swapped(served.bundle.version)
            log.info("capsules are of model %s from now on", served.bundle.version)
        if not self.serving.is_fixed:
            self.sweeper.follow(served, {one.partition for one in self.reader.partitions()})

    def tell_health(self) -> None:
        """Tell the Health that a step is done, and what keeps the updater from working."""
        self.health.beat()
        self.health.waits_for = NO_PARTITIONS_YET if self.reader.waits_for_partitions() else None
        self.health.note = self.reader.note or self.serving.trouble
        self.letter_log.tell()
        trouble = self.trouble or self.reader.trouble or self.store.problem()
        if trouble:
            self.health.stuck(trouble)
        else:
            self.health.well()

    def _store_away(self) -> str | None:
        """Return why the store cannot be read now; None if it can."""
        try:
            self.store.get_many([NOBODY])
        except (OSError, ValueError) as error:
            return str(error)
        return None

    def leave_to_others(self, partitions: Collection[TopicPartition]) -> None:
        """Drop what is not finished of partitions that were taken away.

        It is not committed, so others read it.
        """
        self.pending.drop(partitions)

    def _wait_because(self, error: OSError) -> None:
        """Pause reading until the pending batch can be finished."""
        if str(error) != self.trouble:
            log.error("reading is paused: %s", error)
        self.trouble = str(error)
        self.metrics.stalled(self.pending.stage)
        self.pending.note_failure()

    def _go_on(self) -> None:
        """Be done with the pending batch, and read on where reading was paused."""
        self.pending = PendingBatch()
        if self.trouble:
            log.info("reading goes on")
            self.trouble = None
            self.reader.resume()

    def _publish_swept(self, states: Sequence[UserState]) -> None:
        """Publish the interests of these users before they are written.

        Once they are, no sweep finds them again.

        Raises
        ------
        OSError
            If it cannot be done, or somebody else may have published newer ones, because the group took us for dead.
        """
        if self.settings.updates_topic:
            self.reader.make_sure_of_all()
            users = {state.user_id: state for state in states}
            interest_updates.publish_updates(self.outbox, self.settings.updates_topic, users)
