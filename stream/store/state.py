"""The state of a user: history, capsules made from it, unwanted items, and the Position of the last applied event.

Who is forgotten is so whatever partition the user's events lie on, and whichever partition is read first: `apply` has
the rules.

A batch makes thousands of these, so they are msgspec's Structs: a frozen dataclass takes five times as long to make.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from mindstream.behaviour_rule import BehaviourRule
from model_export.bundle.extractor import Capsules, Extractor
from model_export.bundle.half_precision import in_half, keeps_digits
from stream.events.event import Event, Forget
from stream.events.position import Position
from stream.store.feedback import Feedback
from stream.store.history import History, key_of_event

__all__ = [
    "DAY_MS",
    "MARKER_DAYS",
    "Applied",
    "Arrival",
    "UserState",
    "apply",
    "encoded",
    "in_half_precision",
    "recomputed",
    "routing_weights",
]

DAY_MS = 86_400_000
MARKER_DAYS = 7.0  # how long it is remembered that a user was forgotten, see `Settings.marker_days`

Arrival = tuple[Event | Forget, Position, int]  # what came, where it lies, and when it was published (Unix ms)


_EVENT_TYPE = attrgetter("event_type")


class UserState(msgspec.Struct, frozen=True, gc=False):
    """One user, as stored.

    One who was forgotten has an empty history and stays for some days, as a marker.

    Attributes
    ----------
    capsules : made from exactly this history and profile; in half precision, see `encoded`.
    position : of the last event that was applied.
    profile : profile field -> value.
    profile_time_ms : event time of the event that said the profile, 0 where none did.
    forgotten_ms : when the user was last forgotten, 0 where never.
    feedback : the items that the user does not want.
    """

    user_id: str
    history: History
    capsules: Capsules
    position: Position
    profile: dict[str, str] = {}
    profile_time_ms: int = 0
    forgotten_ms: int = 0
    feedback: Feedback = Feedback()

    @property
    def unwanted(self) -> tuple[str, ...]:
        """Return the items that must not be recommended, what was refused last at the end."""
        return self.feedback.unwanted

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing is kept of the user but the marker that there was one."""
        return not self.history.item_ids and not self.feedback.items

    def expires_ms(self, idle_days: float | None, marker_days: float = MARKER_DAYS, written_ms: int = 0) -> int | None:
        """Return from when on this user may be removed; None for never.

        That is once the user was idle for so long, and was not forgotten within the last `marker_days`, but not within
        a day after the last write: while old events are replayed, the user's later ones are still to come.

        Parameters
        ----------
        written_ms : when the last event was applied, Unix time; 0 where it is not known.
        """
        marker_ms = self.forgotten_ms + round(marker_days * DAY_MS)
        if self.is_empty:
            return max(marker_ms, written_ms + DAY_MS)
        if idle_days is None:
            return None
        last_ms = max([*self.history.event_times_ms[-1:], self.feedback.latest_ms])
        idle_ms = max(last_ms + round(idle_days * DAY_MS), written_ms + DAY_MS)
        return max(idle_ms, marker_ms) if self.forgotten_ms else idle_ms


class Applied(msgspec.Struct, frozen=True, gc=False):
    """A user with new events, before the capsules are computed.

    Attributes
    ----------
    read : Position of the state that this was made from, None where nothing was stored.
    events : how many events were new, of whatever kind, without those of `forgotten_before`.
    behaviours : item_ids of the behaviours that were new, in the order they arrived.
    overruled : how many behaviours more were older than a negative event of their item.
    negative, undone : how many events were negative, and how many took one back.
    duplicates : how many more had an event_id that was there already.
    forgotten : how often the user was forgotten among them.
    forgotten_before : how many events more are older than the forgetting, or were taken by it. Where there are no
        others the state is as it was, and is written once more so that its marker does not end while such events still
        come.
    """

    user_id: str
    read: Position | None
    history: History
    position: Position
    profile: dict[str, str]
    profile_time_ms: int
    forgotten_ms: int
    feedback: Feedback
    events: int
    behaviours: tuple[str, ...]
    overruled: int
    negative: int
    undone: int
    duplicates: int
    forgotten: int
    forgotten_before: int

    def with_capsules(self, capsules: Capsules) -> UserState:
        """Return the state to store, with the capsules of this history."""
        return UserState(
            self.user_id,
            self.history,
            capsules,
            self.position,
            self.profile,
            self.profile_time_ms,
            self.forgotten_ms,
            self.feedback,
        )


