"""MovieLens' folders of 100K and 1M, RecBole's 100K, and the real one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from model_export.readers import read_log
from model_export.readers.presets import recognise
from model_export.readers.presets.peek import found_at
from tests.support.logs import MALFORMED, assert_same, events, put, real, rows


def recognised(path: Path) -> str | None:
    found = recognise(found_at(path))
    return found.name if found else None


def flags(*genres: int) -> str:
    return "|".join(str(int(place in genres)) for place in range(19))


def movielens_100k(folder: Path) -> Path:
    put(
        folder / "u.data",
        "196\t242\t3\t881250949\n22\t9\t1\t881250948\n196\t377\t5\t881250950\n22\t242\t1\t881250948\n",
    )
    put(
        folder / "u.item",
        f'9|"Été" d\'or (1996)|01-Jan-1996||http://x?|{flags(5, 8)}\n'
        f"242|Kolya (1996)|24-Jan-1997||x|{flags(1)}\n"
        f"267|unknown||||{flags(0)}\n377|Odd|01-Jan-1994||x|{flags(0)}\n\n",
        "latin-1",
    )
    put(folder / "u.user", "22|7|F|writer|40206\n196|49|M|writer|55105\n5|30|M|none|1\n")
    return folder


def recbole_100k(folder: Path) -> Path:
    put(
        folder / "ml-100k.inter",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "196\t242\t3\t881250949\n22\t9\t1\t881250948\n196\t377\t5\t881250950\n22\t242\t1\t881250948\n",
    )
    put(
        folder / "ml-100k.item",
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        '9\t"Été" d\'or\t1996\tComedy Drama\n242\tKolya\t1996\tAction\n377\tOdd\tV\tunknown\n',
    )
    put(
        folder / "ml-100k.user",
        "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
        "22\t7\tF\twriter\t40206\n196\t49\tM\twriter\t55105\n",
    )
    return folder


@pytest.mark.parametrize("make", [movielens_100k, recbole_100k])
def test_movielens_100k(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    folder = make(tmp_path)
    log = read_log(folder)
    assert events(log) == [
        ("22", "9", "rating", 881_250_948_000),
        ("22", "242", "rating", 881_250_948_000),
        ("196", "242", "rating", 881_250_949_000),
        ("196", "377", "rating", 881_250_950_000),
    ]
    assert rows(log.items) == [
        ("242", "Kolya (1996)", "Action", None, "Action"),
        ("377", "Odd", "", None, ""),
        ("9", '"Été" d\'or (1996)', "Comedy", None, "Comedy|Drama"),
    ]
    assert log.side_features == ["genres"]
    assert rows(log.profiles) == [("196", "M", "40s", "writer"), ("22", "F", "under 10", "writer")]
    assert list(log.profiles) == ["user_id", "gender", "age", "occupation"]
    for file in folder.iterdir():
        assert_same(log, read_log(file))


def movielens_1m(folder: Path) -> Path:
    put(folder / "ratings.dat", "1::1193::5::978300760\n1::3::3::978302109\n2::9::3::978300761\n")
    put(
        folder / "movies.dat",
        "3::Misérables, Les: 2|1 (1995)::Drama|Musical\n1193::One Flew (1975)::Children's\n",
        "latin-1",
    )
    put(folder / "users.dat", "1::F::1::10::48067\n2::M::56::16::70072\n3::M::25::15::55117\n")
    return folder


def test_movielens_1m(tmp_path: Path) -> None:
    log = read_log(movielens_1m(tmp_path))
    assert events(log) == [
        ("1", "1193", "rating", 978_300_760_000),
        ("2", "9", "rating", 978_300_761_000),
        ("1", "3", "rating", 978_302_109_000),
    ]
    assert rows(log.items) == [
        ("1193", "One Flew (1975)", "Children's", None, "Children's"),
        ("3", "Misérables, Les: 2|1 (1995)", "Drama", None, "Drama|Musical"),
        ("9", "9", "", None, ""),  # rated, but not among the movies
    ]
    assert rows(log.profiles) == [("1", "F", "under 18", "K-12 student"), ("2", "M", "56+", "self-employed")]
    assert recognised(tmp_path / "users.dat") == "movielens-1m"


def test_movielens_counts_malformed_ratings(tmp_path: Path) -> None:
    folder = movielens_1m(tmp_path)
    put(folder / "ratings.dat", "1::1193::5::978300760\n1::1193::5\n1::3::3::soon\n::3::3::978300760\n")
    assert read_log(folder).dropped == {MALFORMED: 1, "without a user": 1, "without a readable time": 1}


@pytest.mark.parametrize(
    ("make", "file"),
    [(movielens_100k, "u.item"), (movielens_1m, "users.dat"), (recbole_100k, "ml-100k.user")],
)
def test_movielens_needs_its_other_files(tmp_path: Path, make: Callable[[Path], Path], file: str) -> None:
    folder = make(tmp_path)
    put(folder / file, (folder / file).read_text("latin-1") + "1\n", "latin-1")
    assert any(f"{MALFORMED}; the first: {file} line" in note for note in read_log(folder).notes)
    (folder / file).unlink()
    with pytest.raises(FileNotFoundError, match=f"MovieLens needs {file}"):
        read_log(folder)


def test_the_real_movielens_100k() -> None:
    log = read_log(real("ml-100k"))
    assert (len(log.events), len(log.profiles), len(log.items)) == (100_000, 943, 1_682)
    assert log.dropped == {}
    assert rows(log.items[log.items.item_id == "89"]) == [
        ("89", "Blade Runner (1982)", "Film-Noir", None, "Film-Noir|Sci-Fi")
    ]
    assert (log.items.category == "").sum() == 2
    assert rows(log.profiles[log.profiles.user_id == "1"]) == [("1", "M", "20s", "technician")]
