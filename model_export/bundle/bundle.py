"""The training-serving contract: a bundle is one folder of files. NumPy and pyarrow are needed to read it.

manifest.json         what it is: schema, version, dimensions, metrics, data, size and SHA-256 of every other file
extractor.onnx        behaviours, mask, routing logits (and profile) -> capsules, interest mask, routing weights
items.arrow           ids, titles, categories, prices, popularity and attributes of the items, by row;
item_values.arrow     the values of their attributes, and of each the rows of the items that have it;
item_lookup.arrow     and how rows are found by id: see items/arrow_files.py
item_embeddings.npy   float32 (items, d)
routing_logits.npy    float32 (items, K)
features.npz          for each side feature float32 (values + 1, d), row 0 zeros ("unknown"), row i + 1 of value i; and
                      price_edges between the price bands; optional: vector_map, float32 (D, d), of dense vectors. The
                      embedding of an item that is new since training is the mean of its known values' vectors, of its
                      dense vector (in unit length) times that map, and of zeros for its id
model_card.md         data, figures beside the baselines', settings and versions, for people
golden.json           histories and the capsules that they must give
neighbours.npy        optional: int32 (items, M), rows of the items that go with each, -1 behind the last; and
similarities.npy      float32 (items, M), how much (scoring/neighbours.py)
ranker.onnx           optional: the second stage, histories and candidates -> scores (ranking/ranker.py); with it
ranker_items.npy      float32 (items, r), its own item table, and
trend.npy             float32 (items,), how much more of the latest interactions each item has (ranking/features.py)
item_links.npy        optional: int32 (items, 2 M), the links of hnswlib's graph by row, -1 behind the last; and
link_entries.npy      int32 (E,), rows that every search begins with

Bundles of schema 1 have item_ids.json and catalogue.json in place of the Arrow files (items/json_files.py), and may
have items.hnsw, hnswlib's own file, in place of the links. They are read as before, and every process that does has all
of it in its own memory.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from model_export.bundle.errors import BundleError, bundle_errors
from model_export.bundle.items import arrow_files, json_files
from model_export.bundle.items.item_rows import ItemRows
from model_export.bundle.items.item_table import CatalogueColumns, ItemTable
from model_export.bundle.items.text_columns import TextColumn
from model_export.bundle.manifest_schema import find_fault, find_lone_surrogate
from model_export.bundle.scoring.neighbours import Blend, NeighbourScores

__all__ = [
    "EXTRACTOR",
    "FEATURES",
    "GOLDEN",
    "INDEX_FILES",
    "ITEM_EMBEDDINGS",
    "LINKS",
    "LINK_ENTRIES",
    "MANIFEST",
    "MODEL_CARD",
    "NEIGHBOURS",
    "NEIGHBOUR_FILES",
    "OLD_INDEX",
    "RANKER",
    "RANKER_FILES",
    "RANKER_ITEMS",
    "REQUIRED",
    "ROUTING_LOGITS",
    "SIMILARITIES",
    "TREND",
    "VECTOR_MAP",
    "Bundle",
    "BundleError",
    "Manifest",
    "describe_file",
    "draw_routing_logits",
    "parse_manifest",
    "read_manifest",
    "required_files",
    "verify_file",
    "write_manifest",
]

SCHEMA, SCHEMAS_READ = 2, (1, 2)
MANIFEST, EXTRACTOR, GOLDEN = "manifest.json", "extractor.onnx", "golden.json"
ITEM_EMBEDDINGS, ROUTING_LOGITS, FEATURES = "item_embeddings.npy", "routing_logits.npy", "features.npz"
OLD_INDEX, LINKS, LINK_ENTRIES = "items.hnsw", "item_links.npy", "link_entries.npy"
NEIGHBOUR_FILES = NEIGHBOURS, SIMILARITIES = "neighbours.npy", "similarities.npy"
RANKER_FILES = RANKER, RANKER_ITEMS, TREND = "ranker.onnx", "ranker_items.npy", "trend.npy"
INDEX_FILES = (OLD_INDEX, LINKS, LINK_ENTRIES)
MODEL_CARD = "model_card.md"
VECTOR_MAP = "vector_map"  # in features.npz
_ALWAYS = (EXTRACTOR, ITEM_EMBEDDINGS, ROUTING_LOGITS, FEATURES, GOLDEN, MODEL_CARD)
REQUIRED = (*_ALWAYS, *arrow_files.FILES)


@dataclass(frozen=True)
class Manifest:
    """manifest.json.

    Attributes
    ----------
    version : name of the bundle, which sorts by time.
    items, dim, num_interests, history_length : n, d, K and L.
    profile_fields : profile field -> values; value i is row i + 1 of the graph's table, row 0 is "unknown".
    feature_fields : side feature -> values, likewise (features.npz).
    model, data, metrics : settings of the model, where its data came from, how good it was. `data["behaviours"]` is the
        rule for what counted as a behaviour (see BehaviourRule); bundles of before have none.
    index : kind and settings of the index, empty if there is none.
    repeat_bonus : what an item of a user's own history gets, by age (scoring/own_items.py); empty: nothing.
    blend : how neighbours count (scoring/neighbours.py), the fields of a Blend; empty if there are none.
    event_types : types of behaviours that the graph tells apart, in lower case; type i is row i + 1 of the input
        `types`, row 0 is "unknown". Empty where the graph has no such input.
    ranker : what the second stage is, the fields of RankerSettings (ranking/ranker_settings.py); empty without one.
    files : file name -> {"bytes", "sha256"}.
    """

    version: str
    items: int
    dim: int
    num_interests: int
    history_length: int
    profile_fields: dict[str, list[str]]
    feature_fields: dict[str, list[str]]
    model: dict[str, Any]
    data: dict[str, Any]
    metrics: dict[str, Any]
    files: dict[str, dict[str, Any]]
    index: dict[str, Any] = field(default_factory=dict)
    repeat_bonus: list[float] = field(default_factory=list)
    blend: dict[str, Any] = field(default_factory=dict)
    event_types: list[str] = field(default_factory=list)
    ranker: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def type_rows(self) -> dict[str, int]:
        """Return event type -> its row in the input `types` of the graphs."""
        return {name: row for row, name in enumerate(self.event_types, start=1)}

    def profile_rows(self) -> dict[str, dict[str, int]]:
        """Return profile field -> value -> its row in the graphs' tables."""
        return {
            name: {value: row for row, value in enumerate(values, start=1)}
            for name, values in self.profile_fields.items()
        }


