"""A bundle of any number of items: the graph of a small trained one, and columns that are written as they are drawn.

Items lie in clusters, as trained ones do. The links of the index lead into an item's own cluster and to a few others:
hnswlib's would take an hour for a million items. Searches walk along as many of them, but what they find is not told.
"""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from model_export.bundle.bundle import (
    GOLDEN,
    ITEM_EMBEDDINGS,
    LINK_ENTRIES,
    LINKS,
    NEIGHBOURS,
    RANKER,
    RANKER_ITEMS,
    REQUIRED,
    ROUTING_LOGITS,
    SIMILARITIES,
    TREND,
    Bundle,
    describe_file,
    required_files,
    write_manifest,
)
from model_export.bundle.extractor import Extractor
from model_export.bundle.items.arrow_files import write_items
from model_export.bundle.ranking.golden import with_golden_lists
from model_export.bundle.scoring.neighbours import Blend

__all__ = ["large_bundle"]

OF_A_CLUSTER = 250  # items
SPREAD = 0.5  # of a cluster, as a share of the distance to others
SLOTS, NEAR = 32, 24  # links of an item, and those of them within its cluster
ENTRIES = 256
EF = {"10": 100, "100": 200}
OF_EACH, BLEND = 50, Blend(weight=0.2, decay=0.9, length=20, power=0.5)  # neighbours, as training makes them
CATEGORIES, BRANDS = 300, 20_000


def large_bundle(small: Bundle, folder: Path, version: str, items: int, seed: int) -> Bundle:
    """Write a bundle with the graphs of a small one.

    The ranker's too, if it has one. Half of its ids no bundle of another version has.

    Parameters
    ----------
    folder : that the bundle's own is made in.
    """
    rng, path = np.random.default_rng(seed), folder / version
    shutil.copytree(small.path, path)
    for name in set(small.manifest.files) - {*REQUIRED, RANKER}:
        (path / name).unlink()
    clusters = rng.integers(max(1, items // OF_A_CLUSTER), size=items)
    np.save(path / ITEM_EMBEDDINGS, _vectors(clusters, small.manifest.dim, rng))
    np.save(path / ROUTING_LOGITS, small.routing_logits[rng.integers(small.manifest.items, size=items)])
    np.save(path / LINKS, _links(clusters, rng))
    _write_neighbours(path, clusters, rng)
    if small.manifest.ranker:
        np.save(path / RANKER_ITEMS, small.ranker_items[rng.integers(small.manifest.items, size=items)])
        np.save(path / TREND, rng.standard_normal(items, dtype=np.float32))
    np.save(path / LINK_ENTRIES, rng.choice(items, ENTRIES, replace=False).astype(np.int32))
    _write_catalogue(path, version, clusters, rng)
    of_index = {"kind": "hnsw", "ef": EF}
    manifest = replace(small.manifest, version=version, items=items, files={}, index=of_index, blend=asdict(BLEND))
    write_manifest(path, manifest)
    _write_golden(Bundle(path), rng)
    names = (*required_files(manifest), LINKS, LINK_ENTRIES)
    write_manifest(path, replace(manifest, files={name: describe_file(path / name) for name in names}))
    return Bundle(path)


def _vectors(clusters: np.ndarray, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Draw unit vectors around the centre of each item's cluster, float32 (items, d)."""
    centres = rng.standard_normal((clusters.max() + 1, dim), dtype=np.float32)
    vectors = centres[clusters] + SPREAD * rng.standard_normal((len(clusters), dim), dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _links(clusters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the links of each item, most of them within its cluster, int32 (items, slots)."""
    order = np.argsort(clusters, kind="stable")
    ends = np.cumsum(np.bincount(clusters))
    begins = ends - np.bincount(clusters)
    links = rng.integers(len(clusters), size=(len(clusters), SLOTS), dtype=np.int32)
    for slot in range(NEAR):
        mine = rng.integers(begins[clusters], ends[clusters])
        links[:, slot] = order[mine]
    return links


def _write_neighbours(path: Path, clusters: np.ndarray, rng: np.random.Generator) -> None:
    """Write the neighbours of each item, all within its cluster, and how similar they are."""
    order = np.argsort(clusters, kind="stable")
    ends = np.cumsum(np.bincount(clusters))
    places = rng.integers((ends - np.bincount(clusters))[clusters], ends[clusters], size=(OF_EACH, len(clusters)))
    np.save(path / NEIGHBOURS, np.ascontiguousarray(order[places].T.astype(np.int32)))
    similarity = rng.random((len(clusters), OF_EACH), dtype=np.float32)
    np.save(path / SIMILARITIES, -np.sort(-similarity, axis=1))


def _write_catalogue(path: Path, version: str, clusters: np.ndarray, rng: np.random.Generator) -> None:
    """Write ids, titles, categories, prices, popularity, and a brand of each item."""
    items = len(clusters)
    numbers = range(items)
    brands = (BRANDS * rng.random(items) ** 3).astype(int).tolist()
    write_items(
        path,
        [f"{version if number % 2 else 'all'}-{number:08}" for number in numbers],
        title=[f"A product of some length with the number {number}" for number in numbers],
        category=[f"Category {cluster % CATEGORIES}" for cluster in clusters.tolist()],
        price=np.round(rng.lognormal(3, 1, items), 2).tolist(),
        popularity=rng.zipf(1.5, items).clip(max=10**6),
        attributes={"brand": [[f"Brand {brand}"] for brand in brands]},
    )


def _write_golden(bundle: Bundle, rng: np.random.Generator) -> None:
    """Write a few histories with the capsules that the graph gives, and the lists of a ranker."""
    histories = [[bundle.item_ids[row] for row in rng.integers(len(bundle.item_ids), size=size)] for size in (0, 3, 20)]
    capsules = Extractor(bundle).encode(histories)
    cases = [
        {"history": history, "event_times_ms": [0] * len(history), "capsules": found.vectors.tolist()}
        for history, found in zip(histories, capsules, strict=True)
    ]
    if bundle.manifest.ranker:
        cases = with_golden_lists(bundle, cases)
    (bundle.path / GOLDEN).write_text(json.dumps(cases), encoding="utf-8")
