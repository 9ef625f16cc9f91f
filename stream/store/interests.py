"""The behaviours that formed each of a user's interests, by their routing weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from model_export.bundle.extractor import Extractor
from stream.store.state import UserState, routing_weights

__all__ = ["ExplainedInterest", "WeightedBehaviour", "explained", "interests_of"]


# Answers have dozens of these, and frozen ones take three times as long to make.
@dataclass(slots=True)
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
    """Explain a user's interests by their routing weights.

    Parameters
    ----------
    weights : float (K', T).
    most : as that of `interests_of`.
    """
    item_ids, importance = state.history.item_ids, state.capsules.importance.tolist()
    if most is None or len(item_ids) <= most:
        return [
            ExplainedInterest(share, _ranked(item_ids, row)) for share, row in zip(importance, weights, strict=True)
        ]
    backwards = weights[:, ::-1]
    order = np.argsort(-backwards, axis=1, kind="stable")  # the most recent one first of equal ones
    ordered = backwards[np.arange(len(order))[:, None], order].tolist()
    rows = zip(importance, order.tolist(), ordered, weights, strict=True)
    return [
        ExplainedInterest(share, _strongest(item_ids, places, heaviest, row, most))
        for share, places, heaviest, row in rows
    ]


def _strongest(
    item_ids: tuple[str, ...], places: list[int], heaviest: list[float], weights: np.ndarray, most: int
) -> list[WeightedBehaviour]:
    """Return the first so many of `_ranked`, without looking at all behaviours.

    Parameters
    ----------
    places : of the behaviours, by their weights, the largest first; counted from the last behaviour backwards.
    heaviest : those weights.
    """
    found: dict[str, float] = {}
    before, last = math.inf, ""
    for place, weight in zip(places, heaviest, strict=True):
        if weight <= 0 or (len(found) == most and weight < before):
            break
        item_id = item_ids[-1 - place]
        if weight == before and item_id != last:  # then it counts which of both came last with whatever weight
            return _ranked(item_ids, weights)[:most]
        found.setdefault(item_id, weight)
        before, last = weight, item_id
    return [WeightedBehaviour(item_id, weight) for item_id, weight in found.items()][:most]


def _ranked(item_ids: tuple[str, ...], weights: np.ndarray) -> list[WeightedBehaviour]:
    """Rank items by their largest weight, each once; equal ones the most recent first."""
    found: dict[str, float] = {}
    for item_id, weight in zip(reversed(item_ids), reversed(weights.tolist()), strict=True):
        if weight > 0:
            found[item_id] = max(weight, found.get(item_id, 0.0))
    ranked = sorted(found.items(), key=_WEIGHT, reverse=True)  # equal ones stay as they stand
    return [WeightedBehaviour(item_id, weight) for item_id, weight in ranked]
