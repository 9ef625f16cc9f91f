"""The catalogue of a bundle by row: attributes, categories, popularity."""

from collections.abc import Mapping

import numpy as np

from index.catalogue.item import CATEGORY, PRICE_BAND, Item
from model_export.bundle.bundle import Bundle
from model_export.bundle.items.attribute_column import AttributeColumn

__all__ = ["BundleCatalogue"]


class BundleCatalogue:
    """One bundle's catalogue, for all that ask; its columns are the bundle's files."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._popularity = np.empty(0, dtype=np.float32)

    @property
    def attributes(self) -> Mapping[str, AttributeColumn]:
        """Return the column of each attribute: side features, and the category."""
        return self.bundle.catalogue.attributes

    @property
    def category(self) -> np.ndarray:
        """Return the number of each item's category, int32 (items,); -1 if it is not known."""
        return self.bundle.catalogue.category.codes

    def popularity_with(self, new: int) -> np.ndarray:
        """Return each item's interactions in the training log, float32 (items + new,).

        New items have none.

        There is room for more new ones than were asked for, so that it is seldom made anew.
        """
        rows = self.bundle.manifest.items + new
        if len(self._popularity) < rows:
            room = np.zeros(2 * new, dtype=np.float32)
            self._popularity = np.concatenate([self.bundle.catalogue.popularity.astype(np.float32), room])
        return self._popularity[:rows]

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
