"""Bundles: what is exported, and that nothing is served that is not whole."""

import hashlib
import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from model_export.bundle.bundle import (
    EXTRACTOR,
    FEATURES,
    GOLDEN,
    ITEM_EMBEDDINGS,
    MANIFEST,
    NEIGHBOUR_FILES,
    REQUIRED,
    ROUTING_LOGITS,
    Bundle,
    BundleError,
    describe_file,
    draw_routing_logits,
    write_manifest,
)
from model_export.bundle.check import check
from model_export.bundle.extractor import Extractor
from model_export.bundle.registry import Registry
from model_export.data.dataset import build_vocabulary
from model_export.data.interactions import InteractionLog
from model_export.data.simulator import SimulatedShop
from model_export.export import parity
from model_export.export.bundle_writer import export
from model_export.export.onnx_graph import write_graph
from model_export.export.parity import PARITY, check_parity
from model_export.models.checkpoint import Checkpoint, new_model
from model_export.models.model_config import ModelConfig
from model_export.models.presets import DEFAULT, preset
from model_export.models.training_config import TrainingConfig
from model_export.training.train import catalogue_of
from tests.support.bundles.untrained import untrained

DATA = {"source": "nowhere", "events": 4, "users": 1, "first_event_ms": 0, "last_event_ms": 3_000, "timed": True}


@pytest.fixture(scope="module")
def extractor(bundle: Bundle) -> Extractor:
    return Extractor(bundle)


# Export


def test_the_golden_capsules_begin_with_those_of_held_out_users(bundle: Bundle, checkpoint: Checkpoint) -> None:
    golden = json.loads((bundle.path / GOLDEN).read_text())
    held_out = [(case["history"], case["event_times_ms"]) for case in golden[: len(checkpoint.histories)]]
    assert held_out == [(item_ids, when) for item_ids, when, _ in checkpoint.histories]
    assert len(held_out) > 10
    assert all(len(item_ids) == len(when) > 0 for item_ids, when in held_out)


def test_a_bundle_has_its_files_and_says_what_they_are(bundle: Bundle, checkpoint: Checkpoint) -> None:
    assert {file.name for file in bundle.path.iterdir()} == {MANIFEST, *REQUIRED, *NEIGHBOUR_FILES}
    manifest = json.loads((bundle.path / MANIFEST).read_text())
    assert manifest["schema"] == 2
    assert manifest["version"] == bundle.path.name
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", manifest["version"])
    assert (manifest["dim"], manifest["num_interests"], manifest["history_length"]) == (16, 4, 20)
    assert manifest["items"] == len(checkpoint.vocabulary.item_ids) == 600
    assert set(manifest["profile_fields"]) == {"region", "age"}
    assert set(manifest["feature_fields"]) == {"category", "price_band"}
    assert manifest["data"]["users"] == 300
    assert manifest["metrics"]["validation"] == checkpoint.validation
    assert set(manifest["files"]) == {*REQUIRED, *NEIGHBOUR_FILES}
    for name, listed in manifest["files"].items():
        content = (bundle.path / name).read_bytes()
        assert listed == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_bundle_holds_the_models_items(bundle: Bundle, checkpoint: Checkpoint) -> None:
    model, vocabulary = checkpoint.model, checkpoint.vocabulary
    assert list(bundle.item_ids) == vocabulary.item_ids
    assert bundle.rows[bundle.item_ids[17]] == 17
    assert bundle.item_embeddings.dtype == bundle.routing_logits.dtype == np.float32
    np.testing.assert_array_equal(bundle.item_embeddings, model.item_table().detach().numpy())
    np.testing.assert_array_equal(bundle.routing_logits, model.routing_logits.detach().numpy())
    assert bundle.manifest.model["name"] == "steady"
    assert list(bundle.catalogue.title) == checkpoint.catalogue["title"]
    assert bundle.catalogue.popularity.tolist() == checkpoint.popularity.tolist()


def test_logits_that_are_not_learned_are_those_of_the_ids(tagged: Checkpoint, tmp_path: Path) -> None:
    bundle = export(tagged, tmp_path, progress=False)
    sigma = bundle.manifest.model["routing_sigma"]
    assert bundle.manifest.model["name"] == "mind"
    np.testing.assert_array_equal(bundle.routing_logits, draw_routing_logits(bundle.item_ids, 2, sigma))


