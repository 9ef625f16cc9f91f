"""Where a group stands on a topic, and setting that anew while nobody of the group is at work."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError, NoError
from kafka.structs import OffsetAndMetadata

from mindstream.settings import Settings
from stream.kafka.cluster import Cluster
from stream.kafka.progress import Standing, ask_standings
from stream.kafka.topics import check_topic

__all__ = ["GroupOffsets", "members_of"]

ANSWER_MS = 10_000


def members_of(admin: KafkaAdminClient, group: str) -> list[str]:
    """Name who is at work for a group: client, host, and the instance where it has a name.

    Raises
    ------
    OSError
        If the broker does not say it.
    """
    try:
        found = admin.describe_groups([group])[group]["members"]
    except KafkaError as error:
        raise OSError(f"the broker does not say who is in group {group}: {error}") from error
    return [f"{one.get('group_instance_id') or one['client_id']} at {one['client_host'].lstrip('/')}" for one in found]


class GroupOffsets:
    """The offsets of the updaters' group on the topic of behaviour events.

    Raises
    ------
    OSError
        If the broker does not answer, here or in any method, or there is no such topic.
    """

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        check_topic(cluster, settings.topic)
        self.topic, self.group = settings.topic, settings.group
        self.admin = cluster.admin()
        self.is_embedded = cluster.life is not None
        self.consumer = cluster.consumer(settings.group)  # never subscribes, so it is no member

    def standings(self) -> dict[int, Standing]:
        """Return partition -> where the group stands."""
        admin = None if self.is_embedded else self.admin  # which knows no transactions
        try:
            found = ask_standings(self.consumer, admin, self.topic, ANSWER_MS)
        except KafkaError as error:
            raise OSError(f"the broker does not say where group {self.group} stands: {error}") from error
        return {one.partition: standing for one, standing in found.items()}

    def offset_at(self, partition: int, time_ms: int) -> int | None:
        """Return the offset of the first record of that time or later; None if there is none."""
        one = TopicPartition(self.topic, partition)
        try:
            found = self.consumer.offsets_for_times({one: time_ms}, timeout_ms=ANSWER_MS)[one]
        except KafkaError as error:
            raise OSError(f"the broker does not find a time on {self.topic}[{partition}]: {error}") from error
        return None if found is None else int(found.offset)

    def members(self) -> list[str]:
        """Name who is at work for the group: client, host, and the instance where it has a name."""
        return members_of(self.admin, self.group)

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Let the group go on at other offsets.

        Raises
        ------
        OSError
            Also if somebody of the group is at work: what is committed here would be overwritten.
        """
        wanted = {TopicPartition(self.topic, one): OffsetAndMetadata(at, "", -1) for one, at in offsets.items()}
        try:
            results = self.admin.alter_group_offsets(self.group, wanted)
        except KafkaError as error:
            raise OSError(f"the offsets of group {self.group} cannot be set: {error}") from error
        refused = {one: error for one, error in results.items() if error is not NoError}
        if refused:
            said = ", ".join(f"{one.topic}[{one.partition}]: {error.__name__}" for one, error in refused.items())
            raise OSError(f"offsets of group {self.group} were not set ({said}); is one of its updaters at work again?")

    def close(self) -> None:
        """Close the connections."""
        self.consumer.close(autocommit=False)
        self.admin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
