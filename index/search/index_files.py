"""The index of a bundle: built into its folder, and opened from it."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from index.search import ef_tuning, hnsw
from index.search.beam import BeamIndex
from index.search.ef_tuning import Breadth
from index.search.exact import ExactIndex
from index.search.hnsw import HnswSettings
from index.search.links import Links, check_links, links_of
from index.search.maxsim import MaxSimIndex
from model_export.bundle.bundle import (
    INDEX_FILES,
    LINK_ENTRIES,
    LINKS,
    MANIFEST,
    OLD_INDEX,
    Bundle,
    BundleError,
    describe_file,
    verify_file,
    write_manifest,
)
from model_export.bundle.errors import bundle_errors

__all__ = ["breadth_of", "build_index", "open_index"]

EXACT_UP_TO = 20_000  # items; below about this size a scan is faster than a graph


def build_index(
    bundle: Bundle, kind: str, settings: HnswSettings, progress: bool = True, target: float = ef_tuning.TARGET
) -> Bundle:
    """Add an index to a bundle that is not published yet, and list it in the manifest.

    Parameters
    ----------
    kind : "exact" (needs no file), "hnsw", or "auto": exact up to 20,000 items.
    settings : of the graph; if they give no ef, it is measured.
    target : recall@N against exact search that a measured ef must have.

    Returns
    -------
    The bundle, opened again.

    Raises
    ------
    ValueError
        If the kind is another one.
    """
    if kind not in ("auto", "exact", "hnsw"):
        raise ValueError(f"the kind of index is {kind!r}; right is auto, exact or hnsw")
    files = {name: entry for name, entry in bundle.manifest.files.items() if name not in INDEX_FILES}
    described: dict[str, object] = {"kind": "exact"}
    for name in INDEX_FILES:
        (bundle.path / name).unlink(missing_ok=True)
    if kind == "hnsw" or (kind == "auto" and bundle.manifest.items > EXACT_UP_TO):
        plain = hnsw.build(bundle.item_embeddings, settings, progress)
        links = links_of(plain.graph)
        for name, rows in ((LINKS, links.rows), (LINK_ENTRIES, links.entries)):
            np.save(bundle.path / name, rows)
            files[name] = describe_file(bundle.path / name)
        described = {"kind": "hnsw", **asdict(settings), **_ef_of(links, bundle, settings, target)}
    write_manifest(bundle.path, replace(bundle.manifest, index=described, files=files))
    return Bundle(bundle.path)


def _ef_of(links: Links, bundle: Bundle, settings: HnswSettings, target: float) -> dict[str, Any]:
    """Return the manifest's entries on ef: the given one, or measured ones with their recall."""
    if settings.ef:
        return {"ef": settings.ef}
    index = BeamIndex(bundle.item_embeddings, links, {1: 1})
    found = ef_tuning.measured(index, ef_tuning.queries_of(bundle, settings.seed), target)
    return {
        "ef": {str(n): ef for n, ef in found.ef.items()},  # JSON's names are strings
        "recall": {str(n): round(recall, 4) for n, recall in found.recall.items()},
        "target": target,
    }


def breadth_of(bundle: Bundle) -> Breadth | None:
    """Read what was measured when the index was built; None if nothing was."""
    described = bundle.manifest.index
    if "recall" not in described:
        return None
    recall = {int(n): value for n, value in described["recall"].items()}
    return Breadth(_ef_by_count(described["ef"]), recall, described["target"])


def _ef_by_count(ef: int | Mapping[str, int]) -> dict[int, int]:
    """Read N -> ef from the manifest; a single ef holds for N up to 100."""
    return {100: ef} if isinstance(ef, int) else {int(n): value for n, value in ef.items()}


def open_index(bundle: Bundle) -> MaxSimIndex:
    """Open the bundle's index; exact if it has none. Its links are memory-mapped.

    Raises
    ------
    BundleError
        If the index is missing or not the one that the manifest lists.
    """
    listed = bundle.manifest.files
    if not any(name in listed for name in INDEX_FILES):
        return ExactIndex(bundle.item_embeddings)
    links = _old_links(bundle) if OLD_INDEX in listed else _open_links(bundle)
    return BeamIndex(bundle.item_embeddings, links, _ef_by_count(bundle.manifest.index["ef"]))


def _open_links(bundle: Bundle) -> Links:
    """Memory-map the links.

    Sizes and rows are looked at, not checksums, which take a second for a million items: that is the check's.
    """
    arrays = []
    for name in (LINKS, LINK_ENTRIES):
        file, listed = bundle.path / name, bundle.manifest.files.get(name)
        if listed is None:
            raise BundleError(
                f"{bundle.path / MANIFEST} lists no {name}; right are {LINKS} and {LINK_ENTRIES}, or none"
            )
        if not file.is_file():
            raise BundleError(f"{file} is missing; the manifest lists it with {listed['bytes']} bytes")
        if file.stat().st_size != listed["bytes"]:
            raise BundleError(f"{file} has {file.stat().st_size} bytes; the manifest says {listed['bytes']}")
        with bundle_errors(file):
            arrays.append(np.asarray(np.load(file, mmap_mode="r")))
    links = Links(*arrays)
    with bundle_errors(bundle.path / LINKS):
        check_links(links, bundle.manifest.items)
    return links


def _old_links(bundle: Bundle) -> Links:
    """Read hnswlib's own file, which bundles had before, and take the links out of it."""
    verify_file(bundle.path / OLD_INDEX, bundle.manifest.files[OLD_INDEX])  # hnswlib may crash on a damaged one
    links = links_of(hnsw.load(bundle.item_embeddings, bundle.path / OLD_INDEX).graph)
    links.rows.flags.writeable = False  # as those of files are: compiled code is made for the one or the other
    return links
