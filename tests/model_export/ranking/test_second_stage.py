"""From a log to a ranker: what it learns, what it cannot know, and that it goes on where it was stopped."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mindstream.behaviour_rule import BehaviourRule
from model_export.bundle.check import check
from model_export.bundle.extractor import Extractor
from model_export.bundle.ranking.bundle_features import ranked_user, tables_of
from model_export.bundle.ranking.feature_names import FEATURES
from model_export.bundle.ranking.ranker import Ranker
from model_export.data.interactions import InteractionLog
from model_export.data.simulator import simulate
from model_export.evaluation.cases import Cases
from model_export.evaluation.gate import Gate, apply_gate
from model_export.export.bundle_writer import export
from model_export.models.checkpoint import Checkpoint, load, save
from model_export.models.model_config import ModelConfig
from model_export.models.training_config import TrainingConfig
from model_export.rankers.ranked_checkpoint import new_ranker
from model_export.rankers.ranker_config import RANKERS
from model_export.ranking import training as loop
from model_export.ranking.inputs import score_lists
from model_export.ranking.lists import ListSettings
from model_export.ranking.losses import joined, listwise_softmax, task_losses
from model_export.ranking.ranked_lists import RankedLists
from model_export.ranking.ranker_training import RankerTraining
from model_export.ranking.second_stage import SecondStage, tasks_of, train_ranker
from model_export.training.train import train

QUICK = RankerTraining(ListSettings(brought=30, negatives=8), examples=150, epochs=2, batch_size=32, valid_cases=60)
LINEAR = RANKERS["linear"].config


@pytest.fixture(scope="module")
def events() -> InteractionLog:
    return simulate(users=120, seed=7).log


@pytest.fixture(scope="module")
def matching(events: InteractionLog) -> Checkpoint:
    config = ModelConfig(dim=8, num_interests=2, history_length=10, hidden=8)
    return train(events, config, TrainingConfig(steps=20, batch_size=32, valid_share=0.3), progress=False)


@pytest.fixture(scope="module")
def stage(matching: Checkpoint, events: InteractionLog) -> SecondStage:
    return SecondStage.of(matching, events)


def test_nothing_after_the_moment_changes_an_example(matching: Checkpoint, events: InteractionLog) -> None:
    """All items of behaviours from a moment on are drawn anew; features of lists asked before it stay.

    Without that of the matching model itself, which is the same here.
    """
    stage = SecondStage.of(matching, events)
    lists = stage.training_lists(QUICK)
    moment = int(np.quantile(lists.cases.asked_ms, 0.5))
    sequences, rng = stage.sequences, np.random.default_rng(7)
    items = np.where(sequences.times >= moment, rng.permutation(sequences.items), sequences.items)
    shuffled = replace(stage, sequences=replace(sequences, items=items))
    as_of = type(stage.maker.as_of)(shuffled.sequences, stage.split.train, stage.maker.as_of.num_items)
    before = lists.cases.asked_ms < moment
    again = replace(stage.maker, as_of=as_of)._features(lists.cases, lists.brought)
    np.testing.assert_array_equal(again[before], lists.features[before])
    assert not np.array_equal(again[~before], lists.features[~before])


def test_histories_end_before_their_targets(stage: SecondStage) -> None:
    cases = stage.training_lists(QUICK).cases
    assert (np.where(cases.mask, cases.times, 0) <= cases.asked_ms[:, None]).all()


def test_targets_are_first_and_of_training_users(stage: SecondStage) -> None:
    lists = stage.training_lists(QUICK)
    np.testing.assert_array_equal(lists.brought.candidates[:, 0], lists.cases.labels[:, 0])
    assert (lists.labels[:, 0].sum(1) == 1).all()
    assert (lists.labels[:, 1:] == 0).all()


def test_matching_feature_is_the_order_of_matching(stage: SecondStage) -> None:
    """The candidates come in its order, so the feature falls along each list."""
    [ahead, _] = stage.questions(stage.split.valid, 40, 20, 7)
    scores = ahead.features[..., FEATURES.index("matching")]
    assert (np.diff(scores, axis=1)[ahead.real[:, 1:]] <= 1e-5).all()


def test_order_is_not_behind_matching_on_validation_users(matching: Checkpoint, events: InteractionLog) -> None:
    found = train_ranker(matching, events, LINEAR, QUICK, progress=False).metrics["validation"]
    assert max(found.values()) >= found["ndcg@10 matching"]


def test_same_seed_same_ranker_and_a_checkpoint_keeps_it(
    matching: Checkpoint, events: InteractionLog, stage: SecondStage, tmp_path: Path
) -> None:
    one, other = (train_ranker(matching, events, RANKERS["tin"].config, QUICK, progress=False) for _ in range(2))
    save(replace(matching, ranker=one), tmp_path / "model.pt")
    kept = load(tmp_path / "model.pt").ranker
    assert kept is not None
    [ahead, _] = stage.questions(stage.split.valid, 20, 20, 7)
    scores = score_lists(one.model, ahead)
    np.testing.assert_array_equal(score_lists(other.model, ahead), scores)
    np.testing.assert_array_equal(score_lists(kept.model, ahead), scores)
    np.testing.assert_array_equal(kept.trend, one.trend)
    assert kept.task_weights == one.task_weights


def test_a_stopped_training_goes_on(
    matching: Checkpoint, events: InteractionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the second epoch; with the state of the first the end is that of a training that never stopped."""
    whole = train_ranker(matching, events, LINEAR, QUICK, progress=False)
    state, step = tmp_path / "model.pt.ranker.progress", loop.RankerRun._train_step

    def interrupted(run: loop.RankerRun, lists: RankedLists) -> float:
        if run.epoch == 1:
            raise KeyboardInterrupt
        return step(run, lists)

    monkeypatch.setattr(loop.RankerRun, "_train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_ranker(matching, events, LINEAR, QUICK, progress=False, state=state)
    monkeypatch.setattr(loop.RankerRun, "_train_step", step)
    resumed = train_ranker(matching, events, LINEAR, QUICK, progress=False, state=state)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], value, rtol=0, atol=0)
    with pytest.raises(ValueError, match="other settings"):
        train_ranker(matching, events, LINEAR, replace(QUICK, seed=8), progress=False, state=state)