def apply(
    user_id: str,
    state: UserState | None,
    arrivals: Iterable[Arrival],
    history_length: int,
    rule: BehaviourRule,
) -> Applied | None:
    """Apply a user's events, in the order of their partition, to what is stored.

    An event at or before the stored Position was applied already and is skipped, so a replay changes nothing. All
    events of a record have one Position, the same object, and are applied together. A forget has a copy on each
    partition, and updaters read partitions in any order, so

    - an event that was published before the user was forgotten is left out, on whatever partition it lies;
    - a forget that is no later than the last one is a copy of it, unless it lies on the partition of the stored
      Position, behind it: there offsets say that it is later than what was applied.

    Parameters
    ----------
    rule : which of the events are behaviours, which are negative, and which take a negative one back; the others
        change nothing but the Position.

    Returns
    -------
    None where every event was applied before.
    """
    sifted = _sift(state, arrivals)
    if sifted.position is None or not (sifted.new or sifted.late):
        return None
    kept = None if sifted.forgets else state
    taken = _Taken(*(kept.history, kept.feedback) if kept else (History(), Feedback()))
    if all(map(rule.is_behaviour, map(_EVENT_TYPE, sifted.events))):  # the usual case
        taken.behaviours(sifted.events, history_length)
    else:
        for is_behaviour, run in groupby(sifted.events, lambda event: rule.is_behaviour(event.event_type)):
            if is_behaviour:
                taken.behaviours(list(run), history_length)
            else:
                taken.others(run, rule)
    profile, profile_time_ms = _latest_profile(kept, taken.new)
    return Applied(
        user_id,
        state.position if state else None,
        taken.history,
        sifted.position,
        profile,
        profile_time_ms,
        sifted.forgotten_ms,
        taken.feedback,
        events=sifted.new,
        behaviours=tuple(taken.item_ids),
        overruled=taken.overruled,
        negative=taken.negative,
        undone=taken.undone,
        duplicates=taken.duplicates,
        forgotten=sifted.forgets,
        forgotten_before=sifted.late,
    )


class _Sifted(msgspec.Struct, frozen=True, gc=False):
    """What is new in a user's arrivals.

    Attributes
    ----------
    position : of the last of them; the stored one where there are none.
    forgotten_ms : when the user was last forgotten, with them.
    events : to be applied, in their order: those since the last forget.
    new : how many arrivals were new, forgets among them.
    forgets : how many of them were forgets.
    late : how many more were left out because a forgetting came after them.
    """

    position: Position | None
    forgotten_ms: int
    events: list[Event]
    new: int
    forgets: int
    late: int


def _sift(state: UserState | None, arrivals: Iterable[Arrival]) -> _Sifted:
    """Tell what of the arrivals is new to a user, by the rules of `apply`."""
    last, forgotten_ms = (state.position, state.forgotten_ms) if state else (None, 0)
    events: list[Event] = []
    new = forgets = late = 0
    begun: Position | None = None  # of the record whose events are being taken; it has several at times
    for event, position, published_ms in arrivals:
        if last is not None and position is not begun and last.covers(position):
            continue
        if isinstance(event, Event):
            if published_ms < forgotten_ms:
                late += 1  # leaves the Position as it is: on this partition the forget may be still to come
                continue
            events.append(event)
        else:
            if last is not None and event.event_time_ms <= forgotten_ms and not last.same_log(position):
                continue
            late += len(events)
            new -= len(events)
            events, forgets, forgotten_ms = [], forgets + 1, max(forgotten_ms, event.event_time_ms)
        new, last, begun = new + 1, position, position
    return _Sifted(last, forgotten_ms, events, new, forgets, late)


