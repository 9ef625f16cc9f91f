"""JSON: one object a line or an array, nested names and lists, lines that are no objects."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_export.readers import Mapping, read_log
from tests.support.logs import AT, cells, events, json_lines, put

RIGHT = [(user, item, "interaction", int(seconds) * 1000) for user, item, seconds, _ in cells()]
FLAT = [{"user_id": user, "item_id": item, "timestamp": int(at), "title": title} for user, item, at, title in cells()]
ORDERS = [
    {
        "customer": {"id": one["user_id"]},
        "created_at": one["timestamp"],
        "items": [{"product": {"id": one["item_id"]}, "price": 3.5}, {"product": {"id": "lamp-99"}, "price": 2}],
    }
    for one in FLAT
]
NO_OBJECT = "malformed (no JSON object)"


def changed(change: Callable[[int, dict[str, Any]], dict[str, Any]]) -> str:
    return json_lines(change(n, dict(one)) for n, one in enumerate(FLAT))


@pytest.mark.parametrize(
    "content",
    [
        json_lines(FLAT),
        "\ufeff" + json_lines(FLAT),
        json_lines(FLAT).replace("\n", "\r\n"),
        json_lines(FLAT[:9]).replace("\n", "\r\n") + json_lines(FLAT[9:]),
        json_lines(FLAT).replace("\n", "\n\n  \n"),
        "  " + json_lines(FLAT),
        json.dumps(FLAT),
        json.dumps(FLAT, indent=2),
        "[\n" + ",\n".join(map(json.dumps, FLAT)) + "\n]\n",
        "\n".join(json.dumps(one, indent=2) for one in FLAT),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_one_object_a_line_or_an_array(tmp_path: Path, content: str, encoding: str) -> None:
    for name in ("log.jsonl", "log.json", "log.csv"):
        log = read_log(put(tmp_path / name, content, encoding))
        assert events(log) == RIGHT
        assert log.dropped == {}


@pytest.mark.parametrize(
    ("user", "id_"),
    [
        ("007", "007"),
        (7, "7"),
        (7.0, "7"),
        (12345678901234567890, "12345678901234567890"),
        ("7", "7"),
        (True, "true"),
        ('a "b"\n\\c', 'a "b"\n\\c'),
    ],
)
def test_ids_are_as_they_are_written(tmp_path: Path, user: object, id_: str) -> None:
    log = read_log(put(tmp_path / "log.jsonl", changed(lambda _, one: one | {"user_id": user})))
    assert set(log.events.user_id) == {id_}


@pytest.mark.parametrize(
    ("bad", "count"),
    [
        ('{"user_id": "u", "item_id": "a\\ud800", "timestamp": 1750000000}\n', 1),  # half a pair of UTF-16
        ('{"user_id": "x", "item\n', 1),
        ("oops\n", 1),
        ('[1, 2]\n"text"\n12\nnull\n', 4),
    ],
)
@pytest.mark.parametrize("at", [0, 7, 20])
def test_lines_that_are_no_objects_are_counted(tmp_path: Path, bad: str, count: int, at: int) -> None:
    lines = json_lines(FLAT[:at]) + bad + json_lines(FLAT[at:])
    log = read_log(put(tmp_path / "log.jsonl", lines))
    assert events(log) == RIGHT
    assert log.dropped == {NO_OBJECT: count}


def test_lines_in_another_encoding(tmp_path: Path) -> None:
    lines = json_lines(FLAT) + '{"user_id": "é"}\n'
    path = put(tmp_path / "log.jsonl", lines, "latin-1")
    with pytest.raises(ValueError, match=r"log.jsonl is not in UTF-8 .1 lines; log.jsonl line 21: .*--encoding says"):
        read_log(path)
    assert read_log(path, Mapping(encoding="latin-1")).dropped == {"without an item": 1}
    log = read_log(put(path, json_lines(FLAT) * 100 + '{"user_id": "é"}\n', "latin-1"))
    assert len(log.events) == 2000
    assert log.dropped == {"malformed (not in UTF-8)": 1}


def test_an_object_without_anything_is_counted(tmp_path: Path) -> None:
    assert read_log(put(tmp_path / "log.jsonl", json_lines(FLAT) + "{}\n")).dropped == {"without a user": 1}


def test_a_line_of_more_than_16_mb_is_counted(tmp_path: Path) -> None:
    log = read_log(put(tmp_path / "log.jsonl", json_lines([*FLAT, FLAT[0] | {"title": "x" * 17_000_000}])))
    assert events(log) == RIGHT
    assert log.dropped == {"malformed (a line of more than 16 MB)": 1}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.jsonl", "", "is empty"),
        ("log.json", json.dumps([list(one.values()) for one in FLAT]), "no JSON object in its first lines"),
        ("log.json", json.dumps(FLAT)[:-50], "cannot be read"),
        (
            "log.jsonl",
            changed(lambda _, one: one | {"user_id": [one["user_id"]]}),
            "'user_id' is a list, and an event has",
        ),
        (
            "log.jsonl",
            json_lines([{"user_id": "u", "item_id": ["a", "b"], "timestamp": [1, 2]}]),
            "'timestamp' is a list",
        ),
        ("log.json", json.dumps({key: [one[key] for one in FLAT] for key in FLAT[0]}), "'user_id' is a list"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(ValueError, match=name) as error:
        read_log(put(tmp_path / name, content))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


# Nested


@pytest.mark.parametrize(
    "mapping",
    [Mapping(), Mapping(user="customer.id", item="items[].product.id", time="created_at", price="items[].price")],
)
def test_lists_of_items(tmp_path: Path, mapping: Mapping) -> None:
    log = read_log(put(tmp_path / "log.jsonl", json_lines(ORDERS)), mapping)
    assert log.columns["item"] == "items[].product.id"
    assert [row[1] for row in events(log)] == [item for _, one, *_ in RIGHT for item in (one, "lamp-99")]
    assert log.items.set_index("item_id").price["lamp-99"] == 2


@pytest.mark.parametrize("nothing", [[], None, "absent"])
def test_rows_without_items_are_counted(tmp_path: Path, nothing: object) -> None:
    orders = [one if n % 4 else one | {"items": nothing} for n, one in enumerate(ORDERS)]
    orders = [{key: value for key, value in one.items() if value != "absent"} for one in orders]
    log = read_log(put(tmp_path / "log.jsonl", json_lines(orders)))
    assert len(log.events) == 30
    assert log.dropped == {"without an item": 5}


def test_lists_in_lists(tmp_path: Path) -> None:
    visits = [
        {
            "user_id": one["user_id"],
            "visits": [
                {"ts": one["timestamp"], "hits": [{"item_id": one["item_id"]}, {"item_id": "second"}]},
                {"ts": one["timestamp"], "hits": [{"item_id": "third"}]},
            ],
        }
        for one in FLAT
    ]
    log = read_log(put(tmp_path / "log.jsonl", json_lines(visits)))
    assert [row[1] for row in events(log)] == [item for one in FLAT for item in (one["item_id"], "second", "third")]
    lists = changed(lambda _, one: one | {"item_id": [[one["item_id"], "second"], ["third"]]})
    log = read_log(put(tmp_path / "log.jsonl", lists), Mapping(item="item_id[][]"))
    assert [row[1] for row in events(log)] == [item for one in FLAT for item in (one["item_id"], "second", "third")]


def test_lists_keep_their_order(tmp_path: Path) -> None:
    items = [[f"i{n:05}" for n in range(first, first + 50)] for first in range(0, 50_000, 50)]
    lines = json_lines({"user_id": "u", "timestamp": AT, "items": some} for some in items)
    log = read_log(put(tmp_path / "log.jsonl", lines), Mapping(item="items"))
    assert log.events.item_id.astype(str).tolist() == [item for some in items for item in some]


def test_values_that_are_lists_in_some_lines(tmp_path: Path) -> None:
    lines = changed(
        lambda n, one: one | ({"item_id": [one["item_id"], "second"], "category": ["a", "b"]} if n == 7 else {})
    )
    log = read_log(put(tmp_path / "log.jsonl", lines))
    assert len(log.events) == 21
    assert [row[1] for row in events(log)][7:9] == [RIGHT[7][1], "second"]
    assert set(log.items.category) == {"a", ""}


def test_lists_of_what_is_known_of_items(tmp_path: Path) -> None:
    lines = changed(lambda _, one: one | {"category": ["a", "b"], "title": ["x", "y"], "feature_tags": ["p", "q"]})
    log = read_log(put(tmp_path / "log.jsonl", lines))
    assert set(log.items.category) == {"a"}
    assert set(log.items.tags) == {"p|q"}
    assert log.items.title.tolist() == log.items.item_id.tolist()  # of two titles none is right
    with pytest.raises(ValueError, match=r"the column 'title' is a list, and an event has one title: --title names"):
        read_log(tmp_path / "log.jsonl", Mapping(title="title"))


@pytest.mark.parametrize("mapping", [Mapping(), Mapping(user="user.id", item="event.item_id", time="@timestamp")])
def test_names_with_points(tmp_path: Path, mapping: Mapping) -> None:
    lines = json_lines({"user.id": u, "event.item_id": i, "@timestamp": t} for u, i, t, _ in cells())
    assert events(read_log(put(tmp_path / "log.jsonl", lines), mapping)) == RIGHT
    nested = json_lines({"user": {"id": u}, "event": {"item_id": i}, "@timestamp": t} for u, i, t, _ in cells())
    assert events(read_log(put(tmp_path / "log.jsonl", nested), mapping)) == RIGHT


def test_names_that_differ_in_case_only(tmp_path: Path) -> None:
    lines = json_lines({"User_ID": u, "user_id": "z", "item_id": i, "timestamp": t} for u, i, t, _ in cells())
    log = read_log(put(tmp_path / "log.jsonl", lines))
    assert events(log) == RIGHT
    assert log.columns["user"] == "User_ID"


def test_parts_may_have_other_names(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", json_lines(FLAT[:10]))
    put(tmp_path / "b.jsonl", json_lines(one | {"category": "late"} for one in FLAT[10:]))
    log = read_log(tmp_path)
    assert events(log) == RIGHT
    assert "late" in set(log.items.category)


def test_lines_of_presets_that_are_no_objects_are_counted_once(tmp_path: Path) -> None:
    sessions = [{"session": n, "events": [{"aid": n, "ts": AT, "type": "clicks"}]} for n in range(5)]
    path = put(tmp_path / "sessions.jsonl", json_lines(sessions) + '{"session": 6, "ev\n')
    log = read_log(path)
    assert len(log.events) == 5
    assert log.dropped == {NO_OBJECT: 1}
    call = {"type": "track", "event": "Product Viewed", "userId": "u", "timestamp": "2025-06-15T15:06:40Z"}
    calls = [call | {"properties": {"product_id": f"p{n}"}} for n in range(5)]
    log = read_log(put(tmp_path / "track.jsonl", json_lines(calls) + '{"type"\n'))
    assert len(log.events) == 5
    assert log.dropped == {NO_OBJECT: 1}
