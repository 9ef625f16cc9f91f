"""Checks of a bundle's tables: items, side features, and the manifest's entry on the index."""

import struct
from pathlib import Path

import numpy as np

from model_export.bundle.bundle import (
    FEATURES,
    INDEX_FILES,
    ITEM_EMBEDDINGS,
    LINK_ENTRIES,
    LINKS,
    MANIFEST,
    OLD_INDEX,
    ROUTING_LOGITS,
    Bundle,
    BundleError,
)
from model_export.bundle.check.items import check_ids
from model_export.bundle.errors import bundle_errors
from model_export.bundle.manifest_schema import is_count

__all__ = ["check_features", "check_index", "check_items"]

PRICE_EDGES = "price_edges"
KINDS: dict[str, tuple[list[str], ...]] = {"exact": ([],), "hnsw": ([LINKS, LINK_ENTRIES], [OLD_INDEX])}
# hnswlib's file begins with six 64-bit numbers: offset of level 0, most elements, elements, bytes of an element,
# offset of its label, offset of its vector; the label stands behind the vector.
HNSW_HEADER = struct.Struct("<6Q")


def check_items(bundle: Bundle) -> None:
    """Check that each item is listed once, with finite float32 rows of the right shape.

    Raises
    ------
    BundleError
        If the manifest, the files of the items, item_embeddings.npy or routing_logits.npy is at fault.
    """
    manifest = bundle.manifest
    if len(manifest.repeat_bonus) not in (0, manifest.history_length):
        raise BundleError(
            f"{bundle.path / MANIFEST}: repeat_bonus has {len(manifest.repeat_bonus)} numbers; right is none, or "
            f"history_length ({manifest.history_length})"
        )
    check_ids(bundle)
    with bundle_errors(bundle.path / ITEM_EMBEDDINGS):
        _check_array(bundle.path / ITEM_EMBEDDINGS, bundle.item_embeddings, (manifest.items, manifest.dim))
    with bundle_errors(bundle.path / ROUTING_LOGITS):
        _check_array(bundle.path / ROUTING_LOGITS, bundle.routing_logits, (manifest.items, manifest.num_interests))


def _check_array(name: Path | str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Check that an array is float32, of this shape, and free of NaN and infinity."""
    if array.shape != shape:
        raise BundleError(f"{name} has shape {array.shape}; right is {shape}")
    if array.dtype != np.float32:
        raise BundleError(f"{name} is {array.dtype}; right is float32")
    if not np.isfinite(array).all():
        raise BundleError(f"{name} holds NaN or infinite numbers")


def check_features(bundle: Bundle) -> None:
    """Check that each side feature has a row per value behind row 0; price edges ascend.

    Raises
    ------
    BundleError
        If features.npz is at fault.
    """
    file = bundle.path / FEATURES
    with bundle_errors(file), np.load(file) as arrays:
        for name in (*bundle.manifest.feature_fields, PRICE_EDGES):
            if name not in arrays.files:
                raise BundleError(f"{file} has no array {name!r}; it has {', '.join(arrays.files) or 'none'}")
        for name, values in bundle.manifest.feature_fields.items():
            vectors = arrays[name]
            _check_array(f"{file}: {name}", vectors, (len(values) + 1, bundle.manifest.dim))
            if vectors[0].any():
                raise BundleError(f"{file}: row 0 of {name}, which means unknown, is not zero")
        edges = arrays[PRICE_EDGES]
        if edges.ndim != 1 or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise BundleError(f"{file}: {PRICE_EDGES} are no ascending prices")


def _is_ef(value: object) -> bool:
    """Tell whether this is an ef (breadth of search), or an object of N -> ef."""
    if isinstance(value, dict):
        return len(value) > 0 and all(str(n).isdecimal() and int(n) > 0 and is_count(ef) for n, ef in value.items())
    return is_count(value)


def check_index(bundle: Bundle) -> None:
    """Check that the index is there if the manifest says so, and is one of these items.

    Raises
    ------
    BundleError
        If the manifest and the index disagree.
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
    if not _is_ef(manifest.index.get("ef")):
        raise BundleError(
            f"{bundle.path / MANIFEST}: index.ef is {manifest.index.get('ef')!r}; right is a number above 0, or an "
            "object of N -> such a number"
        )
    if OLD_INDEX in listed:
        _check_old_index(bundle)
    else:
        _check_links(bundle)


def _check_links(bundle: Bundle) -> None:
    """Check that links and entries are rows of the item table."""
    items = bundle.manifest.items
    for name, shape, least in ((LINKS, (items, "some"), -1), (LINK_ENTRIES, ("some",), 0)):
        with bundle_errors(bundle.path / name):
            rows = np.load(bundle.path / name, mmap_mode="r")
            is_shaped = rows.ndim == len(shape) and shape[0] in (len(rows), "some") and rows.size > 0
            if rows.dtype != np.int32 or not is_shaped:
                raise BundleError(f"{bundle.path / name} is {rows.dtype} {rows.shape}; right is int32 {shape}")
            if rows.min() < least or rows.max() >= items:
                raise BundleError(
                    f"{bundle.path / name} has rows from {rows.min()} to {rows.max()}; right are {least} to {items - 1}"
                )


def _check_old_index(bundle: Bundle) -> None:
    """Check that hnswlib's own file is of these items and dimensions."""
    manifest, file = bundle.manifest, bundle.path / OLD_INDEX
    with bundle_errors(file), file.open("rb") as stream:
        _, _, items, _, label_at, vector_at = HNSW_HEADER.unpack(stream.read(HNSW_HEADER.size))
    dim = (label_at - vector_at) // 4
    if items != manifest.items or dim <= manifest.dim:  # one dimension more makes all norms equal
        raise BundleError(
            f"{file} has {items} items of {dim} dimensions; right are {manifest.items} of more than {manifest.dim}"
        )