class _Taken:
    """A user's history and feedback while events are applied to them, run by run, in the order they arrived.

    The order is what makes the result independent of how a log is cut into batches: which behaviours have fallen out
    of the history when a negative event arrives decides what is left after it.
    """

    def __init__(self, history: History, feedback: Feedback) -> None:
        self.history, self.feedback = history, feedback
        self.new: list[Event] = []
        self.item_ids: list[str] = []
        self.overruled = self.negative = self.undone = self.duplicates = 0

    def behaviours(self, arrived: list[Event], history_length: int) -> None:
        """Append behaviours that arrived one after the other."""
        new = self.history.new_of(arrived)
        admitted = self.feedback.admitted(new)
        self.history = self.history.extended(admitted, history_length)
        self.feedback = self.feedback.after_behaviours(admitted)
        self.new += new
        self.item_ids += [event.item_id for event in admitted]
        self.duplicates += len(arrived) - len(new)
        self.overruled += len(new) - len(admitted)

    def others(self, events: Iterable[Event], rule: BehaviourRule) -> None:
        """Apply negative and undoing events that arrived one after the other."""
        for event in events:
            if not rule.counts(event.event_type):
                continue
            if self.feedback.has(event):
                self.duplicates += 1
                continue
            self.new.append(event)
            if rule.is_negative(event.event_type):
                self.feedback = self.feedback.after_negative(event, self.history)
                self.history = self.history.without(event.item_id, key_of_event(event))
                self.negative += 1
            else:
                self.feedback = self.feedback.after_undo(event, self.history)
                self.undone += 1


def _latest_profile(state: UserState | None, events: Sequence[Event]) -> tuple[dict[str, str], int]:
    """Return the profile of the latest event that has one, and its event time.

    Equal times are decided by the content.
    """
    known = (state.profile, state.profile_time_ms) if state else ({}, 0)
    said = [(event.profile, event.event_time_ms) for event in events if event.profile is not None]
    return max([known, *said], key=lambda one: (one[1], sorted(one[0].items()))) if said else known


def encoded(extractor: Extractor, users: Sequence[UserState | Applied]) -> list[Capsules]:
    """Compute the capsules of these users' histories and profiles, as they are stored."""
    return extractor.encode(**_inputs(users), half=True)


def routing_weights(extractor: Extractor, users: Sequence[UserState]) -> list[np.ndarray]:
    """Compute which behaviours made which interest: (K', T) of each user.

    By the same run of the model as `encoded`.
    """
    return extractor.routing_weights(**_inputs(users))


def _inputs(users: Sequence[UserState | Applied]) -> dict[str, list[Any]]:
    """Return what an Extractor reads of users, by the names of its arguments."""
    histories = [one.history for one in users]
    return {
        "histories": [one.item_ids for one in histories],
        "profiles": [one.profile for one in users],
        "times_ms": [one.event_times_ms for one in histories],
        "types": [one.event_types for one in histories],
    }


def in_half_precision(capsules: Sequence[Capsules]) -> list[Capsules]:
    """Round capsules to half precision (float16).

    So what is in memory is what is stored, in half of the bytes.

    A user with a capsule that this would change by more than a 2,000th of its largest number stays in single
    precision: one with a number above 65,504, or with none above 2**-13, as a model of uneven norms may make them.
    """
    if not capsules:
        return []
    vectors = np.concatenate([one.vectors for one in capsules])  # (sum of K', d)
    importance = np.concatenate([one.importance for one in capsules])
    rounded, shares, fits = in_half(vectors), in_half(importance), keeps_digits(vectors)
    all_fit = bool(fits.all())
    ends = accumulate(len(one.vectors) for one in capsules)
    places = [slice(end - len(one.vectors), end) for one, end in zip(capsules, ends, strict=True)]
    return [
        Capsules(rounded[place], shares[place], one.model_version) if all_fit or fits[place].all() else one
        for one, place in zip(capsules, places, strict=True)
    ]


def recomputed(state: UserState, capsules: Capsules) -> UserState:
    """Return the same user with capsules of another model."""
    return msgspec.structs.replace(state, capsules=capsules)
