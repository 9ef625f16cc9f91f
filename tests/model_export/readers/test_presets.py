"""Presets: each publisher's files, made small, are recognised and read as what they are; others' are not."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from model_export.data.interactions import InteractionLog
from model_export.readers import read_log
from model_export.readers.presets import PRESETS, preset, recognise
from model_export.readers.presets.peek import found_at
from testbed.look_alikes import LOOK_ALIKES, Expected, LookAlike


def known(value: object) -> object:
    return "" if value is None or value != value else value  # NaN is not itself


def assert_is(log: InteractionLog, expected: Expected) -> None:
    events, items, profiles = log.events, log.items.set_index("item_id"), log.profiles.set_index("user_id")
    assert len(events) == expected.events
    assert events.user_id.nunique() == expected.users
    assert events.item_id.nunique() == expected.items
    if expected.types:
        assert events.event_type.value_counts().to_dict() == dict(expected.types)
    days = pd.to_datetime(events.event_time_ms, unit="ms").dt.date
    if expected.first is not None:
        assert (days.min(), days.max()) == (expected.first, expected.last)
    assert log.timed == (expected.first is not None)
    assert {item: items.title[item] for item in expected.titles} == dict(expected.titles)
    assert {item: known(items.category[item]) for item in expected.categories} == dict(expected.categories)
    assert {item: float(items.price[item]) for item in expected.prices} == pytest.approx(dict(expected.prices))
    for item, features in expected.features.items():
        assert {name: known(items[name][item]) for name in features} == dict(features)
    for user, fields in expected.profiles.items():
        assert {name: known(profiles[name][user]) for name in fields} == dict(fields)
    assert {reason: log.dropped[reason] for reason in expected.left_out} == dict(expected.left_out)
    for user, order in expected.orders.items():
        assert events[events.user_id == user].item_id.tolist() == order


@pytest.mark.parametrize("one", LOOK_ALIKES, ids=lambda one: one.name)
def test_by_the_folder(one: LookAlike, tmp_path: Path) -> None:
    expected = one.write(tmp_path)
    if not one.by_folder:
        pytest.skip("a file of any name")
    found = recognise(found_at(tmp_path))
    assert found is not None
    assert found.name == one.preset
    assert_is(read_log(tmp_path), expected)


@pytest.mark.parametrize("one", LOOK_ALIKES, ids=lambda one: one.name)
def test_by_the_file(one: LookAlike, tmp_path: Path) -> None:
    expected = one.by_file(one.write(tmp_path))
    if not one.file:
        pytest.skip("a folder of parts")
    found = recognise(found_at(tmp_path / one.file))
    assert found is not None
    assert found.name == one.preset
    assert_is(read_log(tmp_path / one.file), expected)


@pytest.mark.parametrize(
    "one", [one for one in LOOK_ALIKES if one.file and not one.file.endswith(".parquet")], ids=lambda one: one.name
)
def test_compressed(one: LookAlike, tmp_path: Path) -> None:
    expected = one.by_file(one.write(tmp_path))
    for file in list(tmp_path.iterdir()):
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert_is(read_log(tmp_path / f"{one.file}.gz"), expected)


def put(folder: Path, files: dict[str, str]) -> Path:
    """Write files; the path of the only one, or the folder of several."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder / next(iter(files)) if len(files) == 1 else folder


