"""The index of a bundle: built into its folder, and opened from it."""

from dataclasses import asdict, replace

from index import hnsw
from index.exact import ExactIndex
from index.hnsw import HnswSettings
from index.maxsim import MaxSimIndex
from model_export.bundle import INDEX, Bundle, describe_file, verify_file, write_manifest

EXACT_UP_TO = 20_000  # items; below about this size a scan is faster than a graph


def build_index(bundle: Bundle, kind: str, settings: HnswSettings, progress: bool = True) -> Bundle:
    """Add an index to a bundle and list it in the manifest; the bundle must not be published yet.

    Parameters
    ----------
    kind : "exact" (needs no file), "hnsw", or "auto": exact up to 20,000 items.

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
        hnsw.save(hnsw.build(bundle.item_embeddings, settings, progress), bundle.path / INDEX)
        files[INDEX] = describe_file(bundle.path / INDEX)
        described = {"kind": "hnsw", **asdict(settings)}
    else:
        (bundle.path / INDEX).unlink(missing_ok=True)
    write_manifest(bundle.path, replace(bundle.manifest, index=described, files=files))
    return Bundle(bundle.path)


def open_index(bundle: Bundle) -> MaxSimIndex:
    """The bundle's index; exact where it has none.

    Raises
    ------
    BundleError
        If the index is missing or not the one that the manifest lists.
    """
    if INDEX in bundle.manifest.files:
        verify_file(bundle.path / INDEX, bundle.manifest.files[INDEX])  # hnswlib may crash on a damaged one
        return hnsw.load(bundle.item_embeddings, bundle.path / INDEX, int(bundle.manifest.index["ef"]))
    return ExactIndex(bundle.item_embeddings)
