"""Serving: ONNX Runtime computes what torch does, the same bit for bit in any batch, and says what made what."""

import hashlib
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from model_export.bundle.bundle import EXTRACTOR, Bundle, draw_routing_logits
from model_export.bundle.extractor import BEHAVIOURS, Capsules, Extractor
from model_export.export.bundle_writer import export
from model_export.export.onnx_graph import write_graph
from model_export.export.parity import largest_difference, random_histories
from model_export.models.checkpoint import Checkpoint
from model_export.models.model_config import ModelConfig
from model_export.models.presets import DEFAULT, preset
from tests.support.bundles.untrained import untrained


@pytest.fixture(scope="module")
def extractor(bundle: Bundle) -> Extractor:
    return Extractor(bundle)


@pytest.fixture(scope="module")
def histories(checkpoint: Checkpoint) -> list[list[str]]:
    """Random histories of 0 to 24 behaviours; the model reads 20."""
    return random_histories(checkpoint, 130)


@pytest.fixture(scope="module")
def profiles(bundle: Bundle) -> list[dict[str, str]]:
    """A random profile for each history; some values and fields are unknown."""
    rng = np.random.default_rng(1)
    fields = bundle.manifest.profile_fields
    return [
        {name: str(rng.choice([*values, "what?"])) for name, values in fields.items() if rng.random() < 0.8}
        for _ in range(130)
    ]


def identical(one: list[Capsules], other: list[Capsules]) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(getattr(a, part), getattr(b, part))
        for a, b in zip(one, other, strict=True)
        for part in ("vectors", "importance")
    )


def test_served_capsules_are_those_of_torch(checkpoint: Checkpoint, extractor: Extractor) -> None:
    histories = random_histories(checkpoint, 1_000)
    lengths = {len(history) for history in histories}
    assert lengths == set(range(25))
    assert largest_difference(checkpoint, extractor, histories) < 1e-5


def test_served_capsules_are_those_of_torch_for_every_profile(
    checkpoint: Checkpoint, extractor: Extractor, histories: list[list[str]], profiles: list[dict[str, str]]
) -> None:
    model, bundle = checkpoint.model.eval(), extractor.bundle
    table, logits = model.item_table().detach(), torch.from_numpy(np.array(bundle.routing_logits))
    served = extractor.encode(histories, profiles)
    for history, profile, capsules in zip(histories, profiles, served, strict=True):
        rows = torch.tensor([[bundle.rows[item] for item in history[-20:]]], dtype=torch.int64)
        fields = bundle.manifest.profile_fields.items()
        values = [[known.index(profile[name]) + 1 if profile.get(name) in known else 0 for name, known in fields]]
        with torch.no_grad():
            expected, active, _ = model.extractor(
                table[rows], torch.ones_like(rows).bool(), logits[rows].transpose(1, 2), torch.tensor(values)
            )
        np.testing.assert_allclose(capsules.vectors, expected[active].numpy(), rtol=0, atol=1e-5)


