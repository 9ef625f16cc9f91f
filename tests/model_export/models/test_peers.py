"""One conformance suite for every model that can be trained by name, and the peers of MIND by hand."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from model_export.bundle.bundle import EXTRACTOR, Bundle
from model_export.bundle.check import check
from model_export.bundle.extractor import OUTPUTS, Extractor
from model_export.bundle.time_gaps import BUCKETS
from model_export.data.event_types import MOST_TYPES
from model_export.export.bundle_writer import export
from model_export.models.checkpoint import Checkpoint
from model_export.models.interest_model import EXTRACTOR_CLASSES
from model_export.models.mind import behaviour_ages
from model_export.models.model_config import EXTRACTORS, ModelConfig
from model_export.models.peers import MaxMf, MeanPooling, SelfAttention, UnsharedRouting, order_by_age
from model_export.models.presets import PRESETS
from tests.support.bundles.untrained import untrained

D, L = 6, 7
LENGTHS = [0, 1, 2, 4, 5, 7]
# Of presets that differ in their training alone the graph is the same, and exporting takes seconds.
GRAPHS = list({replace(one.model, name=""): name for name, one in PRESETS.items()}.values())


def test_every_extractor_of_the_settings_is_there() -> None:
    assert set(EXTRACTOR_CLASSES) == set(EXTRACTORS) == {one.model.extractor for one in PRESETS.values()}


# What some models read of behaviours: input, the setting that says so, and rows of its table.
BESIDE = (("gaps", "time_gaps", BUCKETS), ("types", "types", MOST_TYPES))


class Subject:
    """A model by name, in small dimensions and double precision, and histories of LENGTHS behaviours."""

    def __init__(self, name: str) -> None:
        self.config = replace(PRESETS[name].model, dim=D, history_length=L, hidden=5, profile_dim=2)
        self.checkpoint: Checkpoint = untrained(self.config)
        # Exported from here and not from `model`, which is in double precision.
        self.model: nn.Module = untrained(self.config).model.extractor.double().eval()
        rng = np.random.default_rng(0)
        users, self.slots = len(LENGTHS), self.config.num_interests
        self.front = torch.arange(L)[None] >= L - torch.tensor(LENGTHS)[:, None]
        self.behind = torch.arange(L)[None] < torch.tensor(LENGTHS)[:, None]
        self.behaviours = torch.from_numpy(rng.normal(size=(users, L, D)))
        self.logits = torch.from_numpy(rng.normal(size=(users, self.slots, L)))
        values = torch.tensor([[user % 3, user % 2] for user in range(users)])
        self.profile = values if self.config.reads_profile else None
        # Of each behaviour; what begins as zeros makes no difference.
        self.beside = {}
        for name, reads, rows in BESIDE:
            if getattr(self.config, reads):
                self.beside[name] = torch.from_numpy(rng.integers(rows, size=sum(LENGTHS)))
                nn.init.normal_(self.model.get_parameter(name.removesuffix("s") + "_weights"))

    def run(self, behaviours: Tensor, mask: Tensor, logits: Tensor, users: slice = slice(None)) -> list[Tensor]:
        """Capsules, interest mask and routing weights of some of the users; each behaviour has its own gap and type."""
        read = {} if self.profile is None else {"profile": self.profile[users]}
        for name, of_behaviours in self.beside.items():
            rows = torch.zeros(mask.shape, dtype=torch.int64)
            rows[mask] = of_behaviours[: int(mask.sum())]  # wherever the padding stands
            read[name] = rows[users]
        return list(self.model(behaviours[users], mask[users], logits[users], **read))


@pytest.fixture(scope="module", params=PRESETS)
def subject(request: pytest.FixtureRequest) -> Subject:
    return Subject(request.param)


def test_shapes_and_what_is_zero(subject: Subject) -> None:
    capsules, active, weights = subject.run(subject.behaviours, subject.front, subject.logits)
    users = len(LENGTHS)
    assert capsules.shape == (users, subject.slots, D)
    assert (active.shape, active.dtype) == ((users, subject.slots), torch.bool)
    assert weights.shape == (users, subject.slots, L)
    assert active.any(1).tolist() == [length > 0 for length in LENGTHS]
    assert capsules[~active].count_nonzero() == weights[~active].count_nonzero() == 0
    assert weights.transpose(1, 2)[~subject.front].count_nonzero() == 0
    assert capsules.isfinite().all()
    assert weights.isfinite().all()


def test_what_stands_at_padding_has_no_influence(subject: Subject) -> None:
    before = subject.run(subject.behaviours, subject.front, subject.logits)
    spoilt = torch.where(subject.front[:, :, None], subject.behaviours, 100.0)
    logits = torch.where(subject.front[:, None], subject.logits, 100.0)
    for one, other in zip(before, subject.run(spoilt, subject.front, logits), strict=True):
        assert torch.equal(one, other)


def test_padding_in_front_and_behind_are_the_same(subject: Subject) -> None:
    front = subject.run(subject.behaviours, subject.front, subject.logits)
    moved, logits = torch.randn_like(subject.behaviours), torch.randn_like(subject.logits)
    moved[subject.behind] = subject.behaviours[subject.front]
    logits.transpose(1, 2)[subject.behind] = subject.logits.transpose(1, 2)[subject.front]
    behind = subject.run(moved, subject.behind, logits)
    torch.testing.assert_close(behind[0], front[0])
    assert torch.equal(behind[1], front[1])
    torch.testing.assert_close(behind[2].transpose(1, 2)[subject.behind], front[2].transpose(1, 2)[subject.front])


def test_neither_the_number_of_padded_places_nor_other_users_have_influence(subject: Subject) -> None:
    together = subject.run(subject.behaviours, subject.front, subject.logits)
    for user, length in enumerate(LENGTHS):
        cut = slice(L - length, L)
        parts = subject.behaviours[:, cut], subject.front[:, cut], subject.logits[:, :, cut]
        capsules, active, weights = subject.run(*parts, slice(user, user + 1))
        torch.testing.assert_close(capsules[0], together[0][user])
        assert torch.equal(active[0], together[1][user])
        torch.testing.assert_close(weights[0], together[2][user][:, cut])


def test_the_same_histories_give_the_same_capsules(subject: Subject) -> None:
    parts = subject.behaviours, subject.front, subject.logits
    assert torch.equal(subject.run(*parts)[0], subject.run(*parts)[0])


def test_a_gradient_reaches_every_parameter_and_the_behaviours(subject: Subject) -> None:
    model = untrained(replace(subject.config, behaviour_dropout=0.0)).model.extractor.double().train()
    behaviours = subject.behaviours.clone().requires_grad_()
    beside = {name: torch.randint(rows, subject.front.shape) for name, _, rows in BESIDE if name in subject.beside}
    capsules, _, _ = model(behaviours, subject.front, subject.logits, subject.profile, **beside)
    (capsules * torch.randn_like(capsules)).sum().backward()
    for name, tensor in [*model.named_parameters(), ("behaviours", behaviours)]:
        assert tensor.grad is not None, name
        assert tensor.grad.isfinite().all(), name
        assert tensor.grad.count_nonzero() > 0, name
    assert behaviours.grad is not None
    assert behaviours.grad[~subject.front].count_nonzero() == 0


# What is served


@pytest.fixture(scope="module")
def bundle(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(subject.checkpoint, tmp_path_factory.mktemp("bundle"), progress=False)


@pytest.mark.parametrize("subject", GRAPHS, indirect=True)
def test_a_bundle_passes_and_is_called_by_its_name(subject: Subject, bundle: Bundle) -> None:
    check(bundle)
    assert bundle.manifest.model["name"] == subject.config.name


@pytest.mark.parametrize("subject", GRAPHS, indirect=True)
def test_the_graph_gives_the_capsules_of_torch_at_every_length(subject: Subject, bundle: Bundle) -> None:
    session = onnxruntime.InferenceSession(bundle.path / EXTRACTOR, providers=["CPUExecutionProvider"])
    model = subject.checkpoint.model.extractor.eval()
    rng = np.random.default_rng(1)
    for width in range(1, L + 1):
        inputs = {
            "behaviours": rng.normal(size=(9, width, D)).astype(np.float32),
            "mask": np.arange(width)[None] < np.minimum(np.arange(9), width)[:, None],
            "routing_logits": rng.normal(size=(9, subject.slots, width)).astype(np.float32),
        }
        if subject.config.reads_profile:
            inputs["profile"] = np.stack([np.arange(9) % 3, np.arange(9) % 2], 1)
        for name, _, rows in BESIDE:
            if name in subject.beside:
                inputs[name] = rng.integers(rows, size=(9, width))
        with torch.no_grad():
            expected = model(**{name: torch.from_numpy(array) for name, array in inputs.items()})
        for one, other in zip(session.run(list(OUTPUTS), inputs), expected, strict=True):
            np.testing.assert_allclose(one, other.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("subject", GRAPHS, indirect=True)
@pytest.mark.parametrize("size", [1, 3, 5])
def test_served_capsules_are_the_same_bit_for_bit_in_any_batch(size: int, bundle: Bundle) -> None:
    extractor, rng = Extractor(bundle), np.random.default_rng(2)
    histories = [rng.choice(bundle.item_ids, number % (L + 1)).tolist() for number in range(32)]
    times = [np.sort(rng.integers(10**11, size=len(history))).tolist() for history in histories]
    together, weights = extractor.encode(histories, times_ms=times), extractor.routing_weights(histories, None, times)
    some = [slice(at, at + size) for at in range(0, 32, size)]
    apart = [one for part in some for one in extractor.encode(histories[part], times_ms=times[part])]
    for one, other in zip(together, apart, strict=True):
        assert np.array_equal(one.vectors, other.vectors)
    routed = [one for part in some for one in extractor.routing_weights(histories[part], None, times[part])]
    assert all(np.array_equal(one, other) for one, other in zip(weights, routed, strict=True))


# The mean


def test_mean_pooling_by_hand() -> None:
    model = MeanPooling(ModelConfig(extractor="mean", dim=2, num_interests=1, history_length=3, hidden=2), [])
    first, second = model.layers.layers[0], model.layers.layers[2]
    with torch.no_grad():
        for layer in (first, second):
            layer.get_parameter("weight").copy_(torch.eye(2))
            layer.get_parameter("bias").zero_()
    behaviours = torch.tensor([[[9.0, 9.0], [1.0, 2.0], [3.0, -8.0]]])
    mask = torch.tensor([[False, True, True]])
    capsules, active, weights = model(behaviours, mask, torch.zeros(1, 1, 3))
    assert capsules.tolist() == [[[2.0, 0.0]]]  # the mean (2, -3) through ReLU
    assert active.tolist() == [[True]]
    assert weights.tolist() == [[[0, 1, 1]]]


def test_a_mean_is_one_interest() -> None:
    with pytest.raises(ValueError, match="num_interests is 3; the mean of all behaviours is 1 interest"):
        MeanPooling(ModelConfig(extractor="mean", num_interests=3), [])


# MaxMF


def max_mf(iterations: int, slots: int = 2) -> MaxMf:
    return MaxMf(ModelConfig(extractor="maxmf", dim=2, num_interests=slots, routing_iterations=iterations), [])


def test_max_mf_finds_two_planted_clusters() -> None:
    east, north = [[1.0, 0.1], [0.9, 0.0], [1.1, 0.0]], [[0.0, 1.0], [0.1, 0.9], [0.0, 1.1]]
    behaviours = torch.tensor([east + north])
    mask = torch.ones(1, 6, dtype=torch.bool)
    logits = torch.zeros(1, 2, 6)
    logits[0, 0, [0, 1, 3]] = 1.0  # two of the east and one of the north in the first, the others in the second
    logits[0, 1, [2, 4, 5]] = 1.0
    capsules, active, taken = max_mf(1)(behaviours, mask, logits)
    assert active.tolist() == [[True, True]]
    assert taken.tolist() == [[[1, 1, 0, 1, 0, 0], [0, 0, 1, 0, 1, 1]]]
    np.testing.assert_allclose(capsules[0], [[1.9 / 3, 1.1 / 3], [1.2 / 3, 2.0 / 3]], rtol=1e-6)
    capsules, _, taken = max_mf(3)(behaviours, mask, logits)
    assert taken.tolist() == [[[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]]
    np.testing.assert_allclose(capsules[0], [np.mean(east, 0), np.mean(north, 0)], rtol=1e-6)


def test_a_vector_that_takes_nothing_is_zero() -> None:
    scores = torch.tensor([[[1.0, 1.0, 9.0], [0.0, 0.0, 0.0], [5.0, 5.0, 5.0]]])
    active, mask = torch.tensor([[True, True, False]]), torch.tensor([[True, True, False]])
    taken = MaxMf.assign(scores, active, mask)
    assert taken.tolist() == [[[1, 1, 0], [0, 0, 0], [0, 0, 0]]]
    behaviours = torch.tensor([[[2.0, 4.0], [4.0, 0.0], [7.0, 7.0]]])
    assert MaxMf.average(taken, behaviours).tolist() == [[[3, 2], [0, 0], [0, 0]]]


# Self-attention


def test_self_attention_is_a_softmax_over_the_real_behaviours() -> None:
    torch.manual_seed(0)
    config = ModelConfig(
        extractor="self-attention", adaptive_interests=False, dim=3, num_interests=2, history_length=4, hidden=5
    )
    model = SelfAttention(config, []).double()
    behaviours = torch.randn(1, 4, 3, dtype=torch.float64)
    mask = torch.tensor([[False, True, True, True]])
    with torch.no_grad():
        capsules, _, attention = model(behaviours, mask, torch.zeros(1, 2, 4))
    e, places = behaviours[0].numpy(), model.places.detach().numpy()
    first, second = model.first.weight.detach().numpy(), model.second.weight.detach().numpy()
    for k in range(2):
        scores = {i: float(second[k] @ np.tanh(first @ (e[i] + places[3 - i]))) for i in (1, 2, 3)}  # age 3 - i
        total = sum(map(math.exp, scores.values()))
        expected = [0.0, *(math.exp(scores[i]) / total for i in (1, 2, 3))]
        np.testing.assert_allclose(attention[0, k], expected)
        np.testing.assert_allclose(capsules[0, k], sum(expected[i] * e[i] for i in (1, 2, 3)))


# Unshared routing


def squashed(z: np.ndarray) -> np.ndarray:
    length = math.sqrt(z @ z)
    return z * length / (1 + length**2)


def routed_by_loops(maps: np.ndarray, behaviours: np.ndarray, iterations: int) -> tuple[np.ndarray, np.ndarray]:
    """Capsules (K, d) and weights (K, n) of one user's behaviours (n, d), oldest first; maps (L, K, d, d)."""
    slots, n = maps.shape[1], len(behaviours)
    votes = [[behaviours[i] @ maps[n - 1 - i, k] for i in range(n)] for k in range(slots)]
    b = np.zeros((slots, n))
    for _ in range(iterations):
        w = np.exp(b) / np.exp(b).sum(0)
        capsules = [squashed(np.sum([w[k, i] * votes[k][i] for i in range(n)], 0)) for k in range(slots)]
        b = b + np.array([[capsules[k] @ votes[k][i] for i in range(n)] for k in range(slots)])
    return np.array(capsules), w


