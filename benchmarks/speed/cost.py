"""The bytes of a stored user, as the stores keep one and as the version before kept one, and what that costs.

Users have K = 4 capsules of d = 64, ids of 8 characters, and events hours apart to the millisecond. Each is written
twice, in random orders and in batches, as updaters do: so LMDB's pages are as full as they are in use. The default
prices are round figures to reckon with, not a list: a GB of SSD and a GB of memory for a month. Give your own by
--disk and --memory. Nothing is doubled for replicas.
"""

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import lmdb
import numpy as np
import typer
from redis import Redis
from tqdm import tqdm

from benchmarks.harness.older_states import as_hash, format_2
from benchmarks.harness.report import finish
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Capsules, Extractor
from model_export.data.simulator import simulate
from model_export.evaluation.report import table
from model_export.export.bundle_writer import export
from stream.events.position import Position
from stream.store.codec import to_bytes
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.redis_store import RedisStore
from stream.store.state import UserState, in_half_precision
from testbed.real_redis import RealRedis
from testbed.small_model import small_checkpoint

__all__ = ["Rounded", "cost_of", "made_users", "main", "rounding"]

LENGTHS = (10, 50, 100)
CAPSULES, DIM = 4, 64
TYPES, SHARES = ("view", "cart", "buy"), (0.9, 0.07, 0.03)
START_MS = 1_720_000_000_000
LONGEST_GAP_MS = 3 * 86_400_000
BATCH = 500
HUNDRED_MILLION, GB = 100_000_000, 10**9
HISTORIES = 2_000  # of which the ranking is compared
LIFE = "e902d4ed-ef08-4eb3-9a7a-7314567ee2f6"  # a UUID, as every topic has one
VERSION = "20261129T235453Z-60c7"


def main(
    users: Annotated[int, typer.Option(min=100, help="How many are stored for each length of the history.")] = 10_000,
    disk: Annotated[float, typer.Option(help="Dollars a GB of SSD and month.")] = 0.08,
    memory: Annotated[float, typer.Option(help="Dollars a GB of memory and month.")] = 5.0,
    bundle: Annotated[
        Path | None, typer.Option(help="Compare rankings by this bundle's model, not by a small one.", exists=True)
    ] = None,
) -> None:
    """Measure bytes and price of stored users, and what half precision does to rankings."""
    figures: dict[str, float] = {}
    rows = []
    with RealRedis() as redis, tqdm(total=2 * len(LENGTHS), desc="storing", unit="store") as bar:
        for behaviours in LENGTHS:
            states = list(made_users(users, behaviours))
            for name, cost in (("before", cost_of_before(states, redis)), ("today", cost_of(states, redis))):
                bar.update()
                rows.append(cost.row(behaviours, name, disk, memory))
                figures |= {f"{what}_{behaviours}{'_before' * (name == 'before')}": n for what, n in cost.figures()}
    print(f"\nbytes a user, and dollars a month for 100 million, at {disk:g} a GB on disk and {memory:g} in memory\n")
    print(table(["behaviours", "layout", "key and value", "LMDB", "Redis", "LMDB, $", "Redis, $"], rows))
    found = rounding(bundle)
    print(f"\n{found.lists:,} rankings by half instead of single precision: {found.sentence()}")
    finish(figures | found.figures())


