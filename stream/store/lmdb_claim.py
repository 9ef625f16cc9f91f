"""A file beside an LMDB store that tells one which updaters have begun from one that is new, or was emptied."""

from collections.abc import Callable
from pathlib import Path

from stream.store.contract import ACCEPT, REPLAY, Claimant

__all__ = ["begin", "claim", "has_begun"]

NAME = "begun"


def claim(folder: Path, who: Claimant, is_empty: Callable[[], bool]) -> None:
    """Begin a store for an updater, unless it lacks what the updater's group has committed.

    Raises
    ------
    ValueError
        If the store is new and has no users, and events that the topic still has are committed: they were in a store
        that was deleted, or is elsewhere, and would pass for applied.
    """
    if has_begun(folder):
        return
    if is_empty() and who.is_past_the_start():
        raise ValueError(
            f"the capsule store {folder} is new and has no users, and group {who.group} has committed that it is past "
            f"events that topic {who.topic} still has, which would not be applied again: a store was deleted, or "
            f"MINDSTREAM_HOME is another than before. To have them applied, {REPLAY}; to go on without them, {ACCEPT}"
        )
    begin(folder)


def has_begun(folder: Path) -> bool:
    """Tell whether updaters have begun with a store."""
    return (folder / NAME).exists()


def begin(folder: Path) -> None:
    """Note that updaters have begun with a store."""
    (folder / NAME).touch()
