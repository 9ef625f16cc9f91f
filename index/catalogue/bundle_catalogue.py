"""The catalogue of a bundle by row: attributes, categories, popularity."""

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from index.catalogue.item import CATEGORY, PRICE_BAND, Item
from model_export.bundle.bundle import Bundle

__all__ = ["BundleCatalogue", "inverted"]


class BundleCatalogue:
    """One bundle's catalogue, turned round once for all that ask."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    @cached_property
    def attributes(self) -> dict[str, dict[str, list[int]]]:
        """Return attribute -> value -> rows: side features, and the category."""
        catalogue = self.bundle.catalogue
        shown = {CATEGORY: [[category] if category else [] for category in catalogue.category]}
        return {name: inverted(enumerate(values)) for name, values in {**catalogue.attributes, **shown}.items()}

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Return category -> its number."""
        return {name: number for number, name in enumerate(self.attributes[CATEGORY])}

    @cached_property
    def category(self) -> np.ndarray:
        """Return the number of each item's category, int64 (items,); -1 if it is not known."""
        numbers = np.full(self.bundle.manifest.items, -1)
        for name, rows in self.attributes[CATEGORY].items():
            numbers[rows] = self.numbers[name]
        return numbers

    @cached_property
    def popularity(self) -> np.ndarray:
        """Return the interactions of each item in the training log, float32 (items,)."""
        return np.array(self.bundle.catalogue.popularity, dtype=np.float32)

    @cached_property
    def popular(self) -> np.ndarray:
        """Return the rows, the most popular first, int64 (items,).

        Equal ones are in the order of rows, so that the answer is always the same.
        """
        return np.argsort(-np.array(self.bundle.catalogue.popularity), kind="stable")

    def item(self, row: int) -> Item:
        """Return an item as the bundle describes it."""
        catalogue = self.bundle.catalogue
        return Item(
            self.bundle.item_ids[row],
            catalogue.title[row],
            catalogue.category[row],
            catalogue.price[row],
            {
                name: values[row]
                for name, values in catalogue.attributes.items()
                if values[row] and name not in (CATEGORY, PRICE_BAND)
            },
        )


def inverted(values: Iterable[tuple[int, Sequence[str]]]) -> dict[str, list[int]]:
    """Turn rows and the values of each into the rows of each value."""
    rows: dict[str, list[int]] = {}
    for row, mine in values:
        for value in mine:
            rows.setdefault(value, []).append(row)
    return rows
