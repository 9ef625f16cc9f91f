"""The catalogue of a bundle by row: attributes, categories, popularity."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np

from index.catalogue.item import CATEGORY, PRICE_BAND, Item
from model_export.bundle.bundle import Bundle
from model_export.bundle.items.attribute_column import AttributeColumn

__all__ = ["BundleCatalogue", "inverted"]


class BundleCatalogue:
    """One bundle's catalogue, for all that ask; its columns are the bundle's files."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    @property
    def attributes(self) -> Mapping[str, AttributeColumn]:
        """Return the column of each attribute: side features, and the category."""
        return self.bundle.catalogue.attributes

    @property
    def category(self) -> np.ndarray:
        """Return the number of each item's category, int32 (items,); -1 if it is not known."""
        return self.bundle.catalogue.category.codes

    @cached_property
    def popularity(self) -> np.ndarray:
        """Return the interactions of each item in the training log, float32 (items,)."""
        return self.bundle.catalogue.popularity.astype(np.float32)

    @property
    def popular(self) -> np.ndarray:
        """Return the rows, the most popular first, int32 (items,).

        Equal ones are in the order of rows, so that the answer is always the same.
        """
        return self.bundle.items.popular

    def item(self, row: int) -> Item:
        """Return an item as the bundle describes it."""
        catalogue = self.bundle.catalogue
        shown = ((name, values) for name, values in catalogue.attributes.items() if name not in (CATEGORY, PRICE_BAND))
        return Item(
            self.bundle.item_ids[row],
            catalogue.title[row],
            catalogue.category[row],
            catalogue.price[row],
            {name: mine for name, values in shown if (mine := values[row])},
        )


def inverted(values: Iterable[tuple[int, Sequence[str]]]) -> dict[str, list[int]]:
    """Turn rows and the values of each into the rows of each value."""
    rows: dict[str, list[int]] = {}
    for row, mine in values:
        for value in mine:
            rows.setdefault(value, []).append(row)
    return rows
