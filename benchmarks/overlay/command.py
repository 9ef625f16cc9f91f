"""One put a second among 1,000, 30,000 and 100,000 entries, over the real HTTP server: what those wait who ask.

Server and load are processes of their own. Of the entries, half are items that the model does not know, four in ten
change items that it knows, and the others are removals. Requests come at a steady pace, some with filters and
diversity, at first while nothing is put and then while one item is put each second; after each put the item is read
until it says what was put.
"""

import json
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import msgspec
import numpy as np
import torch
import typer

from benchmarks.harness.background import Background
from benchmarks.harness.http_load import PATIENCE_S, LoadReport, LoadTask
from benchmarks.harness.load_process import LoadProcess
from benchmarks.harness.report import finish
from benchmarks.harness.served_api import served
from benchmarks.harness.stalls import longest_ms
from benchmarks.harness.workload import synthetic, trained_for_a_moment
from benchmarks.swap.large_bundle import large_bundle
from index.catalogue.item import CATEGORY, Item
from index.catalogue.lmdb_overlay import LmdbOverlayStore
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.registry import Registry
from model_export.data.interactions import InteractionLog
from model_export.evaluation.report import table
from stream.events.position import Position
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState

__all__ = ["main"]

SIZES = (1_000, 30_000, 100_000)  # entries; the last is the most that there may be
USERS, EVENTS, BEHAVIOURS = 300, 20_000, 30
CONNECTIONS = 4
NEW, CHANGED = 0.5, 0.4  # of the entries; the others are removals
AT_A_TIME = 1_000
CATEGORIES = 50


@dataclass(frozen=True)
class Found:
    """What was measured among so many entries.

    Attributes
    ----------
    before, during : answers without puts, and beside one a second.
    ready_ms : from the beginning of each put until it was read.
    stall_ms : the longest during puts, and before.
    """

    size: int
    before: LoadReport
    during: LoadReport
    ready_ms: list[float]
    stall_ms: float
    stall_before_ms: float


