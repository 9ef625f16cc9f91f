"""The behaviours that formed each of a user's interests, by their routing weights."""

from dataclasses import dataclass

import numpy as np

from stream.store.state import UserState

__all__ = ["ExplainedInterest", "WeightedBehaviour", "interests_of"]


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


def interests_of(state: UserState) -> list[ExplainedInterest]:
    """Explain each interest by the behaviours that formed it.

    By the routing weights of the state's capsules.
    """
    capsules = state.capsules
    return [
        ExplainedInterest(float(importance), _strongest(state.history.item_ids, weights))
        for importance, weights in zip(capsules.importance, capsules.routing_weights, strict=True)
    ]


def _strongest(item_ids: tuple[str, ...], weights: np.ndarray) -> list[WeightedBehaviour]:
    """Rank items by their largest weight, each once; equal ones the most recent first."""
    found: dict[str, float] = {}
    for item_id, weight in zip(reversed(item_ids), reversed(weights.tolist()), strict=True):
        if weight > 0:
            found[item_id] = max(weight, found.get(item_id, 0.0))
    ranked = sorted(found.items(), key=lambda pair: -pair[1])
    return [WeightedBehaviour(item_id, weight) for item_id, weight in ranked]
