"""Items and users of a log: what its rows say of them, and the tables beside it."""

from collections.abc import Sequence

import pandas as pd
from duckdb import DuckDBPyConnection

from model_export.data.interactions import ITEM_COLUMNS, RESERVED, SEPARATOR
from model_export.readers.cleaning import clean_id, clean_text
from model_export.readers.columns import Column, Unnesting, quoted, text_of
from model_export.readers.fields import Fields
from model_export.readers.names import ACCEPTED, FEATURE_PREFIX, PROFILE_PREFIX, letters
from model_export.readers.tables.delimited import literal
from model_export.readers.tables.open_table import OpenTable
from model_export.readers.tables.query import arrow_table, one_row

__all__ = ["KEPT", "catalogue_select", "count_titles", "items_of", "profiles_of", "users_select"]

KEPT = "rows_kept"  # the view of the rows that are kept: user_id, item_id, event_time_ms, title, category, price, ...
MOST_PROFILE_VALUES = 1_000  # of a field; names and addresses tell nothing of others


def items_of(connection: DuckDBPyConnection, fields: Fields, beside: str | None, notes: list[str]) -> pd.DataFrame:
    """Return what is known of items: item_id, title, category, price and side features.

    What the tables beside the log say comes before what its rows say; of those the last that is known counts.

    Parameters
    ----------
    beside : SELECT of the tables beside the log, or None.
    notes : sentences on what was noticed; added to in place.
    """
    names: list[str] = [name for name in ("title", "category", "price") if name in fields.columns]
    names += [FEATURE_PREFIX + name for name in fields.features]
    own = _last_known(connection, "item_id", names)
    if beside is not None:
        own = _merged(_beside(connection, beside, "item_id", notes), own, "item_id")
    own = own.rename(columns=lambda name: name.removeprefix(FEATURE_PREFIX))
    if "price" in own:
        own["price"] = _prices(connection, own.price, notes)
    return own[[name for name in own if name not in RESERVED or name in ITEM_COLUMNS]]


def profiles_of(connection: DuckDBPyConnection, fields: Fields, beside: str | None, notes: list[str]) -> pd.DataFrame:
    """Return what is known of users: user_id and the profile's fields; see `items_of`."""
    own = _last_known(connection, "user_id", [PROFILE_PREFIX + name for name in fields.profile])
    if beside is not None:
        table = _beside(connection, beside, "user_id", notes)
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
    """Return a table with its key and these columns cleaned, as text; missing where nothing is left."""
    cleaned = {key: table[key].map(clean_id, na_action="ignore").astype("str")}
    cleaned |= {name: table[name].map(clean_text, na_action="ignore").astype("str") for name in names}
    return table.assign(**cleaned)


def _beside(connection: DuckDBPyConnection, select: str, key: str, notes: list[str]) -> pd.DataFrame:
    """Return a table beside the log: the key cleaned as in the rows, other columns as text; its last row counts."""
    view = connection.sql(select)
    cells = ", ".join(
        f"{text_of(f'beside.{quoted(name)}', kind)} AS {quoted(name)}"
        for name, kind in zip(view.columns, view.types, strict=True)
    )
    table = arrow_table(connection, f"SELECT {cells} FROM ({select}) beside").to_pandas()
    table = _cleaned(table, key, [str(name) for name in table if name != key])
    unnamed = int(table[key].isna().sum())
    if unnamed:
        notes.append(f"{unnamed:,} rows beside the log have no {key}")
    return table[table[key].notna()].drop_duplicates(key, keep="last")