class Bundle:
    """A bundle folder, open for reading.

    Large arrays are memory-mapped: processes of one host share them.

    Raises
    ------
    BundleError
        If the manifest is missing, cannot be read, or is of another schema.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.manifest = read_manifest(self.path)

    @classmethod
    def of(cls, bundle: "Bundle | str | PathLike[str]") -> "Bundle":
        """Return a bundle as it is, or open the one in a folder.

        Raises
        ------
        BundleError
            If there is none in the folder.
        """
        return bundle if isinstance(bundle, Bundle) else cls(bundle)

    @property
    def version(self) -> str:
        """Return the version, which is the name of the bundle's folder in a registry."""
        return self.manifest.version

    @cached_property
    def items(self) -> ItemTable:
        """Return the items, memory-mapped; of schema 1, read as a whole."""
        if self.manifest.schema == 1:
            return json_files.read_items(self.path, self.manifest.items)
        return arrow_files.open_items(self.path)

    def map_files(self) -> None:
        """Map all large files into memory.

        What is served goes on then, where they are removed later.
        """
        for mapped in ("rows", "catalogue", "item_embeddings", "routing_logits", "neighbours"):
            getattr(self, mapped)
        self.items.popular  # noqa: B018
        if self.manifest.ranker:
            self.ranker_items, self.trend  # noqa: B018

    @property
    def item_ids(self) -> TextColumn:
        """Return the item of each row (n,)."""
        return self.items.ids

    @property
    def rows(self) -> ItemRows:
        """Return item id -> row."""
        return self.items.rows

    @property
    def catalogue(self) -> CatalogueColumns:
        """Return the catalogue's columns, in the order of the rows."""
        return self.items.catalogue

    @cached_property
    def item_embeddings(self) -> np.ndarray:
        """Return the item embeddings, float32 (n, d), memory-mapped."""
        return np.asarray(np.load(self.path / ITEM_EMBEDDINGS, mmap_mode="r"))

    @cached_property
    def routing_logits(self) -> np.ndarray:
        """Return the items' routing logits, float32 (n, K), memory-mapped."""
        return np.asarray(np.load(self.path / ROUTING_LOGITS, mmap_mode="r"))

    @cached_property
    def neighbours(self) -> NeighbourScores | None:
        """Return the items' neighbours, memory-mapped; None if the bundle has none."""
        if not self.manifest.blend:
            return None
        rows, similarity = (np.asarray(np.load(self.path / name, mmap_mode="r")) for name in NEIGHBOUR_FILES)
        return NeighbourScores(rows, similarity, Blend(**self.manifest.blend))

    @cached_property
    def ranker_items(self) -> np.ndarray:
        """Return the item table of the ranker, float32 (n, r), memory-mapped."""
        return np.asarray(np.load(self.path / RANKER_ITEMS, mmap_mode="r"))

    @cached_property
    def trend(self) -> np.ndarray:
        """Return the trend of each item at the log's end, float32 (n,), memory-mapped."""
        return np.asarray(np.load(self.path / TREND, mmap_mode="r"))

    @cached_property
    def vector_map(self) -> np.ndarray | None:
        """Return the map of dense vectors into the item space, (D, d); None without one."""
        if VECTOR_MAP in self.manifest.feature_fields:  # of before: a side feature that was called so
            return None
        with np.load(self.path / FEATURES) as arrays:
            return np.asarray(arrays[VECTOR_MAP]) if VECTOR_MAP in arrays.files else None

    def verify(self) -> None:
        """Compare every file with the size and checksum in the manifest.

        Raises
        ------
        BundleError
            Names the first file that is missing, cut off or changed.
        """
        listed = self.manifest.files
        for name in required_files(self.manifest):
            if name not in listed:
                raise BundleError(f"{self.path / MANIFEST}: lists no {name}, which every bundle has")
        for name, expected in listed.items():
            verify_file(self.path / name, expected)


