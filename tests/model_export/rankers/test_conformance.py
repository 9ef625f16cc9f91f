"""What every ranker must keep, asked of every one that can be trained by name.

A new ranker is asked all of this as soon as it has a preset.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from model_export.bundle.ranking.features import FEATURES, HELD_OUT_FEATURES
from model_export.export.ranker_graph import RANKER_OUTPUT, export_ranker
from model_export.rankers.inputs import INPUT_NAMES, RankerInputs
from model_export.rankers.ranker_config import CORES, RANKERS
from model_export.rankers.ranking_model import CORE_CLASSES, RankingModel
from tests.support.rankers import in_double, inputs_of, model_of, moved

LENGTHS, N, L = [0, 1, 2, 3, 5, 6], 7, 6
TASKS = ("click", "buy")
OF_HISTORY, OF_CANDIDATES = ("behaviours", "mask", "gaps", "types"), ("candidates", "candidate_features")


def test_every_core_of_the_settings_is_there() -> None:
    assert set(CORE_CLASSES) == set(CORES) == {one.config.core for one in RANKERS.values()}
    assert all(name == one.config.name for name, one in RANKERS.items())


class Subject:
    """A ranker by name with two tasks, in double precision, and histories of LENGTHS behaviours."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.single = moved(model_of(name, tasks=TASKS, history_length=L)).eval()  # in single precision
        self.model: RankingModel = moved(model_of(name, tasks=TASKS, history_length=L)).double().eval()
        self.inputs = in_double(inputs_of(self.model, LENGTHS, N, L))

    def scores(self, inputs: RankerInputs) -> Tensor:
        with torch.no_grad():
            scores: Tensor = self.model(inputs)
        return scores


@pytest.fixture(scope="module", params=RANKERS)
def subject(request: pytest.FixtureRequest) -> Subject:
    return Subject(request.param)


def changed(inputs: RankerInputs, **fields: Tensor) -> RankerInputs:
    return replace(inputs, **fields)


def of_user(inputs: RankerInputs, user: int) -> RankerInputs:
    return RankerInputs(**{name: getattr(inputs, name)[user : user + 1] for name in INPUT_NAMES})


def test_scores_are_one_a_task_and_differ(subject: Subject) -> None:
    scores = subject.scores(subject.inputs)
    assert scores.shape == (len(LENGTHS), N, len(TASKS))
    assert scores.isfinite().all()
    assert (scores.std(1) > 1e-3).all()
    assert (scores[..., 0] - scores[..., 1]).abs().min() > 0


def test_what_is_not_in_reads_is_not_read(subject: Subject) -> None:
    assert subject.model.reads == tuple(name for name in INPUT_NAMES if name in subject.model.reads)
    read = {name: getattr(subject.inputs, name) for name in subject.model.reads}
    assert torch.equal(subject.scores(RankerInputs.of(**read)), subject.scores(subject.inputs))


def test_all_that_is_in_reads_has_an_influence(subject: Subject) -> None:
    other, before = in_double(inputs_of(subject.model, LENGTHS, N, L, seed=5)), subject.scores(subject.inputs)
    for name in set(subject.model.reads) - {"mask"}:
        after = subject.scores(changed(subject.inputs, **{name: getattr(other, name)}))
        assert not torch.allclose(after[1:], before[1:]), name
    if "mask" in subject.model.reads:
        assert not torch.allclose(subject.scores(changed(subject.inputs, mask=~subject.inputs.mask)), before)


def test_a_ranker_without_profile_fields_has_no_profile(subject: Subject) -> None:
    model = moved(model_of(subject.name, profile_sizes=[])).double().eval()
    assert model.reads == tuple(name for name in subject.model.reads if name != "profile")
    inputs = in_double(inputs_of(model, LENGTHS, N, L))
    assert model(RankerInputs.of(**{name: getattr(inputs, name) for name in model.reads})).shape == (6, N, 1)


def test_what_stands_at_padding_has_no_influence(subject: Subject) -> None:
    mask = subject.inputs.mask
    spoilt = changed(
        subject.inputs,
        behaviours=subject.inputs.behaviours.masked_fill(~mask[:, :, None], 100.0),
        gaps=subject.inputs.gaps.masked_fill(~mask, 0),
        types=subject.inputs.types.masked_fill(~mask, 3),
    )
    torch.testing.assert_close(subject.scores(spoilt), subject.scores(subject.inputs))


def test_the_number_of_padded_places_has_no_influence(subject: Subject) -> None:
    """Of DIEN the exported graph reads L places, and no fewer; the network itself any number."""
    before = subject.scores(subject.inputs)
    for user, length in enumerate(LENGTHS):
        one = of_user(subject.inputs, user)
        for places in {max(length, 1), L}:
            cut = {name: getattr(one, name)[:, L - places :] for name in OF_HISTORY}
            torch.testing.assert_close(subject.scores(changed(one, **cut))[0], before[user])


def test_other_users_have_no_influence(subject: Subject) -> None:
    before = subject.scores(subject.inputs)
    for user in range(len(LENGTHS)):
        torch.testing.assert_close(subject.scores(of_user(subject.inputs, user))[0], before[user])


