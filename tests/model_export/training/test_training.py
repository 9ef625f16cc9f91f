"""From a log to a trained model, with answers worked out by hand: data set, sampler, stopping."""

import math
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from model_export.data.dataset import (
    MOST_VALUES,
    Sequences,
    Vocabulary,
    build_sequences,
    build_vocabulary,
    history_windows,
    price_bands,
    profile_rows,
)
from model_export.data.interactions import InteractionLog
from model_export.data.simulator import SimulatedShop
from model_export.evaluation.cases import Cases
from model_export.models.checkpoint import Checkpoint, load, save
from model_export.models.interest_model import InterestModel
from model_export.models.model_config import ModelConfig
from model_export.models.presets import PRESETS, preset
from model_export.models.training_config import TrainingConfig
from model_export.training import loop as steps
from model_export.training.loop import TrainingRun, validate
from model_export.training.train import LEAST_STEPS, STEPS_OF_FEW, fitted_to_log, train

NAN = math.nan
CPU = torch.device("cpu")
TINY = ModelConfig(dim=8, num_interests=3, history_length=10, hidden=8)


def log_of(
    events: list[tuple[str, str]],
    items: dict[str, tuple[str, float]] | None = None,
    profiles: dict[str, dict[str, str]] | None = None,
) -> InteractionLog:
    """A log of (user, item) events, one a second; items -> (category, price), user -> profile fields."""
    known = items or {item: ("", NAN) for _, item in sorted(events, key=lambda event: event[1])}
    users = sorted({user for user, _ in events})
    return InteractionLog(
        events=pd.DataFrame(
            [(user, item, "click", 1_000 * at) for at, (user, item) in enumerate(events)],
            columns=["user_id", "item_id", "event_type", "event_time_ms"],
        ),
        items=pd.DataFrame(
            [(item, item.upper(), category, price) for item, (category, price) in known.items()],
            columns=["item_id", "title", "category", "price"],
        ),
        profiles=pd.DataFrame([{"user_id": user, **(profiles or {}).get(user, {})} for user in users]),
        source="/somewhere/clicks.csv",
    )


# Two users: ann has x, z, y and bob has y, x.
FIVE = [("bob", "y"), ("ann", "x"), ("bob", "x"), ("ann", "z"), ("ann", "y")]
X, Y, Z = 0, 1, 2


@pytest.fixture
def five() -> Sequences:
    log = log_of(FIVE)
    return build_sequences(log, build_vocabulary(log))


# The data set


def test_vocabulary_by_hand() -> None:
    log = log_of(
        FIVE,
        items={"z": ("kitchen", 3.0), "x": ("toys", 1.0), "y": ("", NAN)},
        profiles={"ann": {"city": "Leeds", "age": ""}, "bob": {"city": "York", "age": ""}},
    )
    vocabulary = build_vocabulary(log)
    assert vocabulary.item_ids == ["x", "y", "z"]
    # The deciles between 1 and 3 are 1.2, 1.4 ... 2.8: 1 is below all of them, 3 is above.
    assert vocabulary.feature_fields == {"category": ["kitchen", "toys"], "price_band": ["0", "9"]}
    assert vocabulary.price_edges == pytest.approx(np.arange(1.2, 2.9, 0.2))
    # One table: kitchen 1, toys 2, the lowest band 3, the highest 4; 0 is padding.
    assert vocabulary.item_features.tolist() == [[2, 3], [0, 0], [1, 4]]
    assert vocabulary.feature_values == 4
    assert vocabulary.feature_slices() == {"category": slice(1, 3), "price_band": slice(3, 5)}
    assert vocabulary.profile_fields == {"city": ["Leeds", "York"], "age": []}


def with_features(log: InteractionLog, **columns: list[str]) -> InteractionLog:
    """The log with side features, in the order of its items."""
    return replace(log, items=log.items.assign(**{name: pd.Series(cells) for name, cells in columns.items()}))


