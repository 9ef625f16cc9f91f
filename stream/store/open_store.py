"""The capsule store that the settings name."""

from mindstream.settings import Settings
from stream.store.contract import Store
from stream.store.lmdb_store import LmdbStore

__all__ = ["open_store"]


def open_store(settings: Settings, read_only: bool = False) -> Store:
    """Open Redis if MINDSTREAM_REDIS names one, else LMDB in the home; use it in a `with`.

    Parameters
    ----------
    read_only : open LMDB so that nothing that goes wrong in this process can damage its file.

    Raises
    ------
    ValueError
        If MINDSTREAM_REDIS is no url of a Redis.
    OSError
        If the store cannot be reached or used.
    """
    url = settings.redis.get_secret_value()
    if not url:
        return LmdbStore(settings.state, settings.idle_days, settings.marker_days, settings.lmdb_gb, read_only)
    from stream.store.redis_store import RedisStore  # here, because redis takes a moment to import

    return RedisStore(url, settings.idle_days, settings.marker_days)
