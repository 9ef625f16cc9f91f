"""The vectors of items that are new since training: of what the model knows of them, told apart by title and id."""

import hashlib
import math
import re
from functools import lru_cache

import numpy as np

from index.catalogue.item import Item
from index.catalogue.side_features import SideFeatures
from model_export.bundle.bundle import Bundle

__all__ = ["OTHER_VECTOR", "OWN_APART", "TITLE_APART", "UNKNOWN_VALUES", "ItemVectors", "told_apart"]

# Why the model served has no vector for an item.
OTHER_VECTOR, UNKNOWN_VALUES = "vector", "values"

# How far a vector is turned, as a share of its length. New items of the same category and price have the same vector,
# and would all come or none; so each is turned a little, alike titles into alike directions. A direction is as good as
# any other to the model: it decides only between items that the model cannot tell apart, for each interest otherwise.
TITLE_APART = 0.05
# A caller's own vector says all that is to be said; so little decides only between two that are the same.
OWN_APART = 0.001
ID_SHARE = 0.25  # of an id beside the words of a title: items of the same title differ too
UNIT_WITHIN = 0.01  # of 1, the length of a caller's vector where the model's items have length 1
WORD = re.compile(r"\w+")
SHORTEST = 1e-6  # direction that is one
WORDS_KEPT = 8_192
MADE_KEPT = 4_096  # vectors, since many new items have the same values
AT_A_TIME = 65_536  # rows


class ItemVectors:
    """Makes the vector that an item has while one bundle is served."""

    def __init__(self, bundle: Bundle) -> None:
        self.features = SideFeatures(bundle)
        self.version, self.dim = bundle.version, bundle.manifest.dim
        self._table = bundle.item_embeddings
        self._longest: float | None = None
        self._made: dict[tuple[tuple[str, ...], ...], np.ndarray | None] = {}

    def of(self, item: Item) -> np.ndarray | None:
        """Return the vector of an item that the bundle does not know, float32 (d,).

        It is the item's own, if that is of this bundle's model and fits, or else made of its category, price band,
        attributes and dense vector. None if there is neither.
        """
        if item.vector is not None and item.vector_model == self.version and len(item.vector) == self.dim:
            own = np.array(item.vector, dtype=np.float32)
            if self.features.has_unit_length:
                own /= np.float32(np.linalg.norm(own) or 1)
            return told_apart(own, item, OWN_APART)
        if self.features.mapped(item) is not None:  # it says enough to tell items apart
            made = self.features.embedding(item)
            return None if made is None else told_apart(made, item, OWN_APART)
        made = self._made_of(item)
        return None if made is None else told_apart(made, item, TITLE_APART)

    def _made_of(self, item: Item) -> np.ndarray | None:
        """Make a vector of an item's values; the same one for the same values."""
        key = tuple((name, *values) for name, values in self.features.values_of(item).items())
        if key not in self._made:
            if len(self._made) >= MADE_KEPT:
                self._made.clear()
            self._made[key] = self.features.embedding(item)
        return self._made[key]

    @staticmethod
    def lack_of(item: Item) -> str:
        """Return why an item has no vector: OTHER_VECTOR or UNKNOWN_VALUES."""
        return UNKNOWN_VALUES if item.vector is None and item.features_vector is None else OTHER_VECTOR

    def fault_of(self, item: Item) -> str:
        """Say what is wrong with an item that the bundle does not know; "" if nothing is."""
        try:
            self.check(item)
        except ValueError as error:
            return str(error)
        return ""

    def check(self, item: Item) -> None:
        """Check that an item which the bundle does not know can be found.

        Raises
        ------
        ValueError
            If its own vector or its dense one does not fit the model, or it has none and the model knows none of its
            values. Names what would be right.
        """
        if item.vector is None:
            self.features.check(item)
            return
        if (fault := self.features.dense_fault(item)) is not None:
            raise ValueError(fault)
        if item.vector_model != self.version:
            raise ValueError(
                f"the vector of item {item.item_id!r} is of the model {item.vector_model[:50]!r}; right is a vector of "
                f"the model {self.version!r}, which is served, or none and a value that it knows"
            )
        if len(item.vector) != self.dim:
            raise ValueError(
                f"the vector of item {item.item_id!r} has {len(item.vector):,} numbers; right is {self.dim}"
            )
        with np.errstate(over="ignore"):  # infinity is too long, as the error says
            length = float(np.linalg.norm(np.array(item.vector, dtype=np.float64)))
        self._check_length(item, length)

    def _check_length(self, item: Item, length: float) -> None:
        """Raise ValueError unless a vector is as long as those of the model's items.

        A longer one would stand before all others in every answer, whatever it points at.
        """
        if self.features.has_unit_length:
            if abs(length - 1) > UNIT_WITHIN:
                raise ValueError(
                    f"the vector of item {item.item_id!r} has the length {length:.6g}; right is 1, as that of the "
                    "model's items"
                )
        elif not 0 < length <= self.longest:
            raise ValueError(
                f"the vector of item {item.item_id!r} has the length {length:.6g}; right is above 0 and at most "
                f"{self.longest:.6g}, the length of the longest of the model's items"
            )

    @property
    def longest(self) -> float:
        """Return the length of the longest vector of the bundle; read once, when somebody asks."""
        if self._longest is None:
            starts = range(0, len(self._table), AT_A_TIME)
            squares = [
                float(np.einsum("ij,ij->i", part, part).max(initial=0))
                for part in (self._table[start : start + AT_A_TIME] for start in starts)
            ]
            self._longest = float(np.sqrt(max(squares, default=0.0)))
        return self._longest


def told_apart(vector: np.ndarray, item: Item, share: float) -> np.ndarray:
    """Turn a vector a little into the direction of an item's title and id; its length stays.

    Parameters
    ----------
    share : how far, as a share of the length: the cosine to the vector given is 1 / sqrt(1 + share^2).
    """
    square = float(vector @ vector)
    if not square:
        return vector
    direction = np.float32(ID_SHARE) * _scaled(_drawn_once(f"\0{item.item_id}", len(vector)))
    if words := WORD.findall(item.title.casefold()):
        drawn = [_drawn(word, len(vector)) for word in words]
        direction += _scaled(sum(drawn[1:], start=drawn[0]))
    direction -= np.float32(float(direction @ vector) / square) * vector  # what is left stands upright on it
    turned = vector + np.float32(share * math.sqrt(square)) * _scaled(direction)
    return np.asarray(turned * np.float32(math.sqrt(square / float(turned @ turned))), dtype=np.float32)


def _scaled(vector: np.ndarray) -> np.ndarray:
    """Return a vector of length 1; one that is hardly any stays so."""
    length = math.sqrt(float(vector @ vector))
    return vector * np.float32(1 / length) if length > SHORTEST else np.zeros_like(vector)


def _drawn_once(text: str, dim: int) -> np.ndarray:
    """Draw numbers from -1 to 1 that are always the same for a text, float32 (d,)."""
    drawn = hashlib.shake_128(text.encode(errors="replace")).digest(dim)
    return np.frombuffer(drawn, dtype=np.uint8).astype(np.float32) * np.float32(2 / 255) - np.float32(1)


_drawn = lru_cache(WORDS_KEPT)(_drawn_once)
