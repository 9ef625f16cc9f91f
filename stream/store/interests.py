"""The behaviours that formed each of a user's interests, by their routing weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from model_export.bundle.extractor import Extractor
from stream.store.state import UserState, routing_weights

__all__ = ["ExplainedInterest", "WeightedBehaviour", "explained", "interests_of"]


@dataclass(frozen=True)
class WeightedBehaviour:
    """A behaviour that formed an interest.

    Weight is the share of it that was routed there, 0 to 1.
    """

    item_id: str
    weight: float


@dataclass(frozen=True)
class ExplainedInterest:
    """One interest of a user.

    Attributes
    ----------
    importance : share of the user's behaviours in this interest, 0 to 1.
    behaviours : the items that formed it, each once, the strongest first.
    """

    importance: float
    behaviours: list[WeightedBehaviour]


_WEIGHT = itemgetter(1)


def interests_of(
    states: Sequence[UserState], extractor: Extractor, most: int | None = None
) -> list[list[ExplainedInterest]]:
    """Explain the interests of users by the behaviours that formed them.

    No store keeps routing weights, so they are made again here, in one run for all users.

    Parameters
    ----------
    extractor : of the model that made the capsules.
    most : so many behaviours of each interest are named, the strongest; None: all.
    """
    both = zip(states, routing_weights(extractor, states), strict=True)
    return [explained(state, weights, most) for state, weights in both]


def explained(state: UserState, weights: np.ndarray, most: int | None = None) -> list[ExplainedInterest]:
    """Explain a user's interests by their routing weights (K', T); `most` is that of `interests_of`."""
    return [
        ExplainedInterest(importance, _strongest(state.history.item_ids, row, most))
        for importance, row in zip(state.capsules.importance.tolist(), weights, strict=True)
    ]


def _strongest(item_ids: tuple[str, ...], weights: np.ndarray, most: int | None) -> list[WeightedBehaviour]:
    """Rank items by their largest weight, each once; equal ones the most recent first."""
    found: dict[str, float] = {}
    for item_id, weight in zip(reversed(item_ids), reversed(weights.tolist()), strict=True):
        if weight > 0:
            found[item_id] = max(weight, found.get(item_id, 0.0))
    ranked = sorted(found.items(), key=_WEIGHT, reverse=True)[:most]  # equal ones stay as they stand
    return [WeightedBehaviour(item_id, weight) for item_id, weight in ranked]
