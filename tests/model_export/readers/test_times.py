"""Times of logs: what each writing is read as, what is ambiguous, what is refused and what is said."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindstream.mapping import Mapping
from model_export.readers import read_log
from model_export.readers.times import (
    EARLIEST_MS,
    LATEST_MS,
    check_times,
    join_calendar,
    join_date_and_time,
    read_times,
)

JUNE = datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC)


def ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def at(*parts: int, milliseconds: int = 0) -> int:
    return ms(datetime(*parts, tzinfo=UTC)) + milliseconds  # type: ignore[misc, arg-type]


class Column:
    """A column of cells in a table, in a session whose zone is not UTC."""

    def __init__(self, cells: Sequence[Any], kind: str = "VARCHAR", name: str = "timestamp") -> None:
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'America/New_York'")
        self.connection.execute(f'CREATE TABLE log (row INTEGER, "a time" {kind})')
        if kind == "VARCHAR":
            rows = [list(range(len(cells))), list(cells)]
            self.connection.execute("INSERT INTO log SELECT unnest(?::INTEGER[]), unnest(?::VARCHAR[])", rows)
        else:
            self.connection.executemany("INSERT INTO log VALUES (?, ?)", [list(row) for row in enumerate(cells)])
        self.name = name

    def read(self, time_format: str | None = None) -> list[int | None]:
        self.reading = read_times(self.connection, "log", '"a time"', self.name, time_format)
        rows = self.connection.execute(f"SELECT {self.reading.sql}, typeof({self.reading.sql}) FROM log ORDER BY row")
        found = rows.fetchall()
        assert {kind for _, kind in found} == {"BIGINT"}
        return [time for time, _ in found]

    def check(self, time_format: str | None = None) -> None:
        reading = read_times(self.connection, "log", '"a time"', self.name, time_format)
        check_times(self.connection, "log", '"a time"', self.name, reading)

    @property
    def said(self) -> str:
        return "; ".join(self.reading.notes)


def read(
    *cells: Any, kind: str = "VARCHAR", name: str = "timestamp", time_format: str | None = None
) -> list[int | None]:
    return Column(cells, kind, name).read(time_format)


WRITINGS = {
    "2025-06-15T15:06:40Z": at(2025, 6, 15, 15, 6, 40),
    "2025-06-15 15:06:40": at(2025, 6, 15, 15, 6, 40),
    "2025-06-15T15:06:40.1": at(2025, 6, 15, 15, 6, 40, milliseconds=100),
    "2025-06-15T15:06:40.123456789Z": at(2025, 6, 15, 15, 6, 40, milliseconds=123),
    "2025-06-15 15:06:40.1239999 +00:00": at(2025, 6, 15, 15, 6, 40, milliseconds=123),
    "2025-06-15 15:06:40,123": at(2025, 6, 15, 15, 6, 40, milliseconds=123),
    "2025-06-15T15:06:40,123Z": at(2025, 6, 15, 15, 6, 40, milliseconds=123),
    "2025-06-15 15:06:40+02:00": at(2025, 6, 15, 13, 6, 40),
    "2025-06-15 15:06:40-0530": at(2025, 6, 15, 20, 36, 40),
    "2025-06-15T15:06+02": at(2025, 6, 15, 13, 6),
    "2025-06-15 15:06:40 +0200": at(2025, 6, 15, 13, 6, 40),
    "2025-06-15T15:06:40+02:00[Europe/Berlin]": at(2025, 6, 15, 13, 6, 40),
    "2025-06-15 15:06:40 Europe/Berlin": at(2025, 6, 15, 13, 6, 40),
    "2025-06-15 15:06:40 UTC": at(2025, 6, 15, 15, 6, 40),
    "2025-06-15 15:06:40.123 GMT": at(2025, 6, 15, 15, 6, 40, milliseconds=123),
    "2025-06-15 15:06:40 UTC+2": at(2025, 6, 15, 13, 6, 40),
    "2025-06-15 15:06": at(2025, 6, 15, 15, 6),
    "2025-06-15 15": at(2025, 6, 15, 15),
    "2025-06-15": at(2025, 6, 15),
    "2025-6-5 3:06": at(2025, 6, 5, 3, 6),
    "2025/06/15 15:06:40": at(2025, 6, 15, 15, 6, 40),
    "2025.06.15 15:06": at(2025, 6, 15, 15, 6),
    "2025:06:15 15:06:40": at(2025, 6, 15, 15, 6, 40),
    "2025-Jun-15 15:06": at(2025, 6, 15, 15, 6),
    "2025年6月15日 15:06": at(2025, 6, 15, 15, 6),
    "  2025-06-15 15:06:40\t": at(2025, 6, 15, 15, 6, 40),
    '"2025-06-15 15:06:40"': at(2025, 6, 15, 15, 6, 40),
    "06/15/2025 15:06": at(2025, 6, 15, 15, 6),
    "6/15/2025 1:05:58 PM": at(2025, 6, 15, 13, 5, 58),
    "6/15/2025, 12:05:58\u202fAM": at(2025, 6, 15, 0, 5, 58),
    "6/15/25 3:06 p.m.": at(2025, 6, 15, 15, 6),
    "15/06/2025 15:06:40": at(2025, 6, 15, 15, 6, 40),
    "15.06.2025": at(2025, 6, 15),
    "15-6-2025 15:06": at(2025, 6, 15, 15, 6),
    "06-15-2025 15:06:40:123": at(2025, 6, 15, 15, 6, 40, milliseconds=123),
    "15:06 15.06.2025": at(2025, 6, 15, 15, 6),
    "15-Jun-2025": at(2025, 6, 15),
    "15-JUN-25": at(2025, 6, 15),
    "15JUN2025:15:06:40": at(2025, 6, 15, 15, 6, 40),
    "Jun 15, 2025 3:06 PM": at(2025, 6, 15, 15, 6),
    "June 15, 2025": at(2025, 6, 15),
    "Sept. 5, 2025": at(2025, 9, 5),
    "15th June 2025 at 3:06 pm": at(2025, 6, 15, 15, 6),
    "15 June 2025": at(2025, 6, 15),
    "06 15, 2025": at(2025, 6, 15),
    "Sunday, June 15, 2025 3:06:40 PM": at(2025, 6, 15, 15, 6, 40),
    "Sun Jun 15 15:06:40 +0000 2025": at(2025, 6, 15, 15, 6, 40),
    "Sun, 15 Jun 2025 15:06:40 GMT": at(2025, 6, 15, 15, 6, 40),
    "Sun, 15 Jun 2025 15:06:40 -0700": at(2025, 6, 15, 22, 6, 40),
    "Sun, 15 Jun 2025 15:06:40 +0200 (CEST)": at(2025, 6, 15, 13, 6, 40),
    "Sun Jun 15 15:06:40 UTC 2025": at(2025, 6, 15, 15, 6, 40),
    "Sun Jun  5 15:06:40 2025": at(2025, 6, 5, 15, 6, 40),
    "Sun Jun 15 2025 15:06:40 GMT+0200 (Central European Summer Time)": at(2025, 6, 15, 13, 6, 40),
    "15/Jun/2025:15:06:40 +0000": at(2025, 6, 15, 15, 6, 40),
    "[15/Jun/2025:15:06:40 +0200]": at(2025, 6, 15, 13, 6, 40),
    "20250615T150640Z": at(2025, 6, 15, 15, 6, 40),
    "20250615T150640.123+0200": at(2025, 6, 15, 13, 6, 40, milliseconds=123),
    "20250615 15:06": at(2025, 6, 15, 15, 6),
    "20250615": at(2025, 6, 15),
    "20250615.0": at(2025, 6, 15),
    "2025061515": at(2025, 6, 15, 15),
    "202506151506": at(2025, 6, 15, 15, 6),
    "20250615150640": at(2025, 6, 15, 15, 6, 40),
    "20250615150640123": at(2025, 6, 15, 15, 6, 40, milliseconds=123),
    "1750000000": at(2025, 6, 15, 15, 6, 40),
    "1750000000.123": at(2025, 6, 15, 15, 6, 40, milliseconds=123),
    "1750000000,5": at(2025, 6, 15, 15, 6, 40, milliseconds=500),
    "1750000000.0": at(2025, 6, 15, 15, 6, 40),
    "1.75E+09": at(2025, 6, 15, 15, 6, 40),
    "1.75e12": at(2025, 6, 15, 15, 6, 40),
    "1750000000123": at(2025, 6, 15, 15, 6, 40, milliseconds=123),
    "1750000000123999": at(2025, 6, 15, 15, 6, 40, milliseconds=123),
    "1750000000123000000": at(2025, 6, 15, 15, 6, 40, milliseconds=123),
    "638855968001230000": at(2025, 6, 15, 15, 6, 40, milliseconds=123),  # .NET
    "/Date(1750000000123)/": at(2025, 6, 15, 15, 6, 40, milliseconds=123),  # .NET's JSON
    "\\/Date(1750000000123+0200)\\/": at(2025, 6, 15, 15, 6, 40, milliseconds=123),
    "133944736001230000": at(2025, 6, 15, 15, 6, 40, milliseconds=123),  # Windows
    "13394473600123000": at(2025, 6, 15, 15, 6, 40, milliseconds=123),  # Chrome
}


@pytest.mark.parametrize(("cell", "time"), WRITINGS.items())
def test_each_writing_is_read(cell: str, time: int) -> None:
    column = Column([cell, None, cell, ""])
    assert column.read() == [time, None, time, None]
    column.check()


BLANKS = [" ", "\t", "\u00a0", "\u2003", "\u3000", "\u200b", " \u00a0\t"]


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("cell", ["2024-03-08 07:28:40", "08.03.2024 07:28:40", "1709882920", "1709882920.0"])
def test_blanks_around_a_time_are_none_of_it(cell: str, blank: str) -> None:
    others = ["2024-03-13", "13.03.2024"][cell[2] == "."]
    right = at(2024, 3, 8, 7, 28, 40)
    for around in (f"{blank}{cell}", f"{cell}{blank}", f"{blank}{cell}{blank}"):
        column = Column([around] * 48 + [others])
        assert column.read() == [right] * 48 + [at(2024, 3, 13)]
        column.check()


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize(
    ("cell", "time_format"), [("2024-03-08 07:28:40", "%Y-%m-%d %H:%M:%S"), ("1709882920", "seconds")]
)
def test_blanks_around_a_time_are_none_of_it_for_a_given_format(cell: str, time_format: str, blank: str) -> None:
    cells = [f"{blank}{cell}", f"{cell}{blank}", f"{blank}{cell}{blank}"]
    assert read(*cells, time_format=time_format) == [at(2024, 3, 8, 7, 28, 40)] * 3


@pytest.mark.parametrize("cell", [cell for cell in WRITINGS if "-" in cell or "/" in cell])
def test_a_writing_is_read_among_others(cell: str) -> None:
    """ISO dates with and without fractions and zones, numbers and words beside it change nothing."""
    others = ["2025-06-14", "2025-06-14T10:00:00.5Z", "1749895200", "soon", "2025-02-30"]
    right = [at(2025, 6, 14), at(2025, 6, 14, 10, milliseconds=500), at(2025, 6, 14, 10), None, None]
    assert read(*others, cell) == [*right, WRITINGS[cell]]


FORMATS = [
    *("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y/%m/%d %H:%M:%S", "%Y.%m.%d %H:%M:%S", "%d %B %Y %H:%M:%S"),
    *("%d/%b/%Y:%H:%M:%S +0000", "%a %b %d %H:%M:%S +0000 %Y", "%A, %B %d, %Y %I:%M:%S %p", "%Y%m%dT%H%M%S"),
    *("%b %d, %Y %H:%M:%S", "%d-%b-%Y %H:%M:%S", "%Y%m%d%H%M%S", "%Y-%m-%d %H:%M:%S,%f", "%d.%m.%Y %H:%M:%S"),
    *("%m/%d/%Y %I:%M:%S %p", "%d-%m-%Y %H:%M:%S"),
]


@settings(max_examples=25)
@given(
    st.sampled_from(FORMATS),
    st.lists(st.datetimes(datetime(1973, 4, 1), datetime(2099, 12, 31)), min_size=1, max_size=6),
)
def test_what_is_written_is_read_back(written: str, moments: list[datetime]) -> None:
    moments = [moment.replace(microsecond=moment.microsecond if "%f" in written else 0) for moment in moments]
    decided = [*moments, datetime(2025, 6, 15)]  # whose day is no month
    cells = [moment.strftime(written) for moment in decided]
    assert read(*cells) == [ms(moment.replace(tzinfo=UTC)) for moment in decided]


@settings(max_examples=25)
@given(
    st.lists(st.integers(EARLIEST_MS, 1_999_999_999_000), min_size=1, max_size=8),
    st.sampled_from([10**3, 1, 10**-3, 10**-6]),
    st.sampled_from(["VARCHAR", "HUGEINT", "DECIMAL(28, 6)"]),
)
def test_numbers_of_all_units_are_read_back(times: list[int], factor: float, kind: str) -> None:
    """Seconds, milliseconds, microseconds and nanoseconds from 1973 to 2033, behind which hours are dates too."""
    per_ms = {10**3: Decimal(1) / 1000, 1: Decimal(1), 10**-3: Decimal(1000), 10**-6: Decimal(1_000_000)}[factor]
    cells = [one * per_ms for one in times]
    if kind == "HUGEINT":
        times, cells = [one // 1000 * 1000 for one in times], [one // 1000 * 1000 * per_ms for one in times]
    known = [1_750_000_000_000, 1_750_000_001_000, 1_750_000_002_000]
    cells += [one * per_ms for one in known]
    assert read(*(f"{cell:f}" for cell in cells), kind=kind) == [*times, *known]


@pytest.mark.parametrize(
    ("kind", "cell", "time"),
    [
        ("BIGINT", 1750000000, JUNE),
        ("INTEGER", 20250615, datetime(2025, 6, 15, tzinfo=UTC)),
        ("UBIGINT", 1750000000123456789, JUNE + timedelta(milliseconds=123)),
        ("DOUBLE", 1750000000.123, JUNE + timedelta(milliseconds=123)),
        ("DOUBLE", 1750000000123.0, JUNE + timedelta(milliseconds=123)),
        ("DOUBLE", 1750000000123000000.0, JUNE + timedelta(milliseconds=123)),
        ("DOUBLE", 20250615150640.0, JUNE),
        ("DECIMAL(18, 3)", Decimal("1750000000.123"), JUNE + timedelta(milliseconds=123)),
        ("DATE", "2025-06-15", datetime(2025, 6, 15, tzinfo=UTC)),
        ("TIMESTAMP", "2025-06-15 15:06:40.123", JUNE + timedelta(milliseconds=123)),
        ("TIMESTAMP_S", "2025-06-15 15:06:40", JUNE),
        ("TIMESTAMP_MS", "2025-06-15 15:06:40.123", JUNE + timedelta(milliseconds=123)),
        ("TIMESTAMP_NS", "2025-06-15 15:06:40.123999999", JUNE + timedelta(milliseconds=123)),
        ("TIMESTAMP", "2025-06-15 15:06:40.123999", JUNE + timedelta(milliseconds=123)),
        ("TIMESTAMPTZ", "2025-06-15 15:06:40.000999+00", JUNE),
    ],
)
def test_typed_columns_are_read(kind: str, cell: object, time: datetime) -> None:
    column = Column([cell, None], kind)
    assert column.read() == [ms(time), None]
    column.check()


@pytest.mark.parametrize("kind", ["DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMPTZ"])
def test_infinite_dates_are_no_times(kind: str) -> None:
    assert read("infinity", "-infinity", kind=kind) == [None, None]


@pytest.mark.parametrize("kind", ["DOUBLE", "VARCHAR"])
def test_numbers_that_are_none_are_no_times(kind: str) -> None:
    assert read("nan", "1750000000", kind=kind) == [None, ms(JUNE)]


@pytest.mark.parametrize("time_format", [None, "seconds"])
def test_seconds_that_float32_has_lost_are_said(time_format: str | None) -> None:
    column = Column([1750000000.0, 1750000001.0], "FLOAT")
    times = column.read(time_format)
    assert all(time is not None and abs(time - ms(JUNE)) <= 65_000 for time in times)
    assert "float32), which has lost seconds" in column.said
    column = Column([1750000000.0, 1750000001.0], "DOUBLE")
    column.read(time_format)
    assert not column.said


def test_units_that_are_mixed_are_told_apart_and_said() -> None:
    column = Column([1750000000 + one for one in range(8)] + [1750000000000 + one for one in range(12)], "BIGINT")
    assert column.read() == [ms(JUNE) + 1000 * one for one in range(8)] + [ms(JUNE) + one for one in range(12)]
    assert column.said == "8 of 20 times are in seconds, the others in milliseconds"


def test_three_units_are_said() -> None:
    column = Column(["1750000000"] * 3 + ["1750000000000"] + ["1750000000000000"] * 2 + ["0"])
    assert column.read() == [ms(JUNE)] * 6 + [0]
    assert column.said == "1 of 6 times are in milliseconds, 2 of 6 times are in microseconds, the others in seconds"


@pytest.mark.parametrize("never", ["253402300799", "253402214400", "253402300799999", "253402300799999999", "0", "-1"])
@pytest.mark.parametrize("usual", ["1750000000", "1750000000000", "1750000000000000", "1750000000000000000"])
def test_a_number_for_never_is_no_time_of_1978(usual: str, never: str) -> None:
    time = read(usual, usual, usual, never)[-1]
    assert time is None or not EARLIEST_MS <= time <= LATEST_MS


@pytest.mark.parametrize("dirty", ["0", "-1", "", "NULL", "1e300", "20251345", "99991231", "19000101"])
@pytest.mark.parametrize("written", ["%Y%m%d", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"])
def test_dirty_cells_do_not_change_what_digits_are(written: str, dirty: str) -> None:
    cells = [(JUNE + timedelta(days=day)).strftime(written) for day in range(19)]
    times = [ms(datetime.strptime(cell, written).replace(tzinfo=UTC)) for cell in cells]
    found = read(*cells[:7], dirty, *cells[7:])
    assert [*found[:7], *found[8:]] == times
    assert found[7] is None or not EARLIEST_MS <= found[7] <= LATEST_MS


def test_an_impossible_hour_among_hours_is_not_read_as_seconds() -> None:
    assert read("2025061515", *["2025061516"] * 20, "2025061599")[-1] is None


def test_seconds_after_2033_are_no_dates() -> None:
    seconds = [2025061500 + 977 * one for one in range(50)]
    assert read(*seconds, kind="BIGINT") == [1000 * one for one in seconds]


def test_milliseconds_of_1976_are_no_dates() -> None:
    times = [202506151506 + 86_399_977 * one for one in range(50)]
    assert read(*times, kind="BIGINT") == times


@pytest.mark.parametrize("name", ["event_time_ms", "eventTimeMs", "ts_millis"])
def test_a_name_says_milliseconds(name: str) -> None:
    assert read("202506151506", "1750000000", name=name) == [202506151506, 1750000000]


def test_a_name_says_seconds_where_hours_would_do() -> None:
    assert read("2025061515", name="time_sec") == [2025061515000]
    assert read("202506151506", name="time_s") == [at(2025, 6, 15, 15, 6)]


@pytest.mark.parametrize(
    ("written", "digits"),
    [("%y%m%d%H%M", 10), ("%d%m%y%H%M", 10), ("%d%m%Y%H", 10), ("%y%m%d%H%M%S", 12), ("%d%m%Y%H%M", 12)],
)
def test_dates_in_other_orders_of_digits_are_not_taken_for_a_unit(written: str, digits: int) -> None:
    moments = [datetime(2025, 6, 15, 15) + timedelta(days=day, minutes=day) for day in range(12)]
    cells = [moment.strftime(written) for moment in moments]
    assert {len(cell) for cell in cells} == {digits}
    with pytest.raises(ValueError, match=rf"'timestamp' such as \d+ may be dates.*{written}.*--time-format"):
        read(*cells)
    expected = [ms(datetime.strptime(cell, written).replace(tzinfo=UTC)) for cell in cells]
    assert read(*cells, time_format=written) == expected
    unit = "seconds" if digits == 10 else "milliseconds"
    assert read(cells[0], time_format=unit) == [int(cells[0]) * (1000 if digits == 10 else 1)]


@pytest.mark.parametrize(
    ("cell", "readings"),
    [
        ("05/06/2025", ("2025-06-05 as %d/%m/%Y", "2025-05-06 as %m/%d/%Y")),
        ("5.6.2025 15:06", ("2025-06-05 as %d.%m.%Y %H:%M", "2025-05-06 as %m.%d.%Y %H:%M")),
        ("05-06-25", ("2025-06-05 as %d-%m-%y", "2025-05-06 as %m-%d-%y")),
        ("15-06-25", ("2025-06-15 as %d-%m-%y", "2015-06-25 as %y-%m-%d")),
        ("[05/06/2025]", ("2025-06-05 as %d/%m/%Y", "2025-05-06 as %m/%d/%Y")),
    ],
)
def test_an_open_order_asks_for_the_format(cell: str, readings: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="'timestamp' can be read in two ways") as error:
        read(cell, cell, "04/04/2025" if "/" in cell else cell)
    for reading in readings:
        assert reading in str(error.value)
    assert f"--time-format '{readings[0].partition(' as ')[2]}'" in str(error.value)


def test_days_that_are_their_months_are_one_time_in_both_orders() -> None:
    assert read("04/04/2025", "5/5/2025") == [at(2025, 4, 4), at(2025, 5, 5)]


@pytest.mark.parametrize(("decider", "month", "day"), [("15/06/2025", 6, 5), ("06/15/2025", 5, 6)])
def test_one_of_many_rows_decides_the_order(decider: str, month: int, day: int) -> None:
    """A sample would not meet it."""
    column = Column([*["05/06/2025"] * 30_000, decider, *["05/06/2025"] * 30_000])
    times = column.read()
    assert times[30_000] == at(2025, 6, 15)
    assert {*times[:30_000], *times[30_001:]} == {at(2025, month, day)}
    assert column.said.startswith(f"times are read as {'%d/%m/%Y' if day == 5 else '%m/%d/%Y'}; ")
    assert "1 of 60,001 rows decides that dates are " in column.said


def test_how_few_rows_decide_an_order_is_said() -> None:
    american = [f"{month:02}/{day:02}/2024" for month in (1, 2) for day in range(1, 13)]
    column = Column([*american, "13/03/2024"])
    assert column.read()[1] == at(2024, 2, 1)
    assert "1 of 25 rows decides that dates are day first; --time-format says otherwise" in column.said
    column = Column([*american, *[f"03/{day}/2024" for day in range(13, 25)]])
    assert column.read()[1] == at(2024, 1, 2)
    assert column.said == "times are read as %m/%d/%Y"


YEAR_DAY_MONTH = [(month, day) for month in (3, 4) for day in range(1, 29)]


@pytest.mark.parametrize(
    ("written", "hour"),
    [
        *(("{y}-{d:02}-{m:02}", 0), ("{y}-{d:02}-{m:02} 10:00", 10), ("{y}/{d}/{m} 10:00:00", 10)),
        *(("{y}-{d:02}-{m:02}T10:00:00.5+02:00", 8), ("{y}.{d}.{m} 10:00", 10), (" {y}-{d:02}-{m:02} 10:00", 10)),
    ],
)
def test_days_between_year_and_month_are_told_from_all_values(written: str, hour: int) -> None:
    column = Column([written.format(y=2024, d=day, m=month) for month, day in YEAR_DAY_MONTH])
    half = 500 if ".5" in written else 0
    assert column.read() == [at(2024, month, day, hour, milliseconds=half) for month, day in YEAR_DAY_MONTH]
    assert "read as year-day-month (%Y-%d-%m): 32 can be read so alone" in column.said
    column.check()


def test_the_fewer_of_two_orders_behind_a_year_are_left_out_and_said() -> None:
    usual = [f"2024-03-{day}" for day in range(13, 29)]
    column = Column([*usual, "2024-20-03", "2024-21-03", "2024-05-06"])
    assert column.read() == [*(at(2024, 3, day) for day in range(13, 29)), None, None, at(2024, 5, 6)]
    assert "read as year-month-day (%Y-%m-%d): 16 can be read so alone, and 2 that can be read as" in column.said
    column = Column([*[f"2024-{day}-03" for day in range(13, 29)], "2024-03-20", "2024-05-06"])
    assert column.read() == [*(at(2024, 3, day) for day in range(13, 29)), None, at(2024, 6, 5)]
    assert "read as year-day-month (%Y-%d-%m): 16 can be read so alone, and 1 that can be read as" in column.said


def test_days_that_could_be_months_behind_a_year_are_days() -> None:
    column = Column(["2024-03-04", "2024-05-06", "2024-02-30"])
    assert column.read() == [at(2024, 3, 4), at(2024, 5, 6), None]
    assert not column.said


def test_an_order_holds_with_and_without_times_of_day() -> None:
    assert read("15/06/2025", "05/06/2025 10:00") == [at(2025, 6, 15), at(2025, 6, 5, 10)]


def test_typing_errors_in_the_other_order_are_not_read() -> None:
    days = [f"{day}/06/2025" for day in range(13, 29)]
    assert read(*days, "06/17/2025", "5/6/2025")[-2:] == [None, at(2025, 6, 5)]


def test_two_orders_in_one_column_ask_for_the_format() -> None:
    with pytest.raises(
        ValueError, match=r"two orders: 3 can .* day first alone, 2 with the month first alone.*%d/%m/%Y"
    ):
        read("15/06/2025", "16/06/2025", "17/06/2025", "06/18/2025", "06/19/2025")


@pytest.mark.parametrize(
    ("cells", "days"),
    [
        (["15.06.25", "16.06.25", "01.07.25"], [(6, 15), (6, 16), (7, 1)]),
        (["06/15/25", "06/16/25", "07/01/25"], [(6, 15), (6, 16), (7, 1)]),
        (["25-06-15", "25-06-16", "25-07-01"], [(6, 15), (6, 16), (7, 1)]),
        (["25/06/30", "25/06/28"], [(6, 30), (6, 28)]),
    ],
)
def test_years_of_two_digits(cells: list[str], days: list[tuple[int, int]]) -> None:
    """The fewer years the better: the 15th and the 16th of one month rather than one day of 2015 and of 2016."""
    assert read(*cells) == [at(2025, month, day) for month, day in days]


def test_years_of_two_and_four_digits_are_not_confused() -> None:
    assert read("15-06-2025", "16-06-25", "17-06-25") == [at(2025, 6, 15), at(2025, 6, 16), at(2025, 6, 17)]


def test_a_rare_writing_behind_many_rows_is_found() -> None:
    cells = [*["2025-06-15 15:06:40"] * 20_000, "Sun Jun 15 15:06:40 UTC 2025", "1750000000", "15th June 2025"]
    assert read(*cells)[-3:] == [ms(JUNE), ms(JUNE), at(2025, 6, 15)]


def test_offsets_behind_many_times_without_one_count() -> None:
    cells = [*["2025-06-15 15:06:40"] * 20_000, "2025-06-15 15:06:40+02:00", "2025-06-15 15:06:40 EST"]
    assert read(*cells)[-2:] == [at(2025, 6, 15, 13, 6, 40), at(2025, 6, 15, 20, 6, 40)]


def test_zones_with_one_meaning_are_read_and_said() -> None:
    column = Column(["Sun Jun 15 15:06:40 EST 2025", "Sun Jun 15 15:06:40 CEST 2025"])
    assert column.read() == [at(2025, 6, 15, 20, 6, 40), at(2025, 6, 15, 13, 6, 40)]
    assert "zone EST are read as UTC-05:00" in column.said
    assert "zone CEST are read as UTC+02:00" in column.said


@pytest.mark.parametrize("zone", ["CST", "IST", "BST", "XYZ"])
def test_zones_with_several_meanings_are_refused(zone: str) -> None:
    column = Column([f"Sun Jun 15 15:06:40 {zone} 2025", f"2025-06-15 15:06:40 {zone}"])
    assert column.read() == [None, None]
    with pytest.raises(
        ValueError, match=f"the zone '{zone}' is unknown or has several meanings; write it as an offset"
    ):
        column.check()


def test_formats_are_said_but_those_of_iso_8601() -> None:
    column = Column(["15.06.2025 15:06", "15.06.2025"])
    column.read()
    assert column.said == "times are read as %d.%m.%Y %H:%M, %d.%m.%Y"
    column = Column(["2025-06-15T15:06:40Z", "2025-06-15"])
    column.read()
    assert not column.said


def test_times_outside_of_what_the_stream_takes_stay_numbers() -> None:
    cells = ["0001-01-01 00:00:00", "9999-12-31 23:59:59", "1956-06-01", "2025-06-15"]
    assert read(*cells) == [at(1, 1, 1), at(9999, 12, 31, 23, 59, 59), at(1956, 6, 1), at(2025, 6, 15)]


@pytest.mark.parametrize("kind", ["VARCHAR", "BIGINT"])
def test_a_column_without_a_time_has_none(kind: str) -> None:
    column = Column([None, None], kind)
    assert column.read() == [None, None]
    column.check()
    assert read_times(column.connection, "(SELECT * FROM log LIMIT 0)", '"a time"', "empty").sql


def test_half_may_be_wrong_and_no_more() -> None:
    Column(["2025-06-15", "soon", None, "", "NULL"]).check()
    with pytest.raises(ValueError, match=r"2 of 3 times in column 'timestamp' cannot be read .* for example"):
        Column(["2025-06-15", "soon", "1956-06-01", None]).check()


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["0615", "0616", "1231"], "month and day without a year"),
        (["3112", "2812", "1506"], "month and day without a year"),
        (["1", "2", "3"], "no times but an order or a count; --untimed"),
        (["1", "20000", "300000"], "no times but an order or a count; --untimed"),
        (["250615", "250616"], "--time-format '%y%m%d'"),
        (["150625", "310725"], "--time-format '%y%m%d' or --time-format '%d%m%y'"),
        (["2025166", "2024068", "2024366"], "--time-format '%Y%j'"),
        (["2024068.0", "2025001.0"], "--time-format '%Y%j'"),
        (["2024468", "2025001", "2025999"], "no times but an order or a count; --untimed"),
        (["202506", "202507"], "year and a month, without a day"),
        (["2025", "2024"], "years alone, without month and day"),
        (["15062025", "1062025"], "--time-format '%d%m%Y'"),
        (["06152025", "6162025"], "--time-format '%m%d%Y'"),
        (["45823", "45824.629"], "45823 is 2025-06-15 by --time-format excel and 2095-06-17 by --time-format days"),
        (["15:06:40", "3:06 PM"], "times of day without a date; name both columns"),
        (["soon", "later"], "right are Unix times, ISO dates such as"),
    ],
)
def test_what_is_no_time_is_said(cells: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=f"'timestamp' .*example '{re.escape(cells[0])}|example") as error:
        Column(cells).check()
    assert said in str(error.value)
    assert "--untimed" in str(error.value)


def test_numbers_of_month_and_day_are_no_times() -> None:
    with pytest.raises(ValueError, match="month and day without a year"):
        Column([615, 616, 1231], "INTEGER").check()


def test_times_of_day_of_their_own_type_are_no_times() -> None:
    column = Column(["15:06:40"], "TIME")
    assert column.read() == [None]
    with pytest.raises(ValueError, match="times of day without a date"):
        column.check()


@pytest.mark.parametrize(
    ("time_format", "cell", "time"),
    [
        ("seconds", "1750000000.5", at(2025, 6, 15, 15, 6, 40, milliseconds=500)),
        ("milliseconds", "1750000000123", at(2025, 6, 15, 15, 6, 40, milliseconds=123)),
        ("microseconds", "1750000000123456", at(2025, 6, 15, 15, 6, 40, milliseconds=123)),
        ("nanoseconds", "1750000000123000000", at(2025, 6, 15, 15, 6, 40, milliseconds=123)),
        ("seconds", "5", 5000),
        ("days", "20254", at(2025, 6, 15)),
        ("excel", "45823", at(2025, 6, 15)),
        ("excel", "45823.62962962963", at(2025, 6, 15, 15, 6, 40)),
        ("%d/%m/%Y", " 05/06/2025 ", at(2025, 6, 5)),
        ("%m/%d/%Y %I:%M %p", "05/06/2025 3:06 PM", at(2025, 5, 6, 15, 6)),
        ("%Y-%m-%d %H:%M:%S.%f", "2025-06-15 15:06:40.123", at(2025, 6, 15, 15, 6, 40, milliseconds=123)),
        ("%F %T", "2025-06-15 15:06:40", at(2025, 6, 15, 15, 6, 40)),
        ("%c", "Sun Jun 15 15:06:40 2025", at(2025, 6, 15, 15, 6, 40)),
        ("%x", "06/15/25", at(2025, 6, 15)),
        ("%Y-%j", "2025-166", at(2025, 6, 15)),
        ("%Y%j", "2025166", at(2025, 6, 15)),
        ("%Y%j", "2025166.0", at(2025, 6, 15)),
        ("%G-W%V-%u", "2025-W24-7", at(2025, 6, 15)),
        ("%d%m%Y", "1062025", at(2025, 6, 1)),
        ("%Y%m%d", "20250615.0", at(2025, 6, 15)),
        ("%Y-%m-%dT%H:%M:%S%z", "2025-06-15T15:06:40Z", at(2025, 6, 15, 15, 6, 40)),
        ("%Y-%m-%d %H:%M:%S %z", "2025-06-15 15:06:40 -0530", at(2025, 6, 15, 20, 36, 40)),
        ("%Y-%m-%d %H:%M:%S %Z", "2025-06-15 15:06:40 EST", at(2025, 6, 15, 20, 6, 40)),
        ("%Y-%m-%d %H:%M:%S %Z", "2025-06-15 15:06:40 Europe/Berlin", at(2025, 6, 15, 13, 6, 40)),
        ("%Y-%m-%d %H:%M:%S.%n", "2025-06-15 15:06:40.123999999", at(2025, 6, 15, 15, 6, 40, milliseconds=123)),
        ("it's %Y%%", "it's 2025%", at(2025, 1, 1)),
    ],
)
def test_a_given_format(time_format: str, cell: str, time: int) -> None:
    assert read(cell, "no time", None, time_format=time_format) == [time, None, None]


@pytest.mark.parametrize(("kind", "cell"), [("DOUBLE", 20250615.0), ("BIGINT", 20250615), ("DECIMAL(10, 1)", 20250615)])
def test_a_given_format_reads_numbers(kind: str, cell: object) -> None:
    assert read(cell, kind=kind, time_format="%Y%m%d") == [at(2025, 6, 15)]


def test_a_zone_with_several_meanings_is_not_read_by_a_given_format() -> None:
    assert read("2025-06-15 15:06 CST", "2025-06-15 15:06 UTC", time_format="%Y-%m-%d %H:%M %Z") == [
        None,
        at(2025, 6, 15, 15, 6),
    ]


def test_a_typed_column_needs_no_format_and_says_so() -> None:
    column = Column(["2025-06-15"], "DATE")
    assert column.read("%d.%m.%Y") == [at(2025, 6, 15)]
    assert "of type DATE, so the time format is not needed" in column.said


@pytest.mark.parametrize(
    ("time_format", "said"),
    [
        ("%Y-%q-%d", "'%q', which is no directive"),
        ("%Y-%m-%", "'%', which is no directive"),
        ("yyyy-MM-dd", "'yyyy-MM-dd' has no directive"),
        ("second", "'second' has no directive"),
        ("%m%d", "'%m%d' has no year"),
        ("%d.%m.%Y", "can be read by --time-format '%d.%m.%Y': one is '2025-06-15'"),
        ("days", "can be read by --time-format 'days': one is '2025-06-15'"),
    ],
)
def test_a_wrong_format_is_one_clear_error(time_format: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"right are seconds, milliseconds, .*strptime") as error:
        read(None, "2025-06-15", time_format=time_format)
    assert said in str(error.value)


class Two:
    """A date column and a time column."""

    def __init__(self, rows: Sequence[tuple[Any, Any]], date: str = "VARCHAR", time: str = "VARCHAR") -> None:
        self.connection = duckdb.connect()
        self.connection.execute(f"CREATE TABLE log (row INTEGER, day {date}, clock {time})")
        self.connection.executemany("INSERT INTO log VALUES (?, ?, ?)", [[n, *row] for n, row in enumerate(rows)])

    def read(self, time_format: str | None = None) -> list[int | None] | None:
        joined = join_date_and_time(self.connection, "log", "day", "clock", time_format)
        if joined is None:
            return None
        self.connection.execute(f"CREATE OR REPLACE VIEW joined AS SELECT row, {joined} AS moment FROM log")
        reading = read_times(self.connection, "joined", "moment", "day,clock", time_format)
        rows = self.connection.execute(f"SELECT {reading.sql} FROM joined ORDER BY row").fetchall()
        return [time for (time,) in rows]


@pytest.mark.parametrize(
    ("day", "clock", "types", "time"),
    [
        ("2025-06-15", "15:06:40", ("VARCHAR", "VARCHAR"), (15, 6, 40)),
        ("20250615", "15:06", ("VARCHAR", "VARCHAR"), (15, 6)),
        ("15.06.2025", "3:06 PM", ("VARCHAR", "VARCHAR"), (15, 6)),
        ("6/15/2025 0:00", " 15:06:40 ", ("VARCHAR", "VARCHAR"), (15, 6, 40)),
        ("2025-06-15", "15:06:40", ("DATE", "TIME"), (15, 6, 40)),
        ("2025-06-15 00:00:00", "15:06:40", ("TIMESTAMP", "TIME"), (15, 6, 40)),
        ("2025-06-15", 15, ("DATE", "BIGINT"), (15,)),
        ("2025-06-15", "1506", ("VARCHAR", "VARCHAR"), (15, 6)),
        ("20250615", 150640.0, ("BIGINT", "DOUBLE"), (15, 6, 40)),
        ("15.06.2025", "15.06", ("VARCHAR", "VARCHAR"), (15, 6)),
        ("15.06.2025", " 9.06.40", ("VARCHAR", "VARCHAR"), (9, 6, 40)),
        ("20250615", "15.06.40", ("VARCHAR", "VARCHAR"), (15, 6, 40)),
        ("2025-06-15", "15.06", ("DATE", "VARCHAR"), (15, 6)),
    ],
)
def test_date_and_time_are_joined(day: str, clock: Any, types: tuple[str, str], time: tuple[int, ...]) -> None:
    found = Two([(day, clock), (day, None), (None, clock)], *types).read()
    assert found == [at(2025, 6, 15, *time), at(2025, 6, 15), None]


@pytest.mark.parametrize(
    ("day", "clock", "time_format", "types"),
    [
        ("15.06.25", "15.06", "%d.%m.%y %H.%M", ("VARCHAR", "VARCHAR")),
        ("\u00a015.06.25 ", " 15.06\u00a0", "%d.%m.%y %H.%M", ("VARCHAR", "VARCHAR")),
        ("15.06.25", "15h06", "%d.%m.%y %Hh%M", ("VARCHAR", "VARCHAR")),
        ("2025-06-15", "1506", "%Y-%m-%d %H%M", ("DATE", "VARCHAR")),
        ("15.06.25", "15.06", "%d.%m.%y %H:%M", ("VARCHAR", "VARCHAR")),
        ("2025-06-15 00:00:00", "1506", "%Y-%m-%d %H:%M", ("TIMESTAMP", "BIGINT")),
    ],
)
def test_a_given_format_reads_date_and_time_as_they_stand(
    day: str, clock: Any, time_format: str, types: tuple[str, str]
) -> None:
    assert Two([(day, clock)], *types).read(time_format) == [at(2025, 6, 15, 15, 6)]


@pytest.mark.parametrize("blank", BLANKS)
def test_blanks_around_date_and_time_are_none_of_them(blank: str) -> None:
    rows = [(f"{blank}2024-03-08{blank}", f"{blank}{clock}{blank}") for clock in ("07:28:40", "072840")]
    for row in rows:
        assert Two([row]).read() == [at(2024, 3, 8, 7, 28, 40)]


@pytest.mark.parametrize(
    ("day", "clock"),
    [
        ("2025-06-15", "1750000000"),
        ("2025-06-15", "2025-06-14"),
        ("2025-06-15 12:00:00", "15:06:40"),
        ("2025-06-15", None),
        ("2025-06-15", "24.10"),
        ("2025-06-15", "10.60"),
        ("2025-06-15", "10.5"),
        ("1750000000", "10.24"),
        ("2025-06-15 12:00:00", "15.06"),
    ],
)
def test_what_is_no_time_of_day_is_not_joined(day: str, clock: str | None) -> None:
    assert Two([(day, clock)]).read() is None


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("2025", "6", "15"), at(2025, 6, 15)),
        ((2025, 6.0, 15), at(2025, 6, 15)),
        ((15, 6, 2025), at(2025, 6, 15)),
        (("2025", "June", "15"), at(2025, 6, 15)),
        ((2025, 6, 15, 9), at(2025, 6, 15, 9)),
        (("2025", "6", "15", "9", "6", "40.0"), at(2025, 6, 15, 9, 6, 40)),
        ((2025, 6, 15, None, 6, 40), at(2025, 6, 15)),
        ((2025, None, 15), None),
    ],
)
def test_a_calendar_in_columns_is_joined(cells: tuple[Any, ...], expected: int | None) -> None:
    connection = duckdb.connect()
    names = [f"part_{n}" for n in range(len(cells))]
    typed = [
        f"{name} {'VARCHAR' if isinstance(cell, str) else 'DOUBLE'}" for name, cell in zip(names, cells, strict=True)
    ]
    connection.execute(f"CREATE TABLE log ({', '.join(typed)})")
    connection.execute(f"INSERT INTO log VALUES ({', '.join('?' * len(cells))})", list(cells))
    connection.execute(f"CREATE VIEW joined AS SELECT {join_calendar(connection, 'log', names)} AS moment FROM log")
    reading = read_times(connection, "joined", "moment", "year,month,day")
    assert connection.execute(f"SELECT {reading.sql} FROM joined").fetchone() == (expected,)


@pytest.mark.parametrize("count", [2, 7])
def test_a_calendar_in_too_few_or_many_columns_is_an_error(count: int) -> None:
    with pytest.raises(ValueError, match=f"in {count} columns cannot be joined: year, month, day"):
        join_calendar(duckdb.connect(), "log", ["a"] * count)


@pytest.mark.parametrize(("clock", "hour", "is_used"), [("10.24", 10, True), ("often", 0, False)])
def test_a_second_column_that_holds_no_time_of_day_is_said(
    tmp_path: Path, clock: str, hour: int, is_used: bool
) -> None:
    file = tmp_path / "log.csv"
    rows = [f"u{n % 5};i{n % 7};{n % 28 + 1:02}.03.2024;{clock}" for n in range(40)]
    file.write_text("user_id;item_id;date;time\n" + "\n".join(rows) + "\n", encoding="utf-8")
    log = read_log(file, Mapping(time="date,time"))
    assert {datetime.fromtimestamp(time / 1000, UTC).hour for time in log.events.event_time_ms} == {hour}
    assert any("'time' was not used as the time of day" in note for note in log.notes) is not is_used
