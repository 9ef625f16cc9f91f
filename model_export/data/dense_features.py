"""Dense side features of items: a vector an item, such as that of its text or image, from whatever model made it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mindstream.parsing.unit_rows import unit_rows

__all__ = ["DenseFeatures"]


@dataclass(frozen=True, eq=False)
class DenseFeatures:
    """Vectors of items, as they were given.

    Attributes
    ----------
    item_ids : list of str (n,), each once.
    vectors : float32 (n, D), finite.
    """

    item_ids: list[str]
    vectors: np.ndarray

    def of(self, item_ids: list[str]) -> np.ndarray:
        """Return the vectors of items in unit length, zeros for an item that has none.

        Returns
        -------
        float32 (items, D)
        """
        places = pd.Index(self.item_ids).get_indexer(pd.Index(item_ids))
        found = np.zeros((len(item_ids), self.vectors.shape[1]), dtype=np.float32)
        found[places >= 0] = unit_rows(self.vectors[places[places >= 0]])
        return found
