"""A first start that needs a decision: a topic that is new, and a store that is not."""

from itertools import islice

from mindstream.counted import counted
from mindstream.settings import Settings
from stream.kafka.cluster import BrokerAwayError, Cluster
from stream.kafka.topic_life import TopicLife
from stream.store.contract import Store, read_readable
from stream.updater.claimant import UpdaterClaim

__all__ = ["check_first_start"]

SAMPLE = 1_000  # users who are looked at: a store that has none of a topic's among so many is another topic's


def check_first_start(cluster: Cluster, store: Store, settings: Settings) -> None:
    """Refuse to begin a topic whose events the store may have from another one.

    After a move to another cluster the same events have other positions, so they would be applied once more.

    Raises
    ------
    ValueError
        If the store has users of other topics only, and the group has committed nothing on this one.
    OSError
        If broker or store cannot be asked.
    """
    if cluster.life:  # the embedded broker starts empty each time
        return
    if not (lives := _lives_in(store)):
        return
    servers = cluster.bootstrap_servers
    found = f"the store holds users of {counted(len(lives), 'other topic')} (or of an earlier life of it)"
    decide = (
        "if that is meant, say where to begin, `--start-at beginning` or a time such as "
        "`--start-at 2026-01-31T12:00:00Z`; events that the store has already would count twice, but for those with "
        "an event_id"
    )
    try:
        life = TopicLife(cluster, settings.topic)
    except BrokerAwayError:
        raise
    except OSError as error:
        raise ValueError(
            f"there is no topic {settings.topic} on {servers}, and {found}: it was deleted, or KAFKA_BOOTSTRAP_SERVERS "
            f"or MINDSTREAM_TOPIC is another than before. Updaters make no topic then; make it, and {decide}"
        ) from error
    life.close()
    if life.id not in lives and not UpdaterClaim(cluster, settings, life="").has_begun():
        where = f"group {settings.group} has committed nothing on topic {settings.topic} of {servers}"
        raise ValueError(f"{where}, and {found}; {decide}")


def _lives_in(store: Store) -> set[str]:
    """Return the lives of the topics that some users of a store were last written from."""
    found, _ = read_readable(store, list(islice(store.users(), SAMPLE)))
    return {state.position.topic_life for state in found if state is not None}
