"""Files as they lie on disk: compressed, in other encodings, in folders of parts, of unknown kinds."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from model_export.readers import Mapping, read_log
from tests.support.logs import MALFORMED, cells, edited, events, json_lines, put, text

RIGHT = [(user, item, "interaction", int(seconds) * 1000) for user, item, seconds, _ in cells()]
FIRST, SECOND = text(cells()[:10]), text(cells()[10:])


def zipped(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def packed(kind: str, content: str) -> bytes:
    raw = content.encode()
    if kind == "zip":
        return zipped(**{"folder/log.csv": content, "__MACOSX/._log.csv": "x"})
    if kind == "zst":
        return bytes(pa.compress(raw, "zstd", asbytes=True))
    packers: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    return packers[kind](raw)


KINDS = ["gz", "zst", "bz2", "xz", "zip"]


@pytest.mark.parametrize("kind", KINDS)
def test_compressed(tmp_path: Path, kind: str) -> None:
    content = packed(kind, text(cells()))
    for name in (f"log.csv.{kind}", f"log.txt.{kind}", f"log.{kind}", f"LOG.CSV.{kind.upper()}", "log.csv"):
        assert events(read_log(put(tmp_path / name, content))) == RIGHT, name
    lines = json_lines({"user_id": u, "item_id": i, "timestamp": t} for u, i, t, _ in cells())
    assert events(read_log(put(tmp_path / f"log.jsonl.{kind}", packed(kind, lines)))) == RIGHT
    folder = tmp_path / "parts"
    for name, part in (("a", FIRST), ("b", SECOND)):
        put(folder / f"{name}.csv.{kind}", packed(kind, part))
    assert events(read_log(folder)) == RIGHT


@pytest.mark.parametrize("kind", KINDS)
def test_broken_compression_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"log.csv.{kind}"
    content = packed(kind, text(cells(2000)))
    for broken in (b"", text(cells()).encode(), content[: len(content) // 2]):
        with pytest.raises(ValueError, match=rf"log.csv.{kind} is not a {kind} file that can be read"):
            read_log(put(path, broken))


def test_a_zip_of_several_files(tmp_path: Path) -> None:
    path = put(tmp_path / "log.zip", zipped(**{"a.csv": FIRST, "b.csv": SECOND}))
    with pytest.raises(ValueError, match=r"log.zip holds 2 files \(a.csv, b.csv\); unpack it and give the folder"):
        read_log(path)


ACCENTS = text(edited(cells(), (19, 3, lambda _: "Café Grüße")))


@pytest.mark.parametrize(
    ("said", "written", "mark"),
    [
        (None, "utf-8", b"\xef\xbb\xbf"),
        (None, "utf-16", b""),
        (None, "utf-16-le", b""),
        (None, "utf-16-be", b""),
        (None, "utf-16-be", b"\xfe\xff"),
        (None, "utf-32", b""),
        ("utf-16", "utf-16-le", b""),
        ("utf-16", "utf-16", b""),
        ("utf-8-sig", "utf-8", b"\xef\xbb\xbf"),
        ("latin-1", "latin-1", b""),
        ("cp1252", "cp1252", b""),
    ],
)
def test_encodings(tmp_path: Path, said: str | None, written: str, mark: bytes) -> None:
    content = mark + ACCENTS.encode(written)
    mapping = Mapping() if said is None else Mapping(encoding=said)
    for name, raw in (("log.csv", content), ("log.csv.gz", gzip.compress(content))):
        log = read_log(put(tmp_path / name, raw), mapping)
        assert events(log) == RIGHT
        assert "Café Grüße" in set(log.items.title)


@pytest.mark.parametrize("at", [0, 19])
def test_a_wrong_encoding_is_an_error(tmp_path: Path, at: int) -> None:
    content = text(edited(cells(), (at, 3, lambda _: "é")))
    path = put(tmp_path / "log.csv", content, "latin-1")
    with pytest.raises(
        ValueError, match=rf"log.csv is not in UTF-8 .1 lines; log.csv line {at + 2}: .*--encoding says"
    ):
        read_log(path)
    with pytest.raises(ValueError, match=r"log.csv is not in the encoding utf-16: .*--encoding names another"):
        read_log(path, Mapping(encoding="utf-16"))


def test_a_few_lines_in_another_encoding_are_counted(tmp_path: Path) -> None:
    content = text(edited(cells(5000), (700, 3, lambda _: "é")))
    log = read_log(put(tmp_path / "log.csv", content, "latin-1"))
    assert len(log.events) == 4999
    assert log.dropped == {"malformed (not in UTF-8)": 1}


@pytest.mark.parametrize("encoding", ["klingon", "base64", "rot13"])
def test_an_unknown_encoding(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(ValueError, match=f"--encoding is '{encoding}'; right are utf-8, utf-16, latin-1"):
        read_log(put(tmp_path / "log.csv", FIRST), Mapping(encoding=encoding))


# Folders


def test_parts_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    put(folder / "2025" / "06" / "a.csv", FIRST)
    put(folder / "2025" / "07" / "b.csv", SECOND)
    for name in ("_SUCCESS", ".a.csv.crc", "_temporary/c.csv", ".git/d.csv", "README.md"):
        put(folder / name, "x")
    log = read_log(folder)
    assert events(log) == RIGHT
    assert log.notes == ()
    put(folder / "README.txt", "about this log")
    put(folder / "LICENSE", "free")
    log = read_log(folder)
    assert events(log) == RIGHT
    assert log.notes == ("not read in the folder: LICENSE, README.txt",)


@pytest.mark.parametrize("names", [("a.txt", "b.txt"), ("part-00000", "part-00001")])
def test_parts_of_no_usual_ending(tmp_path: Path, names: tuple[str, str]) -> None:
    put(tmp_path / names[0], FIRST)
    put(tmp_path / names[1], SECOND)
    assert events(read_log(tmp_path)) == RIGHT


def test_parts_without_header(tmp_path: Path) -> None:
    put(tmp_path / "000000_0", text(cells()[:10], "\x01", None))
    put(tmp_path / "000001_0", text(cells()[10:], "\x01", None))
    assert events(read_log(tmp_path, Mapping(columns=("user_id", "item_id", "timestamp", "title")))) == RIGHT


def test_a_part_with_a_header_only(tmp_path: Path) -> None:
    for name, content in (("a.csv", FIRST), ("b.csv", text([])), ("c.csv", SECOND)):
        put(tmp_path / name, content)
    assert events(read_log(tmp_path)) == RIGHT


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("x,y\n1,2\n", r"b.csv has other columns \(x, y\) than .*a.csv \(user_id, item_id, timestamp, title\); give"),
        (text(cells(), header=None), r"b.csv has other columns .*b.csv seems to have no header, the other has one"),
        (text(cells(), ";"), r"b.csv is laid out in another way than .*a.csv: cells are separated by ';' and ','"),
        ("", r"b.csv is empty"),
    ],
)
def test_parts_that_do_not_fit(tmp_path: Path, other: str, message: str) -> None:
    put(tmp_path / "a.csv", FIRST)
    put(tmp_path / "b.csv", other)
    with pytest.raises(ValueError, match=message):
        read_log(tmp_path)
    assert events(read_log(tmp_path / "a*.csv")) == RIGHT[:10]


def test_parts_are_joined_by_name(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", FIRST)
    turned = [[*row[::-1], "12"] for row in cells()[10:15]]
    put(tmp_path / "b.csv", text(turned, header=["title", "timestamp", "item_id", "USER_ID", "price"]))
    put(
        tmp_path / "c.csv",
        text([row[:3] for row in cells()[15:]] + [["spoilt"]], header=["user_id", "item_id", "timestamp"]),
    )
    log = read_log(tmp_path)
    assert events(log) == RIGHT
    assert log.dropped == {MALFORMED: 1}
    assert "c.csv line 7: 'spoilt'" in log.notes[0]
    assert log.columns["price"] == "price"
    assert set(log.items.price.dropna()) == {12.0}


def test_kinds_are_not_mixed(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", FIRST)
    put(tmp_path / "b.jsonl", '{"a": 1}\n')
    with pytest.raises(
        ValueError, match=r"have to be of one kind: .*a.csv is text, .*b.jsonl is json; give the path of"
    ):
        read_log(tmp_path)


def test_globs(tmp_path: Path) -> None:
    put(tmp_path / "x" / "a1.csv", FIRST)
    put(tmp_path / "y" / "a2.csv", SECOND)
    put(tmp_path / "y" / "b.csv", "x\n")
    assert events(read_log(tmp_path / "**" / "a*.csv")) == RIGHT
    with pytest.raises(FileNotFoundError, match=r"no file at .*z\*.csv"):
        read_log(tmp_path / "z*.csv")


@pytest.mark.parametrize("name", ["my log 1.csv", "it's.csv", "log[1].csv", "log*.csv", "lög.csv", "a=b.csv"])
def test_names_of_files(tmp_path: Path, name: str) -> None:
    assert events(read_log(put(tmp_path / name, text(cells())))) == RIGHT


def test_hive_partitions(tmp_path: Path) -> None:
    for day in ("2025-06-15", "2025-06-16"):
        put(tmp_path / "csv" / f"dt={day}" / "a.csv", f"user_id,item_id\nu,{day}\n")
        put(tmp_path / "json" / f"dt={day}" / "a.jsonl", json_lines([{"user_id": "u", "item_id": day}]))
        parquet = put(tmp_path / "parquet" / f"dt={day}" / "a.parquet", b"")
        pd.DataFrame({"user_id": ["u"], "item_id": [day]}).to_parquet(parquet)
    for kind in ("csv", "json", "parquet"):
        log = read_log(tmp_path / kind, Mapping(time="dt"))
        days = pd.to_datetime(log.events.event_time_ms, unit="ms").dt.strftime("%Y-%m-%d").tolist()
        assert days == log.events.item_id.tolist() == ["2025-06-15", "2025-06-16"], kind


def test_an_empty_folder(tmp_path: Path) -> None:
    put(tmp_path / ".hidden", "x")
    with pytest.raises(FileNotFoundError, match="no file at"):
        read_log(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.avro", b"Obj\x01abc", "is a file of Avro, which is not read; right is Parquet, CSV or JSON lines"),
        ("log.orc", b"ORCabcdefgh", "is a file of ORC"),
        ("log.db", b"SQLite format 3\0abc", "is a file of SQLite"),
        ("log.parquet", b"user_id,item_id\n", "is not a Parquet file that can be read"),
        ("log.parquet", b"", "is not a Parquet file that can be read"),
        ("log.parquet", b"PAR1abc", "log.parquet cannot be read: "),
        ("log.arrow", b"ARROW1abc", "log.arrow is not an Arrow file that can be read"),
        ("log.xlsx", b"PKabc", "log.xlsx is not a spreadsheet that can be read"),
        ("log.tar.gz", gzip.compress(b"log.csv" + b"\0" * 500, mtime=0), "is no text, and of no kind that is read"),
        ("log.pkl", b"\x80\x04\x95" + b"\0" * 50, "is no text, and of no kind that is read"),
        (
            "log.csv",
            b"<html><body>not found</body></html>\n",
            "found <html><body>not found</body></html>; --user names",
        ),
    ],
)
def test_what_is_no_log(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=name) as error:
        read_log(put(tmp_path / name, content))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_spreadsheets(tmp_path: Path) -> None:
    table = pd.DataFrame(cells(), columns=["user_id", "item_id", "timestamp", "title"])
    with pd.ExcelWriter(tmp_path / "log.xlsx", engine="openpyxl") as book:
        table[:10].to_excel(book, sheet_name="June", index=False)
        table[10:].to_excel(book, sheet_name="July", index=False)
    assert events(read_log(tmp_path / "log.xlsx")) == RIGHT
    with pd.ExcelWriter(tmp_path / "log.xlsx", engine="openpyxl") as book:
        table.to_excel(book, sheet_name="June", index=False)
        table.rename(columns={"title": "name"}).to_excel(book, sheet_name="July", index=False)
    with pytest.raises(
        ValueError, match="sheet 'July' has the columns user_id, item_id, timestamp, name, the first one"
    ):
        read_log(tmp_path / "log.xlsx")
