"""The way to the overlay store that the settings name."""

from index.catalogue.lmdb_overlay import LmdbOverlayStore
from index.catalogue.overlay_store import OverlayStore
from mindstream.settings import Settings

__all__ = ["open_overlay_store"]


def open_overlay_store(settings: Settings) -> OverlayStore:
    """Open the item store beside the capsule store: Redis if it is configured, else LMDB.

    MINDSTREAM_REDIS names the Redis; LMDB is in the home.

    Raises
    ------
    ValueError
        If MINDSTREAM_REDIS is no url of a Redis.
    OSError
        If the store cannot be reached or used.
    """
    url = settings.redis.get_secret_value()
    if not url:
        return LmdbOverlayStore(settings.state / "items")
    from index.catalogue.redis_overlay import RedisOverlayStore  # here, because redis takes a moment to import

    return RedisOverlayStore(url)