def test_a_trained_models_sharp_routing_is_served_as_torch_computes_it(tmp_path: Path) -> None:
    """With long vectors behaviours decide firmly, and rounding can change how: single precision fails here."""
    torch.manual_seed(1)
    sharp = untrained(ModelConfig(dim=16, num_interests=4, routing_iterations=6, map_gain=64.0), ())
    model = sharp.model.extractor.eval()
    write_graph(sharp, tmp_path / EXTRACTOR)
    session = raw_session(tmp_path / EXTRACTOR)
    behaviours, logits = torch.randn(400, 40, 16), torch.randn(400, 4, 40)
    mask = torch.arange(40) < torch.arange(400)[:, None] % 41
    with torch.no_grad():
        expected = model(behaviours, mask, logits)
    served = session.run(
        None, {"behaviours": behaviours.numpy(), "mask": mask.numpy(), "routing_logits": logits.numpy()}
    )
    for one, other in zip(expected, served, strict=True):
        np.testing.assert_allclose(other, one.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("model", ["mind", "steady"])
def test_a_capsule_that_nothing_flows_into_is_served_as_numbers(model: str, tmp_path: Path) -> None:
    one = untrained(replace(preset(model).model, dim=16, num_interests=4, history_length=20, hidden=32))
    write_graph(one, tmp_path / EXTRACTOR)
    logits = np.zeros((1, 4, 20), dtype=np.float32)
    logits[:, 2] = -1e6  # the third capsule is the user's, but no behaviour takes part in it
    inputs = {
        "behaviours": np.ones((1, 20, 16), dtype=np.float32),
        "mask": np.arange(20)[None] < 9,  # three capsules of MIND
        "routing_logits": logits,
        "profile": np.zeros((1, 2), dtype=np.int64),
    }
    if one.model.config.time_gaps:
        inputs["gaps"] = np.zeros((1, 20), dtype=np.int64)
    if one.model.config.types:
        inputs["types"] = np.zeros((1, 20), dtype=np.int64)
    capsules, active, weights = raw_session(tmp_path / EXTRACTOR).run(None, inputs)
    with torch.no_grad():
        expected, _, _ = one.model.extractor.eval()(*map(torch.from_numpy, inputs.values()))
    assert active.tolist() == [[True, True, True, model == "steady"]]
    assert weights[0, 2].tolist() == [0] * 20
    np.testing.assert_allclose(capsules, expected.numpy(), rtol=0, atol=1e-5)
    if model == "mind":
        assert capsules[0, 3].tolist() == [0] * 16  # zero, not NaN, where unused


def raw_session(file: Path) -> Any:
    """ONNX Runtime on a graph, for inputs that no bundle would give."""
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


# Serving


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_capsules_are_the_same_bit_for_bit_in_batches_of_any_size(
    size: int, extractor: Extractor, histories: list[list[str]], profiles: list[dict[str, str]]
) -> None:
    together = extractor.encode(histories, profiles)
    in_batches = [
        capsules
        for at in range(0, len(histories), size)
        for capsules in extractor.encode(histories[at : at + size], profiles[at : at + size])
    ]
    assert identical(in_batches, together)


@pytest.mark.parametrize("interests", [1, 3])
def test_so_they_are_where_a_users_numbers_begin_anywhere_in_memory(interests: int, tmp_path: Path) -> None:
    config = replace(preset(DEFAULT).model, num_interests=interests, dim=64, history_length=50)
    checkpoint = untrained(config, items=100)
    for weight in checkpoint.model.extractor.parameters():
        torch.nn.init.normal_(weight, std=0.3)  # what begins as ones and zeros rounds nothing
    extractor = Extractor(export(checkpoint, tmp_path, progress=False))
    rng = np.random.default_rng(1)
    users = [rng.choice(extractor.bundle.item_ids, rng.integers(1, 60)).tolist() for _ in range(100)]
    times = [np.sort(rng.integers(10**11, size=len(user))).tolist() for user in users]
    alone = [extractor.encode([user], times_ms=[when]) for user, when in zip(users, times, strict=True)]
    assert identical([capsules for [capsules] in alone], extractor.encode(users, times_ms=times))


def test_a_time_that_is_asked_for_needs_the_times_of_the_behaviours(extractor: Extractor) -> None:
    with pytest.raises(ValueError, match="asked_ms is given without times_ms; right is both"):
        extractor.encode([extractor.bundle.item_ids[:1]], asked_ms=[5])


def test_capsules_do_not_depend_on_who_else_is_in_the_batch(
    extractor: Extractor, histories: list[list[str]], profiles: list[dict[str, str]]
) -> None:
    order = np.random.default_rng(1).permutation(130)
    straight = extractor.encode(histories, profiles)
    shuffled = extractor.encode([histories[i] for i in order], [profiles[i] for i in order])
    assert identical(shuffled, [straight[i] for i in order])


def test_more_users_than_one_run_takes_keep_their_order(
    extractor: Extractor, histories: list[list[str]], profiles: list[dict[str, str]]
) -> None:
    many = BEHAVIOURS // 130
    assert identical(extractor.encode(many * histories, many * profiles), many * extractor.encode(histories, profiles))
    assert extractor.encode([]) == []


def test_a_history_is_padded_to_the_next_power_of_two_or_what_the_model_reads(
    extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []
    run = extractor.run

    def noted(rows: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
        shapes.append(rows.shape)
        return run(rows, *others)

    monkeypatch.setattr(extractor, "run", noted)
    extractor.encode([extractor.bundle.item_ids[:1] * behaviours for behaviours in (20, 9, 1, 30, 8, 16, 0)])
    assert shapes == [(3, 8), (2, 16), (2, 20)]


def test_capsules_come_in_half_precision_where_that_keeps_their_digits(
    extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second user's capsules are made a hundred million times as large, which half precision does not hold."""
    run, larger = extractor.run, np.array([1, 1e8, 1], dtype=np.float32)[:, None, None]

    def scaled(*inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        vectors, *others = run(*inputs)
        return vectors * larger, *others

    monkeypatch.setattr(extractor, "run", scaled)
    histories = [extractor.bundle.item_ids[:number] for number in (3, 4, 5)]
    whole, halved = extractor.encode(histories), extractor.encode(histories, half=True)
    assert [one.vectors.dtype.itemsize for one in halved] == [2, 4, 2]
    assert [one.importance.dtype.itemsize for one in halved] == [2, 4, 2]
    for one, half in zip(whole, halved, strict=True):
        assert np.array_equal(half.vectors, one.vectors.astype(half.vectors.dtype))
        assert np.array_equal(half.importance, one.importance.astype(half.importance.dtype))


def test_a_graph_that_is_made_for_one_length_gets_that(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.path, tmp_path / "fixed")
    graph = onnx.load(tmp_path / "fixed" / EXTRACTOR)
    for one in graph.graph.input:
        for dimension in one.type.tensor_type.shape.dim:
            if dimension.dim_param == "length":
                dimension.dim_value = 20
    onnx.save(graph, tmp_path / "fixed" / EXTRACTOR)
    [short] = Extractor(Bundle(tmp_path / "fixed")).encode([bundle.item_ids[:3]])
    [padded] = Extractor(bundle).encode([bundle.item_ids[:3]])
    assert np.allclose(short.vectors, padded.vectors, atol=1e-5)


@pytest.fixture(scope="module")
def adaptive(tmp_path_factory: pytest.TempPathFactory) -> Extractor:
    """MIND: the longer the history, the more capsules."""
    config = ModelConfig(dim=16, num_interests=4, history_length=20, hidden=8)
    return Extractor(export(untrained(config, items=100), tmp_path_factory.mktemp("adaptive"), progress=False))


@pytest.mark.parametrize(
    ("behaviours", "capsules"), [(0, 0), (1, 1), (3, 1), (4, 2), (7, 2), (8, 3), (15, 3), (16, 4), (20, 4), (90, 4)]
)
def test_unused_capsules_are_dropped(behaviours: int, capsules: int, adaptive: Extractor, extractor: Extractor) -> None:
    for serving, expected in ((adaptive, capsules), (extractor, 4 if behaviours else 0)):
        history = serving.bundle.item_ids[:behaviours]
        [found, same] = serving.encode([history, ["?", *history, "?", "?"]])
        assert found.vectors.shape == same.vectors.shape == (expected, 16)
        assert found.importance.shape == (expected,)
        assert serving.routing_weights([history])[0].shape == (expected, behaviours)
        assert found.vectors.dtype == found.importance.dtype == np.float32
        assert found.model_version == serving.bundle.version
        assert (np.abs(found.vectors).sum(1) > 0).all()


def test_routing_weights_stand_where_the_behaviours_stand(extractor: Extractor) -> None:
    ids = extractor.bundle.item_ids
    history = [ids[5], "unknown", ids[7], ids[5], ids[9], "unknown", *ids[20:25]]
    known = [0, 2, 3, 4, 6, 7, 8, 9, 10]
    histories = [history, [history[i] for i in known], history[::-1]]
    [found, without, _] = extractor.encode(histories)
    [weights, of_known, backwards] = extractor.routing_weights(histories)
    np.testing.assert_array_equal(found.vectors, without.vectors)
    np.testing.assert_array_equal(weights[:, known], of_known)
    assert (weights[:, [1, 5]] == 0).all()
    np.testing.assert_allclose(weights[:, known].sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(found.importance, weights.sum(1) / len(known), atol=1e-6)
    # The order of the behaviours says nothing, and the same item flows the same way wherever it stands.
    np.testing.assert_allclose(weights[:, 0], weights[:, 3], atol=1e-6)
    np.testing.assert_allclose(backwards[:, ::-1], weights, atol=1e-5)
    assert np.ptp(weights[:, known], axis=1).min() > 0.01  # else being aligned would mean nothing


def test_the_most_recent_behaviours_count(extractor: Extractor) -> None:
    ids = extractor.bundle.item_ids
    history = [*ids[50:57], "unknown", *ids[:20]]  # L is 20; what is unknown does not use it up
    [found, recent] = extractor.encode([history, ids[:20]])
    np.testing.assert_array_equal(found.vectors, recent.vectors)
    [weights, of_recent] = extractor.routing_weights([history, ids[:20]])
    np.testing.assert_array_equal(weights[:, 8:], of_recent)
    assert (weights[:, :8] == 0).all()


def test_importance_sums_to_one(extractor: Extractor, histories: list[list[str]]) -> None:
    sums = [capsules.importance.sum() for capsules in extractor.encode(histories) if len(capsules.importance)]
    np.testing.assert_allclose(sums, 1, atol=1e-6)


def test_what_is_unknown_of_a_profile_counts_as_unknown(extractor: Extractor) -> None:
    history = extractor.bundle.item_ids[:20]
    north, nowhere, other_field, nothing = extractor.encode(
        [history] * 4, [{"region": "north"}, {"region": "atlantis"}, {"planet": "north"}, {}]
    )
    assert identical([nowhere, other_field], [nothing, nothing])
    assert identical(extractor.encode([history]), [nothing])
    assert not identical([north], [nothing])


# Routing logits


def test_routing_logits_are_fixed_by_the_item_id() -> None:
    # Were these to change, the stored capsules of every user would no longer be those of the bundle.
    pinned = [[6.3032961, 4.0050092], [9.3379040, -4.4509931]]
    np.testing.assert_allclose(draw_routing_logits(["item-1", "Füllfeder"], 2, 4.0), pinned, rtol=1e-7)
    drawn = draw_routing_logits(["a", "b", "c"], 5, 1.0)
    assert drawn.dtype == np.float32
    np.testing.assert_array_equal(draw_routing_logits(["c", "a"], 5, 1.0), drawn[[2, 0]])
    np.testing.assert_array_equal(draw_routing_logits(["b"], 3, 1.0), drawn[1:2, :3])
    np.testing.assert_allclose(draw_routing_logits(["b"], 5, 2.5), 2.5 * drawn[1:2], rtol=1e-6)
    assert draw_routing_logits([], 5, 1.0).shape == (0, 5)


def test_routing_logits_are_the_box_muller_transform_of_a_hash() -> None:
    digest = hashlib.shake_128(b"mug").digest(8 * 12)
    for k, found in enumerate(draw_routing_logits(["mug"], 12, 3.0)[0]):
        one, two = (int.from_bytes(digest[at : at + 4], "little") for at in (8 * k, 8 * k + 4))
        radius, angle = math.sqrt(-2 * math.log((one + 0.5) / 2**32)), 2 * math.pi * (two + 0.5) / 2**32
        assert found == pytest.approx(3.0 * radius * math.cos(angle), rel=1e-6)


def test_routing_logits_are_gaussian() -> None:
    drawn = draw_routing_logits([f"item {number}" for number in range(5_000)], 12, 4.0) / 4
    assert np.abs(drawn.mean(0)).max() < 0.06  # four standard errors
    assert np.abs(drawn.std(0) - 1).max() < 0.04
    assert np.abs(np.corrcoef(drawn.T) - np.eye(12)).max() < 0.06
    for bound, share in ((1, 0.683), (2, 0.954), (3, 0.9973)):
        assert (np.abs(drawn) < bound).mean() == pytest.approx(share, abs=0.005)
