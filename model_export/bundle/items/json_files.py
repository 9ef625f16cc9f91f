"""The items of a bundle of schema 1, item_ids.json and catalogue.json: read as a whole, and turned into columns."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from model_export.bundle.errors import BundleError, bundle_errors
from model_export.bundle.items.arrow_files import make_tables
from model_export.bundle.items.item_table import MOST_POPULARITY, ItemTable
from model_export.bundle.manifest_schema import is_finite, is_text, is_texts

__all__ = ["CATALOGUE", "ITEM_IDS", "read_items"]

ITEM_IDS, CATALOGUE = "item_ids.json", "catalogue.json"


def read_items(folder: Path, items: int) -> ItemTable:
    """Read the items of a bundle of schema 1.

    Parameters
    ----------
    items : how many the manifest says there are.

    Raises
    ------
    BundleError
        If a file is missing or is not right: names the file, the column and the item.
    """
    with bundle_errors(folder / ITEM_IDS):
        item_ids = json.loads((folder / ITEM_IDS).read_text(encoding="utf-8"))
        if not isinstance(item_ids, list) or not item_ids:
            raise BundleError(f"{folder / ITEM_IDS} is no list of texts")
        if (wrong := next((one for one in item_ids if not is_text(one) or not one), None)) is not None:
            raise BundleError(f"{folder / ITEM_IDS} has the id {json.dumps(wrong)[:100]}; right is {TEXT}, not empty")
        if len(item_ids) != items or len(set(item_ids)) != items:
            raise BundleError(
                f"{folder / ITEM_IDS} has {len(item_ids)} items, {len(set(item_ids))} of them distinct; "
                f"the manifest says {items}"
            )
    with bundle_errors(folder / CATALOGUE):
        shown = json.loads((folder / CATALOGUE).read_text(encoding="utf-8"))
        attributes = shown.get("attributes", {})  # the oldest bundles have none
        _check_cells(folder / CATALOGUE, item_ids, shown, attributes)
        return ItemTable(make_tables(item_ids, **{name: shown[name] for name in CELLS}, attributes=attributes))


def _check_cells(
    file: Path, item_ids: list[str], shown: Mapping[str, Any], attributes: Mapping[str, list[list[str]]]
) -> None:
    """Check that every column has a value of the right kind for every item."""
    if not all(map(is_text, attributes)):
        raise BundleError(f"{file}: the name of an attribute has a lone surrogate; right is {TEXT}")
    columns = {name: (shown[name], *cell) for name, cell in CELLS.items()}
    columns |= {f"attributes.{name}": (values, is_texts, "texts") for name, values in attributes.items()}
    for name, (values, is_right, right) in columns.items():
        if not isinstance(values, list) or len(values) != len(item_ids):
            raise BundleError(f"{file}: {name} is no list of {len(item_ids)} values, one for each item")
        wrong = next((row for row, value in enumerate(values) if not is_right(value)), None)
        if wrong is not None:
            found = json.dumps(values[wrong])[:100]
            raise BundleError(f"{file}: {name} of {item_ids[wrong]!r} is {found}; right is {right}")


def _is_price(value: Any) -> bool:
    """Tell whether this is a price; None means unknown."""
    return value is None or is_finite(value)


def _is_popularity(value: Any) -> bool:
    """Tell whether this is a number of interactions."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_POPULARITY


TEXT = "text that UTF-8 can write, without lone surrogates"
CELLS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "title": (is_text, TEXT),
    "category": (is_text, TEXT),
    "price": (_is_price, "a finite number, or null"),
    "popularity": (_is_popularity, f"a whole number from 0 to {MOST_POPULARITY}"),
}