def test_what_training_draws_at_random_is_not_exported(tagged: Checkpoint, tmp_path: Path) -> None:
    model = new_model(replace(tagged.model.config, embedding_noise=0.5), tagged.vocabulary).train()
    table = export(replace(tagged, model=model), tmp_path, progress=False).item_embeddings
    np.testing.assert_array_equal(table, model.eval().item_table().detach().numpy())


def test_an_item_can_be_pooled_from_the_feature_tables(bundle: Bundle, checkpoint: Checkpoint) -> None:
    tables = np.load(bundle.path / FEATURES)
    fields, catalogue = bundle.manifest.feature_fields, bundle.catalogue
    assert set(tables.files) == {"category", "price_band", "price_edges"}
    assert all(tables[name].shape == (len(values) + 1, 16) for name, values in fields.items())
    assert not any(tables[name][0].any() for name in fields)  # "unknown"
    band = np.searchsorted(tables["price_edges"], np.array(catalogue.price, dtype=float), side="right")
    rows = {
        "category": [fields["category"].index(category) + 1 for category in catalogue.category],
        "price_band": [fields["price_band"].index(str(number)) + 1 for number in band],
    }
    parts = [checkpoint.model.items.ids.weight.detach().numpy(), *(tables[name][rows[name]] for name in fields)]
    means = np.mean(parts, axis=0)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)  # of this model's items each has length 1
    np.testing.assert_allclose(means / lengths, bundle.item_embeddings, atol=1e-6)


@pytest.fixture(scope="module")
def tagged(shop: SimulatedShop) -> Checkpoint:
    """An untrained model of items with up to three tags and a side feature called "file"."""
    items = shop.log.items.iloc[:4].assign(
        category="", price=math.nan, tags=["a|b|c", "b", "", "c|a"], file=["x", "y", "x", ""]
    )
    log = InteractionLog(shop.log.events[shop.log.events.item_id.isin(items.item_id)], items, shop.log.profiles, "shop")
    vocabulary = build_vocabulary(log)
    model = new_model(ModelConfig(dim=8, num_interests=2, history_length=5), vocabulary)
    catalogue = catalogue_of(log, vocabulary)
    return Checkpoint(model, vocabulary, np.ones(4, dtype=np.int64), catalogue, DATA, TrainingConfig())


def test_an_item_that_lost_its_id_is_the_mean_of_its_values(tagged: Checkpoint, tmp_path: Path) -> None:
    bundle = export(tagged, tmp_path, progress=False)
    check(bundle)
    tables = np.load(bundle.path / FEATURES)
    assert bundle.manifest.feature_fields == {"tags": ["a", "b", "c"], "file": ["x", "y"]}
    a, b, c = tables["tags"][1:]
    x, y = tables["file"][1:]
    cold = [(a + b + c + x) / 4, (b + y) / 2, x, (c + a) / 2]
    ids = tagged.model.items.ids.weight.detach().numpy()
    for row, (values, mean) in enumerate(zip([4, 2, 1, 2], cold, strict=True)):
        expected = (ids[row] + values * mean) / (values + 1)
        np.testing.assert_allclose(bundle.item_embeddings[row], expected, atol=1e-6)


def test_without_side_features_there_are_no_tables(tagged: Checkpoint, tmp_path: Path) -> None:
    vocabulary = replace(tagged.vocabulary, feature_fields={}, item_features=np.zeros((4, 0), dtype=np.int64))
    model = new_model(tagged.model.config, vocabulary)
    bundle = export(replace(tagged, model=model, vocabulary=vocabulary), tmp_path, progress=False)
    check(bundle)
    assert np.load(bundle.path / FEATURES).files == ["price_edges"]
    np.testing.assert_array_equal(bundle.item_embeddings, model.items.ids.weight.detach().numpy())


@pytest.fixture
def other_weights(checkpoint: Checkpoint) -> Iterator[torch.nn.Parameter]:
    """A parameter of the model that a test may change; it is put back."""
    parameter = checkpoint.model.extractor.get_parameter("maps")
    before = parameter.detach().clone()
    with torch.no_grad():
        yield parameter
        parameter.copy_(before)


