"""Catalogues and profiles beside a log: --items and --users."""

from pathlib import Path

import pandas as pd
import pytest

from model_export.readers import Mapping, read_log
from tests.support.logs import cells, json_lines, put, rows, text

BARE = [row[:3] for row in cells()]


def bare(folder: Path, item: str = "item_id") -> Path:
    """A log of 20 events with nothing known of the items lamp-0 to lamp-7."""
    return put(folder / "log.csv", text(BARE, header=["user_id", item, "timestamp"]))


def title(folder: Path, name: str, content: str | bytes, **mapping: object) -> str:
    """The title of lamp-0 by a catalogue."""
    path = put(folder / name, content)
    log = read_log(bare(folder), Mapping.model_validate({"items": path, **mapping}))
    return str(log.items.set_index("item_id").title["lamp-0"])


def test_in_full(tmp_path: Path) -> None:
    items = put(
        tmp_path / "items.csv",
        "sku;Product Name;category;price;Feature_tags;weight\n"
        "lamp-0;Zero;floor;1.299,00 EUR;a|b;7\n lamp-1 ;One;;9,50;;8\nlamp-99;Never bought;;;;\n;x;;;;\n",
    )
    users = put(tmp_path / "users.csv", "user_id,profile_city,age\nu-0,York,40\nu-1,,\nu-0,Leeds,41\nstranger,x,1\n")
    log = read_log(bare(tmp_path), Mapping(items=items, users=users))
    assert rows(log.items[:3]) == [
        ("lamp-0", "Zero", "floor", 1299.0, "a|b"),
        ("lamp-1", "One", "", 9.5, ""),
        ("lamp-2", "lamp-2", "", None, ""),
    ]
    assert log.side_features == ["tags"]
    assert rows(log.profiles[:2]) == [("u-0", "Leeds", "41"), ("u-1", "", "")]
    assert log.notes[0] == (
        "catalogue: 2 of 8 items found, under half (an id of the log is 'lamp-2', there 'lamp-0'); "
        "item from sku, title from Product Name, category from category, price from price; not used: weight"
    )
    assert "1 rows beside the log have no item_id" in log.notes
    assert (
        "profiles: 2 of 6 users found, under half (an id of the log is 'u-2', there 'u-0'); user from user_id, "
        "profile_city, profile_age"
    ) in log.notes


@pytest.mark.parametrize(("first", "count"), [(0, 8), (3, 5), (4, 4)])
def test_how_many_items_are_found_is_always_said(tmp_path: Path, first: int, count: int) -> None:
    lines = "".join(f"lamp-{n},Lamp\n" for n in range(first, 8))
    log = read_log(bare(tmp_path), Mapping(items=put(tmp_path / "items.csv", "item_id,title\n" + lines)))
    assert log.notes[0] == f"catalogue: {count} of 8 items found; item from item_id, title from title"


def test_a_file_of_other_ids_is_told_by_an_example_of_both(tmp_path: Path) -> None:
    items = put(tmp_path / "items.csv", "item_id,title\n77,Lamp\n")
    users = put(tmp_path / "users.csv", "user_id,age\n88,40\n")
    notes = read_log(bare(tmp_path), Mapping(items=items, users=users)).notes
    assert any("0 of 8 items found, none at all (an id of the log is 'lamp-0', there '77')" in note for note in notes)
    assert any("0 of 6 users found, none at all (an id of the log is 'u-0', there '88')" in note for note in notes)


