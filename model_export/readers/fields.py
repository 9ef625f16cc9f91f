"""The columns of a log that hold the fields of a behaviour: as the mapping says, or by their usual names."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from mindstream.mapping import FIELDS, Mapping
from model_export.data.interactions import RESERVED
from model_export.readers.columns import LISTS, Column, find
from model_export.readers.names import ACCEPTED, FEATURE_PREFIX, PROFILE_PREFIX, letters

__all__ = ["OF_ITEM", "Fields", "fields_of", "listed"]

NEEDED = ("user", "item")
OF_ITEM = ("title", "category", "price")  # of the item, so they stand where it stands
DATES = ("date", "day", "eventdate", "orderdate", "transactiondate", "visitdate")
LONGEST_NAME = 60  # characters, in messages: what is no header may be long
CLOCKS = ("time", "hour", "clock", "timeofday", "eventtimeofday")
CALENDAR = ("year", "month", "day", "hour", "minute", "second")


@dataclass(frozen=True)
class Fields:
    """Where each field of a behaviour is.

    Attributes
    ----------
    columns : field -> columns; of `time` they belong together, of the others the first that a row knows counts.
    profile : name of a profile field -> column.
    features : name of a side feature -> column.
    unused_value : the column of a rating that nobody asked for.
    guessed_title : whether the title was found by its name alone.
    """

    columns: dict[str, tuple[Column, ...]]
    profile: dict[str, Column] = field(default_factory=dict)
    features: dict[str, Column] = field(default_factory=dict)
    unused_value: Column | None = None
    guessed_title: bool = False

    def without(self, name: str) -> "Fields":
        """Return the fields without one of them."""
        return replace(self, columns={field: columns for field, columns in self.columns.items() if field != name})

    def described(self) -> dict[str, str]:
        """Return field -> how people write its columns."""
        found = {name: ",".join(column.path for column in columns) for name, columns in self.columns.items()}
        found |= {PROFILE_PREFIX + name: column.path for name, column in self.profile.items()}
        return found | {FEATURE_PREFIX + name: column.path for name, column in self.features.items()}


def fields_of(
    mapping: Mapping, columns: Sequence[Column], source: str, beside: Sequence[Column] = (), hint: str = ""
) -> Fields:
    """Find the fields of behaviours among the columns of a log.

    Parameters
    ----------
    source : the log's path, for messages.
    beside : columns of the catalogue beside it, where title, category and price may stand as well.
    hint : said where a column is not there.

    Raises
    ------
    ValueError
        If a column that is named, or one that is needed, is not there.
    """
    found: dict[str, tuple[Column, ...]] = {}
    for name in ("item", *(name for name in FIELDS if name != "item")):
        given = getattr(mapping, name)
        if given and name in OF_ITEM and find(given, columns) is None and find(given, beside) is not None:
            continue
        chosen = _named(name, given, columns, source) if given else _usual(name, columns, found)
        if chosen:
            found[name] = _with_one_value(name, chosen, bool(given), source)
    found = {name: chosen for name, chosen in found.items() if chosen}
    for name in (*NEEDED, *(() if mapping.untimed else ("time",))):
        if name not in found:
            raise ValueError(_missing(name, columns, source) + hint)
    if mapping.untimed and not mapping.time:
        found.pop("time", None)  # what is called a time has not been said to be an order
    unused = None
    if mapping.min_value is None:
        unused = next(iter(found.pop("value", ())), None)
    elif "value" not in found:
        raise ValueError(f"{source} has no column of ratings for --min-value; --value names one of {listed(columns)}")
    return Fields(
        {name: found[name] for name in FIELDS if name in found},
        _prefixed(PROFILE_PREFIX, columns),
        _checked_features(_prefixed(FEATURE_PREFIX, columns), source),
        unused,
        guessed_title=not mapping.title and "title" in found,
    )


def _named(name: str, given: str, columns: Sequence[Column], source: str) -> tuple[Column, ...]:
    """Return the columns that a mapping names, one or several with commas between them."""
    if whole := find(given, columns):
        if _holds_objects(whole):
            _check_objects(name, given, columns, source)
        return (_unnested(whole) if name == "item" else whole,)
    found = []
    for path in (part.strip() for part in given.split(",")):
        if (column := find(path, columns)) is None:
            _check_objects(name, path, columns, source)
            raise ValueError(f"{source} has no column {path!r} (--{name}); found {listed(columns)}")
        found.append(_unnested(column) if name == "item" else column)
    return tuple(found)


def _holds_objects(column: Column) -> bool:
    """Tell whether the elements of a list are objects."""
    return column.is_list and column.type.children[0][1].id == "struct"


def _check_objects(name: str, path: str, columns: Sequence[Column], source: str) -> None:
    """Refuse a path that holds objects, with the paths of their values.

    Raises
    ------
    ValueError
        If there are columns within it.
    """
    outer = tuple(path.replace("[]", "").split("."))
    within = [one for one in columns if one.words[: len(outer)] == outer and len(one.words) > len(outer)]
    if within:
        best = next(
            (one for one in within if letters(one.words[-1]) in ("id", *map(letters, ACCEPTED[name]))), within[0]
        )
        raise ValueError(
            f"{source}: the column {path!r} holds objects, and a {name} is one of their values, such as "
            f"--{name} {best.path}; found {listed(within)}"
        )


def _with_one_value(name: str, columns: tuple[Column, ...], given: bool, source: str) -> tuple[Column, ...]:
    """Return a field's columns, checked that they hold one value a row.

    Of a behaviour's fields only the item may be in a list, of an item's the category.

    Raises
    ------
    ValueError
        If one that was named, or that is needed, is a list.
    """
    wrong = next((column for column in columns if column.is_list), None)
    if wrong is None or name in ("item", "category"):
        return columns
    if not given and name not in (*NEEDED, "time"):
        return ()
    raise ValueError(
        f"{source}: the column {wrong.path!r} is a list, and an event has one {name}: --{name} names a column with one "
        "value, or a field of the list that the items stand in, such as items[].time"
    )


def _unnested(column: Column) -> Column:
    """Return the elements of a list of items, each of which is a behaviour."""
    if column.type.id not in LISTS:
        return column
    return Column((*column.steps[:-1], column.steps[-1] + "[]"), column.type.children[0][1])


def _usual(name: str, columns: Sequence[Column], found: dict[str, tuple[Column, ...]]) -> tuple[Column, ...]:
    """Return the columns of a field by their usual names; () if none has one."""
    if name == "time" and (together := _time_in_parts(columns)):
        return together
    ranks = {letters(accepted): rank for rank, accepted in reversed(list(enumerate(ACCEPTED[name])))}
    taken = {column.steps for chosen in found.values() for column in chosen}
    candidates = [
        (rank, column)
        for column in columns
        if column.steps not in taken
        and not (name == "item" and _holds_objects(column))
        and (rank := _rank(column, ranks)) is not None
    ]
    if not candidates:
        return ()
    _, best = min(candidates, key=_preference(name, found.get("item", ())))
    return (_unnested(best) if name == "item" else best,)


def _rank(column: Column, ranks: dict[str, int]) -> int | None:
    """Return the place of a column's name among the usual ones, also of `user.id` as userid."""
    *before, own = column.words
    if letters(own) in ranks or not before:
        return ranks.get(letters(own))
    return ranks.get(letters(before[-1] + own))


