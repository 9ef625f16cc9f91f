"""What items of a user's own history get on top of max-sim: by hand, and against all items scored one by one."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from index.recommend.recommender import Recommender
from model_export.bundle.bundle import Bundle, BundleError, write_manifest
from model_export.bundle.check import check
from model_export.bundle.extractor import Extractor
from model_export.bundle.scoring.own_items import own_items
from model_export.data.dataset import Sequences
from model_export.data.simulator import SimulatedShop
from model_export.evaluation import gate
from model_export.evaluation.cases import Cases
from model_export.evaluation.model_ranker import ModelRanker, rank_by_model
from model_export.models.checkpoint import Checkpoint
from model_export.models.interest_model import InterestModel
from model_export.models.presets import DEFAULT, preset
from model_export.training import own_item_tuning
from model_export.training.own_item_tuning import RAISES, set_repeat_bonus, tune_repeat_bonus
from model_export.training.train import repeated_share, train
from stream.events.position import Position
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState
from tests.support.bundles.untrained import untrained


def with_bonus(bundle: Bundle, bonus: list[float], folder: Path) -> Bundle:
    """A copy of a bundle with this repeat_bonus, and no neighbours."""
    path = Path(shutil.copytree(bundle.path, folder / bundle.path.name))
    write_manifest(path, replace(bundle.manifest, repeat_bonus=bonus, blend={}))
    return Bundle(path)


@pytest.fixture(scope="module")
def repeating(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The session's bundle, whose own items go up where they are recent, and down where they are old."""
    return with_bonus(bundle, np.linspace(0.5, -0.5, 20).tolist(), tmp_path_factory.mktemp("repeating"))


def state_of(bundle: Bundle, history: list[str]) -> UserState:
    times = list(range(1, len(history) + 1))
    [capsules] = Extractor(bundle).encode([history], times_ms=[times])
    kept = History(tuple(history), tuple(times), ("",) * len(history))
    return UserState("ann", kept, capsules, Position("life", 0, 0), {})


@pytest.fixture
def recommender(repeating: Bundle, tmp_path: Path) -> Recommender:
    return Recommender(repeating, LmdbStore(tmp_path / "state"))


def test_own_items_by_hand() -> None:
    bundle = cast(Bundle, SimpleNamespace(manifest=SimpleNamespace(repeat_bonus=[0.5, 0.25, -1.0])))
    rows, bonus = own_items(bundle, [2, 0, 1, 0])  # the last three
    assert rows.tolist() == [0, 1]
    assert bonus.tolist() == [0.5 - 1.0, 0.25]
    assert own_items(bundle, [1])[1].tolist() == [0.5]
    assert own_items(bundle, [])[0].tolist() == []
    bundle.manifest.repeat_bonus.clear()
    assert own_items(bundle, [0])[0].tolist() == []


def scores_one_by_one(bundle: Bundle, state: UserState) -> np.ndarray:
    """max_k v_k e_i + sum of r_age over the behaviours with item i, float64 (items,)."""
    scores = [max(float(v @ e) for v in state.capsules.vectors) for e in bundle.item_embeddings]
    for age, item_id in enumerate(reversed(state.history.item_ids)):
        if age < bundle.manifest.history_length:
            scores[bundle.rows[item_id]] += bundle.manifest.repeat_bonus[age]
    return np.array(scores)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [1, 7, 50, 600])
def test_candidates_are_the_best_of_all_items_scored_one_by_one(
    n: int, seed: int, recommender: Recommender, repeating: Bundle
) -> None:
    rng = np.random.default_rng(seed)
    history = rng.choice(repeating.item_ids[:40], rng.integers(1, 30)).tolist()  # some come twice
    state = state_of(repeating, history)
    scores = scores_one_by_one(repeating, state)
    found = recommender.recommend_for(state, n)
    assert len(set(found.item_ids)) == n
    np.testing.assert_allclose(found.scores, np.sort(scores)[::-1][:n], atol=1e-5)
    np.testing.assert_allclose(found.scores, scores[[repeating.rows[one] for one in found.item_ids]], atol=1e-5)


