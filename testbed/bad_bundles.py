"""Bundles that must not be served: the damage to a good one, and a part of the message then."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from model_export.bundle.bundle import (
    EXTRACTOR,
    GOLDEN,
    ITEM_EMBEDDINGS,
    MANIFEST,
    ROUTING_LOGITS,
    Bundle,
    describe_file,
    read_manifest,
    write_manifest,
)

__all__ = ["BAD_BUNDLES", "BadBundle", "copy_bundle"]


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


def _without_checksums(path: Path) -> None:
    _change_manifest(path, files={name: {} for name in read_manifest(path).files})


BAD_BUNDLES = {
    "not there": BadBundle(shutil.rmtree, "is not a bundle: it has no manifest.json"),
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
    "without checksums": BadBundle(_without_checksums, "files is "),
    "of another version": BadBundle(lambda path: _change_manifest(path, version="other"), "holds bundle other"),
}
