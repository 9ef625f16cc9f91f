"""hnswlib's own file, which bundles of before have as their index: read without hnswlib, which a wrong one crashes.

Six 64-bit numbers (offset of level 0, most elements, elements, bytes of an element, offsets of its label and of its
vector), the highest level (int32), the entry (uint32), three 64-bit numbers (links on upper levels, on level 0, M), a
double and another 64-bit number. Then each element: its number of links (in four bytes), the places of the linked
elements (uint32), its vector, and its label, which is its row. Then of each element the bytes of its upper levels, and
those.
"""

import struct
from pathlib import Path

import numpy as np

from model_export.bundle.check.walk import Graph
from model_export.bundle.errors import BundleError

__all__ = ["read_old_index"]

HEADER = struct.Struct("<6QiI3QdQ")
COUNT, LABEL = 4, 8  # bytes of the number of links, and of a label
COUNT_BITS = 0xFFFF
ENTRIES = 256  # as many of the upper levels as links.py takes
BLOCK = 65_536  # elements that are compared at once


def read_old_index(file: Path, vectors: np.ndarray) -> Graph:
    """Read the links of the lowest level, and compare the vectors with the item table's.

    Parameters
    ----------
    vectors : float32 (items, d), the item table.

    Raises
    ------
    BundleError
        If the file is of other items, or is not as long as it says, or a link or label leads to nothing.
    """
    elements, most_links, after = _elements_of(file, vectors)
    dim = vectors.shape[1]
    labels = elements["label"]
    if not np.array_equal(np.sort(labels), np.arange(len(vectors))):
        raise BundleError(f"{file}: its labels are not the rows from 0 to {len(vectors) - 1}, each once")
    for begin in range(0, len(labels), BLOCK):
        some = slice(begin, begin + BLOCK)
        is_other = (elements["vector"][some, :dim] != vectors[labels[some].astype(np.int64)]).any(1)
        if is_other.any():
            row = labels[some][np.argmax(is_other)]
            raise BundleError(f"{file}: the vector of row {row} is not that of the item table; it was built on another")
    counts = elements["count"] & COUNT_BITS
    used = np.arange(most_links) < counts[:, None]
    places = np.where(used, elements["links"], 0)
    if counts.max(initial=0) > most_links or places.max(initial=0) >= len(labels):
        raise BundleError(f"{file}: links lead to element {places.max(initial=0)}; there are {len(labels)}")
    links = np.empty(places.shape, dtype=np.int32)
    links[labels.astype(np.int64)] = np.where(used, labels[places.astype(np.int64)].astype(np.int64), -1)
    levels = _upper_bytes(file, after, len(labels))
    return Graph(vectors, links, labels[np.argsort(-levels, kind="stable")[:ENTRIES]].astype(np.int32))


def _elements_of(file: Path, vectors: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Map the elements; return them, the most links of each, and where they end in the file."""
    with file.open("rb") as stream:
        _, most, items, size, label_at, vector_at, _, entry, _, most_links, *_ = HEADER.unpack(stream.read(HEADER.size))
    dim = (label_at - vector_at) // 4
    if items != len(vectors) or dim <= vectors.shape[1]:  # one dimension more makes all norms equal
        raise BundleError(
            f"{file} has {items} items of {dim} dimensions; right are {len(vectors)} of more than {vectors.shape[1]}"
        )
    if vector_at != COUNT + 4 * most_links or size != label_at + LABEL or most < items or entry >= items:
        raise BundleError(f"{file} is no index of hnswlib: its numbers of bytes do not agree")
    form = np.dtype([("count", "<u4"), ("links", "<u4", most_links), ("vector", "<f4", dim), ("label", "<u8")])
    return np.memmap(file, form, "r", HEADER.size, items), most_links, HEADER.size + items * size


def _upper_bytes(file: Path, begin: int, items: int) -> np.ndarray:
    """Return how many bytes of upper levels each element has, int64 (items,).

    They must end with the file.
    """
    content = np.fromfile(file, dtype=np.uint8, offset=begin).tobytes()
    sizes, at = np.zeros(items, dtype=np.int64), 0
    for place in range(items):
        if at + 4 > len(content):
            raise BundleError(f"{file} ends before the upper levels of element {place} of {items}")
        [sizes[place]] = struct.unpack_from("<I", content, at)
        at += 4 + int(sizes[place])
    if at != len(content):
        raise BundleError(f"{file} has {begin + len(content)} bytes; right are {begin + at}")
    return sizes
