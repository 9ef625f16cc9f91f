"""The command `owner`: whose the store is, what it lacks, and taking it over."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mindstream import settings
from mindstream.printable import printable
from mindstream.settings import Settings
from stream.commands.endings import Sure, confirm
from stream.kafka.connect import reachable_cluster
from stream.kafka.group_offsets import members_of
from stream.store.lmdb_claim import begin, has_begun
from stream.store.open_store import redis_address
from stream.updater.claimant import UpdaterClaim

if TYPE_CHECKING:
    from stream.store.redis.owner import Owner, StoreOwner

__all__ = ["owner"]


def owner(
    take: Annotated[bool, typer.Option("--take", help="Make it ours, and accept what was lost.")] = False,
    yes: Sure = False,
) -> None:
    """Show whose users the store holds, and whether any were lost.

    With --take a store in Redis is from now on of the topic and group that are
    set, whosever it was, and updaters go on without what was lost, as they do
    with one in LMDB that was deleted. It says what that means, and asks. It is
    refused while updaters of another topic or group are at work.
    """
    configured = settings.load()
    address = redis_address(configured)
    if address is None:
        _show_home(configured, take, yes)
        return
    from stream.store.redis.link import RedisLink  # here, because redis takes a moment to import
    from stream.store.redis.owner import StoreOwner

    link = RedisLink(address)
    try:
        store = StoreOwner(link, configured.redis_prefix)
        found = store.read()
        print(_as_text(store, found))
        if take:
            _take(store, found, configured, yes)
    finally:
        link.close()


def _show_home(configured: Settings, take: bool, yes: bool) -> None:
    """Say whose the store in LMDB is; begin one that is empty all the same."""
    state, begun = configured.state, has_begun(configured.state)
    print(printable(f"MINDSTREAM_REDIS is not set: the store is LMDB in {state}, and belongs to that home"))
    if not take:
        if not begun:
            print("no updater has begun with it yet")
    elif begun:
        print("updaters have begun with it: there is nothing to take")
    else:
        print(f"--take means:\n  updaters of group {configured.group!r} go on without the users who are not there")
        confirm(yes)
        state.mkdir(parents=True, exist_ok=True)
        begin(state)
        print("updaters may begin with it now")


def _as_text(store: "StoreOwner", found: "Owner | None") -> str:
    """Write an entry for people to read."""
    where = f"the store at Redis {store.link.address} under the prefix {store.prefix!r}"
    if found is None:
        return printable(f"{where} belongs to nobody yet")
    made = datetime.fromtimestamp(int(found.made_ms or 0) / 1000, UTC).isoformat(timespec="seconds")
    lines = [
        f"{where} belongs to topic {found.topic!r} and group {found.group!r}",
        f"cluster {found.cluster or 'not known'}",
        f"made    {made if found.made_ms else 'not known'}",
        f"lost    {found.lost or 'nothing that was noticed'}",
    ]
    return "\n".join(map(printable, lines))


def _take(store: "StoreOwner", found: "Owner | None", configured: Settings, yes: bool) -> None:
    """Make the store ours, once nobody works on it and people have confirmed what that means."""
    cluster_id, unknown = _look_at_kafka(found, configured)
    meaning = _meaning(found, configured, cluster_id)
    if not meaning:
        print("that is ours, and nothing of it was lost: there is nothing to take")
        return
    print("\n".join(map(printable, ["--take means:", *(f"  {one}" for one in meaning + unknown)])))
    confirm(yes)
    store.take(configured.topic, configured.group)
    print(printable(f"it belongs to topic {configured.topic!r} and group {configured.group!r} now"))


def _look_at_kafka(found: "Owner | None", configured: Settings) -> tuple[str, list[str]]:
    """Return the id of the Kafka cluster, and what cannot be told of updaters there.

    Raises
    ------
    ValueError
        If updaters of another topic or group are at work, which write into the store.
    """
    is_another = found is not None and not found.is_of(configured.topic, configured.group)
    try:
        cluster = reachable_cluster()
        cluster_id = UpdaterClaim(cluster, configured, life="").cluster_id()
        if found is None or not is_another:
            return cluster_id, []
        if found.cluster and found.cluster != cluster_id:
            raise OSError(f"they read the Kafka cluster {found.cluster!r}, and set is {cluster_id or 'another one'!r}")
        admin = cluster.admin()
        try:
            members = members_of(admin, found.group)
        finally:
            admin.close()
    except OSError as error:
        told = f"whether updaters of it are at work cannot be told ({error}): stop them before" if is_another else ""
        return "", [told] if told else []
    if members:
        raise ValueError(
            f"updaters of group {found.group!r} are at work ({', '.join(members)}), and the store is theirs; stop them "
            "first (who was killed leaves the group after 10 s)"
        )
    return cluster_id, []


def _meaning(found: "Owner | None", configured: Settings, cluster_id: str) -> list[str]:
    """Say what taking the store changes, a sentence each; nothing where it changes nothing."""
    ours = f"topic {configured.topic!r} and group {configured.group!r}"
    if found is None:
        return [f"the store, which is nobody's, will be of {ours}"]
    meaning = []
    if not found.is_of(configured.topic, configured.group):
        theirs = f"topic {found.topic!r} and group {found.group!r}"
        meaning.append(f"the store will be of {ours}; updaters of {theirs} will be refused, and its users stay in it")
    elif found.cluster and found.cluster != cluster_id:
        meaning.append(f"it will be of the Kafka cluster of the next updater, and no more of {found.cluster!r}")
    if found.lost:
        meaning.append(f"what was lost is given up, and updaters go on without it: {found.lost}")
    return meaning
