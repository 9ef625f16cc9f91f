"""The anchors: EASE against its closed form, what models of the next item may read and learn, how they are named."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.quality.anchors import ease, training
from benchmarks.quality.anchors.choice import anchors_named, those_that_fit
from benchmarks.quality.anchors.ease import Ease, tune_ease
from benchmarks.quality.anchors.hstu import HstuEncoder, time_buckets
from benchmarks.quality.anchors.next_item import NextItemModel, NextItemRanker, NextItemSettings
from benchmarks.quality.anchors.sasrec import SasRecEncoder
from benchmarks.quality.anchors.training import Negatives, softmax_loss, train_next_item, tune_next_item
from benchmarks.quality.anchors.windows import training_windows
from model_export.data.dataset import Sequences
from model_export.evaluation.cases import Cases

ENCODERS = pytest.mark.parametrize("encoder", [SasRecEncoder, HstuEncoder], ids=["sasrec", "hstu"])


def sequences_of(histories: list[list[int]]) -> Sequences:
    items = np.array([item for history in histories for item in history], dtype=np.int32)
    starts = np.cumsum([0, *map(len, histories)])
    profiles = np.zeros((len(histories), 0), dtype=np.int64)
    return Sequences(
        [f"u{user:05}" for user in range(len(histories))], items, 60_000 * np.arange(len(items)), starts, profiles
    )


def cases_of(histories: list[list[int]], labels: list[int], length: int = 4) -> Cases:
    mask = np.array([[False] * (length - len(h)) + [True] * len(h) for h in histories])
    rows = np.array([[0] * (length - len(h)) + h for h in histories])
    return Cases(rows, mask, np.zeros((len(rows), 0), dtype=np.int64), np.array(labels)[:, None], np.zeros_like(rows))


NOBODY = cases_of([[0]], [1]).take(slice(0))

# EASE


TAKEN = [[0, 1, 1], [1, 2], [0, 2, 3], [3, 4], [4]]


def test_ease_is_the_closed_form_of_the_paper() -> None:
    x = np.zeros((5, 5))
    for user, items in enumerate(TAKEN):
        x[user, items] = 1  # however often
    p = np.linalg.inv(x.T @ x + 0.5 * np.eye(5))
    expected = np.eye(5) - p / np.diag(p)
    found = Ease(sequences_of([*TAKEN, [0, 4]]), np.arange(5), 5, 0.5)  # the last user is not learned from
    assert found.weights == pytest.approx(expected, abs=1e-5)
    assert np.diag(found.weights).tolist() == [0] * 5
    scores = found.scores(cases_of([[1, 1, 3], [0]], [2, 2]))
    assert scores == pytest.approx(np.stack([expected[1] + expected[3], expected[0]]), abs=1e-5)


def test_ease_is_the_least_squares_solution_without_a_diagonal() -> None:
    x = np.zeros((5, 5))
    for user, items in enumerate(TAKEN):
        x[user, items] = 1
    found = Ease(sequences_of(TAKEN), np.arange(5), 5, 0.5).weights
    for item in range(5):  # each column is a ridge regression on the other items
        others = [other for other in range(5) if other != item]
        ridge = np.linalg.solve(x[:, others].T @ x[:, others] + 0.5 * np.eye(4), x[:, others].T @ x[:, item])
        assert found[others, item] == pytest.approx(ridge, abs=1e-5)


def test_tuning_ease_keeps_the_best_regularisation(monkeypatch: pytest.MonkeyPatch) -> None:
    recalls = dict(zip(ease.REGULARISATIONS, (0.1, 0.3, 0.3, 0.2), strict=True))
    monkeypatch.setattr(ease, "tuning_recall", lambda one, cases: recalls[one.regularisation])
    learned_from = sequences_of(TAKEN), np.arange(5), 5
    assert tune_ease(*learned_from, cases_of([[0]], [1]), progress=False).regularisation == ease.REGULARISATIONS[1]
    assert tune_ease(*learned_from, NOBODY, progress=False).regularisation == ease.REGULARISATIONS[1]


def test_ease_says_when_its_matrix_cannot_be_inverted() -> None:
    with pytest.raises(ValueError, match="no inverse in 32 bits with lambda 0"):
        Ease(sequences_of([[0, 1]]), np.arange(1), 2, 0.0)


# Models of the next item


def test_every_behaviour_but_the_first_is_a_target_once() -> None:
    windows = training_windows(sequences_of([[7], [1, 2, 3, 4, 5, 6], [8, 9]]), np.array([0, 1, 2]), 2)
    pairs = [
        (h[m].tolist(), f[m].tolist()) for h, m, f in zip(windows.history, windows.mask, windows.following, strict=True)
    ]
    assert pairs == [([4, 5], [5, 6]), ([2, 3], [3, 4]), ([1], [2]), ([8], [9])]
    assert windows.take(np.array([2, 3])).history.tolist() == [[1], [8]]


@ENCODERS
def test_later_items_do_not_change_earlier_states(encoder: type[nn.Module]) -> None:
    torch.manual_seed(1)
    model = NextItemModel(9, encoder(8, 5, 0.5), 8).eval()
    mask, times = torch.ones(1, 5, dtype=torch.bool), torch.arange(5)[None] * 60_000
    before, after = (model(torch.tensor([rows]), mask, times) for rows in ([1, 2, 3, 4, 5], [1, 2, 3, 7, 8]))
    assert torch.allclose(before[:, :3], after[:, :3], atol=1e-6)
    assert not torch.allclose(before[:, 3], after[:, 3], atol=1e-3)


@ENCODERS
def test_padding_is_not_read(encoder: type[nn.Module]) -> None:
    torch.manual_seed(1)
    ranker = NextItemRanker("x", NextItemModel(9, encoder(8, 5, 0.5), 8))
    case = cases_of([[3, 4]], [5], length=5)
    other = Cases(np.where(case.mask, case.history, 6), case.mask, case.profiles, case.labels, case.times)
    assert ranker.scores(other) == pytest.approx(ranker.scores(case), abs=1e-6)
    assert ranker.scores(cases_of([[3, 4]], [5], length=2)) == pytest.approx(ranker.scores(case), abs=1e-6)


@ENCODERS
@pytest.mark.parametrize("all_items", [100, 0], ids=["all items", "sampled"])
def test_a_planted_chain_is_learned(encoder: type[nn.Module], all_items: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ALL_ITEMS", all_items)
    chain = sequences_of([[(start + step) % 12 for step in range(8)] for start in range(12)] * 4)
    settings = NextItemSettings(dim=16, batch_size=16, learning_rate=1e-2, negatives=8, patience=4)
    model, recall = train_next_item(chain, np.arange(48), 12, NOBODY, 4, encoder, settings)
    assert np.isnan(recall)
    cases = cases_of([[start, (start + 1) % 12] for start in range(12)], [(start + 2) % 12 for start in range(12)])
    assert NextItemRanker("x", model).top(cases, 1, False)[:, 0].tolist() == cases.labels[:, 0].tolist()


def test_the_softmax_by_hand() -> None:
    states, table = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    following = torch.tensor([1])
    whole = -np.log(1 / (np.exp(2) + 1 + np.exp(-2)))
    assert softmax_loss(states, following, table, 2.0).item() == pytest.approx(whole)
    # Each of the others drawn once, as expected: the same. The item that followed is no negative of itself.
    once = Negatives(torch.tensor([0, 1, 2]), 0.0)
    assert softmax_loss(states, following, table, 2.0, once).item() == pytest.approx(whole)
    twice = Negatives(torch.tensor([0, 0, 2, 2]), math.log(2))  # each drawn twice, as expected
    assert softmax_loss(states, following, table, 2.0, twice).item() == pytest.approx(whole)


def test_training_keeps_the_weights_of_best_recall(monkeypatch: pytest.MonkeyPatch) -> None:
    recalls, looked = iter([0.1, 0.3, 0.2, 0.2, 0.9]), []

    def recall(ranker: NextItemRanker, cases: Cases) -> float:
        looked.append(ranker.model.items.weight.detach().clone())
        return next(recalls)

    monkeypatch.setattr(training, "tuning_recall", recall)
    chain, settings = sequences_of([[0, 1, 2]] * 4), NextItemSettings(dim=4, least_steps=1, patience=2)
    model, best = train_next_item(chain, np.arange(4), 3, cases_of([[0]], [1]), 2, SasRecEncoder, settings)
    assert (best, len(looked)) == (0.3, 4)  # two looks without a better one, and it ends
    assert torch.equal(model.items.weight, looked[1])


def test_tuning_keeps_the_dropout_of_best_recall(monkeypatch: pytest.MonkeyPatch) -> None:
    recalls = {0.2: 0.1, 0.5: 0.4}
    monkeypatch.setattr(training, "train_next_item", lambda *given: (given[-1].dropout, recalls[given[-1].dropout]))
    given = sequences_of([[0, 1]]), np.arange(1), 2, cases_of([[0]], [1]), 2, SasRecEncoder
    assert tune_next_item("x", *given).model == 0.5  # type: ignore[comparison-overlap]
    recalls[0.5] = 0.1
    assert tune_next_item("x", *given).model == 0.2  # type: ignore[comparison-overlap]


def test_time_is_told_by_its_logarithm() -> None:
    times = torch.tensor([[0, 1_000, 4_000, 10**15]])
    assert time_buckets(times)[0, :, 0].tolist() == [0, 1, 2, 31]
    assert time_buckets(times)[0, 0].tolist() == [0, 0, 0, 0]  # what is later is not read


# Names


def test_anchors_by_name() -> None:
    assert anchors_named("none") == []
    assert anchors_named("all") == ["ease", "sasrec", "hstu"]
    assert anchors_named("sasrec, ease") == ["ease", "sasrec"]
    with pytest.raises(
        ValueError, match="--anchors ease,slim: there is no anchor 'slim'; it must be all, none, or some"
    ):
        anchors_named("ease,slim")


def test_a_large_catalogue_is_not_given_to_ease() -> None:
    assert those_that_fit(["ease", "sasrec"], ease.MOST_ITEMS) == (["ease", "sasrec"], [])
    names, [sentence] = those_that_fit(["ease", "sasrec"], 25_310)
    assert names == ["sasrec"]
    assert sentence.startswith("EASE is left out: of 25,310 items its matrix would take 2.6 GB")
    assert those_that_fit(["sasrec"], 25_310) == (["sasrec"], [])