def test_own_items_that_may_not_come_do_not(recommender: Recommender, repeating: Bundle) -> None:
    history = repeating.item_ids[:5]
    state = state_of(repeating, history)
    assert repeating.item_ids[4] in recommender.recommend_for(state, 3).item_ids
    assert not set(history) & set(recommender.recommend_for(state, 600, exclude_seen=True).item_ids)
    assert len(recommender.recommend_for(state, 600, exclude_seen=True).item_ids) == 595
    recommender.filters.block([history[4]])
    assert history[4] not in recommender.recommend_for(state, 600).item_ids
    category = repeating.catalogue.category
    other = next(name for name in category if name != category[3])
    found = recommender.recommend_for(state, 600, where={"category": [other]}).item_ids
    assert {category[repeating.rows[one]] for one in found} == {other}
    assert history[3] not in found


def test_the_recommender_ranks_as_the_model_is_judged(checkpoint: Checkpoint, bundle: Bundle, tmp_path: Path) -> None:
    assert any(bundle.manifest.repeat_bonus)  # it has learned something
    rows = np.random.default_rng(3).integers(600, size=(8, 20))
    mask, times = np.ones(rows.shape, dtype=bool), np.tile(np.arange(20), (8, 1))
    nobodys = np.zeros((8, len(bundle.manifest.profile_fields)), dtype=np.int64)
    top = ModelRanker("", checkpoint.model, checkpoint.neighbours).top(
        Cases(rows, mask, nobodys, rows[:, :1], times), 50, unseen_only=False
    )
    recommender = Recommender(bundle, LmdbStore(tmp_path / "state"))
    for user, best in zip(rows, top, strict=True):
        found = recommender.recommend_for(state_of(bundle, [bundle.item_ids[row] for row in user]), 50)
        assert len({bundle.rows[one] for one in found.item_ids} & set(best.tolist())) >= 49  # rounding at the end


@pytest.mark.parametrize(("bonus", "rate"), [(10.0, 1.0), (-10.0, 0.0)])
def test_the_gate_counts_own_items_too(bonus: float, rate: float, bundle: Bundle, tmp_path: Path) -> None:
    changed = with_bonus(bundle, [bonus] * 20, tmp_path)
    some = bundle.item_ids[100:110]
    exam = gate.HeldOutUsers(dict(bundle.rows), [some], [{}], [list(range(10))], np.array([[100, 105]]))
    assert gate.hit_rate(changed, exam) == rate


@pytest.mark.parametrize(
    ("bonus", "message"),
    [
        ([0.1] * 19, "repeat_bonus has 19 numbers; right is none, or history_length"),
        ([math.nan] * 20, r"repeat_bonus\[0\] is '.*'; right is a number of at most 1e\+18"),
        (["0.1"] * 20, r"repeat_bonus\[0\] is '.*'; right is a number of at most 1e\+18"),
    ],
)
def test_a_bonus_that_is_none_is_refused(bonus: list[float], message: str, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=message):
        check(with_bonus(bundle, bonus, tmp_path))


# Learning it


def test_the_share_of_behaviours_that_come_back_by_hand() -> None:
    items, starts = np.array([1, 2, 1, 1, 2, 3, 0, 0]), np.array([0, 4, 8])
    of_two = Sequences(["a", "b"], items, np.zeros(8, np.int64), starts, np.zeros((2, 0), np.int64))
    assert repeated_share(of_two) == 3 / 8  # 1 twice again, then 0 again; 2 is another user's
    assert repeated_share(replace(of_two, items=np.arange(8))) == 0


def test_only_a_log_in_which_people_come_back_teaches_it(shop: SimulatedShop) -> None:
    chosen = preset(DEFAULT)
    config, short = replace(chosen.model, dim=8, num_interests=2), replace(chosen.training, steps=2, batch_size=32)
    learned = train(shop.log, config, short, progress=False).model.repeat_bonus
    assert learned is not None
    assert (learned > 0).all()
    once = shop.log.events.drop_duplicates(["user_id", "item_id"], ignore_index=True)
    assert train(replace(shop.log, events=once), config, short, progress=False).model.repeat_bonus is None
    with pytest.raises(
        ValueError, match="repeats is True with the loss 'label-aware'; right is joint, which learns it"
    ):
        train(shop.log, config, replace(short, loss="label-aware"), progress=False)