def test_the_order_of_candidates_is_that_of_scores(subject: Subject) -> None:
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    other = {name: getattr(subject.inputs, name)[:, order] for name in OF_CANDIDATES}
    before = subject.scores(subject.inputs)
    torch.testing.assert_close(subject.scores(changed(subject.inputs, **other)), before[:, order])


def test_other_candidates_have_no_influence(subject: Subject) -> None:
    few = {name: getattr(subject.inputs, name)[:, 2:3] for name in OF_CANDIDATES}
    before = subject.scores(subject.inputs)
    torch.testing.assert_close(subject.scores(changed(subject.inputs, **few)), before[:, 2:3])


def test_nothing_is_drawn_at_random(subject: Subject) -> None:
    before = torch.random.get_rng_state()
    once, again = subject.scores(subject.inputs), subject.scores(subject.inputs)
    assert torch.equal(once, again)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_network_does_not_read_what_matching_learned_from_the_target(subject: Subject) -> None:
    features = subject.inputs.candidate_features.clone()
    features[..., [FEATURES.index(name) for name in HELD_OUT_FEATURES]] += 1.0
    other = changed(subject.inputs, candidate_features=features)
    with torch.no_grad():
        assert torch.equal(subject.model.network_scores(other), subject.model.network_scores(subject.inputs))
    difference = subject.scores(other) - subject.scores(subject.inputs)
    weights = subject.model.held_out_weights / subject.model.feature_deviation  # (T, F)
    expected = weights[:, [FEATURES.index(name) for name in HELD_OUT_FEATURES]].sum(1)
    torch.testing.assert_close(difference, expected.expand_as(difference))


def test_a_gradient_reaches_every_parameter_behaviours_and_candidates(subject: Subject) -> None:
    model = moved(model_of(subject.name, tasks=TASKS, history_length=L)).double().train()
    behaviours = subject.inputs.behaviours.clone().requires_grad_()
    candidates = subject.inputs.candidates.clone().requires_grad_()
    scores = model.network_scores(changed(subject.inputs, behaviours=behaviours, candidates=candidates))
    (scores * torch.randn_like(scores)).sum().backward()
    reached: list[tuple[str, Tensor]] = [*model.core.named_parameters()]
    if "candidates" in CORE_CLASSES[model.config.core].READS:  # type: ignore[attr-defined]
        reached += [("behaviours", behaviours), ("candidates", candidates)]
        assert behaviours.grad is not None
        assert behaviours.grad[~subject.inputs.mask].count_nonzero() == 0
    for name, tensor in reached:
        assert tensor.grad is not None, name
        assert tensor.grad.isfinite().all(), name
        assert tensor.grad.count_nonzero() > 0, name


def test_an_auxiliary_loss_is_finite_and_has_a_gradient(subject: Subject) -> None:
    weight, taken = RANKERS[subject.name].config.auxiliary_weight, torch.arange(len(LENGTHS)) % N
    model = moved(model_of(subject.name, history_length=L, auxiliary_weight=weight)).double().train()
    behaviours = subject.inputs.behaviours.clone().requires_grad_()
    loss = model.auxiliary_loss(changed(subject.inputs, behaviours=behaviours), taken)
    assert loss.shape == ()
    assert loss.isfinite()
    assert (loss > 0) == (weight > 0)
    if weight:
        loss.backward()
        assert behaviours.grad is not None
        assert behaviours.grad.isfinite().all()
        assert behaviours.grad.count_nonzero() > 0
        assert behaviours.grad[~subject.inputs.mask].count_nonzero() == 0


def test_an_auxiliary_loss_without_any_behaviour_is_finite(subject: Subject) -> None:
    model = moved(model_of(subject.name, history_length=L)).train()
    inputs = inputs_of(model, [0, 0, 1], N, L)
    parameters = [*model.core.parameters()]
    loss = model.auxiliary_loss(inputs, torch.zeros(3, dtype=torch.int64)) + model.network_scores(inputs).sum()
    loss.backward()
    assert loss.isfinite()
    assert all(one.grad is None or one.grad.isfinite().all() for one in parameters)


# What is served


@pytest.fixture(scope="module")
def graph(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp(subject.name) / "ranker.onnx"
    export_ranker(subject.single, file)
    return file


@pytest.mark.slow
def test_the_graph_gives_the_scores_of_torch(subject: Subject, graph: Path) -> None:
    """For other numbers of users, candidates and places than were exported; where a graph has L places, for these."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    model = subject.single
    assert {one.name for one in session.get_inputs()} == set(model.reads)
    for users, number, width in [(1, 1, L), (5, 9, L), (4, 2, 4)]:
        if width != L and model.fixed_length:
            continue
        lengths = [min(user, width) for user in range(users)]
        inputs = inputs_of(model, lengths, number, width, seed=3)
        with torch.no_grad():
            expected = model(inputs).numpy()
        (found,) = session.run([RANKER_OUTPUT], {name: getattr(inputs, name).numpy() for name in model.reads})
        assert found.shape == (users, number, len(TASKS))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_the_graph_draws_nothing_at_random(graph: Path) -> None:
    operators = {node.op_type for node in onnx.load(graph).graph.node}
    assert not [name for name in operators if name.startswith("Random") or name in {"Bernoulli", "Multinomial"}]
