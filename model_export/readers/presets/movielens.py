"""MovieLens of all sizes, as GroupLens ships it: 100K, 1M, 10M, and 20M to 32M and latest."""

from mindstream.mapping import Mapping
from model_export.data.interactions import SEPARATOR
from model_export.readers.layout import Found, Layout, Preset, Table
from model_export.readers.presets.peek import names_at
from model_export.readers.presets.sql import AS_RATING, decade
from model_export.readers.sql import literal, quoted

__all__ = ["MOVIELENS", "MOVIELENS_1M", "MOVIELENS_10M", "MOVIELENS_100K"]

_RATING = ("user_id", "item_id", "rating", "timestamp")
_CSV = ("userId", "movieId", "rating", "timestamp")
_NO_GENRES = "(no genres listed)"

# The order of the flags in u.item.
_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary"),
    *("Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller"),
    *("War", "Western"),
)
_MOVIE_100K = ("item_id", "title", "released", "video", "url", *_GENRES)
_USER_100K = ("user_id", "age", "gender", "occupation", "zip")
_USER_1M = ("user_id", "gender", "age", "occupation", "zip")

# What the codes of MovieLens 1M mean, from its README.
_AGES_1M = {
    **{"1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44"},
    **{"45": "45-49", "50": "50-55", "56": "56+"},
}
_OCCUPATIONS_1M = (
    *("other", "academic/educator", "artist", "clerical/admin", "college/grad student", "customer service"),
    *("doctor/health care", "executive/managerial", "farmer", "homemaker", "K-12 student", "lawyer"),
    *("programmer", "retired", "sales/marketing", "scientist", "self-employed", "technician/engineer"),
    *("tradesman/craftsman", "unemployed", "writer"),
)


def _mapping(user: str = "user_id", item: str = "item_id") -> Mapping:
    return Mapping(user=user, item=item, time="timestamp", time_format="seconds", value="rating", type="event_type")


def _needed(found: Found, name: str, **options: object) -> Table:
    """Return the table in a file that must be there."""
    if name not in found.files:
        folder = found.path if found.is_folder else found.path.parent
        raise FileNotFoundError(f"MovieLens needs {name} beside its other files; there is none in {folder}")
    return found.table(name, **options)


def _movies(genres: str, item: str = "item_id") -> str:
    """Return the statement for the movies; `genres` is an expression with "|" in between."""
    genres = f"nullif({genres}, '')"
    return (
        f"SELECT {quoted(item)} AS item_id, title, split_part({genres}, {literal(SEPARATOR)}, 1) AS category, "
        f"{genres} AS feature_genres FROM movies"
    )


def _layout_100k(found: Found) -> Layout:
    """Return the layout of MovieLens 100K: u.data, u.item and u.user.

    Raises
    ------
    FileNotFoundError
        If one of the three is not there.
    """
    plain = {"quote": "", "encoding": "latin-1"}
    flags = ", ".join(f"CASE WHEN trim({quoted(one)}) = '1' THEN {literal(one)} END" for one in _GENRES[1:])
    return Layout(
        format="movielens-100k",
        events=_needed(found, "u.data", columns=_RATING, delimiter="\t", **plain),
        mapping=_mapping(),
        sql=AS_RATING,
        beside={
            "movies": _needed(found, "u.item", columns=_MOVIE_100K, delimiter="|", **plain),
            "people": _needed(found, "u.user", columns=_USER_100K, delimiter="|", **plain),
        },
        items=_movies(f"concat_ws({literal(SEPARATOR)}, {flags})"),
        users=f"SELECT user_id, gender, {decade('age')} AS age, occupation FROM people",
    )


def _layout_1m(found: Found) -> Layout:
    plain = {"delimiter": "::", "quote": "", "encoding": "latin-1"}
    ages = " ".join(f"WHEN {literal(code)} THEN {literal(years)}" for code, years in _AGES_1M.items())
    jobs = " ".join(f"WHEN '{code}' THEN {literal(job)}" for code, job in enumerate(_OCCUPATIONS_1M))
    return Layout(
        format="movielens-1m",
        events=_needed(found, "ratings.dat", columns=_RATING, **plain),
        mapping=_mapping(),
        sql=AS_RATING,
        beside={
            "movies": _needed(found, "movies.dat", columns=("item_id", "title", "genres"), **plain),
            "people": _needed(found, "users.dat", columns=_USER_1M, **plain),
        },
        items=_movies("genres"),
        users=(
            f"SELECT user_id, gender, CASE age {ages} ELSE age END AS age, "
            f"CASE occupation {jobs} ELSE occupation END AS occupation FROM people"
        ),
    )


def _layout_10m(found: Found) -> Layout:
    plain = {"delimiter": "::", "quote": "", "encoding": "utf-8"}
    return Layout(
        format="movielens-10m",
        events=_needed(found, "ratings.dat", columns=_RATING, **plain),
        mapping=_mapping(),
        sql=AS_RATING,
        beside={"movies": _needed(found, "movies.dat", columns=("item_id", "title", "genres"), **plain)},
        items=_movies(_listed_genres("genres")),
    )


def _layout_csv(found: Found) -> Layout:
    events = Table((str(found.path),)) if not found.is_folder else found.table("ratings.csv")
    has_movies = "movies.csv" in found.files
    return Layout(
        format="movielens",
        events=events,
        mapping=_mapping("userId", "movieId"),
        sql=AS_RATING,
        beside={"movies": found.table("movies.csv")} if has_movies else {},
        items=_movies(_listed_genres("genres"), "movieId") if has_movies else None,
        notes=() if has_movies else ("there is no movies.csv beside the ratings: movies are known by their ids alone",),
    )


def _listed_genres(genres: str) -> str:
    return f"nullif({genres}, {literal(_NO_GENRES)})"


def _is_100k(found: Found) -> bool:
    return "u.data" in found.files and (found.is_folder or found.name in ("u.data", "u.item", "u.user"))


def _is_dat(found: Found) -> bool:
    """Tell whether ratings.dat is there, and its rows are those of MovieLens."""
    if not found.is_folder and found.name not in ("ratings.dat", "movies.dat", "users.dat"):
        return False
    cells = names_at(found, "ratings.dat")
    return len(cells) == len(_RATING) and all(cell.replace(".", "", 1).isdigit() for cell in cells)


def _is_csv(found: Found) -> bool:
    """Tell whether the columns are MovieLens', and a folder has the movies too."""
    if found.is_folder and "movies.csv" not in found.files:
        return False
    names = names_at(found, "ratings.csv") if found.is_folder else found.names
    return names == _CSV


MOVIELENS_100K = Preset("movielens-100k", "MovieLens 100K (u.data, u.item, u.user)", _is_100k, _layout_100k)
MOVIELENS_1M = Preset(
    "movielens-1m",
    "MovieLens 1M (ratings.dat, movies.dat, users.dat)",
    lambda found: _is_dat(found) and ("tags.dat" not in found.files or "users.dat" in found.files),
    _layout_1m,
)
MOVIELENS_10M = Preset("movielens-10m", "MovieLens 10M (ratings.dat, movies.dat, tags.dat)", _is_dat, _layout_10m)
MOVIELENS = Preset("movielens", "MovieLens 20M, 25M, 32M and latest (ratings.csv, movies.csv)", _is_csv, _layout_csv)
