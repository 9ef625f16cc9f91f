"""KGAT's training: epochs over the pairs of user and item and over the triples in turns, and the item vectors."""

import math
from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from model_export.item_tables.kgat import Kgat, KgatConfig, Neighbourhoods
from model_export.item_tables.knowledge_graph import KnowledgeGraph

__all__ = ["final_vectors", "kgat_epochs", "kgat_item_vectors", "reduce_vectors"]

START_STEPS, START_EPOCHS, LEAST_BATCH = 300, 15, 256  # of a start: the larger the log, the more pairs a step takes
START_RATE = 1e-2
REDRAWS = 5  # of negatives that the user took; whoever took nearly everything keeps some


def kgat_item_vectors(graph: KnowledgeGraph, dim: int, seed: int, progress: bool) -> np.ndarray:
    """Return unit-length item vectors by KGAT, as a start.

    Every step of the pairs passes the whole graph twice, forwards and backwards; there are about `START_STEPS`, and the
    pairs are bounded too (`graph_of_log`).

    Parameters
    ----------
    dim : length of the vectors.

    Returns
    -------
    float32 (items, dim)
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pairs = len(graph.taken)
    size = min(pairs, max(LEAST_BATCH, math.ceil(START_EPOCHS * pairs / START_STEPS)))
    torch.manual_seed(seed)
    model = Kgat(graph, KgatConfig(dim=dim, layers=(dim,), learning_rate=START_RATE, batch_size=size)).to(device)
    epochs = math.ceil(START_STEPS * size / pairs)
    shown = tqdm(total=epochs, desc="KGAT", unit="epoch", disable=not progress, delay=2)
    with shown as bar:
        for loss in islice(kgat_epochs(model, seed), epochs):
            bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
            bar.update()
    vectors = final_vectors(model)[: graph.items].cpu().double().numpy()
    return reduce_vectors(vectors, dim)


def reduce_vectors(vectors: np.ndarray, dim: int) -> np.ndarray:
    """Return unit vectors of fewer dimensions whose inner products stay near.

    By truncated singular value decomposition. Zeros stay zeros.

    Parameters
    ----------
    vectors : (n, d), d at least `dim`.

    Returns
    -------
    float32 (n, dim)
    """
    _, axes = np.linalg.eigh(vectors.T @ vectors)  # ascending; the right singular vectors of what may be very tall
    found = vectors @ axes[:, ::-1][:, :dim]
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def kgat_epochs(model: Kgat, seed: int) -> Iterator[float]:
    """Train epoch after epoch, without end, and yield the mean loss of each epoch's pairs.

    An epoch begins with the attention of the vectors as they are, goes through all pairs, then through all triples in
    as many steps.
    """
    graph, rng = model.graph, np.random.default_rng(seed)
    tails = _TailsOfKind(graph)
    optimizer = torch.optim.Adam(model.parameters(), lr=model.config.learning_rate)
    while True:
        model.train()
        edges, losses = _neighbourhoods(model), []
        for some in _batches(len(graph.taken), model.config.batch_size, rng):
            pairs = graph.takers[some], graph.taken[some], _other_items(graph, graph.takers[some], rng)
            loss = model.pair_loss(model(edges), *_tensors(model, *pairs))
            losses.append(_step(optimizer, loss))
        for some in _batches(len(graph.heads), math.ceil(len(graph.heads) / len(losses)), rng):
            triples = graph.heads[some], graph.kinds[some], graph.tails[some], tails.draw(graph.kinds[some], rng)
            _step(optimizer, model.triple_loss(*_tensors(model, *triples)))
        yield float(np.mean(losses))


@torch.no_grad()
def final_vectors(model: Kgat) -> Tensor:
    """Return every node's vectors as they rank: float (nodes, d + sum of layers)."""
    model.eval()
    found: Tensor = model(_neighbourhoods(model))
    return found


def _neighbourhoods(model: Kgat) -> Neighbourhoods:
    """Return the neighbourhoods by the attention of now."""
    return Neighbourhoods(model.heads, model.tails, model.attention(), model.graph.nodes)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    """Take one step of Adam and return the loss before it."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def _tensors(model: Kgat, *arrays: np.ndarray) -> list[Tensor]:
    """Return arrays as tensors where the model is."""
    return [torch.from_numpy(array).to(model.own.device) for array in arrays]


def _batches(number: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the places 0 to `number` in a drawn order, `size` at a time."""
    order = rng.permutation(number)
    return (order[at : at + size] for at in range(0, number, size))


def _other_items(graph: KnowledgeGraph, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw an item for each user that the user did not take, int64 (n,)."""
    found = rng.integers(graph.items, size=len(users))
    for _ in range(REDRAWS):
        wrong = np.flatnonzero(graph.has_pairs(users, found))
        found[wrong] = rng.integers(graph.items, size=len(wrong))
    return found


class _TailsOfKind:
    """The distinct tails of each relation, to draw other tails from.

    Drawn among all nodes they would hardly ever be of the right kind, and teach little else than that.
    """

    def __init__(self, graph: KnowledgeGraph) -> None:
        known = np.unique(graph.kinds * graph.nodes + graph.tails)
        kinds, self.tails = np.divmod(known, graph.nodes)
        self.starts = np.searchsorted(kinds, np.arange(graph.relations + 1))

    def draw(self, kinds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a tail for each relation, int64 (n,)."""
        first, after = self.starts[kinds], self.starts[kinds + 1]
        drawn: np.ndarray = self.tails[first + np.floor(rng.random(len(kinds)) * (after - first)).astype(np.int64)]
        return drawn
