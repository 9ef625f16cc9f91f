"""The mapping of a log: which column is which, and how the file is to be read; from options or a TOML file."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

__all__ = ["AS_IT_IS", "FIELDS", "NO_QUOTE", "Mapping", "load_mapping"]

FIELDS = ("user", "item", "time", "type", "value", "title", "category", "price")

NO_QUOTE = ("", "none")
LONGEST_DELIMITER = 4

_COLUMN = "column, nested name (properties.product_id) or list (items[].item_id)"


class Mapping(BaseModel):
    """What is said of a log; unset is what the names of its columns tell.

    A column is a name, a nested name such as `properties.product_id`, or a list such as `items[].item_id`, of which
    each element is an event. Several names with commas between them: of `time` they are joined (date,time); of the
    others the first that a row knows counts (userId,anonymousId).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    format: str = Field(default="auto", description="format of the log; auto: told by file names and columns")
    user: str | None = Field(default=None, description=f"{_COLUMN} of the user's id")
    item: str | None = Field(default=None, description=f"{_COLUMN} of the item's id")
    time: str | None = Field(default=None, description=f"{_COLUMN} of the time; date,time are joined")
    type: str | None = Field(default=None, description=f"{_COLUMN} of the event type")
    value: str | None = Field(default=None, description=f"{_COLUMN} of a rating, which --min-value looks at")
    title: str | None = Field(default=None, description=f"{_COLUMN} of the item's title")
    category: str | None = Field(default=None, description=f"{_COLUMN} of the item's category")
    price: str | None = Field(default=None, description=f"{_COLUMN} of the item's price")
    time_format: str | None = Field(
        default=None,
        description="strptime format of the times (%d.%m.%Y %H:%M), or seconds, milliseconds, microseconds, "
        "nanoseconds, days or excel",
    )
    columns: tuple[str, ...] = Field(
        default=(), description="names of the columns of a file without a header, with commas"
    )
    delimiter: Annotated[str, StringConstraints(strip_whitespace=False)] | None = Field(
        default=None, description=r"what separates cells: one to four characters, or \t"
    )
    quote: str | None = Field(
        default=None, description="character that quotes cells; none: quotes are plain characters"
    )
    encoding: str | None = Field(default=None, description="encoding of text files, such as latin-1 or utf-16")
    skip_lines: int = Field(default=0, ge=0, description="lines before the header")
    where: str | None = Field(
        default=None, description="SQL condition on the columns; other rows are left out and counted"
    )
    items: Path | None = Field(
        default=None, description="catalogue beside the events: item, title, category, price, feature_*"
    )
    users: Path | None = Field(
        default=None, description="profiles beside the events: user, and a column for each field"
    )
    item_vectors: Path | None = Field(
        default=None,
        description="a vector an item (of its text or image) beside the events: item and a list of numbers, or an "
        ".npz with item_ids and vectors",
    )
    untimed: bool = Field(default=False, description="the log has an order (--time, or that of its rows) and no times")
    min_value: float | None = Field(default=None, allow_inf_nan=False, description="least rating that is a behaviour")
    max_events_per_user: int | None = Field(default=None, ge=1, description="most events of a user, the latest")
    event_id: str | None = Field(
        default=None, description="name of a record's own id in a topic, by which it counts once; not used of logs"
    )

    @field_validator("columns", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        """Accept the names as one text with commas between them."""
        return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value

    @field_validator("delimiter")
    @classmethod
    def _unescape(cls, value: str | None) -> str | None:
        r"""Read \t as a tab, and \x01 as the character of that number, which few shells can type."""
        if value is None:
            return None
        value = re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), value.replace("\\t", "\t"))
        if not 1 <= len(value) <= LONGEST_DELIMITER:
            raise ValueError(rf"right are one to {LONGEST_DELIMITER} characters, or \t")
        return value

    @field_validator("quote")
    @classmethod
    def _check_quote(cls, value: str | None) -> str | None:
        if value is not None and len(value) != 1 and value.lower() not in NO_QUOTE:
            raise ValueError('right is one character, such as ", or none')
        return value

    def updated(self, **given: Any) -> "Mapping":
        """Return the mapping with other values where they are given (not None).

        Raises
        ------
        ValueError
            If a value is not right; names the option.
        """
        known = {name: getattr(self, name) for name in self.model_fields_set}
        return _checked(known | {name: value for name, value in given.items() if value is not None}, "")

    @property
    def given(self) -> dict[str, Any]:
        """Return what is said, without what is unset."""
        return self.model_dump(mode="json", exclude_unset=True)


AS_IT_IS = Mapping()  # nothing is said of the log


def load_mapping(file: Path | None, **options: Any) -> Mapping:
    """Read a mapping from a TOML file and options; an option comes before the file.

    Paths in the file are relative to it.

    Raises
    ------
    ValueError
        If the file cannot be read, is no TOML, or a value is not right; names the file and the key.
    """
    return (AS_IT_IS if file is None else _from_toml(file)).updated(**options)


def _from_toml(file: Path) -> Mapping:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"the mapping {file} is not in UTF-8") from error
    except OSError as error:
        raise ValueError(f"the mapping {file} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"the mapping {file} is no TOML: {error}") from error
    content = {name.replace("-", "_"): value for name, value in content.items()}
    for name in ("items", "users", "item_vectors"):
        if isinstance(content.get(name), str):
            content[name] = file.parent / content[name]
    return _checked(content, f"{file}: ")


def _checked(content: dict[str, Any], source: str) -> Mapping:
    """Make a mapping of these values, or raise one sentence that names the first wrong one."""
    try:
        return Mapping(**content)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = str(wrong["loc"][0])
        if wrong["type"] == "extra_forbidden":
            why = f"there is no such key; right are {', '.join(Mapping.model_fields)}"
            raise ValueError(f"{source}{name}: {why}") from None
        shown = f"--{name.replace('_', '-')}" if not source else name
        why = wrong["msg"].removeprefix("Value error, ")
        raise ValueError(f"{source}{shown} is {wrong['input']!r}: {why}") from None
