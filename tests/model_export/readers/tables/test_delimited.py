"""Delimited text of any dialect: delimiters, headers, quotes, and lines that are lost."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from model_export.readers import Mapping, read_log
from tests.support import logs
from tests.support.logs import MALFORMED, cells, edited, events, put

ROWS = [row[:3] for row in cells()]
Table = Sequence[Sequence[str]]
HEADER = ("user_id", "item_id", "timestamp")
NAMED = Mapping(columns=HEADER)
RIGHT = [(user, item, "interaction", int(seconds) * 1000) for user, item, seconds in ROWS]


def text(table: Table, delimiter: str = ",", header: Sequence[str] | None = (), end: str = "\n") -> str:
    """A table as text, with the header of its columns."""
    return logs.text(table, delimiter, [*HEADER, "title"][: len(table[0])] if header == () else header, end)


def quote(cell: str) -> str:
    return '"' + cell


def unquote(cell: str) -> str:
    return cell + '"'


@pytest.mark.parametrize(
    "delimiter", [",", ";", "\t", "|", "||", "::", " ", "^", "~", "#", ":", "¦", "\x01", "\x1f", ", "]
)
@pytest.mark.parametrize("header", [HEADER, None])
def test_delimiters(tmp_path: Path, delimiter: str, header: tuple[str, ...] | None) -> None:
    path = put(tmp_path / "log.txt", text(ROWS, delimiter, header))
    log = read_log(path, Mapping() if header else NAMED)
    assert events(log) == RIGHT
    assert log.dropped == {}


@pytest.mark.parametrize(
    ("said", "delimiter"), [("\\t", "\t"), ("\\x01", "\x01"), (";", ";"), (" ", " "), ("::", "::")]
)
def test_a_delimiter_that_is_said(tmp_path: Path, said: str, delimiter: str) -> None:
    path = put(tmp_path / "log.txt", text([[*row, "a, b|c"] for row in ROWS], delimiter, [*HEADER, "other"]))
    if delimiter == " ":
        path = put(tmp_path / "log.txt", text(ROWS, " "))
    assert events(read_log(path, Mapping(delimiter=said))) == RIGHT


@pytest.mark.parametrize(
    "content",
    [
        '"User ID" , " ITEM ID", "Time Stamp"\n' + text(ROWS, header=None),
        "\ufeff" + text(ROWS),
        '\ufeff"user_id","item_id","timestamp"\r\n' + text(ROWS, header=None, end="\r\n"),
        "\n\n" + text(ROWS),
        text(ROWS) + "\n\n\n",
        text(ROWS)[:-1],
        text(ROWS[:5]) + "\n\n" + text(ROWS[5:], header=None),
        text(ROWS, end="\r\n"),
        text(ROWS, end="\r"),
        text(ROWS[:9], end="\r\n") + text(ROWS[9:], header=None),
        text(ROWS[:9]) + text(ROWS[9:], header=None, end="\r\n"),
        "sep=;\n" + text(ROWS, ";"),
        logs.text([[*row, ""] for row in ROWS], ";", HEADER),
        text([[*row, ""] for row in ROWS], ";", [*HEADER, ""]),
        logs.text([[*row, "", ""] for row in ROWS], ";", HEADER),
        logs.text([[str(n), *row] for n, row in enumerate(ROWS)], header=HEADER),
        text([[str(n), *row] for n, row in enumerate(ROWS)], header=["", *HEADER]),
        text([[f'"{cell}"' for cell in [str(n), *row]] for n, row in enumerate(ROWS)], header=['""', *HEADER]),
        text([[*row, "x"] for row in ROWS], header=[*HEADER, "mindstream_swallowed"]),
        text([[*row, "x"] for row in ROWS], header=[*HEADER, "left_out"]),
        text([[*row, "x", "y"] for row in ROWS], header=[*HEADER, 'a ""b""', "User_ID"]).replace(
            'a ""b""', '"a ""b"""'
        ),
    ],
)
def test_headers_and_ends_of_lines(tmp_path: Path, content: str) -> None:
    log = read_log(put(tmp_path / "log.csv", content))
    assert events(log) == RIGHT
    assert log.dropped == {}


def test_lines_before_the_header(tmp_path: Path) -> None:
    path = put(tmp_path / "log.csv", "# made by a tool\n# 2025, June\n" + text(ROWS))
    with pytest.raises(ValueError, match="--skip-lines skips lines before it"):
        read_log(path)
    assert events(read_log(path, Mapping(skip_lines=2))) == RIGHT
    with pytest.raises(ValueError, match=r"log.csv is empty behind its first 99 lines"):
        read_log(path, Mapping(skip_lines=99))


@pytest.mark.parametrize("columns", [HEADER[:2], (*HEADER, "more"), (*HEADER, "more", "most")])
def test_columns_that_do_not_fit(tmp_path: Path, columns: tuple[str, ...]) -> None:
    path = put(tmp_path / "log.csv", text(ROWS, header=None))
    with pytest.raises(ValueError, match=rf"{len(columns)} columns are named .*, but its first line has 3 cells"):
        read_log(path, Mapping(columns=columns))


