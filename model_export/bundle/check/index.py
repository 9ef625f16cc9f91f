"""Checks of a bundle's index: the manifest's entry, the links, and that they are those of this item table."""

import math
from pathlib import Path

import numpy as np

from model_export.bundle.bundle import INDEX_FILES, LINK_ENTRIES, LINKS, MANIFEST, OLD_INDEX, Bundle, BundleError
from model_export.bundle.check.numbers import check_file_end
from model_export.bundle.check.old_index import read_old_index
from model_export.bundle.check.walk import Graph, recall_of, sample_queries, share_of_near
from model_export.bundle.errors import bundle_errors
from model_export.bundle.manifest_schema import is_count, is_share

__all__ = ["check_index"]

KINDS: dict[str, tuple[list[str], ...]] = {"exact": ([],), "hnsw": ([LINKS, LINK_ENTRIES], [OLD_INDEX])}
MOST_EF = 1_000_000  # a search has arrays of so many numbers
LEAST_NEAR = 0.65  # share of items with a near link: 0.5 by chance, with a deviation of 0.016; 0.8 and more if right
SLACK = 0.05  # by which the recall of a sample may be below the one that the manifest records
LEAST_BREADTH, CROWD = 24, 20  # of the served beam, as in beam.py


def check_index(bundle: Bundle) -> None:
    """Check that the index is there if the manifest says so, and was built on this item table.

    Raises
    ------
    BundleError
        If the manifest and the index disagree, links lead nowhere or to items that are not near, or a sample of
        searches finds fewer of the best items than the manifest's recall promises.
    """
    manifest = bundle.manifest
    kind = manifest.index.get("kind", "exact")
    listed = [name for name in INDEX_FILES if name in manifest.files]
    if kind not in KINDS or listed not in KINDS[kind]:
        raise BundleError(
            f"{bundle.path / MANIFEST}: the kind of index is {kind!r}, and it lists {listed or 'no file of one'}; "
            f"right is exact without one, or hnsw with {LINKS} and {LINK_ENTRIES}"
        )
    if kind == "exact":
        return
    _check_breadths(bundle)
    file = bundle.path / (OLD_INDEX if OLD_INDEX in listed else LINKS)
    with bundle_errors(file):
        graph = read_old_index(file, bundle.item_embeddings) if OLD_INDEX in listed else _read_links(bundle)
        _check_nearness(file, graph)
        _check_recall(bundle, file, graph)


def _check_breadths(bundle: Bundle) -> None:
    """Check what the manifest says of breadths and recall."""
    ef, recall = bundle.manifest.index.get("ef"), bundle.manifest.index.get("recall")
    if not _is_ef(ef):
        raise BundleError(
            f"{bundle.path / MANIFEST}: index.ef is {str(ef)[:100]!r}; right is a number from 1 to {MOST_EF:,}, or an "
            "object of N -> such a number"
        )
    is_recall = isinstance(recall, dict) and isinstance(ef, dict) and set(recall) == set(ef)
    if recall is not None and not (is_recall and all(map(is_share, recall.values()))):
        raise BundleError(
            f"{bundle.path / MANIFEST}: index.recall is {str(recall)[:100]!r}; right is a share from 0 to 1 for each N "
            "of index.ef"
        )


def _is_ef(value: object) -> bool:
    """Tell whether this is an ef (breadth of search), or an object of N -> ef."""
    if isinstance(value, dict):
        return len(value) > 0 and all(_is_n(n) and is_count(ef) and ef <= MOST_EF for n, ef in value.items())
    return is_count(value) and value <= MOST_EF


def _is_n(name: object) -> bool:
    """Tell whether this can be an N in JSON, where names are text."""
    return isinstance(name, str) and name.isascii() and name.isdecimal() and len(name) < 10 and int(name) > 0


def _read_links(bundle: Bundle) -> Graph:
    """Map links and entries, and check that they are rows of the item table."""
    items = bundle.manifest.items
    found = []
    for name, shape, least in ((LINKS, (items, "some"), -1), (LINK_ENTRIES, ("some",), 0)):
        file = bundle.path / name
        with bundle_errors(file):
            check_file_end(file)
            rows = np.load(file, mmap_mode="r")
        is_shaped = rows.ndim == len(shape) and shape[0] in (len(rows), "some") and rows.size > 0
        if rows.dtype != np.int32 or not is_shaped:
            raise BundleError(f"{file} is {rows.dtype} {rows.shape}; right is int32 {shape}")
        if rows.min() < least or rows.max() >= items:
            raise BundleError(f"{file} has rows from {rows.min()} to {rows.max()}; right are {least} to {items - 1}")
        found.append(np.asarray(rows))
    links, entries = found
    is_behind = (links[:, 1:] >= 0) & (links[:, :-1] < 0)
    if is_behind.any():
        row = int(np.argmax(is_behind.any(1)))
        raise BundleError(f"{bundle.path / LINKS}: row {row} has a link behind a -1, which would not be followed")
    return Graph(bundle.item_embeddings, links, entries)


def _check_nearness(file: Path, graph: Graph) -> None:
    """Check that links lead to items that are near."""
    share = share_of_near(graph)
    if share < LEAST_NEAR:
        raise BundleError(
            f"{file} was built on another item table: {share:.0%} of a sample of items are linked to one that is "
            f"nearer than as many random ones are; right is at least {LEAST_NEAR:.0%}"
        )


def _check_recall(bundle: Bundle, file: Path, graph: Graph) -> None:
    """Check that searches find what the manifest's recall promises.

    One that it does not record promises nothing. The beam is twice as broad as the one that is served, which has its
    breadth for several capsules at once.
    """
    recall = bundle.manifest.index.get("recall")
    if recall is None:
        return
    n = min(map(int, recall))
    served = max(bundle.manifest.index["ef"][str(n)], LEAST_BREADTH, math.isqrt(len(graph.vectors)) // CROWD)
    found = recall_of(graph, sample_queries(bundle), min(n, len(graph.vectors)), 2 * served)
    least = recall[str(n)] - SLACK
    if found < least:
        raise BundleError(
            f"{file}: a sample of searches finds {found:.1%} of the {n} best items; the manifest's recall of "
            f"{recall[str(n)]} promises at least {least:.1%}. It was built on another item table, or is damaged"
        )
