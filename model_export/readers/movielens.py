"""MovieLens 100K and 1M as GroupLens ships them, and 100K in RecBole's atomic files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from model_export.data.interactions import SEPARATOR, InteractionLog
from model_export.readers.cells import to_numbers, to_text, to_times_ms
from model_export.readers.delimited import read_delimited
from model_export.readers.files import first_line
from model_export.readers.rows import in_time_order, make_log

__all__ = ["FILES", "RECBOLE_RATINGS", "read_1m", "read_100k"]

RECBOLE_RATINGS = "ml-100k.inter"
FILES = (
    *("u.data", "u.item", "u.user", RECBOLE_RATINGS, "ml-100k.item", "ml-100k.user"),
    *("ratings.dat", "movies.dat", "users.dat"),
)

_RATING = ["user_id", "item_id", "rating", "timestamp"]
_USER_100K = ["user_id", "age", "gender", "occupation", "zip"]
_USER_1M = ["user_id", "gender", "age", "occupation", "zip"]

# The order of the flags in u.item; RecBole lists a movie's genres in the same order, so the first agrees.
_GENRES = [
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary"),
    *("Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller"),
    *("War", "Western"),
]

# What the codes of MovieLens 1M mean, from its README.
_AGES_1M = {
    **{"1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44"},
    **{"45": "45-49", "50": "50-55", "56": "56+"},
}
_OCCUPATIONS_1M = [
    *("other", "academic/educator", "artist", "clerical/admin", "college/grad student", "customer service"),
    *("doctor/health care", "executive/managerial", "farmer", "homemaker", "K-12 student", "lawyer"),
    *("programmer", "retired", "sales/marketing", "scientist", "self-employed", "technician/engineer"),
    *("tradesman/craftsman", "unemployed", "writer"),
]


def read_100k(path: Path) -> InteractionLog:
    """Read MovieLens 100K from its folder or one of its files.

    u.data, u.item and u.user, or RecBole's atomic files.

    Every rating is an event, whatever its value. Ages become decades ("20s"). Side feature: a movie's genres.

    Raises
    ------
    FileNotFoundError
        Where one of the three files is not there.
    ValueError
        If a file cannot be parsed or no interaction remains.
    """
    folder = path if path.is_dir() else path.parent
    if (folder / RECBOLE_RATINGS).exists() and not (folder / "u.data").exists():
        return _read_recbole(folder)
    dropped: dict[str, int] = {}
    ratings = _read(folder / "u.data", _RATING, "\t", dropped)
    movies = _read(folder / "u.item", ["item_id", "title", "released", "video", "url", *_GENRES], "|")
    users = _read(folder / "u.user", _USER_100K, "|")
    flags = np.stack([to_numbers(movies[genre]) == 1 for genre in _GENRES], axis=1)
    items = _with_genres(_frame(movies, ["item_id", "title"]), _join_flags(flags))
    return _make_movie_log(folder, ratings, items, _profiles_100k(users), dropped)


def read_1m(path: Path) -> InteractionLog:
    """Read MovieLens 1M from its folder or one of its files.

    ratings.dat, movies.dat and users.dat.

    Every rating is an event, whatever its value. Codes of age and occupation become their meanings. Side
    feature: a movie's genres.

    Raises
    ------
    FileNotFoundError
        Where one of the three files is not there.
    ValueError
        If a file cannot be parsed or no interaction remains.
    """
    folder = path if path.is_dir() else path.parent
    dropped: dict[str, int] = {}
    ratings = _read(folder / "ratings.dat", _RATING, "::", dropped)
    movies = _read(folder / "movies.dat", ["item_id", "title", "genres"], "::")
    users = _read(folder / "users.dat", _USER_1M, "::")
    items = _with_genres(_frame(movies, ["item_id", "title"]), to_text(movies["genres"]))
    occupations = {str(code): name for code, name in enumerate(_OCCUPATIONS_1M)}
    profiles = _frame(users, ["user_id", "gender", "age", "occupation"])
    profiles = profiles.replace({"age": _AGES_1M, "occupation": occupations})
    return _make_movie_log(folder, ratings, items, profiles, dropped)


def _read_recbole(folder: Path) -> InteractionLog:
    """Read RecBole's files; titles get their year back, which has a column of its own there."""
    dropped: dict[str, int] = {}
    ratings = _read(folder / RECBOLE_RATINGS, None, "\t", dropped)
    movies = _read(folder / "ml-100k.item", None, "\t")
    users = _read(folder / "ml-100k.user", None, "\t")
    title, year = to_text(movies["movie_title"]), to_text(movies["release_year"])
    titles = title.where(~year.str.fullmatch(r"\d{4}"), title + " (" + year + ")")
    genres = to_text(movies["class"]).str.replace(" ", SEPARATOR)
    items = _with_genres(_frame(movies, ["item_id"]).assign(title=titles), genres)
    return _make_movie_log(folder, ratings, items, _profiles_100k(users), dropped)


def _read(path: Path, names: list[str] | None, separator: str, dropped: dict[str, int] | None = None) -> pa.Table:
    """Read one of the files as text; without names, RecBole's typed header gives them.

    The header names a column as `user_id:token`.

    Malformed ratings are counted; a malformed row of movies or users is an error.
    """
    if not path.exists():
        raise FileNotFoundError(f"MovieLens needs {path.name} beside its other files; there is no {path}")
    header = names or [name.split(":")[0] for name in first_line(path).split(separator)]
    encoding = "latin-1" if names else "utf-8"
    return read_delimited(
        path,
        header,
        has_header=names is None,
        separator=separator,
        quotes=False,
        encoding=encoding,
        dropped=dropped,
    )


def _frame(cells: pa.Table, names: list[str]) -> pd.DataFrame:
    return pd.DataFrame({name: to_text(cells[name]) for name in names})


def _join_flags(flags: np.ndarray) -> pd.Series:
    """Join the genres of each movie; flags are bool (movies, genres)."""
    joined = pd.Series("", index=range(len(flags)), dtype="str")
    for genre, has_it in zip(_GENRES, flags.T, strict=True):
        joined = joined + np.where(has_it, genre + SEPARATOR, "")
    return joined.str.removesuffix(SEPARATOR)


def _with_genres(movies: pd.DataFrame, genres: pd.Series) -> pd.DataFrame:
    """Add all genres as a side feature and the first as category."""
    genres = genres.where(genres != "unknown", "")
    return movies.assign(category=genres.str.split(SEPARATOR).str[0].astype("str"), genres=genres)


def _profiles_100k(users: pa.Table) -> pd.DataFrame:
    ages = to_numbers(users["age"])
    decades = ["" if np.isnan(age) else "under 10" if age < 10 else f"{age // 10 * 10:.0f}s" for age in ages]
    return _frame(users, ["user_id", "gender", "age", "occupation"]).assign(age=decades)


def _make_movie_log(
    folder: Path, ratings: pa.Table, items: pd.DataFrame, profiles: pd.DataFrame, dropped: dict[str, int]
) -> InteractionLog:
    rows = _frame(ratings, ["user_id", "item_id"])
    rows["event_type"] = pd.Series("rating", index=rows.index, dtype="str")
    rows["event_time_ms"] = to_times_ms(ratings["timestamp"], "timestamp")
    return make_log(in_time_order(rows, folder, dropped), items, profiles, folder.name, dropped)
