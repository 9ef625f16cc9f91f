"""The index of a bundle is one of its own items: vectors are compared, and its recall is measured again."""

import re
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index.search import hnsw
from index.search.beam import BeamIndex
from index.search.ef_tuning import measured
from index.search.hnsw import HnswSettings
from index.search.links import links_of
from model_export.bundle.bundle import (
    ITEM_EMBEDDINGS,
    LINK_ENTRIES,
    LINKS,
    OLD_INDEX,
    Bundle,
    BundleError,
    describe_file,
    write_manifest,
)
from model_export.bundle.check import check
from model_export.bundle.check.index import check_index
from model_export.bundle.check.old_index import read_old_index
from model_export.bundle.check.walk import Graph, recall_of, share_of_near
from testbed.bad_bundles import BAD_BUNDLES, add_graph, add_old_graph
from tests.support.bundles.schema_one import as_schema_one


@pytest.fixture
def copied(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the bundle, to be given an index."""
    return shutil.copytree(bundle.path, tmp_path / bundle.version)


def relist(path: Path, name: str) -> None:
    """Let the manifest list a file as it now is."""
    manifest = Bundle(path).manifest
    write_manifest(path, replace(manifest, files={**manifest.files, name: describe_file(path / name)}))


@pytest.mark.parametrize("add", [add_graph, add_old_graph])
def test_a_graph_of_these_items_passes(add: Callable[[Path, np.ndarray], None], copied: Path) -> None:
    add(copied, np.load(copied / ITEM_EMBEDDINGS))
    check(Bundle(copied))


@pytest.mark.parametrize("kind", ["with a graph of another item table", "with an old graph of another item table"])
def test_a_graph_of_other_items_is_refused_whatever_its_checksum(kind: str, copied: Path) -> None:
    BAD_BUNDLES[kind].spoil(copied)
    Bundle(copied).verify()
    with pytest.raises(BundleError, match=BAD_BUNDLES[kind].said):
        check(Bundle(copied))


def test_that_of_schema_1_too(bundle: Bundle, tmp_path: Path) -> None:
    old = as_schema_one(bundle, tmp_path / bundle.version)
    add_old_graph(old.path, bundle.item_embeddings)
    check(Bundle(old.path))
    add_old_graph(old.path, np.roll(bundle.item_embeddings, 7, axis=0))
    with pytest.raises(BundleError, match=r"items\.hnsw: the vector of row \d+ is not that of the item table"):
        check(Bundle(old.path))


def test_the_recall_is_measured_again(copied: Path) -> None:
    """Each item is linked to its nearest, so that the links are of this table, and most lead back at once."""
    add_graph(copied, np.load(copied / ITEM_EMBEDDINGS))
    links = np.load(copied / LINKS)
    links[:, 1:] = -1
    for name, array in ((LINKS, links), (LINK_ENTRIES, np.array([0], dtype=np.int32))):
        np.save(copied / name, array)
        relist(copied, name)
    with pytest.raises(
        BundleError, match=r"item_links\.npy: a sample of searches finds \d\d?\.\d% of the 10 best items"
    ):
        check_index(Bundle(copied))
    manifest = Bundle(copied).manifest
    write_manifest(copied, replace(manifest, index={"kind": "hnsw", "ef": {"10": 64}}))
    check_index(Bundle(copied))  # nothing is promised
    np.save(copied / LINKS, np.roll(links, 7, axis=0))
    relist(copied, LINKS)
    with pytest.raises(BundleError, match=r"item_links\.npy was built on another item table: "):
        check_index(Bundle(copied))


@pytest.mark.parametrize("recall", [{"10": 1.1}, {"10": "1"}, {"10": float("nan")}, {"9": 0.99}, {}, 0.99])
def test_the_recall_in_the_manifest_has_a_form(recall: object, copied: Path) -> None:
    add_graph(copied, np.load(copied / ITEM_EMBEDDINGS))
    manifest = Bundle(copied).manifest
    write_manifest(copied, replace(manifest, index={**manifest.index, "recall": recall}))
    with pytest.raises(BundleError, match=re.escape(f"index.recall is {str(recall)!r}; right is a share from 0 to 1")):
        check_index(Bundle(copied))


def set_number(at: int, form: str, value: int) -> Callable[[bytes], bytes]:
    """Put a number at a place of a file."""

    def change(content: bytes) -> bytes:
        return content[:at] + struct.pack(form, value) + content[at + struct.calcsize(form) :]

    return change


ELEMENT = 96  # where the first one begins: the number of its links, and these


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content + b"\0", r"has \d+ bytes; right are \d+"),
        (lambda content: content[:-1], "ends before the upper levels of element 599|has .* bytes; right are"),
        (lambda content: content[:5_000], "cannot be read: "),
        (lambda content: content[:40], "cannot be read: "),
        (set_number(16, "<Q", 599), "has 599 items of 32 dimensions; right are 600 of more than 16"),
        (set_number(24, "<Q", 2**40), "is no index of hnswlib: its numbers of bytes do not agree"),
        (set_number(52, "<I", 600), "is no index of hnswlib: its numbers of bytes do not agree"),
        (set_number(ELEMENT, "<I", 33), "links lead to element"),
        (set_number(ELEMENT + 4, "<I", 600), "links lead to element 600; there are 600"),
        (set_number(ELEMENT + 4 + 4 * 32 + 4 * 32, "<Q", 7), "its labels are not the rows from 0 to 599, each once"),
    ],
)
def test_a_damaged_file_of_hnswlib(change: Callable[[bytes], bytes], said: str, copied: Path) -> None:
    add_old_graph(copied, np.load(copied / ITEM_EMBEDDINGS))
    (copied / OLD_INDEX).write_bytes(change((copied / OLD_INDEX).read_bytes()))
    relist(copied, OLD_INDEX)
    with pytest.raises(BundleError, match=rf"items\.hnsw:? ({said})"):
        check(Bundle(copied))


def test_hnswlib_and_we_read_the_same_links(copied: Path) -> None:
    vectors = np.load(copied / ITEM_EMBEDDINGS)
    add_old_graph(copied, vectors)
    graph, right = read_old_index(copied / OLD_INDEX, vectors), links_of(hnsw.load(vectors, copied / OLD_INDEX).graph)
    np.testing.assert_array_equal(graph.links, right.rows)
    assert set(graph.entries.tolist()) == set(right.entries.tolist())


def table(kind: str, items: int) -> np.ndarray:
    """Vectors as models make them: of one length, of uneven ones, in clusters, or without any order."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(items, 24))
    if kind == "clusters":
        vectors = 3 * rng.normal(size=(items // 50, 24))[rng.integers(items // 50, size=items)] + vectors
    if kind == "uneven":
        vectors *= rng.lognormal(0, 1, size=(items, 1))
    if kind == "even":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


@pytest.mark.parametrize("kind", ["even", "uneven", "clusters", "random"])
def test_good_graphs_are_told_from_those_of_other_tables(kind: str) -> None:
    """Whatever their recall is; and the other table may hold the same items in another order."""
    vectors = table(kind, 3_000)
    links = links_of(hnsw.build(vectors, HnswSettings(m=8), progress=False).graph)
    queries = vectors[:64] + 0.1
    breadth = measured(BeamIndex(vectors, links, {1: 1}, break_even=0), [one[None] for one in queries])
    good = Graph(vectors, links.rows, links.entries)
    other = Graph(np.roll(vectors, 7, axis=0), links.rows, links.entries)
    assert recall_of(good, queries, 10, 2 * max(breadth.ef[10], 24)) >= breadth.recall[10] - 0.02
    assert share_of_near(good) > 0.9
    assert share_of_near(other) < 0.65


def test_recall_by_hand() -> None:
    """Six items on a line; the best of a query to the right are the last ones."""
    vectors = np.array([[x] for x in range(1, 7)], dtype=np.float32)
    chain = np.array([[1, -1], [0, 2], [1, 3], [2, 4], [3, 5], [4, -1]], dtype=np.int32)
    query, entry = np.array([[1]], dtype=np.float32), np.array([0], dtype=np.int32)
    assert recall_of(Graph(vectors, chain, entry), query, 2, 2) == 1.0
    cut = np.where(chain == 5, -1, chain)  # nothing leads to the best one any more
    assert recall_of(Graph(vectors, cut, entry), query, 2, 2) == 0.5
    assert recall_of(Graph(np.ones_like(vectors), cut, entry), query, 2, 2) == 1.0  # equal ones stand for each other


def test_items_without_links_have_none_that_are_near() -> None:
    vectors = np.eye(4, dtype=np.float32)
    alone = np.arange(4, dtype=np.int32)[:, None]  # each is linked to itself
    assert share_of_near(Graph(vectors, alone, np.array([0], dtype=np.int32))) == 0.0
    assert share_of_near(Graph(vectors[:1], alone[:1], np.array([0], dtype=np.int32))) == 1.0
