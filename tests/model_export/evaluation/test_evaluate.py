"""The judge: what it says of a model is what serving gives, and all rankers are asked the very same."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.scoring.history_raises import raised_by
from model_export.data.dataset import build_sequences
from model_export.data.interactions import InteractionLog
from model_export.data.simulator import SimulatedShop
from model_export.evaluation import evaluate as evaluating
from model_export.evaluation.cases import Cases
from model_export.evaluation.evaluate import chronological_data, comirec_data, evaluate, evaluate_ranker
from model_export.evaluation.model_ranker import ModelRanker, capsules_of, rank_by_model
from model_export.evaluation.rankers import Popular
from model_export.evaluation.split import split_users
from model_export.models.checkpoint import Checkpoint, new_model
from model_export.models.model_config import ModelConfig

NAMES = [f"{name}{suffix}" for name in ("steady", "item-kNN", "most popular") for suffix in ("", ", unseen only")]


def log_of(shop: SimulatedShop, events: list[tuple[str, str, int]]) -> InteractionLog:
    """(user, item, time) events of the shop's catalogue."""
    users, items, times = zip(*events, strict=True)
    table = pd.DataFrame({"user_id": users, "item_id": items, "event_type": "click", "event_time_ms": times})
    return replace(shop.log, events=table)


class Scripted:
    """Names the same items for everybody."""

    name = "scripted"

    def __init__(self, *items: int) -> None:
        self.items, self.asked = items, list[bool]()

    def top(self, cases: Cases, n: int, unseen_only: bool) -> np.ndarray:
        self.asked.append(unseen_only)
        return np.tile([*self.items, *[-1] * (n - len(self.items))], (len(cases), 1))


def test_figures_by_hand() -> None:
    history = np.zeros((4, 1), dtype=np.int64)
    cases = Cases(history, history == 0, history[:, :0], np.array([[1, 1], [2, -1], [3, -1], [3, 4]]), 0 * history)
    ranker = Scripted(1, 2)
    found = evaluate_ranker(ranker, cases, unseen_only=False, seed=3)
    assert (found.name, found.users) == ("scripted", 4)
    assert found.means["hr@20"] == 2 / 4
    assert found.means["recall@50"] == (1 / 2 + 1) / 4
    assert found.intervals["hr@50"] == (0, 1)  # of four cases: none to all of them
    assert evaluate_ranker(ranker, cases, unseen_only=True).name == "scripted, unseen only"
    assert ranker.asked == [False, True]


def test_evaluation_says_what_serving_would_give(checkpoint: Checkpoint, bundle: Bundle, shop: SimulatedShop) -> None:
    by_user = shop.log.events.groupby("user_id")
    histories, times_ms = by_user.item_id.agg(list), by_user.event_time_ms.agg(list)
    profiles = shop.log.profiles.set_index("user_id").to_dict("index")
    users = [str(histories.index[place]) for place in split_users(list(histories.index), 0.1, 0.1).test]
    extractor, hits, recalls, unseen_hits = Extractor(bundle), [], [], []
    for user in users:
        cut = len(histories[user]) * 4 // 5
        history, when = histories[user][:cut][-20:], times_ms[user][:cut][-20:]
        [capsules] = extractor.encode([history], [profiles[user]], [when])  # type: ignore[list-item]
        scores = (capsules.vectors @ bundle.item_embeddings.T).max(0)
        raised = raised_by(bundle, bundle.rows.known(history))
        scores[raised.rows] += raised.bonus
        best = [bundle.item_ids[row] for row in np.argsort(-scores)]
        labels = histories[user][cut:]
        hits.append(bool(set(labels) & set(best[:50])))
        recalls.append(len(set(labels) & set(best[:50])) / len(labels))
        unseen_hits.append(bool(set(labels) & set([item for item in best if item not in history][:50])))
    figures = evaluate(checkpoint, shop.log, progress=False)
    assert [one.name for one in figures] == NAMES
    assert {one.users for one in figures} == {len(users)}
    assert figures[0].means["hr@50"] == pytest.approx(np.mean(hits))
    assert figures[0].means["recall@50"] == pytest.approx(np.mean(recalls))
    assert figures[1].means["hr@50"] == pytest.approx(np.mean(unseen_hits))
    for one in figures:
        assert one.means["hr@20"] <= one.means["hr@50"]
        assert all(low <= one.means[name] <= high for name, (low, high) in one.intervals.items())


