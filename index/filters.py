"""Which rows may be answers: filters by attributes of the catalogue, and items that are blocked for a time."""

import threading
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache

import numpy as np

from index.maxsim import Allowed
from model_export.bundle import Bundle

KEPT = 64  # filters whose rows are kept for the next request: a byte for each item
SHOWN = 5  # values that an error names
CATEGORY = "category"


class Filters:
    """The filters of one bundle's items, and the items that are not available now.

    Blocked items may be changed while other threads ask: a request sees the ones before or the ones after.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.changing = threading.Lock()
        self.blocked: frozenset[str] = frozenset()
        self.available: Allowed | None = None  # None: all
        self.matching = lru_cache(KEPT)(self.find_matching)

    def block(self, item_ids: Iterable[str]) -> None:
        """From now on these items never come back; ids that the model does not know are fine."""
        with self.changing:
            self.set_blocked(self.blocked | set(item_ids))

    def unblock(self, item_ids: Iterable[str]) -> None:
        """These items may come back again."""
        with self.changing:
            self.set_blocked(self.blocked - set(item_ids))

    def set_blocked(self, item_ids: frozenset[str]) -> None:
        rows = [self.bundle.rows[item_id] for item_id in item_ids if item_id in self.bundle.rows]
        mask = np.ones(self.bundle.manifest.items, dtype=bool)
        mask[rows] = False
        self.blocked, self.available = item_ids, Allowed(mask) if rows else None

    def allowed(self, where: Mapping[str, frozenset[str]]) -> Allowed | None:
        """The rows that have one of the values of every attribute and are available; None: all rows.

        Raises
        ------
        ValueError
            If there is no such attribute, or no item has a value.
        """
        matching = self.matching(frozenset((name, frozenset(values)) for name, values in where.items()))
        available = self.available
        if matching is None or available is None:
            return matching or available
        return matching & available

    def find_matching(self, where: frozenset[tuple[str, frozenset[str]]]) -> Allowed | None:
        if not where:
            return None
        mask = np.ones(self.bundle.manifest.items, dtype=bool)
        for attribute, values in sorted(where, key=lambda one: one[0]):
            rows_by_value = self.rows_of(attribute)
            has_one = np.zeros(len(mask), dtype=bool)
            for value in sorted(values):
                if value not in rows_by_value:
                    raise ValueError(f"no item has the {attribute} {value!r}; right are {some(rows_by_value)}")
                has_one[rows_by_value[value]] = True
            mask &= has_one
        return Allowed(mask)

    def rows_of(self, attribute: str) -> dict[str, list[int]]:
        """Value -> rows of the items that have it."""
        if attribute not in self.attributes:
            raise ValueError(f"there is no attribute {attribute!r}; right are {', '.join(sorted(self.attributes))}")
        return self.attributes[attribute]

    @cached_property
    def attributes(self) -> dict[str, dict[str, list[int]]]:
        """Attribute -> value -> rows: side features, and the category."""
        catalogue = self.bundle.catalogue
        shown = {CATEGORY: [[category] if category else [] for category in catalogue.category]}
        return {name: inverted(values) for name, values in {**catalogue.attributes, **shown}.items()}

    @cached_property
    def category(self) -> np.ndarray:
        """int64 (items,), the same number for items of the same category; -1 where it is not known."""
        numbers = np.full(self.bundle.manifest.items, -1)
        for number, rows in enumerate(self.attributes[CATEGORY].values()):
            numbers[rows] = number
        return numbers


def inverted(values: list[list[str]]) -> dict[str, list[int]]:
    """The values of each row -> the rows of each value."""
    rows: dict[str, list[int]] = {}
    for row, mine in enumerate(values):
        for value in mine:
            rows.setdefault(value, []).append(row)
    return rows


def some(values: Iterable[str]) -> str:
    """A few of the values, for an error."""
    known = sorted(values)
    return ", ".join(known[:SHOWN]) + (f" and {len(known) - SHOWN:,} others" if len(known) > SHOWN else "")
