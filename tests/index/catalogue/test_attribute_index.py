"""Filters by attributes: which rows they let through, by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from index.catalogue.attribute_index import AttributeIndex
from index.catalogue.bundle_catalogue import BundleCatalogue
from index.catalogue.entry_table import EntryTable
from index.catalogue.item import Item
from index.catalogue.item_vectors import ItemVectors
from model_export.bundle.items.arrow_files import open_items, write_items
from model_export.bundle.items.attribute_column import FEW

BRANDS = ["a", "a", "b", "b", "c", "c"]  # of the six items of the bundle
PUT = {"i1": {"brand": ["b"], "colour": ["blue"]}, "new": {"brand": ["d"], "colour": ["red"]}}


def index_of(folder: Path, brands: list[str]) -> AttributeIndex:
    """Items of a bundle and one behind them, which is put as row 1 is, for the second time; row 5 was removed."""
    colours = ["red", "blue"] * (len(brands) // 2)
    write_items(
        folder,
        [f"i{row}" for row in range(len(brands))],
        title=[""] * len(brands),
        category=[""] * len(brands),
        price=[None] * len(brands),
        popularity=[0] * len(brands),
        attributes={"brand": [[brand] for brand in brands], "colour": [[colour] for colour in colours]},
    )
    items = open_items(folder)
    bundle = SimpleNamespace(manifest=SimpleNamespace(items=len(brands), dim=2), rows=items.rows)
    base = cast(BundleCatalogue, SimpleNamespace(bundle=bundle, attributes=items.catalogue.attributes))
    features = SimpleNamespace(values_of=lambda item: item.attributes)
    vectors = SimpleNamespace(features=features, of=lambda item: np.ones(2, dtype=np.float32))
    table = EntryTable(base, cast(ItemVectors, vectors))
    table.set("i1", Item("i1", "Before", attributes={"brand": ["c"], "colour": ["red"]}))
    for item_id, values in PUT.items():
        table.set(item_id, Item(item_id, "Now", attributes=values))
    table.set("i5", None)
    return AttributeIndex(base, table.view())


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ({"brand": ["a"]}, [0]),  # row 1 is of b now
        ({"brand": ["b"]}, [1, 2, 3]),
        ({"brand": ["a", "c", "d"]}, [0, 4, 6]),
        ({"brand": ["a", "b", "c", "d"], "colour": ["red"]}, [0, 2, 4, 6]),
    ],
    ids=str,
)
def test_a_row_needs_one_of_the_values_as_they_are_now(
    where: dict[str, list[str]], rows: list[int], tmp_path: Path
) -> None:
    index = index_of(tmp_path, BRANDS)
    found = index.allowed(frozenset((name, frozenset(values)) for name, values in where.items()), frozenset())
    assert found is not None
    assert found.rows.tolist() == rows


def test_more_values_than_are_looked_up_one_by_one(tmp_path: Path) -> None:
    brands = [f"brand {number:03}" for number in range(200)]
    index = index_of(tmp_path, brands)
    wanted = frozenset([*brands[::2], "d"])  # row 1 is of b now, which is not wanted, and the new item of d
    assert len(wanted) > FEW
    found = index.allowed(frozenset({("brand", wanted)}), frozenset())
    assert found is not None
    assert found.rows.tolist() == [*range(0, 200, 2), 200]
    with pytest.raises(ValueError, match="no item has the brand 'none'; right are b, brand 000"):
        index.allowed(frozenset({("brand", wanted | {"none"})}), frozenset())


def test_the_first_value_that_no_item_has_is_named(tmp_path: Path) -> None:
    wanted = frozenset({("brand", frozenset({"a", "zz", "yy"}))})
    with pytest.raises(ValueError, match="no item has the brand 'yy'; right are a, b, c, d"):
        index_of(tmp_path, BRANDS).allowed(wanted, frozenset())