def test_the_model_never_names_what_was_seen_where_that_is_asked(checkpoint: Checkpoint, shop: SimulatedShop) -> None:
    cases, ranker = (
        comirec_data(checkpoint, shop.log).cases,
        ModelRanker("steady", checkpoint.model, checkpoint.neighbours),
    )
    items = len(checkpoint.vocabulary.item_ids)
    for history, mask, top in zip(cases.history, cases.mask, ranker.top(cases, items + 3, True), strict=True):
        seen = set(history[mask].tolist())
        named = top[: items - len(seen)].tolist()
        assert set(named) == set(range(items)) - seen
        assert set(top[items - len(seen) :].tolist()) == {-1}


def test_the_split_that_the_log_gives_is_kept_to(checkpoint: Checkpoint, shop: SimulatedShop) -> None:
    users = sorted(set(shop.log.events.user_id))
    sides = {user: "test" if place < 7 else "valid" if place < 40 else "train" for place, user in enumerate(users)}
    data = comirec_data(checkpoint, replace(shop.log, sides=sides))
    assert data.split.test.tolist() == [*range(7)]
    assert data.split.valid.tolist() == [*range(7, 40)]
    assert len(data.cases) == 7


def test_baselines_do_not_learn_from_held_out_users(
    checkpoint: Checkpoint, shop: SimulatedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[np.ndarray] = []

    def remember(counts: np.ndarray) -> Popular:
        counted.append(counts)
        return Popular(counts)

    monkeypatch.setattr(evaluating, "Popular", remember)
    evaluate(checkpoint, shop.log, progress=False)
    sequences = build_sequences(shop.log, checkpoint.vocabulary)
    learned = [sequences.user_ids[u] for u in split_users(sequences.user_ids, 0.1, 0.1).train]
    counts = shop.log.events[shop.log.events.user_id.isin(learned)].item_id.value_counts()
    assert counted[0].tolist() == [counts.get(item, 0) for item in checkpoint.vocabulary.item_ids]


def test_profile_fields_that_a_log_lacks_are_unknown(checkpoint: Checkpoint, shop: SimulatedShop) -> None:
    bare = replace(shop.log, profiles=shop.log.profiles[["user_id"]])
    assert checkpoint.vocabulary.profile_fields
    assert not comirec_data(checkpoint, bare).cases.profiles.any()
    assert comirec_data(checkpoint, shop.log).cases.profiles.any()


def test_a_log_without_a_test_user_says_so(checkpoint: Checkpoint, shop: SimulatedShop) -> None:
    item = shop.log.items.item_id[0]
    with pytest.raises(ValueError, match="none of the 0 test users has two behaviours or more"):
        evaluate(checkpoint, log_of(shop, [("user-1", item, at) for at in range(9)]))


# The chronological protocol


def test_what_came_after_training_is_asked(checkpoint: Checkpoint, shop: SimulatedShop) -> None:
    until = replace(checkpoint, data={**checkpoint.data, "last_event_ms": 1_000})
    a, b, c = checkpoint.vocabulary.item_ids[:3]
    events = [("ann", a, 1), ("bob", b, 2), ("ann", b, 1_000), ("ann", c, 1_001), ("cat", a, 1_002)]
    data = chronological_data(
        until, log_of(shop, [*events, ("ann", "new", 1_003), ("ann", "new", 1_004), ("ann", a, 1_005)])
    )
    [history], [mask], [labels] = data.cases.history, data.cases.mask, data.cases.labels
    assert history[mask].tolist() == [0, 1]
    new = len(checkpoint.vocabulary.item_ids)  # a row that no ranker has
    assert labels.tolist() == [2, new, new, 0]
    assert data.sequences.items.tolist() == [0, 1, 1]  # the baselines learn from the past alone
    assert data.sequences.user_ids == ["ann", "bob"]


def test_chronological_figures(checkpoint: Checkpoint, shop: SimulatedShop) -> None:
    times = shop.log.events.event_time_ms
    last = int(times.quantile(0.9))
    figures = evaluate(replace(checkpoint, data={"last_event_ms": last}), shop.log, "chronological", progress=False)
    both = set(shop.log.events.user_id[times <= last]) & set(shop.log.events.user_id[times > last])
    assert [(one.name, one.users) for one in figures] == [(name, len(both)) for name in NAMES]
    assert figures[2].means["recall@50"] > figures[4].means["recall@50"] > 0


def test_a_log_that_ends_where_training_ended_names_the_dates(checkpoint: Checkpoint, shop: SimulatedShop) -> None:
    until = replace(checkpoint, data={"last_event_ms": 1_511_568_000_000})
    with pytest.raises(ValueError, match=r"ends on 2017-11-24 00:00:00 .* up to 2017-11-25 00:00:00; .* later ones"):
        evaluate(until, log_of(shop, [("ann", "x", 1_511_481_600_000)]), "chronological")
    nobody = log_of(shop, [("ann", checkpoint.vocabulary.item_ids[0], at) for at in (1_511_568_000_001,)])
    with pytest.raises(ValueError, match="no user has behaviours both up to 2017-11-25 00:00:00 and after it"):
        evaluate(until, nobody, "chronological")


def test_an_unknown_protocol_is_named(checkpoint: Checkpoint, shop: SimulatedShop) -> None:
    with pytest.raises(ValueError, match="unknown protocol 'leave-one-out'; expected one of: comirec, chronological"):
        evaluate(checkpoint, shop.log, "leave-one-out")


def test_before_and_after_a_time(shop: SimulatedShop) -> None:
    items = shop.log.items.item_id.tolist()
    log = replace(log_of(shop, [("u", items[at // 2], at) for at in (0, 2, 2, 4)]), sides={"u": "train"})
    assert log.before(2).events.event_time_ms.tolist() == [0]
    assert log.after(2).events.event_time_ms.tolist() == [4]
    assert log.before(3).items.item_id.tolist() == items[:2]
    assert log.between(0, 0.5).sides == log.before(3).sides == log.after(0).sides == {"u": "train"}


def test_candidates_by_max_sim_leave_out_unused_capsules(checkpoint: Checkpoint) -> None:
    # One behaviour gives MIND one capsule: the others of it are zero, and must not lift what it scores below zero.
    model = new_model(ModelConfig(dim=8, num_interests=3, history_length=5, hidden=8), checkpoint.vocabulary).eval()
    fields = len(checkpoint.vocabulary.profile_fields)
    row = np.array([[3]])
    cases = Cases(row, row > 0, np.zeros((1, fields), dtype=np.int64), row, 0 * row)
    with torch.no_grad():
        table = model.item_table()
        capsules, active = capsules_of(model, table, cases)
        scores = (capsules[0, 0] @ table.T).numpy()
    assert active.tolist() == [[True, False, False]]
    assert (scores < 0).any()
    assert rank_by_model(model, cases, len(scores))[0].tolist() == np.argsort(-scores, kind="stable").tolist()


def test_a_history_without_behaviours_gets_no_candidates(checkpoint: Checkpoint) -> None:
    fields = len(checkpoint.vocabulary.profile_fields)
    row = np.array([[0, 0]])
    cases = Cases(row, row > 0, np.zeros((1, fields), dtype=np.int64), row, 0 * row)
    assert rank_by_model(checkpoint.model, cases, 3).tolist() == [[-1, -1, -1]]
