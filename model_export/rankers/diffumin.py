"""DiffuMIN: the candidate is split into orthogonal channels, behaviours flow into them, and a diffusion adds to them.

After Lai et al., "Modeling Long-term User Behaviors with Diffusion-driven Multi-interest Network for CTR Prediction",
RecSys 2025 (arXiv 2508.15311). Its abstract and code (laiweijiang/DiffuMIN) were read, not the equations.

    o_nc = orthonormal channels of candidate n, from a linear map of e_n
    q_lc = e_l . o_nc                                    how far behaviour l is of channel c
    z_nc = sum_l softmax over c of (beta q_lc) max(q_lc, 0) e_l      the interests: behaviours routed to channels
    z'   = diffusion guided by context and channel       generated interests, in S steps
    s_n  = tower(z, z', e_n * sum_c z_nc, e_n, features; user)

The paper's are: orthogonal channels of the target, routing of behaviours to them, diffusion guided by the other
channels' interests and by the channel, the start from z (not from noise), and contrastive learning that keeps z' of a
user near to z. In the code the channels come of a QR decomposition; a behaviour flows into its best channel alone, and
each channel keeps its best ones; a transformer denoises one channel after the other, and noise is drawn at serving too.
Ours: Gram-Schmidt, which ONNX can say; routing without a hard choice, which rounding could turn over; one
hidden layer that denoises all channels at once; noise in the auxiliary losses alone, so that serving draws nothing; and
the time of behaviours (`BehaviourEncoding`).

Shapes: B users, L behaviours (padded), N candidates, C channels, r dimensions, S steps, T tasks.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_export.models.steady import unit_length
from model_export.rankers.history import BehaviourEncoding, UserVector
from model_export.rankers.inputs import RankerInputs
from model_export.rankers.ranker_config import RankerConfig
from model_export.rankers.tower import Tower, relu

__all__ = ["DiffusionInterestNetwork", "InterestDiffusion", "orthonormal"]

FIRST_SHARPNESS = 4.0  # beta
TEMPERATURE = 0.05  # of the contrastive loss, as in the code's settings


class DiffusionInterestNetwork(nn.Module):
    """DiffuMIN; see `RankingModel` for what a core is."""

    READS = ("behaviours", "mask", "gaps", "types", "profile", "candidates", "candidate_features")

    def __init__(self, config: RankerConfig, features: int, profile_sizes: list[int]) -> None:
        super().__init__()
        self.config = config
        self.encoding = BehaviourEncoding(config)
        self.channels = nn.Linear(config.dim, config.channels * config.dim)
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(FIRST_SHARPNESS)))
        self.diffusion = InterestDiffusion(config.dim, config.diffusion_steps)
        self.user = UserVector(config.dim, profile_sizes)
        interests = config.channels * config.dim * (2 if config.diffusion_steps else 1)
        width = interests + 2 * config.dim + features
        self.tower = Tower(width, self.user.width, config.hidden, len(config.tasks), config.dropout, relu)

    def forward(self, inputs: RankerInputs) -> Tensor:
        """Return scores (B, N, T)."""
        channels, interests = self.extract(inputs)  # (B, N, C, r)
        joined = inputs.candidates * interests.sum(2)  # (B, N, r)
        parts = [interests.flatten(2), joined, inputs.candidates, inputs.candidate_features]
        if self.config.diffusion_steps:
            parts.append(self.diffusion.generate(interests, channels).flatten(2))  # (B, N, C * r)
        scores: Tensor = self.tower(torch.cat(parts, 2), self.user(inputs))
        return scores

    def extract(self, inputs: RankerInputs) -> tuple[Tensor, Tensor]:
        """Return each candidate's channels and what flows into them, both (B, N, C, r).

        Channels are orthonormal; what flows into them are the behaviours.
        """
        count, dim = self.config.channels, self.config.dim
        channels = orthonormal(self.channels(inputs.candidates).unflatten(2, (count, dim)))  # (B, N, C, r)
        behaviours = inputs.behaviours + self.encoding(inputs)  # (B, L, r)
        alike = channels.flatten(1, 2) @ behaviours.transpose(1, 2)  # (B, N * C, L)
        alike = alike.unflatten(1, (-1, count))  # (B, N, C, L)
        flows = torch.softmax(self.log_sharpness.exp() * alike, 2) * alike.relu()
        flows = flows.masked_fill(~inputs.mask[:, None, None], 0).flatten(1, 2)  # (B, N * C, L)
        return channels, (flows @ behaviours).unflatten(1, (-1, count))

    def auxiliary_loss(self, inputs: RankerInputs, taken: Tensor) -> Tensor:
        """Return the weighted losses of the diffusion and of the contrast, ().

        For each user's target.

        The first: how well noise at any of the S steps is taken off again. The second: each generated interest has
        to be told from those of the other users in the same channel.
        """
        if not self.config.diffusion_steps:
            return inputs.candidates.new_zeros(())
        places = taken[:, None, None].expand(-1, 1, self.config.dim)  # (B, 1, r)
        channels, interests = self.extract(
            RankerInputs.of(
                behaviours=inputs.behaviours,
                mask=inputs.mask,
                gaps=inputs.gaps,
                types=inputs.types,
                candidates=inputs.candidates.gather(1, places),
            )
        )  # (B, 1, C, r)
        denoising = self.diffusion.denoising_loss(interests, channels)
        contrast = contrastive_loss(interests[:, 0], self.diffusion.generate(interests, channels)[:, 0])
        return self.config.diffusion_weight * denoising + self.config.contrast_weight * contrast


class InterestDiffusion(nn.Module):
    """A diffusion of a few steps, which takes noise off interests, guided by their channel and the other interests.

    Level s of the noise keeps share 1 - s / (S + 1) of an interest's variance, s from 0 to S.

    Parameters
    ----------
    dim : r.
    steps : S.
    """

    kept: Tensor  # (S + 1,), the share of the variance that each level of noise keeps

    def __init__(self, dim: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.register_buffer("kept", 1 - torch.arange(steps + 1) / (steps + 1), persistent=False)
        self.noisy = nn.Linear(dim, dim, bias=False)
        self.guide = nn.Linear(2 * dim, dim, bias=False)
        self.level = nn.Embedding(steps + 1, dim)
        self.out = nn.Linear(dim, dim)

    def generate(self, interests: Tensor, channels: Tensor) -> Tensor:
        """Generate an interest for each channel, without a draw at random.

        The start is the interest itself at the highest level with noise of 0, its mean; each step goes to the level
        below along the noise that the network finds (as in denoising diffusion implicit models).

        Parameters
        ----------
        interests, channels : float (B, N, C, r).

        Returns
        -------
        float (B, N, C, r)
        """
        directions = directions_of(interests)
        guide = self.guide(torch.cat([channels, others(directions)], 3))  # (B, N, C, r)
        noisy = self.kept[self.steps].sqrt() * directions
        for step in range(self.steps, 0, -1):
            clean = self.denoise(noisy, guide, self.level.weight[step])
            noise = (noisy - self.kept[step].sqrt() * clean) * (1 - self.kept[step]).rsqrt()
            noisy = self.kept[step - 1].sqrt() * clean + (1 - self.kept[step - 1]).sqrt() * noise
        return noisy

    def denoise(self, noisy: Tensor, guide: Tensor, level: Tensor) -> Tensor:
        """Return the interests (B, N, C, r) that the network finds behind noisy ones."""
        clean: Tensor = self.out(torch.relu(self.noisy(noisy) + guide + level))
        return clean

    def denoising_loss(self, interests: Tensor, channels: Tensor) -> Tensor:
        """Return the mean squared error of interests behind noise of a random level, ().

        Parameters
        ----------
        interests, channels : float (B, N, C, r).
        """
        directions = directions_of(interests)
        guide = self.guide(torch.cat([channels, others(directions)], 3))
        levels = torch.randint(1, self.steps + 1, directions.shape[:3], device=directions.device)  # (B, N, C)
        kept = self.kept[levels][..., None]  # (B, N, C, 1)
        spread = directions.shape[3] ** -0.5  # noise as long as a direction
        noisy = kept.sqrt() * directions + (1 - kept).sqrt() * spread * torch.randn_like(directions)
        return (self.denoise(noisy, guide, self.level(levels)) - directions).square().sum(3).mean()


def directions_of(interests: Tensor) -> Tensor:
    """Return interests (..., r) in unit length, or shorter where they are next to nothing."""
    return interests / torch.sqrt(interests.square().sum(-1, keepdim=True) + 1e-2)


def others(interests: Tensor) -> Tensor:
    """Return for each channel the sum of the others' interests, (B, N, C, r)."""
    return interests.sum(2, keepdim=True) - interests


def contrastive_loss(interests: Tensor, generated: Tensor) -> Tensor:
    """Return the mean cross-entropy of each generated interest, ().

    Among those of all users in the same channel.

    Parameters
    ----------
    interests, generated : float (B, C, r).
    """
    alike = unit_length(interests).transpose(0, 1) @ unit_length(generated).permute(1, 2, 0)  # (C, B, B)
    own = torch.arange(alike.shape[1], device=alike.device).expand(alike.shape[0], -1)  # (C, B)
    return F.cross_entropy((alike / TEMPERATURE).flatten(0, 1), own.flatten())


def orthonormal(vectors: Tensor) -> Tensor:
    """Return orthonormal vectors that span the same, by Gram and Schmidt's method.

    Parameters
    ----------
    vectors : float (..., C, r), C at most r.

    Returns
    -------
    float (..., C, r)
    """
    found: list[Tensor] = []
    for place in range(vectors.shape[-2]):
        vector = vectors[..., place, :]
        for earlier in found:
            vector = vector - (vector * earlier).sum(-1, keepdim=True) * earlier
        found.append(unit_length(vector))
    return torch.stack(found, -2)