@pytest.mark.parametrize("iterations", [1, 2, 3])
@pytest.mark.parametrize("in_front", [True, False])
def test_unshared_routing_is_what_loops_give(iterations: int, in_front: bool) -> None:
    torch.manual_seed(0)
    dimensions: dict[str, Any] = {"dim": 4, "num_interests": 3, "history_length": 6, "routing_iterations": iterations}
    config = ModelConfig(extractor="unshared-routing", adaptive_interests=False, **dimensions)
    model = UnsharedRouting(config, []).double()
    behaviours = 2 * torch.randn(3, 6, 4, dtype=torch.float64)
    lengths = torch.tensor([6, 4, 1])[:, None]
    places = torch.arange(6)[None]
    mask = places >= 6 - lengths if in_front else places < lengths
    with torch.no_grad():
        capsules, _, weights = model(behaviours, mask, torch.randn(3, 3, 6, dtype=torch.float64))
    for user, real in enumerate(mask.numpy()):
        expected = routed_by_loops(model.maps.detach().numpy(), behaviours[user].numpy()[real], iterations)
        np.testing.assert_allclose(capsules[user], expected[0], atol=1e-12)
        np.testing.assert_allclose(weights[user].numpy()[:, real], expected[1], atol=1e-12)


def test_order_and_ages_by_hand() -> None:
    behaviours = torch.tensor([[[1.0], [2.0], [3.0], [4.0]]]).expand(4, -1, -1)
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]]).bool()
    newest_first, real = order_by_age(behaviours, mask)
    found = [rows[there].flatten().tolist() for rows, there in zip(newest_first, real, strict=True)]
    assert found == [[4, 3], [3, 2, 1], [4, 3, 2, 1], []]
    assert real.tolist() == [[True, True, False, False], [True] * 3 + [False], [True] * 4, [False] * 4]
    ages = behaviour_ages(mask, 3)
    assert [row[there].tolist() for row, there in zip(ages, mask, strict=True)] == [[1, 0], [2, 1, 0], [2, 2, 1, 0], []]
    nothing, none = order_by_age(torch.zeros(2, 0, 3), torch.zeros(2, 0, dtype=torch.bool))
    assert (nothing.shape, none.shape) == ((2, 0, 3), (2, 0))
