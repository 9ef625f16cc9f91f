"""The API that one would write first instead of ours: FastAPI over hnswlib, python -m benchmarks.speed.http_peer HOME.

The same users in the same LMDB, the same items and vectors. A request reads the user's capsules, asks hnswlib for the
best items of each by inner product, takes of each item the larger score, and returns dictionaries, which FastAPI writes
as JSON. It filters nothing, explains nothing and follows no model. It is served by uvicorn with uvloop and httptools.
"""

import signal
import socket
import sys
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from index.recommend.recommender import Recommender
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.registry import Registry
from stream.store.contract import Store
from stream.store.open_store import open_store

__all__ = ["PeerIndex", "peer_app", "share_found"]

LEAST_SAME = 0.95  # share of our candidates that the peer has to find
M, EF_CONSTRUCTION, EF = 16, 200, 200  # as ours is built; with this breadth nearly nothing is missed


class PeerIndex:
    """The items of a bundle in hnswlib, by inner product."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.graph = hnswlib.Index("ip", bundle.manifest.dim)
        self.graph.init_index(bundle.manifest.items, ef_construction=EF_CONSTRUCTION, M=M)
        self.graph.add_items(np.array(bundle.item_embeddings))
        self.graph.set_ef(EF)

    def best(self, capsules: np.ndarray, n: int) -> list[tuple[float, int]]:
        """Find the n items with the largest inner product with any capsule.

        Parameters
        ----------
        capsules : float (K', d).

        Returns
        -------
        Score and row of each, best first.
        """
        best: dict[int, float] = {}
        for capsule in capsules.astype(np.float32):
            rows, distances = self.graph.knn_query(capsule, k=n, num_threads=1)
            for row, distance in zip(rows[0].tolist(), distances[0].tolist(), strict=True):
                best[row] = max(best.get(row, -np.inf), 1 - distance)
        return sorted(((score, row) for row, score in best.items()), reverse=True)[:n]

    def shown(self, score: float, row: int) -> dict[str, Any]:
        """Return an item as people see it."""
        catalogue = self.bundle.catalogue
        return {
            "item_id": self.bundle.item_ids[row],
            "score": score,
            "title": catalogue.title[row],
            "category": catalogue.category[row],
            "price": catalogue.price[row],
        }


def peer_app(index: PeerIndex, store: Store) -> FastAPI:
    """Make the peer's application."""
    app = FastAPI()

    @app.get("/users/{user_id}/recommendations")
    def recommend(user_id: str, n: int = 50) -> dict[str, Any]:
        """Recommend items to a stored user."""
        [state] = store.get_many([user_id])
        found = index.best(state.capsules.vectors, n) if state else []
        return {"user_id": user_id, "candidates": [index.shown(*one) for one in found]}

    return app


def share_found(home: Path, user_ids: list[str], n: int) -> float:
    """Return the share of our candidates that the peer finds too, of the median user.

    Items that users have are left out on both sides, since only ours gives a bonus to them.

    Raises
    ------
    ValueError
        If it is so small that the two do not give the same answer.
    """
    shares = []
    with open_store(_settings_of(home), read_only=True) as store:
        bundle = Registry(_settings_of(home).models).current()
        recommender, index = Recommender(bundle, store), PeerIndex(bundle)
        for state in store.get_many(user_ids):
            assert state is not None
            ours = recommender.recommend_for(state, n, exclude_seen=True).item_ids
            seen = set(state.history.item_ids)
            theirs = [bundle.item_ids[row] for _, row in index.best(state.capsules.vectors, n + len(seen))]
            kept = [item_id for item_id in theirs if item_id not in seen][:n]
            shares.append(len(set(ours).intersection(kept)) / len(ours))
    same = float(np.median(shares))
    if same < LEAST_SAME:
        raise ValueError(
            f"the peer finds {same:.1%} of our candidates; at least {LEAST_SAME:.0%} would be the same answer"
        )
    return same


def _settings_of(home: Path) -> Settings:
    """Return the settings of a home whose users are in LMDB."""
    return Settings(home=home, redis=SecretStr(""))


def main(home: str) -> None:
    """Serve at any free port until SIGTERM."""
    settings = _settings_of(Path(home))
    with (
        open_store(settings, read_only=True) as store,
        socket.create_server(("127.0.0.1", 0), backlog=1_024) as listener,
    ):
        app = peer_app(PeerIndex(Registry(settings.models).current()), store)
        config = uvicorn.Config(app, log_level="error", access_log=False, loop="uvloop", http="httptools")
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn sends it again when it has ended
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main(sys.argv[1])
