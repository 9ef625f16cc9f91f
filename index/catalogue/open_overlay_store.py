"""The way to the overlay store that the settings name."""

from index.catalogue.lmdb_overlay import LmdbOverlayStore
from index.catalogue.overlay_store import OverlayStore
from mindstream.settings import Settings
from stream.store.open_store import check_owner, redis_address

__all__ = ["open_overlay_store"]


def open_overlay_store(settings: Settings) -> OverlayStore:
    """Open the item store beside the capsule store: Redis if it is configured, else LMDB.

    MINDSTREAM_REDIS names the Redis; LMDB is in the home.

    Raises
    ------
    ValueError
        If MINDSTREAM_REDIS is no url of a Redis, or the stores there are another topic's or group's.
    OSError
        If the store cannot be reached or used.
    """
    address = redis_address(settings)
    if address is None:
        return LmdbOverlayStore(settings.state / "items")
    from index.catalogue.redis_overlay import RedisOverlayStore  # here, because redis takes a moment to import
    from stream.store.redis.owner import StoreOwner

    store = RedisOverlayStore(address, settings.redis_prefix)
    try:
        check_owner(StoreOwner(store.link, settings.redis_prefix), settings)
    except BaseException:
        store.close()
        raise
    return store