def _preference(name: str, item: Iterable[Column]) -> Callable[[tuple[int, Column]], tuple[int, ...]]:
    """Return the sort key of candidates, the best first.

    An item is told by its name, wherever it stands; other fields by their name among those of the same depth; what
    is known of the item stands beside it.
    """
    near = {column.words[:-1] for column in item}

    def key(candidate: tuple[int, Column]) -> tuple[int, ...]:
        rank, column = candidate
        depth = len(column.words)
        if name == "item":
            return rank, depth
        return int(name in OF_ITEM and column.words[:-1] not in near), depth, rank

    return key


def _time_in_parts(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return date and time of the day, or year, month and day, in columns of their own."""
    own = {letters(column.steps[0]): column for column in reversed(columns) if len(column.steps) == 1}
    whole = {letters(name) for name in ACCEPTED["time"]} - {*DATES, *CLOCKS}
    if whole & own.keys():
        return ()
    if {"year", "month", "day"} <= own.keys():
        return tuple(own[name] for name in CALENDAR if name in own)
    date = next((own[name] for name in DATES if name in own), None)
    clock = next((own[name] for name in CLOCKS if name in own), None)
    return (date, clock) if date and clock else ()


def _prefixed(prefix: str, columns: Sequence[Column]) -> dict[str, Column]:
    return {
        column.steps[0][len(prefix) :]: column
        for column in columns
        if len(column.steps) == 1 and column.path.lower().startswith(prefix)
    }


def _checked_features(features: dict[str, Column], source: str) -> dict[str, Column]:
    for name, column in features.items():
        if name in RESERVED:
            raise ValueError(
                f"{source} has a column {column.path!r}; a side feature cannot be called {', '.join(RESERVED)}"
            )
    return features


def _missing(name: str, columns: Sequence[Column], source: str) -> str:
    way = f"--{name} names it" + (", or --untimed says that there is only an order" if name == "time" else "")
    return (
        f"{source} has no column that is known to hold the {name}: found {listed(columns)}; {way} "
        f"(usual names are {', '.join(ACCEPTED[name][:8])}, ...)"
    )


def listed(columns: Sequence[Column]) -> str:
    """Return the columns for people, at most 40."""
    paths = [
        column.path if len(column.path) <= LONGEST_NAME else f"{column.path[:LONGEST_NAME]}..." for column in columns
    ]
    return ", ".join(paths[:40]) + (f" and {len(paths) - 40} more" if len(paths) > 40 else "")
