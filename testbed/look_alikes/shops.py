"""Look-alikes of shops' logs: RetailRocket, H&M, Instacart, Tmall and Taobao."""

from datetime import date
from pathlib import Path

from testbed.look_alikes.expected import ITEMS, ROWS, USERS, Expected, LookAlike, rows, write

__all__ = ["SHOPS"]


def _rocket(folder: Path) -> Expected:
    kinds = ("view", "view", "addtocart", "transaction")
    events = [
        f"{row.seconds}000,{row.user},{kinds[n % 4]},{200 + row.item},{n if n % 4 == 3 else ''}"
        for n, row in enumerate(rows())
    ]
    write(folder / "events.csv", ["timestamp,visitorid,event,itemid,transactionid", *events])
    header = "timestamp,itemid,property,value"
    old = [f"1740000000000,{200 + item},categoryid,{item}" for item in range(ITEMS)]
    new = ["1745000000000,201,categoryid,77", "1741000000000,201,categoryid,78", "1745000000000,202,790,n36.000 99"]
    write(folder / "item_properties_part1.csv", [header, *old])
    write(folder / "item_properties_part2.csv", [header, *new])
    write(folder / "category_tree.csv", ["categoryid,parentid", "77,1000", "2,1001", "3,"])
    return Expected(
        types={"view": 12, "addtocart": 6, "transaction": 6},
        categories={"201": "77", "202": "2"},
        features={"201": {"parent_category": "1000"}, "203": {"parent_category": ""}},
    )


def _hm(folder: Path) -> Expected:
    bought = [f"{row.time('%Y-%m-%d')},{row.user:064x},010877501{row.item},0.05{row.item}8,2" for row in rows()]
    write(folder / "transactions_train.csv", ["t_dat,customer_id,article_id,price,sales_channel_id", *bought])
    header = (
        "article_id,product_code,prod_name,product_type_no,product_type_name,product_group_name,"
        "graphical_appearance_name,colour_group_name,department_name,index_group_name,section_name,"
        "garment_group_name,detail_desc"
    )
    articles = [
        f"010877501{item},0108775,Strap top {item},253,Vest top,Upper body,Solid,Black,Jersey Basic,Ladieswear,"
        'Everyday Basics,Jersey Basic,"A top, with straps"'
        for item in range(ITEMS)
    ]
    write(folder / "articles.csv", [header, *articles])
    customers = [f"{user:064x},,1.0,ACTIVE,NONE,{20 + 9 * user},5204{user}" for user in range(USERS)]
    header = "customer_id,FN,Active,club_member_status,fashion_news_frequency,age,postal_code"
    write(folder / "customers.csv", [header, *customers])
    return Expected(
        types={"buy": ROWS},
        titles={"0108775013": "Strap top 3"},
        categories={"0108775013": "Vest top"},
        prices={"0108775013": 0.0538},
        features={"0108775013": {"colour": "Black", "section": "Everyday Basics"}},
        profiles={f"{1:064x}": {"age": "20s", "club_member_status": "ACTIVE"}},
    )


def _instacart(folder: Path) -> Expected:
    """Write two orders of each user; the later order comes first in the files."""
    orders: list[str] = []
    prior: list[str] = []
    train: list[str] = []
    for user in range(USERS):
        for number, part in ((2, train), (1, prior)):
            order = 10 * user + number
            orders.append(
                f"{order},{user},{'train' if number == 2 else 'prior'},{number},3,10,{7.0 if number == 2 else ''}"
            )
            part += [f"{order},{100 + (user + 2 * number + place) % ITEMS},{place},0" for place in (2, 1)]
    header = "order_id,user_id,eval_set,order_number,order_dow,order_hour_of_day,days_since_prior_order"
    write(folder / "orders.csv", [header, *orders])
    header = "order_id,product_id,add_to_cart_order,reordered"
    write(folder / "order_products__prior.csv", [header, *prior])
    write(folder / "order_products__train.csv", [header, *train])
    products = [f'{100 + item},"Tea, No. {item}",{item % 2},{item % 3}' for item in range(ITEMS)]
    write(folder / "products.csv", ["product_id,product_name,aisle_id,department_id", *products])
    write(folder / "aisles.csv", ["aisle_id,aisle", "0,tea", "1,fresh herbs"])
    write(folder / "departments.csv", ["department_id,department", "0,beverages", "1,produce", "2,pantry"])
    return Expected(
        types={"buy": ROWS},
        first=None,
        last=None,
        titles={"103": "Tea, No. 3"},
        categories={"103": "fresh herbs"},
        features={"104": {"department": "produce"}},
        orders={"0": ["103", "104", "105", "106"], "5": ["100", "101", "102", "103"]},
    )


def _tmall(folder: Path) -> Expected:
    log = [
        f"{row.user},{300 + row.item},{row.item % 3},{row.item},{40 + row.item}.0,{'829' if n < 12 else '1111'},{n % 4}"
        for n, row in enumerate(rows())
    ]
    header = "user_id,item_id,cat_id,seller_id,brand_id,time_stamp,action_type"
    write(folder / "user_log_format1.csv", [header, *log])
    people = [f"{user},{user}.0,1.0" for user in range(USERS)]
    write(folder / "user_info_format1.csv", ["user_id,age_range,gender", *people])
    return Expected(
        types={"click": 6, "cart": 6, "buy": 6, "favourite": 6},
        first=date(2014, 8, 29),
        last=date(2014, 11, 11),
        categories={"304": "1"},
        profiles={"2": {"age_range": "2.0"}},
    )


def _taobao(folder: Path) -> Expected:
    kinds = ("pv", "pv", "fav", "buy")
    log = [
        f"{row.user},{500 + row.item},{row.item % 3},{kinds[n % 4]},{1511600000 + n}" for n, row in enumerate(rows())
    ]
    outside = ["1,500,0,pv,1511539199", "1,500,0,pv,1512316800", "1,500,0,pv,-1511600000"]
    write(folder / "UserBehavior.csv", [*log, *outside])
    return Expected(
        first=date(2017, 11, 25),
        last=date(2017, 11, 25),
        types={"pv": 12, "fav": 6, "buy": 6},
        titles={"504": "item 504 (category 1)"},
        categories={"504": "1"},
        left_out={"outside 2017-11-25 to 2017-12-03 (China time)": 3},
    )


SHOPS = (
    LookAlike("RetailRocket", "retailrocket", "events.csv", _rocket),
    LookAlike("H&M", "hm", "transactions_train.csv", _hm),
    LookAlike("Instacart", "instacart", "order_products__prior.csv", _instacart),
    LookAlike("Tmall", "tmall", "user_log_format1.csv", _tmall),
    LookAlike("Taobao", "taobao", "UserBehavior.csv", _taobao),
)
