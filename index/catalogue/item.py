"""An item: what people are shown, and what filters and the embedding of a new item are made of."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import msgspec

__all__ = [
    "CATEGORY",
    "LONGEST_ID",
    "MOST_NUMBERS",
    "PRICE_BAND",
    "Item",
    "check_id",
    "checked",
    "first_values",
    "from_json",
    "from_line",
    "to_json",
]

LONGEST_ID = 511  # bytes; LMDB's keys hold no more
MOST_BYTES = 16_384  # of an item as JSON, without its vector
MOST_NUMBERS = 4_096  # of a vector
NO_FEATURES_VECTOR, NO_VECTOR = b',"features_vector":null}', b',"vector":null,"vector_model":""}'  # as items end
CATEGORY, PRICE_BAND = "category", "price_band"
SHOWN = 5  # values that an error names
FIELDS = ("item_id", "title", CATEGORY, "price", PRICE_BAND, "price_edges", "vector_map")  # no attribute is called so


@dataclass(frozen=True)
class Item:
    """One item of the catalogue.

    Attributes
    ----------
    item_id : 1 to 511 bytes of UTF-8.
    title : what people read; not empty.
    category : the one main category, "" if it is not known.
    price : a finite number, None if it is not known.
    attributes : side feature -> the values that the item has.
    vector : the caller's own, (d,), of an item that the model does not know; None: one is made of its values.
    vector_model : version of the model in whose space that vector lies, "" without one.
    features_vector : dense side features, (D,), such as the vector of its text or image, made as those that the model
        was trained with; None: there are none.
    """

    item_id: str
    title: str
    category: str = ""
    price: float | None = None
    attributes: Mapping[str, list[str]] = field(default_factory=dict)
    vector: list[float] | None = None
    vector_model: str = ""
    features_vector: list[float] | None = None


_decoder = msgspec.json.Decoder(Item)


def to_json(item: Item) -> bytes:
    """Write an item as a JSON object; one without a vector says nothing of vectors."""
    text = msgspec.json.encode(item)
    for ending in (NO_FEATURES_VECTOR, NO_VECTOR):
        text = text.removesuffix(ending) + b"}" if text.endswith(ending) else text
    return text


def from_json(text: bytes | str) -> Item:
    """Read the item in a JSON object; see `Item`. Item_id and title must be there.

    Raises
    ------
    ValueError
        Says which field is missing or of a wrong kind.
    """
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(f"this is no item: {error}") from error


def from_line(text: bytes | str) -> Item:
    """Read an item that people wrote, and refuse fields that no item has.

    Such a field may be one that is misspelt.
    """
    item = from_json(text)
    known = [one.name for one in fields(Item)]
    for name in msgspec.json.decode(text):
        if name not in known:
            raise ValueError(f"this is no item: {name[:50]!r} is not known; right is any of {', '.join(known)}")
    return item


def checked(item: Item) -> Item:
    """Return the item as stores give it back.

    Raises
    ------
    ValueError
        Unless it can be kept: names the field, its value and what would be right.
    """
    check_id(item.item_id)
    if not item.title:
        raise ValueError(f"the title of item {item.item_id!r} is {item.title!r}; right is what people are to read")
    if isinstance(item.price, float) and not math.isfinite(item.price):
        raise ValueError(f"the price of item {item.item_id!r} is {item.price}; right is a finite number, or none")
    try:
        text = to_json(item)
        kept = from_json(text)
    except UnicodeEncodeError as error:
        raise ValueError(f"the text of item {item.item_id!r} cannot be written as UTF-8: {error.reason}") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"item {item.item_id!r} cannot be kept: {error}") from error
    size = len(to_json(replace(kept, vector=None, vector_model="", features_vector=None)))
    if size > MOST_BYTES:
        raise ValueError(f"item {item.item_id!r} has {size:,} bytes as JSON; right is at most {MOST_BYTES:,}")
    _check_vector(kept)
    if kept.features_vector is not None:
        _check_numbers(kept, "features_vector", kept.features_vector)
    for name in kept.attributes:
        if not name or name in FIELDS:
            raise ValueError(
                f"item {item.item_id!r} has an attribute {name!r}; right is any other name than {', '.join(FIELDS)}"
            )
    return kept


def _check_vector(item: Item) -> None:
    """Raise ValueError unless an item's own vector is one, of whatever model."""
    if item.vector is None:
        if item.vector_model:
            raise ValueError(f"item {item.item_id!r} has a vector_model and no vector; right is both or none")
        return
    _check_numbers(item, "vector", item.vector)


def _check_numbers(item: Item, name: str, numbers: list[float]) -> None:
    """Raise ValueError unless numbers of an item are a vector of whatever model."""
    if not 0 < len(numbers) <= MOST_NUMBERS:
        raise ValueError(
            f"the {name} of item {item.item_id!r} has {len(numbers):,} numbers; right is as many as the model's"
        )
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"the {name} of item {item.item_id!r} holds NaN or infinite numbers; right are finite ones")


def check_id(item_id: str) -> None:
    """Raise ValueError unless items can be called so."""
    if not isinstance(item_id, str):
        raise ValueError(f"the item_id is {item_id!r}; right is a text")
    size = len(item_id.encode(errors="replace"))
    if not 0 < size <= LONGEST_ID:
        raise ValueError(f"the item_id {item_id[:50]!r} has {size} bytes; right is 1 to {LONGEST_ID} bytes of UTF-8")


def first_values(values: Sequence[str]) -> str:
    """Write the first few of the values of an attribute, for an error."""
    return ", ".join(values[:SHOWN]) + (f" and {len(values) - SHOWN:,} others" if len(values) > SHOWN else "")
