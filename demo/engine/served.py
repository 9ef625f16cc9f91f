"""Everything that the demo serves of one bundle, replaced at once, so that no answer mixes two versions."""

from dataclasses import dataclass
from pathlib import Path

from demo.drawing.interest_map import InterestMap
from index.recommend.recommender import Recommender
from mindstream.behaviour_rule import BehaviourRule
from model_export.bundle.bundle import Bundle
from model_export.bundle.last_good import open_last_good
from model_export.bundle.registry import Registry
from model_export.bundle.trained_rule import warn_of_another_rule
from stream.store.contract import Store

__all__ = ["Served", "make_served", "one_interest_recommender"]


@dataclass(frozen=True)
class Served:
    """A bundle and what is made of it."""

    bundle: Bundle
    recommender: Recommender
    map: InterestMap
    categories: list[str]


def make_served(bundle: Bundle, store: Store, rule: BehaviourRule) -> Served:
    """Make everything that pages ask for.

    A bundle that was trained under another rule than this one is said in the log.
    """
    warn_of_another_rule(bundle, rule)
    return Served(bundle, Recommender(bundle, store), InterestMap(bundle), list(bundle.catalogue.category.values))


def one_interest_recommender(models: Path, store: Store) -> Recommender | None:
    """Return the recommender of the model with one interest, None if it was not prepared."""
    registry = Registry(models)
    return Recommender(open_last_good(registry), store) if registry.current_version() else None