@pytest.mark.parametrize(
    "files",
    [
        {"log.csv": "user_id,item_id,timestamp\nu,i,1750000000\n"},
        {"ratings.csv": "user_id,item_id,rating,timestamp\n1,2,5,1750000000\n"},
        {"ratings.csv": "user_id,book_id,rating,timestamp\n1,2,5,1750000000\n"},
        {"log.csv": "user_id,book_id,rating\n1,2,5\n"},
        {"ratings.csv": "userId,movieId,rating,timestamp\n1,2,5,1\n", "other.csv": "userId,movieId,tag\n1,2,x\n"},
        {"log.csv": "userId,movieId,rating,timestamp,device\n1,2,5,1750000000,tv\n"},
        {"ratings.dat": "user::item::rating::time\n"},
        {"u.user": "1|24|M|technician|85711\n"},
        {"events.csv": "timestamp,visitorid,event,itemid\n1750000000000,1,view,2\n"},
        {"orders.csv": "user_id,order_number,product_id\n1,1,5\n"},
        {"orders.csv": "order_id,user_id,order_number\n1,1,5\n", "products.csv": "product_id,product_name\n5,Tea\n"},
        {"views.csv": "session_id;user_id;item_id;timestamp\n1;NA;5;1750000000\n"},
        {"sales.csv": "t_dat,customer_id,article_id\n2020-01-01,1,5\n"},
        {"clicks.dat": "1,5,2025-06-15T15:06:40.000Z,0\n"},
        {"log.dat": "1,2025-06-15T15:06:40.000Z,5,0\n"},
        {"log.csv": "1,100,7,look,1511539200\n"},
        {"log.csv": "B000LAMP01,A2SUAM1J3GNN3B,12.5,1750000000\n"},
        {"log.csv": "B000LAMP01,B000LAMP02,5.0,1750000000\n"},
        {"ratings.txt": "1 1193 5 978300760\n1 661 3 978302109\n2 5 4 978301968\n"},
        {"ratings.txt": "1 1193 5 3\n2 661 3 4\n"},
        {"train.txt": "1 1193 5\n1 661 3\n2 5 4\n"},
        {"words.txt": "one two\nthree four\n"},
        {"pairs.csv": "1 2\n3 4\n"},
        {"Shop_train.txt": "1 5 6\n2 5\n"},
        {"events.jsonl": '{"user_id": "u", "item_id": "i", "event_time_ms": 1750000000000, "event_type": "click"}\n'},
        {"events.jsonl": '{"type": "click", "userId": "u", "itemId": "i", "timestamp": 1750000000}\n'},
        {"events.jsonl": '{"session": 1, "events": [{"item": 5, "time": 1}]}\n'},
        {"log.tsv": "1\tu\t06/15/2025 1:05:58 PM\tN1 N2\tclicked\n"},
        {"log.tsv": "userID\tartistID\tname\n1\t50\tx\n"},
        {"shop.inter": "user_id\titem_id\ttimestamp\n1\t2\t1750000000\n"},
        {"user_log_format1.csv": "user_id,item_id,time_stamp,action_type\n1,2,0829,0\n"},
        {"log.csv": ""},
    ],
    ids=lambda files: " ".join(files),
)
def test_a_strangers_log_is_no_preset(files: dict[str, str], tmp_path: Path) -> None:
    assert recognise(found_at(put(tmp_path, files))) is None


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("movielens-100k", "u.item", "MovieLens needs u.item beside its other files; there is none in"),
        ("movielens-1m", "users.dat", "MovieLens needs users.dat beside its other files; there is none in"),
        ("instacart", "orders.csv", "Instacart needs orders.csv and order_products__prior.csv or"),
    ],
)
def test_a_file_that_is_needed_is_named(name: str, file: str, message: str, tmp_path: Path) -> None:
    next(one for one in LOOK_ALIKES if one.preset == name).write(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        preset(name).layout(found_at(tmp_path))


def test_what_a_reader_should_know_is_said(tmp_path: Path) -> None:
    said = {}
    for one in LOOK_ALIKES:
        folder = tmp_path / one.name
        folder.mkdir()
        one.write(folder)
        said[one.name] = " ".join(read_log(folder / one.file if one.file else folder).notes)
    assert "each session is a user" in said["OTTO"]
    assert "the column of users is NA in most rows" in said["diginetica"]
    assert "a second apart just before the user's first impression" in said["MIND"]
    assert "2014 by its publisher" in said["Tmall"]
    assert "has no dates" in said["Instacart"]
    assert "meta_Lamps.json is no JSON (that of 2014 is Python code)" in said["Amazon 2014"]
    assert "user_id, item_id, rating, timestamp" in said["Amazon ratings 2014"]
    assert "item_id, user_id, rating, timestamp" in said["Amazon ratings 2018"]


def test_every_preset_has_a_look_alike() -> None:
    assert {one.preset for one in LOOK_ALIKES} == {one.name for one in PRESETS} - {"online-retail", "comirec"}
    assert len({one.name for one in PRESETS}) == len(PRESETS)


def test_a_preset_by_its_name() -> None:
    assert preset("movielens").name == "movielens"
    with pytest.raises(ValueError, match="there is no preset 'movie'; there are movielens-100k, movielens-1m"):
        preset("movie")


def test_only_columns_that_the_publishers_file_has_are_said(tmp_path: Path) -> None:
    put(tmp_path, {"movies.csv": "movieId,title,genres\n1,Film,Drama\n"})
    put(tmp_path, {"ratings.csv": "userId,movieId,rating,timestamp\n7,1,5,1750000000\n8,1,0.5,1750000001\n"})
    log = read_log(tmp_path)
    assert log.columns == {"user": "userId", "item": "movieId", "time": "timestamp"}
    assert log.notes == (
        "read as movielens, MovieLens 20M, 25M, 32M and latest (ratings.csv, movies.csv): docs/data.md says how",
        "the column 'rating' is not used: every row counts, whatever its value; `--value rating --min-value 3` leaves "
        "out those below 3",
    )
