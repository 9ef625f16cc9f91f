"""Interest updates: every new set of capsules as a message, for ranking services and feature stores."""

from collections.abc import Mapping

import msgspec

from stream.kafka.outbox import Outbox
from stream.store.state import UserState

__all__ = ["TOPIC_CONFIG", "InterestUpdate", "publish_updates"]

TOPIC_CONFIG = {"cleanup.policy": "compact"}

_encoder = msgspec.json.Encoder()


class InterestUpdate(msgspec.Struct, frozen=True):
    """A user's interests as of the last applied event.

    Attributes
    ----------
    event_time_ms : of the latest behaviour.
    position : topic life, partition and offset of the last applied event; within a partition updates are in its order.
    capsules : (K', d).
    importance : (K',), sums to 1.
    """

    user_id: str
    model_version: str
    event_time_ms: int
    position: tuple[str, int, int]
    capsules: list[list[float]]
    importance: list[float]


def _message(state: UserState) -> bytes | None:
    """Write the update's JSON; None, which compaction deletes, for a user without a history.

    That is one who was forgotten, or has refused all items of the history.
    """
    if not state.history.item_ids:
        return None
    place, capsules = state.position, state.capsules
    return _encoder.encode(
        InterestUpdate(
            state.user_id,
            capsules.model_version,
            state.history.event_times_ms[-1],
            (place.topic_life, place.partition, place.offset),
            capsules.vectors.tolist(),
            capsules.importance.tolist(),
        )
    )


def publish_updates(outbox: Outbox, topic: str, users: Mapping[str, UserState | None]) -> None:
    """Publish the interests of users, by user_id, and wait until the broker has them all.

    Raises
    ------
    OSError
        If one is not acknowledged in time; none of them may then count as published.
    """
    records = [{"key": user_id.encode(), "value": state and _message(state)} for user_id, state in users.items()]
    outbox.send_all(topic, records, "interest updates")
