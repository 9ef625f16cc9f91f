"""The gate: measured on the same held-out users for both bundles, and it says what it objects to."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mindstream.commands.model import app
from model_export.bundle.bundle import ITEM_EMBEDDINGS, Bundle, BundleError, describe_file, write_manifest
from model_export.bundle.extractor import Extractor
from model_export.bundle.registry import Registry
from model_export.data.dataset import build_sequences
from model_export.data.interactions import InteractionLog
from model_export.data.simulator import SimulatedShop
from model_export.evaluation.cases import comirec_cases
from model_export.evaluation.gate import Gate, apply_gate, held_out_users, hit_rate, recall_objections
from model_export.evaluation.metrics import metrics_per_case
from model_export.evaluation.model_ranker import rank_by_model
from model_export.evaluation.split import split_of
from model_export.models.checkpoint import Checkpoint
from model_export.readers import write_table


@pytest.fixture
def worse(bundle: Bundle, tmp_path: Path) -> Bundle:
    """The same bundle with its items' embeddings exchanged: it recommends wrong ones, and knows nothing else."""
    path = shutil.copytree(bundle.path, tmp_path / "worse")
    np.save(path / ITEM_EMBEDDINGS, np.roll(bundle.item_embeddings, 300, axis=0))
    return relisted(path, version="worse", repeat_bonus=[], blend={})


def relisted(path: Path, **changes: object) -> Bundle:
    """The manifest as the files now are."""
    manifest = Bundle(path).manifest
    files = {name: describe_file(path / name) for name in manifest.files}
    write_manifest(path, replace(manifest, files=files, **changes))  # type: ignore[arg-type]
    return Bundle(path)


def test_it_asks_the_validation_users_as_training_does(
    bundle: Bundle, checkpoint: Checkpoint, shop: SimulatedShop
) -> None:
    """HR@50 by ONNX Runtime and ids is what torch says of the same cases."""
    sequences = build_sequences(shop.log, checkpoint.vocabulary)
    users = split_of(checkpoint.training, sequences.user_ids).valid
    cases = comirec_cases(sequences, users, bundle.manifest.history_length)
    expected = metrics_per_case(
        rank_by_model(checkpoint.model, cases, 50, neighbours=checkpoint.neighbours), cases.labels
    )["hr@50"].mean()
    held_out = held_out_users(shop.log, bundle.manifest.history_length)
    assert len(held_out.histories) == len(users)
    assert any(held_out.profiles)
    assert hit_rate(bundle, held_out) == pytest.approx(expected, abs=1e-9)


def test_what_a_bundle_does_not_know_is_missed(bundle: Bundle, shop: SimulatedShop) -> None:
    events = shop.log.events.assign(item_id="new-" + shop.log.events.item_id.astype("str"))
    items = shop.log.items.assign(item_id="new-" + shop.log.items.item_id.astype("str"))
    assert hit_rate(bundle, held_out_users(InteractionLog(events, items, shop.log.profiles, "new"), 20)) == 0


def test_both_bundles_are_asked_the_same(bundle: Bundle, worse: Bundle, shop: SimulatedShop) -> None:
    forth = apply_gate(worse, bundle, Gate(max_drop=0.05), shop.log)
    back = apply_gate(bundle, worse, Gate(max_drop=0.0), shop.log)
    assert (forth.hr, forth.current_hr, forth.cases) == (back.current_hr, back.hr, back.cases)
    assert forth.hr is not None
    assert forth.current_hr is not None
    assert forth.hr < 0.9 * forth.current_hr
    [objection] = forth.objections
    assert re.fullmatch(
        rf"HR@50 is {forth.hr:.4f}, \d+\.\d% below the current bundle's {forth.current_hr:.4f}; "
        r"at most 5\.0% is right \(--max-drop\)",
        objection,
    )
    assert back.objections == ()
    assert apply_gate(bundle, bundle, Gate(max_drop=0.0), shop.log).objections == ()
    [least] = apply_gate(worse, None, Gate(min_hr=forth.hr + 0.001, max_drop=0.0), shop.log).objections
    assert least == f"HR@50 is {forth.hr:.4f}; at least {forth.hr + 0.001} is right (--min-hr)"


@pytest.mark.parametrize(
    ("index", "objection"),
    [
        ({}, None),
        ({"kind": "exact"}, None),
        ({"kind": "hnsw", "ef": 40, "recall": {"10": 0.999, "100": 0.95}}, None),
        ({"kind": "hnsw", "ef": 40, "recall": {"10": 0.999, "100": 0.94}}, "recall@100 of the HNSW index is 0.94;"),
        ({"kind": "hnsw", "ef": 40, "recall": {"10": float("nan")}}, "recall@10 of the HNSW index is nan;"),
        ({"kind": "hnsw", "ef": 40}, "the manifest records no recall of the HNSW index"),
        ({"kind": "hnsw", "ef": 40, "recall": {}}, "the manifest records no recall of the HNSW index"),
    ],
)  # fmt: skip
def test_the_recall_of_the_index(
    index: dict[str, object], objection: str | None, bundle: Bundle, tmp_path: Path
) -> None:
    path = shutil.copytree(bundle.path, tmp_path / "indexed")
    found = recall_objections(relisted(path, index=index), 0.95)
    assert [one.startswith(objection or "") for one in found] == [True] * (objection is not None)


def test_mistakes(bundle: Bundle, shop: SimulatedShop) -> None:
    with pytest.raises(ValueError, match="min_hr is 25; it must be a share from 0 to 1"):
        Gate(min_hr=25)
    with pytest.raises(ValueError, match=r"measured on a log \(--log\); none is given"):
        apply_gate(bundle, None, Gate(min_hr=0.1), None)
    one = shop.log.events.drop_duplicates("user_id")
    with pytest.raises(ValueError, match=r"none of its \d+ validation users has two behaviours or more"):
        held_out_users(InteractionLog(one, shop.log.items, shop.log.profiles, "short"), 20)


def test_publish_refuses_what_the_gate_objects_to(
    bundle: Bundle, worse: Bundle, shop: SimulatedShop, tmp_path: Path
) -> None:
    log, models = tmp_path / "log.parquet", tmp_path / "models"
    write_table(shop.log, log)
    Registry(models).publish(bundle.path)
    line = ["publish", str(worse.path), "--models", str(models), "--log", str(log), "--max-drop", "0.1"]
    with pytest.raises(BundleError, match="do not belong together"):  # it is checked in full before anybody compares
        CliRunner().invoke(app, line, catch_exceptions=False)
    golden(worse)
    refused = CliRunner().invoke(app, line)
    assert refused.exit_code == 1
    assert "refused: worse: HR@50 is " in refused.stderr
    assert refused.stdout.startswith("HR@50 ")
    assert Registry(models).current_version() == bundle.version
    forced = CliRunner().invoke(app, [*line, "--force"])
    assert (forced.exit_code, forced.stdout.splitlines()[-1]) == (0, "current model: worse")
    assert "forced: worse: HR@50 is " in forced.stderr
    assert Registry(models).pointer() == ["worse", bundle.version]


def golden(bundle: Bundle) -> None:
    """Let the golden capsules be those that the bundle gives."""
    history = bundle.item_ids[:5]
    [capsules] = Extractor(bundle).encode([history])
    cases = [{"history": history, "capsules": capsules.vectors.tolist()}]
    (bundle.path / "golden.json").write_text(json.dumps(cases))
    relisted(bundle.path)
