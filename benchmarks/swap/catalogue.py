"""Swaps of bundles with many items under requests: 50 a second from three clients, and some ways back after them.

Every answer is compared with the one that its bundle gives to that user when nothing else goes on, so one that mixes
two bundles is noticed. The clients ask an API by HTTP, or a recommender in their own process; in that process a thread
ticks every millisecond either way. The bundles are drawn, see large_bundle.py. There are two of them, which are as new
to the API at each swap, since a file of theirs was written; but for the ways back.
"""

import gc
import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tqdm import tqdm

from benchmarks.harness.background import Threads
from benchmarks.harness.stalls import Stalls
from benchmarks.harness.workload import synthetic, trained_for_a_moment
from benchmarks.swap.large_bundle import large_bundle
from index.api.server import warm
from index.recommend.recommender import Recommender
from index.search.index_files import open_index
from model_export.bundle.bundle import MODEL_CARD, Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.registry import Registry
from model_export.bundle.serving import Serving
from stream.events.position import Position
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState
from testbed.java_broker import free_ports
from testbed.stream_process import ROOT, wait_until

__all__ = ["Clients", "catalogue_swaps"]

EVENTS, USERS = 50_000, 2_000  # that the small model is made from
ASKED, BEHAVIOURS, N = 40, 12, 50  # users, and the answers to them
CLIENTS, EACH_S = 3, 3 / 50  # each of three asks every 60 ms
QUIET_S = 5.0
ROLLBACKS = 4
SERVE = "from index.api.server import serve; from mindstream.settings import Settings; serve(Settings("

Answer = tuple[str, list[str]]  # version and item_ids
Ask = Callable[[str], Answer]


class Clients(Threads):
    """Threads that ask for one user after the other, each every 60 ms, from entering the context until leaving it.

    Attributes
    ----------
    took_s : how long each answer took since it was last emptied; waiting for one's turn counts.
    failed, mixed, answered : requests that raised something, answers that are not those of the version that they name,
        and all.
    """

    def __init__(self, connect: Callable[[], Ask], expected: Mapping[str, Mapping[str, list[str]]]) -> None:
        super().__init__([partial(self.ask, number) for number in range(CLIENTS)])
        self.connect, self.expected = connect, expected
        self.took_s: list[float] = []
        self.failed = self.mixed = self.answered = 0
        self.waited_for, self.first_at = "", 0.0

    def ask(self, number: int) -> None:
        """Ask until the clients are stopped."""
        ask, users = self.connect(), list(next(iter(self.expected.values())))
        due = time.monotonic() + number * EACH_S / CLIENTS
        while not self.stopping.wait(max(0.0, due - time.monotonic())):
            user_id = users[number % len(users)]
            number += CLIENTS
            try:
                version, item_ids = ask(user_id)
            except Exception:  # whatever it is, somebody gets no answer
                self.failed += 1
                ask, due = self.connect(), due + EACH_S
                continue
            ended = time.monotonic()
            self.took_s.append(ended - due)
            due = max(due + EACH_S, ended)
            self.answered += 1
            self.mixed += item_ids != self.expected.get(version, {}).get(user_id)
            if version == self.waited_for and not self.first_at:
                self.first_at = ended

    def wait_for(self, version: str) -> None:
        """Look out for answers of this version from now on."""
        self.first_at, self.waited_for = 0.0, version


def catalogue_swaps(items: int, swaps: int, over_http: bool, ranker: str | None = None) -> dict[str, float]:
    """Swap two bundles of so many items, and return the figures by name.

    Parameters
    ----------
    ranker : by which answers are ranked; None: they come in the order of matching.
    """
    with tempfile.TemporaryDirectory(prefix="mindstream-") as made:
        home = Path(made)
        _, small = trained_for_a_moment(synthetic(EVENTS, USERS), home / "small", ranker)
        registry = Registry(home / "models")
        registry.folder.mkdir()
        bundles = [large_bundle(small, registry.folder, f"large-{seed}", items, seed) for seed in (1, 2)]
        for bundle in reversed(bundles):
            registry.promote(bundle.version)
        expected = _fill(home, bundles)
        opened = _opened(bundles[1], small)
        served = _over_http(home) if over_http else _in_process(home, registry)
        with _no_old_garbage(), served as connect, Stalls() as stalls, Clients(connect, expected) as clients:
            time.sleep(QUIET_S)
            before_s = clients.took_s[:]
            clients.took_s.clear()
            stalls.take_ms()
            stolen_before_s = _stolen_s()
            both = [bundles[number % 2] for number in range(1, swaps + ROLLBACKS + 1)]
            flips_s = [_swap(registry, bundle, clients) for bundle in tqdm(both[:swaps])]
            back_s = [_swap(registry, bundle, clients, is_new=False) for bundle in both[swaps:]]
            took_s, stalled_ms, stolen = clients.took_s[:], stalls.take_ms(), _stolen_s() - stolen_before_s
    return {
        "items": items,
        "swaps": swaps,
        "answers": clients.answered,
        "failed": clients.failed,
        "mixed": clients.mixed,
        "answer_before_p99_ms": float(np.percentile(before_s, 99)) * 1e3,
        "answer_before_max_ms": max(before_s) * 1e3,
        "answer_during_p99_ms": float(np.percentile(took_s, 99)) * 1e3,
        "longest_stall_ms": max(took_s) * 1e3,
        "flip_to_first_answer_ms": float(np.median(flips_s)) * 1e3,
        "flip_to_first_answer_max_ms": max(flips_s) * 1e3,
        "rollback_to_first_answer_ms": float(np.median(back_s)) * 1e3,
        "open_s": opened["open_s"],
        "private_mb": opened["private_mb"],
        "open_longest_stall_ms": max(opened["stalls_ms"].values()),
        "longest_tick_ms": stalled_ms,
        "stolen_s": stolen,
    }


