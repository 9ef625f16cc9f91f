"""A table of one's own: fields by the names of columns, events in order, what is known of items and users."""

from pathlib import Path

import pytest

from model_export.readers import Mapping, formats, read_log
from tests.support.logs import AT, MALFORMED, cells, edited, events, put, rows, text


def test_in_full(tmp_path: Path) -> None:
    path = put(
        tmp_path / "log.csv",
        "Customer ID,SKU,Timestamp,Action,Product Name,Category,Unit_Price,profile_city,feature_brand,Feature_Tags\n"
        "007,b,1750000002,buy,Bowl,kitchen,4.50,Leeds,Oak & Co,wood|round\n"
        "8,a,1750000001,click,,,,,,\n"
        "007,a,1750000002,,Ape,toys,free,York,,soft\n"
        "007,b,1750000003,click,Big bowl,,5,,,wood|large\n",
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
    assert log.dropped == {}
    assert log.source == "log.csv"
    assert log.columns == {
        **{"user": "Customer ID", "item": "SKU", "time": "Timestamp", "type": "Action", "title": "Product Name"},
        **{"category": "Category", "price": "Unit_Price", "profile_city": "profile_city"},
        **{"feature_brand": "feature_brand", "feature_Tags": "Feature_Tags"},
    }
    assert log.notes == ("1 of 2 prices cannot be read, for example 'free'",)


def test_without_anything_optional(tmp_path: Path) -> None:
    log = read_log(put(tmp_path / "log.csv", "user,item,time\nu,i,1750000000\n"))
    assert events(log) == [("u", "i", "interaction", AT)]
    assert rows(log.items) == [("i", "i", "", None)]
    assert list(log.profiles) == ["user_id"]
    kinds = log.events.dtypes.astype(str).to_dict() | log.items.dtypes.astype(str).to_dict()
    assert kinds == {
        **dict.fromkeys(["user_id", "event_type"], "category"),
        **dict.fromkeys(["item_id", "title", "category"], "str"),  # the dtypes of items are listed last
        **{"event_time_ms": "int64", "price": "float64"},
    }


def test_every_row_is_kept_or_counted(tmp_path: Path) -> None:
    path = put(
        tmp_path / "log.csv",
        "user,item,time\nu,i,1750000000\n,i,1750000000\nu,NULL,1750000000\nu,i,\n,,\n"
        "u,i\nu,i,1750000000,4\n\nu,i,1750000001\nu,i,12\nu,i,9999999999\n",
    )
    log = read_log(path)
    assert log.dropped == {
        MALFORMED: 2,
        "without a user": 2,
        "without an item": 1,
        "without a readable time": 1,
        "with a time outside of 1973 to 2100, which the stream does not take": 2,
    }
    assert len(log.events) == 2
    assert f"2 lines are {MALFORMED}; the first: log.csv line 7: 'u,i'" in log.notes


def test_what_is_longer_than_the_stream_takes_is_counted(tmp_path: Path) -> None:
    table = [["u" * 127, "i" * 512, "t" * 64], ["é" * 128, "i", "t"], ["u", "i" * 513, "t"], ["u", "i", "t" * 65]]
    lines = [[user, item, "1750000000", kind] for user, item, kind in table]
    log = read_log(put(tmp_path / "log.csv", text(lines, header=["user", "item", "time", "type"])))
    assert [row[:3] for row in events(log)] == [("u" * 127, "i" * 512, "t" * 64)]
    assert log.dropped == {
        "with a user id of more than 127 characters": 1,
        "with an item id of more than 512 characters": 1,
        "with an event type of more than 64 characters": 1,
    }


def test_many_event_types(tmp_path: Path) -> None:
    lines = [["u", "i", str(AT // 1000 + n), f"type {n}"] for n in range(40_000)]  # more than 16 bits count
    log = read_log(put(tmp_path / "log.csv", text(lines, header=["user", "item", "time", "type"])))
    assert log.events.event_type.astype(str).tolist() == [f"type {n}" for n in range(40_000)]


def test_of_several_columns_for_a_field_the_first_counts(tmp_path: Path) -> None:
    log = read_log(put(tmp_path / "log.csv", "User ID,user_id,name,title,item,time\nu,v,n,t,i,1750000000\n"))
    assert log.events.user_id.tolist() == ["u"]
    assert log.items.title.tolist() == ["t"]  # "title" comes before "name" among the accepted names


def test_of_several_columns_that_are_named_the_first_known_counts(tmp_path: Path) -> None:
    lines = [["a", "x"], ["", "x"], ["NA", "x"], [" null ", "y"], ["", ""]]
    path = put(tmp_path / "log.csv", text([[*line, "i", "1750000000"] for line in lines], header=list("uvit")))
    log = read_log(path, Mapping(user="u,v", item="i", time="t"))
    assert log.events.user_id.tolist() == ["a", "x", "x", "y"]
    assert log.dropped == {"without a user": 1}
    assert log.columns["user"] == "u,v"


def test_equal_times_keep_their_order(tmp_path: Path) -> None:
    lines = "".join(f"u,{n},{1750000000 + n % 2}\n" for n in range(100))
    log = read_log(put(tmp_path / "log.csv", "user,item,time\n" + lines))
    assert log.events.item_id.astype(int).tolist() == [*range(0, 100, 2), *range(1, 100, 2)]


def test_an_order_without_times(tmp_path: Path) -> None:
    lines = [["u", "b", "2"], ["v", "x", "7"], ["u", "a", "1"], ["u", "c", "soon"], ["u", "d", "10"]]
    path = put(tmp_path / "log.csv", text(lines, header=["user", "item", "nth"]))
    log = read_log(path, Mapping(untimed=True, time="nth"))
    assert [(user, item, at) for user, item, _, at in events(log)] == [
        *[("v", "x", 0), ("u", "a", 0), ("u", "b", 1), ("u", "d", 2)]
    ]
    assert log.dropped == {"without a readable order": 1}
    assert not log.timed
    by_rows = read_log(path, Mapping(untimed=True))
    assert [item for user, item, _, _ in events(by_rows) if user == "u"] == ["b", "a", "c", "d"]


def test_the_latest_events_of_a_user(tmp_path: Path) -> None:
    path = put(tmp_path / "log.csv", text(cells()))
    log = read_log(path, Mapping(max_events_per_user=2))
    kept = [row for n, row in enumerate(cells()) if n + 12 >= 20]  # each sixth row is of the same user
    assert [user for user, *_ in events(log)] == [user for user, *_ in kept]
    assert log.dropped == {"beyond the latest 2 of their user": 8}
    assert read_log(path, Mapping(max_events_per_user=20)).dropped == {}


def test_ratings_below_a_value(tmp_path: Path) -> None:
    values = ["5", "2.5", "3", "", "good", "3,5"]
    lines = [[f"u{n}", "i", "1750000000", value] for n, value in enumerate(values)]
    path = put(tmp_path / "log.csv", text(lines, ";", ["user", "item", "time", "stars"]))
    log = read_log(path, Mapping(min_value=3))
    assert log.events.user_id.tolist() == ["u0", "u2", "u5"]
    assert log.dropped == {"with a value below 3": 1, "without a readable value": 2}
    assert read_log(path).notes == (
        "the column 'stars' is not used: every row counts, whatever its value; "
        "`--value stars --min-value 3` leaves out those below 3",
    )


def test_a_column_that_names_events_is_no_title(tmp_path: Path) -> None:
    names = [["page_view", "add_to_cart"][n % 2] for n in range(20)]
    lines = [[*row[:3], name] for row, name in zip(cells(), names, strict=True)]
    log = read_log(
        put(tmp_path / "log.csv", text(lines, header=[*"uit", "name"])), Mapping(user="u", item="i", time="t")
    )
    assert log.items.title.tolist() == log.items.item_id.tolist()
    assert log.events.event_type.tolist() == names
    assert log.notes == ("the column 'name' names events: it is the type, and no item's title",)


def test_a_title_that_changes_from_event_to_event_is_none(tmp_path: Path) -> None:
    lines = [[*row[:3], ["red", "blue", "green"][n % 3]] for n, row in enumerate(cells(48))]
    path = put(tmp_path / "log.csv", text(lines, header=["user", "item", "time", "name"]))
    log = read_log(path)
    assert log.items.title.tolist() == log.items.item_id.tolist()
    assert "most items have several: it is not taken as title; --title names another column" in log.notes[0]
    assert set(read_log(path, Mapping(title="name")).items.title) <= {"red", "blue", "green"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("user,thing,time\nu,i,1\n", "no column that is known to hold the item: found user, thing, time; --item names"),
        (
            "user,item\nu,i\n",
            "the time: found user, item; --time names it, or --untimed says that there is only an order",
        ),
        ("u,i,1750000000\n", "the user: found u, i, 1750000000; --user names it"),
        ("u,i,1750000000\n", "; --columns names all of them where the file has no header, --skip-lines skips lines"),
        (f"{'x' * 99},b\n1,2\n", f"found {'x' * 60}..., b;"),
        ("user,item,time,Feature_price_band\nu,i,1,x\n", "a side feature cannot be called item_id, title, category"),
        ("user,item,date\nu,i,25.13.2017\n", "times in column 'date' cannot be read"),
        ("user,item,time\n,i,1750000000\nu,,1750000000\n", "of 2 rows; left out: 1 without a user; 1 without an item"),
        ("user,item,time\n", "no interaction remains of 0 rows"),
        ("user,item,time\nu\n", "no interaction remains of 0 rows; left out: 1 malformed"),
        ("", "is empty"),
        ("\n \n", "is empty"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, content: str, message: str) -> None:
    path = put(tmp_path / "log.csv", content)
    with pytest.raises(ValueError, match=r"log.csv") as error:
        read_log(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("field", ["user", "item", "time", "type", "value", "title", "category", "price"])
def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, field: str) -> None:
    path = put(tmp_path / "log.csv", text(cells()))
    with pytest.raises(ValueError, match=rf"no column 'xyz' \(--{field}\); found user_id, item_id, timestamp, title"):
        read_log(path, Mapping.model_validate({field: "xyz"}))


def test_paths_and_formats(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file or folder at .*nowhere.csv"):
        read_log(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match="unknown format 'csv'; expected one of: auto, table, movielens-100k") as error:
        read_log(tmp_path, Mapping(format="csv"))
    assert all(name in str(error.value) for name in formats())
    path = put(tmp_path / "ratings.csv", "userId,movieId,rating,timestamp\n1,2,5,1750000000\n")
    put(tmp_path / "movies.csv", 'movieId,title,genres\n2,"Film, The",Drama\n')
    assert rows(read_log(path).items) == [("2", "Film, The", "Drama", None, "Drama")]
    assert rows(read_log(path, Mapping(format="table")).items) == [("2", "2", "", None)]
    assert rows(read_log(path, Mapping(user="userId")).items) == [("2", "2", "", None)]  # its columns are said


def test_ids_that_a_spreadsheet_has_rounded_are_said(tmp_path: Path) -> None:
    path = put(tmp_path / "log.csv", text(edited(cells(), (3, 0, lambda _: "1.23E+11"))))
    assert read_log(path).notes == (
        "1 user ids read like '1.23E+11': a spreadsheet has rounded them, and several may have become one; "
        "export them as text",
    )
