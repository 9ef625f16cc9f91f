"""KGAT on a graph small enough for NumPy, and on a shop where attributes alone connect what nobody took together."""

import numpy as np
import pytest
import torch

from model_export.data.dataset import Sequences, Vocabulary
from model_export.item_tables.kgat import Kgat, KgatConfig, Neighbourhoods
from model_export.item_tables.kgat_training import kgat_epochs, kgat_item_vectors, reduce_vectors
from model_export.item_tables.knowledge_graph import KnowledgeGraph, graph_of_log, knowledge_graph

SMALL = KgatConfig(dim=3, layers=(3, 2), dropout=0.0)


@pytest.fixture
def graph() -> KnowledgeGraph:
    """Two users (nodes 5 and 6), three items (0 to 2), two entities (3 and 4)."""
    facts = np.array([[0, 0, 3], [1, 0, 3], [2, 0, 4], [2, 1, 4]])
    return knowledge_graph(np.array([0, 0, 1]), np.array([0, 1, 2]), facts, 2, 3, 5)


@pytest.fixture
def model(graph: KnowledgeGraph) -> Kgat:
    torch.manual_seed(1)
    found = Kgat(graph, SMALL)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.normal_()
    return found.eval()


def arrays(model: Kgat) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(one.detach().numpy() for one in (model.own, model.translations, model.projections))  # type: ignore[return-value]


def test_every_triple_is_there_both_ways(graph: KnowledgeGraph) -> None:
    triples = set(zip(graph.heads.tolist(), graph.kinds.tolist(), graph.tails.tolist(), strict=True))
    there = {(5, 0, 0), (5, 0, 1), (6, 0, 2), (0, 1, 3), (1, 1, 3), (2, 1, 4), (2, 2, 4)}
    assert triples == there | {(tail, kind + 3, head) for head, kind, tail in there}
    assert (np.diff(graph.heads) >= 0).all()
    assert (graph.nodes, graph.relations, graph.first_user) == (7, 6, 5)
    assert graph.has_pairs(np.array([0, 0, 1, 1]), np.array([1, 2, 2, 0])).tolist() == [True, False, True, False]


def test_attention_is_a_softmax_over_each_heads_triples(graph: KnowledgeGraph, model: Kgat) -> None:
    own, translations, projections = arrays(model)
    scores = []
    for head, kind, tail in zip(graph.heads, graph.kinds, graph.tails, strict=True):
        of_head, of_tail = own[head] @ projections[kind], own[tail] @ projections[kind]
        scores.append(of_tail @ np.tanh(of_head + translations[kind]))
    expected = np.exp(scores)
    for head in range(graph.nodes):
        expected[graph.heads == head] /= expected[graph.heads == head].sum()
    np.testing.assert_allclose(model.attention().numpy(), expected, rtol=1e-4)


def test_propagation_and_its_gradient(graph: KnowledgeGraph, model: Kgat) -> None:
    shares = model.attention()
    matrix = np.zeros((graph.nodes, graph.nodes))
    np.add.at(matrix, (graph.heads, graph.tails), shares.numpy())  # two relations join 2 and 4
    edges = Neighbourhoods(model.heads, model.tails, shares, graph.nodes)
    vectors, expected = arrays(model)[0], [arrays(model)[0]]
    for hop in model.hops:
        around = matrix @ vectors
        parts = []
        for linear, given in ((hop.sum, vectors + around), (hop.product, vectors * around)):
            passed = given @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()  # type: ignore
            parts.append(np.where(passed > 0, passed, 0.01 * passed))
        vectors = parts[0] + parts[1]
        expected.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    np.testing.assert_allclose(model(edges).detach().numpy(), np.hstack(expected), rtol=1e-3, atol=1e-5)
    weighted = torch.from_numpy(np.arange(21.0).reshape(7, 3)).float()
    given = model.own.detach().clone().requires_grad_()
    (edges.mean(given) * weighted).sum().backward()
    assert given.grad is not None
    np.testing.assert_allclose(given.grad.numpy(), matrix.T @ weighted.numpy(), rtol=1e-4)