@dataclass(frozen=True)
class _Cost:
    """The bytes of a user: key and value, and what LMDB's file and Redis's memory have of each."""

    stored: float
    lmdb: float
    redis: float

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield the figures by their names in the last line."""
        yield from (("bytes_user", self.stored), ("lmdb_user", self.lmdb), ("redis_user", self.redis))

    def row(self, behaviours: int, name: str, disk: float, memory: float) -> list[str]:
        """Return the line of the table."""
        prices = [one * HUNDRED_MILLION / GB * price for one, price in ((self.lmdb, disk), (self.redis, memory))]
        numbers = [f"{one:,.0f}" for one in (self.stored, self.lmdb, self.redis, *prices)]
        return [str(behaviours), name, *numbers]


def made_users(users: int, behaviours: int, seed: int = 0) -> Iterator[UserState]:
    """Yield users with so many behaviours each, of three types, and capsules of length 0.9."""
    rng = np.random.default_rng(seed)
    for number in range(users):
        vectors = rng.normal(size=(CAPSULES, DIM)).astype(np.float32)
        vectors *= 0.9 / np.linalg.norm(vectors, axis=1, keepdims=True)
        importance = rng.dirichlet(np.ones(CAPSULES)).astype(np.float32)
        times_ms = START_MS + np.cumsum(rng.integers(0, LONGEST_GAP_MS, behaviours))
        items = tuple(f"{item:08}" for item in rng.integers(10**8, size=behaviours).tolist())
        types = tuple(rng.choice(TYPES, size=behaviours, p=SHARES).tolist())
        history = History(items, tuple(times_ms.tolist()), ("",) * behaviours, types)
        position = Position(LIFE, number % 12, 100_000_000 + number)
        yield UserState(f"{number:08}", history, Capsules(vectors, importance, VERSION), position)


def cost_of(states: Sequence[UserState], redis: RealRedis) -> _Cost:
    """Measure users as the stores keep them."""
    capsules = in_half_precision([state.capsules for state in states])
    rounded = [
        UserState(one.user_id, one.history, made, one.position) for one, made in zip(states, capsules, strict=True)
    ]

    def put(store: LmdbStore | RedisStore, some: Sequence[UserState]) -> None:
        found = store.get_many([state.user_id for state in some])
        store.put_many(some, {one.user_id: one.position for one in found if one})

    with tempfile.TemporaryDirectory() as folder, LmdbStore(Path(folder)) as store:
        _in_batches(rounded, lambda some: put(store, some))
        in_lmdb = _pages(store.environment)
    with _emptied(redis), RedisStore(redis.url) as there:
        before = _memory(redis)
        _in_batches(rounded, lambda some: put(there, some))
        in_redis = _memory(redis) - before
    return _cost(rounded, [to_bytes(state) for state in rounded], in_lmdb, in_redis)


def cost_of_before(states: Sequence[UserState], redis: RealRedis) -> _Cost:
    """Measure the same users as the version before kept them.

    That is in single precision, with routing weights, and as a hash in Redis.
    """
    values = {state.user_id: format_2(state) for state in states}
    with tempfile.TemporaryDirectory() as folder, lmdb.open(folder, map_size=2**36) as environment:

        def put(some: Sequence[UserState]) -> None:
            with environment.begin(write=True) as transaction:
                for state in some:
                    transaction.put(state.user_id.encode(), values[state.user_id])

        _in_batches(states, put)
        in_lmdb = _pages(environment)
    with _emptied(redis) as client:
        before = _memory(redis)

        def put_hashes(some: Sequence[UserState]) -> None:
            with client.pipeline(transaction=False) as pipeline:
                for one in some:
                    pipeline.hset(f"mindstream:user:{one.user_id}", mapping=as_hash(one, values[one.user_id]))
                pipeline.execute()

        _in_batches(states, put_hashes)
        in_redis = _memory(redis) - before
    return _cost(states, list(values.values()), in_lmdb, in_redis)


def _cost(states: Sequence[UserState], values: Sequence[bytes], in_lmdb: int, in_redis: int) -> _Cost:
    """Return the bytes of one user."""
    stored = sum(len(state.user_id.encode()) for state in states) + sum(map(len, values))
    return _Cost(stored / len(states), in_lmdb / len(states), in_redis / len(states))


def _in_batches(states: Sequence[UserState], put: Callable[[Sequence[UserState]], object]) -> None:
    """Write all users twice, each time in another order."""
    shuffled = list(states)
    for seed in range(2):
        random.Random(seed).shuffle(shuffled)
        for at in range(0, len(shuffled), BATCH):
            put(shuffled[at : at + BATCH])


def _pages(environment: lmdb.Environment) -> int:
    """Return the bytes of the pages that hold users.

    Free ones are those of a batch or two, however many users there are.
    """
    found = environment.stat()
    return int(found["psize"] * (found["branch_pages"] + found["leaf_pages"] + found["overflow_pages"]))


def _emptied(redis: RealRedis) -> Redis:
    """Return a client of a Redis that holds nothing."""
    client = redis.client()
    client.flushall()
    return client


def _memory(redis: RealRedis) -> int:
    """Return the bytes of memory that Redis uses."""
    with redis.client() as client:
        return int(client.info("memory")["used_memory"])


@dataclass(frozen=True)
class Rounded:
    """What half precision does to rankings by max-sim.

    Attributes
    ----------
    lists : how many users' rankings were compared.
    differing : of their top 50, how many do not hold the same items.
    recall : N -> mean share of the top N that is the same.
    """

    lists: int
    differing: int
    recall: dict[int, float]

    def sentence(self) -> str:
        """Say it in words."""
        recall = ", ".join(f"recall of the top {n} {share:.5f}" for n, share in self.recall.items())
        return f"{recall}; {self.differing:,} of the top 50 hold another item"

    def figures(self) -> dict[str, float]:
        """Return the figures by their names in the last line."""
        recall = {f"half_recall_{n}": share for n, share in self.recall.items()}
        return {**recall, "half_lists_differing": self.differing / self.lists}


def rounding(path: Path | None = None) -> Rounded:
    """Compare rankings by capsules in half and in single precision.

    Parameters
    ----------
    path : of a bundle; None: a small model of a simulated shop.
    """
    with tempfile.TemporaryDirectory() as folder:
        bundle = Bundle(path) if path else export(small_checkpoint(simulate(users=300)), Path(folder), progress=False)
        rng, length = np.random.default_rng(0), bundle.manifest.history_length
        rows = [rng.integers(bundle.manifest.items, size=rng.integers(1, length + 1)) for _ in range(HISTORIES)]
        whole = Extractor(bundle).encode([[bundle.item_ids[row] for row in some] for some in rows])
        half = in_half_precision(whole)
        tops = [(_top(bundle, a), _top(bundle, b)) for a, b in zip(whole, half, strict=True)]
    same = {n: [len(set(a[:n]) & set(b[:n])) / len(a[:n]) for a, b in tops] for n in (50, 100)}
    differing = sum(share < 1 for share in same[50])
    return Rounded(len(tops), differing, {n: float(np.mean(shares)) for n, shares in same.items()})


def _top(bundle: Bundle, capsules: Capsules) -> list[int]:
    """Return the rows of the 100 best items by max-sim, the best first."""
    scores = (bundle.item_embeddings @ capsules.vectors.astype(np.float32).T).max(axis=1)
    rows: list[int] = np.argsort(-scores, kind="stable")[:100].tolist()
    return rows