def test_fewer_columns_than_most_rows_have_cells(tmp_path: Path) -> None:
    path = put(tmp_path / "log.csv", logs.text([ROWS[0], *([*row, "x"] for row in ROWS[1:])], header=None))
    with pytest.raises(ValueError, match=r"3 columns are named .*, but its rows have 4 cells \(line 2: '.*,x'\)"):
        read_log(path, Mapping(columns=HEADER, delimiter=","))


def test_columns_that_are_the_header(tmp_path: Path) -> None:
    assert events(read_log(put(tmp_path / "log.csv", text(ROWS)), NAMED)) == RIGHT


@pytest.mark.parametrize("at", [0, 1, 7, 19])
def test_a_row_with_a_cell_too_many_is_the_only_one_that_is_lost(tmp_path: Path, at: int) -> None:
    path = put(tmp_path / "log.csv", logs.text(edited(ROWS, (at, 1, lambda cell: f"{cell}, big")), header=HEADER))
    log = read_log(path)
    assert events(log) == RIGHT[:at] + RIGHT[at + 1 :]
    assert log.dropped == {MALFORMED: 1}
    assert log.notes[0].startswith(f"1 line is {MALFORMED}; the first: log.csv line {at + 2}: '{ROWS[at][0]},")


NUMBERED = "log.csv: the first cell of each row is its number, which the header does not name"


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("quote", ["", '"'])
def test_numbers_of_rows_that_the_header_does_not_name(tmp_path: Path, start: int, quote: str) -> None:
    numbered = [[f"{quote}{n}{quote}", *row] for n, row in enumerate(ROWS, start)]
    log = read_log(put(tmp_path / "log.csv", logs.text(numbered, header=HEADER)))
    assert events(log) == RIGHT
    assert log.notes == (NUMBERED,)


@pytest.mark.parametrize("extra", [1, 2])
@pytest.mark.parametrize("front", [True, False])
def test_a_header_of_fewer_cells_than_the_rows(tmp_path: Path, extra: int, front: bool) -> None:
    more = ["x"] * extra
    table = [[*more, *row] if front else [*row, *more] for row in ROWS]
    path = put(tmp_path / "log.csv", "\n" + logs.text(table, header=HEADER))
    first = ",".join(table[0])
    with pytest.raises(
        ValueError, match=rf"rows have {3 + extra} cells, the header 3 \(line 3: '{first}'\); --skip-lines"
    ):
        read_log(path)
    columns = (*["more", "most"][:extra], *HEADER) if front else (*HEADER, *["more", "most"][:extra])
    assert events(read_log(path, Mapping(columns=columns, skip_lines=2))) == RIGHT


def test_single_quotes_are_found(tmp_path: Path) -> None:
    table = [[f"'{user}'", f"'{item}, x'", f"'{seconds}'"] for user, item, seconds in ROWS]
    for header in ([f"'{name}'" for name in HEADER], None):
        log = read_log(put(tmp_path / "log.csv", logs.text(table, header=header)), Mapping() if header else NAMED)
        assert events(log) == [(user, f"{item}, x", *rest) for user, item, *rest in RIGHT]
        assert log.notes == ("log.csv: cells are in single quotes, which are read as no part of them (--quote)",)
    titles = logs.text(
        [[*row, "it's" if row[1] == ROWS[0][1] else "'tis o'clock"] for row in ROWS], header=[*HEADER, "title"]
    )
    log = read_log(put(tmp_path / "log.csv", titles))
    assert events(log) == RIGHT
    assert set(log.items.title) == {"it's", "'tis o'clock"}


@pytest.mark.parametrize(
    ("second", "note"),
    [
        ("user_id", "log.csv: columns 1 (user_id) and 4 (user_id) have one name; column 1 is the one that counts"),
        ("User ID", "log.csv: columns 1 (user_id) and 4 (User ID) have one name; column 1 is the one that counts"),
    ],
)
def test_two_columns_of_one_name(tmp_path: Path, second: str, note: str) -> None:
    path = put(tmp_path / "log.csv", logs.text([[*row, "other"] for row in ROWS], header=[*HEADER, second]))
    log = read_log(path)
    assert events(log) == RIGHT
    assert log.notes == (note,)


# Quotes

TITLED = cells()


@pytest.mark.parametrize(
    ("table", "title"),
    [
        (
            [[*row, '"Nice lamp, really\nIt is big, round, and red\nbuy it, now"'] for row in ROWS],
            "Nice lamp, really\n",
        ),
        ([[*row, '"size,colour,weight,kind\n10,red,5,floor"'] for row in ROWS], "size,colour,weight,kind\n10,"),
        ([[*row, '"The ""big"" one, red"'] for row in ROWS], 'The "big" one, red'),
        ([[*row, '"The \\"big\\" one, red"'] for row in ROWS], 'The "big" one, red'),
        ([[*row, '12" lamp'] for row in ROWS], '12" lamp'),
    ],
)
def test_quotes_that_are_right(tmp_path: Path, table: list[list[str]], title: str) -> None:
    log = read_log(put(tmp_path / "log.csv", text(table)))
    assert events(log) == RIGHT
    assert log.dropped == {}
    assert log.items.title[0].startswith(title)
    assert log.notes == ()


