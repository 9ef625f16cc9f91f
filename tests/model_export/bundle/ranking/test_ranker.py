"""A ranker by hand: its scores by NumPy, several users of one run, and what a changed one is refused for."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_export.bundle.bundle import (
    GOLDEN,
    RANKER,
    RANKER_FILES,
    RANKER_ITEMS,
    TREND,
    Bundle,
    BundleError,
    describe_file,
    read_manifest,
    write_manifest,
)
from model_export.bundle.check import check
from model_export.bundle.ranking.feature_names import FEATURES
from model_export.bundle.ranking.ranker import RankedUser, Ranker, joined
from tests.support.bundles.ranked import HOUR_MS, ITEMS, TASKS, hand_made, write_linear_ranker


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return hand_made(tmp_path_factory.mktemp("made") / "ranked")


def user_of(seed: int, behaviours: int, candidates: int) -> RankedUser:
    rng = np.random.default_rng(seed)
    return RankedUser(
        history_rows=rng.integers(ITEMS, size=behaviours),
        times_ms=np.arange(behaviours) * HOUR_MS,
        types=[],
        profile={},
        capsules=np.ones((1, 4), dtype=np.float32),
        importance=np.ones(1, dtype=np.float32),
        asked_ms=behaviours * HOUR_MS,
        candidates=rng.integers(ITEMS, size=candidates),
        features=rng.normal(size=(candidates, len(FEATURES))).astype(np.float32),
    )


def right_scores(bundle: Bundle, user: RankedUser) -> np.ndarray:
    """The scores by NumPy: weighted features, and the products with the last behaviour's embedding."""
    table = np.concatenate([bundle.ranker_items, np.zeros((1, 2), dtype=np.float32)])
    last = table[user.history_rows[-1]] if len(user.history_rows) else 0 * table[0]
    columns = [
        sum(weight * user.features[:, FEATURES.index(name)] for name, weight in its.items()) for its in TASKS.values()
    ]
    return np.asarray(np.stack(columns, 1) + (table[user.candidates] @ last)[:, None])


def test_scores_are_those_by_hand_alone_and_together(made: Bundle) -> None:
    """Of users with none, few and more behaviours than are read, and one without candidates."""
    users = [user_of(0, 3, 5), user_of(1, 0, 5), user_of(2, 30, 5), user_of(3, 4, 9), user_of(4, 2, 0)]
    ranker = Ranker(made)
    together = ranker.score(users)
    for user, scores in zip(users, together, strict=True):
        assert scores.shape == (len(user.candidates), 2)
        assert scores == pytest.approx(right_scores(made, user)[: len(scores)] if len(scores) else scores, abs=1e-5)
        assert ranker.score([user])[0] == pytest.approx(scores, abs=1e-6)


def test_an_item_that_is_new_since_training_has_a_zero_embedding(made: Bundle) -> None:
    user = replace(user_of(0, 3, 2), candidates=np.array([3, ITEMS]))
    assert Ranker(made).score([user])[0] == pytest.approx(right_scores(made, user), abs=1e-5)


def test_every_input_has_its_form(made: Bundle) -> None:
    """Padding stands in front; gaps are of the moment that is asked about."""
    ranker = Ranker(made)
    ranker.reads = ("mask", "gaps", "types", "profile", "capsules")
    found = ranker.inputs([replace(user_of(0, 2, 1), times_ms=np.array([0, 3_000]), asked_ms=4_000)], 4)
    assert found["mask"].tolist() == [[False, False, True, True]]
    assert found["gaps"].tolist() == [[0, 0, 2, 1]]  # 4 s and 1 s: floor(log2(5)) and floor(log2(2))
    assert found["types"].tolist() == [[0] * 4]
    assert found["profile"].shape == (1, 0)
    assert found["capsules"].tolist() == [[[1.0] * 4]]


def test_tasks_join_by_their_weights(made: Bundle) -> None:
    settings = Ranker(made).settings
    assert settings.weights({}).tolist() == [0.5, 0.5]
    assert settings.weights({"buy": 3}).tolist() == [0.25, 0.75]
    assert joined(np.array([[1, 2], [3, 4]], dtype=np.float32), settings.weights({"buy": 3})).tolist() == [
        7 / 4,
        15 / 4,
    ]
    with pytest.raises(ValueError, match="tasks has 'rent'; the ranker by-hand has click, buy"):
        settings.weights({"rent": 1})
    with pytest.raises(ValueError, match="so no task of the ranker weighs anything"):
        settings.weights({"buy": 0, "click": 0})


