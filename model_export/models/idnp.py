"""IDNP: a user's interests as a function of the time at which somebody asks for them.

After Du et al., "IDNP: Interest Dynamics Modeling using Generative Neural Processes for Sequential Recommendation",
WSDM 2023 (arXiv 2208.04600). Only its abstract was read. The paper's are: short-term behaviours are encoded at several
scales and summed up as the user's context, a latent global interest is combined with it, and both together are a
function of time that is asked at the next step. How that is done is ours: the scales are the last `short_length`
behaviours, four times as many, and all; the latent is Gaussian, near the standard normal one; and K queries ask the
function, one for each interest.

    elapsed_i = max(gap of i, asked gap)                   buckets of time_gaps.py: about from behaviour i until asked
    x_i       = tanh(e_i E + a(age of i) + t(elapsed_i))
    context   = sum over scales s of (mean of x_i in s) U_s
    latent    ~ Gaussian of the mean of e_i                its mean at serving, so that a replay is exact
    q_k       = tanh(p_k + map of [context, latent, t'(asked gap)])
    a_ki      = softmax over i of beta cos(q_k, x_i R) + f_k(elapsed_i)
    v_k       = sum_i a_ki e_i + q_k D

The time asked for is an input of its own, `asked_gap`; 0 is "now", right after the last behaviour, or unknown. Training
asks for the time of the target, and half the time for 0: that is what is asked at an event, and it must be known.

Shapes: B users, L behaviours (padded), K interests, d dimensions.
"""

import math

import torch
from torch import Tensor, nn

from model_export.bundle.time_gaps import BUCKETS
from model_export.models.mind import behaviour_ages, coupling, interest_mask
from model_export.models.model_config import ModelConfig
from model_export.models.steady import SMALLEST, unit_length

__all__ = ["GlobalLatent", "NeuralProcess"]

FIRST_SHARPNESS = 4.0  # beta, the factor on cosines
SCALES = 3
LEAST_SPREAD = 0.1  # of the latent's standard deviation, which is at most 1
UNKNOWN_TIMES = 0.5  # share of the training's questions that are asked for "now"


