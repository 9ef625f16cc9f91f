"""Bundles that must not be served: the damage to a good one, and a part of the message then."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import hnswlib
import numpy as np
import pyarrow as pa

from model_export.bundle.bundle import (
    EXTRACTOR,
    GOLDEN,
    INDEX_FILES,
    ITEM_EMBEDDINGS,
    LINK_ENTRIES,
    LINKS,
    MANIFEST,
    OLD_INDEX,
    ROUTING_LOGITS,
    Bundle,
    describe_file,
    read_manifest,
    write_manifest,
)
from model_export.bundle.items.arrow_files import FILES

__all__ = ["BAD_BUNDLES", "BadBundle", "add_graph", "add_old_graph", "copy_bundle"]

NEIGHBOURS = 16
RECALL = {"kind": "hnsw", "ef": {"10": 64}, "recall": {"10": 0.994}, "target": 0.99}


class BadBundle(NamedTuple):
    """Damage to a bundle's folder, and a part of the message about it."""

    spoil: Callable[[Path], object]
    said: str


def copy_bundle(bundle: Bundle, path: Path) -> Path:
    """Copy a bundle to a folder whose name becomes its version."""
    shutil.copytree(bundle.path, path)
    _change_manifest(path, version=path.name)
    return path


def _change_manifest(path: Path, **changed: Any) -> None:
    """Change entries in a manifest."""
    write_manifest(path, replace(read_manifest(path), **changed))


def _list_anew(path: Path, name: str) -> None:
    """List a changed file with the size and checksum that it has now."""
    _change_manifest(path, files=read_manifest(path).files | {name: describe_file(path / name)})


def _tamper(path: Path) -> None:
    content = bytearray((path / ITEM_EMBEDDINGS).read_bytes())
    content[-1] ^= 1
    (path / ITEM_EMBEDDINGS).write_bytes(content)


def _half_written(path: Path) -> None:
    (path / ROUTING_LOGITS).unlink()
    (path / GOLDEN).unlink()


def _with_nan(path: Path) -> None:
    table = np.load(path / ITEM_EMBEDDINGS)
    table[0, 0] = np.nan
    np.save(path / ITEM_EMBEDDINGS, table)
    _list_anew(path, ITEM_EMBEDDINGS)


def _with_other_golden_capsules(path: Path) -> None:
    cases = json.loads((path / GOLDEN).read_text(encoding="utf-8"))
    cases[-1]["capsules"][0][0] += 0.1
    (path / GOLDEN).write_text(json.dumps(cases), encoding="utf-8")
    _list_anew(path, GOLDEN)


def _with_no_graph(path: Path) -> None:
    (path / EXTRACTOR).write_bytes(b"no graph")
    _list_anew(path, EXTRACTOR)


def add_graph(path: Path, vectors: np.ndarray) -> None:
    """Give a bundle the links of each of these vectors to its nearest, as its index."""
    links = np.empty((len(vectors), NEIGHBOURS), dtype=np.int32)
    squares = np.einsum("nd,nd->n", vectors, vectors)
    for row, vector in enumerate(vectors):
        distances = squares - 2 * vectors @ vector
        distances[row] = np.inf
        links[row] = np.argpartition(distances, NEIGHBOURS)[:NEIGHBOURS]
    np.save(path / LINKS, links)
    np.save(path / LINK_ENTRIES, np.linspace(0, len(vectors) - 1, 64).astype(np.int32))
    _list_index(path, LINKS, LINK_ENTRIES)


