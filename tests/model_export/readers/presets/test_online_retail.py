"""Online Retail in its forms, by hand and real."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from model_export.readers import Mapping, read_log
from model_export.readers.presets import recognise
from model_export.readers.presets.peek import found_at
from tests.support.logs import MALFORMED, events, put, real, rows


def recognised(path: Path) -> str | None:
    found = recognise(found_at(path))
    return found.name if found else None


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
    assert recognised(path) == recognised(tmp_path) == "online-retail"
    log = read_log(path)
    assert events(log) == [
        ("17850", "WHITE HEART", "buy", EIGHT_26),
        ("17850", "METAL LANTERN", "buy", EIGHT_26),
        ("12346", "WHITE HEART", "buy", EIGHT_26 + (24 * 60 + 34) * 60_000),
        ("17850", "WHITE HEART", "buy", EIGHT_26 + (24 * 60 + 34) * 60_000),
    ]
    assert rows(log.items) == [
        ("METAL LANTERN", "METAL LANTERN", "", 3.39, ""),
        ("WHITE HEART", "WHITE HEART", "", 2.75, ""),
    ]
    assert rows(log.profiles) == [("12346", "Norway"), ("17850", "EIRE")]
    assert log.dropped == {
        "without a customer": 2,
        "without a description": 2,
        "without an item": 1,  # NA is no id
        "with a quantity that is not positive": 2,
    }


def test_words_of_the_descriptions_by_hand(tmp_path: Path) -> None:
    titles = ["RED T-LIGHT HOLDER", "light, Light and RED", "BLUE HOLDER", "?", "LANTERN"]
    table = pd.DataFrame([[title, 1, "2010-12-01 08:26:00", 1.0, 17850, "EIRE"] for title in titles])
    table.columns = ["Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
    table.to_csv(tmp_path / "log.csv", index=False)
    items = read_log(tmp_path / "log.csv").items.set_index("item_id")
    assert [items.word[title] for title in titles] == ["red|light|holder", "light|red", "holder", "", ""]


def test_online_retail_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "other.xlsx"
    pd.DataFrame({"Description": ["x"], "Quantity": [1]}).to_excel(path, index=False)
    with pytest.raises(ValueError, match=r"other.xlsx has no column .* the user: found Description, Quantity;"):
        read_log(path)
    with pytest.raises(ValueError, match=r"other.xlsx is not a spreadsheet that can be read"):
        read_log(put(path, "no"))
    with pytest.raises(ValueError, match=r"log.csv cannot be read.*Description|CustomerID"):
        read_log(put(tmp_path / "log.csv", "user,item,time\n"), Mapping(format="online-retail"))


def test_online_retail_csv_counts_malformed_rows(tmp_path: Path) -> None:
    path = retail_csv(tmp_path)
    put(path, path.read_text() + "1,2,3\n")
    assert read_log(path).dropped[MALFORMED] == 1


def test_the_real_online_retail() -> None:
    log = read_log(real("online-retail/online_retail.parquet"))
    assert (len(log.events), log.events.user_id.nunique(), len(log.items)) == (397_924, 4_339, 3_866)
    assert log.dropped == {"without a customer": 135_080, "with a quantity that is not positive": 8_905}
    assert log.events.user_id.str.fullmatch(r"\d{5}").all()
    assert log.events.event_time_ms.is_monotonic_increasing
    assert events(log)[0] == ("17850", "WHITE HANGING HEART T-LIGHT HOLDER", "buy", EIGHT_26)