def main(
    seconds: Annotated[int, typer.Option(help="How long, before the puts and beside them.", min=3)] = 20,
    rate: Annotated[int, typer.Option(help="Requests a second.", min=1)] = 40,
    items: Annotated[int, typer.Option(help="Items of the bundle.", min=1_000)] = 20_000,
) -> None:
    """Measure what one put a second costs those who ask, among few and many entries."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="mindstream-") as made:
        _, small = trained_for_a_moment(_log(), Path(made) / "small")
        bundle = large_bundle(small, Path(made), "overlay", items, seed=3)
        _report([_measured(Path(made) / str(size), bundle, size, seconds, rate) for size in SIZES])


def _log() -> InteractionLog:
    """Make a log whose items have categories and prices.

    The vectors of new items are made of these.
    """
    log = synthetic(EVENTS, USERS)
    numbers = np.arange(len(log.items))
    categories = [f"Category {number % CATEGORIES}" for number in numbers.tolist()]
    return replace(log, items=log.items.assign(category=categories, price=1.0 + numbers % 97))


def _measured(home: Path, bundle: Bundle, size: int, seconds: int, rate: int) -> Found:
    """Serve a bundle with so many entries, and ask it."""
    Registry(home / "models").publish(bundle.path)
    paths, entries = _paths(_fill(home, bundle), bundle), _entries(bundle, size)
    with LmdbOverlayStore(home / "state" / "items") as store:
        for start in range(0, size, AT_A_TIME):
            store.write(dict(entries[start : start + AT_A_TIME]))
    told = home / "stalls"
    with served(home, stalls=told) as port:
        first = longest_ms(told)[1]
        before = LoadProcess(LoadTask(port, paths, CONNECTIONS, seconds, rate=rate)).report()
        stall_before, begun = longest_ms(told, first)
        with _Putting(port, [item for _, item in entries if item is not None]) as putting:
            during = LoadProcess(LoadTask(port, paths, CONNECTIONS, seconds, rate=rate)).report()
        stall = longest_ms(told, begun)[0]
    if putting.failed:
        raise OSError(f"a put failed: {putting.failed}")
    return Found(size, before, during, putting.ready_ms, stall, stall_before)


class _Putting(Background):
    """One item is put each second, with another price and title; then it is read until it has them."""

    def __init__(self, port: int, items: Sequence[Item]) -> None:
        super().__init__()
        self.address, self.items = f"http://127.0.0.1:{port}/items", items
        self.ready_ms: list[float] = []
        self.failed = ""

    def work(self) -> None:
        """Put one item after the other."""
        try:
            for number in count():
                if self.stopping.wait(1):
                    return
                self._put(self.items[number * 7_919 % len(self.items)], number)
        except (OSError, ValueError) as error:
            self.failed = str(error)

    def _put(self, item: Item, number: int) -> None:
        """Put an item, and wait until it says so."""
        title, started = f"{item.title} {number}", time.perf_counter()
        asked = {**msgspec.to_builtins(item), "title": title, "price": 1.0 + number, "vector": []}
        body = json.dumps([asked]).encode()
        request = urllib.request.Request(self.address, body, {"Content-Type": "application/json"}, method="POST")
        urllib.request.urlopen(request, timeout=PATIENCE_S).close()
        shown = ""
        while shown != title:
            with urllib.request.urlopen(f"{self.address}/{quote(item.item_id)}", timeout=PATIENCE_S) as answer:
                shown = json.load(answer)["title"]
        self.ready_ms.append((time.perf_counter() - started) * 1e3)


def _entries(bundle: Bundle, size: int) -> list[tuple[str, Item | None]]:
    """Draw entries of all kinds, in any order.

    Each five in a row have the same values.
    """
    rng = np.random.default_rng(11)
    categories, known = bundle.manifest.feature_fields[CATEGORY], iter(bundle.item_ids)
    found: list[tuple[str, Item | None]] = []
    for number, kind in enumerate(rng.random(size).tolist()):
        item_id = f"new-{number}" if kind < NEW else next(known, f"other-{number}")
        category, price = categories[number // 5 % len(categories)], float(number // 5 % 97)
        item = Item(item_id, f"A thing of kind {number % 1_000}", category, price, {"brand": [f"brand {number % 500}"]})
        found.append((item_id, item if kind < NEW + CHANGED else None))
    return found


def _paths(user_ids: Sequence[str], bundle: Bundle) -> list[str]:
    """Return what is asked for in turn.

    Of ten, one has a filter, one diversity, and the others are plain.
    """
    categories = bundle.catalogue.category
    filters = {0: f"&category={quote(categories[0])}", 5: "&diversity=0.1"}
    return [
        f"/users/{user_id}/recommendations?n=50{filters.get(place % 10, '')}" for place, user_id in enumerate(user_ids)
    ]


def _fill(home: Path, bundle: Bundle) -> list[str]:
    """Store users with interests; return their ids."""
    rng, items = np.random.default_rng(7), np.array(bundle.item_ids)
    user_ids = [f"user-{number}" for number in range(USERS)]
    histories = items[rng.integers(len(items), size=(USERS, BEHAVIOURS))].tolist()
    encoded = Extractor(bundle).encode(histories, half=True)
    times = tuple(range(1, BEHAVIOURS + 1))
    with LmdbStore(home / "state") as store:
        store.put_many(
            UserState(user_id, History(tuple(mine), times, ("",) * BEHAVIOURS), capsules, Position("benchmark", 0, 0))
            for user_id, mine, capsules in zip(user_ids, histories, encoded, strict=True)
        )
    return user_ids


def _report(found: Sequence[Found]) -> None:
    """Print what those waited who asked, and the figures as JSON."""
    rows, figures = [], {}
    for one in found:
        (p50, p99), (p50_during, p99_during) = (_percentiles(report) for report in (one.before, one.during))
        ready = float(np.median(one.ready_ms)) if one.ready_ms else float("nan")
        errors = one.before.errors + one.during.errors
        rows.append(
            [
                f"{one.size:,}",
                *(f"{value:.1f}" for value in (p50, p99, p50_during, p99_during, ready, max(one.ready_ms, default=0))),
                f"{one.stall_before_ms:.1f}",
                f"{one.stall_ms:.1f}",
                f"{errors:,}",
            ]
        )
        figures[str(one.size)] = {
            "p99_during_over_p99_before": p99_during / p99,
            "p50_before_ms": p50,
            "p99_before_ms": p99,
            "p50_during_ms": p50_during,
            "p99_during_ms": p99_during,
            "puts": len(one.ready_ms),
            "ready_after_put_ms": ready,
            "longest_stall_before_ms": one.stall_before_ms,
            "longest_stall_ms": one.stall_ms,
            "errors": errors,
        }
    names = ["entries", "p50 ms", "p99 ms", "p50 during", "p99 during", "ready ms", "at most", "stall before", "stall"]
    print(table([*names, "errors"], rows))
    finish(figures)


def _percentiles(report: LoadReport) -> tuple[float, float]:
    """Return p50 and p99 in milliseconds."""
    p50, p99 = np.percentile(report.took_ms, [50, 99]).tolist()
    return p50, p99
