"""Filters by attributes: which rows they let through, by hand, and that their cost is that of the values asked for."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from index.catalogue.attribute_index import AttributeIndex
from index.catalogue.bundle_catalogue import BundleCatalogue

Rows = dict[str, list[int]]


class OnceAsked(Rows):
    """Values that can be looked up, and not walked through: there may be very many."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("all values were walked through")

    keys = items = values = __iter__  # type: ignore[assignment]


def index_of(brands: Rows, put: dict[int, Any]) -> AttributeIndex:
    """Six items of the bundle and one behind them; row 5 was removed."""
    bundle = SimpleNamespace(manifest=SimpleNamespace(items=6), rows={f"i{row}": row for row in range(6)})
    colours = {"red": [0, 2, 4], "blue": [1, 3, 5]}
    base = SimpleNamespace(bundle=bundle, attributes={"brand": brands, "colour": colours})
    return AttributeIndex(cast(BundleCatalogue, base), put, [5], {"new": 6})


BRANDS: Rows = {"a": [0, 1], "b": [2, 3], "c": [4, 5]}
PUT = {1: {"brand": ["b"], "colour": ["blue"]}, 6: {"brand": ["d"], "colour": ["red"]}}


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ({"brand": {"a"}}, [0]),  # row 1 is of b now
        ({"brand": {"b"}}, [1, 2, 3]),
        ({"brand": {"a", "c", "d"}}, [0, 4, 6]),
        ({"brand": {"a", "b", "c", "d"}, "colour": {"red"}}, [0, 2, 4, 6]),
    ],
    ids=str,
)
def test_a_row_needs_one_of_the_values_as_they_are_now(where: dict[str, set[str]], rows: list[int]) -> None:
    index = index_of(OnceAsked(BRANDS), PUT)
    found = index.allowed(frozenset((name, frozenset(values)) for name, values in where.items()), frozenset())
    assert found is not None
    assert found.rows.tolist() == rows


def test_the_first_value_that_no_item_has_is_named() -> None:
    wanted = frozenset({("brand", frozenset({"a", "zz", "yy"}))})
    with pytest.raises(ValueError, match="no item has the brand 'yy'; right are a, b, c, d"):
        index_of(BRANDS, PUT).allowed(wanted, frozenset())
