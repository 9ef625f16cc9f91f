"""The embedding of an item that is new since training, from a bundle's files: as `InterestModel.embed_new` makes it."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from index.catalogue.item import CATEGORY, PRICE_BAND, Item, first_values
from mindstream.parsing.unit_rows import unit_rows
from model_export.bundle.bundle import FEATURES, Bundle

__all__ = ["SideFeatures"]

MOST_VALUES = 32  # of an item, the first, as in training


class SideFeatures:
    """The side features that a bundle's model knows, and the vectors of their values."""

    def __init__(self, bundle: Bundle) -> None:
        self.fields = bundle.manifest.feature_fields
        self.has_unit_length = bool(bundle.manifest.model.get("unit_length"))
        with np.load(bundle.path / FEATURES) as arrays:
            self.edges = arrays["price_edges"].tolist()
            self.tables = {name: arrays[name] for name in self.fields}
        self.vector_map = bundle.vector_map  # (D, d)
        self.rows = {
            name: {value: row for row, value in enumerate(values, start=1)} for name, values in self.fields.items()
        }

    def values_of(self, item: Item) -> Mapping[str, Sequence[str]]:
        """Return field -> the item's values: its category, price band and attributes."""
        found: dict[str, Sequence[str]] = {CATEGORY: [item.category] if item.category else []}
        if PRICE_BAND in self.fields and item.price is not None:
            found[PRICE_BAND] = [str(bisect_right(self.edges, item.price))]
        return {**found, **item.attributes}

    def embedding(self, item: Item) -> np.ndarray | None:
        """Average the vectors of an item's values and dense vector, and zeros for its id.

        None if the model knows none of its values, and nothing of its dense vector.

        float32 (d,); of length 1 if the model's items are.
        """
        vectors = list(islice(self._vectors_of(item), MOST_VALUES))
        if (dense := self.mapped(item)) is not None:
            vectors.append(dense)
        if not vectors:
            return None
        mean = sum(vectors[1:], start=vectors[0]) / np.float32(1 + len(vectors))
        length = math.sqrt(mean @ mean) if self.has_unit_length else 1
        return mean / np.float32(length or 1)

    def mapped(self, item: Item) -> np.ndarray | None:
        """Return the image of an item's dense vector, (d,); None without one that is read."""
        if self.dense_fault(item) is not None or item.features_vector is None or self.vector_map is None:
            return None
        mapped: np.ndarray = unit_rows(np.array([item.features_vector]))[0] @ self.vector_map
        return mapped

    def dense_fault(self, item: Item) -> str | None:
        """Say why the model cannot read an item's dense vector; None if it can, or there is none."""
        numbers = item.features_vector
        if numbers is None:
            return None
        called = f"the features_vector of item {item.item_id!r}"
        if self.vector_map is None:
            return f"{called} cannot be read: the model served was trained without --item-vectors; right is none"
        if len(numbers) != len(self.vector_map):
            return (
                f"{called} has {len(numbers):,} numbers; right is {len(self.vector_map):,}, as the vectors have that "
                "the model was trained with"
            )
        return None if any(numbers) else f"{called} is all zeros; right is a vector with a direction, or none"

    def _vectors_of(self, item: Item) -> Iterator[np.ndarray]:
        """Yield the vector of each value that the model knows, once."""
        for name, values in self.values_of(item).items():
            known = self.rows.get(name, {})
            for value in dict.fromkeys(values):
                if value in known:
                    yield self.tables[name][known[value]]

    def check(self, item: Item) -> None:
        """Raise ValueError if an item could never be found, or its dense vector cannot be read.

        It is not found if the model knows none of its values, and it has no dense vector.
        """
        if (fault := self.dense_fault(item)) is not None:
            raise ValueError(fault)
        if item.features_vector is None and next(self._vectors_of(item), None) is None:
            known = (
                "; ".join(f"{name}: {first_values(values)}" for name, values in self.fields.items()) or "none at all"
            )
            raise ValueError(f"the model knows no value of item {item.item_id!r}; those it knows are {known}")
