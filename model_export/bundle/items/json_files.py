"""The items of a bundle of schema 1, item_ids.json and catalogue.json: read as a whole, and turned into columns."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from model_export.bundle.errors import BundleError, bundle_errors
from model_export.bundle.items.arrow_files import make_tables
from model_export.bundle.items.item_table import ItemTable
from model_export.bundle.manifest_schema import is_texts

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
        if not is_texts(item_ids):
            raise BundleError(f"{folder / ITEM_IDS} is no list of texts")
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
    columns = {name: (shown[name], is_right) for name, is_right in CELLS.items()}
    columns |= {f"attributes.{name}": (values, is_texts) for name, values in attributes.items()}
    for name, (values, is_right) in columns.items():
        if not isinstance(values, list) or len(values) != len(item_ids):
            raise BundleError(f"{file}: {name} is no list of {len(item_ids)} values, one for each item")
        wrong = next((row for row, value in enumerate(values) if not is_right(value)), None)
        if wrong is not None:
            raise BundleError(f"{file}: {name} of {item_ids[wrong]!r} is {json.dumps(values[wrong])[:100]}")


def _is_text(value: Any) -> bool:
    """Tell whether this is a title or a category."""
    return isinstance(value, str)


def _is_price(value: Any) -> bool:
    """Tell whether this is a price; None means unknown."""
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


def _is_popularity(value: Any) -> bool:
    """Tell whether this is a number of interactions."""
    return isinstance(value, int) and value >= 0


CELLS: dict[str, Callable[[Any], bool]] = {
    "title": _is_text,
    "category": _is_text,
    "price": _is_price,
    "popularity": _is_popularity,
}
