"""KGAT: vectors of users, items and what is known of the items, by attention over their graph.

Wang et al., "KGAT: Knowledge Graph Attention Network for Recommendation", KDD 2019 (arXiv 1905.07854). The paper's are
TransR, the attention, the propagation over several hops with bi-interaction aggregation, and the two losses in turns.
RecBole 1.2.1's KGAT was read beside it: there as here, attention is computed anew once an epoch and held fixed within
it, so no gradient passes through it.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_export.item_tables.knowledge_graph import KnowledgeGraph

__all__ = ["Kgat", "KgatConfig", "Neighbourhoods"]


@dataclass(frozen=True)
class KgatConfig:
    """KGAT's settings; the defaults are RecBole 1.2.1's.

    Attributes
    ----------
    dim : length of the nodes' own vectors, and of those of the relations.
    layers : length of the vectors after each hop.
    dropout : share of each hop's output that a step leaves out.
    learning_rate : of Adam.
    regularisation : weight of the squared lengths of what a step touches.
    batch_size : pairs, or triples, a step.
    """

    dim: int = 64
    layers: tuple[int, ...] = (64,)
    dropout: float = 0.1
    learning_rate: float = 1e-3
    regularisation: float = 1e-5
    batch_size: int = 2_048


class Kgat(nn.Module):
    """KGAT over one graph.

    Attributes
    ----------
    own : float (nodes, d), the nodes' own vectors e.
    translations : float (R, d), the relations' vectors e_r.
    projections : float (R, d, d), the relations' maps W_r.
    """

    heads: Tensor
    tails: Tensor

    def __init__(self, graph: KnowledgeGraph, config: KgatConfig) -> None:
        super().__init__()
        self.graph, self.config = graph, config
        self.own = nn.Parameter(torch.empty(graph.nodes, config.dim))
        self.translations = nn.Parameter(torch.empty(graph.relations, config.dim))
        self.projections = nn.Parameter(torch.empty(graph.relations, config.dim, config.dim))
        for table in (self.own, self.translations, *self.projections):
            nn.init.xavier_normal_(table)
        sizes = zip((config.dim, *config.layers), config.layers, strict=False)
        self.hops = nn.ModuleList(_Hop(size, after, config.dropout) for size, after in sizes)
        self.by_kind = [torch.from_numpy(np.flatnonzero(graph.kinds == kind)) for kind in range(graph.relations)]
        self.register_buffer("heads", torch.from_numpy(graph.heads), persistent=False)
        self.register_buffer("tails", torch.from_numpy(graph.tails), persistent=False)

    @torch.no_grad()
    def attention(self) -> Tensor:
        """Return the share of each triple in its head's neighbourhood.

        The softmax over a head's triples of (W_r e_t) . tanh(W_r e_h + e_r).

        Returns
        -------
        float (T,), in the graph's order
        """
        scores = torch.empty(len(self.heads), device=self.own.device)
        for kind, edges in enumerate(self.by_kind):
            heads, tails = (self.own[nodes[edges]] @ self.projections[kind] for nodes in (self.heads, self.tails))
            scores[edges] = (tails * torch.tanh(heads + self.translations[kind])).sum(-1)
        highest = torch.full((self.graph.nodes,), -torch.inf, device=scores.device)
        highest = highest.scatter_reduce(0, self.heads, scores, "amax")  # (nodes,)
        shares = (scores - highest[self.heads]).exp()
        totals = torch.zeros_like(highest).index_add_(0, self.heads, shares)
        return shares / totals[self.heads]

    def forward(self, neighbourhoods: "Neighbourhoods") -> Tensor:
        """Return every node's vectors, its own and those after each hop, side by side.

        Returns
        -------
        float (nodes, d + sum of layers)
        """
        vectors: Tensor = self.own
        found = [vectors]
        for hop in self.hops:
            vectors = hop(vectors, neighbourhoods.mean(vectors))
            found.append(F.normalize(vectors, dim=-1))
        return torch.cat(found, -1)

    def pair_loss(self, vectors: Tensor, users: Tensor, taken: Tensor, others: Tensor) -> Tensor:
        """Return BPR's loss of pairs of user and item, a tensor ().

        Parameters
        ----------
        vectors : float (nodes, ...), as `forward` returns them.
        users, taken, others : int64 (B,), each a user (from 0 on), an item of that user's, and another one.
        """
        asked = vectors[users + self.graph.first_user], vectors[taken], vectors[others]
        difference = (asked[0] * (asked[1] - asked[2])).sum(-1)  # (B,)
        return -F.logsigmoid(difference).mean() + self._length_penalty(*asked)

    def triple_loss(self, heads: Tensor, kinds: Tensor, tails: Tensor, others: Tensor) -> Tensor:
        """Return TransR's loss of triples, a tensor ().

        W_r e_h + e_r should be nearer to W_r e_t than to the same of another tail.

        Parameters
        ----------
        heads, kinds, tails, others : int64 (B,), the triples and another tail for each.
        """
        order = torch.argsort(kinds, stable=True)
        heads, kinds, tails, others = heads[order], kinds[order], tails[order], others[order]
        nodes = torch.stack([self.own[heads], self.own[tails], self.own[others]], 1)  # (B, 3, d)
        # By relation: a map for each triple, (B, d, d), would be far more than the triples.
        found, counts = torch.unique_consecutive(kinds, return_counts=True)
        parts = zip(found.tolist(), nodes.split(counts.tolist()), strict=True)
        head, tail, other = torch.cat([part @ self.projections[kind] for kind, part in parts]).unbind(1)  # (B, d) each
        moves = self.translations[kinds]
        difference = (head + moves - other).square().sum(-1) - (head + moves - tail).square().sum(-1)
        return -F.logsigmoid(difference).mean() + self._length_penalty(head, moves, tail, other)

    def _length_penalty(self, *vectors: Tensor) -> Tensor:
        """Return the weighted mean of squared lengths, of each (B, ...)."""
        total = sum((one.square().sum() for one in vectors), torch.zeros((), device=self.own.device))
        return self.config.regularisation * total / len(vectors[0])


class _Hop(nn.Module):
    """Bi-interaction aggregation: LeakyReLU(W1 (e + n)) + LeakyReLU(W2 (e * n)), n the mean of the neighbours."""

    def __init__(self, before: int, after: int, dropout: float) -> None:
        super().__init__()
        self.sum, self.product = nn.Linear(before, after), nn.Linear(before, after)
        self.dropout = nn.Dropout(dropout)
        for one in (self.sum, self.product):
            nn.init.xavier_normal_(one.weight)
            nn.init.zeros_(one.bias)

    def forward(self, vectors: Tensor, neighbours: Tensor) -> Tensor:
        """Return (nodes, after) of two times (nodes, before)."""
        mixed = F.leaky_relu(self.sum(vectors + neighbours)) + F.leaky_relu(self.product(vectors * neighbours))
        found: Tensor = self.dropout(mixed)
        return found


class Neighbourhoods:
    """The weighted mean of each node's neighbours, and its gradient, in the order of the heads and of the tails.

    Parameters
    ----------
    heads, tails : int64 (T,), ascending heads.
    shares : float (T,), see `Kgat.attention`.
    nodes : number of nodes.
    """

    def __init__(self, heads: Tensor, tails: Tensor, shares: Tensor, nodes: int) -> None:
        by_tail = torch.argsort(tails, stable=True)
        self.there = tails, _starts(heads, nodes), shares
        self.back = heads[by_tail], _starts(tails, nodes), shares[by_tail]

    def mean(self, vectors: Tensor) -> Tensor:
        """Return the weighted means, float (nodes, d), of vectors (nodes, d)."""
        found: Tensor = _Mean.apply(vectors, self)
        return found


def _starts(nodes: Tensor, number: int) -> Tensor:
    """Return where each node's edges begin, int64 (number,), once they are in order."""
    counts = torch.bincount(nodes, minlength=number)
    return counts.cumsum(0) - counts


class _Mean(torch.autograd.Function):
    """The product with a sparse matrix whose transpose is at hand: torch's own backward takes several times as long."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, vectors: Tensor, edges: Neighbourhoods) -> Tensor:
        ctx.edges = edges  # type: ignore[attr-defined]
        return _weighted_sums(vectors, *edges.there)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        return _weighted_sums(gradient.contiguous(), *ctx.edges.back), None  # type: ignore[attr-defined]


def _weighted_sums(vectors: Tensor, rows: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum of rows from each start to the next, float (nodes, d)."""
    return F.embedding_bag(rows, vectors, starts, mode="sum", per_sample_weights=weights)
