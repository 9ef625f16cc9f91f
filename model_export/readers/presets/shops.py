"""Logs of shops: RetailRocket, H&M, Instacart, Tmall, Taobao and Online Retail."""

from mindstream.mapping import Mapping
from model_export.data.interactions import SEPARATOR
from model_export.readers.layout import Found, Layout, Preset, Table
from model_export.readers.presets.peek import encoding_of, names_at
from model_export.readers.presets.sql import decade, listed, with_missing
from model_export.readers.sql import literal

__all__ = ["HM", "INSTACART", "ONLINE_RETAIL", "RETAILROCKET", "TAOBAO", "TMALL"]


def _has(found: Found, name: str, columns: tuple[str, ...]) -> bool:
    """Tell whether the path, or this file in the folder, has exactly these columns."""
    names = names_at(found, name) if found.is_folder else found.names
    return set(names) == set(columns)


def _events(found: Found, name: str, **options: object) -> Table:
    """Return the path itself, or the file of this name in the folder."""
    return found.table(name, **options) if found.is_folder else Table((str(found.path),), **options)  # type: ignore[arg-type]


# RetailRocket

_ROCKET = ("timestamp", "visitorid", "event", "itemid", "transactionid")
_PROPERTIES = ("item_properties_part1.csv", "item_properties_part2.csv", "item_properties.csv")


def _layout_rocket(found: Found) -> Layout:
    parts = tuple(str(found.files[one]) for one in _PROPERTIES if one in found.files)
    beside = {"properties": Table(parts)} if parts else {}
    if parts and "category_tree.csv" in found.files:
        beside["tree"] = found.table("category_tree.csv")
    return Layout(
        format="retailrocket",
        events=_events(found, "events.csv"),
        mapping=Mapping(user="visitorid", item="itemid", time="timestamp", type="event"),
        beside=beside,
        items=_rocket_items("tree" in beside) if parts else None,
        notes=() if parts else ("there are no item_properties beside the events: items have no categories",),
    )


def _rocket_items(tree: bool) -> str:
    """Return the statement for the latest category of each item, and the one above it."""
    latest = (
        "SELECT itemid AS item_id, arg_max(value, TRY_CAST(timestamp AS BIGINT)) AS category "
        "FROM properties WHERE property = 'categoryid' GROUP BY itemid"
    )
    if not tree:
        return latest
    return (
        f"SELECT item_id, category, parentid AS feature_parent_category FROM ({latest}) "
        "LEFT JOIN (SELECT DISTINCT ON (categoryid) categoryid, parentid FROM tree) ON category = categoryid"
    )


# H&M

_HM = ("t_dat", "customer_id", "article_id", "price", "sales_channel_id")
_ARTICLE = (
    *("article_id", "prod_name", "product_type_name", "product_group_name", "colour_group_name", "department_name"),
    *("index_group_name", "section_name", "garment_group_name"),
)
_CUSTOMER = ("customer_id", "age", "club_member_status", "fashion_news_frequency")


def _layout_hm(found: Found) -> Layout:
    beside = {"articles": "articles.csv", "customers": "customers.csv"}
    beside = {key: file for key, file in beside.items() if file in found.files}
    return Layout(
        format="hm",
        events=_events(found, "transactions_train.csv"),
        mapping=Mapping(user="customer_id", item="article_id", time="t_dat", price="price", type="event_type"),
        sql="SELECT t_dat, customer_id, article_id, price, 'buy' AS event_type, row_number FROM events",
        beside={key: found.table(file) for key, file in beside.items()},
        items=_ARTICLES if "articles" in beside else None,
        users=_CUSTOMERS if "customers" in beside else None,
        notes=("H&M's times are days, and its prices are scaled: no currency's",),
    )


_ARTICLES = f"""
SELECT article_id AS item_id, prod_name AS title, product_type_name AS category,
    colour_group_name AS feature_colour, department_name AS feature_department,
    garment_group_name AS feature_garment_group, section_name AS feature_section
FROM {with_missing(_ARTICLE, "articles")}
"""
_CUSTOMERS = f"""
SELECT customer_id AS user_id, {decade("age")} AS age, club_member_status, fashion_news_frequency
FROM {with_missing(_CUSTOMER, "customers")}
"""

# Instacart

_ORDERS = ("order_id", "user_id", "order_number")
_IN_ORDERS = {"order_id", "product_id", "add_to_cart_order", "reordered"}
_PARTS = ("order_products__prior.csv", "order_products__train.csv")
_PRODUCT = ("product_id", "product_name", "aisle_id", "department_id")


def _is_instacart(found: Found) -> bool:
    if not found.is_folder and found.name not in ("orders.csv", *_PARTS):
        return False
    parts = [one for one in _PARTS if set(names_at(found, one)) == _IN_ORDERS]
    return bool(parts) and set(names_at(found, "orders.csv")) >= set(_ORDERS)