def test_a_bundle_with_and_one_without_a_ranker_pass_the_check(made: Bundle, tmp_path: Path) -> None:
    check(made)
    without = hand_made(tmp_path / "plain", ranked=False)
    check(without)
    assert not any((without.path / name).exists() for name in RANKER_FILES)
    with pytest.raises(BundleError, match="has no ranker"):
        Ranker(without)


def list_anew(bundle: Bundle, name: str) -> None:
    """List a changed file as it is now, so that only what is in it can be wrong."""
    manifest = read_manifest(bundle.path)
    write_manifest(bundle.path, replace(manifest, files=manifest.files | {name: describe_file(bundle.path / name)}))


def other_ranker(bundle: Bundle) -> None:
    write_linear_ranker(bundle.path / RANKER, {"click": {"max_sim": 1.5}, "buy": {"log_popularity": 2.0}})
    list_anew(bundle, RANKER)


def other_golden_list(bundle: Bundle) -> None:
    cases = json.loads((bundle.path / GOLDEN).read_text())
    cases[-1]["ranked"]["scores"][0][0] += 0.1
    (bundle.path / GOLDEN).write_text(json.dumps(cases))
    list_anew(bundle, GOLDEN)


def no_golden_list(bundle: Bundle) -> None:
    cases = [{**case, "ranked": None} for case in json.loads((bundle.path / GOLDEN).read_text())]
    for case in cases:
        del case["ranked"]
    (bundle.path / GOLDEN).write_text(json.dumps(cases))
    list_anew(bundle, GOLDEN)


def with_array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Bundle], None]:
    def spoil(bundle: Bundle) -> None:
        np.save(bundle.path / name, change(np.load(bundle.path / name)))
        list_anew(bundle, name)

    return spoil


def with_setting(**changed: Any) -> Callable[[Bundle], None]:
    def spoil(bundle: Bundle) -> None:
        manifest = read_manifest(bundle.path)
        write_manifest(bundle.path, replace(manifest, ranker=manifest.ranker | changed))

    return spoil


def one_byte(bundle: Bundle) -> None:
    content = bytearray((bundle.path / RANKER).read_bytes())
    content[-1] ^= 1
    (bundle.path / RANKER).write_bytes(content)


FAULTS: dict[str, tuple[Callable[[Bundle], None], str]] = {
    "missing": (lambda bundle: (bundle.path / RANKER).unlink(), f"{RANKER} is missing"),
    "a byte of it changed": (one_byte, f"{RANKER} was changed"),
    "another ranker": (other_ranker, "a golden list of 20 candidates gets other scores than golden.json says"),
    "another golden list": (other_golden_list, "a golden list of 20 candidates gets other scores"),
    "no golden list": (no_golden_list, "has no ranked list"),
    "trends of others": (with_array(TREND, lambda trend: trend[:-1]), rf"{TREND} is float32 \(59,\); right is"),
    "NaN in its items": (with_array(RANKER_ITEMS, lambda table: table * np.nan), "holds NaN"),
    "other items": (with_array(RANKER_ITEMS, lambda table: table[::-1]), "gets other scores"),
    "a wider table": (with_setting(dim=3), "right is \\(60, 3\\)"),
    "an input that it has not": (with_setting(reads=["candidate_features"]), "says that it reads"),
    "an unknown input": (with_setting(reads=["weather"]), "reads 'weather'; right are behaviours, mask"),
    "features of another version": (with_setting(features=["luck"]), "this version of Mindstream computes"),
    "a weight too few": (with_setting(task_weights=[1.0]), "right is one for each"),
    "a weight that is no number": (with_setting(task_weights=[1.0, "much"]), "right is a list of numbers"),
    "a task twice": (with_setting(tasks=["buy", "buy"]), "right are different names"),
    "a third task": (with_setting(tasks=["a", "b", "c"], task_weights=[1.0] * 3), "of shape"),
    "an unknown setting": (with_setting(colour="red"), "has the name 'colour'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_refused(name: str, tmp_path: Path) -> None:
    spoil, said = FAULTS[name]
    bundle = hand_made(tmp_path / "ranked")
    spoil(bundle)
    with pytest.raises(BundleError, match=said):
        check(Bundle(bundle.path))