def required_files(manifest: Manifest) -> tuple[str, ...]:
    """Return the files that a bundle with this manifest must have beside it."""
    always = REQUIRED if manifest.schema == SCHEMA else (*_ALWAYS, json_files.ITEM_IDS, json_files.CATALOGUE)
    neighbours = NEIGHBOUR_FILES if manifest.blend else ()
    return (*always, *neighbours, *(RANKER_FILES if manifest.ranker else ()))


def read_manifest(path: Path) -> Manifest:
    """Read manifest.json of a bundle folder.

    Raises
    ------
    BundleError
        If it is missing, is not JSON, is of another schema, or has a value of the wrong kind.
    """
    file = path / MANIFEST
    if not file.is_file():
        raise BundleError(f"{path} is not a bundle: {_why_none(path)}")
    with bundle_errors(file):
        text = file.read_bytes()
    return parse_manifest(text, str(file))


def parse_manifest(text: bytes, file: str) -> Manifest:
    """Read what stands in a manifest.json.

    Parameters
    ----------
    file : path or url that it was read from, for messages.

    Raises
    ------
    BundleError
        If it is not JSON, is of another schema, or has a value of the wrong kind.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{file} is not JSON: {error}") from error
    found = content.get("schema") if isinstance(content, dict) else None
    if not isinstance(content, dict) or isinstance(found, bool) or found not in SCHEMAS_READ:
        right = " and ".join(map(str, SCHEMAS_READ))
        raise BundleError(f"{file}: schema is {found!r}; this version of Mindstream reads schemas {right}")
    fault = find_fault(content)
    if fault is None and (where := find_lone_surrogate(content)) is not None:
        fault = f"{where} has a lone surrogate; right is text that UTF-8 can write"
    if fault is not None:
        raise BundleError(f"{file}: {fault}")
    try:
        return Manifest(**content)
    except TypeError as error:
        raise BundleError(f"{file}: {error}") from error


def _why_none(path: Path) -> str:
    """Say why there is no manifest in what should be a folder."""
    if path.is_dir():
        return f"it has no {MANIFEST}"
    if path.exists():
        return "it is no folder"
    return f"it is a link to {path.readlink()}, where nothing is" if path.is_symlink() else "there is no such folder"


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write manifest.json, whole or not at all."""
    partial = path / (MANIFEST + ".partial")
    partial.write_text(json.dumps(asdict(manifest), indent=1, ensure_ascii=False), encoding="utf-8")
    partial.replace(path / MANIFEST)


def describe_file(file: Path) -> dict[str, Any]:
    """Return a file's size in bytes and SHA-256, as the manifest lists them.

    Returns
    -------
    {"bytes": int, "sha256": 64 hexadecimal digits}
    """
    with file.open("rb") as stream:
        return {"bytes": file.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def verify_file(file: Path, expected: dict[str, Any]) -> None:
    """Raise BundleError unless the file is the one that the manifest describes.

    Parameters
    ----------
    expected : the file's entry in the manifest, see `describe_file`.
    """
    if not file.is_file():
        is_there = "is no file" if file.exists() else "is missing"
        raise BundleError(f"{file} {is_there}; the manifest lists it with {expected['bytes']} bytes")
    with bundle_errors(file):
        found = describe_file(file)
    if found["bytes"] != expected["bytes"]:
        raise BundleError(f"{file} has {found['bytes']} bytes; the manifest says {expected['bytes']}")
    if found["sha256"] != expected["sha256"]:
        raise BundleError(f"{file} was changed: SHA-256 {found['sha256']}; the manifest says {expected['sha256']}")


def draw_routing_logits(item_ids: Sequence[str], num_interests: int, sigma: float) -> np.ndarray:
    """Draw the items' fixed Gaussian routing logits: each id seeds K draws from N(0, sigma^2).

    A behaviour takes its item's logits wherever it stands in the history, so capsules are a pure function of
    the history. The draws come from a hash (SHAKE-128) by the Box-Muller transform, not from a library's generator:
    they are the same for every version of NumPy, and a language other than Python can repeat them.

    Returns
    -------
    float32 (items, K)
    """
    size = 8 * num_interests  # two 32-bit numbers make one Gaussian
    digests = b"".join(hashlib.shake_128(item_id.encode()).digest(size) for item_id in item_ids)
    uniform = (np.frombuffer(digests, dtype="<u4").reshape(-1, num_interests, 2) + 0.5) / 2.0**32
    radius = np.sqrt(-2 * np.log(uniform[..., 0]))
    logits: np.ndarray = sigma * radius * np.cos(2 * np.pi * uniform[..., 1])
    return logits.astype(np.float32)
