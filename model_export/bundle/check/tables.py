"""Checks of a bundle's tables: items and side features."""

import numpy as np

from model_export.bundle.bundle import (
    FEATURES,
    ITEM_EMBEDDINGS,
    MANIFEST,
    NEIGHBOUR_FILES,
    NEIGHBOURS,
    ROUTING_LOGITS,
    SIMILARITIES,
    VECTOR_MAP,
    Bundle,
    BundleError,
)
from model_export.bundle.check.items import check_ids
from model_export.bundle.check.numbers import check_array, check_file_end
from model_export.bundle.errors import bundle_errors

__all__ = ["check_features", "check_items", "check_neighbours"]

PRICE_EDGES = "price_edges"
BLOCK = 100_000  # items looked at together
END = b"PK\5\6"  # of a zip file: the record that is its last 22 bytes, if there is no comment


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
    for name, array, width in (
        (ITEM_EMBEDDINGS, "item_embeddings", manifest.dim),
        (ROUTING_LOGITS, "routing_logits", manifest.num_interests),
    ):
        with bundle_errors(bundle.path / name):
            check_array(bundle.path / name, getattr(bundle, array), (manifest.items, width))
            check_file_end(bundle.path / name)


def check_neighbours(bundle: Bundle) -> None:
    """Check that neighbours are rows of the item table, with similarities of at least 0.

    Raises
    ------
    BundleError
        If neighbours.npy or similarities.npy is at fault.
    """
    found = bundle.neighbours
    if found is None:
        return
    items, most = bundle.manifest.items, found.rows.shape[-1]
    for name, array, dtype in zip(NEIGHBOUR_FILES, (found.rows, found.similarity), (np.int32, np.float32), strict=True):
        if array.dtype != dtype or array.shape != (items, most):
            raise BundleError(
                f"{bundle.path / name} is {array.dtype} {array.shape}; right is {np.dtype(dtype)} ({items}, {most})"
            )
        check_file_end(bundle.path / name)
    for at in range(0, items, BLOCK):
        rows, similarity = found.rows[at : at + BLOCK], found.similarity[at : at + BLOCK]
        if rows.min(initial=0) < -1 or rows.max(initial=0) >= items:
            raise BundleError(f"{bundle.path / NEIGHBOURS} has a row that is not among the {items} items")
        if not (np.isfinite(similarity) & (similarity >= 0)).all():
            raise BundleError(f"{bundle.path / SIMILARITIES} has a number below 0, or one that is not finite")


def check_features(bundle: Bundle) -> None:
    """Check that each side feature has a row per value behind row 0; price edges ascend.

    Where there is a map of dense vectors, it is float32 (D, d).

    Raises
    ------
    BundleError
        If features.npz is at fault.
    """
    file = bundle.path / FEATURES
    with bundle_errors(file):
        if not file.read_bytes()[-22:].startswith(END):
            raise BundleError(f"{file} has bytes behind its end, or none of a zip file")
    with bundle_errors(file), np.load(file) as arrays:
        for name in (*bundle.manifest.feature_fields, PRICE_EDGES):
            if name not in arrays.files:
                raise BundleError(f"{file} has no array {name!r}; it has {', '.join(arrays.files) or 'none'}")
        for name, values in bundle.manifest.feature_fields.items():
            vectors = arrays[name]
            check_array(f"{file}: {name}", vectors, (len(values) + 1, bundle.manifest.dim))
            if vectors[0].any():
                raise BundleError(f"{file}: row 0 of {name}, which means unknown, is not zero")
        if VECTOR_MAP in arrays.files and VECTOR_MAP not in bundle.manifest.feature_fields:
            _check_map(f"{file}: {VECTOR_MAP}", arrays[VECTOR_MAP], bundle.manifest.dim)
        edges = arrays[PRICE_EDGES]
        if edges.dtype.kind != "f" or edges.ndim != 1 or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise BundleError(f"{file}: {PRICE_EDGES} are no ascending prices")


def _check_map(name: str, vector_map: np.ndarray, dim: int) -> None:
    """Check the map of dense vectors."""
    if vector_map.ndim != 2 or not len(vector_map):
        raise BundleError(f"{name} has shape {vector_map.shape}; right is (D, {dim}), D at least 1")
    check_array(name, vector_map, (len(vector_map), dim))
