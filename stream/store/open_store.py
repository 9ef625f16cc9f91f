"""The capsule store that the settings name."""

import logging
from typing import TYPE_CHECKING

from mindstream.settings import Settings
from stream.store.contract import Store
from stream.store.lmdb_store import LmdbStore

if TYPE_CHECKING:
    from stream.store.redis.address import RedisAddress
    from stream.store.redis.owner import StoreOwner

__all__ = ["check_owner", "open_store", "redis_address"]

log = logging.getLogger(__name__)


def open_store(settings: Settings, read_only: bool = False) -> Store:
    """Open Redis if MINDSTREAM_REDIS names one, else LMDB in the home; use it in a `with`.

    Parameters
    ----------
    read_only : open LMDB so that nothing that goes wrong in this process can damage its file.

    Raises
    ------
    ValueError
        If MINDSTREAM_REDIS is no url of a Redis, or the store there is another topic's or group's.
    OSError
        If the store cannot be reached or used.
    """
    address = redis_address(settings)
    if address is None:
        return LmdbStore(settings.state, settings.idle_days, settings.marker_days, settings.lmdb_gb, read_only)
    from stream.store.redis_store import RedisStore  # here, because redis takes a moment to import

    if settings.lmdb_gb != type(settings).model_fields["lmdb_gb"].default:
        log.warning("MINDSTREAM_LMDB_GB is set and has no effect, as MINDSTREAM_REDIS is set: users are kept there")
    prefix, replicas = settings.redis_prefix, settings.redis_replicas
    store = RedisStore(address, settings.idle_days, settings.marker_days, prefix, replicas)
    try:
        check_owner(store.owner, settings)
        store.health.warn_of_settings()
    except BaseException:
        store.close()
        raise
    return store


def redis_address(settings: Settings) -> "RedisAddress | None":
    """Return the address of the Redis that the settings name; None if they name none.

    Raises
    ------
    ValueError
        If MINDSTREAM_REDIS is no url of a Redis, or MINDSTREAM_REDIS_PASSWORD_FILE no file with its password.
    """
    url = settings.redis.get_secret_value()
    if not url:
        return None
    from stream.store.redis.address import parse

    return parse(url, settings.redis_password_file)


def check_owner(owner: "StoreOwner", settings: Settings) -> None:
    """Raise ValueError if a store is another topic's or group's than those that are set.

    A process that reads is often told neither, as it needs no Kafka. Then it takes the store that is there.
    """
    told = settings.model_fields_set
    found = owner.check(
        settings.topic if "topic" in told else None,
        settings.group if "group" in told else None,
    )
    if found and found.lost:
        log.warning("%s", owner.loss_of(found))