def _stolen_s() -> float:
    """Return how many seconds the host of a virtual machine has given to others so far.

    Of all its processors together; 0 on other machines. What it takes at one time, 50 ms and more, no program of the
    machine wins back.
    """
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


@contextmanager
def _no_old_garbage() -> Iterator[None]:
    """Keep searches for garbage away from what is loaded by now.

    One of them would hold up the clients for 0.2 s.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _swap(registry: Registry, bundle: Bundle, clients: Clients, is_new: bool = True) -> float:
    """Point to a bundle; return the seconds until it is answered with.

    Parameters
    ----------
    is_new : write a file of it before, so that nobody takes it for the one that was found good already.
    """
    if is_new:
        (bundle.path / MODEL_CARD).touch()
    clients.wait_for(bundle.version)
    flipped = time.monotonic()
    registry.point_to(bundle.version)
    wait_until(lambda: clients.first_at, f"an answer of {bundle.version}")
    time.sleep(0.5)  # for what is left behind
    return clients.first_at - flipped


def _fill(home: Path, bundles: list[Bundle]) -> dict[str, dict[str, list[str]]]:
    """Write users; return the answer of each bundle to each of them."""
    extractor, rng = Extractor(bundles[0]), np.random.default_rng(3)
    ids = bundles[0].item_ids
    histories = [[ids[row] for row in rng.integers(len(ids), size=BEHAVIOURS)] for _ in range(ASKED)]
    states = [
        UserState(
            f"user-{number}",
            History(tuple(history), tuple(range(BEHAVIOURS)), ("",) * BEHAVIOURS),
            capsules,
            Position("benchmark", 0, number),
        )
        for number, (history, capsules) in enumerate(
            zip(histories, extractor.encode(histories, half=True), strict=True)
        )
    ]
    with LmdbStore(home / "state") as store:
        store.put_many(states)
        return {
            bundle.version: {one.user_id: Recommender.recommend(recommender, one.user_id, N).item_ids for one in states}
            for bundle in bundles
            for recommender in [Recommender(bundle, store)]
        }


def _opened(bundle: Bundle, small: Bundle) -> dict[str, Any]:
    """Measure what opening costs a process, beside this one that has the bundle open."""
    held = Bundle(bundle.path)
    held.map_files()
    held_index = open_index(held)
    command = [sys.executable, "-m", "benchmarks.swap.opened", str(bundle.path), str(small.path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    del held_index
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def _in_process(home: Path, registry: Registry) -> Iterator[Callable[[], Ask]]:
    """Serve in this process; yield what connects a client."""
    with (
        LmdbStore(home / "state") as store,
        Serving(registry, lambda bundle: warm(Recommender(bundle, store))) as serving,
    ):

        def ask(user_id: str) -> Answer:
            found = serving.current.recommend(user_id, N)
            return found.model_version, found.item_ids

        yield lambda: ask


@contextmanager
def _over_http(home: Path) -> Iterator[Callable[[], Ask]]:
    """Serve by an API in a process of its own; yield what connects a client."""
    [port] = free_ports(1)
    script = f"{SERVE}home={str(home)!r}, redis='', api_host='127.0.0.1', api_port={port}, api_key=None))"
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        print(process.stdout.readline().strip())
        yield lambda: _asking(port)
    finally:
        process.terminate()
        process.communicate()


def _asking(port: int) -> Ask:
    """Connect to the API."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(user_id: str) -> Answer:
        connection.request("GET", f"/users/{user_id}/recommendations?n={N}")
        answer = connection.getresponse()
        content = json.loads(answer.read())
        if answer.status != http.client.OK:
            raise OSError(f"status {answer.status}")
        return content["model_version"], [one["item_id"] for one in content["candidates"]]

    return ask
