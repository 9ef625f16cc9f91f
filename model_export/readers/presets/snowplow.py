"""Snowplow's events: the table of a warehouse, JSON lines of its analytics SDK, and the enriched TSV."""

import re
from dataclasses import replace
from pathlib import Path

from mindstream.mapping import Mapping
from model_export.readers.layout import Found, Layout, Preset
from model_export.readers.presets.analytics import WITHOUT_PRODUCT, first_names, products_in
from model_export.readers.presets.peek import first_lines, parts
from model_export.readers.presets.sql import PLACE, text_of, with_missing

__all__ = ["SNOWPLOW"]

# The order of the fields of an enriched event, by Snowplow's canonical event model.
_ENRICHED = """
app_id platform etl_tstamp collector_tstamp dvce_created_tstamp event event_id txn_id name_tracker v_tracker
v_collector v_etl user_id user_ipaddress user_fingerprint domain_userid domain_sessionidx network_userid
geo_country geo_region geo_city geo_zipcode geo_latitude geo_longitude geo_region_name ip_isp ip_organization
ip_domain ip_netspeed page_url page_title page_referrer page_urlscheme page_urlhost page_urlport page_urlpath
page_urlquery page_urlfragment refr_urlscheme refr_urlhost refr_urlport refr_urlpath refr_urlquery refr_urlfragment
refr_medium refr_source refr_term mkt_medium mkt_source mkt_term mkt_content mkt_campaign contexts se_category
se_action se_label se_property se_value unstruct_event tr_orderid tr_affiliation tr_total tr_tax tr_shipping
tr_city tr_state tr_country ti_orderid ti_sku ti_name ti_category ti_price ti_quantity pp_xoffset_min
pp_xoffset_max pp_yoffset_min pp_yoffset_max useragent br_name br_family br_version br_type br_renderengine br_lang
br_features_pdf br_features_flash br_features_java br_features_director br_features_quicktime
br_features_realplayer br_features_windowsmedia br_features_gears br_features_silverlight br_cookies br_colordepth
br_viewwidth br_viewheight os_name os_family os_manufacturer os_timezone dvce_type dvce_ismobile dvce_screenwidth
dvce_screenheight doc_charset doc_width doc_height tr_currency tr_total_base tr_tax_base tr_shipping_base
ti_currency ti_price_base base_currency geo_timezone mkt_clickid mkt_network etl_tags dvce_sent_tstamp
refr_domain_userid refr_dvce_tstamp derived_contexts domain_sessionid derived_tstamp event_vendor event_name
event_format event_version event_fingerprint true_tstamp
"""
_FIELDS = tuple(_ENRICHED.split())
_NAMES = {"event_id", "event", "collector_tstamp", "domain_userid"}
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?")

# Entities in the columns of a warehouse, of Snowplow's ecommerce plugin and of the one before it.
_PRODUCT = "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1"
_OLDER = "contexts_com_google_analytics_enhanced_ecommerce_product_field_object_1"
_ACTION = "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1"
_USED = (
    *("user_id", "domain_userid", "network_userid", "derived_tstamp", "collector_tstamp", "event", "event_name"),
    *("contexts", "unstruct_event", "se_action", "se_property", "ti_sku", "ti_name", "ti_category", "ti_price"),
    *(_PRODUCT, _OLDER, _ACTION),
)


def _is_enriched(found: Found) -> bool:
    """Tell whether the first line has the cells of an enriched event."""
    cells = "".join(first_lines(Path(parts(found).paths[0]), 1)).split("\t")
    return len(cells) == len(_FIELDS) and bool(_TIME.fullmatch(cells[3])) and cells[6].count("-") == 4


def _layout(found: Found) -> Layout:
    events = parts(found)
    if _is_enriched(found):
        events = replace(events, columns=_FIELDS, delimiter="\t", quote="")
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


_ENTITIES = """
list_transform(
    list_filter(
        TRY_CAST(TRY_CAST(contexts AS JSON) -> '$.data' AS JSON[]),
        lambda one: regexp_matches(one ->> '$.schema', 'ecommerce/(product|productFieldObject)/')
    ),
    lambda one: one -> '$.data'
)
"""
_LISTS = f"coalesce(TRY_CAST({_PRODUCT} AS JSON), TRY_CAST({_OLDER} AS JSON), TRY_CAST({_ENTITIES} AS JSON))"
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
        TRY_CAST({_ACTION} AS JSON) ->> '$.type', TRY_CAST(unstruct_event AS JSON) ->> '$.data.data.type',
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
