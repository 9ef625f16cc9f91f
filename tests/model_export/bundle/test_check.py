"""The full check: every fault of a bundle is a sentence, and a bundle of one's own passes."""

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from index.search.hnsw import HnswSettings
from index.search.index_files import build_index
from mindstream.commands.model import app
from mindstream.settings import load
from model_export.bundle.bundle import (
    EXTRACTOR,
    FEATURES,
    GOLDEN,
    ITEM_EMBEDDINGS,
    LINK_ENTRIES,
    LINKS,
    MANIFEST,
    REQUIRED,
    ROUTING_LOGITS,
    Bundle,
    BundleError,
    Manifest,
    describe_file,
    write_manifest,
)
from model_export.bundle.check import CHECKS, check
from model_export.bundle.items.arrow_files import FILES, SCHEMAS
from model_export.bundle.items.json_files import CATALOGUE, ITEM_IDS
from model_export.bundle.registry import POINTER, Registry
from model_export.export.bundle_writer import write_arrays
from testbed.bad_bundles import BAD_BUNDLES, copy_bundle
from tests.support.bundles.schema_one import as_schema_one

DOCS = Path(__file__).parents[3] / "docs" / "bundle.md"


@pytest.fixture
def copied(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the bundle, to be spoilt."""
    return shutil.copytree(bundle.path, tmp_path / bundle.version)


def relist(path: Path, **changes: Any) -> None:
    """Let the manifest list the files as they now are, so that what is wrong in them must be noticed otherwise."""
    manifest = replace(Bundle(path).manifest, **changes)
    files = {name: describe_file(path / name) for name in manifest.files if (path / name).exists()}
    write_manifest(path, replace(manifest, files=manifest.files | files))


def change_json(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        content = json.loads((path / name).read_text())
        change(content)
        (path / name).write_text(json.dumps(content))

    return spoil


def change_features(change: Callable[[dict[str, np.ndarray]], Any]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with np.load(path / FEATURES) as arrays:
            content = {name: arrays[name] for name in arrays.files}
        change(content)
        write_arrays(path / FEATURES, content)

    return spoil


def set_at(name: str, place: Any, value: float) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda arrays: arrays[name].__setitem__(place, value)


def change_node(old: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Change what the graph says of one of its inputs or outputs."""

    def spoil(path: Path) -> None:
        model = onnx.load(path / EXTRACTOR)
        [node] = [node for node in (*model.graph.input, *model.graph.output) if node.name == old]
        change(node)
        onnx.save(model, path / EXTRACTOR)

    return spoil


def scaled(factor: float) -> Callable[[Path], None]:
    """A graph whose capsules are multiplied by a number, behind the real ones."""

    def spoil(path: Path) -> None:
        model = onnx.load(path / EXTRACTOR)
        for node in model.graph.node:
            node.output[:] = ["real" if name == "capsules" else name for name in node.output]
        model.graph.initializer.append(onnx.helper.make_tensor("factor", onnx.TensorProto.FLOAT, [], [factor]))
        model.graph.node.append(onnx.helper.make_node("Mul", ["real", "factor"], ["capsules"]))
        onnx.save(model, path / EXTRACTOR)

    return spoil


def keep_short(cases: list[dict[str, Any]]) -> None:
    cases[:] = [case for case in cases if len(case["history"]) < 3]


def scaled_by_length(path: Path) -> None:
    """A graph whose capsules are divided by zero for whoever has eight behaviours or more."""
    model = onnx.load(path / EXTRACTOR)
    for node in model.graph.node:
        node.output[:] = ["real" if name == "capsules" else name for name in node.output]
    make, tensor, kinds = onnx.helper.make_node, onnx.helper.make_tensor, onnx.TensorProto
    model.graph.initializer.extend(
        [
            tensor("own.axis", kinds.INT64, [1], [1]),
            tensor("own.axes", kinds.INT64, [1], [2]),
            tensor("own.many", kinds.FLOAT, [], [7.5]),
        ]
    )
    model.graph.node.extend(
        [
            make("Cast", ["mask"], ["own.mask"], to=kinds.FLOAT),
            make("ReduceSum", ["own.mask", "own.axis"], ["own.count"]),  # (B, 1)
            make("Less", ["own.count", "own.many"], ["own.few"]),
            make("Cast", ["own.few"], ["own.one"], to=kinds.FLOAT),
            make("Unsqueeze", ["own.one", "own.axes"], ["own.divisor"]),  # (B, 1, 1)
            make("Div", ["real", "own.divisor"], ["capsules"]),
        ]
    )
    onnx.save(model, path / EXTRACTOR)


def change_array(name: str, place: Any, value: float) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        array = np.load(path / name)
        array[place] = value
        np.save(path / name, array)

    return spoil


FAULTS = [
    (ITEM_EMBEDDINGS, change_array(ITEM_EMBEDDINGS, (5, 5), 1e30), "row 5 is 1e.30 long; right is at most 1e.18"),
    (ITEM_EMBEDDINGS, change_array(ITEM_EMBEDDINGS, (5, 5), math.inf), "holds NaN or infinite numbers"),
    (ROUTING_LOGITS, change_array(ROUTING_LOGITS, (3, 1), -3e38), r"row 3 is 3e.38 long; right is at most 1e.18"),
    (ROUTING_LOGITS, lambda path: more_bytes(path / ROUTING_LOGITS), "has 9729 bytes; right are the 9728 of"),
    (FEATURES, lambda path: more_bytes(path / FEATURES), "has bytes behind its end"),
    (FEATURES, change_features(set_at("category", (1, 2), 1e30)), "category: row 1 is 1e.30 long"),
    (FEATURES, change_features(lambda a: a.update(price_edges=np.array([1j]))), "price_edges are no ascending prices"),
    (ITEM_EMBEDDINGS, lambda path: (path / ITEM_EMBEDDINGS).write_bytes(b"none"), "cannot be read: "),
    (ITEM_EMBEDDINGS, lambda path: np.save(path / ITEM_EMBEDDINGS, np.zeros((600, 16))), "is float64; right"),
    (ITEM_EMBEDDINGS, lambda path: np.save(path / ITEM_EMBEDDINGS, np.array([{}])), "cannot be read: "),
    (ROUTING_LOGITS, lambda path: (path / ROUTING_LOGITS).write_bytes(b""), "cannot be read: "),
    (FEATURES, lambda path: (path / FEATURES).write_bytes(b"PK none"), "has bytes behind its end, or none of a"),
    (FEATURES, change_features(lambda arrays: arrays.pop("category")), "has no array 'category'; it has "),
    (FEATURES, change_features(lambda arrays: arrays.pop("price_edges")), "has no array 'price_edges'; it has "),
    (FEATURES, change_features(set_at("category", (1, 2), math.nan)), "category holds NaN or infinite numbers"),
    (FEATURES, change_features(set_at("category", (0, 2), 1)), "row 0 of category, which means unknown, is not zero"),
    (FEATURES, change_features(lambda a: a.update(category=a["category"][1:])), r"category has shape \(\d+, 16\)"),
    (FEATURES, change_features(set_at("price_edges", 0, 1e9)), "price_edges are no ascending prices"),
    (GOLDEN, lambda path: (path / GOLDEN).write_text("{"), "cannot be read: "),
    (GOLDEN, change_json(GOLDEN, lambda cases: cases.clear()), "is no list of histories with their capsules"),
    (GOLDEN, change_json(GOLDEN, lambda cases: cases[3].pop("history")), "cannot be read: 'history'"),
    (GOLDEN, change_json(GOLDEN, lambda cases: cases[-1].update(capsules=[[1], [2, 3]])), "cannot be read: "),
    (EXTRACTOR, change_node("mask", lambda n: setattr(n.type.tensor_type, "elem_type", 1)), "cannot be loaded"),
]  # fmt: skip


OLD_FAULTS = [
    (ITEM_IDS, lambda path: (path / ITEM_IDS).write_text("["), "cannot be read: "),
    (ITEM_IDS, lambda path: (path / ITEM_IDS).write_bytes(b"\xff"), "cannot be read: "),
    (ITEM_IDS, lambda path: (path / ITEM_IDS).write_text("[" * 100_000), "cannot be read: "),
    (ITEM_IDS, lambda path: (path / ITEM_IDS).write_text('{"a": 1}'), "is no list of texts"),
    (ITEM_IDS, change_json(ITEM_IDS, lambda ids: ids.__setitem__(0, 7)), "has the id 7; right is text"),
    (ITEM_IDS, change_json(ITEM_IDS, lambda ids: ids.__setitem__(0, "")), 'has the id ""; right is .*, not empty'),
    (ITEM_IDS, change_json(ITEM_IDS, lambda ids: ids.__setitem__(0, "a\udfff")), r'has the id "a\\udfff"; right is'),
    (CATALOGUE, lambda path: (path / CATALOGUE).write_text("no"), "cannot be read: "),
    (CATALOGUE, change_json(CATALOGUE, lambda shown: shown.pop("title")), "cannot be read: .*title"),
    (CATALOGUE, change_json(CATALOGUE, lambda shown: shown["title"].pop()), "title is no list of 600 values"),
    (CATALOGUE, change_json(CATALOGUE, lambda shown: shown["price"].__setitem__(2, math.inf)), "price of '.*' is Inf"),
    (CATALOGUE, change_json(CATALOGUE, lambda shown: shown["popularity"].__setitem__(2, -1)), "popularity of .* -1"),
    (CATALOGUE, change_json(CATALOGUE, lambda shown: shown["category"].__setitem__(2, None)), "category of .* null"),
    (CATALOGUE, change_json(CATALOGUE, lambda s: s["attributes"]["category"].pop()), r"attributes\.category is no"),
    (CATALOGUE, change_json(CATALOGUE, lambda s: s["attributes"]["category"].__setitem__(0, "x")), "is \"x\""),
    (ITEM_IDS, change_json(ITEM_IDS, lambda ids: ids.pop()), "has 599 items, 599 of them distinct; the manifest"),
    (ITEM_IDS, change_json(ITEM_IDS, lambda ids: ids.__setitem__(1, ids[0])), "has 600 items, 599 of them distinct"),
    (CATALOGUE, change_json(CATALOGUE, lambda s: s["title"].__setitem__(0, "\ud800")), r'title of .* is "\\ud800"; r'),
    (CATALOGUE, change_json(CATALOGUE, lambda s: s["category"].__setitem__(0, "\udc00")), r'category of .*\\udc00"; r'),
    (CATALOGUE, change_json(CATALOGUE, lambda s: s["attributes"].update({"\ud800": []})), "name of an attribute has"),
    (CATALOGUE, change_json(CATALOGUE, lambda s: s["attributes"]["category"].__setitem__(0, ["\ud800"])), "attributes"),
    (CATALOGUE, change_json(CATALOGUE, lambda s: s["popularity"].__setitem__(0, 2**63)), "popularity of .* whole"),
    (CATALOGUE, change_json(CATALOGUE, lambda s: s["popularity"].__setitem__(0, True)), "popularity of '.*' is true"),
    (CATALOGUE, change_json(CATALOGUE, lambda s: s["price"].__setitem__(0, 10**400)), "price of '.*' is 1000"),
    (CATALOGUE, change_json(CATALOGUE, lambda s: s["price"].__setitem__(0, math.nan)), "price of '.*' is NaN"),
]  # fmt: skip


def change_table(name: str, **columns: Callable[[list[Any]], Any]) -> Callable[[Path], None]:
    """Change cells of a table of the items."""

    def spoil(path: Path) -> None:
        [schema] = [schema for file, schema in zip(FILES, SCHEMAS, strict=True) if file == name]
        with pa.ipc.open_file(path / name) as file:
            cells = file.read_all().to_pydict()
        for column, change in columns.items():
            change(cells[column])
        with pa.ipc.new_file(path / name, schema) as file:
            file.write(pa.table(cells, schema))

    return spoil


def other_columns(path: Path) -> None:
    table = pa.table({"item_id": ["tea"]})
    with pa.ipc.new_file(path / FILES.items, table.schema) as file:
        file.write(table)


def no_utf8(path: Path) -> None:
    content = (path / FILES.items).read_bytes()
    item_id = Bundle(path).item_ids[7].encode()
    (path / FILES.items).write_bytes(content.replace(item_id, b"\xff" * len(item_id), 1))


def swap(cells: list[Any]) -> None:
    cells[0], cells[1] = cells[1], cells[0]


def set_to(row: int, value: Any) -> Callable[[list[Any]], None]:
    return lambda cells: cells.__setitem__(row, value)


def lone_surrogate(path: Path) -> None:
    BAD_BUNDLES["with a lone surrogate"].spoil(path)


def more_bytes(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"\0")


def most_beyond(popularity: list[int]) -> None:
    """The most popular item gets more than JSON's numbers can count to."""
    popularity[popularity.index(max(popularity))] = 2**53 + 1


def least_below_zero(popularity: list[int]) -> None:
    """The least popular item gets -1, which leaves the order as it is."""
    popularity[max(row for row, count in enumerate(popularity) if count == min(popularity))] = -1


ITEMS_FAULTS = [
    (FILES.items, lambda path: (path / FILES.items).write_bytes(b"no"), "cannot be read: "),
    (FILES.items, lambda path: (path / FILES.items).unlink(), "is missing"),
    (FILES.items, other_columns, "cannot be read: its columns are item_id string; right are item_id large_string, "),
    (FILES.items, no_utf8, r"item_id of row 7 is b.*; right is UTF-8, without"),
    (FILES.items, lone_surrogate, r"title of row \d+ is b'\\xed\\xa0\\x80.*; right is UTF-8, without lone surrogates"),
    (FILES.items, lambda path: more_bytes(path / FILES.items), "cannot be read: "),
    (FILES.items, change_table(FILES.items, item_id=set_to(1, None)), "item_id has 1 nulls; right is a value in"),
    (FILES.items, change_table(FILES.items, item_id=lambda ids: set_to(1, ids[0])(ids)), "has 600 items, 599 of them"),
    (FILES.items, change_table(FILES.items, price=set_to(2, math.inf)), "price of '.*' is inf"),
    (FILES.items, change_table(FILES.items, price=set_to(2, None)), "price has 1 nulls"),
    (FILES.items, change_table(FILES.items, popularity=least_below_zero), "popularity of '.*' is -1"),
    (FILES.items, change_table(FILES.items, popularity=most_beyond), "popularity of '.*' is 9007199254740993"),
    (FILES.items, change_table(FILES.items, item_id=set_to(3, "")), "item_id of row 3 is empty"),
    (FILES.items, change_table(FILES.items, category=set_to(2, -1)), "category is not that of the values with field"),
    (FILES.items, change_table(FILES.items, values=set_to(2, [10_000])), "values names row 10000 of item_values.arrow"),
    (FILES.values, change_table(FILES.items, values=set_to(2, [])), "rows are not those of the items that have the"),
    (FILES.values, change_table(FILES.values, rows=swap), "rows are not those of the items that have the values"),
    (FILES.values, change_table(FILES.values, value=swap), "its rows do not ascend by field and value"),
    (FILES.lookup, change_table(FILES.items, item_id=swap), "does not belong to items.arrow"),
    (FILES.lookup, change_table(FILES.lookup, popular=swap), "does not belong to items.arrow"),
    (FILES.lookup, change_table(FILES.lookup, hash=set_to(1, 0)), "does not belong to items.arrow"),
    (FILES.lookup, change_table(FILES.lookup, row=swap), "does not belong to items.arrow"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "spoil", "fault"), OLD_FAULTS)
def test_a_fault_of_schema_1_is_a_sentence(
    name: str, spoil: Callable[[Path], None], fault: str, bundle: Bundle, tmp_path: Path
) -> None:
    old = as_schema_one(bundle, tmp_path / bundle.version).path
    test_a_fault_is_a_sentence(name, spoil, fault, old)


@pytest.mark.parametrize(("name", "spoil", "fault"), [*ITEMS_FAULTS, *FAULTS])
def test_a_fault_is_a_sentence(name: str, spoil: Callable[[Path], None], fault: str, copied: Path) -> None:
    spoil(copied)
    relist(copied)
    with pytest.raises(BundleError, match=f"{re.escape(str(copied / name))}.*{fault}"):
        check(Bundle(copied))


def test_capsules_that_are_no_numbers(copied: Path) -> None:
    """Those of a long history only, which no golden history of this bundle has."""
    change_json(GOLDEN, keep_short)(copied)
    scaled_by_length(copied)
    relist(copied)
    with pytest.raises(BundleError, match=r"extractor\.onnx: a history of \d+ behaviours gives NaN"):
        check(Bundle(copied))


def test_golden_capsules_must_be_numbers(copied: Path) -> None:
    scaled(math.nan)(copied)
    relist(copied)
    with pytest.raises(BundleError, match=r"a golden history of \d+ behaviours gives other capsules"):
        check(Bundle(copied))


ONE_FILE: dict[str, dict[str, Any]] = {"golden.json": {"bytes": 1, "sha256": "0" * 64}}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"version": "../x"}, "version is '../x'; right is 1 to 128 letters"),
        ({"version": ""}, "version is ''; right is 1 to 128 letters"),
        ({"items": "600"}, "items is '600'; right is a whole number above 0"),
        ({"dim": 0}, "dim is '0'; right is a whole number above 0"),
        ({"num_interests": True}, "num_interests is 'True'; right is a whole number above 0"),
        ({"feature_fields": {"category": "tea"}}, r"feature_fields\.category is 'tea'; right is a list of texts"),
        ({"feature_fields": ["tea"]}, r"feature_fields is .*; right is an object of field -> list of texts"),
        ({"metrics": []}, r"metrics is '\[\]'; right is an object"),
        (
            {"files": ONE_FILE | {"../../x": ONE_FILE["golden.json"]}},
            r"files has the name '\.\./\.\./x'; right is a file of the bundle's own folder: 1 to 128 letters, digits",
        ),
        (
            {"files": ONE_FILE | {"/etc/passwd": {}}},
            "files has the name '/etc/passwd'; right is a file of the bundle's",
        ),
        ({"files": ONE_FILE | {"sub/": {}}}, "files has the name 'sub/'; right is a file of the bundle's"),
        ({"files": ONE_FILE | {"": {}}}, "files has the name ''; right is a file of the bundle's"),
        ({"files": ONE_FILE | {"x.json": 1}}, r"files\.x\.json is '1'; right is {\"bytes\": its size, \"sha256\": 64"),
        ({"files": ONE_FILE | {"x.json": ONE_FILE["golden.json"] | {"bytes": True}}}, r"files\.x\.json is .* right is"),
        ({"data": {"behaviours": 5}}, r"data\.behaviours is '5'; right is text"),
        (
            {"index": {"kind": "hnsw"}},
            "the kind of index is 'hnsw', and it lists no file of one; right is",
        ),
        ({"index": {"kind": "tree"}}, "the kind of index is 'tree'"),
        ({"num_interests": 5}, r"routing_logits.npy has shape \(600, 4\); right is \(600, 5\)"),
        ({"nonsense": 5}, "nonsense"),
        ({"items": 2**31}, "items is '2147483648'; right is a whole number above 0, at most 2,147,483,647"),
        ({"history_length": 10**30}, "history_length is '1000.*; right is a whole number above 0, at most"),
        ({"repeat_bonus": [1, 1e39]}, r"repeat_bonus\[1\] is '1e\+39'; right is a number of at most 1e\+18"),
        ({"repeat_bonus": [10**400]}, r"repeat_bonus\[0\] is '1000"),
        ({"repeat_bonus": "none"}, "repeat_bonus is 'none'; right is a list of numbers"),
        (
            {"feature_fields": {"category": ["tea", "\ud800"]}},
            r"feature_fields\.category\[1\] is '.ud800'; right is text that UTF-8 can write",
        ),
        (
            {"profile_fields": {"\ud800": []}},
            "profile_fields has the name '.ud800'; right is text that UTF-8 can write",
        ),
        ({"metrics": {"test": [{"name": "\udfff"}]}}, r"metrics\.test\[0\]\.name has a lone surrogate; right is text"),
        ({"model": {"\udfff": 1}}, r"model\.'\\udfff' has a lone surrogate"),
    ],
)
def test_a_fault_of_the_manifest_is_a_sentence(change: dict[str, Any], fault: str, copied: Path) -> None:
    change_json(MANIFEST, lambda content: content.update(change))(copied)
    with pytest.raises(BundleError, match=fault):
        check(Bundle(copied))


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        (LINKS, lambda rows: rows[:-1], r"is int32 \(599, 32\); right is int32 \(600, 'some'\)"),
        (LINKS, lambda rows: rows.astype(np.int64), r"is int64 \(600, 32\); right is int32"),
        (LINKS, lambda rows: np.where(rows == 7, 600, rows), "has rows from -1 to 600; right are -1 to 599"),
        (LINK_ENTRIES, lambda rows: rows - 600, "has rows from -.*; right are 0 to 599"),
        (
            LINKS,
            lambda rows: np.hstack([rows[:, :1] * 0 - 1, rows]),
            r"row 0 has a link behind a -1, which would not be",
        ),
        (LINK_ENTRIES, lambda rows: rows[:0], r"is int32 \(0,\); right is int32 \('some',\)"),
    ],
)
def test_an_index_of_other_items(
    name: str, change: Callable[[np.ndarray], np.ndarray], fault: str, copied: Path
) -> None:
    build_index(Bundle(copied), "hnsw", HnswSettings(ef=50), progress=False)
    check(Bundle(copied))
    np.save(copied / name, change(np.load(copied / name)))
    relist(copied)
    with pytest.raises(BundleError, match=f"{name}:? {fault}"):
        check(Bundle(copied))
    (copied / name).write_bytes(b"short")
    relist(copied)
    with pytest.raises(BundleError, match=f"{name} cannot be read"):
        check(Bundle(copied))


