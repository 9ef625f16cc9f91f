"""Several items in one line: MIND's impressions, SASRec's pairs, LightGCN's users with their items."""

import re

from mindstream.mapping import Mapping
from model_export.readers.layout import Found, Layout, Preset, Table
from model_export.readers.presets.peek import first_lines, names_at
from model_export.readers.presets.sql import PLACE

__all__ = ["MIND", "PAIRS", "USER_LINES"]

# Microsoft News

_BEHAVIORS = ("impression_id", "user_id", "time", "history", "impressions")
_NEWS = ("item_id", "category", "subcategory", "title", "abstract", "url", "title_entities", "abstract_entities")
_SHOWN = re.compile(r"N\d+(-[01])?( N\d+(-[01])?)*")
_WHEN = re.compile(r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d:\d\d [AP]M")
_MIND_FILE = "behaviors.tsv"


def _is_mind(found: Found) -> bool:
    """Tell whether the first line is an impression of MIND's."""
    cells = names_at(found, _MIND_FILE) if found.is_folder else found.names
    if len(cells) != len(_BEHAVIORS) or not cells[0].isdigit():
        return False
    return bool(_WHEN.fullmatch(cells[2]) and _SHOWN.fullmatch(cells[4]))


def _layout_mind(found: Found) -> Layout:
    """Return the layout: clicks, and each user's history once before the first of them."""
    plain = {"delimiter": "\t", "quote": "", "encoding": "utf-8"}
    events = found.table(_MIND_FILE, columns=_BEHAVIORS, **plain) if found.is_folder else None
    news = {"news": found.table("news.tsv", columns=_NEWS, **plain)} if "news.tsv" in found.files else {}
    return Layout(
        format="mind",
        events=events or Table((str(found.path),), columns=_BEHAVIORS, delimiter="\t", quote="", encoding="utf-8"),
        mapping=Mapping(user="user_id", item="item_id", time="time_ms", time_format="milliseconds", type="event_type"),
        sql=_MIND_ROWS,
        beside=news,
        items="SELECT item_id, title, category, subcategory AS feature_subcategory FROM news" if news else None,
        left_out={"shown and not clicked": "event_type = 'impression'"},
        notes=(
            "the history that MIND gives with each user has no times: it is read once, as clicks a second apart just "
            "before the user's first impression",
            *(() if news else ("there is no news.tsv beside the behaviours: news are known by their ids alone",)),
        ),
    )


_MIND_ROWS = f"""
WITH shown AS (
    SELECT user_id, history, impressions, row_number,
        epoch_ms(try_strptime(trim(time), '%m/%d/%Y %I:%M:%S %p')) AS time_ms
    FROM events
), seen AS (
    SELECT user_id, time_ms, row_number, unnest(words) AS word, generate_subscripts(words, 1) AS place
    FROM (SELECT *, string_split_regex(trim(impressions), '\\s+') AS words FROM shown)
), past AS (
    SELECT user_id, time_ms, row_number, len(words) AS words, unnest(words) AS word,
        generate_subscripts(words, 1) AS place
    FROM (
        SELECT user_id, min(time_ms) AS time_ms, min(row_number) AS row_number,
            string_split_regex(trim(arg_min(history, time_ms)), '\\s+') AS words
        FROM shown GROUP BY user_id
    )
)
SELECT user_id, word AS item_id, 'click' AS event_type, time_ms - 1000 * (words - place + 1) AS time_ms,
    {PLACE} AS row_number
FROM past WHERE word <> ''
UNION ALL
SELECT user_id, regexp_replace(word, '-[01]$', ''), CASE WHEN word LIKE '%-1' THEN 'click' ELSE 'impression' END,
    time_ms, {PLACE}
FROM seen WHERE word <> ''
"""

# Users and items as numbers with blanks between them

_LINES = 200  # that are looked at
_LARGEST = 10**8  # larger numbers are rather times
_SPLIT = re.compile(r".+_(train|valid|test)\.txt")  # a part of ComiRec's files, of which the others are not there


def _numbers(found: Found, name: str) -> list[list[str]]:
    """Return the cells of the first lines of a text file, [] if one of them is no number."""
    if not name.endswith(".txt") or _SPLIT.fullmatch(name) or name not in found.files:
        return []
    lines = [line.split() for line in first_lines(found.files[name], _LINES)]
    right = all(cell.isdigit() and int(cell) < _LARGEST for line in lines for cell in line)
    return lines if right else []


def _is_pairs(found: Found, name: str) -> bool:
    """Tell whether each line is a user and an item."""
    lines = _numbers(found, name)
    return len(lines) > 1 and all(len(line) == 2 for line in lines)


def _is_user_lines(found: Found, name: str) -> bool:
    """Tell whether each line is another user and its items, and no row of a table."""
    lines = _numbers(found, name)
    users = {line[0] for line in lines}
    widths = {len(line) for line in lines}
    ragged = len(widths) > 1 or name in ("train.txt", "test.txt")
    return len(lines) > 1 and max(widths) > 2 and ragged and len(users) == len(lines)


def _layout_lines(found: Found, format: str, names: tuple[str, ...]) -> Layout:
    paths = tuple(str(found.files[name]) for name in names if name in found.files) if found.is_folder else ()
    return Layout(
        format=format,
        events=Table(paths or (str(found.path),), lines=True),
        mapping=Mapping(user="user_id", item="item_id", time="row_number", untimed=True),
        sql=_LINE_ROWS,
        notes=("a line is read as a user and its items, in the order of the file; it has no times",),
    )


_LINE_ROWS = f"""
SELECT cells[1] AS user_id, item_id, {PLACE} AS row_number
FROM (
    SELECT cells, row_number, unnest(cells[2:]) AS item_id, generate_subscripts(cells[2:], 1) AS place
    FROM (SELECT row_number, string_split_regex(trim(line), '\\s+') AS cells FROM events)
)
"""


def _looks_like_pairs(found: Found) -> bool:
    return not found.is_folder and _is_pairs(found, found.name)


def _looks_like_user_lines(found: Found) -> bool:
    return _is_user_lines(found, "train.txt" if found.is_folder else found.name)


MIND = Preset("mind", "MIND news (behaviors.tsv, news.tsv)", _is_mind, _layout_mind)
PAIRS = Preset(
    "pairs",
    "user-item pairs in order (SASRec's files)",
    _looks_like_pairs,
    lambda found: _layout_lines(found, "pairs", ()),
)
USER_LINES = Preset(
    "user-items",
    "a user and its items in a line (LightGCN's train.txt and test.txt)",
    _looks_like_user_lines,
    lambda found: _layout_lines(found, "user-items", ("train.txt", "test.txt")),
)
