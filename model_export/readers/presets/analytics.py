"""Events as trackers send them: GA4's export to BigQuery, Segment's and RudderStack's track calls, CloudEvents."""

from pathlib import Path

from mindstream.mapping import Mapping
from mindstream.parsing.trackers import CALL_TIMES, CLOUD_ITEMS, CLOUD_TIMES, CLOUD_USERS, PRODUCT_IDS, WITHOUT_PRODUCT
from model_export.readers.layout import Found, Layout, Preset
from model_export.readers.presets.peek import names_of, parts
from model_export.readers.presets.sql import PLACE, text_of, with_missing

__all__ = ["CLOUDEVENTS", "GA4", "TRACK_CALLS", "first_names", "products_in"]


def first_names(found: Found) -> set[str]:
    """Return the names in the path, or in the first of a folder's data files."""
    return set(found.names or names_of(Path(parts(found).paths[0])))


def products_in(lists: str, single: str) -> str:
    """Return the expression of a row's products as a list of JSON; [NULL] without any.

    Those of the list if it has any, or else the single one.
    """
    several = f"TRY_CAST({lists} AS JSON[])"
    return f"CASE WHEN len({several}) > 0 THEN {several} ELSE [CAST({single} AS JSON)] END"


def _first_text(source: str, keys: tuple[str, ...]) -> str:
    """Return the expression of the first known value among keys of a JSON expression."""
    values = (f"nullif({source} ->> '$.{key}', '')" for key in keys)
    return f"coalesce({', '.join(values)})"


# GA4's export to BigQuery

_GA4 = {"event_name", "event_timestamp", "user_pseudo_id"}
_GA4_COLUMNS = ("user_id", "user_pseudo_id", "event_timestamp", "event_name", "items")


def _layout_ga4(found: Found) -> Layout:
    return Layout(
        format="ga4",
        events=parts(found),
        mapping=Mapping(
            user="user_pseudo_id,user_id",
            item="item_id",
            time="event_timestamp",
            time_format="microseconds",
            type="event_name",
            title="item_name",
            category="item_category",
            price="price",
        ),
        sql=_GA4_ROWS,
        left_out={WITHOUT_PRODUCT: "item_id IS NULL"},
        notes=(
            "user_pseudo_id is the user, which every event has; --user user_id,user_pseudo_id takes the id of those "
            "who are logged in",
            "view_item_list and view_promotion are impressions, which a rule such as view_item_list=0,view_promotion=0 "
            "leaves out",
        ),
    )


_GA4_ROWS = f"""
SELECT user_id, user_pseudo_id, event_timestamp, event_name, nullif(item ->> '$.item_id', '') AS item_id,
    item ->> '$.item_name' AS item_name, item ->> '$.item_category' AS item_category, item ->> '$.price' AS price,
    nullif(nullif(item ->> '$.item_brand', ''), '(not set)') AS feature_brand, {PLACE} AS row_number
FROM (
    SELECT *, unnest(products) AS item, generate_subscripts(products, 1) AS place
    FROM (
        SELECT *, {products_in("TRY_CAST(items AS JSON)", "NULL")} AS products FROM {with_missing(_GA4_COLUMNS)}
    )
)
"""

# Segment's and RudderStack's calls

_CALL_COLUMNS = ("type", "event", "userId", "anonymousId", "properties", *CALL_TIMES)


def _is_calls(found: Found) -> bool:
    """Tell whether the first line is a call: track, or another such as identify."""
    names = first_names(found)
    content = names & {"event", "properties", "traits", "messageId"}
    return {"type"} <= names and bool(names & {"userId", "anonymousId"} and names & set(CALL_TIMES) and content)


def _layout_calls(found: Found) -> Layout:
    return Layout(
        format="track-calls",
        events=parts(found),
        mapping=Mapping(
            user="userId,anonymousId",
            item="product_id",
            time="time",
            type="event",
            title="name",
            category="category",
            price="price",
        ),
        sql=_CALL_ROWS,
        left_out={
            "of other calls than track (identify, page and the like)": "call_type <> 'track'",
            WITHOUT_PRODUCT: "product_id IS NULL",
        },
        notes=("anonymousId is the user of the calls without a userId",),
    )


_CALL_ROWS = f"""
SELECT type AS call_type, event, {text_of("userId")} AS userId, {text_of("anonymousId")} AS anonymousId,
    coalesce({", ".join(text_of(one) for one in CALL_TIMES)}) AS time,
    {_first_text("product", PRODUCT_IDS)} AS product_id, {_first_text("product", ("name", "title"))} AS name,
    product ->> '$.category' AS category, product ->> '$.price' AS price,
    product ->> '$.brand' AS feature_brand, {PLACE} AS row_number
FROM (
    SELECT *, unnest(products) AS product, generate_subscripts(products, 1) AS place
    FROM (
        SELECT *, {products_in("given -> '$.products'", "given")} AS products
        FROM (SELECT *, TRY_CAST(properties AS JSON) AS given FROM {with_missing(_CALL_COLUMNS)})
    )
)
"""

# CloudEvents

_CLOUD_COLUMNS = ("type", "time", "subject", "data")


def _is_cloud(found: Found) -> bool:
    return {"specversion", "type", "source", "id", "data"} <= first_names(found)


def _layout_cloud(found: Found) -> Layout:
    return Layout(
        format="cloudevents",
        events=parts(found),
        mapping=Mapping(
            user="user_id",
            item="item_id",
            time="time",
            type="type",
            title="title",
            category="category",
            price="price",
        ),
        sql=_CLOUD_ROWS,
        left_out={WITHOUT_PRODUCT: "item_id IS NULL"},
        notes=(
            f"user and item are the first of these in data: {', '.join(CLOUD_USERS)}; {', '.join(CLOUD_ITEMS)}; "
            "--format table --user data.NAME --item data.NAME takes others",
        ),
    )


_IN_DATA = _first_text("TRY_CAST(data AS JSON)", CLOUD_TIMES)
_CLOUD_ROWS = f"""
SELECT type, time, {_first_text("given", CLOUD_USERS)} AS user_id,
    {_first_text("product", CLOUD_ITEMS)} AS item_id, {_first_text("product", ("title", "name"))} AS title,
    product ->> '$.category' AS category, product ->> '$.price' AS price, {PLACE} AS row_number
FROM (
    SELECT *, unnest(products) AS product, generate_subscripts(products, 1) AS place
    FROM (
        SELECT *, {products_in("coalesce(given -> '$.items', given -> '$.products')", "given")} AS products
        FROM (
            SELECT * EXCLUDE (time), TRY_CAST(data AS JSON) AS given, coalesce({text_of("time")}, {_IN_DATA}) AS time
            FROM {with_missing(_CLOUD_COLUMNS)}
        )
    )
)
"""

GA4 = Preset(
    "ga4", "GA4's export to BigQuery (JSON lines, Parquet)", lambda found: first_names(found) >= _GA4, _layout_ga4
)
TRACK_CALLS = Preset("track-calls", "track calls of Segment and RudderStack (JSON lines)", _is_calls, _layout_calls)
CLOUDEVENTS = Preset("cloudevents", "CloudEvents (JSON lines)", _is_cloud, _layout_cloud)
