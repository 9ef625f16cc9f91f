"""Items and capsules of the retrieval benchmark: clustered vectors of uneven norms."""

import numpy as np

__all__ = ["hard_capsules", "made_up_items", "usual_capsules"]

A_CLUSTER = 200  # items
SPREAD = 0.5  # of a cluster, where the distance between centres is about 1.4 times sqrt(d)
NORMS = 0.3  # sigma of the norms' lognormal distribution
HARD_NORMS = 0.5  # likewise, of hard capsules
NEAR = 0.3  # how far a hard capsule is from the one that it is near to, of its length


def made_up_items(number: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Make items in clusters, of uneven norms: float32 (items, d)."""
    centres = rng.normal(size=(max(2, number // A_CLUSTER), dim))
    vectors = centres[rng.integers(len(centres), size=number)] + SPREAD * rng.normal(size=(number, dim))
    norms = rng.lognormal(sigma=NORMS, size=(number, 1)) / np.sqrt(dim)
    return np.asarray(vectors * norms, dtype=np.float32)


def usual_capsules(items: np.ndarray, users: int, interests: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Make capsules as the model gives them: of length 1, each in the direction of an item."""
    found = []
    for _ in range(users):
        near = items[rng.integers(len(items), size=interests)]
        near = near + 0.03 * rng.normal(size=near.shape)
        found.append((near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32))
    return found


def hard_capsules(items: np.ndarray, users: int, interests: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Make capsules of uneven norms, a third of them near another.

    Some bring much and some little, and their items overlap.
    """
    found = []
    for capsules in usual_capsules(items, users, interests, rng):
        for one in np.flatnonzero(rng.random(interests) < 1 / 3):
            other = rng.integers(interests)
            noise = NEAR * rng.normal(size=items.shape[1]) / np.sqrt(items.shape[1])
            capsules[one] = capsules[other] + noise
        found.append((capsules * rng.lognormal(sigma=HARD_NORMS, size=(interests, 1))).astype(np.float32))
    return found
