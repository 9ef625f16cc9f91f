"""Items and users of a log: what its rows say of them, and the tables beside it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from duckdb import DuckDBPyConnection

from mindstream.mapping import Mapping
from mindstream.parsing.ids import clean_id, clean_text
from model_export.data.interactions import ITEM_COLUMNS, RESERVED, SEPARATOR
from model_export.readers.cleaning import points_are_thousands, prices_have_commas, read_price
from model_export.readers.columns import Column, Unnesting, find, text_of
from model_export.readers.fields import OF_ITEM, Fields, listed
from model_export.readers.names import ACCEPTED, FEATURE_PREFIX, PROFILE_PREFIX, letters
from model_export.readers.rows.placing import KEPT
from model_export.readers.sql import quoted
from model_export.readers.tables.open_table import OpenTable
from model_export.readers.tables.query import arrow_table

__all__ = ["Beside", "catalogue_select", "items_of", "key_column", "profiles_of", "users_select"]

MOST_PROFILE_VALUES = 1_000  # of a field; names and addresses tell nothing of others
NUMBERS = ("float", "double", "decimal", "integer", "bigint")
LEAST_FOUND = 0.5  # of the log's ids; fewer are a mistake, mostly


@dataclass(frozen=True)
class Beside:
    """A table beside the log.

    Attributes
    ----------
    select : SELECT of its columns under their fields.
    name : "catalogue" or "profiles"; "" for one of a publisher's, of which nothing is said.
    columns : says which of its columns are used.
    """

    select: str
    name: str = ""
    columns: str = ""


def items_of(
    connection: DuckDBPyConnection, fields: Fields, ids: pd.Index, beside: Beside | None, notes: list[str]
) -> pd.DataFrame:
    """Return what is known of items: item_id, title, category, price and side features.

    What the tables beside the log say comes before what its rows say; of those the last that is known counts.

    Parameters
    ----------
    ids : the items of the log.
    beside : the table of items beside the log, or None.
    notes : sentences on what was noticed; added to in place.
    """
    names: list[str] = [name for name in OF_ITEM if name in fields.columns]
    names += [FEATURE_PREFIX + name for name in fields.features]
    own = _last_known(connection, "item_id", names)
    if beside is not None:
        own = _merged(_beside(connection, beside, "item_id", ids, notes), own, "item_id")
    own = own.rename(columns=lambda name: name.removeprefix(FEATURE_PREFIX))
    if "price" in own:
        own["price"] = _prices(own.price, _is_number(connection, fields, beside), notes)
    return own[[name for name in own if name not in RESERVED or name in ITEM_COLUMNS]]


def profiles_of(
    connection: DuckDBPyConnection, fields: Fields, ids: pd.Index, beside: Beside | None, notes: list[str]
) -> pd.DataFrame:
    """Return what is known of users: user_id and the profile's fields; see `items_of`."""
    own = _last_known(connection, "user_id", [PROFILE_PREFIX + name for name in fields.profile])
    if beside is not None:
        table = _beside(connection, beside, "user_id", ids, notes)
        counts = table.drop(columns="user_id").nunique()
        many = [str(name) for name in counts.index[counts > MOST_PROFILE_VALUES]]
        notes += [
            f"the users' column {name!r} is left out: of its {counts[name]:,} values most belong to few users"
            for name in many
        ]
        table = table.drop(columns=many)
        table = table.rename(columns=lambda name: name if name == "user_id" else PROFILE_PREFIX + name)
        own = _merged(table, own, "user_id")
    return own.rename(columns=lambda name: name.removeprefix(PROFILE_PREFIX))


def _last_known(connection: DuckDBPyConnection, key: str, names: Sequence[str]) -> pd.DataFrame:
    """Return the last known value of each column for each key among the kept rows, as text."""
    found = pd.DataFrame({key: pd.Series(dtype="str")})
    for name in names:
        column = quoted(name)
        # Of equal times the later row counts: both together are one number.
        values = arrow_table(
            connection,
            f"SELECT {key}, {column}, max(event_time_ms) AS at, "
            "max_by(file_row_number, event_time_ms::HUGEINT * 1000000000000 + file_row_number) AS row "
            f"FROM {KEPT} WHERE {column} IS NOT NULL GROUP BY {key}, {column}",
        ).to_pandas()
        table = _cleaned(values, key, [name]).dropna()
        last = table.sort_values(["at", "row"], kind="stable").drop_duplicates(key, keep="last")
        found = found.merge(last[[key, name]], on=key, how="outer")
    return found


