"""From a log on disk to interactions: find its layout, stage its rows, read times and ids, code them.

One reading goes this way, see `read`:

    1. recognise  the format, or the mapping's own layout      recognise.py, presets/
    2. open       its tables as views                          opening.py, tables/
    3. find       the columns of the fields                    fields.py
    4. stage      their cells in a Parquet file                opening.py, rows/staging.py
    5. place      the rows in time, by all values together     rows/placing.py, times/
    6. code       the rows that are kept; count the others     rows/coding.py, rows/order.py
    7. collect    what is known of items and users             catalogue.py, item_vectors.py
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd

from model_export.data.interactions import InteractionLog
from model_export.readers import catalogue
from model_export.readers.fields import Fields, fields_of
from model_export.readers.flags import other_users, unused_columns
from model_export.readers.item_vectors import item_vectors
from model_export.readers.layout import Layout
from model_export.readers.opening import Opened, open_beside, open_log, stage_log
from model_export.readers.presets import preset
from model_export.readers.recognise import TABLE
from model_export.readers.rows.coding import CodedRows, coded_rows
from model_export.readers.rows.order import events_in_order, make_log
from model_export.readers.rows.placing import KEPT, PLACED, place_rows
from model_export.readers.rows.staging import STAGED, Workplace, workplace
from model_export.readers.tables.delimited import Loss
from model_export.readers.tables.files import left_aside
from model_export.readers.tables.open_table import OpenTable
from model_export.readers.tables.query import arrow_table, is_full, sentence_of
from model_export.readers.titles import with_event_names_as_type, without_false_title

__all__ = ["read"]

NAMED = "rows_named"  # the view of the staged rows, each column under its field


def read(layout: Layout, source: Path | str) -> InteractionLog:
    """Read a log that lies in this layout.

    Parameters
    ----------
    source : the path as given, for messages.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    OSError
        If the temporary folder is full.
    ValueError
        If a file cannot be read, a column is not there, most times are none, or no interaction remains.
    """
    with workplace() as place:
        try:
            return _read(place, layout, str(source))
        except (OSError, ValueError, duckdb.Error) as error:
            if is_full(error) or is_full(error.__cause__ or error):
                raise OSError(
                    f"{source} cannot be read: there is no space left in {place.folder.parent}, where columns of a log "
                    "are kept while it is read; TMPDIR names another folder"
                ) from error
            if isinstance(error, duckdb.Error):
                raise ValueError(f"{source} cannot be read: {sentence_of(error)}") from error
            raise


def _read(place: Workplace, layout: Layout, source: str) -> InteractionLog:
    notes = [*layout.notes, *_left_aside(layout)]
    opened = open_log(place, layout, notes)
    items = _beside(place, "catalogue", layout.mapping.items, layout, notes)
    users = _beside(place, "profiles", layout.mapping.users, layout, notes)
    fields = fields_of(
        layout.mapping, opened.rows.columns, source, items.columns if items else (), _way(layout, opened)
    )
    rows, lost = stage_log(place, layout, opened, fields, notes)
    guessed = fields.columns.get("type", ())
    fields = with_event_names_as_type(place.connection, STAGED, NAMED, fields, bool(layout.mapping.type), notes)
    if layout.format == TABLE:
        false_type = guessed[0].path if guessed and "type" not in fields.columns else None
        conditions = f"{layout.mapping.where or ''} {layout.mapping.value or ''}"
        notes += unused_columns(place.connection, opened.rows, fields, conditions, false_type)
    try:
        place_rows(place, NAMED, layout.mapping, fields, notes)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    coded = coded_rows(place.connection, PLACED, rows, Path(source).name)
    events, dropped = events_in_order(coded, layout.mapping)
    dropped = _with_losses(dropped, lost)
    if layout.format == TABLE:
        notes += other_users(opened.rows, fields, dropped.get("without a user", 0), rows)
    if not len(events):
        raise ValueError(_nothing_remains(source, rows, dropped))
    fields = without_false_title(place.connection, KEPT, fields, notes)
    known_items, known_users = _known(place, layout, fields, events, (items, users), notes)
    item_ids = events.item_id.cat.remove_unused_categories().cat.categories
    vectors = item_vectors(place, layout.mapping, fields, item_ids, notes)
    notes += [*_format(layout), *_unused_ratings(fields), *_rounded_ids(coded)]
    return replace(
        make_log(events, known_items, known_users, Path(source).name),
        dropped=dropped,
        sides=_sides(place, layout, source),
        timed=not layout.mapping.untimed,
        columns=_columns(layout, opened, fields),
        item_vectors=vectors,
        notes=tuple(notes),
    )


def _known(
    place: Workplace,
    layout: Layout,
    fields: Fields,
    events: pd.DataFrame,
    own: tuple[OpenTable | None, OpenTable | None],
    notes: list[str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what is known of items and users; the mapping's own files come first."""
    connection, (items, users) = place.connection, own
    item_ids, user_ids = (events[name].cat.remove_unused_categories().cat.categories for name in ("item_id", "user_id"))
    of_items = catalogue.Beside(layout.items) if layout.items else None
    of_users = catalogue.Beside(layout.users) if layout.users else None
    if items is not None:
        of_items = catalogue.catalogue_select(connection, items, fields, layout.mapping, item_ids)
    if users is not None:
        of_users = catalogue.users_select(connection, users, fields, user_ids)
    return (
        catalogue.items_of(connection, fields, item_ids, of_items, notes),
        catalogue.profiles_of(connection, fields, user_ids, of_users, notes),
    )


