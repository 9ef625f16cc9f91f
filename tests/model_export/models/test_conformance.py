"""What every interest extractor must keep, asked of every model that can be trained by name.

A new extractor is asked all of this as soon as it has a preset.
"""

from dataclasses import replace
from functools import partial

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
from model_export.models.interest_model import EXTRACTOR_CLASSES, InterestModel
from model_export.models.model_config import EXTRACTORS
from model_export.models.presets import PRESETS
from model_export.training.objective import TrainingBatch, objective
from tests.support.bundles.untrained import untrained
from tests.support.made_once import made_once

D, L = 16, 10
LENGTHS = [0, 1, 2, 4, 5, 8, 10]
# Exporting takes seconds, and presets of one extractor have graphs of the same operators.
GRAPHS = list({one.model.extractor: name for name, one in reversed(PRESETS.items())}.values())


def test_every_extractor_of_the_settings_is_there() -> None:
    assert set(EXTRACTOR_CLASSES) == set(EXTRACTORS) == {one.model.extractor for one in PRESETS.values()}


def moved(checkpoint: Checkpoint) -> Checkpoint:
    """The same model with extractor weights away from their start: what begins as zeros makes no difference."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in checkpoint.model.extractor.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return checkpoint


class Subject:
    """A model by name, in small dimensions and double precision, and histories of LENGTHS behaviours."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.config = replace(PRESETS[name].model, dim=D, history_length=L, hidden=5, profile_dim=2)
        self.checkpoint: Checkpoint = moved(untrained(self.config))
        # Exported from here and not from `model`, which is in double precision.
        self.model: nn.Module = moved(untrained(self.config)).model.extractor.double().eval()
        rng = np.random.default_rng(0)
        users, self.slots = len(LENGTHS), self.config.num_interests
        self.front = torch.arange(L)[None] >= L - torch.tensor(LENGTHS)[:, None]
        self.behind = torch.arange(L)[None] < torch.tensor(LENGTHS)[:, None]
        self.behaviours = torch.from_numpy(rng.normal(size=(users, L, D)))
        self.logits = torch.from_numpy(rng.normal(size=(users, self.slots, L)))
        self.profile = torch.tensor([[user % 3, user % 2] for user in range(users)])
        self.gaps = torch.from_numpy(rng.integers(BUCKETS, size=sum(LENGTHS)))
        self.types = torch.from_numpy(rng.integers(MOST_TYPES, size=sum(LENGTHS)))
        self.asked = torch.from_numpy(rng.integers(BUCKETS // 2, size=users))

    def read(self, mask: Tensor, users: slice = slice(None)) -> dict[str, Tensor]:
        """What the model reads of some of the users beside the behaviours; each has its own time gap and type."""
        gaps, types = (torch.zeros(mask.shape, dtype=torch.int64) for _ in range(2))
        gaps[mask] = self.gaps[: int(mask.sum())]  # wherever the padding stands
        types[mask] = self.types[: int(mask.sum())]
        read = {"profile": self.profile} if self.config.reads_profile else {}
        read |= {"gaps": gaps} if self.config.time_gaps else {}
        read |= {"types": types} if self.config.types else {}
        read |= {"asked_gap": self.asked} if self.config.reads_asked_gap else {}
        return {name: values[users] for name, values in read.items()}

    def run(self, behaviours: Tensor, mask: Tensor, logits: Tensor, users: slice = slice(None)) -> list[Tensor]:
        """Capsules, interest mask and routing weights of some of the users."""
        return list(self.model(behaviours[users], mask[users], logits[users], **self.read(mask, users)))


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
    assert (weights >= 0).all()
    assert capsules.isfinite().all()
    assert weights.isfinite().all()


def test_unused_capsules_are_masked_and_the_others_get_all(subject: Subject) -> None:
    """With K' by the number of behaviours, whatever the preset says."""
    model = moved(untrained(replace(subject.config, adaptive_interests=True))).model.extractor.double().eval()
    parts = subject.behaviours, subject.front, subject.logits
    capsules, active, weights = model(*parts, **subject.read(subject.front))
    own = [0 if n == 0 else max(1, min(subject.slots, n.bit_length() - 1)) for n in LENGTHS]  # max(1, floor(log2 n))
    may_be_empty = subject.config.extractor == "maxmf"  # a vector that is no behaviour's best is none
    for user, most in enumerate(own):
        assert not active[user, most:].any()
        assert active[user, :most].all() or may_be_empty
    assert capsules[~active].count_nonzero() == weights[~active].count_nonzero() == 0


def test_what_stands_at_padding_has_no_influence(subject: Subject) -> None:
    before = subject.run(subject.behaviours, subject.front, subject.logits)
    spoilt = torch.where(subject.front[:, :, None], subject.behaviours, 100.0)
    logits = torch.where(subject.front[:, None], subject.logits, 100.0)
    for one, other in zip(before, subject.run(spoilt, subject.front, logits), strict=True):
        assert torch.equal(one, other)


def test_padding_in_front_and_behind_are_the_same(subject: Subject) -> None:
    front = subject.run(subject.behaviours, subject.front, subject.logits)
    behaviours, logits = torch.randn_like(subject.behaviours), torch.randn_like(subject.logits)
    behaviours[subject.behind] = subject.behaviours[subject.front]
    logits.transpose(1, 2)[subject.behind] = subject.logits.transpose(1, 2)[subject.front]
    behind = subject.run(behaviours, subject.behind, logits)
    torch.testing.assert_close(behind[0], front[0])
    assert torch.equal(behind[1], front[1])
    torch.testing.assert_close(behind[2].transpose(1, 2)[subject.behind], front[2].transpose(1, 2)[subject.front])


def test_neither_the_number_of_padded_places_nor_other_users_have_influence(subject: Subject) -> None:
    together = subject.run(subject.behaviours, subject.front, subject.logits)
    read = subject.read(subject.front)
    for user, length in enumerate(LENGTHS):
        one, cut = slice(user, user + 1), slice(L - length, L)
        own = {name: values[one] for name, values in read.items()}
        own |= {name: own[name][:, cut] for name in ("gaps", "types") if name in own}
        parts = subject.behaviours[one, cut], subject.front[one, cut], subject.logits[one, :, cut]
        capsules, active, weights = subject.model(*parts, **own)
        torch.testing.assert_close(capsules[0], together[0][user])
        assert torch.equal(active[0], together[1][user])
        torch.testing.assert_close(weights[0], together[2][user][:, cut])


def test_the_same_histories_give_the_same_capsules(subject: Subject) -> None:
    parts = subject.behaviours, subject.front, subject.logits
    assert torch.equal(subject.run(*parts)[0], subject.run(*parts)[0])


def test_a_gradient_reaches_every_parameter_and_the_behaviours(subject: Subject) -> None:
    torch.manual_seed(0)
    model = moved(untrained(replace(subject.config, behaviour_dropout=0.0))).model.extractor.double().train()
    behaviours = subject.behaviours.clone().requires_grad_()
    capsules, _, _ = model(behaviours, subject.front, subject.logits, **subject.read(subject.front))
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
    make = partial(export, subject.checkpoint, progress=False)
    return made_once(tmp_path_factory, f"conformance-{subject.name}", make)


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
        if subject.config.time_gaps:
            inputs["gaps"] = rng.integers(BUCKETS, size=(9, width))
        if subject.config.types:
            inputs["types"] = rng.integers(MOST_TYPES, size=(9, width))
        if subject.config.reads_asked_gap:
            inputs["asked_gap"] = rng.integers(BUCKETS, size=9)
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
    asked = rng.integers(10**12, size=32).tolist()
    together = extractor.encode(histories, times_ms=times, asked_ms=asked)
    weights = extractor.routing_weights(histories, None, times)
    some = [slice(at, at + size) for at in range(0, 32, size)]
    encoded = [extractor.encode(histories[part], times_ms=times[part], asked_ms=asked[part]) for part in some]
    for one, other in zip(together, [one for part in encoded for one in part], strict=True):
        assert np.array_equal(one.vectors, other.vectors)
    routed = [one for part in some for one in extractor.routing_weights(histories[part], None, times[part])]
    assert all(np.array_equal(one, other) for one, other in zip(weights, routed, strict=True))


@pytest.mark.parametrize("subject", ["idnp"], indirect=True)
def test_served_capsules_follow_the_time_that_is_asked_for(subject: Subject, bundle: Bundle) -> None:
    assert subject.config.reads_asked_gap
    extractor, day = Extractor(bundle), 86_400_000
    history, times = [bundle.item_ids[:3]] * 3, [[0, day, 2 * day]] * 3
    at_once, same, later = extractor.encode(history, times_ms=times, asked_ms=[2 * day, 2 * day + 999, 9 * day])
    assert np.array_equal(at_once.vectors, same.vectors)  # within one second
    assert np.array_equal(at_once.vectors, extractor.encode(history[:1], times_ms=times[:1])[0].vectors)
    assert np.abs(at_once.vectors - later.vectors).max() > 1e-3


# What is learned, in a world of four groups of items. All that a user does is of two of the groups, or of one where the
# model has one interest. So the answer is known: the items of these groups, and no others.

GROUPS, EACH = 4, 8
ITEMS = GROUPS * EACH
STEPS, USERS = 300, 32
# With the joint loss, which trains what retrieval ranks by: label-aware attention says nothing of the capsules that it
# does not select, and they may rank anything. MIND with a soft selection is MIND then.
LEARNERS = [name for name in PRESETS if name != "mind-soft"]


def planted_batch(tastes: int, users: int, rng: np.random.Generator) -> TrainingBatch:
    """Histories with as many behaviours of each of a user's groups, in any order, and a target of one of them."""
    groups = rng.permuted(np.tile(np.arange(GROUPS), (users, 1)), axis=1)[:, :tastes]  # (B, tastes)
    kinds = rng.permuted(np.tile(np.arange(L) % tastes, (users, 1)), axis=1)  # (B, L)
    kinds = np.concatenate([kinds, rng.integers(tastes, size=(users, 1))], 1)  # (B, L + 1)
    rows = np.take_along_axis(groups, kinds, 1) * EACH + rng.integers(EACH, size=kinds.shape)
    history, target = torch.from_numpy(rows[:, :-1].copy()), torch.from_numpy(rows[:, -1].copy())
    mask, gaps = torch.ones(history.shape, dtype=torch.bool), torch.zeros(history.shape, dtype=torch.int64)
    earlier = mask.clone()
    earlier[:, -1] = False
    return TrainingBatch(
        history=history,
        real_history=history,
        mask=mask,
        earlier_mask=earlier,
        gaps=gaps,
        earlier_gaps=gaps,
        types=gaps,
        asked_gap=gaps[:, 0],
        target=target,
        profile=torch.zeros(users, 0, dtype=torch.int64),
        negatives=torch.arange(ITEMS),
        log_q=torch.zeros(ITEMS),
    )


def trained(name: str, tastes: int) -> InterestModel:
    """A model by name after some seconds of its training, with the joint loss."""
    config = replace(PRESETS[name].model, dim=D, history_length=L, hidden=16)
    training = replace(PRESETS[name].training, loss="joint", hard_negatives=0.0)
    model = untrained(config, (), ITEMS).model.train()
    model.scale_noise(torch.full((ITEMS,), 1_000))
    optimizer, rng = torch.optim.Adam(model.parameters(), lr=1e-2), np.random.default_rng(0)
    for _ in range(STEPS):
        optimizer.zero_grad()
        objective(model, planted_batch(tastes, USERS, rng), training).backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("name", LEARNERS)
def test_it_learns_to_rank_the_items_of_all_of_a_users_groups_above_all_others(name: str) -> None:
    tastes = 1 if PRESETS[name].model.num_interests == 1 else 2
    model, batch = trained(name, tastes), planted_batch(tastes, USERS, np.random.default_rng(1))
    with torch.no_grad():
        table, logits = model.item_table(), model.routing_logits[batch.history].transpose(1, 2)
        capsules, active, _ = model.extract(table[batch.history], batch.mask, logits, batch.profile, batch.gaps)
        scores = (capsules @ table.T).masked_fill(~active[:, :, None], -torch.inf).amax(1)  # (B, items)
    own = torch.zeros(USERS, ITEMS, dtype=torch.bool)
    for user, rows in enumerate(batch.history):
        own[user] = torch.isin(torch.arange(ITEMS) // EACH, rows // EACH)
    assert own.sum(1).tolist() == [tastes * EACH] * USERS
    worst_own, best_other = scores.masked_fill(~own, torch.inf).amin(1), scores.masked_fill(own, -torch.inf).amax(1)
    assert (worst_own > best_other).float().mean() > 0.8  # by chance one in thousands