@pytest.mark.parametrize(
    "changes",
    [
        *[[(3, column, quote)] for column in (0, 1, 3)],
        *[[(3, column, quote), (12, column, quote)] for column in (0, 1, 3)],
        *[[(3, column, quote), (12, column, unquote)] for column in (0, 1, 3)],
        [(3, 3, quote), (3, 1, quote)],
        [(row, 3, quote) for row in (2, 5, 9, 14)],
        [(19, 3, quote)],
        [(0, 3, quote)],
        [(3, 3, lambda cell: f'"Big" {cell}')],
    ],
)
@pytest.mark.parametrize("form", ["csv", "tsv", "gz", "crlf", "latin-1"])
def test_stray_quotes_take_no_row_and_are_said(
    tmp_path: Path, changes: list[tuple[int, int, Callable[[str], str]]], form: str
) -> None:
    content = text(edited(TITLED, *changes), "\t" if form == "tsv" else ",", end="\r\n" if form == "crlf" else "\n")
    path = put(tmp_path / ("log.csv.gz" if form == "gz" else "log.csv"), content)
    log = read_log(path, Mapping(encoding="latin-1") if form == "latin-1" else Mapping())
    assert len(log.events) == 20
    assert log.dropped == {}
    assert [item for _, item, *_ in RIGHT if '"' not in item] == [
        item.replace('"', "") for item in log.events.item_id.astype(str)
    ]
    assert "quotes are read as plain characters, since stray ones would have swallowed or spoilt" in log.notes[0]
    assert "log.csv" in log.notes[0]


def legal(count: int) -> list[list[str]]:
    """Rows whose titles are quoted rightly and hold delimiters and line ends."""
    return [
        [f"u{n % 99}", f"i{n % 77}", str(1_750_000_000 + n), f'"Good, I say\nvery good {n}, yes"'] for n in range(count)
    ]


def test_a_stray_quote_among_right_ones_costs_one_row(tmp_path: Path) -> None:
    path = put(tmp_path / "log.csv", text(edited(legal(2000), (500, 3, lambda _: '"Big" lamp'))))
    log = read_log(path)
    assert len(log.events) == 1999
    assert sum(log.dropped.values()) == 1
    assert "log.csv line 1002" in log.notes[0]


def test_of_two_readings_that_lose_the_same_the_one_with_quotes_counts(tmp_path: Path) -> None:
    """With quotes the row with "Big" is lost, without them the row with a comma."""
    path = put(tmp_path / "log.csv", text(edited(TITLED, (3, 3, lambda _: '"Big" lamp'), (18, 3, lambda _: '"a, b"'))))
    log = read_log(path)
    assert log.dropped == {"malformed (a stray quote)": 1}
    assert len(log.events) == 19
    assert "a, b" in set(log.items.title)


def test_an_open_quote_among_right_ones_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = put(tmp_path / "log.csv", text([*legal(100), *edited(TITLED, (3, 3, quote))]))
    with pytest.raises(ValueError, match=r"log.csv: a quote is never closed and swallows 17 lines .log.csv line 205:"):
        read_log(path)


def test_swallowed_lines_of_a_large_file(tmp_path: Path) -> None:
    lines = [[f"u{n % 99}", f"i{n % 77}", str(1_750_000_000 + n), "Lamp"] for n in range(100_000)]
    path = put(tmp_path / "log.csv", text(edited(lines, (1000, 3, quote), (51_000, 3, unquote))))
    log = read_log(path)
    assert len(log.events) == 100_000
    assert log.dropped == {}


def test_other_quotes(tmp_path: Path) -> None:
    path = put(tmp_path / "log.csv", text([[*row, "'Lamp, big'"] for row in ROWS]))
    log = read_log(path, Mapping(quote="'"))
    assert set(log.items.title) == {"Lamp, big"}
    path = put(tmp_path / "log.csv", text([[*row, '"Lamp'] for row in ROWS]))
    assert set(read_log(path, Mapping(quote="none")).items.title) == {'"Lamp'}


def test_a_line_of_more_than_16_mb_is_counted(tmp_path: Path) -> None:
    path = put(tmp_path / "log.csv", text(edited(TITLED, (3, 3, lambda _: "x" * 17_000_000))))
    log = read_log(path)
    assert len(log.events) == 19
    assert log.dropped == {"malformed (a line of more than 16 MB)": 1}


def test_files_of_several_blocks(tmp_path: Path) -> None:
    """Quoted line ends stand at the seams of blocks, and malformed rows in between."""
    line, count = 'u,i,1750000000,"' + "a\n" * 500 + '"\n', 40_000
    path = put(tmp_path / "log.csv", "user,item,time,title\n" + (line * (count // 4) + "u,i\n") * 4)
    log = read_log(path)
    assert len(log.events) == count
    assert log.dropped == {MALFORMED: 4}
    assert log.items.title.tolist() == [("a\n" * 500).strip()]