def test_a_ranker_learns_what_decides(matching: Checkpoint, stage: SecondStage) -> None:
    """A planted feature is 1 for the target alone: the linear ranker puts it first."""
    lists = stage.training_lists(QUICK)
    features = lists.features.copy()
    features[..., FEATURES.index("trend")] = lists.labels.max(2)
    planted = replace(lists, features=features)
    config = replace(LINEAR, tasks=stage.tasks, history_length=stage.length)
    model, long = new_ranker(config, matching.vocabulary), replace(QUICK, epochs=40, patience=40, learning_rate=0.1)
    run = loop.RankerRun(model, planted, [planted], stage.task_weights, long)
    run.fit(progress=False)
    assert run.best > 0.99


def test_losses_by_hand() -> None:
    """One of two real candidates was taken, with scores 1 and 0; the third is padding."""
    scores, taken = torch.tensor([[1.0, 0.0, 5.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    real, weights = torch.tensor([[True, True, False]]), torch.ones(1)
    assert listwise_softmax(scores, taken, real, weights).item() == pytest.approx(np.log(1 + np.exp(-1)))
    both = np.log(1 + np.exp(-1)), np.log(2)
    assert task_losses(scores[..., None], taken[..., None], real, weights).item() == pytest.approx(np.mean(both))
    assert listwise_softmax(scores, 0 * taken, real, weights).item() == 0
    assert joined(torch.tensor([[1.0, 5.0]]), torch.tensor([1.0, 3.0])).item() == 4


def test_tasks_are_the_types_by_weight() -> None:
    tasks, weights, task_of = tasks_of(["buy", "cart", "view"], BehaviourRule.parse("view=1,cart=2,buy=4"))
    assert tasks == ("view", "cart", "buy")
    assert weights.tolist() == [1, 2, 4]
    assert task_of.tolist() == [0, 2, 1, 0]
    assert tasks_of([], BehaviourRule())[0] == ("click",)


def test_the_bundle_ranks_as_the_checkpoint_does(
    matching: Checkpoint, events: InteractionLog, stage: SecondStage, tmp_path: Path
) -> None:
    """By ONNX Runtime from the bundle's files, with features that serving computes of them at the log's end."""
    ranker = train_ranker(matching, events, RANKERS["tin"].config, QUICK, progress=False)
    bundle = export(replace(matching, ranker=ranker), tmp_path, progress=False)
    check(bundle)
    last = int(stage.sequences.times.max())
    tables = replace(stage.maker.tables, trend=ranker.trend)
    served, extractor = tables_of(bundle), Extractor(bundle)
    history = [bundle.item_ids[row] for row in (3, 5, 3)]
    times, rows = [last - 9_000_000, last - 60_000, last - 2_000], np.arange(30)
    [capsules] = extractor.encode([history], times_ms=[times])
    asked: Any = (history, times, [""] * 3, {}, capsules, last, rows)
    users = [ranked_user(extractor, of, bundle.item_embeddings, *asked) for of in (served, tables)]
    np.testing.assert_allclose(users[0].features, users[1].features, rtol=1e-5, atol=1e-5)
    known = np.array([[3, 5, 3]])
    profile, labels = np.zeros((1, len(matching.vocabulary.profile_fields)), np.int64), rows[None, :1]
    cases = Cases(known, known > 0, profile, labels, np.array([times]), asked_ms=np.array([last]))
    brought = stage.maker.matching.bring(cases, 30, lambda _, __: rows[None])
    lists = RankedLists(cases, brought, users[0].features[None], np.zeros((1, 30, len(stage.tasks))), np.ones(1))
    [scores] = Ranker(bundle).score(users[:1])
    np.testing.assert_allclose(scores, score_lists(ranker.model, lists)[0], rtol=1e-4, atol=1e-4)


def test_the_gate_asks_for_the_page_of_both_bundles(
    matching: Checkpoint, events: InteractionLog, tmp_path: Path
) -> None:
    """A ranker that turns matching's order around is refused beside the bundle without one; matching's own is not."""
    good = train_ranker(matching, events, LINEAR, QUICK, progress=False)
    weights = torch.zeros_like(good.model.held_out_weights)
    weights[:, FEATURES.index("matching")] = 1
    bundles = [export(matching, tmp_path, progress=False)]
    for sign in (1, -1):
        good.model.network_scale.zero_()
        good.model.held_out_weights.copy_(sign * weights)
        bundles.append(export(replace(matching, ranker=good), tmp_path, progress=False))
    plain, same, turned = bundles
    verdict = apply_gate(same, plain, Gate(max_drop=0.1), events)
    assert verdict.objections == ()
    assert verdict.ndcg == pytest.approx(verdict.current_ndcg)
    assert "NDCG@10" in str(verdict)
    assert apply_gate(plain, plain, Gate(max_drop=0.1), events).ndcg is None
    [objection] = apply_gate(turned, plain, Gate(max_drop=0.1), events).objections
    assert objection.startswith("NDCG@10 of the page is ")
