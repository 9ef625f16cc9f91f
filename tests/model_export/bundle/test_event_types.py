"""Event types in the graph: by hand, from the log to the served capsule, and what a bundle says of them."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model_export.bundle.bundle import GOLDEN, MANIFEST, Bundle, BundleError, describe_file
from model_export.bundle.check import check
from model_export.bundle.extractor import Extractor
from model_export.export.bundle_writer import export
from model_export.export.parity import largest_difference, random_histories
from model_export.models.checkpoint import Checkpoint
from model_export.models.presets import preset
from model_export.models.steady import SteadyExtractor
from tests.support.bundles.untrained import untrained


def test_a_type_weighs_its_behaviours_by_hand() -> None:
    """Two orthogonal behaviours of one slot without prior: those of type 2 count three times."""
    model = SteadyExtractor(replace(preset("steady").model, dim=2, num_interests=1, history_length=3), [])
    with torch.no_grad():
        model.prior.zero_()
        assert model.type_weights is not None
        model.type_weights[0, 2] = math.log(3)
    e = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    mask, logits = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 1, 2)
    for types, expected in (([2, 0], [3, 1]), ([0, 2], [1, 3]), ([2, 2], [1, 1]), ([0, 1], [1, 1])):
        capsules, _, _ = model.eval()(e, mask, logits, types=torch.tensor([types]))
        assert capsules[0, 0].tolist() == pytest.approx((np.array(expected) / math.hypot(*expected)).tolist())


@pytest.fixture(scope="module")
def typed() -> Checkpoint:
    """A model whose weights of types were moved away from their start."""
    torch.manual_seed(1)
    checkpoint = untrained(replace(preset("steady").model, dim=16, history_length=20))
    with torch.no_grad():
        torch.nn.init.normal_(checkpoint.model.extractor.get_parameter("type_weights"))
    return replace(checkpoint, histories=[(["item-001", "item-002"], [1, 2], ["buy", "view"])])


@pytest.fixture(scope="module")
def bundle(typed: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(typed, tmp_path_factory.mktemp("typed"), progress=False)


def test_served_capsules_follow_the_types_as_torchs_do(typed: Checkpoint, bundle: Bundle) -> None:
    check(bundle)
    extractor = Extractor(bundle)
    assert largest_difference(typed, extractor, random_histories(typed, 100)) < 1e-5
    history = bundle.item_ids[:3]
    nobody, unknown, foreign, bought, late = extractor.encode(
        [history] * 5,
        types=[["", "", ""], ["", "", ""], ["wish", "", "scroll"], ["buy", "view", "view"], ["view", "view", "buy"]],
    )
    assert np.array_equal(extractor.encode([history])[0].vectors, nobody.vectors)
    assert np.array_equal(foreign.vectors, unknown.vectors)
    for one, other in ((bought, unknown), (bought, late)):
        assert np.abs(one.vectors - other.vectors).max() > 1e-3
    # Items that the bundle does not know take no other's type.
    with_unknown = extractor.encode(
        [["?", *history[:1], "?", *history[1:]]], types=[["view", "buy", "buy", "view", "view"]]
    )
    assert np.array_equal(with_unknown[0].vectors, bought.vectors)
    [weights] = extractor.routing_weights([history], types=[["buy", "view", "view"]])
    assert weights.shape == (4, 3)


def test_a_bundle_says_its_types_and_its_golden_histories_have_them(bundle: Bundle) -> None:
    assert bundle.manifest.event_types == ["buy", "cart", "view"]
    golden = json.loads((bundle.path / GOLDEN).read_text())
    assert golden[0]["event_types"] == ["buy", "view"]
    assert all(len(case["event_types"]) == len(case["history"]) for case in golden)
    assert {name for case in golden for name in case["event_types"]} == {"", "buy", "cart", "view"}


def test_a_bundle_without_types_says_nothing_of_them(tmp_path: Path) -> None:
    plain = untrained(replace(preset("steady").model, dim=16, history_length=20, types=False))
    bundle = export(plain, tmp_path, progress=False)
    extractor, history = Extractor(bundle), bundle.item_ids[:3]
    assert (bundle.manifest.event_types, extractor.reads_types) == ([], False)
    assert "event_types" not in json.loads((bundle.path / GOLDEN).read_text())[0]
    with_types, without = (extractor.encode([history], types=types)[0] for types in ([["buy", "view", "view"]], None))
    assert with_types.vectors.tobytes() == without.vectors.tobytes()


@pytest.mark.parametrize(
    ("event_types", "message"),
    [
        ([], r"right are \['behaviours', 'mask', 'profile', 'routing_logits'\]"),
        (["buy", "Cart"], r"event_types is .*right is a list of different texts in lower case, none of them empty"),
        (["buy", "buy"], "event_types is"),
        ([""], "event_types is"),
        ("buy", "event_types is"),
        ([f"type {number}" for number in range(40)], "cannot be run"),
    ],
    ids=["none", "upper case", "twice", "empty", "no list", "more than the graph has"],
)
def test_types_that_do_not_fit_the_graph_are_refused(
    event_types: object, message: str, bundle: Bundle, tmp_path: Path
) -> None:
    """Never read as something else: a row of another type, or none."""
    path = tmp_path / bundle.version
    path.mkdir()
    for file in bundle.path.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps(manifest | {"event_types": event_types}))
    assert describe_file(path / GOLDEN) == manifest["files"][GOLDEN]
    with pytest.raises(BundleError, match=message):
        check(Bundle(path))
