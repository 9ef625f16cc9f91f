"""Users of a file into a store, over older ones only, while updaters may write the same users."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mindstream.counted import counted
from stream.store.contract import Store, read_readable
from stream.store.state import UserState
from stream.transfer.files import pages

__all__ = ["MOST_TRIES", "Imported", "import_users", "is_newer"]

MOST_TRIES = 10  # of a user whom others write; each time one of them got further


@dataclass(frozen=True)
class Imported:
    """What became of some users of a file.

    Attributes
    ----------
    written : who are stored now as the file has them.
    kept : who are stored as new as that, or newer, and stay so.
    unreadable : user_id -> why what is stored of the user cannot be read; it stays.
    """

    written: int
    kept: int
    unreadable: dict[str, str]


def import_users(store: Store, states: Iterable[UserState]) -> Iterator[Imported]:
    """Write users of whom the store has nothing, or something older.

    Yield what became of each page.

    Raises
    ------
    OSError
        If the store cannot be reached or written, or others write the same users all the time.
    """
    for page in pages(states):
        latest: dict[str, UserState] = {}
        for state in page:  # a file may have a user twice
            known = latest.get(state.user_id)
            latest[state.user_id] = state if known is None or is_newer(state, known) else known
        yield _import_page(store, list(latest.values()), len(page))


def _import_page(store: Store, states: Sequence[UserState], rows: int) -> Imported:
    """Write some users, each once."""
    left, written = list(states), 0
    faults: dict[str, str] = {}
    for _ in range(MOST_TRIES):
        stored, unreadable = read_readable(store, [state.user_id for state in left])
        faults.update(unreadable)
        pairs = [pair for pair in zip(left, stored, strict=True) if pair[0].user_id not in unreadable]
        newer = [(state, old) for state, old in pairs if old is None or is_newer(state, old)]
        read = {state.user_id: old.position if old else None for state, old in newer}
        refused = store.put_many([state for state, _ in newer], read)
        written += len(newer) - len(refused)
        left = [state for state, _ in newer if state.user_id in refused]
        if not left:
            return Imported(written, rows - written - len(faults), faults)
    raise OSError(f"others wrote {counted(len(left), 'user')} at each of {MOST_TRIES} tries; import once more")


def is_newer(one: UserState, other: UserState) -> bool:
    """Tell whether a state has more of a user's events than another.

    In the same partition of the same topic the offsets say it. Elsewhere, as after a move to another cluster, it is
    the time of the latest event; where that is the same, it is not newer.
    """
    a, b = one.position, other.position
    if (a.topic_life, a.partition) == (b.topic_life, b.partition):
        return a.offset > b.offset
    return _latest_ms(one) > _latest_ms(other)


def _latest_ms(state: UserState) -> int:
    """Return the time of the latest event that a state knows of."""
    times_ms = (*state.history.event_times_ms[-1:], state.feedback.latest_ms, state.profile_time_ms, state.forgotten_ms)
    return max(times_ms)
