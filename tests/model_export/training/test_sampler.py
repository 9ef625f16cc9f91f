"""Batches: which histories, targets and negatives training sees, and how often."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from model_export.data import dataset
from model_export.data.cooccurrence import Neighbours
from model_export.data.dataset import Sequences
from model_export.models.training_config import TrainingConfig
from model_export.training.objective import TrainingBatch
from model_export.training.sampler import Sampler, draw_weighted

CPU = torch.device("cpu")
X, Y, Z = 0, 1, 2


def arrays(batch: TrainingBatch) -> list[np.ndarray]:
    """All parts of a batch, in the order of its fields."""
    return [getattr(batch, name).numpy() for name in vars(batch)]


def ladder(users: int, length: int) -> Sequences:
    """User u has the items 100 u, 100 u + 1, 100 u + 2 ... in this order, and the profile row u."""
    items = np.concatenate([100 * user + np.arange(length) for user in range(users)])
    starts = length * np.arange(users + 1)
    times = 1_000 * np.arange(len(items))
    return Sequences([f"u{user}" for user in range(users)], items, times, starts, np.arange(users)[:, None])


def test_a_history_is_what_came_before_the_target_and_nothing_else() -> None:
    training = TrainingConfig(batch_size=10, negatives=8)
    sampler = Sampler(ladder(users=3, length=6), np.array([0, 2]), 4, training, 300, CPU)
    seen: set[int] = set()
    for _ in range(20):
        history, real, mask, earlier, gaps, earlier_gaps, *_, target, profile, negatives, _ = arrays(sampler.batch())
        assert np.array_equal(history, real)  # nothing is substituted
        assert (history.shape, mask.shape, negatives.shape) == ((10, 4), (10, 4), (8,))
        for row in range(10):
            user, number = divmod(int(target[row]), 100)
            before = [100 * user + step for step in range(max(0, number - 4), number)]
            assert history[row, mask[row]].tolist() == before
            assert (history[row, ~mask[row]] == 0).all()
            assert mask[row, 4 - len(before) :].all()
            assert profile[row].tolist() == [user]
            assert history[row, earlier[row]].tolist() == before[:-1]
            # A second apart: 3, 2, 1 and 0 seconds before the last one are in the buckets 2, 1, 1 and 0.
            assert gaps[row, mask[row]].tolist() == [2, 1, 1, 0][4 - len(before) :]
            assert earlier_gaps[row, earlier[row]].tolist() == [1, 1, 0][4 - len(before) :]
        seen |= set(target.tolist())
    assert seen == {1, 2, 3, 4, 5, 201, 202, 203, 204, 205}  # never a first event, never the held-out user


def test_negatives_are_as_frequent_as_log_q_says() -> None:
    # Of the training users' behaviours x has 6, y 2, z none: with one more of each the shares are 7, 3 and 1 of 11.
    items = np.array([X, X, X, X, Y, X, X, Y, Z, Z])
    sequences = Sequences(["a", "b", "held-out"], items, np.arange(10), np.array([0, 5, 8, 10]), np.zeros((3, 0)))
    training = TrainingConfig(batch_size=1, negatives=1_000)
    sampler = Sampler(sequences, np.array([0, 1]), 4, training, 3, CPU)
    expected = 1_000 * np.array([7, 3, 1]) / 11
    assert sampler.log_q.exp().tolist() == pytest.approx(expected)
    counts: Counter[int] = Counter()
    for _ in range(100):
        counts.update(sampler.batch().negatives.tolist())
    assert [counts[item] for item in (X, Y, Z)] == pytest.approx(100 * expected, rel=0.05)


def test_the_sampler_repeats_itself_by_its_seed() -> None:
    def first_batch(seed: int) -> list[list[int]]:
        training = TrainingConfig(batch_size=16, negatives=8, seed=seed)
        return [array.tolist() for array in arrays(Sampler(ladder(3, 9), np.arange(3), 4, training, 300, CPU).batch())]

    assert first_batch(1) == first_batch(1) != first_batch(2)


def sampler_of(neighbours: Neighbours | None = None, **settings: Any) -> Sampler:
    """Of two users with nine behaviours each; the third is held out."""
    training = TrainingConfig(**{"batch_size": 16, "negatives": 8, **settings})
    return Sampler(ladder(3, 9), np.arange(2), 4, training, 300, CPU, neighbours)


def test_every_behaviour_but_the_first_is_a_target_as_often_as_another() -> None:
    sampler, counts = sampler_of(batch_size=16), Counter[int]()
    for _ in range(1_000):
        counts.update(sampler.batch().target.tolist())
    assert sorted(counts) == [*range(1, 9), *range(101, 109)]
    expected = 16_000 / 16
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 37.7  # chi-square of 15: 1 in 1,000


def test_uniform_negatives() -> None:
    sampler, counts = sampler_of(negative_sampling="uniform", negatives=300), np.zeros(300)
    assert sampler.log_q.exp().tolist() == pytest.approx([1.0] * 300)
    for _ in range(200):
        counts += np.bincount(sampler.batch().negatives.numpy(), minlength=300)
    assert ((counts - 200) ** 2 / 200).sum() < 379  # chi-square of 299 degrees of freedom: 1 in 1,000


def test_the_newest_targets_are_drawn_most() -> None:
    # Times 0 to 17 of 18 behaviours: the oldest target is of time 1, the newest of time 17. Half-life: 4 of these 16.
    sampler, counts = sampler_of(recency_half_life=0.25), np.zeros(18)
    for _ in range(2_000):
        targets = sampler.batch().target.numpy()
        counts += np.bincount(targets % 100 + 9 * (targets // 100), minlength=18)
    times = np.array([time for time in range(18) if time % 9])
    expected = 0.5 ** ((17 - times) / 4)
    expected *= 32_000 / expected.sum()
    assert counts[[0, 9]].tolist() == [0, 0]
    assert ((counts[times] - expected) ** 2 / expected).sum() < 37.7


def test_targets_are_drawn_in_proportion_to_their_weights() -> None:
    # 16 targets: those of an even number weigh 4, the others 1; the first behaviours are never drawn, whatever they
    # weigh. Of recency the half-life is 4 of the 16 ms between the first target and the last.
    sequences = ladder(3, 9)
    weights = np.where(np.arange(27) % 2 == 0, 4, 1).astype(np.float32)
    sequences = replace(sequences, weights=weights)
    for half_life in (None, 0.25):
        training = TrainingConfig(batch_size=16, negatives=8, recency_half_life=half_life)
        sampler, counts = Sampler(sequences, np.arange(2), 4, training, 300, CPU), np.zeros(18)
        for _ in range(2_000):
            targets = sampler.batch().target.numpy()
            counts += np.bincount(targets % 100 + 9 * (targets // 100), minlength=18)
        places = np.array([place for place in range(18) if place % 9])
        expected = weights[places] * (1.0 if half_life is None else 0.5 ** ((17 - places) / 4))
        expected *= 32_000 / expected.sum()
        assert counts[[0, 9]].tolist() == [0, 0]
        assert ((counts[places] - expected) ** 2 / expected).sum() < 37.7


@pytest.mark.parametrize("half_life", [None, 0.25])
def test_without_weights_targets_are_drawn_as_from_a_list_of_them(half_life: float | None) -> None:
    targets = np.array([place for place in range(18) if place % 9])
    alike = 0.5 ** ((17 - targets) / 16 / half_life) if half_life else np.ones(16)
    places = draw_weighted(np.cumsum(alike), 16, np.random.default_rng(TrainingConfig().seed))
    for weights in (np.ones(1, dtype=np.float32), np.ones(27, dtype=np.float32)):
        training = TrainingConfig(batch_size=16, negatives=8, recency_half_life=half_life)
        sequences = replace(ladder(3, 9), weights=weights)
        batch = Sampler(sequences, np.arange(2), 4, training, 300, CPU).batch()
        assert batch.target.tolist() == sequences.items[targets[places]].tolist()


@pytest.mark.parametrize("half_life", [None, 0.25])
def test_blocks_of_targets_weigh_as_all_at_once(half_life: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = np.arange(1, 28, dtype=np.float32)
    training = TrainingConfig(batch_size=16, negatives=8, recency_half_life=half_life)

    def cumulative() -> list[float]:
        sampler = Sampler(replace(ladder(3, 9), weights=weights), np.arange(2), 4, training, 300, CPU)
        return list(sampler.by_weight)

    targets = np.array([place for place in range(18) if place % 9])
    recency = 0.5 ** ((17 - targets) / 16 / half_life) if half_life else np.ones(16)
    assert cumulative() == np.cumsum(weights[targets] * recency).tolist()
    monkeypatch.setattr(dataset, "BLOCK", 5)
    assert cumulative() == np.cumsum(weights[targets] * recency).tolist()


def test_where_all_happened_at_once_none_is_older() -> None:
    sequences = ladder(2, 5)
    still = Sequences(sequences.user_ids, sequences.items, np.full(10, 7), sequences.starts, sequences.profiles)
    sampler = Sampler(still, np.arange(2), 4, TrainingConfig(batch_size=8, recency_half_life=0.1), 200, CPU)
    assert np.diff(sampler.by_weight, prepend=0).tolist() == [1.0] * 8


def to_299(share: float) -> Sampler:
    """Every item's only neighbour is item 299."""
    similarity = csr_matrix((np.ones(300), (np.arange(300), np.full(300, 299))), shape=(300, 300))
    return sampler_of(Neighbours(similarity), substitution=share)


