"""One user's page: milliseconds from the store to the written answer, whole and by part, on one thread.

The items are drawn in clusters (large_bundle.py) and the weights are those that training begins with: neither changes
what a page costs, but for the index, which is built and tuned for these items as for any. Users have full histories.
Parts are measured by themselves, after the whole way of the same user, so their sum is not exactly the whole.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from tqdm import tqdm

from benchmarks.harness.report import finish
from benchmarks.harness.workload import synthetic, trained_for_a_moment
from benchmarks.page.way import PARTS, RAISE, WHOLE, PageWay
from benchmarks.swap.large_bundle import large_bundle
from index.recommend.recommender import Recommender
from index.recommend.request import Request
from index.search.hnsw import HnswSettings
from index.search.index_files import build_index
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Capsules
from model_export.commands.options import set_threads
from model_export.evaluation.report import table
from model_export.rankers.ranker_config import DEFAULT_RANKER, RANKERS
from stream.events.position import Position
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState

__all__ = ["main", "milliseconds", "report"]

EVENTS, SHOP_USERS = 50_000, 2_000  # that the small model is made from
BEHAVIOURS, TASTES = 50, 4  # of a user, and the clusters they are of
LAST_MS, DAY_MS = 1_720_000_000_000, 86_400_000
WARM_UP = 20  # users who do not count
NONE = "none"


def main(
    items: Annotated[int, typer.Option(help="Items.", min=1_000)] = 200_000,
    ranker: Annotated[
        str, typer.Option(help=f"Which ranker: {', '.join(RANKERS)}; {NONE}: the order of matching.")
    ] = DEFAULT_RANKER,
    candidates: Annotated[int, typer.Option(help="Candidates that are ranked.", min=1)] = 1_000,
    shown: Annotated[int, typer.Option(help="Candidates of the answer.", min=1)] = 100,
    users: Annotated[int, typer.Option(help="Users who are answered, one after the other.", min=20)] = 500,
) -> None:
    """Measure milliseconds of one user's whole page, and the share of each part."""
    set_threads(1)
    request = Request(shown, candidates=candidates)
    with tempfile.TemporaryDirectory(prefix="mindstream-") as made:
        bundle = _bundle(Path(made), items, None if ranker == NONE else ranker)
        with closing(LmdbStore(Path(made) / "state")) as store:
            user_ids = _fill(store, bundle, users + WARM_UP)
            way = PageWay(Recommender(bundle, store), request)
            took_s = [way.took_s(user_id) for user_id in tqdm(user_ids, desc="pages", unit="page")]
    report(milliseconds(took_s[WARM_UP:]), items, ranker, way.candidates)


def _bundle(folder: Path, items: int, ranker: str | None) -> Bundle:
    """Make a bundle of so many items, with an index that is built as for any other."""
    _, small = trained_for_a_moment(synthetic(EVENTS, SHOP_USERS), folder / "small", ranker)
    return build_index(large_bundle(small, folder, "page", items, seed=1), "auto", HnswSettings())


def _fill(store: LmdbStore, bundle: Bundle, users: int) -> list[str]:
    """Write users with full histories, and capsules of an older model.

    A day lies between two behaviours.
    """
    rng = np.random.default_rng(3)
    times_ms = tuple((LAST_MS - DAY_MS * np.arange(BEHAVIOURS)[::-1]).tolist())
    older = Capsules(np.empty((0, bundle.manifest.dim), np.float32), np.empty(0, np.float32), "an older one")
    states = []
    for number in range(users):
        rows = _of_tastes(bundle, rng)
        history = History(
            tuple(bundle.item_ids[row] for row in rows.tolist()),
            *(times_ms, ("",) * BEHAVIOURS, ("click",) * BEHAVIOURS),
        )
        states.append(UserState(f"user-{number}", history, older, Position("benchmark", 0, number)))
    store.put_many(states)
    return [state.user_id for state in states]


def _of_tastes(bundle: Bundle, rng: np.random.Generator) -> np.ndarray:
    """Draw the behaviours of a user of a few clusters, rows int64 (BEHAVIOURS,)."""
    centres = rng.integers(bundle.manifest.items, size=TASTES)
    near = bundle.neighbours
    return rng.choice(centres if near is None else near.rows[centres].ravel(), BEHAVIOURS).astype(np.int64)


def milliseconds(took_s: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    """Return what each part took, in milliseconds, (users,); parts that there were."""
    return {name: 1e3 * np.array([one[name] for one in took_s]) for name in (WHOLE, *PARTS) if name in took_s[0]}


def report(found: Mapping[str, np.ndarray], items: int, ranker: str, candidates: int) -> None:
    """Print the milliseconds of the page and of its parts, and all figures as the last line."""
    median = {name: float(np.median(its)) for name, its in found.items()}
    p99 = {name: float(np.percentile(its, 99)) for name, its in found.items()}
    shares = {name: its / median[WHOLE] for name, its in median.items()}
    rows = [(name, f"{median[name]:.2f}", f"{p99[name]:.2f}", f"{100 * shares[name]:.0f}") for name in found]
    print(f"\n{items:,} items, {candidates:,} candidates, ranker {ranker}\n")
    print(table(["ms", "p50", "p99", "% of the whole"], rows))
    finish(
        {
            "p50_ms": median[WHOLE],
            "p99_ms": p99[WHOLE],
            "items": items,
            "candidates": candidates,
            "parts_p50_ms": {name: value for name, value in median.items() if name != WHOLE},
            "raise_share": shares[RAISE],
        }
    )
