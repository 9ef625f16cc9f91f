"""Weights of training samples that make a user's interests independent of each other, as in DESMIL.

After Liu et al., "Improving Multi-Interest Network with Stable Learning" (arXiv 2207.07910), and by authors of it "Deep
Stable Multi-Interest Learning for Out-of-distribution Sequential Recommendation" (arXiv 2304.05615). Only the abstracts
were read. The papers' are: items of several interests are shown together, so interests become dependent in the log, and
the model takes that for truth; the Hilbert-Schmidt independence criterion (HSIC) measures it; and learned weights of
the training samples remove it, for a model with attention. How that is done is ours: HSIC by random Fourier features
(Rahimi and Recht, "Random Features for Large-Scale Kernel Machines", NIPS 2007) of a Gaussian kernel, drawn anew at
each batch, and weights that are learned for each batch alone, from equal ones on.

Shapes: B users, K interests, d dimensions, F features.
"""

import math

import torch
from torch import Tensor

__all__ = ["dependence", "fourier_features", "independent_weights"]

FEATURES = 32
RATE = 0.1  # of Adam: a step changes the logarithm of a weight by about so much, so a few steps keep all above zero
SMALLEST = 1e-9  # of a variance or a sum that something is divided by


def independent_weights(capsules: Tensor, active: Tensor, steps: int) -> Tensor:
    """Learn weights of users with which interests depend on each other the least.

    By some steps of Adam on the logarithms of the weights. With one interest all users weigh the same.

    Parameters
    ----------
    capsules : float (B, K, d); no gradient goes back to them.
    active : bool (B, K).
    steps : how many; 0 leaves the weights equal.

    Returns
    -------
    float (B,), above 0, with mean 1
    """
    features = fourier_features(capsules.detach(), active)
    logarithms = torch.zeros(len(capsules), device=capsules.device, requires_grad=True)
    adam = torch.optim.Adam([logarithms], lr=RATE)
    with torch.enable_grad():
        for _ in range(steps):
            adam.zero_grad()
            dependence(features, active, _weights(logarithms)).backward()
            adam.step()
    return _weights(logarithms.detach())


def _weights(logarithms: Tensor) -> Tensor:
    """Return weights (B,) with mean 1 of their logarithms (B,), up to a constant."""
    return len(logarithms) * torch.softmax(logarithms, 0)


def fourier_features(capsules: Tensor, active: Tensor) -> Tensor:
    """Draw random features (B, K, F) whose inner products are near a Gaussian kernel's values.

    The kernel of each interest is exp(-|u - v|^2 / 2 s^2), s^2 the mean of |u - v|^2 over pairs of users: however long
    capsules are, it takes neither all of them for the same nor all for different.

    Parameters
    ----------
    capsules : float (B, K, d).
    active : bool (B, K); others have no part in s.
    """
    there = active[:, :, None].to(capsules.dtype)  # (B, K, 1)
    counts = there.sum(0).clamp_min(1)  # (K, 1)
    centred = (capsules - (capsules * there).sum(0) / counts) * there  # (B, K, d)
    variance = (centred**2).sum((0, 2))[:, None] / counts  # (K, 1), half the mean of |u - v|^2
    scaled = centred / (2 * variance + SMALLEST).sqrt()
    frequencies = torch.randn(capsules.shape[2], FEATURES, device=capsules.device, dtype=capsules.dtype)
    phases = 2 * math.pi * torch.rand(FEATURES, device=capsules.device, dtype=capsules.dtype)
    return math.sqrt(2 / FEATURES) * torch.cos(scaled @ frequencies + phases)


def dependence(features: Tensor, active: Tensor, weights: Tensor) -> Tensor:
    """Return HSIC of weighted users' interests, summed up over the pairs of interests.

    It is the squared Frobenius norm of the weighted cross-covariance of two interests' features: 0 where they are
    independent. Users without one of two interests have no part in theirs.

    Parameters
    ----------
    features : float (B, K, F), see `fourier_features`.
    active : bool (B, K).
    weights : float (B,), with mean 1.

    Returns
    -------
    ()
    """
    there = active.to(features.dtype) * weights[:, None]  # (B, K)
    means = (features * there[:, :, None]).sum(0) / there.sum(0).clamp_min(SMALLEST)[:, None]  # (K, F)
    centred = (features - means) * active[:, :, None]  # (B, K, F)
    together = there.T @ active.to(features.dtype)  # (K, K), the weight of the users who have both
    covariance = torch.einsum("bkf,blg->klfg", centred * weights[:, None, None], centred)  # (K, K, F, F)
    found = (covariance**2).sum((2, 3)) / together.clamp_min(SMALLEST) ** 2  # (K, K)
    pairs: Tensor = torch.triu(found, 1).sum()
    return pairs
