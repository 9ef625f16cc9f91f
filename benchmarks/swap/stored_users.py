"""Users of a benchmark, as an updater stores them, and who answers them."""

from collections.abc import Sequence
from contextlib import closing

import numpy as np
from tqdm import tqdm

from benchmarks.scenario.comparison import states_of
from benchmarks.scenario.world import PARTITIONS
from index.recommend.recommender import Recommender
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from stream.events.position import Position
from stream.store.contract import Store
from stream.store.history import History
from stream.store.state import UserState

__all__ = ["fill", "left_old_of", "warm_recommender"]

BEHAVIOURS = 20  # of each user who is swept
AT_ONCE = 5_000


def warm_recommender(bundle: Bundle, store: Store) -> Recommender:
    """Make a Recommender that has answered once."""
    recommender = Recommender(bundle, store)
    for state in (None, *_users_of(["nobody"], [bundle.item_ids[:BEHAVIOURS]], recommender.extractor, [0])):
        recommender.recommend_for(state)
    return recommender


def _users_of(
    user_ids: Sequence[str], histories: Sequence[Sequence[str]], extractor: Extractor, partitions: Sequence[int]
) -> list[UserState]:
    """Make users as an updater stores them."""
    rows = zip(user_ids, histories, extractor.encode(histories, half=True), partitions, strict=True)
    return [
        UserState(
            user_id,
            History(tuple(items), tuple(range(len(items))), ("",) * len(items)),
            capsules,
            Position("benchmark", partition, 0),
        )
        for user_id, items, capsules, partition in rows
    ]


def fill(store: Store, extractor: Extractor, users: int, name: str = "swept") -> None:
    """Write many users of all partitions: name-0, name-1, ..."""
    rng, items = np.random.default_rng(7), np.array(list(extractor.bundle.item_ids))
    with closing(tqdm(total=users, desc="filling the store", unit="user")) as bar:
        for start in range(0, users, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, users))
            histories = items[rng.integers(len(items), size=(len(numbers), BEHAVIOURS))].tolist()
            ids = [f"{name}-{number}" for number in numbers]
            store.put_many(_users_of(ids, histories, extractor, [number % PARTITIONS for number in numbers]))
            bar.update(len(numbers))


def left_old_of(store: Store, version: str) -> int:
    """Count the users whose stored capsules are of another model."""
    return sum(state.capsules.model_version != version for state in states_of(store))
