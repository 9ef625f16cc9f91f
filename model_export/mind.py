"""MIND: the Multi-Interest Network with Dynamic routing, whole and in one file.

Li et al., "Multi-Interest Network with Dynamic Routing for Recommendation at Tmall", CIKM 2019. The
names of layers and algorithm 1 are the paper's. Shapes: B users, L behaviours (padded), K interests, d dimensions,
P profile fields, W side-feature values of an item (padded), M sampled negatives.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class MindConfig:
    """The model's dimensions; training has its own settings (training.py).

    Attributes
    ----------
    dim : d, the length of item embeddings and capsules.
    num_interests : K, the most capsules a user can have.
    history_length : L, how many of the most recent behaviours are read.
    routing_iterations : iterations of B2I dynamic routing (algorithm 1).
    routing_sigma : standard deviation of the Gaussian that the initial routing logits are drawn from (algorithm 1).
    map_gain : scale of the initial S. The larger S, the harder the routing: with the usual gain of 1 behaviours are
        spread almost evenly, and the capsules of a user come out alike.
    pow_p : p of label-aware attention; math.inf picks the best capsule alone.
    hidden : width of the ReLU layer behind the capsules.
    profile_dim : length of one profile field's embedding.
    """

    dim: int = 64
    num_interests: int = 5
    history_length: int = 50
    routing_iterations: int = 6
    routing_sigma: float = 1.0
    map_gain: float = 16.0
    pow_p: float = math.inf
    hidden: int = 256
    profile_dim: int = 8

    def __post_init__(self) -> None:
        for name in ("dim", "num_interests", "history_length", "routing_iterations", "hidden", "profile_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not (self.routing_sigma > 0 and self.map_gain > 0):
            raise ValueError(
                f"routing_sigma is {self.routing_sigma} and map_gain {self.map_gain}; both must be above 0"
            )
        if not self.pow_p >= 0:
            raise ValueError(f"pow_p is {self.pow_p}; it must be at least 0, or inf for the argmax")


def squash(z: Tensor) -> Tensor:
    """Shorten vectors to a length below one, keeping their direction. Any shape (..., d).

    Written as |z| / (1 + |z|^2) * z, which is zero at zero without a small number in a denominator: the ONNX
    exporter drops a number as small as 1e-9, and a capsule that nothing flows into would be served as NaN.
    """
    length = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
    return length / (1 + length * length) * z


def interest_mask(mask: Tensor, num_interests: int) -> Tensor:
    """Which of the K capsules a user has: K' = max(1, min(K, floor(log2 n))); none where n = 0.

    `mask` (B, L) marks the n real behaviours. Capsule k >= 1 exists from n = 2^(k+1) on: comparing with
    powers of two is exact where a floating-point logarithm of 8 may come out as 2.9999998.

    Returns
    -------
    bool (B, K)
    """
    behaviours = mask.sum(1, keepdim=True)  # (B, 1)
    needed = torch.tensor([1] + [2 ** (k + 1) for k in range(1, num_interests)], device=mask.device)
    return behaviours >= needed  # (B, K)


def coupling(logits: Tensor, unused: Tensor, mask: Tensor) -> Tensor:
    """Routing weights (B, K, L): a softmax over the capsules of each behaviour, not over behaviours.

    Capsules that the user does not have (`unused` (B, K, 1)) get no share, and padding gives none.
    """
    return torch.softmax(logits.masked_fill(unused, -1e9), 1) * mask[:, None, :]


class InterestExtractor(nn.Module):
    """From behaviour embeddings to interest capsules; this is the part that is exported to ONNX.

    It draws nothing at random: the initial routing logits are an input. Training passes fresh Gaussians,
    serving the fixed ones of each item (see routing_logits in bundle.py).
    """

    def __init__(self, config: MindConfig, profile_sizes: list[int]) -> None:
        super().__init__()
        self.config = config
        self.bilinear_map = nn.Parameter(torch.empty(config.dim, config.dim))  # S, shared by all pairs
        nn.init.xavier_normal_(self.bilinear_map, gain=config.map_gain)
        self.profile_tables = nn.ModuleList(nn.Embedding(size, config.profile_dim) for size in profile_sizes)
        width = config.dim + len(profile_sizes) * config.profile_dim
        self.layers = nn.Sequential(nn.Linear(width, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.dim))

    def forward(
        self, behaviours: Tensor, mask: Tensor, routing_logits: Tensor, profile: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the capsules of B users.

        Parameters
        ----------
        behaviours : float (B, L, d), item embeddings; what stands at padding has no influence.
        mask : bool (B, L), True at behaviours, False at padding.
        routing_logits : float (B, K, L), initial b of the routing.
        profile : int64 (B, P), the row of each profile field's value, 0 for unknown. Only where P > 0.

        Returns
        -------
        capsules (B, K, d), zero where unused; interest_mask bool (B, K); routing_weights (B, K, L), which for
        each behaviour sum to one over the user's capsules, zero at padding.
        """
        active = interest_mask(mask, self.config.num_interests)  # (B, K)
        capsules, weights = self.route(behaviours, mask, routing_logits, active)
        if profile is not None:
            fields = [table(profile[:, i]) for i, table in enumerate(self.profile_tables)]
            profiles = torch.cat(fields, -1)[:, None, :].expand(-1, capsules.shape[1], -1)
            capsules = torch.cat([capsules, profiles], -1)  # (B, K, d + P * profile_dim)
        capsules = self.layers(capsules) * active[:, :, None]  # (B, K, d)
        return capsules, active, weights

    def route(self, behaviours: Tensor, mask: Tensor, logits: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """B2I dynamic routing (algorithm 1).

        As in capsule networks, only the last iteration is differentiated: the logits that the earlier ones
        find are taken as given, and S still gets its gradient through the last weighted sum.

        Serving finds them in double precision. Routing magnifies rounding: in single precision the capsules of a
        few users in a hundred differ by 1e-5 to 3e-4 between torch and ONNX Runtime, as between two processors.
        """
        unused = ~active[:, :, None]  # (B, K, 1)
        votes = behaviours @ self.bilinear_map  # (B, L, d), S e_i
        fixed_votes = (votes if self.training else behaviours.double() @ self.bilinear_map.double()).detach()
        logits = logits.to(fixed_votes.dtype)
        for _ in range(self.config.routing_iterations - 1):
            capsules = squash(coupling(logits, unused, mask) @ fixed_votes)  # (B, K, d)
            logits = logits + capsules @ fixed_votes.transpose(1, 2)  # (B, K, L), b_ij += u_j . S e_i
        weights = coupling(logits, unused, mask).to(votes.dtype)  # (B, K, L)
        capsules = squash(weights @ votes)  # (B, K, d)
        return capsules, weights


class ItemEmbedding(nn.Module):
    """An item is the mean of its id's vector and those of its side features' values (embedding and pooling layer).

    The values of all side features share one table, whose row 0 is padding. An item that training never saw has
    no vector for its id but may have values.
    """

    def __init__(self, items: int, feature_values: int, dim: int) -> None:
        super().__init__()
        self.ids = nn.Embedding(items, dim)
        self.features = nn.Embedding(feature_values + 1, dim, padding_idx=0) if feature_values else None
        nn.init.normal_(self.ids.weight, std=dim**-0.5)
        if self.features is not None:
            nn.init.normal_(self.features.weight.detach()[1:], std=dim**-0.5)

    def forward(self, rows: Tensor, features: Tensor) -> Tensor:
        """`rows` int64 (...), `features` int64 (..., W), 0 at padding -> (..., d)."""
        vectors: Tensor = self.ids(rows)
        if self.features is None:
            return vectors
        # Summed where they lie: the vectors (items, W, d) of all values of all items would be far too many.
        bags, table = features.reshape(-1, features.shape[-1]), self.features.weight
        values = F.embedding_bag(bags, table, mode="sum", padding_idx=0).view_as(vectors)
        return (vectors + values) / (1 + (features > 0).sum(-1, keepdim=True))


class Mind(nn.Module):
    """Item embedding, interest extractor and the training objective."""

    item_features: Tensor
    items: "ItemEmbedding"

    def __init__(
        self, config: MindConfig, item_features: Tensor, feature_values: int, profile_sizes: list[int]
    ) -> None:
        """`item_features` int64 (items, W): the rows of each item's values in the table of all, 0 at padding."""
        super().__init__()
        self.config = config
        self.items = ItemEmbedding(len(item_features), feature_values, config.dim)
        self.extractor = InterestExtractor(config, profile_sizes)
        self.register_buffer("item_features", item_features, persistent=False)

    def embed(self, rows: Tensor) -> Tensor:
        """Item rows (...) -> embeddings (..., d)."""
        return self.items(rows, self.item_features[rows])

    def item_table(self) -> Tensor:
        """The embeddings of all items (items, d), as retrieval and serving use them."""
        return self.embed(torch.arange(len(self.item_features), device=self.item_features.device))

    def loss(
        self,
        history: Tensor,
        mask: Tensor,
        target: Tensor,
        profile: Tensor | None,
        routing_logits: Tensor,
        negatives: Tensor,
        log_q: Tensor,
    ) -> Tensor:
        """Mean sampled-softmax loss of B (history, target) pairs.

        history int64 (B, L), mask bool (B, L), target int64 (B,), negatives int64 (M,) shared by the batch,
        log_q float (items,): the logarithm of each item's expected count among the M negatives.
        """
        table = self.item_table()
        capsules, active, _ = self.extractor(table[history], mask, routing_logits, profile)
        user = label_aware_attention(capsules, active, table[target], self.config.pow_p)  # (B, d)
        return sampled_softmax(user, table, target, negatives, log_q)


def label_aware_attention(capsules: Tensor, active: Tensor, label: Tensor, p: float) -> Tensor:
    """Label-aware attention: one user vector for each label, capsules weighted by softmax(pow(capsule . label, p)).

    The power keeps the sign: a capsule that disagrees with the label must not win for disagreeing strongly.
    p = 0 weighs all capsules the same, p = inf takes the best one alone.

    Parameters
    ----------
    capsules (B, K, d), active bool (B, K), label (B, d).

    Returns
    -------
    (B, d)
    """
    scores = (capsules @ label[:, :, None]).squeeze(-1)  # (B, K)
    if math.isinf(p):
        best = scores.masked_fill(~active, -torch.inf).argmax(1)  # (B,)
        return capsules[torch.arange(len(capsules), device=capsules.device), best]
    powered = torch.sign(scores) * scores.abs().clamp_min(1e-12) ** p if p else torch.zeros_like(scores)
    weights = torch.softmax(powered.masked_fill(~active, -1e9), 1)  # (B, K)
    return (weights[:, None, :] @ capsules).squeeze(1)


def sampled_softmax(user: Tensor, table: Tensor, target: Tensor, negatives: Tensor, log_q: Tensor) -> Tensor:
    """Cross-entropy of the target among itself and M shared negatives (training).

    Every logit is corrected by the logarithm of the expected count of its item in the sample (logQ), so that
    the expectation is that of the full softmax. A negative that is the target itself (accidental hit) is removed.

    Parameters
    ----------
    user (B, d), table (items, d), target int64 (B,), negatives int64 (M,), log_q (items,).
    """
    positive = (user * table[target]).sum(-1) - log_q[target]  # (B,)
    sampled = user @ table[negatives].T - log_q[negatives]  # (B, M)
    sampled = sampled.masked_fill(negatives[None, :] == target[:, None], -torch.inf)
    logits = torch.cat([positive[:, None], sampled], 1)  # (B, 1 + M)
    return F.cross_entropy(logits, torch.zeros(len(user), dtype=torch.int64, device=user.device))