def _layout_instacart(found: Found) -> Layout:
    parts = tuple(str(found.files[one]) for one in _PARTS if one in found.files)
    if not parts or "orders.csv" not in found.files:
        raise FileNotFoundError(f"Instacart needs orders.csv and {' or '.join(_PARTS)}; not all are at {found.path}")
    beside = {key: f"{key}.csv" for key in ("orders", "products", "aisles", "departments")}
    beside = {key: file for key, file in beside.items() if file in found.files}
    return Layout(
        format="instacart",
        events=Table(parts),
        mapping=Mapping(user="user_id", item="product_id", time="place", type="event_type", untimed=True),
        sql=(
            "SELECT user_id, product_id, 'buy' AS event_type, events.row_number, TRY_CAST(order_number AS BIGINT) * "
            "10000 + TRY_CAST(add_to_cart_order AS BIGINT) AS place FROM events LEFT JOIN orders USING (order_id)"
        ),
        beside={key: found.table(file) for key, file in beside.items()},
        items=_instacart_items(set(beside)),
        notes=("Instacart has no dates: a user's order is that of the orders, and of what was put into the cart",),
    )


def _instacart_items(beside: set[str]) -> str | None:
    if "products" not in beside:
        return None
    named = {"aisle": ("aisles", "category"), "department": ("departments", "feature_department")}
    known = {key: shown for key, (table, shown) in named.items() if table in beside}
    columns = "".join(f", {key} AS {shown}" for key, shown in known.items())
    joins = "".join(f" LEFT JOIN {named[key][0]} USING ({key}_id)" for key in known)
    return f"SELECT product_id AS item_id, product_name AS title{columns} FROM products{joins}"


# Tmall (IJCAI 2015)

_TMALL = ("user_id", "item_id", "cat_id", "seller_id", "brand_id", "time_stamp", "action_type")
_TMALL_2 = tuple("merchant_id" if one == "seller_id" else one for one in _TMALL)
_ACTIONS = {"0": "click", "1": "cart", "2": "buy", "3": "favourite"}
_TMALL_FILE = "user_log_format1.csv"


def _layout_tmall(found: Found) -> Layout:
    """Return the layout; the year is the publisher's, the times have month and day alone."""
    actions = " ".join(f"WHEN '{code}' THEN '{action}'" for code, action in _ACTIONS.items())
    people = "user_info_format1.csv"
    return Layout(
        format="tmall",
        events=_events(found, _TMALL_FILE),
        mapping=Mapping(
            user="user_id", item="item_id", time="day", time_format="%Y%m%d", type="event_type", category="cat_id"
        ),
        sql=(
            "SELECT user_id, item_id, cat_id, brand_id AS feature_brand, '2014' || lpad(time_stamp, 4, '0') AS day, "
            f"CASE action_type {actions} ELSE action_type END AS event_type, row_number FROM events"
        ),
        beside={"people": found.table(people)} if people in found.files else {},
        users="SELECT user_id, age_range, gender FROM people" if people in found.files else None,
        notes=("Tmall's times are days without a year, which is 2014 by its publisher",),
    )


# Taobao's UserBehavior

_BEHAVIOR = ("user_id", "item_id", "category", "event_type", "seconds")
_BEHAVIOURS = ("pv", "cart", "fav", "buy")

# 25 November to 3 December 2017, whole days in China (UTC+8). The file has some times far outside.
_FIRST, _END = 1_511_539_200, 1_512_316_800


def _is_behavior(cells: tuple[str, ...]) -> bool:
    """Tell whether the first line is a row of UserBehavior."""
    if len(cells) != len(_BEHAVIOR) or cells[3] not in _BEHAVIOURS:
        return False
    return all(cell.isdigit() for cell in cells[:3] + cells[4:])


def _is_taobao(found: Found) -> bool:
    return _is_behavior(names_at(found, "userbehavior.csv") if found.is_folder else found.names)


def _layout_taobao(found: Found) -> Layout:
    seconds = "TRY_CAST(seconds AS DOUBLE)"
    kept = f"{seconds} >= {_FIRST} AND {seconds} < {_END}"
    return Layout(
        format="taobao",
        events=_events(found, "userbehavior.csv", columns=_BEHAVIOR, delimiter=",", quote=""),
        mapping=Mapping(user="user_id", item="item_id", time="seconds", time_format="seconds", type="event_type"),
        items=(
            f"SELECT item_id, arg_max(category, {seconds}) AS category, 'item ' || item_id || ' (category ' || "
            f"arg_max(category, {seconds}) || ')' AS title FROM events WHERE {kept} GROUP BY item_id"
        ),
        left_out={
            "with an unknown behaviour": f"event_type NOT IN {listed(_BEHAVIOURS)}",
            "outside 2017-11-25 to 2017-12-03 (China time)": f"{seconds} < {_FIRST} OR {seconds} >= {_END}",
        },
    )


