"""A stored user as files carry one between stores and versions: named fields, nothing of a store's own format."""

from typing import Any

import msgspec
import numpy as np

from model_export.bundle.extractor import Capsules
from stream.events.position import Position
from stream.store.contract import key_of
from stream.store.feedback import Feedback, ItemFeedback
from stream.store.history import History
from stream.store.state import UserState

__all__ = ["PRECISIONS", "PortableItem", "PortableUser"]

PRECISIONS: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}


class PortableItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An `ItemFeedback` with its fields by name."""

    item_id: str
    rejected_ms: int = 0
    rejected_id: str = ""
    wanted_ms: int = 0
    wanted_id: str = ""


class PortableUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `UserState` with its fields by name; times are Unix times in milliseconds.

    Attributes
    ----------
    topic_life, partition, offset : of the last applied event.
    item_ids, event_times_ms, event_ids : (T,) each, the history by time; "" where a behaviour has no event_id.
    event_types : (T,), "" where unknown; files of versions before have none.
    capsules, importance : (K', dim) and (K',) numbers of this precision, little-endian; JSON has them as base64.
    """

    user_id: str
    topic_life: str
    partition: int
    offset: int
    item_ids: list[str]
    event_times_ms: list[int]
    event_ids: list[str]
    feedback: list[PortableItem]
    profile: dict[str, str]
    profile_time_ms: int
    forgotten_ms: int
    model_version: str
    dim: int
    precision: str
    capsules: bytes
    importance: bytes
    event_types: list[str] = []

    @classmethod
    def of(cls, state: UserState) -> "PortableUser":
        """Return a user as files carry one."""
        history, capsules, position = state.history, state.capsules, state.position
        is_half = capsules.vectors.dtype == capsules.importance.dtype == PRECISIONS["float16"]
        precision = "float16" if is_half else "float32"
        vectors, importance = (one.astype(PRECISIONS[precision]) for one in (capsules.vectors, capsules.importance))
        return cls(
            state.user_id,
            position.topic_life,
            position.partition,
            position.offset,
            list(history.item_ids),
            list(history.event_times_ms),
            list(history.event_ids),
            [PortableItem(*msgspec.structs.astuple(one)) for one in state.feedback.items],
            dict(sorted(state.profile.items())),
            state.profile_time_ms,
            state.forgotten_ms,
            capsules.model_version,
            capsules.vectors.shape[1],
            precision,
            vectors.tobytes(),
            importance.tobytes(),
            list(history.event_types),
        )

    def state(self) -> UserState:
        """Return the user as stores take one.

        Raises
        ------
        ValueError
            If a field is wrong; it is named with what it holds and what would be right.
        """
        key_of(self.user_id)
        for name in ("partition", "offset", "dim"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; right is 0 or more")
        return UserState(
            self.user_id,
            self._history(),
            self._capsules(),
            Position(self.topic_life, self.partition, self.offset),
            self.profile,
            self.profile_time_ms,
            self.forgotten_ms,
            Feedback(tuple(ItemFeedback(*msgspec.structs.astuple(one)) for one in self.feedback)),
        )

    def _history(self) -> History:
        """Return the history, whose parts have to fit and to be in order."""
        lengths = len(self.item_ids), len(self.event_times_ms), len(self.event_ids)
        if len(set(lengths)) > 1:
            raise ValueError("there are {} item_ids, {} event_times_ms and {} event_ids".format(*lengths))
        if self.event_types and len(self.event_types) != lengths[0]:
            raise ValueError(f"there are {lengths[0]} item_ids and {len(self.event_types)} event_types")
        if any(name != name.lower() for name in self.event_types):
            raise ValueError(f"event_types are {self.event_types}; right is lower case")
        keys = list(zip(self.event_times_ms, self.event_ids, strict=True))
        if keys != sorted(keys):
            raise ValueError("event_times_ms are not in order; right is the oldest behaviour first")
        types = tuple(self.event_types)
        return History(tuple(self.item_ids), tuple(self.event_times_ms), tuple(self.event_ids), types)

    def _capsules(self) -> Capsules:
        """Return the capsules, whose sizes have to fit."""
        numbers = PRECISIONS.get(self.precision)
        if numbers is None:
            raise ValueError(f"precision is {self.precision!r}; right is {' or '.join(PRECISIONS)}")
        number = len(self.importance) // numbers.itemsize
        sizes = number * numbers.itemsize, number * self.dim * numbers.itemsize
        if (len(self.importance), len(self.capsules)) != sizes:
            raise ValueError(
                f"importance and capsules have {len(self.importance)} and {len(self.capsules)} bytes, which are not "
                f"K' and K' x {self.dim} numbers of {self.precision}"
            )
        vectors, importance = np.frombuffer(self.capsules, numbers), np.frombuffer(self.importance, numbers)
        return Capsules(vectors.reshape(number, self.dim), importance, self.model_version)

    def row(self) -> dict[str, Any]:
        """Return the fields as a row of a table."""
        fields: dict[str, Any] = msgspec.to_builtins(self, builtin_types=(bytes,))
        return fields | {"profile": list(self.profile.items())}
