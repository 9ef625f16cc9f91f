"""What people are shown of an item, and what filters and the embedding of a new one are made of."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

LONGEST_ID = 511  # bytes; LMDB's keys hold no more
MOST_BYTES = 16_384  # of an item as JSON
CATEGORY, PRICE_BAND = "category", "price_band"
FIELDS = ("item_id", "title", CATEGORY, "price", PRICE_BAND, "price_edges")  # no attribute is called so


@dataclass(frozen=True)
class Item:
    """One item of the catalogue.

    Attributes
    ----------
    item_id : 1 to 511 bytes of UTF-8.
    title : what people read; not empty.
    category : the one main category, "" where it is not known.
    price : a finite number, None where it is not known.
    attributes : side feature -> the values that the item has.
    """

    item_id: str
    title: str
    category: str = ""
    price: float | None = None
    attributes: Mapping[str, list[str]] = field(default_factory=dict)


_decoder = msgspec.json.Decoder(Item)


def to_json(item: Item) -> bytes:
    """An item as a JSON object."""
    return msgspec.json.encode(item)


def from_json(text: bytes | str) -> Item:
    """The item in a JSON object; see `Item`, of which item_id and title must be there.

    Raises
    ------
    ValueError
        Says which field is missing or of a wrong kind.
    """
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(f"this is no item: {error}") from error


def check_item(item: Item) -> None:
    """Raise ValueError, with the field, its value and what would be right, unless the item can be kept."""
    check_id(item.item_id)
    if not item.title:
        raise ValueError(f"the title of item {item.item_id!r} is ''; right is what people are to read")
    if item.price is not None and not math.isfinite(item.price):
        raise ValueError(f"the price of item {item.item_id!r} is {item.price}; right is a finite number, or none")
    for name in item.attributes:
        if not name or name in FIELDS:
            raise ValueError(
                f"item {item.item_id!r} has an attribute {name!r}; right is any other name than {', '.join(FIELDS)}"
            )
    try:
        size = len(to_json(item))
    except UnicodeEncodeError as error:
        raise ValueError(f"the text of item {item.item_id!r} cannot be written as UTF-8: {error.reason}") from error
    if size > MOST_BYTES:
        raise ValueError(f"item {item.item_id!r} has {size:,} bytes as JSON; right is at most {MOST_BYTES:,}")


def check_id(item_id: str) -> None:
    """Raise ValueError unless items can be called so."""
    size = len(item_id.encode(errors="replace"))
    if not 0 < size <= LONGEST_ID:
        raise ValueError(f"the item_id {item_id[:50]!r} has {size} bytes; right is 1 to {LONGEST_ID} bytes of UTF-8")