# UCI Online Retail

_RETAIL = ("Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")


def _retail_file(found: Found) -> str | None:
    """Return the name of the one file with Online Retail's columns, or of its spreadsheet."""
    names = list(found.files) if found.is_folder else [found.name]
    if len(names) > 20:
        return None
    right = [one for one in names if set(names_at(found, one)) >= set(_RETAIL) or _is_sheet(one)]
    return right[0] if len(right) == 1 else None


def _is_sheet(name: str) -> bool:
    return name.replace("_", " ") in ("online retail.xlsx", "online retail ii.xlsx")


def _layout_retail(found: Found) -> Layout:
    """Return the layout. The description is the item, since some copies lack the stock code."""
    quantity, when = "TRY_CAST(Quantity AS DOUBLE)", "CAST(InvoiceDate AS VARCHAR)"
    kept = f"nullif(trim(CustomerID), '') IS NOT NULL AND {quantity} > 0 AND nullif(trim(Description), '') IS NOT NULL"
    rows = ", ".join(f"CAST({one} AS VARCHAR) AS {one}" for one in _RETAIL)
    file = _retail_file(found)
    path = found.files[file] if file and found.is_folder else found.path
    table = Table((str(path),), encoding=encoding_of(path))  # the copy that is spread most widely is in Latin-1
    cast = f"(SELECT {rows}, row_number FROM events)"
    return Layout(
        format="online-retail",
        events=table,
        mapping=Mapping(user="CustomerID", item="Description", time="time", type="event_type"),
        sql=(
            "SELECT CustomerID, trim(Description) AS Description, Quantity, 'buy' AS event_type, row_number, "
            f"coalesce(try_strptime({when}, '%m/%d/%Y %H:%M'), TRY_CAST({when} AS TIMESTAMP)) AS time FROM {cast}"
        ),
        items=_retail_items(
            f"SELECT trim(Description) AS item_id, median(TRY_CAST(UnitPrice AS DOUBLE)) AS price FROM {cast} "
            f"WHERE {kept} GROUP BY 1"
        ),
        users=f"SELECT CustomerID AS user_id, Country AS country FROM {cast} WHERE {kept} ORDER BY row_number",
        left_out={
            "without a customer": "nullif(trim(CustomerID), '') IS NULL",
            "without a description": "nullif(trim(Description), '') IS NULL",
            "with a quantity that is not positive": f"({quantity} > 0) IS NOT TRUE",
        },
    )


def _retail_items(prices: str) -> str:
    """Return the statement for the items, with words that others share as side feature.

    What is called alike (bags with one pattern, one thing in several colours) is bought alike.
    """
    return f"""
    WITH items AS ({prices}),
    words AS (
        SELECT item_id, word, min(place) AS place FROM (
            SELECT item_id, unnest(words) AS word, generate_subscripts(words, 1) AS place
            FROM (SELECT item_id, regexp_extract_all(lower(item_id), '[\\pL\\pN_]+') AS words FROM items)
        ) GROUP BY item_id, word
    ),
    shared AS (SELECT word FROM words GROUP BY word HAVING count(*) > 1),
    lists AS (
        SELECT item_id, string_agg(word, {literal(SEPARATOR)} ORDER BY place) AS feature_word
        FROM words JOIN shared USING (word) GROUP BY item_id
    )
    SELECT * FROM items LEFT JOIN lists USING (item_id)
    """


RETAILROCKET = Preset(
    "retailrocket",
    "RetailRocket (events.csv, item_properties)",
    lambda f: _has(f, "events.csv", _ROCKET),
    _layout_rocket,
)
HM = Preset(
    "hm",
    "H&M (transactions_train.csv, articles.csv, customers.csv)",
    lambda found: _has(found, "transactions_train.csv", _HM),
    _layout_hm,
)
INSTACART = Preset("instacart", "Instacart (orders.csv, order_products__prior.csv)", _is_instacart, _layout_instacart)
TMALL = Preset(
    "tmall",
    "Tmall, IJCAI 2015 (user_log_format1.csv)",
    lambda found: _has(found, _TMALL_FILE, _TMALL) or _has(found, _TMALL_FILE, _TMALL_2),
    _layout_tmall,
)
TAOBAO = Preset("taobao", "Alibaba Tianchi's UserBehavior.csv", _is_taobao, _layout_taobao)
ONLINE_RETAIL = Preset(
    "online-retail",
    "UCI Online Retail (.xlsx, or CSV or Parquet of it)",
    lambda f: _retail_file(f) is not None,
    _layout_retail,
)
