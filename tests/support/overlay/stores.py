"""Stores of the overlay by their kind, and an item to put into them, in any process."""

from collections.abc import Callable
from pathlib import Path

from index.catalogue.item import Item
from index.catalogue.lmdb_overlay import LmdbOverlayStore
from index.catalogue.overlay_store import OverlayStore
from index.catalogue.redis_overlay import RedisOverlayStore


def open_lmdb(place: str) -> OverlayStore:
    return LmdbOverlayStore(Path(place))


# Each opens, in any process, what was written to the same place: a folder, a url.
STORES: dict[str, Callable[[str], OverlayStore]] = {
    "lmdb": open_lmdb,
    "redis": RedisOverlayStore,
    "redis-cluster": RedisOverlayStore,
}


def mug(item_id: str, title: str = "A mug") -> Item:
    return Item(item_id, title, "Kitchen", 4.5, {"colour": ["red", "blue"], "empty": []})


def spoil(store: OverlayStore, item_id: str, value: bytes) -> None:
    """Put what is no entry in the place of an item's, as a fault or another program might."""
    store.write({item_id: mug(item_id)})
    if isinstance(store, LmdbOverlayStore):
        with store.transaction(write=True) as transaction:
            store.put(transaction, item_id.encode(), value)
    elif isinstance(store, RedisOverlayStore):
        store.ask("written", "HSET", store.key, item_id.encode(), value)


def at(store: OverlayStore, seconds: float) -> None:
    """Let a store's clock stand at a Unix time."""
    assert isinstance(store, LmdbOverlayStore | RedisOverlayStore)
    store.clock = lambda: seconds