@pytest.mark.parametrize("kind", sorted(BAD_BUNDLES.keys() - {"of another version"}))  # whose folder alone is wrong
def test_check_and_publish_refuse_every_bad_bundle_by_name(kind: str, bundle: Bundle, tmp_path: Path) -> None:
    bad, path = BAD_BUNDLES[kind], copy_bundle(bundle, tmp_path / "bad")
    bad.spoil(path)
    found = CliRunner().invoke(app, ["check", str(path)])
    assert found.exit_code == 1
    assert bad.said in found.stdout
    with pytest.raises(BundleError, match=re.escape(bad.said)):
        Registry(tmp_path / "models", check).publish(path)
    assert not (tmp_path / "models" / POINTER).exists()


def test_check_says_what_it_checked_and_names_the_first_fault(copied: Path) -> None:
    whole = CliRunner().invoke(app, ["check", str(copied)])
    assert whole.exit_code == 0
    lines = whole.stdout.splitlines()
    assert lines[1:] == [*(f"ok     {what}" for what, _ in CHECKS), f"{copied} may be served"]
    change_table(FILES.items, price=set_to(2, math.inf))(copied)
    relist(copied)
    faulty = CliRunner().invoke(app, ["check", str(copied)])
    assert faulty.exit_code == 1
    assert faulty.stdout.splitlines()[:-1] == lines[:5]
    assert faulty.stdout.splitlines()[-1].startswith(f"FAULT  {copied / FILES.items}: price of ")
    nowhere = CliRunner().invoke(app, ["check", str(copied / "none")])
    assert (nowhere.exit_code, nowhere.stdout) == (
        1,
        f"FAULT  {copied / 'none'} is not a bundle: there is no such folder\n",
    )


