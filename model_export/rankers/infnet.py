"""INFNet: tokens of three kinds that tell each other what they know, tasks among them from the beginning.

After Li et al., "INFNet: A Task-aware Information Flow Network for Large-Scale Recommendation Systems", 2025 (arXiv
2508.11565). Only its abstract was read. The paper's are: categorical, sequence and task tokens; blocks of heterogeneous
flow, by cross-attention with proxies, and then of homogeneous flow, by proxy gated units of each kind; and tasks that
take part before the towers. How that is done is ours:

    categorical tokens of a candidate: its embedding, its features, its user; sequence tokens: the behaviours
    heterogeneous: proxies, made of the candidate's categorical and task tokens, read the sequence;
                   categorical tokens read proxies and tasks; task tokens read proxies and categorical tokens
    homogeneous:   x <- x + V (sigmoid(G p) * relu(U x)), p the mean of the tokens of x's kind
    the last block: task tokens alone, since nothing reads the others any more
    s_nt = tower_t(task token t, the candidate's embedding * the mean of the proxies, features)

The proxies make it linear in behaviours: what a candidate costs are P attentions, and sequence tokens are computed
once a user; so nothing flows into them from the candidate. The matching model's capsules are not read: it has seen the
targets of the training users.

Shapes: B users, L behaviours (padded), N candidates, P proxies, M tokens of a kind, r dimensions, T tasks.
"""

import torch
from torch import Tensor, nn

from model_export.rankers.history import BehaviourEncoding, UserVector, masked_softmax, mean_behaviour
from model_export.rankers.inputs import RankerInputs
from model_export.rankers.ranker_config import RankerConfig
from model_export.rankers.tower import Tower, relu

__all__ = ["InformationFlowNetwork", "ProxyGatedUnit"]

FIRST_SHARPNESS = 4.0  # on inner products, as items begin with length 1


class InformationFlowNetwork(nn.Module):
    """INFNet; see `RankingModel` for what a core is."""

    READS = ("behaviours", "mask", "gaps", "types", "profile", "candidates", "candidate_features")

    def __init__(self, config: RankerConfig, features: int, profile_sizes: list[int]) -> None:
        super().__init__()
        dim = config.dim
        self.encoding = BehaviourEncoding(config)
        self.user = UserVector(dim, profile_sizes)
        self.user_token = nn.Linear(self.user.width, dim)
        self.feature_token = nn.Linear(features, dim)
        self.task_tokens = nn.Parameter(dim**-0.5 * torch.randn(len(config.tasks), dim))
        self.blocks = nn.ModuleList(Block(dim, config.proxies) for _ in range(config.blocks - 1))
        self.last = TaskBlock(dim, config.proxies)
        self.towers = nn.ModuleList(
            Tower(2 * dim + features, self.user.width, config.hidden, 1, config.dropout, relu) for _ in config.tasks
        )

    def forward(self, inputs: RankerInputs) -> Tensor:
        """Return scores (B, N, T)."""
        user, candidates = self.user(inputs), inputs.candidates
        shared = self.user_token(user)[:, None].expand_as(candidates)  # (B, N, r)
        categorical = torch.stack(
            [candidates, self.feature_token(inputs.candidate_features), shared], 2
        )  # (B, N, 3, r)
        tasks = self.task_tokens.expand(*candidates.shape[:2], -1, -1)  # (B, N, T, r)
        sequence = inputs.behaviours + self.encoding(inputs)  # (B, L, r)
        for block in self.blocks:
            categorical, tasks, sequence = block(categorical, tasks, sequence, inputs.mask)
        tasks, read = self.last(categorical, tasks, sequence, inputs.mask)  # (B, N, T, r), (B, N, P, r)
        joined = candidates * read.mean(2)  # (B, N, r)
        scores = [
            tower(torch.cat([tasks[:, :, at], joined, inputs.candidate_features], 2), user)
            for at, tower in enumerate(self.towers)
        ]
        return torch.cat(scores, 2)


