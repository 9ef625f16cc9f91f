"""Max-sim top-N: the joint beam beside other libraries' graphs, each asked once for each capsule and merged in Python.

All in one run, on one thread each, on the same made-up items (clustered, of uneven norms) and capsules: as the model
gives them, and hard ones. Each way is given the smallest breadth with which it reaches the target of recall on other
capsules than those it is measured with; one that never does is shown at its best. A query's time is the least of
several rounds, in each of which all ways take their turn; percentiles are over the queries.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from tqdm import tqdm

from benchmarks.harness.report import finish
from benchmarks.retrieval import peers
from benchmarks.retrieval.world import hard_capsules, made_up_items, usual_capsules
from index.search import hnsw
from index.search.beam import BeamIndex
from index.search.ef_tuning import queries_of
from index.search.exact import ExactIndex
from index.search.hnsw import HnswSettings
from index.search.links import Links, links_of
from model_export.bundle.bundle import Bundle
from model_export.evaluation.report import table

__all__ = [
    "EXACT",
    "OURS",
    "PLAIN",
    "WayFigures",
    "WorldSize",
    "best_peer",
    "main",
    "measure",
    "measure_bundle",
    "recall",
    "scan_pays_up_to",
    "tuned",
]

DIM, INTERESTS = 64, 4
COUNTS = (100, 1_000)
CAPSULES = {"usual": usual_capsules, "hard": hard_capsules}
TARGET = 0.99
MARGIN = 0.001  # what is tuned on some capsules must also hold on others
BREADTHS = (1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 8)  # as multiples of N
OURS, EXACT, PLAIN = "joint beam", "exact scan", "hnswlib, our graph"
NO_PEERS = (OURS, EXACT, PLAIN)
ROUNDS = 3


@dataclass(frozen=True)
class WorldSize:
    """Numbers of items, of users to tune on, and of users to measure with."""

    items: int = 200_000
    tuning: int = 60
    users: int = 200


@dataclass(frozen=True)
class WayFigures:
    """Figures of one way: ef (0: it has none), recall@N, milliseconds, queries a second."""

    ef: int
    recall: float
    p50_ms: float
    p99_ms: float
    queries_per_s: float


Case = dict[str, WayFigures]  # of each way


def main(
    items: Annotated[list[int] | None, typer.Option(help="Items; may be repeated. The first is at top level.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of items and capsules.")] = 7,
    bundle: Annotated[
        list[Path] | None, typer.Option(help="A bundle whose items are measured too; may be repeated.", exists=True)
    ] = None,
    peer: Annotated[
        list[str] | None, typer.Option(help=f"Only these peers, of {', '.join(peers.PEERS)}; may be repeated.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="5,000 items and few users: to see that it runs.")] = False,
) -> None:
    """Measure recall and milliseconds of max-sim top-N, ours and peers'."""
    libraries = peers.chosen(peer or list(peers.PEERS))
    sizes = [WorldSize(5_000, 10, 20)] if quick else [WorldSize(number) for number in items or [WorldSize.items]]
    found: dict[str, Case] = {}
    memory: list[float] = []
    for cases, bytes_per_item in (
        *(measure(size, seed, libraries) for size in sizes),
        *(measure_bundle(Bundle(path), seed, libraries) for path in bundle or []),
    ):
        found |= cases
        memory.append(bytes_per_item)
    _report(found, memory[0])


def measure(size: WorldSize, seed: int, libraries: peers.Libraries = peers.PEERS) -> tuple[dict[str, Case], float]:
    """Measure the cases of made-up items, and the bytes an item that our graph takes."""
    rng = np.random.default_rng(seed)
    items = made_up_items(size.items, DIM, rng)
    number = size.tuning + size.users
    users = {kind: capsules_of(items, number, INTERESTS, rng) for kind, capsules_of in CAPSULES.items()}
    return _measure_table(items, users, size.tuning, libraries)


def measure_bundle(
    bundle: Bundle, seed: int, libraries: peers.Libraries = peers.PEERS
) -> tuple[dict[str, Case], float]:
    """Measure the cases of a trained model's items, with capsules as its ef is measured with."""
    users = {f"bundle {bundle.version}": queries_of(bundle, seed)}
    return _measure_table(np.asarray(bundle.item_embeddings), users, WorldSize.tuning, libraries)


def _measure_table(
    items: np.ndarray, users_of: Mapping[str, Sequence[np.ndarray]], tuning: int, libraries: peers.Libraries
) -> tuple[dict[str, Case], float]:
    """Measure the cases of one item table, and the bytes an item that our graph takes.

    The first users are for tuning.
    """
    plain = hnsw.build(items, HnswSettings())
    links = links_of(plain.graph)
    ways = {
        OURS: _Beam(items, links),
        EXACT: _Exact(items),
        PLAIN: peers.Augmented(plain),
        **{name: library(items) for name, library in tqdm(libraries.items(), desc="peers' graphs", unit="graph")},
    }
    cases = {}
    for kind, users in users_of.items():
        for n in (count for count in COUNTS if count <= len(items)):
            name = f"{len(items)} items, N = {n}, {kind}"
            cases[name] = _compared(ways, users[:tuning], users[tuning:], n, name)
    return cases, links.nbytes / len(items)


