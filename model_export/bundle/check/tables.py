"""Checks of a bundle's tables: items, side features, catalogue, and the manifest's entry on the index."""

import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from model_export.bundle.bundle import (
    CATALOGUE,
    FEATURES,
    INDEX,
    ITEM_EMBEDDINGS,
    ITEM_IDS,
    MANIFEST,
    ROUTING_LOGITS,
    Bundle,
    BundleError,
)
from model_export.bundle.errors import bundle_errors
from model_export.bundle.manifest_schema import is_count, is_texts

__all__ = ["check_catalogue", "check_features", "check_index", "check_items"]

PRICE_EDGES = "price_edges"
KINDS = ("exact", "hnsw")
# hnswlib's file begins with six 64-bit numbers: offset of level 0, most elements, elements, bytes of an element,
# offset of its label, offset of its vector; the label stands behind the vector.
HNSW_HEADER = struct.Struct("<6Q")


def check_items(bundle: Bundle) -> None:
    """Check that each item is listed once, with finite float32 rows of the right shape.

    Raises
    ------
    BundleError
        If the manifest, item_ids.json, item_embeddings.npy or routing_logits.npy is at fault.
    """
    manifest, file = bundle.manifest, bundle.path / ITEM_IDS
    if len(manifest.repeat_bonus) not in (0, manifest.history_length):
        raise BundleError(
            f"{bundle.path / MANIFEST}: repeat_bonus has {len(manifest.repeat_bonus)} numbers; right is none, or "
            f"history_length ({manifest.history_length})"
        )
    with bundle_errors(file):
        if not is_texts(bundle.item_ids):
            raise BundleError(f"{file} is no list of texts")
        if len(bundle.item_ids) != manifest.items or len(bundle.rows) != manifest.items:
            raise BundleError(
                f"{file} has {len(bundle.item_ids)} items, {len(bundle.rows)} of them distinct; "
                f"the manifest says {manifest.items}"
            )
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


def check_catalogue(bundle: Bundle) -> None:
    """Check that every catalogue column has a value of the right kind for every item.

    Raises
    ------
    BundleError
        If catalogue.json is at fault.
    """
    file, items = bundle.path / CATALOGUE, bundle.manifest.items
    with bundle_errors(file):
        catalogue = bundle.catalogue
        columns = {name: (getattr(catalogue, name), is_right) for name, is_right in CELLS.items()}
        columns |= {f"attributes.{name}": (values, is_texts) for name, values in catalogue.attributes.items()}
        for name, (values, is_right) in columns.items():
            if not isinstance(values, list) or len(values) != items:
                raise BundleError(f"{file}: {name} is no list of {items} values, one for each item")
            wrong = next((row for row, value in enumerate(values) if not is_right(value)), None)
            if wrong is not None:
                raise BundleError(f"{file}: {name} of {bundle.item_ids[wrong]!r} is {json.dumps(values[wrong])[:100]}")


def _is_text(value: Any) -> bool:
    """Tell whether this is a title or a category."""
    return isinstance(value, str)


def _is_price(value: Any) -> bool:
    """Tell whether this is a price; None means unknown."""
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


def _is_popularity(value: Any) -> bool:
    """Tell whether this is a number of interactions."""
    return isinstance(value, int) and value >= 0


CELLS: dict[str, Callable[[Any], bool]] = {
    "title": _is_text,
    "category": _is_text,
    "price": _is_price,
    "popularity": _is_popularity,
}


def _is_ef(value: object) -> bool:
    """Tell whether this is an ef (breadth of search), or an object of N -> ef."""
    if isinstance(value, dict):
        return len(value) > 0 and all(str(n).isdecimal() and int(n) > 0 and is_count(ef) for n, ef in value.items())
    return is_count(value)


def check_index(bundle: Bundle) -> None:
    """Check that items.hnsw is there if the manifest says so, with its items and dimensions.

    Raises
    ------
    BundleError
        If the manifest and the index disagree.
    """
    manifest, file = bundle.manifest, bundle.path / INDEX
    kind = manifest.index.get("kind", "exact")
    if kind not in KINDS or (kind == "hnsw") != (INDEX in manifest.files):
        listed = "lists" if INDEX in manifest.files else "does not list"
        raise BundleError(f"{bundle.path / MANIFEST}: the kind of index is {kind!r}, and it {listed} {INDEX}")
    if kind == "exact":
        return
    if not _is_ef(manifest.index.get("ef")):
        raise BundleError(
            f"{bundle.path / MANIFEST}: index.ef is {manifest.index.get('ef')!r}; right is a number above 0, or an "
            "object of N -> such a number"
        )
    with bundle_errors(file), file.open("rb") as stream:
        _, _, items, _, label_at, vector_at = HNSW_HEADER.unpack(stream.read(HNSW_HEADER.size))
    dim = (label_at - vector_at) // 4
    if items != manifest.items or dim <= manifest.dim:  # one dimension more makes all norms equal
        raise BundleError(
            f"{file} has {items} items of {dim} dimensions; right are {manifest.items} of more than {manifest.dim}"
        )
