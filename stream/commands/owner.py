"""The command `owner`: whose the store in Redis is, and what it lacks."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mindstream import settings
from mindstream.printable import printable
from stream.store.open_store import redis_address

if TYPE_CHECKING:
    from stream.store.redis.owner import StoreOwner

__all__ = ["owner"]


def owner(
    take: Annotated[bool, typer.Option("--take", help="Make it ours, and accept what was lost.")] = False,
) -> None:
    """Show whose users the store in Redis holds, and whether any were lost.

    With --take it is from now on of the topic and group that are set,
    whosever it was, and updaters go on without what was lost.
    """
    configured = settings.load()
    address = redis_address(configured)
    if address is None:
        print(f"MINDSTREAM_REDIS is not set: the store is LMDB in {configured.state}, and belongs to that home")
        return
    from stream.store.redis.link import RedisLink  # here, because redis takes a moment to import
    from stream.store.redis.owner import StoreOwner

    link = RedisLink(address)
    try:
        store = StoreOwner(link, configured.redis_prefix)
        if take:
            store.take(configured.topic, configured.group)
        print(_as_text(store))
    finally:
        link.close()


def _as_text(store: "StoreOwner") -> str:
    """Write an entry for people to read."""
    where = f"the store at Redis {store.link.address} under the prefix {store.prefix!r}"
    found = store.read()
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