class _Beam:
    """Ours."""

    def __init__(self, items: np.ndarray, links: Links) -> None:
        self.items, self.links = items, links
        self.indexes: dict[tuple[int, int], BeamIndex] = {}

    def top(self, capsules: np.ndarray, n: int, ef: int) -> np.ndarray:
        """See Way.top."""
        if (n, ef) not in self.indexes:
            self.indexes[n, ef] = BeamIndex(self.items, self.links, {n: ef}, break_even=0)
        return self.indexes[n, ef].search(capsules, n).rows


class _Exact:
    """Ours, below the size at which graphs are faster."""

    def __init__(self, items: np.ndarray) -> None:
        self.index = ExactIndex(items)

    def top(self, capsules: np.ndarray, n: int, ef: int) -> np.ndarray:
        """See Way.top."""
        return self.index.search(capsules, n).rows


def _compared(
    ways: dict[str, Any], tuning: Sequence[np.ndarray], users: Sequence[np.ndarray], n: int, name: str
) -> Case:
    """Tune every way, then measure all in turn."""
    right = {id(some): [ways[EXACT].top(one, n, 0) for one in some] for some in (tuning, users)}
    efs = {way: tuned(one, tuning, right[id(tuning)], n) for way, one in tqdm(ways.items(), desc=name, unit="way")}
    efs[EXACT] = 0
    calls = {way: partial(ways[way].top, n=n, ef=efs[way]) for way in ways}
    seconds = _least_seconds(calls, users)
    return {
        way: WayFigures(
            ef=efs[way],
            recall=recall([call(one) for one in users], right[id(users)]),
            p50_ms=1_000 * float(np.percentile(seconds[way], 50)),
            p99_ms=1_000 * float(np.percentile(seconds[way], 99)),
            queries_per_s=1 / float(np.mean(seconds[way])),
        )
        for way, call in calls.items()
    }


def tuned(way: peers.Way, users: Sequence[np.ndarray], right: Sequence[np.ndarray], n: int) -> int:
    """Return the smallest ef that reaches the target, or else the one with the best recall."""
    found: dict[int, float] = {}
    for breadth in BREADTHS:
        ef = int(n * breadth)
        found[ef] = recall([way.top(one, n, ef) for one in users], right)
        if found[ef] >= TARGET + MARGIN:
            return ef
    return max(found, key=lambda ef: found[ef])


def recall(found: Sequence[np.ndarray], right: Sequence[np.ndarray]) -> float:
    """Return the mean share of the right rows that were found."""
    return float(np.mean([np.isin(best, rows).mean() for rows, best in zip(found, right, strict=True)]))


def _least_seconds(
    calls: Mapping[str, Callable[[np.ndarray], object]], users: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """Time every call for every user, and keep the least of the rounds after the first.

    The first round warms up.
    """
    seconds = {way: np.full(len(users), np.inf) for way in calls}
    for turn in range(ROUNDS + 1):
        for way, call in calls.items():
            for place, one in enumerate(users):
                started = time.perf_counter()
                call(one)
                if turn:
                    seconds[way][place] = min(seconds[way][place], time.perf_counter() - started)
    return seconds


def best_peer(case: Case) -> str:
    """Return the quickest library that reaches the target, else the one with the best recall.

    Libraries count as they ship.
    """
    others = {way: figures for way, figures in case.items() if way not in NO_PEERS}
    enough = {way: figures for way, figures in others.items() if figures.recall >= TARGET}
    if enough:
        return min(enough, key=lambda way: enough[way].p50_ms)
    return max(others, key=lambda way: others[way].recall)


def _summary(case: Case) -> dict[str, float | str]:
    """Compare ours with the best peer, and with one search a capsule on our own graph."""
    ours, peer = case[OURS], best_peer(case)
    return {
        "recall": ours.recall,
        "p50_ms": ours.p50_ms,
        "p99_ms": ours.p99_ms,
        "best_peer": peer,
        "best_peer_recall": case[peer].recall,
        "best_peer_p50_ms": case[peer].p50_ms,
        "ratio": case[peer].p50_ms / ours.p50_ms,
        "same_graph_ratio": case[PLAIN].p50_ms / ours.p50_ms,
    }


def scan_pays_up_to(case: Case, items: int) -> int:
    """Return the items up to which a scan is faster than the beam takes here.

    A scan takes the same time for each item.
    """
    return int(items * case[OURS].p50_ms / case[EXACT].p50_ms)


def _report(found: dict[str, Case], bytes_per_item: float) -> None:
    """Print every case, and the figures."""
    cases: dict[str, Any] = {}
    for name, case in found.items():
        items = int(name.split()[0])
        rows = [
            (way, f.ef or "", f"{f.recall:.4f}", f"{f.p50_ms:.2f}", f"{f.p99_ms:.2f}", f"{f.queries_per_s:,.0f}")
            for way, f in case.items()
        ]
        up_to = scan_pays_up_to(case, items)
        print(f"\n{name} (a scan is faster up to about {up_to:,} items)\n")
        print(table(["", "ef", "recall", "p50 ms", "p99 ms", "queries/s"], rows))
        ways = {way: asdict(figures) for way, figures in case.items()}
        cases[name] = {**_summary(case), "scan_pays_up_to": up_to, "ways": ways}
    first = next(iter(found))
    finish({**_summary(found[first]), "bytes_per_item": bytes_per_item, "cases": cases})