def test_several_values_of_an_item_by_hand() -> None:
    log = log_of(FIVE, items={"z": ("a|b", NAN), "x": ("toys", NAN), "y": ("", NAN)})
    log = with_features(
        log, brand=["", "Oak", "Oak"], tags=["wood|round||wood|", "", "soft|round|10|9"], file=["p", "q|p", ""]
    )
    vocabulary = build_vocabulary(log)
    assert vocabulary.feature_fields == {  # every item of a known brand has the same, so it is left out
        "category": ["a|b", "toys"],
        "tags": ["10", "9", "round", "soft", "wood"],
        "file": ["p", "q"],
    }
    assert vocabulary.feature_slices() == {"category": slice(1, 3), "tags": slice(3, 8), "file": slice(8, 10)}
    assert vocabulary.feature_values == 9
    assert vocabulary.item_features.tolist() == [
        [2, 9, 8, 0],  # x: toys, q, p
        [6, 5, 3, 4],  # y: soft, round, 10, 9
        [1, 7, 5, 8],  # z: the category "a|b", wood, round, p
    ]


def test_an_item_keeps_its_first_values() -> None:
    tags = "|".join(f"{number:02}" for number in range(40, 0, -1))
    log = with_features(log_of(FIVE), tags=[tags, "40", "01"], others=["u", "v", "w"])
    vocabulary = build_vocabulary(log)
    kept = [f"{number:02}" for number in range(9, 41)]
    assert len(kept) == MOST_VALUES
    assert vocabulary.feature_fields == {"tags": ["01", *kept], "others": ["v", "w"]}  # no values that no item keeps
    assert vocabulary.item_features.shape == (3, MOST_VALUES)
    assert vocabulary.item_features[0].tolist() == [*range(33, 1, -1)]
    assert vocabulary.item_features[1:, :3].tolist() == [[33, 34, 0], [1, 35, 0]]


def test_many_distinct_values() -> None:
    """In a time that grows with their number alone; with its square this would take hours."""
    items = 100_000
    events = [("u", f"{number:06}") for number in range(items)]
    log = with_features(log_of(events), tags=[f"{number}|{number + 1}|all" for number in range(items)])
    vocabulary = build_vocabulary(log)
    assert vocabulary.feature_values == items + 2
    names = vocabulary.feature_fields["tags"]
    found = [[names[row - 1] for row in rows] for rows in vocabulary.item_features[[0, 99_999]].tolist()]
    assert found == [["0", "1", "all"], ["99999", "100000", "all"]]


def test_a_feature_that_is_the_same_for_every_item_is_left_out() -> None:
    log = log_of(FIVE, items={"x": ("toys", 5.0), "y": ("toys", 5.0), "z": ("toys", 5.0)})
    vocabulary = build_vocabulary(log)
    assert vocabulary.feature_fields == {}
    assert vocabulary.item_features.shape == (3, 0)


def test_price_bands_are_deciles() -> None:
    bands, edges = price_bands(np.array([NAN, *range(20, 0, -1)], dtype=float))
    assert bands.tolist() == ["", *(str(band) for band in range(9, -1, -1) for _ in range(2))]
    assert edges == pytest.approx([2.9, 4.8, 6.7, 8.6, 10.5, 12.4, 14.3, 16.2, 18.1])


def test_a_price_at_an_edge_is_in_the_band_above_it() -> None:
    bands, edges = price_bands(np.repeat([1.0, 2.0, 3.0], 10))
    assert edges == [1, 2, 3]  # deciles that are the same are one edge
    assert bands.tolist() == [*"1" * 10, *"2" * 10, *"3" * 10]


def test_price_bands_without_prices() -> None:
    bands, edges = price_bands(np.array([NAN, NAN]))
    assert (bands.tolist(), edges) == (["", ""], [])