def add_old_graph(path: Path, vectors: np.ndarray) -> None:
    """Give a bundle hnswlib's own file of these vectors as its index, as bundles had before."""
    squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    dim = vectors.shape[1]
    longer = np.zeros((len(vectors), -(-(dim + 1) // 16) * 16), dtype=np.float32)
    longer[:, :dim], longer[:, dim] = vectors, np.sqrt(squares.max() - squares)
    graph = hnswlib.Index("l2", longer.shape[1])
    graph.init_index(len(vectors), ef_construction=100, M=NEIGHBOURS, random_seed=7)
    graph.add_items(longer, np.arange(len(vectors)))
    graph.save_index(str(path / OLD_INDEX))
    _list_index(path, OLD_INDEX)


def _list_index(path: Path, *names: str) -> None:
    """List the files of an index, and no other one."""
    listed = {name: entry for name, entry in read_manifest(path).files.items() if name not in INDEX_FILES}
    _change_manifest(path, index=RECALL, files=listed | {name: describe_file(path / name) for name in names})


def _of_others(path: Path) -> np.ndarray:
    """Return the vectors of the items as those of others."""
    return np.asarray(np.random.default_rng(0).permutation(np.load(path / ITEM_EMBEDDINGS)))


def _with_a_lone_surrogate(path: Path) -> None:
    """Write U+D800 as UTF-8 would write it, if it might, over the beginning of a title."""
    with pa.memory_map(str(path / FILES.items)) as source:
        title = next(one for one in pa.ipc.open_file(source).read_all()["title"].to_pylist() if len(one) > 2)
    content = (path / FILES.items).read_bytes()
    at = content.index(title.encode())
    (path / FILES.items).write_bytes(content[:at] + b"\xed\xa0\x80" + content[at + 3 :])
    _list_anew(path, FILES.items)


def _with_an_infinite_price(path: Path) -> None:
    with pa.memory_map(str(path / FILES.items)) as source:
        table = pa.ipc.open_file(source).read_all()
        prices = table["price"].to_pylist()
        prices[0] = float("inf")
        place = table.schema.get_field_index("price")
        table = table.set_column(place, "price", pa.array(prices, pa.float64()))
        with pa.OSFile(str(path / "new"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    (path / "new").replace(path / FILES.items)
    _list_anew(path, FILES.items)


def _with_long_vectors(path: Path) -> None:
    table = np.load(path / ITEM_EMBEDDINGS)
    table[0] = 1e38
    np.save(path / ITEM_EMBEDDINGS, table)
    _list_anew(path, ITEM_EMBEDDINGS)


def _with_more_bytes(path: Path) -> None:
    with (path / ROUTING_LOGITS).open("ab") as stream:
        stream.write(b"more")
    _list_anew(path, ROUTING_LOGITS)


def _unreadable(path: Path) -> None:
    """Let a file be one that nobody can read from its beginning, not even root."""
    (path / GOLDEN).unlink()
    (path / GOLDEN).symlink_to("/proc/self/mem")


def _with_a_folder(path: Path) -> None:
    (path / EXTRACTOR).unlink()
    (path / EXTRACTOR).mkdir()


def _without_checksums(path: Path) -> None:
    _change_manifest(path, files={name: {} for name in read_manifest(path).files})


BAD_BUNDLES = {
    "not there": BadBundle(shutil.rmtree, "is not a bundle: there is no such folder"),
    "half-written": BadBundle(_half_written, f"{ROUTING_LOGITS} is missing"),
    "without a manifest": BadBundle(
        lambda path: (path / MANIFEST).unlink(), "is not a bundle: it has no manifest.json"
    ),
    "corrupt": BadBundle(lambda path: (path / MANIFEST).write_text('{"schema": 1'), f"{MANIFEST} is not JSON"),
    "truncated": BadBundle(lambda path: (path / EXTRACTOR).write_bytes(b"\x08"), f"{EXTRACTOR} has 1 bytes"),
    "tampered with": BadBundle(_tamper, f"{ITEM_EMBEDDINGS} was changed: SHA-256"),
    "of another schema": BadBundle(lambda path: _change_manifest(path, schema=99), "schema is 99"),
    "of another dimension": BadBundle(lambda path: _change_manifest(path, dim=3), "has shape"),
    "with NaN": BadBundle(_with_nan, "holds NaN or infinite numbers"),
    "failing its golden histories": BadBundle(_with_other_golden_capsules, "gives other capsules"),
    "without a graph": BadBundle(_with_no_graph, f"{EXTRACTOR} cannot be loaded"),
    "without checksums": BadBundle(_without_checksums, "files.extractor.onnx is "),
    "with a graph of another item table": BadBundle(
        lambda path: add_graph(path, _of_others(path)), f"{LINKS} was built on another item table: "
    ),
    "with an old graph of another item table": BadBundle(
        lambda path: add_old_graph(path, _of_others(path)), f"{OLD_INDEX}: the vector of row "
    ),
    "with a lone surrogate": BadBundle(_with_a_lone_surrogate, "right is UTF-8, without lone surrogates"),
    "with an infinite price": BadBundle(_with_an_infinite_price, f"{FILES.items}: price of "),
    "with endless scores": BadBundle(_with_long_vectors, "so that no score overflows"),
    "with bytes behind the end": BadBundle(_with_more_bytes, f"{ROUTING_LOGITS} has "),
    "unreadable": BadBundle(_unreadable, f"{GOLDEN} cannot be read: "),
    "with a folder for a file": BadBundle(_with_a_folder, f"{EXTRACTOR} is no file"),
    "of another version": BadBundle(lambda path: _change_manifest(path, version="other"), "holds bundle other"),
}