class NeuralProcess(nn.Module):
    """From behaviour embeddings to interest capsules; see `InterestExtractor`."""

    def __init__(self, config: ModelConfig, profile_sizes: list[int]) -> None:
        super().__init__()
        self.config = config
        dim, slots, near_zero = config.dim, config.num_interests, 0.1 * config.dim**-0.5
        self.encoder = nn.Linear(dim, dim, bias=False)  # E
        self.places = nn.Parameter(near_zero * torch.randn(config.history_length, dim))  # a, by age
        self.scales = nn.Linear(SCALES * dim, dim, bias=False)  # U_s, one beneath the other
        self.latent = GlobalLatent(dim)
        self.slots = nn.Parameter(dim**-0.5 * torch.randn(slots, dim))  # p_k
        self.query = nn.Linear(2 * dim, dim, bias=False)
        self.keys = nn.Parameter(dim**-0.5 * torch.randn(dim, dim))  # R
        self.decoder = nn.Linear(dim, dim, bias=False)  # D
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(FIRST_SHARPNESS)))
        if config.time_gaps:
            self.elapsed_vectors = nn.Parameter(near_zero * torch.randn(BUCKETS, dim))  # t
            self.asked_vectors = nn.Parameter(near_zero * torch.randn(BUCKETS, dim))  # t', mapped already
            self.fading = nn.Parameter(torch.zeros(slots, BUCKETS))  # f_k

    def forward(
        self,
        behaviours: Tensor,
        mask: Tensor,
        routing_logits: Tensor,
        profile: Tensor | None = None,
        gaps: Tensor | None = None,
        asked_gap: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the capsules of B users; see `InterestExtractor.forward`.

        The routing weights (B, K, L) are the shares that a behaviour's attention has in each interest.

        Parameters
        ----------
        gaps : int64 (B, L), see time_gaps.py; only with `time_gaps`. None: all of one visit.
        asked_gap : int64 (B,), how long after the last behaviour somebody asks, in the same buckets; only with
            `time_gaps`. None: now.
        """
        active = interest_mask(mask, self.config.num_interests, self.config.adaptive_interests)  # (B, K)
        ages = behaviour_ages(mask, self.config.history_length)  # (B, L)
        asked = self.asked_now_and_then(mask, asked_gap)  # (B,)
        elapsed = asked[:, None].expand_as(ages) if gaps is None else torch.maximum(gaps, asked[:, None])  # (B, L)
        encoded = self.encode(behaviours, ages, elapsed)  # (B, L, d)
        queries = self.ask(self.context(encoded, ages, mask), self.latent.draw(behaviours, mask), asked)  # (B, K, d)
        scores = self.scores(queries, encoded, elapsed).masked_fill(~mask[:, None, :], -1e9)  # (B, K, L)
        attention = torch.softmax(scores, 2) * mask[:, None, :]  # (B, K, L)
        capsules = attention @ behaviours + self.decoder(queries)  # (B, K, d)
        if self.config.unit_length:
            capsules = unit_length(capsules)
        shares = coupling(torch.log_softmax(scores, 2), ~active[:, :, None], mask)  # a_ki / sum_j a_ji
        return capsules * active[:, :, None], active, shares

    def asked_now_and_then(self, mask: Tensor, asked_gap: Tensor | None) -> Tensor:
        """Return the gaps that are asked for, int64 (B,); in training some of them are 0."""
        if asked_gap is None:
            return torch.zeros_like(mask[:, 0], dtype=torch.int64)
        if self.training:
            return asked_gap * (torch.rand(len(mask), device=mask.device) >= UNKNOWN_TIMES)
        return asked_gap

    def encode(self, behaviours: Tensor, ages: Tensor, elapsed: Tensor) -> Tensor:
        """Return x_i: what each behaviour says, when it was taken into account, (B, L, d).

        Parameters
        ----------
        behaviours : float (B, L, d).
        ages, elapsed : int64 (B, L).
        """
        placed = self.encoder(behaviours) + self.places[ages]
        if self.config.time_gaps:
            placed = placed + self.elapsed_vectors[elapsed]
        return torch.tanh(placed)

    def context(self, encoded: Tensor, ages: Tensor, mask: Tensor) -> Tensor:
        """Sum up means over the last few behaviours, over more, and over all: (B, d).

        Parameters
        ----------
        encoded : float (B, L, d).
        ages : int64 (B, L).
        mask : bool (B, L).
        """
        short = self.config.short_length
        windows = torch.stack([mask & (ages < short), mask & (ages < 4 * short), mask], 1)  # (B, scales, L)
        context: Tensor = self.scales(_means(windows, encoded).flatten(1))  # (B, scales, d) -> (B, d)
        return context

    def ask(self, context: Tensor, latent: Tensor, asked: Tensor) -> Tensor:
        """Return q_k, the questions for each interest: (B, K, d).

        Parameters
        ----------
        context, latent : float (B, d).
        asked : int64 (B,).
        """
        moved = self.query(torch.cat([context, latent], 1))  # (B, d)
        if self.config.time_gaps:
            moved = moved + self.asked_vectors[asked]
        return torch.tanh(self.slots + moved[:, None, :])  # (K, d) + (B, 1, d) -> (B, K, d)

    def scores(self, queries: Tensor, encoded: Tensor, elapsed: Tensor) -> Tensor:
        """Return how much each question asks each behaviour, (B, K, L).

        Parameters
        ----------
        queries : float (B, K, d).
        encoded : float (B, L, d).
        elapsed : int64 (B, L).
        """
        keys = unit_length(encoded @ self.keys)  # (B, L, d)
        scores: Tensor = self.log_sharpness.exp() * (unit_length(queries) @ keys.transpose(1, 2))
        if self.config.time_gaps:
            scores = scores + self.fading[:, elapsed].transpose(0, 1)  # (K, B, L) -> (B, K, L)
        return scores


class GlobalLatent(nn.Module):
    """The latent global interest: a Gaussian of d independent parts that depends on the mean of the behaviours."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, dim)
        self.parts = nn.Linear(dim, 2 * dim)

    def forward(self, behaviours: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the standard deviation of the latent, both (B, d).

        Parameters
        ----------
        behaviours : float (B, L, d).
        mask : bool (B, L).
        """
        pooled = _means(mask[:, None, :], behaviours)[:, 0]  # (B, d)
        mean, spread = self.parts(torch.tanh(self.hidden(pooled))).chunk(2, 1)  # (B, d), (B, d)
        return mean, LEAST_SPREAD + (1 - LEAST_SPREAD) * torch.sigmoid(spread)

    def draw(self, behaviours: Tensor, mask: Tensor) -> Tensor:
        """Return the latent (B, d): drawn in training, its mean in serving."""
        mean, deviation = self(behaviours, mask)
        drawn: Tensor = mean + deviation * torch.randn_like(mean) if self.training else mean
        return drawn

    def divergence(self, behaviours: Tensor, mask: Tensor) -> Tensor:
        """Return the mean Kullback-Leibler divergence from the standard normal, ()."""
        mean, deviation = self(behaviours, mask)
        each = 0.5 * (mean**2 + deviation**2 - 1) - deviation.log()  # (B, d)
        divergence: Tensor = each.sum(1).mean()
        return divergence


def _means(windows: Tensor, vectors: Tensor) -> Tensor:
    """Return the mean of the vectors in each window, zero for an empty one.

    Parameters
    ----------
    windows : bool (B, S, L).
    vectors : float (B, L, d).

    Returns
    -------
    float (B, S, d)
    """
    weights = windows.to(vectors.dtype)
    counts = weights @ torch.ones_like(vectors[:, :, :1])  # (B, S, 1); a product, see steady.py
    return weights @ vectors / counts.clamp_min(SMALLEST)