def test_sequences_by_hand(five: Sequences) -> None:
    assert five.user_ids == ["ann", "bob"]
    assert five.items.tolist() == [X, Z, Y, Y, X]
    assert five.starts.tolist() == [0, 3, 5]
    assert five.lengths.tolist() == [3, 2]
    assert five.profiles.shape == (2, 0)


def test_items_that_the_vocabulary_does_not_have_are_left_out() -> None:
    vocabulary = build_vocabulary(log_of([("ann", "y")]))
    sequences = build_sequences(log_of([*FIVE, ("cat", "x")]), vocabulary)
    assert sequences.user_ids == ["ann", "bob", "cat"]
    assert sequences.items.tolist() == [0, 0]
    assert sequences.lengths.tolist() == [1, 1, 0]


def test_profile_rows_by_hand() -> None:
    vocabulary = Vocabulary(["x"], {}, np.zeros((1, 0)), {"age": [], "city": ["Leeds", "York"]}, [])
    profiles = pd.DataFrame({"user_id": ["bob", "ann", "cat"], "city": ["York", "Bath", ""], "age": ["7", "", ""]})
    found = profile_rows(profiles, ["ann", "bob", "cat", "who"], vocabulary)
    assert found.tolist() == [[0, 0], [0, 2], [0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("end", "first", "length", "rows", "mask"),
    [
        (3, 0, 2, [Z, Y], [1, 1]),
        (3, 0, 3, [X, Z, Y], [1, 1, 1]),
        (3, 0, 5, [0, 0, X, Z, Y], [0, 0, 1, 1, 1]),
        (1, 0, 2, [0, X], [0, 1]),
        (0, 0, 2, [0, 0], [0, 0]),
        (4, 3, 3, [0, 0, Y], [0, 0, 1]),  # bob's second behaviour; ann's before it are not his
        (5, 3, 3, [0, Y, X], [0, 1, 1]),
        (3, 3, 1, [0], [0]),
    ],
)
def test_windows_by_hand(five: Sequences, end: int, first: int, length: int, rows: list[int], mask: list[int]) -> None:
    found, real, times, _ = history_windows(five, np.array([end, end]), np.array([first, first]), length)
    assert found.tolist() == [rows, rows]
    assert real.astype(int).tolist() == [mask, mask]
    assert times[real].tolist() == 2 * five.times[end - sum(mask) : end].tolist()


# Training


def tiny_training(**settings: Any) -> TrainingConfig:
    return replace(TrainingConfig(steps=6, batch_size=32, negatives=16, validate_every=2), **settings)


def small(name: str, **settings: Any) -> tuple[ModelConfig, TrainingConfig]:
    """A model by name that is trained for a moment."""
    chosen = preset(name)
    short = {"steps": 6, "batch_size": 32, "negatives": 16, "validate_every": 2, **settings}
    return replace(chosen.model, dim=8, history_length=10, hidden=8), replace(chosen.training, **short)


@pytest.fixture(scope="module")
def log(shop: SimulatedShop) -> InteractionLog:
    return shop.log.between(0, 0.2)


def same_weights(one: Checkpoint, other: Checkpoint) -> bool:
    pairs = zip(one.model.state_dict().items(), other.model.state_dict().items(), strict=True)
    return all(name == again and torch.equal(weight, twin) for (name, weight), (again, twin) in pairs)


@pytest.mark.parametrize("name", PRESETS)
def test_the_same_seed_gives_the_same_weights(name: str, log: InteractionLog) -> None:
    one, again, other = (train(log, *small(name, seed=seed), progress=False) for seed in (1, 1, 2))
    assert one.validation == again.validation
    assert one.validation["hr@50"] > 0
    assert same_weights(one, again)
    assert not torch.equal(one.model.items.ids.weight, other.model.items.ids.weight)
    assert not one.model.training  # whoever asks it next gets what serving gives


def test_early_stopping_keeps_the_best_step(log: InteractionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[dict[str, torch.Tensor]] = []

    def scripted(model: InterestModel, *_: object) -> dict[str, float]:
        looks.append({name: weight.clone() for name, weight in model.state_dict().items()})
        return {"recall@50": [0.1, 0.3, 0.2, 0.3, 0.9][len(looks) - 1]}

    monkeypatch.setattr(steps, "validate", scripted)
    found = train(log, TINY, tiny_training(steps=100, patience=2), progress=False)
    assert len(looks) == 4  # the third and the fourth were not better than the second
    assert found.validation == {"recall@50": 0.3}
    for name, weight in found.model.state_dict().items():
        assert torch.equal(weight, looks[1][name]), name
    assert not torch.equal(looks[1]["items.ids.weight"], looks[3]["items.ids.weight"])


@pytest.mark.parametrize(("recalls", "kept"), [([0.1, 0.3, 0.2], 2), ([0.3, 0.2, 0.1], 0)])
def test_the_last_average_is_kept_unless_training_stopped_early(
    log: InteractionLog, monkeypatch: pytest.MonkeyPatch, recalls: list[float], kept: int
) -> None:
    looks: list[dict[str, torch.Tensor]] = []

    def scripted(model: InterestModel, *_: object) -> dict[str, float]:
        looks.append({name: weight.clone() for name, weight in model.state_dict().items()})
        return {"recall@50": recalls[len(looks) - 1]}

    monkeypatch.setattr(steps, "validate", scripted)
    found = train(log, TINY, tiny_training(steps=6, patience=2, averaging=0.5), progress=False)
    assert len(looks) == 3
    assert found.validation == {"recall@50": recalls[kept]}
    for name, weight in found.model.state_dict().items():
        assert torch.equal(weight, looks[kept][name]), name


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """The loss and the learning rate of each step that is taken."""
    found: list[tuple[float, float]] = []
    step = TrainingRun.train_step

    def remember(run: TrainingRun) -> float:
        loss = step(run)
        found.append((loss, run.optimizer.others.param_groups[0]["lr"]))
        return loss

    monkeypatch.setattr(TrainingRun, "train_step", remember)
    return found


def test_without_held_out_users_all_steps_are_taken(log: InteractionLog, taken: list[tuple[float, float]]) -> None:
    held_out = {"valid_share": 0.0, "test_share": 0.0}
    training = tiny_training(steps=40, batch_size=256, negatives=64, learning_rate=0.03, patience=1, **held_out)
    found = train(log, TINY, training, progress=False)
    assert found.validation == {}
    assert not found.model.training
    assert len(taken) == 40
    losses = [loss for loss, _ in taken]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.2  # of eight seeds none gained less than 0.37


def test_the_learning_rate_falls_along_a_cosine(log: InteractionLog, taken: list[tuple[float, float]]) -> None:
    train(log, TINY, tiny_training(steps=4, learning_rate=0.01), progress=False)
    expected = [0.01 * (1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    assert [rate for _, rate in taken] == pytest.approx(expected)


def test_training_ends_when_its_time_is_over(log: InteractionLog, taken: list[tuple[float, float]]) -> None:
    found = train(log, TINY, tiny_training(max_seconds=1e-9), progress=False)
    assert len(taken) == 1
    assert "hr@50" in found.validation


def test_when_time_ends_training_its_learning_rate_is_near_zero(
    log: InteractionLog, taken: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1_000_000))  # each step takes one second
    rate = {"learning_rate": 0.01, "patience": 100}
    monkeypatch.setattr(steps, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    train(log, TINY, tiny_training(steps=10_000, max_seconds=50.0, validate_every=10_000, **rate), progress=False)
    rates = [rate for _, rate in taken]
    assert len(rates) == 50
    assert rates == pytest.approx([0.01 * (1 + math.cos(math.pi * second / 50)) / 2 for second in range(50)])
    assert rates[-1] < 0.01 * 0.01


@pytest.mark.parametrize(("limit", "seconds"), [({"max_seconds": 30.0}, 30.0), ({"steps": 20}, 20.0)])
def test_looks_count_within_a_limit(
    log: InteractionLog, monkeypatch: pytest.MonkeyPatch, limit: dict[str, Any], seconds: float
) -> None:
    clock = iter(range(1_000_000))  # each step takes one second, and so does each look
    monkeypatch.setattr(steps, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    settings = {"steps": 10_000, "validate_every": 2, "patience": 100, **limit}
    found = train(log, TINY, tiny_training(**settings), progress=False)
    assert (found.steps, found.seconds) == (20, seconds)  # 10 looks, after two steps each


def test_a_loss_that_is_no_number_ends_training(log: InteractionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "objective", lambda *_: torch.tensor(NAN))
    with pytest.raises(ValueError, match=r"the loss is nan at step 1; pow_p \(inf\) or the learning rate \(0.003\)"):
        train(log, TINY, tiny_training(), progress=False)


@pytest.mark.parametrize("name", ["mind", "steady"])
def test_a_batch_of_a_small_log_has_all_of_it(name: str) -> None:
    settings = small(name, batch_size=4, valid_share=0.0, test_share=0.0)
    found = train(log_of(FIVE), *settings, progress=False)
    assert (found.training.batch_size, found.steps) == (3, settings[1].steps)
    alone = log_of([("ann", "x"), ("bob", "y"), ("cat", "z")])  # nothing goes with anything
    with pytest.raises(ValueError, match=r"no training user of the log has two behaviours"):
        train(alone, *settings, progress=False)


def test_a_log_of_five_events_is_enough_for_batches_of_three() -> None:
    training = TrainingConfig(steps=2, batch_size=3, negatives=4, valid_share=0.0, test_share=0.0)
    log = log_of(FIVE, items={"x": ("toys", 2.0), "y": ("", NAN), "z": ("kitchen", 3.0)})
    found = train(log, TINY, training, progress=False)
    assert found.popularity.tolist() == [2, 2, 1]
    assert found.catalogue == {
        "title": ["X", "Y", "Z"],
        "category": ["toys", "", "kitchen"],
        "price": [2.0, None, 3.0],
    }
    assert found.data == {
        "source": "clicks.csv",
        "events": 5,
        "users": 2,
        "first_event_ms": 0,
        "last_event_ms": 4_000,
        "timed": True,
        "behaviours": "",
    }


def test_training_needs_no_gpu(log: InteractionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = train(log, TINY, tiny_training(steps=1), progress=False)
    assert {weight.device.type for weight in found.model.parameters()} == {"cpu"}


# What training learns from


def with_sides(log: InteractionLog) -> InteractionLog:
    """The log with a publisher's split: of five users one for validation and one for test."""
    users = sorted(set(log.events.user_id))
    sides = {user: {0: "valid", 1: "test"}.get(place % 5, "train") for place, user in enumerate(users)}
    return replace(log, sides=sides)


@pytest.mark.parametrize("name", ["mind", "steady"])
def test_the_split_that_the_log_gives_is_kept_to(
    name: str, log: InteractionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, asked = with_sides(log), list[Cases]()

    def remember(model: InterestModel, cases: Cases) -> dict[str, float]:
        asked.append(cases)
        return validate(model, cases)

    monkeypatch.setattr(steps, "validate", remember)
    train(given, *small(name), progress=False)
    sequences = build_sequences(given, build_vocabulary(given))
    valid = np.array([given.sides[user] == "valid" for user in sequences.user_ids])
    assert len(asked[0]) == (sequences.lengths[valid] >= 2).sum()
    assert asked[0].mask.sum() == np.minimum(sequences.lengths[valid][sequences.lengths[valid] >= 2] * 4 // 5, 10).sum()


@pytest.mark.parametrize("settings", [{}, {"substitution": 0.3, "recency_half_life": 0.2}])
def test_held_out_users_teach_nothing(settings: dict[str, Any], log: InteractionLog) -> None:
    # Whatever they did: without validation the model comes out the same to the last bit.
    given = with_sides(log)
    given = replace(given, sides={user: "test" if side != "train" else side for user, side in given.sides.items()})
    held_out = given.events.user_id.map(given.sides) == "test"
    events = given.events.copy()
    events.loc[held_out, "item_id"] = given.items.item_id[0]
    config, training = small("steady", **settings)
    one, other = (train(of, config, training, progress=False) for of in (given, replace(given, events=events)))
    assert one.validation == other.validation == {}
    assert same_weights(one, other)


# Going on with a training that was stopped


def interrupted(log: InteractionLog, settings: tuple[ModelConfig, TrainingConfig], state: Path, looks: int) -> None:
    """Train until look number `looks`, which Ctrl-C interrupts."""
    seen = 0

    def interrupt(model: InterestModel, cases: Cases) -> dict[str, float]:
        nonlocal seen
        seen += 1
        if seen == looks:
            raise KeyboardInterrupt
        return validate(model, cases)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "validate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(log, *settings, progress=False, state=state)


EVERYTHING = {"substitution": 0.2, "recency_half_life": 0.5, "separation": 1.0}


@pytest.mark.parametrize("looks", [2, 3])
@pytest.mark.parametrize(("name", "more"), [("mind", {}), ("steady", {}), ("steady", EVERYTHING)])
def test_a_training_that_was_stopped_ends_as_if_it_had_not(
    name: str, more: dict[str, Any], looks: int, log: InteractionLog, tmp_path: Path
) -> None:
    settings, state = small(name, **more), tmp_path / "new" / "model.progress"
    undisturbed = train(log, *settings, progress=False)
    interrupted(log, settings, state, looks)
    assert [file.name for file in state.parent.iterdir()] == ["model.progress"]
    torch.rand(7)  # what was drawn in between makes no difference
    resumed = train(log, *settings, progress=False, state=state)
    assert same_weights(resumed, undisturbed)
    assert resumed.validation == undisturbed.validation


def other_items(log: InteractionLog) -> InteractionLog:
    """As many events of as many users at the same times, but with the items the other way round."""
    swapped = log.events.item_id.to_numpy()[::-1]
    return replace(log, events=log.events.assign(item_id=swapped).astype({"item_id": "str"}))


def other_times(log: InteractionLog) -> InteractionLog:
    """The same behaviours in the same order, the second one a millisecond later."""
    times = log.events.event_time_ms.to_numpy().copy()
    times[1] += 1
    assert (np.diff(times) >= 0).all()
    return replace(log, events=log.events.assign(event_time_ms=times))


def test_only_what_was_left_is_trained(log: InteractionLog, tmp_path: Path, taken: list[tuple[float, float]]) -> None:
    settings, state = small("mind"), tmp_path / "model.progress"
    interrupted(log, settings, state, looks=2)
    assert len(taken) == 4
    train(log, *settings, progress=False, state=state)
    assert len(taken) == 4 + 4  # two of the first four were not kept


def test_the_state_of_another_training_is_refused(log: InteractionLog, tmp_path: Path) -> None:
    (config, training), state = small("mind"), tmp_path / "model.progress"
    interrupted(log, (config, training), state, looks=2)
    whole = state.read_bytes()
    for parts, message in (
        ((log, replace(config, dim=4), training), "dim was 8 there and is 4 here"),
        ((log, config, replace(training, seed=8)), "seed was 7 there and is 8 here"),
        ((log.between(0, 0.5), config, training), r"events was \d+ there and is \d+ here"),
        ((other_items(log), config, training), r"fingerprint was \w+ there and is \w+ here"),
        ((other_times(log), config, training), r"fingerprint was \w+ there and is \w+ here"),
    ):
        with pytest.raises(ValueError, match=rf"model\.progress is of another training: {message}$"):
            train(*parts, progress=False, state=state)
    assert state.read_bytes() == whole


@pytest.mark.parametrize("fault", ["garbage", "empty", "cut off", "another file of torch"])
def test_a_state_that_is_none_is_one_sentence(fault: str, log: InteractionLog, tmp_path: Path) -> None:
    settings, state = small("mind"), tmp_path / "model.progress"
    interrupted(log, settings, state, looks=2)
    whole = state.read_bytes()
    if fault == "another file of torch":
        torch.save({"weights": torch.zeros(1)}, state)
    else:
        state.write_bytes({"garbage": b"garbage", "empty": b"", "cut off": whole[: len(whole) // 2]}[fault])
    with pytest.raises(ValueError, match=r"model\.progress is not the state of a training .*; delete it and start"):
        train(log, *settings, progress=False, state=state)


# Checkpoints


def test_a_checkpoint_comes_back_as_it_was_saved(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "mind.pt"
    save(checkpoint, path)
    loaded = load(path)
    assert [file.name for file in path.parent.iterdir()] == ["mind.pt"]
    assert loaded.model.config == checkpoint.model.config
    for name, weight in checkpoint.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], weight), name
    assert torch.equal(loaded.model.item_table(), checkpoint.model.item_table())
    assert loaded.popularity.tolist() == checkpoint.popularity.tolist()
    for part in ("catalogue", "data", "training", "validation"):
        assert getattr(loaded, part) == getattr(checkpoint, part)
    one, other = asdict(loaded.vocabulary), asdict(checkpoint.vocabulary)
    assert one.pop("item_features").tolist() == other.pop("item_features").tolist()
    assert one == other


def test_loading_a_missing_checkpoint_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"mind\.pt does not exist; `mindstream model train` writes"):
        load(tmp_path / "mind.pt")


@pytest.mark.parametrize("fault", ["garbage", "empty", "cut off", "another file of torch", "a part is missing"])
def test_loading_what_is_no_checkpoint_is_one_sentence(fault: str, checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "mind.pt"
    save(checkpoint, path)
    whole = path.read_bytes()
    if fault == "another file of torch":
        torch.save({"weights": torch.zeros(1)}, path)
    elif fault == "a part is missing":
        content = torch.load(path)
        del content["popularity"]
        torch.save(content, path)
    else:
        path.write_bytes({"garbage": b"garbage", "empty": b"", "cut off": whole[: len(whole) // 2]}[fault])
    with pytest.raises(ValueError, match=r"mind\.pt is not a checkpoint that this version of .* wrote$"):
        load(path)


def test_the_number_of_steps_grows_with_the_log() -> None:
    left_open = TrainingConfig(steps=None, batch_size=512)
    found = [fitted_to_log(left_open, targets) for targets in (0, 100, 512, 1_024_000)]
    assert [one.batch_size for one in found] == [1, 100, 512, 512]
    assert [one.steps for one in found] == [STEPS_OF_FEW, STEPS_OF_FEW, LEAST_STEPS, 12_000]
    assert fitted_to_log(replace(left_open, steps=7), 100).steps == 7


def test_the_average_of_the_weights_is_kept(log: InteractionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decay is (1 - 1/t)^8 at step t, and here at most 0.05: 0, 1/256, 0.039 and 0.05 at the four steps."""
    seen: list[torch.Tensor] = []
    step = TrainingRun.train_step

    def noted(run: TrainingRun) -> float:
        loss = step(run)
        seen.append(run.model.items.ids.weight.detach().clone())
        return loss

    monkeypatch.setattr(TrainingRun, "train_step", noted)
    held_out = {"valid_share": 0.0, "test_share": 0.0}
    found = train(log, TINY, tiny_training(steps=4, averaging=0.05, **held_out), progress=False)
    expected = seen[0]
    for weights, decay in zip(seen[1:], (0.5**8, (2 / 3) ** 8, 0.05), strict=True):
        expected = decay * expected + (1 - decay) * weights
    torch.testing.assert_close(found.model.items.ids.weight.detach(), expected)
    assert not torch.equal(seen[2], seen[3])