def test_check_of_a_version_says_which_path_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = tmp_path / "models" / "first"
    published.mkdir(parents=True)
    monkeypatch.setenv("MINDSTREAM_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    load.cache_clear()
    said = CliRunner().invoke(app, ["check", "first"]).stdout
    load.cache_clear()
    right = f"right is the path of a folder, such as {published}"
    assert said == f"FAULT  first is not a bundle: there is no such folder; {right}\n"


def test_an_arrow_file_with_something_behind_its_end_is_named_so(copied: Path) -> None:
    with (copied / FILES.items).open("ab") as stream:
        stream.write(b"more")
    relist(copied)
    with pytest.raises(
        BundleError, match=r"items\.arrow cannot be read: it begins as an Arrow file and does not end as"
    ):
        check(Bundle(copied))


# The bundle of one's own


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """The bundle that the example in the docs makes."""
    monkeypatch.chdir(tmp_path)
    [example] = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile(example, str(DOCS), "exec"), {})
    return Bundle(tmp_path / "my-bundle")


def test_the_example_in_the_docs_is_a_bundle(own: Bundle) -> None:
    check(own)
    assert CliRunner().invoke(app, ["check", str(own.path)]).exit_code == 0
    assert CliRunner().invoke(app, ["publish", str(own.path), "--models", "models"]).exit_code == 0