def _beside(place: Workplace, name: str, file: Path | None, layout: Layout, notes: list[str]) -> OpenTable | None:
    """Open the mapping's own file of items or users."""
    given = [column for column in layout.mapping.given.values() if isinstance(column, str)]
    return None if file is None else open_beside(place, name, file, given, notes)


def _left_aside(layout: Layout) -> list[str]:
    """Return the sentence on files of a folder that are not read."""
    names = [name for path in layout.events.paths for name in left_aside(path)]
    return [f"not read in the folder: {', '.join(names[:10])}{', ...' * (len(names) > 10)}"] if names else []


def _way(layout: Layout, opened: Opened) -> str:
    """Return what is said besides where a column is not found in a text file."""
    if opened.events.dialect is None or layout.events.columns:
        return ""
    return "; --columns names all of them where the file has no header, --skip-lines skips lines before it"


def _with_losses(dropped: dict[str, int], lost: Sequence[Loss]) -> dict[str, int]:
    """Return the counts of rows that are left out, with those of lines that were lost."""
    counts = Counter({loss.reason: 0 for loss in lost})
    for loss in lost:
        counts[loss.reason] += loss.lines
    return dict(counts + Counter(dropped))


def _nothing_remains(source: str, rows: int, dropped: dict[str, int]) -> str:
    reasons = "; ".join(f"{count:,} {reason}" for reason, count in dropped.items())
    return f"{source}: no interaction remains of {rows:,} rows" + (f"; left out: {reasons}" if reasons else "")


def _columns(layout: Layout, opened: Opened, fields: Fields) -> dict[str, str]:
    """Return field -> its columns, of a publisher's format only those in its file."""
    found = fields.described()
    if layout.sql is None:
        return found
    own = {column.path for column in opened.events.columns}
    return {name: columns for name, columns in found.items() if own.issuperset(columns.split(","))}


def _format(layout: Layout) -> list[str]:
    """Return the sentence on the publisher's format that a log is read as."""
    if layout.sql is None:
        return []
    return [f"read as {layout.format}, {preset(layout.format).title}: docs/data.md says how"]


def _unused_ratings(fields: Fields) -> list[str]:
    """Return the sentence on a column of ratings that nobody asked for."""
    if fields.unused_value is None:
        return []
    column = fields.unused_value.path
    return [
        f"the column {column!r} is not used: every row counts, whatever its value; "
        f"`--value {column} --min-value 3` leaves out those below 3"
    ]


def _rounded_ids(coded: CodedRows) -> list[str]:
    """Return sentences on ids that a spreadsheet has rounded to 1.23E+11."""
    said = []
    for name, column in (("user", coded.user), ("item", coded.item)):
        ids = pd.Series(column.categories, dtype="str")
        rounded = ids[ids.str.fullmatch(r"\d([.,]\d+)?[eE]\+\d+")]
        if len(rounded):
            said.append(
                f"{len(rounded):,} {name} ids read like {rounded.iloc[0]!r}: a spreadsheet has rounded them, and "
                "several may have become one; export them as text"
            )
    return said


def _sides(place: Workplace, layout: Layout, source: str) -> dict[str, str]:
    """Return user_id -> side, where the publisher divides the users.

    Raises
    ------
    ValueError
        If a user is on several sides.
    """
    if layout.sides is None:
        return {}
    listed = f"SELECT user_id, array_agg(DISTINCT side) AS sides FROM ({layout.sides}) GROUP BY user_id"
    table = arrow_table(place.connection, listed)
    known = dict(zip(table["user_id"].to_pylist(), table["sides"].to_pylist(), strict=True))
    torn = {user: sides for user, sides in known.items() if len(sides) > 1}
    if torn:
        user = min(torn)
        raise ValueError(
            f"{source}: {len(torn):,} of the users are on several sides ({', '.join(sorted(torn[user]))}), "
            f"e.g. {user!r}; each must be on one only"
        )
    return {user: sides[0] for user, sides in known.items()}