class TaskBlock(nn.Module):
    """What a block does for task tokens: all of the last one, behind which no other token is read."""

    def __init__(self, dim: int, proxies: int) -> None:
        super().__init__()
        self.proxies = nn.Parameter(0.3 * dim**-0.5 * torch.randn(proxies, dim))
        self.asking = nn.Linear(dim, dim, bias=False)
        nn.init.eye_(self.asking.weight)
        self.task_flow, self.task_unit = CrossAttention(dim), ProxyGatedUnit(dim)

    def forward(self, categorical: Tensor, tasks: Tensor, sequence: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return task tokens after the block, and what proxies read of the sequence.

        float (B, N, T, r) and (B, N, P, r).

        Parameters
        ----------
        categorical : float (B, N, M, r), the candidate's own token first.
        tasks : float (B, N, T, r).
        sequence : float (B, L, r).
        mask : bool (B, L).
        """
        read = self.read_sequence(categorical, tasks, sequence, mask)
        aimed = tasks + self.task_flow(tasks, torch.cat([read, categorical], 2))
        told: Tensor = self.task_unit(aimed, aimed.mean(2, keepdim=True))
        return told, read

    def read_sequence(self, categorical: Tensor, tasks: Tensor, sequence: Tensor, mask: Tensor) -> Tensor:
        """Return what P proxies of each candidate read of the behaviours, (B, N, P, r)."""
        count = len(self.proxies)
        asked = self.asking(categorical[:, :, 0] + 0.1 * tasks.mean(2))[:, :, None] + self.proxies  # (B, N, P, r)
        alike = FIRST_SHARPNESS * asked.flatten(1, 2) @ sequence.transpose(1, 2)  # (B, N * P, L)
        read = masked_softmax(alike, mask[:, None]) @ sequence  # (B, N * P, r)
        of_proxies: Tensor = read.unflatten(1, (-1, count))
        return of_proxies


class Block(nn.Module):
    """One block: heterogeneous flow between the kinds of tokens, then homogeneous flow within each kind."""

    def __init__(self, dim: int, proxies: int) -> None:
        super().__init__()
        self.tasks = TaskBlock(dim, proxies)
        self.categorical_flow, self.categorical_unit = CrossAttention(dim), ProxyGatedUnit(dim)
        self.sequence_unit = ProxyGatedUnit(dim)

    def forward(
        self, categorical: Tensor, tasks: Tensor, sequence: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Let tokens tell each other what they know; parameters as those of `TaskBlock`.

        Returns
        -------
        the three kinds of tokens after the block
        """
        told, read = self.tasks(categorical, tasks, sequence, mask)
        informed = categorical + self.categorical_flow(categorical, torch.cat([read, tasks], 2))
        mean = mean_behaviour(sequence, mask)[:, None]  # (B, 1, r)
        return (
            self.categorical_unit(informed, informed.mean(2, keepdim=True)),
            told,
            self.sequence_unit(sequence, mean),
        )


class CrossAttention(nn.Module):
    """Attention of tokens of one kind to those of others, within each candidate."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.queries, self.values = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)

    def forward(self, tokens: Tensor, told: Tensor) -> Tensor:
        """Return what tokens (B, N, M, r) take of others (B, N, M', r): (B, N, M, r)."""
        alike = tokens.shape[3] ** -0.5 * self.queries(tokens) @ told.transpose(2, 3)  # (B, N, M, M')
        taken: Tensor = self.values(torch.softmax(alike, 3) @ told)
        return taken


class ProxyGatedUnit(nn.Module):
    """A layer over tokens of one kind, with a gate that a proxy of the kind opens."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.inner, self.gate, self.outer = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, proxy: Tensor) -> Tensor:
        """Return tokens (..., M, r) after the unit; `proxy` is (..., 1, r)."""
        changed: Tensor = self.outer(torch.sigmoid(self.gate(proxy)) * torch.relu(self.inner(tokens)))
        return tokens + changed
