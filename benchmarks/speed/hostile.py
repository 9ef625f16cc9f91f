"""Hostile clients of the HTTP API beside a normal one: what those are told, and how long that waits.

Server, normal client and whoever asks /livez are processes of their own. The hostile ones are slow, silent, fat, heavy,
malformed, deaf, or leave before they are answered; they begin anew again and again.
"""

import re
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks.harness.http_load import PATIENCE_S, LoadReport, LoadTask
from benchmarks.harness.load_process import LoadProcess
from benchmarks.harness.report import finish
from benchmarks.harness.served_api import served
from benchmarks.harness.workload import synthetic, trained_for_a_moment
from benchmarks.speed.attackers import HELD, Attackers
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.registry import Registry
from model_export.evaluation.report import table
from stream.events.position import Position
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState

__all__ = ["main"]

USERS, EVENTS, BEHAVIOURS = 500, 20_000, 30
CONNECTIONS = 8  # of the normal client
LIVEZ_A_SECOND = 20
TRANSFER_S = 5.0
CLOSED_WITHIN_S = 60.0


def main(
    seconds: Annotated[int, typer.Option(help="How long, before the hostile ones come and beside them.", min=3)] = 30,
    rate: Annotated[int, typer.Option(help="Requests a second of the normal client.", min=1)] = 50,
    only: Annotated[list[str] | None, typer.Option(help="A kind of hostile client; again for more. None: all.")] = None,
) -> None:
    """Measure what slow, fat, heavy, malformed and abandoned requests do to others."""
    torch.set_num_threads(1)
    log = synthetic(EVENTS, USERS)
    with tempfile.TemporaryDirectory(prefix="mindstream-") as made:
        home = Path(made)
        _, bundle = trained_for_a_moment(log, home / "bundles")
        Registry(home / "models").publish(bundle.path)
        user_ids = _fill(home, bundle)
        with served(home, api_transfer_s=str(TRANSFER_S)) as port:
            paths = [f"/users/{user_id}/recommendations?n=50" for user_id in user_ids]
            before, _ = _asked(port, paths, seconds, rate)
            with Attackers(port, bundle.item_ids, user_ids[0], only or ()) as attackers:
                during, livez = _asked(port, paths, seconds, rate)
            left_open = _left_open(port)
    _report(before, during, livez, attackers.answers, left_open)


def _fill(home: Path, bundle: Bundle) -> list[str]:
    """Store users with interests; return their ids."""
    rng, items = np.random.default_rng(7), np.array(bundle.item_ids)
    user_ids = [f"user-{number}" for number in range(USERS)]
    histories = items[rng.integers(len(items), size=(USERS, BEHAVIOURS))].tolist()
    encoded = Extractor(bundle).encode(histories, half=True)
    with LmdbStore(home / "state") as store:
        store.put_many(
            UserState(user_id, _history(items), capsules, Position("benchmark", 0, 0))
            for user_id, items, capsules in zip(user_ids, histories, encoded, strict=True)
        )
    return user_ids


def _history(items: list[str]) -> History:
    """Make a history of these items, a millisecond apart."""
    return History(tuple(items), tuple(range(1, len(items) + 1)), ("",) * len(items))


def _asked(port: int, paths: list[str], seconds: int, rate: int) -> tuple[LoadReport, LoadReport]:
    """Ask as a normal client does, and beside it for /livez; return how long both took."""
    tasks = (
        LoadTask(port, paths, CONNECTIONS, seconds, rate=rate),
        LoadTask(port, ["/livez"], 1, seconds, rate=LIVEZ_A_SECOND),
    )
    normal, livez = (load.report() for load in [LoadProcess(task) for task in tasks])
    return normal, livez


def _left_open(port: int) -> int:
    """Count the connections that stay open after all clients have left, without its own."""
    ends = time.monotonic() + CLOSED_WITHIN_S
    while True:
        time.sleep(0.5)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as page:
            found = re.search(rb"^mindstream_api_connections (\S+)$", page.read(), re.MULTILINE)
        assert found is not None
        left_open = round(float(found[1])) - 1
        if not left_open or time.monotonic() > ends:
            return left_open


def _report(
    before: LoadReport,
    during: LoadReport,
    livez: LoadReport,
    answers: Mapping[tuple[str, int], int],
    left_open: int,
) -> None:
    """Print what the hostile ones were told, and how long the others waited."""
    told: dict[str, Counter[str]] = {}
    for (kind, status), times in sorted(answers.items()):
        nothing = "hung up" if kind in HELD else "closed"
        told.setdefault(kind, Counter())[str(status or nothing)] += times
    rows = [(kind, ", ".join(f"{what}: {times:,}" for what, times in one.items())) for kind, one in told.items()]
    print(table(["hostile", "told"], rows))
    (p50, p99), (p50_during, p99_during) = (np.percentile(one.took_ms, [50, 99]).tolist() for one in (before, during))
    finish(
        {
            "errors": during.errors + livez.errors,
            "p99_over_undisturbed": p99_during / p99,
            "livez_max_ms": max(livez.took_ms),
            "connections_left_open": left_open,
            "attacks": sum(answers.values()),
            "p50_undisturbed_ms": p50,
            "p99_undisturbed_ms": p99,
            "p50_ms": p50_during,
            "p99_ms": p99_during,
            "requests": len(during.took_ms),
        }
    )