def _cleaned(table: pd.DataFrame, key: str, names: Sequence[str]) -> pd.DataFrame:
    """Return a table with its key and these columns cleaned, as text.

    Missing where nothing is left.
    """
    cleaned = {key: table[key].map(clean_id, na_action="ignore").astype("str")}
    cleaned |= {name: table[name].map(clean_text, na_action="ignore").astype("str") for name in names}
    return table.assign(**cleaned)


def _beside(connection: DuckDBPyConnection, beside: Beside, key: str, ids: pd.Index, notes: list[str]) -> pd.DataFrame:
    """Return a table beside the log, with its key cleaned as in the rows.

    Other columns are text; of several rows of a key the last counts.
    """
    view = connection.sql(beside.select)
    cells = ", ".join(
        f"{text_of(f'beside.{quoted(name)}', kind)} AS {quoted(name)}"
        for name, kind in zip(view.columns, view.types, strict=True)
    )
    table = arrow_table(connection, f"SELECT {cells} FROM ({beside.select}) beside").to_pandas()
    table = _cleaned(table, key, [str(name) for name in table if name != key])
    if beside.name:
        notes.append(_found(beside, key.removesuffix("_id"), ids, table[key].dropna()))
    unnamed = int(table[key].isna().sum())
    if unnamed:
        notes.append(f"{unnamed:,} rows beside the log have no {key}")
    return table[table[key].notna()].drop_duplicates(key, keep="last")


def _found(beside: Beside, noun: str, ids: pd.Index, known: pd.Series) -> str:
    """Say how many of the log's ids a table knows, with an example of both if few."""
    found = int(ids.isin(known).sum())
    said = f"{beside.name}: {found:,} of {len(ids):,} {noun}s found"
    missing = ids[~ids.isin(known)]
    if found < LEAST_FOUND * len(ids):
        there = f", there {known.iloc[0]!r}" if len(known) else ""
        said += f", {'none at all' if not found else 'under half'} (an id of the log is {missing[0]!r}{there})"
    return f"{said}; {beside.columns}"


