"""The mapping of a log: its values, from options and from TOML."""

from pathlib import Path
from typing import Any

import pytest

from mindstream.mapping import AS_IT_IS, Mapping, load_mapping
from tests.support.logs import put


def test_nothing_is_said() -> None:
    assert load_mapping(None) == AS_IT_IS == Mapping()
    assert AS_IT_IS.given == {}
    assert load_mapping(None, user=None, columns=None, untimed=None) == AS_IT_IS


def test_all_of_it_from_toml(tmp_path: Path) -> None:
    file = put(
        tmp_path / "shop.toml",
        'format = "table"\nuser = " uid "\nitem = "items[].sku"\ntime = "date,time"\ntype = "kind"\nvalue = "stars"\n'
        'title = "label"\ncategory = "group"\nprice = "cost"\ntime-format = "%d.%m.%Y"\ncolumns = ["a", "b"]\n'
        'delimiter = "\\\\x01"\nquote = "none"\nencoding = "latin-1"\nskip_lines = 2\nwhere = "a > 1"\n'
        'items = "catalogue.csv"\nusers = "/people.csv"\nitem_vectors = "text.npz"\n'
        "untimed = true\nmin_value = 3\nmax_events_per_user = 9\n"
        'event_id = "n"\n',
    )
    found = load_mapping(file)
    assert found == Mapping(
        format="table",
        **{"user": "uid", "item": "items[].sku", "time": "date,time", "type": "kind", "value": "stars"},
        event_id="n",
        **{"title": "label", "category": "group", "price": "cost", "time_format": "%d.%m.%Y"},
        columns=("a", "b"),
        **{"delimiter": "\x01", "quote": "none", "encoding": "latin-1", "where": "a > 1"},
        skip_lines=2,
        items=tmp_path / "catalogue.csv",  # beside the file
        users=Path("/people.csv"),
        item_vectors=tmp_path / "text.npz",
        untimed=True,
        min_value=3.0,
        max_events_per_user=9,
    )
    assert set(found.given) == set(Mapping.model_fields)
    over = load_mapping(file, user="other", items=Path("here.csv"), untimed=False, columns="x, y")
    assert (over.user, over.items, over.untimed, over.columns) == ("other", Path("here.csv"), False, ("x", "y"))
    assert over.item == "items[].sku"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('usr = "x"', "shop.toml: usr: there is no such key; right are format, user, item, time, type, value, title"),
        ("user = 7", "shop.toml: user is 7: Input should be a valid string"),
        ("min_value = nan", "shop.toml: min_value is nan: "),
        ("max_events_per_user = 0", "shop.toml: max_events_per_user is 0: Input should be greater than or equal to 1"),
        ("skip_lines = -1", "shop.toml: skip_lines is -1: "),
        ('delimiter = ""', "shop.toml: delimiter is '': right are one to 4 characters, or \\t"),
        ('delimiter = "abcde"', "shop.toml: delimiter is 'abcde': right are one to 4 characters"),
        ('quote = "ab"', "shop.toml: quote is 'ab': right is one character, such as \", or none"),
        ("user = ", "shop.toml is no TOML: "),
        ("[log]\nuser = 'x'", "shop.toml: log: there is no such key"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"shop.toml") as error:
        load_mapping(put(tmp_path / "shop.toml", content))
    assert message in str(error.value)


def test_files_that_are_no_mapping(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the mapping .*nowhere.toml cannot be read: No such file"):
        load_mapping(tmp_path / "nowhere.toml")
    with pytest.raises(ValueError, match=r"the mapping .*shop.toml is not in UTF-8"):
        load_mapping(put(tmp_path / "shop.toml", 'user = "é"', "latin-1"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_events_per_user": 0}, "--max-events-per-user is 0: Input should be greater than or equal to 1"),
        ({"min_value": float("inf")}, "--min-value is inf: "),
        ({"delimiter": ""}, r"--delimiter is '': right are one to 4 characters, or \\t"),
    ],
)
def test_options_that_are_wrong_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_mapping(None, **options)