# Raising it


@pytest.fixture
def asked() -> tuple[InterestModel, Cases]:
    """A model of 300 items, and 40 histories of 70 behaviours; what followed is to be told."""
    model = untrained(replace(preset(DEFAULT).model, dim=8, history_length=70), items=300).model
    rows = np.random.default_rng(4).integers(300, size=(40, 70))
    nobodys = np.zeros((40, 0), dtype=np.int64)
    return model, Cases(rows, np.ones(rows.shape, dtype=bool), nobodys, rows[:, :1], np.tile(np.arange(70), (40, 1)))


def raised(model: InterestModel, cases: Cases, labels: np.ndarray) -> float:
    """By how much every age was raised for these labels (C, Y), and that the ages keep their differences."""
    before = cast(Tensor, model.repeat_bonus).detach().clone()
    by = tune_repeat_bonus(model, [replace(cases, labels=labels)], progress=False)
    torch.testing.assert_close(cast(Tensor, model.repeat_bonus).detach(), before + by)
    return by


def test_repeats_are_raised_where_users_come_back_to_what_they_had(asked: tuple[InterestModel, Cases]) -> None:
    model, cases = asked
    assert raised(model, cases, cases.history) == max(RAISES)
    torch.nn.init.constant_(cast(Tensor, model.log_repeat_bonus), math.log(3))
    assert raised(model, cases, cases.history) == 0  # nothing is left to be gained: the least is enough


def test_repeats_are_left_alone_where_users_want_what_is_new(asked: tuple[InterestModel, Cases]) -> None:
    model, cases = asked
    assert raised(model, cases, rank_by_model(model, cases, 50, unseen_only=True)) == 0
    assert raised(model, cases.take(slice(0, 0)), cases.labels[:0]) == 0  # there is nobody to tell by


def test_repeats_are_raised_as_far_as_they_gain(asked: tuple[InterestModel, Cases]) -> None:
    """Recall is highest at some raise for labels made of what the model says with it: that one is found."""
    model, cases = asked
    learned = cast(Tensor, model.log_repeat_bonus).detach().clone()
    set_repeat_bonus(model, learned, 0.1)
    labels = rank_by_model(model, cases, 50)
    set_repeat_bonus(model, learned, 0)
    assert raised(model, cases, labels) == 0.1


def test_what_users_come_back_to_is_weighed_against_what_they_take_next(asked: tuple[InterestModel, Cases]) -> None:
    """Each question counts alike, whatever its number of cases: 40 that want all raised and 5 that want none."""
    model, cases = asked
    own = replace(cases, labels=cases.history)
    new = replace(cases, labels=rank_by_model(model, cases, 50, unseen_only=True)[:, :1]).take(slice(0, 5))
    learned = cast(Tensor, model.log_repeat_bonus).detach().clone()
    alone = []
    for questions in ([own], [new], [own, new]):
        alone.append(tune_repeat_bonus(model, questions, progress=False))
        set_repeat_bonus(model, learned, 0)
    assert alone == [0.4, 0, 0.2]


def test_a_model_that_knows_no_repeats_stays_as_it_is(asked: tuple[InterestModel, Cases]) -> None:
    model = untrained(replace(preset(DEFAULT).model, dim=8, history_length=70, repeats=False), items=300).model
    assert tune_repeat_bonus(model, asked[1:], progress=False) == 0
    assert model.repeat_bonus is None


def test_training_raises_it_and_measures_what_is_kept(shop: SimulatedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = preset(DEFAULT)
    config, short = replace(chosen.model, dim=8, num_interests=2), replace(chosen.training, steps=2, batch_size=32)
    monkeypatch.setattr(own_item_tuning, "RAISES", (0.0,))
    plain = train(shop.log, config, short, progress=False)
    monkeypatch.setattr(own_item_tuning, "RAISES", (0.3,))
    higher = train(shop.log, config, short, progress=False)
    torch.testing.assert_close(
        cast(Tensor, higher.model.repeat_bonus) - cast(Tensor, plain.model.repeat_bonus), torch.full((50,), 0.3)
    )
    assert higher.validation != plain.validation