def test_real_behaviours_are_replaced_as_often_as_asked_and_nothing_else_is() -> None:
    sampler, replaced, real = to_299(0.3), 0, 0
    for _ in range(100):
        batch = sampler.batch()
        assert (batch.history[~batch.mask] == 0).all()
        assert (batch.target != 299).all()
        replaced += int((batch.history[batch.mask] == 299).sum())
        real += int(batch.mask.sum())
        for history, mask, target in zip(batch.history, batch.mask, batch.target, strict=True):
            kept = history[mask & (history != 299)]
            assert ((target - 4 <= kept) & (kept < target)).all()
    assert replaced / real == pytest.approx(0.3, abs=0.03)  # of some 5,000, four standard errors


def test_without_substitution_the_neighbours_are_not_asked() -> None:
    for one, other in zip(arrays(to_299(0.0).batch()), arrays(sampler_of().batch()), strict=True):
        assert (one == other).all()
    everything = to_299(1.0).batch()
    assert (everything.history == 299 * everything.mask).all()
    assert (everything.real_history != 299).all()  # what users really had is kept


def test_a_sampler_goes_on_where_another_stood() -> None:
    one, other = to_299(0.3), to_299(0.3)
    for _ in range(3):
        one.batch()
    state = one.state()
    expected = [arrays(one.batch()) for _ in range(3)]
    other.restore(state)
    for batch in expected:
        for array, again in zip(batch, arrays(other.batch()), strict=True):
            assert (array == again).all()


def test_some_types_are_hidden_and_the_others_are_those_of_the_behaviours() -> None:
    untyped = ladder(100, 9)
    typed = replace(untyped, types=(1 + untyped.items % 2).astype(np.uint8))
    training = TrainingConfig(batch_size=400, negatives=8)
    batch = Sampler(typed, np.arange(100), 4, training, 10_000, CPU).batch()
    real, found = batch.mask.numpy(), batch.types.numpy()
    assert not found[~real].any()
    shown = real & (found > 0)
    assert (found[shown] == 1 + batch.history.numpy()[shown] % 2).all()
    assert 1 - shown.sum() / real.sum() == pytest.approx(0.05, abs=0.02)
    plain = Sampler(untyped, np.arange(100), 4, training, 10_000, CPU).batch()
    assert not plain.types.any()
    assert np.array_equal(plain.target, batch.target)


def test_draws_by_hand() -> None:
    class Scripted:
        def random(self, number: int) -> np.ndarray:
            return np.array([0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-53])[:number]

    assert draw_weighted(np.array([1.0, 1.0, 3.0, 4.0]), 6, Scripted()).tolist() == [0, 0, 2, 2, 3, 3]  # type: ignore[arg-type]
