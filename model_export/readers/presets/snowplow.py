"""Snowplow's events: the table of a warehouse, JSON lines of its analytics SDK, and the enriched TSV."""

import re
from dataclasses import replace
from pathlib import Path

from mindstream.mapping import Mapping
from mindstream.parsing.trackers import (
    SNOWPLOW_ACTION,
    SNOWPLOW_FIELDS,
    SNOWPLOW_PRODUCT_SCHEMA,
    SNOWPLOW_PRODUCTS,
    WITHOUT_PRODUCT,
)
from model_export.readers.layout import Found, Layout, Preset
from model_export.readers.presets.analytics import first_names, products_in
from model_export.readers.presets.peek import first_lines, parts
from model_export.readers.presets.sql import PLACE, text_of, with_missing
from model_export.readers.sql import literal

__all__ = ["SNOWPLOW"]

_NAMES = {"event_id", "event", "collector_tstamp", "domain_userid"}
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?")

_USED = (
    *("user_id", "domain_userid", "network_userid", "derived_tstamp", "collector_tstamp", "event", "event_name"),
    *("contexts", "unstruct_event", "se_action", "se_property", "ti_sku", "ti_name", "ti_category", "ti_price"),
    *(*SNOWPLOW_PRODUCTS, SNOWPLOW_ACTION),
)


def _is_enriched(found: Found) -> bool:
    """Tell whether the first line has the cells of an enriched event."""
    cells = "".join(first_lines(Path(parts(found).paths[0]), 1)).split("\t")
    return len(cells) == len(SNOWPLOW_FIELDS) and bool(_TIME.fullmatch(cells[3])) and cells[6].count("-") == 4


def _layout(found: Found) -> Layout:
    events = parts(found)
    if _is_enriched(found):
        events = replace(events, columns=SNOWPLOW_FIELDS, delimiter="\t", quote="")
    return Layout(
        format="snowplow",
        events=events,
        mapping=Mapping(
            user="domain_userid,user_id,network_userid",
            item="item_id",
            time="time",
            type="event_type",
            title="title",
            category="category",
            price="price",
        ),
        sql=_ROWS,
        left_out={WITHOUT_PRODUCT: "item_id IS NULL"},
        notes=(
            "domain_userid is the user, or else user_id; --user user_id,domain_userid takes the id of those who are "
            "logged in",
            "items are the product entities of an event, or else its ti_sku or se_property",
        ),
    )


_ENTITIES = f"""
list_transform(
    list_filter(
        TRY_CAST(TRY_CAST(contexts AS JSON) -> '$.data' AS JSON[]),
        lambda one: regexp_matches(one ->> '$.schema', {literal(SNOWPLOW_PRODUCT_SCHEMA)})
    ),
    lambda one: one -> '$.data'
)
"""
_LISTS = f"coalesce({', '.join(f'TRY_CAST({one} AS JSON)' for one in (*SNOWPLOW_PRODUCTS, _ENTITIES))})"
_SINGLE = (
    f"CASE WHEN coalesce({text_of('ti_sku')}, {text_of('se_property')}) IS NOT NULL THEN "
    f"json_object('id', coalesce({text_of('ti_sku')}, {text_of('se_property')}), "
    "'name', ti_name, 'category', ti_category, 'price', ti_price) END"
)
_ROWS = f"""
SELECT {text_of("domain_userid")} AS domain_userid, {text_of("user_id")} AS user_id,
    {text_of("network_userid")} AS network_userid,
    coalesce({text_of("derived_tstamp")}, {text_of("collector_tstamp")}) AS time,
    coalesce(
        TRY_CAST({SNOWPLOW_ACTION} AS JSON) ->> '$.type', TRY_CAST(unstruct_event AS JSON) ->> '$.data.data.type',
        {text_of("se_action")}, {text_of("event_name")}, {text_of("event")}
    ) AS event_type,
    nullif(product ->> '$.id', '') AS item_id, product ->> '$.name' AS title, product ->> '$.category' AS category,
    product ->> '$.price' AS price, product ->> '$.brand' AS feature_brand, {PLACE} AS row_number
FROM (
    SELECT *, unnest(products) AS product, generate_subscripts(products, 1) AS place
    FROM (SELECT *, {products_in(_LISTS, _SINGLE)} AS products FROM {with_missing(_USED)})
)
"""

SNOWPLOW = Preset(
    "snowplow",
    "Snowplow (a warehouse's table, JSON lines, enriched TSV)",
    lambda found: first_names(found) >= _NAMES or _is_enriched(found),
    _layout,
)