def _merged(first: pd.DataFrame, second: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return the rows of both tables; where both know a value, the first's."""
    return first.set_index(key).combine_first(second.set_index(key)).reset_index()


def _prices(cells: pd.Series, typed: bool, notes: list[str]) -> pd.Series:
    """Read prices as people write them: float, NaN where unknown, as those below 0 are.

    Parameters
    ----------
    typed : whether they were numbers in the file, whose points are decimal.
    """
    words = [str(word) for word in cells.dropna().unique()]
    commas = prices_have_commas(words)  # one price with a decimal comma tells how the others are meant
    if not typed and not commas and points_are_thousands(words):
        commas = True
        example = next(word for word in words if "." in word)
        notes.append(
            f"every price with a point has three digits behind it, so {example!r} is read as "
            f"{read_price(example, commas):,.0f}"
        )
    prices = cells.map({word: read_price(word, commas) for word in words}, na_action="ignore").astype("float64")
    unread = cells[prices.isna() & cells.notna()]
    if len(unread):
        notes.append(
            f"{len(unread):,} of {int(cells.notna().sum()):,} prices cannot be read, for example {unread.iloc[0]!r}"
        )
    if len(negative := cells[prices < 0]):
        notes.append(
            f"{len(negative):,} of {int(cells.notna().sum()):,} prices are below 0, for example {negative.iloc[0]!r}: "
            "they are taken as unknown"
        )
    return prices.where(~(prices < 0))


def _is_number(connection: DuckDBPyConnection, fields: Fields, beside: Beside | None) -> bool:
    """Tell whether prices are numbers in their file, and no text."""
    kinds = [column.type.id for column in fields.columns.get("price", ())]
    if beside is not None:
        view = connection.sql(beside.select)
        kinds += [kind.id for name, kind in zip(view.columns, view.types, strict=True) if name == "price"]
    return any(kind in NUMBERS for kind in kinds)


def catalogue_select(
    connection: DuckDBPyConnection, table: OpenTable, fields: Fields, mapping: Mapping, ids: pd.Index
) -> Beside:
    """Return the catalogue beside the log.

    Columns are those that the mapping names, or that have usual names.

    Parameters
    ----------
    fields : of the log: its column of items is called so in the catalogue too, mostly.
    ids : the items of the log.

    Raises
    ------
    ValueError
        If it has no column of the item's id.
    """
    used = {"item_id": key_column(connection, "item", table, fields, ids)}
    for name in OF_ITEM:
        given = getattr(mapping, name)
        column = (find(given, table.columns) if given else None) or _usual(name, table.columns)
        used |= {name: column} if column else {}
    features = {column.path: column for column in table.columns if column.path.lower().startswith(FEATURE_PREFIX)}
    source = Unnesting(table.name)
    parts = [f"{source.sql(column)} AS {name}" for name, column in used.items()]
    called = {name: FEATURE_PREFIX + name[len(FEATURE_PREFIX) :] for name in features}
    parts += [f"{_joined(source.sql(column), column)} AS {quoted(called[name])}" for name, column in features.items()]
    unused = [one.path for one in table.columns if one not in used.values() and one.path not in features]
    taken = ", ".join(f"{name.removesuffix('_id')} from {column.path}" for name, column in used.items())
    said = taken + (f"; not used: {', '.join(unused[:12])}" if unused else "")
    return Beside(f"SELECT {', '.join(parts)} FROM {source.clause}", "catalogue", said)


def _joined(value: str, column: Column) -> str:
    """Return a side feature's values in one cell."""
    return f"array_to_string({value}, '{SEPARATOR}')" if column.is_list else value


def users_select(connection: DuckDBPyConnection, table: OpenTable, fields: Fields, ids: pd.Index) -> Beside:
    """Return the profiles beside the log: the user's id, and every other column.

    Parameters
    ----------
    ids : the users of the log.

    Raises
    ------
    ValueError
        If it has no column of the user's id.
    """
    user = key_column(connection, "user", table, fields, ids)
    source = Unnesting(table.name)
    others = [column for column in table.columns if len(column.steps) == 1 and column != user]
    named = {column: column.path.removeprefix(PROFILE_PREFIX) for column in others}
    parts = [f"{source.sql(user)} AS user_id"]
    parts += [f"{source.sql(column)} AS {quoted(name)}" for column, name in named.items()]
    said = ", ".join([f"user from {user.path}", *(f"{PROFILE_PREFIX}{name}" for name in named.values())])
    return Beside(f"SELECT {', '.join(parts)} FROM {source.clause}", "profiles", said)


def key_column(connection: DuckDBPyConnection, name: str, table: OpenTable, fields: Fields, ids: pd.Index) -> Column:
    """Return the column of ids.

    It is the one that is called as in the log, or one of a usual name, or `id`, or else the one with most of the log's
    ids.

    Parameters
    ----------
    name : "item" or "user".
    fields : of the log.
    ids : the items or users of the log.

    Raises
    ------
    ValueError
        If there is none.
    """
    called = {letters(column.words[-1]) for column in fields.columns[name]}
    same = next((column for column in table.columns if letters(column.path) in called), None)
    found = same or _usual(name, table.columns) or find("id", table.columns)
    found = found or _with_ids(connection, table, ids)
    if found is None:
        own = ", ".join(column.path for column in fields.columns[name])
        raise ValueError(
            f"{table.source} has no column that is known to hold the {name}: found {listed(table.columns)}; right is "
            f"{own} as in the log, id, or a usual name ({', '.join(ACCEPTED[name][:8])}, ...); and no column holds "
            f"half of the log's {name}s, such as {ids[0]!r}"
        )
    return found


def _with_ids(connection: DuckDBPyConnection, table: OpenTable, ids: pd.Index) -> Column | None:
    """Return the column that holds most of the log's ids, if it holds half of them."""
    counts = {one: int(ids.isin(_values(connection, table, one)).sum()) for one in table.columns if not one.is_list}
    best = max(counts, key=lambda column: counts[column], default=None)
    return best if best is not None and counts[best] >= LEAST_FOUND * len(ids) > 0 else None


def _values(connection: DuckDBPyConnection, table: OpenTable, column: Column) -> Iterable[str]:
    """Return the different values of a column, cleaned as ids."""
    source = Unnesting(table.name)
    value = text_of(source.sql(column), column.type)
    words = arrow_table(connection, f"SELECT DISTINCT {value} AS word FROM {source.clause}")["word"].to_pylist()
    return {word for word in map(clean_id, words) if word is not None}


def _usual(name: str, columns: Sequence[Column]) -> Column | None:
    ranks = {letters(accepted): rank for rank, accepted in reversed(list(enumerate(ACCEPTED[name])))}
    known = [column for column in columns if letters(column.path) in ranks]
    return min(known, key=lambda column: ranks[letters(column.path)], default=None)