def test_the_two_losses(graph: KnowledgeGraph) -> None:
    model = Kgat(graph, KgatConfig(dim=3, layers=(3,), regularisation=0.1)).eval()
    own, translations, projections = arrays(model)
    head, kind, tail, other = 0, 1, 3, 4
    aim = own[head] @ projections[kind] + translations[kind]
    far = ((aim - own[other] @ projections[kind]) ** 2).sum()
    near = ((aim - own[tail] @ projections[kind]) ** 2).sum()
    touched = [own[node] @ projections[kind] for node in (head, tail, other)] + [translations[kind]]
    expected = np.log1p(np.exp(near - far)) + 0.1 * sum((one**2).sum() for one in touched)
    found = model.triple_loss(*(torch.tensor([one]) for one in (head, kind, tail, other)))
    np.testing.assert_allclose(found.item(), expected, rtol=1e-5)
    vectors = torch.arange(14.0).reshape(7, 2) / 10
    user, taken, another = vectors[6].numpy(), vectors[2].numpy(), vectors[0].numpy()
    expected = np.log1p(np.exp(user @ another - user @ taken)) + 0.1 * sum(
        (one**2).sum() for one in (user, taken, another)
    )
    found = model.pair_loss(vectors, torch.tensor([1]), torch.tensor([2]), torch.tensor([0]))
    np.testing.assert_allclose(found.item(), expected, rtol=1e-5)


def test_reduced_vectors_keep_their_directions() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(6, 2)) @ rng.normal(size=(2, 5))  # all in one plane
    found = reduce_vectors(np.vstack([flat, np.zeros(5)]), 2)
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    np.testing.assert_allclose(found[:6] @ found[:6].T, unit @ unit.T, atol=1e-6)
    assert not found[6].any()


# Six kinds of four items. Eight users of each took its first three; the fourth has one user, who took nothing else.
KINDS, EACH, PER_KIND = 6, 4, 8


def shop_log() -> tuple[Sequences, Vocabulary]:
    taken = [[EACH * kind + place for place in (0, 1, 2, 0)] for kind in range(KINDS) for _ in range(PER_KIND)]
    taken += [[EACH * kind + 3] for kind in range(KINDS)]
    starts = np.cumsum([0, *map(len, taken)])
    items = np.concatenate(taken).astype(np.int32)
    ids = [f"user-{number}" for number in range(len(taken))]
    sequences = Sequences(ids, items, np.zeros(len(items), np.int64), starts, np.zeros((len(taken), 0), np.int64))
    kinds = np.repeat(np.arange(KINDS), EACH) + 1
    vocabulary = Vocabulary(
        [f"item-{row}" for row in range(KINDS * EACH)],
        {"category": [*"abcdef"], "size": ["large", "small"]},
        np.stack([kinds, np.zeros_like(kinds)], 1),
        {},
        [],
    )
    return sequences, vocabulary


def test_the_graph_of_a_log() -> None:
    sequences, vocabulary = shop_log()
    vocabulary.item_features[4, 1] = KINDS + 2  # the first of kind b is small
    graph = graph_of_log(sequences, np.arange(len(sequences.user_ids) - 1), vocabulary, seed=7)  # but the last user
    assert (graph.items, graph.users, graph.relations) == (24, 53, 6)
    assert graph.nodes == 24 + 8 + 53
    pairs = np.stack([graph.takers, graph.taken], 1)
    assert len(np.unique(pairs, axis=0)) == len(pairs) == 3 * PER_KIND * KINDS + 5  # what was taken twice is one pair
    of_item = (graph.heads == 4) & (graph.kinds < 3)
    facts = set(zip(graph.kinds[of_item].tolist(), graph.tails[of_item].tolist(), strict=True))
    assert facts == {(1, 24 + 1), (2, 24 + KINDS + 1)}


@pytest.mark.parametrize("with_facts", [True, False], ids=["attributes", "none"])
def test_items_that_share_an_attribute_are_nearer_though_no_user_took_both(with_facts: bool) -> None:
    sequences, vocabulary = shop_log()
    if not with_facts:
        vocabulary.item_features[:] = 0
    graph = graph_of_log(sequences, np.arange(len(sequences.user_ids)), vocabulary, seed=7)
    vectors = kgat_item_vectors(graph, 16, 7, progress=False)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    cosines = vectors @ vectors.T
    assert np.diag(cosines[1::EACH, ::EACH]).mean() > 0.9  # what the same users took
    nearness = cosines[3::EACH, ::EACH]  # (kinds, kinds), of the fourth items to the first ones
    gap = np.diag(nearness).mean() - nearness[~np.eye(KINDS, dtype=bool)].mean()
    assert (gap > 0.12) == with_facts


def test_epochs_are_the_same_for_the_same_seed(graph: KnowledgeGraph) -> None:
    losses = []
    for _ in range(2):
        torch.manual_seed(5)
        epochs = kgat_epochs(Kgat(graph, SMALL), 5)
        losses.append([next(epochs) for _ in range(3)])
    assert losses[0] == losses[1]


def test_a_graph_without_pairs_is_refused() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    with pytest.raises(ValueError, match="no pair of user and item"):
        knowledge_graph(nothing, nothing, np.zeros((0, 3), dtype=np.int64), 0, 3, 3)
