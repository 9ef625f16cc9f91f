"""Ids and prices as people write them, alone and in a log."""

from pathlib import Path

import pandas as pd
import pytest

from mindstream.parsing.ids import clean_id, clean_text
from model_export.readers import read_log
from model_export.readers.cleaning import prices_have_commas, read_price
from tests.support.logs import cells, edited, put, text


@pytest.mark.parametrize(
    ("cell", "id_"),
    [
        ("12", "12"),
        ("12.0", "12"),
        ("12.000", "12"),
        ("-1.0", "-1"),
        ("100", "100"),
        ("0", "0"),
        ("0.0", "0"),
        ("007", "007"),
        ("12.50", "12.50"),
        ("v1.0", "v1.0"),
        ("1.2.0", "1.2.0"),
        (" a b ", "a b"),
        ("\u00a0x\u2003\t", "x"),
        ("\ufeffx\u200b", "x"),
        ("Nana", "Nana"),
        ("NA1", "NA1"),
        ("nonesuch", "nonesuch"),
    ],
)
def test_ids(cell: str, id_: str) -> None:
    assert clean_id(cell) == id_


@pytest.mark.parametrize(
    "cell",
    [
        *[
            "",
            " ",
            "\u00a0",
            "NA",
            "na",
            " N/A ",
            "#N/A",
            "<NA>",
            "NaN",
            "None",
            "none",
            "NULL",
            "null",
            "(null)",
            "nil",
        ],
        *["undefined", "(not set)", "not set", "unknown", "Unknown", "\\N", "-", "--"],
    ],
)
def test_missing_ids(tmp_path: Path, cell: str) -> None:
    assert clean_id(cell) is None
    path = put(tmp_path / "log.csv", text(edited(cells(), (2, 0, lambda _: cell), (3, 1, lambda _: cell))))
    log = read_log(path)
    assert len(log.events) == 18
    assert log.dropped == {"without a user": 1, "without an item": 1}


@pytest.mark.parametrize("word", ["NA", "None", "unknown", "12.0", "-"])
def test_titles_and_categories_are_never_missing_words(tmp_path: Path, word: str) -> None:
    assert clean_text(f" {word} ") == word
    table = [[*row, word] for row in edited(cells(), *[(n, 3, lambda _: word) for n in range(20)])]
    log = read_log(put(tmp_path / "log.csv", text(table, header=["user", "item", "time", "title", "category"])))
    assert set(log.items.category) == {word}


@pytest.mark.parametrize(
    ("prices", "read"),
    [
        (["1.299,00 EUR", "10,99 €"], [1299, 10.99]),
        (["$1,299", "$10"], [1299, 10]),
        (["$1,299.50", "1,299.00", "$-5.00", "-$5"], [1299.5, 1299, -5, -5]),
        (["10.99-", "5.00"], [-10.99, 5]),
        (["free", "5.00", "inf", "nan", "5-10", "(5.00)", "1.2.3.4", "10.99 / kg"], [None, 5, *[None] * 6]),
        (["1'299.00", "CHF 3.50"], [1299, 3.5]),
        (["1 299,00", "12,50", "1\u202f299,5"], [1299, 12.5, 1299.5]),
        (["10,-", "5,-", "5.--"], [10, 5, 5]),
        (["1.299", "2.50"], [1.299, 2.5]),
        (["0.299", "2.500"], [0.299, 2.5]),
        (["1.299", "7"], [1.299, 7]),
        (["1.299", "2.500", "10,50"], [1299, 2500, 10.5]),
        (["10.000,00", "1.000", "1,299.00", "12.5"], [10_000, 1000, 1299, 12.5]),
        (["1,299", "2,500"], [1299, 2500]),
        (["10,555", "3,25"], [10.555, 3.25]),
        (["₹ 1,29,999", "Rs. 500", "¥1,200", "4p", "USD 1,000,000.00"], [129_999, 500, 1200, 4, 1e6]),
        (["1e3", "1.5E+2", "+5", ".99", "0"], [1000, 150, 5, 0.99, 0]),
    ],
)
def test_prices(tmp_path: Path, prices: list[str], read: list[float | None]) -> None:
    commas = prices_have_commas(prices)
    assert [read_price(one, commas) for one in prices] == read
    table = [["u", f"i{n:02}", "1750000000", price] for n, price in enumerate(prices)]
    log = read_log(put(tmp_path / "log.csv", text(table, ";", ["user", "item", "time", "price"])))
    known = [None if price is None or price < 0 else price for price in read]
    assert [None if price != price else price for price in log.items.price] == known
    negative = sum(price is not None and price < 0 for price in read)
    assert sum(f"{negative} of {len(prices)} prices are below 0" in note for note in log.notes) == bool(negative)
    unread = read.count(None)
    assert [note for note in log.notes if "cannot be read" in note] == (
        [f"{unread} of {len(prices)} prices cannot be read, for example {prices[read.index(None)]!r}"] if unread else []
    )


def test_prices_that_all_have_three_digits_behind_the_point_are_thousands(tmp_path: Path) -> None:
    table = [["u", f"i{n}", "1750000000", price] for n, price in enumerate(["1.299", "2.500 EUR", "12.345.678", "99"])]
    path = put(tmp_path / "log.csv", text(table, ";", ["user", "item", "time", "price"]))
    log = read_log(path)
    assert log.items.price.tolist() == [1299, 2500, 12_345_678, 99]
    assert log.notes == ("every price with a point has three digits behind it, so '1.299' is read as 1,299",)


def test_points_of_numbers_are_decimal(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"user": ["u", "u"], "item": ["a", "b"], "time": [1_750_000_000, 1_750_000_001], "price": [1.299, 2.501]}
    )
    frame.to_parquet(tmp_path / "log.parquet")
    log = read_log(tmp_path / "log.parquet")
    assert log.items.price.tolist() == [1.299, 2.501]
    assert log.notes == ()
