"""Items and a user's interests in two dimensions, and what coupled behaviours to interests."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from stream.store.state import UserState, routing_weights

__all__ = ["TRAIL", "Coupling", "InterestMap", "coupling", "coupling_table", "evenly", "normalized"]

MOST_ITEMS = 500  # drawn; more are a cloud without gaps, and slow
TRAIL = 8  # events that the trail goes back
COUPLED = 16  # behaviours in the heat map


class InterestMap:
    """Two axes through a bundle's items: those along which the categories differ most.

    Without categories they are the axes of the items themselves. Lengths are left out: max-sim on this map is about
    directions.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        vectors = normalized(bundle.item_embeddings)
        category = bundle.catalogue.category
        codes = category.codes + 1  # 0: those without one
        counts = np.bincount(codes, minlength=1 + len(category.values))
        sums = np.zeros((len(counts), vectors.shape[1]))
        np.add.at(sums, codes, vectors)
        sums, counts = sums[counts > 0], counts[counts > 0]
        spread = sums / counts[:, None] if len(counts) > 2 else vectors[evenly(len(vectors), MOST_ITEMS)]
        self.centre = spread.mean(axis=0)
        self.axes = np.linalg.svd(spread - self.centre, full_matrices=False)[2][:2]  # (2, d)

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Return the places of vectors (n, d) on the map: (n, 2)."""
        return np.asarray((normalized(vectors) - self.centre) @ self.axes.T)

    def sample(self) -> pd.DataFrame:
        """Return x, y, title and category of a sample of the items."""
        rows = evenly(len(self.bundle.item_ids), MOST_ITEMS)
        return self.located(rows)

    def located(self, rows: np.ndarray) -> pd.DataFrame:
        """Return x, y, title and category of these rows."""
        catalogue = self.bundle.catalogue
        x, y = self.project(self.bundle.item_embeddings[rows]).T
        title, category = [catalogue.title[row] for row in rows], [catalogue.category[row] for row in rows]
        return pd.DataFrame({"x": x, "y": y, "title": title, "category": category})

    def behaviours(self, state: UserState) -> pd.DataFrame:
        """Return x, y, title, category and age of the last behaviours that the model knows.

        Age 0 is the last one.
        """
        known = [item_id for item_id in state.history.item_ids if item_id in self.bundle.rows][-TRAIL:]
        found = self.located(np.array([self.bundle.rows[item_id] for item_id in known], dtype=int))
        return found.assign(age=range(len(known) - 1, -1, -1))

    def trail(self, state: UserState, extractor: Extractor) -> pd.DataFrame:
        """Return x, y, interest and age of the interests after each of the last events.

        Age 0 is now. Nothing has to be remembered for it: capsules depend on the history alone.

        Nothing has to be remembered for it: capsules depend on the history alone.
        """
        history = state.history
        steps = range(min(TRAIL, len(history.item_ids)))
        known = [slice(len(history.item_ids) - age) for age in steps]
        past = extractor.encode(
            [history.item_ids[to] for to in known],
            [state.profile] * len(known),
            [history.event_times_ms[to] for to in known],
            types=[history.event_types[to] for to in known],
        )
        tables = [self.located_capsules(capsules.vectors, age) for age, capsules in zip(steps, past, strict=True)]
        return pd.concat(tables or [self.located_capsules(np.empty((0, self.axes.shape[1])), 0)], ignore_index=True)

    def located_capsules(self, vectors: np.ndarray, age: int) -> pd.DataFrame:
        """Return x, y, interest and age of some capsules."""
        x, y = self.project(vectors).T
        return pd.DataFrame({"x": x, "y": y, "interest": range(len(vectors)), "age": age})


@dataclass(frozen=True)
class Coupling:
    """Shares of behaviours in interests.

    Attributes
    ----------
    titles : of the last behaviours, oldest first.
    weights : (interests, behaviours), shares of 0 to 1.
    """

    titles: list[str]
    weights: np.ndarray


def coupling(state: UserState, extractor: Extractor) -> Coupling:
    """Return the routing weights of a user's last behaviours.

    They are of the model that made the capsules.
    """
    bundle = extractor.bundle
    [weights] = routing_weights(extractor, [state])
    kept = state.history.item_ids[-COUPLED:]
    titles = [bundle.catalogue.title[bundle.rows[one]] if one in bundle.rows else one for one in kept]
    return Coupling(titles, weights[:, -COUPLED:])


def coupling_table(found: Coupling) -> pd.DataFrame:
    """Return a row for each behaviour and interest: place, title, interest, share."""
    interests, behaviours = found.weights.shape
    return pd.DataFrame(
        {
            "place": np.tile(np.arange(behaviours), interests),
            "title": found.titles * interests,
            "interest": np.repeat(np.arange(interests), behaviours),
            "share": found.weights.ravel(),
        }
    )


def normalized(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length 1; zeros stay."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def evenly(number: int, most: int) -> np.ndarray:
    """Return at most so many rows, spread evenly over all."""
    return np.unique(np.linspace(0, number - 1, min(number, most)).astype(int))