def test_parity_notices_another_model(
    other_weights: torch.nn.Parameter, checkpoint: Checkpoint, extractor: Extractor
) -> None:
    check_parity(checkpoint, extractor)
    other_weights[0, 0].add_(0.1)
    with pytest.raises(
        BundleError, match=r"extractor\.onnx: capsules differ from torch's by .* at most 1e-05 is right"
    ):
        check_parity(checkpoint, extractor)


def test_parity_notices_what_is_no_number(
    other_weights: torch.nn.Parameter, checkpoint: Checkpoint, extractor: Extractor
) -> None:
    other_weights.fill_(math.nan)
    with pytest.raises(BundleError, match="differ from torch's by inf"):
        check_parity(checkpoint, extractor)


def test_an_export_that_fails_leaves_nothing_to_publish(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "PARITY", -PARITY)
    with pytest.raises(BundleError, match="differ from torch's"):
        export(checkpoint, tmp_path, progress=False)
    [folder] = tmp_path.iterdir()
    with pytest.raises(BundleError, match=r"manifest\.json: lists no extractor\.onnx"):
        Registry(tmp_path / "models").publish(folder)


# Faults


@pytest.fixture
def copied(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the bundle, to be spoilt."""
    return shutil.copytree(bundle.path, tmp_path / bundle.version)


def relist(path: Path, **changes: Any) -> None:
    """Let the manifest list the files as they now are, so that what is wrong in them must be noticed otherwise."""
    manifest = replace(Bundle(path).manifest, **changes)
    write_manifest(path, replace(manifest, files={name: describe_file(path / name) for name in manifest.files}))


def test_a_whole_bundle_passes(copied: Path) -> None:
    check(Bundle(copied))
    relist(copied)
    check(Bundle(copied))


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_file_is_named(name: str, copied: Path) -> None:
    size = (copied / name).stat().st_size
    (copied / name).unlink()
    refused(copied, f"{copied / name} is missing; the manifest lists it with {size} bytes")


@pytest.mark.parametrize("name", REQUIRED)
def test_a_file_that_was_cut_off_is_named(name: str, copied: Path) -> None:
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[:-1])
    refused(copied, f"{copied / name} has {len(content) - 1} bytes; the manifest says {len(content)}")


@pytest.mark.parametrize("name", REQUIRED)
def test_a_changed_byte_is_noticed(name: str, copied: Path) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    refused(copied, f"{copied / name} was changed: SHA-256 {hashlib.sha256(content).hexdigest()}; the manifest says")


def refused(path: Path, message: str) -> None:
    """The bundle does not pass, for this reason; it is not published either."""
    with pytest.raises(BundleError, match=re.escape(message)):
        check(Bundle(path))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "is not a bundle: it has no manifest.json"),
        ("{", "manifest.json is not JSON: "),
        ("[1]", "manifest.json: schema is None; this version of Mindstream reads schemas 1 and 2"),
        ('{"version": "a"}', "manifest.json: schema is None; this version of Mindstream reads schemas 1 and 2"),
        ('{"schema": 3}', "manifest.json: schema is 3; this version of Mindstream reads schemas 1 and 2"),
        ('{"schema": 1}', "manifest.json: "),
    ],
)
def test_a_manifest_that_is_none(content: str | None, fault: str, copied: Path) -> None:
    (copied / MANIFEST).unlink() if content is None else (copied / MANIFEST).write_text(content)
    refused(copied, fault)


def test_a_manifest_that_does_not_list_a_file(copied: Path) -> None:
    manifest = Bundle(copied).manifest
    del manifest.files[GOLDEN]
    write_manifest(copied, manifest)
    refused(copied, f"{copied / MANIFEST}: lists no golden.json, which every bundle has")


def spoil_array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    return lambda path: np.save(path / name, change(np.load(path / name)))


def spoil_json(name: str, change: Callable[[Any], object]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        content = json.loads((path / name).read_text())
        change(content)
        (path / name).write_text(json.dumps(content))

    return spoil


def with_one(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array[3, 1] = value
        return array

    return change


def drop_an_output(path: Path) -> None:
    graph = onnx.load(path / EXTRACTOR)
    [output] = [node for node in graph.graph.output if node.name == "routing_weights"]
    graph.graph.output.remove(output)
    onnx.save(graph, path / EXTRACTOR)


def another_graph(path: Path) -> None:
    write_graph(untrained(replace(preset(DEFAULT).model, dim=8, num_interests=3, history_length=20)), path / EXTRACTOR)


@pytest.mark.parametrize(
    ("spoil", "name", "fault"),
    [
        (spoil_array(ITEM_EMBEDDINGS, lambda a: a[:, 1:]), ITEM_EMBEDDINGS, "has shape (600, 15); right is (600, 16)"),
        (spoil_array(ITEM_EMBEDDINGS, lambda a: a[1:]), ITEM_EMBEDDINGS, "has shape (599, 16); right is (600, 16)"),
        (spoil_array(ROUTING_LOGITS, lambda a: a[:, :3]), ROUTING_LOGITS, "has shape (600, 3); right is (600, 4)"),
        (spoil_array(ITEM_EMBEDDINGS, with_one(math.nan)), ITEM_EMBEDDINGS, "holds NaN or infinite numbers"),
        (spoil_array(ROUTING_LOGITS, with_one(math.inf)), ROUTING_LOGITS, "holds NaN or infinite numbers"),
        (drop_an_output, EXTRACTOR, "outputs ['capsules', 'interest_mask']; right are"),
        (another_graph, EXTRACTOR, "is made for dim 8 and num_interests 3; the manifest says 16 and 4"),
        (lambda path: (path / EXTRACTOR).write_text("no graph"), EXTRACTOR, "cannot be loaded: "),
    ],
)  # fmt: skip
def test_faults_in_files_that_are_whole(spoil: Callable[[Path], None], name: str, fault: str, copied: Path) -> None:
    spoil(copied)
    relist(copied)
    with pytest.raises(BundleError, match=rf"{re.escape(str(copied / name))}.*{re.escape(fault)}"):
        check(Bundle(copied))


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_json(GOLDEN, lambda cases: cases[-1]["capsules"][0].__setitem__(0, 9.0)),
        spoil_json(GOLDEN, lambda cases: cases[-1]["capsules"][0].__setitem__(0, math.nan)),
        spoil_json(GOLDEN, lambda cases: cases[-1]["capsules"].pop()),
        spoil_json(GOLDEN, lambda cases: [capsule.pop() for capsule in cases[-1]["capsules"]]),
        spoil_array(ITEM_EMBEDDINGS, lambda a: a[::-1]),
        spoil_array(ROUTING_LOGITS, lambda a: a[::-1]),
    ],
)
def test_files_that_do_not_belong_together(spoil: Callable[[Path], None], copied: Path) -> None:
    spoil(copied)
    relist(copied)
    with pytest.raises(
        BundleError, match=r"a golden history of \d+ behaviours gives other capsules than golden\.json says"
    ):
        check(Bundle(copied))


def test_a_graph_without_the_profile_that_the_manifest_has_not(copied: Path) -> None:
    relist(copied, profile_fields={})
    refused(copied, "has inputs ['behaviours', 'gaps', 'mask', 'profile', 'routing_logits', 'types']")


def test_a_file_is_not_a_bundle(tmp_path: Path) -> None:
    file = tmp_path / "shop.parquet"
    file.write_bytes(b"a log")
    with pytest.raises(BundleError, match=r"shop\.parquet is not a bundle: it is no folder"):
        Bundle(file)


def test_a_path_may_be_text(bundle: Bundle, tmp_path: Path) -> None:
    """`Bundle("bundles/v1")` is what people write first."""
    opened = Bundle(str(bundle.path))
    assert (opened.path, opened.manifest) == (bundle.path, bundle.manifest)
    assert opened.item_embeddings.shape == bundle.item_embeddings.shape
    assert Extractor(str(bundle.path)).length == Extractor(bundle.path).length == bundle.manifest.history_length
    registry = Registry(str(tmp_path / "models"))
    assert registry.publish(str(bundle.path)).path == tmp_path / "models" / bundle.version
    assert registry.current().version == bundle.version
    with pytest.raises(BundleError, match=r"^nowhere is not a bundle: there is no such folder"):
        Bundle("nowhere")