def _merged(first: pd.DataFrame, second: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return the rows of both tables; where both know a value, the first's."""
    return first.set_index(key).combine_first(second.set_index(key)).reset_index()


def _prices(connection: DuckDBPyConnection, cells: pd.Series, notes: list[str]) -> pd.Series:
    """Read prices as people write them: float, NaN where unknown."""
    table = pd.DataFrame({"cell": cells.astype("str"), "place": range(len(cells))})
    connection.register("prices", table)
    # One price with a decimal comma tells how the others are meant.
    has_comma = r"regexp_full_match(bare_price(cell), '-?\d+,\d{1,2}|-?\d{1,3}(\.\d{3})+,\d+')"
    [comma] = one_row(connection, f"SELECT coalesce(bool_or({has_comma}), false) FROM prices")
    read = arrow_table(
        connection,
        f"SELECT cell, price_of(cell, {literal(comma)} AND contains(bare_price(cell), ',')) AS price "
        "FROM prices ORDER BY place",
    )
    connection.unregister("prices")
    prices = read["price"].to_pandas().astype("float64")
    unread = prices.isna().to_numpy() & table.cell.notna().to_numpy()
    if unread.any():
        notes.append(
            f"{unread.sum():,} of {int(table.cell.notna().sum()):,} prices cannot be read, "
            f"for example {table.cell[unread].iloc[0]!r}"
        )
    return pd.Series(prices.to_numpy(), index=cells.index)


def catalogue_select(table: OpenTable, notes: list[str]) -> str:
    """Return the SELECT of a catalogue beside the log, by the usual names of its columns.

    Raises
    ------
    ValueError
        If it has no column of the item's id.
    """
    found = {name: _usual(name, table.columns) for name in ("item", "title", "category", "price")}
    features = {column.path: column for column in table.columns if column.path.lower().startswith(FEATURE_PREFIX)}
    if found["item"] is None:
        raise ValueError(_no_key("item", table))
    source = Unnesting(table.name)
    used = {name: column for name, column in found.items() if column is not None}
    parts = [f"{source.sql(column)} AS {'item_id' if name == 'item' else name}" for name, column in used.items()]
    parts += [f"{_joined(source.sql(column), column)} AS {quoted(name)}" for name, column in features.items()]
    unused = [one.path for one in table.columns if one not in used.values() and one.path not in features]
    listed = ", ".join(f"{name} from {column.path}" for name, column in used.items())
    notes.append(f"catalogue: {listed}" + (f"; not used: {', '.join(unused[:12])}" if unused else ""))
    return f"SELECT {', '.join(parts)} FROM {source.clause}"


def _joined(value: str, column: Column) -> str:
    """Return a side feature's values in one cell."""
    return f"array_to_string({value}, '{SEPARATOR}')" if column.is_list else value


def users_select(table: OpenTable) -> str:
    """Return the SELECT of profiles beside the log: the user's id by its usual names, and every other column.

    Raises
    ------
    ValueError
        If it has no column of the user's id.
    """
    user = _usual("user", table.columns)
    if user is None:
        raise ValueError(_no_key("user", table))
    source = Unnesting(table.name)
    others = [column for column in table.columns if len(column.steps) == 1 and column != user]
    named = {column: column.path.removeprefix(PROFILE_PREFIX) for column in others}
    parts = [f"{source.sql(user)} AS user_id"]
    parts += [f"{source.sql(column)} AS {quoted(name)}" for column, name in named.items()]
    return f"SELECT {', '.join(parts)} FROM {source.clause}"


def _usual(name: str, columns: Sequence[Column]) -> Column | None:
    ranks = {letters(accepted): rank for rank, accepted in reversed(list(enumerate(ACCEPTED[name])))}
    known = [column for column in columns if letters(column.path) in ranks]
    return min(known, key=lambda column: ranks[letters(column.path)], default=None)


def _no_key(name: str, table: OpenTable) -> str:
    return (
        f"{table.files[0]} has no column that is known to hold the {name}: found {', '.join(table.names)} "
        f"(usual names are {', '.join(ACCEPTED[name][:8])}, ...)"
    )


def count_titles(connection: DuckDBPyConnection) -> tuple[int, int, int]:
    """Return the numbers of items with a title, of those with several, and of different titles."""
    items, changing, titles = one_row(
        connection,
        f"SELECT count(*), count(*) FILTER (several > 1), (SELECT count(DISTINCT title) FROM {KEPT}) "
        f"FROM (SELECT item_id, count(DISTINCT title) AS several FROM {KEPT} WHERE title IS NOT NULL GROUP BY item_id)",
    )
    return items, changing, titles