def test_a_column_of_ids_without_a_usual_name_is_the_one_that_holds_the_logs_ids(tmp_path: Path) -> None:
    lines = "".join(f"{n},lamp-{n},Lamp\n" for n in range(4))
    items = put(tmp_path / "items.csv", "nr,kennung,title\n" + lines)
    users = put(tmp_path / "users.csv", "who,age\n" + "".join(f" u-{n} ,4{n}\n" for n in range(6)))
    log = read_log(bare(tmp_path), Mapping(items=items, users=users))
    assert log.items.title[0] == "Lamp"
    assert log.profiles.age.tolist() == ["40", "41", "42", "43", "44", "45"]
    assert log.notes[0] == "catalogue: 4 of 8 items found; item from kennung, title from title; not used: nr"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.csv", "item_id,title\nlamp-0,Zero\n"),
        ("items.csv.gz", "item_id,title\nlamp-0,Zero\n"),
        ("items.csv", "id,title\nlamp-0,Zero\n"),
        ("items.csv", "Item ID;Title\nlamp-0;One\n lamp-0 ;Zero\n"),
        ("items.csv", 'item_id,title\nlamp-0,"Zero"\nlamp-1,"One\nof two, or more"\n'),
        ("items.jsonl", json_lines([{"item_id": "lamp-0", "title": "Zero"}])),
        ("items.json", '[{"item_id": "lamp-0", "title": "Zero"}]'),
    ],
)
def test_kinds_of_catalogues(tmp_path: Path, name: str, content: str) -> None:
    assert title(tmp_path, name, content) == "Zero"


def test_parquet_and_spreadsheets(tmp_path: Path) -> None:
    table = pd.DataFrame({"item_id": ["lamp-0"], "title": ["Zero"]})
    table.to_parquet(tmp_path / "items.parquet")
    table.to_excel(tmp_path / "items.xlsx", index=False)
    for name in ("items.parquet", "items.xlsx"):
        assert title(tmp_path, name, (tmp_path / name).read_bytes()) == "Zero"


def test_numbers_of_both_sides_are_the_same(tmp_path: Path) -> None:
    pd.DataFrame({"item_id": [1.0, None], "title": ["One", "none"]}).to_parquet(tmp_path / "items.parquet")
    path = put(tmp_path / "log.csv", "user,item,time\nu,1,1750000000\n")
    assert rows(read_log(path, Mapping(items=tmp_path / "items.parquet")).items) == [("1", "One", "", None)]


def test_columns_as_in_the_log_or_as_the_mapping_says(tmp_path: Path) -> None:
    items = put(tmp_path / "items.csv", "lamp,item_id,label\nlamp-0,other,Zero\n")
    log = read_log(bare(tmp_path, "lamp"), Mapping(item="lamp", title="label", items=items))
    assert log.items.title[0] == "Zero"


@pytest.mark.parametrize("option", ["items", "users"])
def test_files_that_cannot_be_used(tmp_path: Path, option: str) -> None:
    key = {"items": "item", "users": "user"}[option]
    path = tmp_path / f"{option}.csv"
    with pytest.raises(FileNotFoundError, match=rf"no file at .*{option}.csv"):
        read_log(bare(tmp_path), Mapping.model_validate({option: path}))
    for content, message in (
        (b"thing,title\na,b\n", rf"no column .* the {key}: found thing, title; right is {key}_id as in the log"),
        (f"{key}_id,city\nu-0,Köln\n".encode("latin-1"), "is not in UTF-8 .*--encoding says"),
        (b"", "is empty"),
    ):
        with pytest.raises(ValueError, match=rf"{option}.csv.*{message}"):
            read_log(bare(tmp_path), Mapping.model_validate({option: put(path, content)}))


def test_what_is_lost_of_a_catalogue_is_said(tmp_path: Path) -> None:
    items = put(tmp_path / "items.csv", "item_id,title\nlamp-0,Zero\nlamp-1,One,too many\nlamp-2\n")
    log = read_log(bare(tmp_path), Mapping(items=items))
    assert log.notes[0].startswith(
        "2 lines are malformed (wrong number of columns); the first: items.csv line 3: 'lamp-1"
    )
    assert log.dropped == {}
    items = put(
        items, 'item_id,title,kind\nlamp-0,Zero,a\nlamp-1,"One,a\nlamp-2,Two,a\nlamp-3,Three",a\nlamp-4,Four,a\n'
    )
    log = read_log(bare(tmp_path), Mapping(items=items))
    assert log.notes[0].startswith("quotes are read as plain characters, since stray ones would have swallowed")
    assert log.items.title.tolist()[:5] == ["Zero", '"One', "Two", 'Three"', "Four"]
