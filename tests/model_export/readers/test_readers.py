"""Readers of interaction logs: each publisher's raw files, handmade, with exact expectations."""

import gzip
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_export.data.interactions import EVENT_COLUMNS, InteractionLog
from model_export.data.simulator import simulate
from model_export.readers import Mapping, read_log, write_table

DATA = Path(__file__).parents[3].parent / "shared" / "data"
MALFORMED = "malformed (wrong number of columns)"
AT = 1_511_568_000_000  # 2017-11-25 00:00 UTC in milliseconds


def real(name: str) -> Path:
    """A path in the shared data; the test is skipped where it is absent."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs the real data set {name} in ../shared/data beside the repository")
    return path


def events(log: InteractionLog) -> list[tuple[str, str, str, int]]:
    return list(log.events[EVENT_COLUMNS].itertuples(index=False, name=None))


def rows(table: pd.DataFrame) -> list[tuple[object, ...]]:
    """Rows as tuples, None instead of NaN so that they compare."""
    known = table.astype(object).where(table.notna(), None)
    return list(known.itertuples(index=False, name=None))


def drops(log: InteractionLog) -> dict[str, int]:
    return {reason: count for reason, count in log.dropped.items() if count}


def assert_same(one: InteractionLog, other: InteractionLog) -> None:
    for part in ("events", "items", "profiles"):
        pd.testing.assert_frame_equal(getattr(one, part), getattr(other, part))


def put(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


# Tables


def test_table_in_full(tmp_path: Path) -> None:
    path = put(
        tmp_path / "log.csv",
        "Customer ID,SKU,Timestamp,Action,Product Name,Category,Unit_Price,profile_city,feature_brand,Feature_Tags\n"
        "007,b,1511568002,buy,Bowl,kitchen,4.50,Leeds,Oak & Co,wood|round\n"
        "8,a,1511568001,click,,,,,,\n"
        "007,a,1511568002,,Ape,toys,free,York,,soft\n"
        "007,b,1511568003,click,Big bowl,,5,,,wood|large\n",
    )
    log = read_log(path)
    assert events(log) == [
        ("8", "a", "click", AT + 1000),
        ("007", "b", "buy", AT + 2000),
        ("007", "a", "interaction", AT + 2000),
        ("007", "b", "click", AT + 3000),
    ]
    assert rows(log.items) == [
        ("a", "Ape", "toys", None, "", "soft"),
        ("b", "Big bowl", "kitchen", 5.0, "Oak & Co", "wood|large"),
    ]
    assert log.side_features == ["brand", "Tags"]
    assert log.sides == {}
    assert rows(log.profiles) == [("007", "York"), ("8", "")]
    assert list(log.profiles) == ["user_id", "city"]
    assert drops(log) == {}
    assert log.source == "log.csv"


def test_table_without_anything_optional(tmp_path: Path) -> None:
    log = read_log(put(tmp_path / "log.csv", "user,item,time\nu,i,1511568000\n"))
    assert events(log) == [("u", "i", "interaction", AT)]
    assert rows(log.items) == [("i", "i", "", None)]
    assert list(log.profiles) == ["user_id"]
    kinds = log.events.dtypes.astype(str).to_dict() | log.items.dtypes.astype(str).to_dict()
    assert kinds == {
        **dict.fromkeys(["user_id", "event_type"], "category"),
        **dict.fromkeys(["item_id", "title", "category"], "str"),  # the dtypes of items are listed last
        **{"event_time_ms": "int64", "price": "float64"},
    }


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1511568000", AT),
        ("1511568000.25", AT + 250),
        ("1511568000250", AT + 250),
        ("1511568000250999", AT + 251),
        ("1511568000250000001", AT + 250),
        ("1.511568e9", AT),
        (" 1511568000 ", AT),
        ("2017-11-25", AT),
        ("2017-11-25 00:00:01", AT + 1000),
        ("2017-11-25T00:00:00.250", AT + 250),
        ("2017-11-25T00:00:00.250999", AT + 250),
        ("2017-11-25T08:00:00+08:00", AT),
        ("2017-11-25T00:00:00Z", AT),
        ("2017-11-25 00:00:00 UTC", AT),
        ("1969-12-31T23:59:59Z", -1000),
    ],
)
def test_times_by_magnitude_and_as_iso(tmp_path: Path, cell: str, expected: int) -> None:
    log = read_log(put(tmp_path / "log.csv", f"user,item,time\nu,i,{cell}\n"))
    assert log.events.event_time_ms.tolist() == [expected]


def test_the_zone_is_taken_from_each_date(tmp_path: Path) -> None:
    times = ["2017-11-25T00:00:01", "2017-11-25T01:00:02+01:00", "2017-11-25T00:00:03Z"]
    log = read_log(put(tmp_path / "log.csv", "user,item,time\n" + "".join(f"u,i,{t}\n" for t in times)))
    assert log.events.event_time_ms.tolist() == [AT + 1000, AT + 2000, AT + 3000]


def test_a_name_in_ms_says_the_unit(tmp_path: Path) -> None:
    log = read_log(put(tmp_path / "log.csv", "user,item,event_time_ms\nu,i,-5\nu,i,12\n"))
    assert log.events.event_time_ms.tolist() == [-5, 12]


@pytest.mark.parametrize(
    ("cells", "dropped"),
    [
        (["1511568000", "1511568000000", "1511568000"], 1),  # the year 49868 in seconds
        (["1511568000", "yesterday", ""], 2),
        (["2017-11-25", "2017-11-26", "7"], 1),
        (["2017-11-25", "2017-02-30", "2017-11-26"], 1),
        (["1511568000", "inf", "nan"], 2),
    ],
)
def test_unreadable_times_are_counted(tmp_path: Path, cells: list[str], dropped: int) -> None:
    log = read_log(put(tmp_path / "log.csv", "user,item,time\n" + "".join(f"u,i,{c}\n" for c in cells)))
    assert drops(log) == {"without a readable time": dropped}
    assert len(log.events) == 3 - dropped
    assert log.events.event_time_ms.between(AT, AT + 86_400_000).all()


def test_every_row_is_kept_or_counted(tmp_path: Path) -> None:
    path = put(
        tmp_path / "log.csv",
        "user,item,time\nu,i,1511568000\n,i,1511568000\nu,NULL,1511568000\nu,i,\n,,\n"
        "u,i\nu,i,1511568000,4\n\nu,i,1511568001\n",
    )
    log = read_log(path)
    assert drops(log) == {
        MALFORMED: 2,
        "without a user": 2,
        "without an item": 1,
        "without a readable time": 1,
    }
    assert len(log.events) == 2


def test_a_stray_quote_counts_all_the_lines_it_takes(tmp_path: Path) -> None:
    path = put(tmp_path / "log.csv", 'user,item,time\nu,i,1511568000\nu,"i,1\nu,i,2\nu,i,3\n')
    assert drops(read_log(path)) == {MALFORMED: 3}


def test_text_that_only_looks_missing_or_numeric_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    put(path, "user,item,time,category\nNA,1.0,1511568000,None\n00,1e3,1511568000,NA\n")
    log = read_log(path)
    assert [row[:2] for row in events(log)] == [("NA", "1.0"), ("00", "1e3")]
    assert log.items.category.tolist() == ["None", "NA"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.csv", "\ufeffuser,item,time,title\r\nu,i,1511568000,é\r\n"),
        ("log.csv", '"user","item","time","title"\n"u","i","1511568000","é"'),
        ("log.csv", "user;item;time;title\nu;i;1511568000;é\n"),
        ("log.tsv", "user\titem\ttime\ttitle\nu\ti\t1511568000\té\n"),
        ("LOG.CSV", "title,time,item,user,other\né,1511568000,i,u,x\n"),
    ],
)
def test_dialects(tmp_path: Path, name: str, text: str) -> None:
    log = read_log(put(tmp_path / name, text))
    assert events(log) == [("u", "i", "interaction", AT)]
    assert log.items.title.tolist() == ["é"]


def test_titles_may_hold_separators_and_line_ends(tmp_path: Path) -> None:
    path = put(tmp_path / "log.csv", 'user,item,time,title\nu,i,1511568000,"a, ""b""\nc"\n')
    assert read_log(path).items.title.tolist() == ['a, "b"\nc']


def test_files_of_several_blocks(tmp_path: Path) -> None:
    """A block is 16 MiB; quoted line ends stand at the seams, and malformed rows in between."""
    line, count = 'u,i,1511568000,"' + "a\n" * 500 + '"\n', 40_000
    path = put(tmp_path / "log.csv", "user,item,time,title\n" + (line * (count // 4) + "u,i\n") * 4)
    log = read_log(path)
    assert len(log.events) == count
    assert drops(log) == {MALFORMED: 4}
    assert log.items.title.tolist() == ["a\n" * 500]


def test_of_several_columns_for_a_field_the_first_counts(tmp_path: Path) -> None:
    log = read_log(put(tmp_path / "log.csv", "User ID,user_id,name,title,item,time\nu,v,n,t,i,1511568000\n"))
    assert log.events.user_id.tolist() == ["u"]
    assert log.items.title.tolist() == ["t"]  # "title" comes before "name" among the accepted names


def test_gzip(tmp_path: Path) -> None:
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(b"user,item,time\nu,i,1511568000\n"))
    assert events(read_log(path)) == [("u", "i", "interaction", AT)]
    path.write_bytes(b"user,item,time\nu,i,1511568000\n")
    with pytest.raises(ValueError, match=r"log.csv.gz is not a gzip file"):
        read_log(path)


def test_parquet_types(tmp_path: Path) -> None:
    when = pd.to_datetime([AT + 1500, AT, AT + 500], unit="ms").as_unit("us").tz_localize("UTC")
    table = pd.DataFrame(
        {
            "user_id": [1e16, np.nan, 3.0],  # integers with a gap
            "item_id": [5, 6, 7],
            "time": when.tz_convert("Asia/Shanghai"),
            "category": pd.Categorical(["a", "b", "a"]),
            "price": [1, 2, 3],
            "profile_age": [40, 50, 60],
        }
    )
    table.to_parquet(path := tmp_path / "log.parquet")
    log = read_log(path)
    assert events(log) == [("3", "7", "interaction", AT + 500), ("10000000000000000", "5", "interaction", AT + 1500)]
    assert rows(log.items) == [("5", "5", "a", 1.0), ("7", "7", "a", 3.0)]
    assert rows(log.profiles) == [("10000000000000000", "40"), ("3", "60")]
    assert drops(log) == {"without a user": 1}


def test_equal_times_keep_their_order(tmp_path: Path) -> None:
    text = "".join(f"u,{n},{1511568000 + n % 2}\n" for n in range(100))
    log = read_log(put(tmp_path / "log.csv", "user,item,time\n" + text))
    assert log.events.item_id.astype(int).tolist() == [*range(0, 100, 2), *range(1, 100, 2)]


def test_a_missing_column_names_file_found_and_accepted(tmp_path: Path) -> None:
    path = put(tmp_path / "log.csv", "user,thing,time\nu,i,1\n")
    with pytest.raises(ValueError, match="no column for item_id") as error:
        read_log(path)
    assert str(error.value) == (
        f"{path} has no column for item_id: found user, thing, time; accepted are item_id, item, product_id, "
        "product, sku, article_id, movie_id"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,user,item,time\nu,v,i,1\n", "2 columns named 'user'"),
        (
            "user,item,time,Feature_price_band\nu,i,1,x\n",
            "has a column 'Feature_price_band'; a side feature cannot be called item_id, title, category",
        ),
        ("user,item,date\nu,i,25.11.2017\n", "no time in column 'date' can be read, for example '25.11.2017"),
        ("user,item,date\nu,i,20171125\n", "times in column 'date' look like dates (20171125)"),
        ("user,item,time\n,i,1\nu,,1\n", "no interaction remains of 2 rows; dropped: 1 without a user; 1"),
        ("user,item,time\n", "no interaction remains of 0 rows; dropped: none"),
        ("user,item,time\nu\n", "no interaction remains of 1 rows; dropped: 1 malformed"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    path = put(tmp_path / "log.csv", text)
    with pytest.raises(ValueError, match=r"log.csv") as error:
        read_log(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_wrong_encoding_is_an_error(tmp_path: Path) -> None:
    path = put(tmp_path / "log.csv", "user,item,time\nu,é,1511568000\n", "latin-1")
    with pytest.raises(ValueError, match=r"log.csv cannot be read as delimited text: .*UTF8"):
        read_log(path)


def test_broken_parquet_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"log.parquet is not a Parquet file"):
        read_log(put(tmp_path / "log.parquet", "no"))


def test_a_spreadsheet_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"log.xlsx is a spreadsheet; only Online Retail is read as one"):
        read_log(put(tmp_path / "log.xlsx", "PK"), Mapping(format="table"))


# Writing tables

TEXT = st.text(min_size=1, max_size=4)
EVENT = st.tuples(TEXT, TEXT, TEXT, st.integers(-(10**14), 2 * 10**14))


@st.composite
def logs(draw: st.DrawFn) -> InteractionLog:
    """Any log: ids, titles and profiles of any text, unknown ones among them."""
    drawn = draw(st.lists(EVENT, min_size=1, max_size=8))
    table = pd.DataFrame(drawn, columns=EVENT_COLUMNS)
    table = table.sort_values("event_time_ms", kind="stable", ignore_index=True)
    items = sorted(set(table.item_id))
    users = sorted(set(table.user_id))

    def column(values: st.SearchStrategy[str], count: int) -> list[str]:
        return draw(st.lists(values, min_size=count, max_size=count))

    price = st.floats(0, 1e6) | st.just(float("nan"))
    catalogue = {
        "item_id": pd.Series(items, dtype="str"),
        "title": pd.Series(column(TEXT, len(items)), dtype="str"),
        "category": pd.Series(column(TEXT | st.just(""), len(items)), dtype="str"),
        "price": pd.Series(draw(st.lists(price, min_size=len(items), max_size=len(items))), dtype="float64"),
    }
    for field in draw(st.sampled_from([[], ["Tags"], ["brand", "tags"]])):
        catalogue[field] = pd.Series(column(TEXT | st.just(""), len(items)), dtype="str")
    profiles = {"user_id": users}
    for field in draw(st.sampled_from([[], ["Age"], ["region", "age"]])):
        profiles[field] = column(TEXT | st.just(""), len(users))
    return InteractionLog(
        events=table.astype({"user_id": "str", "item_id": "str", "event_type": "str"}),
        items=pd.DataFrame(catalogue),
        profiles=pd.DataFrame(profiles).astype("str"),
        source="drawn",
    )


@given(logs())
@settings(deadline=None)
def test_a_written_table_reads_back_the_same(log: InteractionLog) -> None:
    with tempfile.TemporaryDirectory() as folder:
        back = read_log(write_table(log, Path(folder) / "log.parquet"))
    assert_same(log, back)
    assert drops(back) == {}


def test_a_part_of_a_log_survives_writing(tmp_path: Path) -> None:
    log = simulate(users=20).log.between(0.2, 0.7)
    assert_same(log, read_log(write_table(log, tmp_path / "log.parquet")))


def test_a_part_of_a_log_keeps_the_sides_of_its_users(tmp_path: Path) -> None:
    log = replace(simulate(users=3).log, sides={"user-1": "train", "user-2": "valid", "user-3": "test"})
    first = log.events.user_id[0]
    assert log.between(0, 1 / len(log.events)).sides == {first: log.sides[first]}
    assert log.between(0, 1).sides == log.sides
    assert read_log(write_table(log, tmp_path / "log.parquet")).sides == {}  # a table has no column for them


def test_events_of_unknown_items_and_users_are_written(tmp_path: Path) -> None:
    log = simulate(users=3).log
    bare = InteractionLog(log.events, log.items.iloc[1:], log.profiles.iloc[1:], "bare")
    back = read_log(write_table(bare, tmp_path / "log.parquet"))
    pd.testing.assert_frame_equal(back.events, log.events)
    first = log.items.item_id[0]
    assert rows(back.items)[0] == (first, first, "", None)
    assert rows(back.profiles)[0] == ("user-1", "", "")


def test_what_a_table_cannot_keep_is_not_written(tmp_path: Path) -> None:
    log = simulate(users=3).log
    short = InteractionLog(log.events.head(1), log.items, log.profiles, "short")
    with pytest.raises(ValueError, match="item_id without an event would be lost"):
        write_table(short, tmp_path / "log.parquet")
    with pytest.raises(ValueError, match=r"log.csv: .* must end in .parquet"):
        write_table(log, tmp_path / "log.csv")


# Online Retail

RETAIL = pd.DataFrame(
    [
        ("536365", "85123A", " WHITE HEART ", 6, "2010-12-01 08:26:00", 2.55, 17850, "United Kingdom"),
        ("536365", 71053, "METAL LANTERN", 6, "2010-12-01 08:26:00", 3.39, 17850, "United Kingdom"),
        ("536366", "85123A", "WHITE HEART", 2, "2010-12-02 09:00:00", 2.75, 12346, "Norway"),
        ("536367", "85123A", "WHITE HEART", 1, "2010-12-02 09:00:00", 9.0, 17850, "EIRE"),
        ("536368", "22", None, 6, "2010-12-02 09:00:00", 0.0, 12346, "Norway"),
        ("536369", "22", "   ", 6, "2010-12-02 09:00:00", 0.0, 12346, "Norway"),
        ("536370", "22", "NA", 6, "2010-12-01 07:00:00", 0.5, 12346, "Norway"),
        ("C536371", "85123A", "WHITE HEART", -6, "2010-12-02 09:00:00", 2.55, 17850, "United Kingdom"),
        ("536372", "85123A", "WHITE HEART", 0, "2010-12-02 09:00:00", 2.55, 17850, "United Kingdom"),
        ("536373", "85123A", "WHITE HEART", 1, "2010-12-02 09:00:00", 2.55, None, "United Kingdom"),
        ("536374", 20713, 20713, -1, "2010-12-02 09:00:00", 2.55, None, "United Kingdom"),
    ],
    columns=[
        *("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"),
        "Country",
    ],
)
EIGHT_26 = 1_291_191_960_000


def retail_xlsx(folder: Path) -> Path:
    path = folder / "Online Retail.xlsx"
    with pd.ExcelWriter(path, engine="openpyxl") as book:
        typed = RETAIL.assign(InvoiceDate=pd.to_datetime(RETAIL.InvoiceDate))
        typed.to_excel(book, sheet_name="Online Retail", index=False)
        pd.DataFrame().to_excel(book, sheet_name="Sheet2", index=False)
    return path


def retail_csv(folder: Path) -> Path:
    RETAIL.to_csv(path := folder / "online_retail.csv", index=False)  # customers become 17850.0
    return path


def retail_spreadsheet_csv(folder: Path) -> Path:
    """The form of a widely spread copy: Latin-1, dates with the month first."""
    when = pd.to_datetime(RETAIL.InvoiceDate)
    us = when.dt.strftime("%m/%d/%Y ").str.lstrip("0") + when.dt.hour.astype(str) + when.dt.strftime(":%M")
    codes = RETAIL.StockCode.replace("22", "£22")
    RETAIL.assign(InvoiceDate=us, StockCode=codes).to_csv(path := folder / "data.csv", index=False, encoding="latin-1")
    return path


def retail_parquet(folder: Path) -> Path:
    path = folder / "online_retail.parquet"
    table = RETAIL.drop(columns=["InvoiceNo", "StockCode"])
    table = table.assign(InvoiceDate=pd.to_datetime(table.InvoiceDate))
    table.astype({"Description": "str", "Quantity": "int32"}).to_parquet(path)
    return path


@pytest.mark.parametrize("make", [retail_xlsx, retail_csv, retail_spreadsheet_csv, retail_parquet])
def test_online_retail_in_all_its_forms(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    assert detect(path) == detect(tmp_path) == "online-retail"
    log = read_log(path)
    assert events(log) == [
        ("12346", "NA", "buy", EIGHT_26 - 86 * 60_000),
        ("17850", "WHITE HEART", "buy", EIGHT_26),
        ("17850", "METAL LANTERN", "buy", EIGHT_26),
        ("12346", "WHITE HEART", "buy", EIGHT_26 + (24 * 60 + 34) * 60_000),
        ("17850", "WHITE HEART", "buy", EIGHT_26 + (24 * 60 + 34) * 60_000),
    ]
    assert rows(log.items) == [
        ("METAL LANTERN", "METAL LANTERN", "", 3.39, ""),
        ("NA", "NA", "", 0.5, ""),
        ("WHITE HEART", "WHITE HEART", "", 2.75, ""),
    ]
    assert rows(log.profiles) == [("12346", "Norway"), ("17850", "EIRE")]
    assert drops(log) == {
        "without a customer": 2,
        "without a description": 2,
        "with a quantity that is not positive": 2,
    }


def test_words_of_the_descriptions_by_hand() -> None:
    titles = pd.Series(["RED T-LIGHT HOLDER", "light, Light and RED", "BLUE HOLDER", "?", "LANTERN"])
    assert shared_words(titles).tolist() == ["red|light|holder", "light|red", "holder", "", ""]
    assert shared_words(titles[3:].reset_index(drop=True)).tolist() == ["", ""]


def test_online_retail_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "other.xlsx"
    pd.DataFrame({"Description": ["x"], "Quantity": [1]}).to_excel(path, index=False)
    missing = "no column InvoiceDate, UnitPrice, CustomerID, Country; found Description, Quantity"
    with pytest.raises(ValueError, match=rf"other.xlsx is not Online Retail: {missing}"):
        read_log(path)
    with pytest.raises(ValueError, match=r"other.xlsx is not a spreadsheet that can be read"):
        read_log(put(path, "no"))
    with pytest.raises(ValueError, match=r"log.csv is not Online Retail: no column Description"):
        read_log(put(tmp_path / "log.csv", "user,item,time\n"), Mapping(format="online-retail"))


def test_online_retail_csv_counts_malformed_rows(tmp_path: Path) -> None:
    path = retail_csv(tmp_path)
    put(path, path.read_text() + "1,2,3\n")
    assert read_log(path).dropped[MALFORMED] == 1


def test_the_real_online_retail() -> None:
    log = read_log(real("online-retail/online_retail.parquet"))
    assert (len(log.events), log.events.user_id.nunique(), len(log.items)) == (397_924, 4_339, 3_866)
    assert drops(log) == {"without a customer": 135_080, "with a quantity that is not positive": 8_905}
    assert log.events.user_id.str.fullmatch(r"\d{5}").all()
    assert log.events.event_time_ms.is_monotonic_increasing
    assert events(log)[0] == ("17850", "WHITE HANGING HEART T-LIGHT HOLDER", "buy", EIGHT_26)


# MovieLens


def flags(*genres: int) -> str:
    return "|".join(str(int(place in genres)) for place in range(19))


def movielens_100k(folder: Path) -> Path:
    put(
        folder / "u.data",
        "196\t242\t3\t881250949\n22\t9\t1\t881250948\n196\t377\t5\t881250950\n22\t242\t1\t881250948\n",
    )
    put(
        folder / "u.item",
        f'9|"Été" d\'or (1996)|01-Jan-1996||http://x?|{flags(5, 8)}\n'
        f"242|Kolya (1996)|24-Jan-1997||x|{flags(1)}\n"
        f"267|unknown||||{flags(0)}\n377|Odd|01-Jan-1994||x|{flags(0)}\n\n",
        "latin-1",
    )
    put(folder / "u.user", "22|7|F|writer|40206\n196|49|M|writer|55105\n5|30|M|none|1\n")
    return folder


def recbole_100k(folder: Path) -> Path:
    put(
        folder / "ml-100k.inter",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "196\t242\t3\t881250949\n22\t9\t1\t881250948\n196\t377\t5\t881250950\n22\t242\t1\t881250948\n",
    )
    put(
        folder / "ml-100k.item",
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        '9\t"Été" d\'or\t1996\tComedy Drama\n242\tKolya\t1996\tAction\n377\tOdd\tV\tunknown\n',
    )
    put(
        folder / "ml-100k.user",
        "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
        "22\t7\tF\twriter\t40206\n196\t49\tM\twriter\t55105\n",
    )
    return folder


@pytest.mark.parametrize("make", [movielens_100k, recbole_100k])
def test_movielens_100k(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    folder = make(tmp_path)
    log = read_log(folder)
    assert events(log) == [
        ("22", "9", "rating", 881_250_948_000),
        ("22", "242", "rating", 881_250_948_000),
        ("196", "242", "rating", 881_250_949_000),
        ("196", "377", "rating", 881_250_950_000),
    ]
    assert rows(log.items) == [
        ("242", "Kolya (1996)", "Action", None, "Action"),
        ("377", "Odd", "", None, ""),
        ("9", '"Été" d\'or (1996)', "Comedy", None, "Comedy|Drama"),
    ]
    assert log.side_features == ["genres"]
    assert rows(log.profiles) == [("196", "M", "40s", "writer"), ("22", "F", "under 10", "writer")]
    assert list(log.profiles) == ["user_id", "gender", "age", "occupation"]
    for file in folder.iterdir():
        assert_same(log, read_log(file))


def movielens_1m(folder: Path) -> Path:
    put(folder / "ratings.dat", "1::1193::5::978300760\n1::3::3::978302109\n2::9::3::978300761\n")
    put(
        folder / "movies.dat",
        "3::Misérables, Les: 2|1 (1995)::Drama|Musical\n1193::One Flew (1975)::Children's\n",
        "latin-1",
    )
    put(folder / "users.dat", "1::F::1::10::48067\n2::M::56::16::70072\n3::M::25::15::55117\n")
    return folder


def test_movielens_1m(tmp_path: Path) -> None:
    log = read_log(movielens_1m(tmp_path))
    assert events(log) == [
        ("1", "1193", "rating", 978_300_760_000),
        ("2", "9", "rating", 978_300_761_000),
        ("1", "3", "rating", 978_302_109_000),
    ]
    assert rows(log.items) == [
        ("1193", "One Flew (1975)", "Children's", None, "Children's"),
        ("3", "Misérables, Les: 2|1 (1995)", "Drama", None, "Drama|Musical"),
        ("9", "9", "", None, ""),  # rated, but not among the movies
    ]
    assert rows(log.profiles) == [("1", "F", "under 18", "K-12 student"), ("2", "M", "56+", "self-employed")]
    assert detect(tmp_path / "users.dat") == "movielens-1m"


def test_movielens_counts_malformed_ratings(tmp_path: Path) -> None:
    folder = movielens_1m(tmp_path)
    put(folder / "ratings.dat", "1::1193::5::978300760\n1::1193::5\n1::3::3::soon\n::3::3::978300760\n")
    assert drops(read_log(folder)) == {MALFORMED: 1, "without a user": 1, "without a readable time": 1}


@pytest.mark.parametrize(
    ("make", "file"),
    [(movielens_100k, "u.item"), (movielens_1m, "users.dat"), (recbole_100k, "ml-100k.user")],
)
def test_movielens_needs_its_other_files(tmp_path: Path, make: Callable[[Path], Path], file: str) -> None:
    folder = make(tmp_path)
    put(folder / file, (folder / file).read_text("latin-1") + "1\n")
    with pytest.raises(ValueError, match=f"{file} cannot be read as delimited text"):
        read_log(folder)
    (folder / file).unlink()
    with pytest.raises(FileNotFoundError, match=f"MovieLens needs {file}"):
        read_log(folder)


def test_the_real_movielens_100k() -> None:
    log = read_log(real("ml-100k"))
    assert (len(log.events), len(log.profiles), len(log.items)) == (100_000, 943, 1_682)
    assert drops(log) == {}
    assert rows(log.items[log.items.item_id == "89"]) == [
        ("89", "Blade Runner (1982)", "Film-Noir", None, "Film-Noir|Sci-Fi")
    ]
    assert (log.items.category == "").sum() == 2
    assert rows(log.profiles[log.profiles.user_id == "1"]) == [("1", "M", "20s", "technician")]


# Taobao


def test_taobao(tmp_path: Path) -> None:
    path = put(
        tmp_path / "UserBehavior.csv",
        "1,100,7,pv,1511539200\n"  # midnight of 25 November in China
        "1,100,7,pv,1511539199\n"
        "2,100,8,buy,1512316799\n"  # the last second of 3 December
        "2,100,8,buy,1512316800\n"
        "2,101,8,cart,1511600000\n"
        "2,101,8,fav,1511600000\n"
        "2,101,8,look,1511600000\n"
        "2,101,8,fav,-1511600000\n"
        "2,101,8,fav\n"
        ",101,8,fav,1511600000\n"
        "2,101,8,fav,late\n",
    )
    log = read_log(path)
    assert events(log) == [
        ("1", "100", "pv", 1_511_539_200_000),
        ("2", "101", "cart", 1_511_600_000_000),
        ("2", "101", "fav", 1_511_600_000_000),
        ("2", "100", "buy", 1_512_316_799_000),
    ]
    assert rows(log.items) == [
        ("100", "item 100 (category 8)", "8", None),
        ("101", "item 101 (category 8)", "8", None),
    ]
    assert rows(log.profiles) == [("1",), ("2",)]
    assert drops(log) == {
        MALFORMED: 1,
        "with an unknown behaviour": 1,
        "outside 2017-11-25 to 2017-12-03 (China time)": 3,
        "without a user": 1,
        "without a readable time": 1,
    }


@pytest.mark.parametrize(
    ("file", "kept", "dropped"),
    [("UserBehavior_815users.csv", 84_440, 35), ("UserBehavior_2h_stream.csv", 96_168, 0)],
)
def test_the_real_taobao(file: str, kept: int, dropped: int) -> None:
    log = read_log(real(f"taobao-userbehavior/{file}"))
    assert len(log.events) == kept
    assert log.dropped["outside 2017-11-25 to 2017-12-03 (China time)"] == dropped
    assert sum(log.dropped.values()) == dropped
    assert set(log.events.event_type) == {"pv", "cart", "fav", "buy"}


# ComiRec


def sequences(folder: Path, train: str, valid: str = "", test: str = "", name: str = "Shop") -> Path:
    """The three files; returns the folder."""
    for side, content in {"train": train, "valid": valid, "test": test}.items():
        put(folder / f"{name}_{side}.txt", content)
    return folder


BLANKS = ["7 30 10 20\n8 10\n", "11 20 30\n", "9 10 10\n"]
COMMAS = ["7,30,4\n7,20,11\n8,10,0\n7,10,5\n", "11,20,-1\n11,30,0\n", "9,10,0\n9,10,0\n"]  # 11 after 5: as numbers
FIRST, SECOND, THIRD = 0, 1, 2


@pytest.mark.parametrize("files", [BLANKS, COMMAS])
def test_comirec_in_both_layouts(tmp_path: Path, files: list[str]) -> None:
    log = read_log(sequences(tmp_path, *files))
    assert events(log) == [
        ("7", "30", "interaction", FIRST),
        ("8", "10", "interaction", FIRST),
        ("9", "10", "interaction", FIRST),
        ("11", "20", "interaction", FIRST),
        ("7", "10", "interaction", SECOND),
        ("9", "10", "interaction", SECOND),
        ("11", "30", "interaction", SECOND),
        ("7", "20", "interaction", THIRD),
    ]
    assert rows(log.items) == [("10", "10", "", None), ("20", "20", "", None), ("30", "30", "", None)]
    assert rows(log.profiles) == [("11",), ("7",), ("8",), ("9",)]
    assert log.sides == {"7": "train", "8": "train", "11": "valid", "9": "test"}
    assert drops(log) == {}
    assert log.source == "Shop"
    for file in tmp_path.iterdir():
        assert detect(file) == "comirec"
        assert_same(log, read_log(file))


def test_comirec_takes_what_is_known_of_items(tmp_path: Path) -> None:
    folder = sequences(tmp_path, *BLANKS)
    put(folder / "Shop_items_joined.csv", "item_id,asin,other,attribute_ids\n10,B10,5,4|17\n20,,6,\n99,B99,7,4\n")
    put(folder / "Shop_item_cate.txt", "30,3\n10,2\n10,1\n")
    log = read_log(folder / "Shop_items_joined.csv")
    assert list(log.items) == ["item_id", "title", "category", "price", "attribute"]
    assert rows(log.items) == [
        ("10", "B10", "1", None, "4|17"),
        ("20", "20", "", None, ""),
        ("30", "30", "3", None, ""),
    ]
    put(folder / "Shop_items_joined.csv", "item,attribute_ids\n10,4\n")
    with pytest.raises(ValueError, match=r"Shop_items_joined.csv has no column item_id; found item, attribute_ids"):
        read_log(folder)


def test_comirec_counts_the_lines_that_it_cannot_read(tmp_path: Path) -> None:
    train = " 1  5\t0 6 0 \n2\n3 7 x 8\n4 5.0\n\n10 5\n11 0 0\n12 99999999999999999999\n"
    log = read_log(sequences(tmp_path, train, "13,5,0\n13,5\n13,x,1\n13,,2\n 13 ,0, 3\n13,7,soon\n", "14\n"))
    assert [row[:2] for row in events(log)] == [("1", "5"), ("10", "5"), ("13", "5"), ("1", "6"), ("13", "0")]
    assert log.events.event_time_ms.tolist() == [0, 0, 0, 1, 1]  # padding takes no position
    assert drops(log) == {
        MALFORMED: 1,
        "malformed (no items)": 2,
        "malformed (not integers)": 3 + 3,
        "of item 0 (padding)": 4,
    }
    assert log.sides == {"1": "train", "10": "train", "13": "valid"}


def test_comirec_goes_on_where_a_user_has_a_second_line(tmp_path: Path) -> None:
    log = read_log(sequences(tmp_path, "1 5 6\n2 5\n1 7\n"))
    assert log.events[log.events.user_id == "1"].item_id.tolist() == ["5", "6", "7"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ["1 5\n2 5\n", "3 5\n", "4 5\n2 6\n"],
            "1 of the users are .*Shop_train.txt and in Shop_test.txt.*'2';",
        ),
        (
            ["1,5,0\n", "3 5\n4 5", "4 5\n3 5"],
            "2 of the users are .*Shop_valid.txt and in Shop_test.txt.*'3';",
        ),
        (["1\n", "2 x\n", "3 0\n"], "no interaction remains of 3 rows; dropped: 1 malformed .no items.; 1 mal.*; 1 of"),
        (["", "", ""], "no interaction remains of 0 rows; dropped: none"),
    ],
)
def test_comirec_that_cannot_be_used(tmp_path: Path, files: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_log(sequences(tmp_path, *files))


def test_comirec_is_three_files_of_one_name(tmp_path: Path) -> None:
    sequences(tmp_path, *BLANKS)
    sequences(tmp_path, "1 2\n", name="a_train")
    with pytest.raises(ValueError, match=r"several sets of files \(Shop, a_train\); give the path of one"):
        read_log(tmp_path)
    assert len(read_log(tmp_path / "a_train_test.txt").events) == 1
    (tmp_path / "Shop_valid.txt").unlink()
    assert len(read_log(tmp_path).events) == 1
    with pytest.raises(ValueError, match="cannot tell the format"):
        read_log(tmp_path / "Shop_train.txt")
    with pytest.raises(FileNotFoundError, match=r"ComiRec needs <name>_train.txt, _valid.txt and _test.txt; not all"):
        read_log(tmp_path / "Shop_train.txt", Mapping(format="comirec"))


def test_the_real_beauty() -> None:
    start = time.monotonic()
    log = read_log(real("amazon-beauty"))
    assert time.monotonic() - start < 10  # it takes half a second
    assert (len(log.events), len(log.profiles), len(log.items)) == (198_502, 22_363, 12_101)
    assert drops(log) == {}
    assert Counter(log.sides.values()) == {"train": 17_890, "valid": 2_236, "test": 2_237}
    ours = log.events[log.events.user_id == "4786"]
    assert ours.item_id.tolist() == ["22", "3576", "5336", "128", "4972", "1463", "8109"]
    assert ours.event_time_ms.tolist() == [*range(7)]
    assert log.events.event_time_ms.is_monotonic_increasing
    assert rows(log.items[log.items.item_id == "2"]) == [("2", "B0043OYFKU", "", None, "52|17|2|39|363")]


# Telling the format


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("notes.txt", "user,item,time\n"),
        ("log.csv", "a,b,c\n1,2,3\n"),
        ("log.csv", ""),
        ("u.user", "1|2|F|x|y\n"),
    ],
)
def test_an_unknown_thing_names_the_path_and_the_formats(tmp_path: Path, name: str, text: str) -> None:
    path = put(tmp_path / name, text)
    with pytest.raises(ValueError, match="cannot tell the format") as error:
        read_log(path)
    assert str(path) in str(error.value)
    assert all(kind in str(error.value) for kind in FORMATS)


def test_a_folder_is_read_by_its_one_data_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file of a known kind; the formats are table, online-retail"):
        read_log(tmp_path)
    put(tmp_path / "README.txt", "about")
    put(tmp_path / "a.csv", "user,item,time\nu,i,1511568000\n")
    assert events(read_log(tmp_path)) == events(read_log(tmp_path, Mapping(format="table")))
    put(tmp_path / "b.csv", "user,item,time\n")
    with pytest.raises(ValueError, match=r"several data files \(a.csv, b.csv\); give the path of one"):
        read_log(tmp_path)


def test_missing_paths_and_unknown_formats(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file or folder at .*nowhere.csv"):
        read_log(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match="unknown format 'csv'; expected one of: auto, table, online-retail"):
        read_log(tmp_path, "csv")
