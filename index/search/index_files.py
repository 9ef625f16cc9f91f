"""The index of a bundle: built into its folder, and opened from it."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from index.search import ef_tuning, hnsw
from index.search.beam import BeamIndex
from index.search.ef_tuning import Breadth
from index.search.exact import ExactIndex
from index.search.hnsw import HnswSettings
from index.search.links import links_of
from index.search.maxsim import MaxSimIndex
from model_export.bundle.bundle import INDEX, Bundle, describe_file, verify_file, write_manifest

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
    files = {name: entry for name, entry in bundle.manifest.files.items() if name != INDEX}
    described: dict[str, object] = {"kind": "exact"}
    if kind == "hnsw" or (kind == "auto" and bundle.manifest.items > EXACT_UP_TO):
        plain = hnsw.build(bundle.item_embeddings, settings, progress)
        hnsw.save(plain, bundle.path / INDEX)
        files[INDEX] = describe_file(bundle.path / INDEX)
        described = {"kind": "hnsw", **asdict(settings), **_ef_of(plain, bundle, settings, target)}
    else:
        (bundle.path / INDEX).unlink(missing_ok=True)
    write_manifest(bundle.path, replace(bundle.manifest, index=described, files=files))
    return Bundle(bundle.path)


def _ef_of(plain: hnsw.HnswIndex, bundle: Bundle, settings: HnswSettings, target: float) -> dict[str, Any]:
    """Return the manifest's entries on ef: the given one, or measured ones with their recall."""
    if settings.ef:
        return {"ef": settings.ef}
    index = BeamIndex(plain.vectors, links_of(plain.graph), {1: 1})
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
    """Open the bundle's index; exact if it has none.

    Raises
    ------
    BundleError
        If the index is missing or not the one that the manifest lists.
    """
    if INDEX in bundle.manifest.files:
        verify_file(bundle.path / INDEX, bundle.manifest.files[INDEX])  # hnswlib may crash on a damaged one
        plain = hnsw.load(bundle.item_embeddings, bundle.path / INDEX)
        return BeamIndex(bundle.item_embeddings, links_of(plain.graph), _ef_by_count(bundle.manifest.index["ef"]))
    return ExactIndex(bundle.item_embeddings)
