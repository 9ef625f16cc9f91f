"""ComiRec's sequences of behaviours: `<name>_train.txt`, `<name>_valid.txt` and `<name>_test.txt`.

Cen et al., "Controllable Multi-Interest Framework for Recommendation", KDD 2020: each user is in one of the three.
"""

import re

from mindstream.mapping import Mapping
from model_export.readers.layout import Found, Layout, Preset, Table
from model_export.readers.presets.peek import names_at

__all__ = ["COMIREC"]

SIDES = ("train", "valid", "test")
_FILE = re.compile(r"(.+)_(?:train|valid|test|item_cate|item_map|user_map|cate_map)\.txt|(.+)_items_joined\.csv")


def _names(found: Found) -> list[str]:
    """Return the names before `_train.txt` and the like, of which all three files are there."""
    own = [name for name in found.files if name.endswith("_train.txt")] if found.is_folder else [found.name]
    names = [match[1] or match[2] for name in own if (match := _FILE.fullmatch(name))]
    return sorted(name for name in names if all(f"{name}_{side}.txt" in found.files for side in SIDES))


def _layout(found: Found) -> Layout:
    """Return the layout; each file's first line tells whether it has blanks or commas."""
    names = _names(found)
    if not names:
        raise FileNotFoundError(
            f"ComiRec needs <name>_train.txt, _valid.txt and _test.txt; not all are at {found.path}"
        )
    if len(names) > 1:
        raise ValueError(
            f"{found.path} has several sets of files ({', '.join(names)}); give the path of one's _train.txt"
        )
    [name] = names
    tables = {f"{side}_lines": found.table(f"{name}_{side}.txt", lines=True) for side in SIDES}
    joined, categories = f"{name}_items_joined.csv", f"{name}_item_cate.txt"
    if joined in found.files:
        tables["joined"] = found.table(joined)
        if "item_id" not in (own := names_at(found, joined)):
            raise ValueError(f"{found.files[joined]} has no column item_id; found {', '.join(own) or 'none'}")
    if categories in found.files:
        tables["categories"] = Table((str(found.files[categories]),), columns=("item_id", "category"), delimiter=",")
    return Layout(
        format="comirec",
        events=tables["train_lines"],
        beside=tables,
        mapping=Mapping(user="user_id", item="item_id", time="place", untimed=True),
        sql=_ROWS,
        items=_items(tables, names_at(found, joined) if joined in found.files else ()),
        left_out={
            "malformed (wrong number of columns)": "fault = 'columns'",
            "malformed (no items)": "fault = 'items'",
            "malformed (not integers)": "fault = 'integers'",
            "of item 0 (padding)": "fault = 'padding'",
        },
        sides="SELECT user_id, side FROM behaviours WHERE fault IS NULL",
    )


_INTEGER = "'-?[0-9]{1,18}'"  # of more digits some do not fit into 64 bits


def _cells(side: str) -> str:
    """Return the lines of one file as cells, cut at commas if the first line has any."""
    return f"""
        SELECT '{side}' AS side, row_number,
            contains(first(line) OVER (ORDER BY row_number), ',') AS has_commas, line
        FROM {side}_lines WHERE trim(line) <> ''
    """


_ROWS = f"""
WITH lines AS ({" UNION ALL ".join(map(_cells, SIDES))}),
cells AS (
    SELECT side, row_number, has_commas, [trim(cell) FOR cell IN
        CASE WHEN has_commas THEN string_split(line, ',') ELSE string_split_regex(trim(line), '\\s+') END] AS cells
    FROM lines
),
checked AS (
    SELECT *, CASE
        WHEN has_commas AND len(cells) <> 3 THEN 'columns'
        WHEN len(cells) < 2 THEN 'items'
        WHEN len([cell FOR cell IN cells IF NOT regexp_full_match(cell, {_INTEGER})]) > 0 THEN 'integers'
    END AS fault
    FROM cells
),
numbers AS (SELECT *, [CAST(CAST(cell AS BIGINT) AS VARCHAR) FOR cell IN cells] AS ids FROM checked WHERE fault IS NULL)
FROM (
SELECT side, ids[1] AS user_id, ids[2] AS item_id, CAST(ids[3] AS BIGINT) AS place, fault FROM numbers WHERE has_commas
UNION ALL
SELECT side, user_id, item_id, row_number * 1000000 + place, CASE WHEN item_id = '0' THEN 'padding' END FROM (
    SELECT side, row_number, ids[1] AS user_id,
        unnest(ids[2:]) AS item_id, generate_subscripts(ids[2:], 1) AS place
    FROM numbers WHERE NOT has_commas
)
UNION ALL
SELECT side, NULL, NULL, 0, fault FROM checked WHERE fault IS NOT NULL
) ORDER BY TRY_CAST(user_id AS BIGINT), place
"""


def _items(tables: dict[str, Table], joined: tuple[str, ...]) -> str | None:
    """Return the statement for what the files beside say of items."""
    parts = []
    if "joined" in tables:
        title = "asin" if "asin" in joined else "NULL"
        attributes = "attribute_ids" if "attribute_ids" in joined else "NULL"
        parts.append(f"SELECT item_id, {title} AS title, {attributes} AS feature_attribute FROM joined")
    if "categories" in tables:
        parts.append("SELECT item_id, last(category ORDER BY row_number) AS category FROM categories GROUP BY item_id")
    if len(parts) < 2:
        return parts[0] if parts else None
    return f"SELECT * FROM ({parts[0]}) FULL JOIN ({parts[1]}) USING (item_id)"


COMIREC = Preset(
    "comirec", "ComiRec's <name>_train.txt, _valid.txt and _test.txt", lambda found: bool(_names(found)), _layout
)