def test_an_onnx_graph_of_a_fixed_batch_is_named(own: Bundle) -> None:
    model = onnx.load(own.path / EXTRACTOR)
    for node in (*model.graph.input, *model.graph.output):
        node.type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(model, own.path / EXTRACTOR)
    relist(own.path)
    with pytest.raises(BundleError, match=r"extractor.onnx cannot be run: .*"):
        check(Bundle(own.path))


def test_the_docs_name_every_file_and_field() -> None:
    text = DOCS.read_text(encoding="utf-8")
    names = [*REQUIRED, MANIFEST, LINKS, LINK_ENTRIES, *(field.name for field in fields(Manifest))]
    assert [name for name in names if f"`{name}`" not in text] == []


@pytest.mark.parametrize("ef", [None, 0, "x", {}, {"a": 1}, {"100": 0}, {"0": 9}, {"1" * 5_000: 9}, 10**9, True])
def test_an_index_says_how_broad_to_search(ef: Any, copied: Path) -> None:
    built = build_index(Bundle(copied), "hnsw", HnswSettings(ef=50), progress=False)
    check(built)
    write_manifest(copied, replace(built.manifest, index={**built.manifest.index, "ef": ef}))
    with pytest.raises(BundleError, match=r"index\.ef is .*; right is a number from 1"):
        check(Bundle(copied))
