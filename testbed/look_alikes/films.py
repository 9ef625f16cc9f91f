"""Look-alikes of MovieLens in all its forms, and of RecBole's atomic files."""

from pathlib import Path

from testbed.look_alikes.expected import ITEMS, ROWS, USERS, Expected, LookAlike, rows, write

__all__ = ["FILMS"]

_COUNT = {"rating": ROWS}
_GENRES = ("Comedy", "Drama", "Comedy|Romance", "(no genres listed)")


def _title(item: int) -> str:
    return f'Film "{item}", The (200{item})' if item % 2 else f"Été {item} (200{item})"


def _genres(item: int) -> str:
    return _GENRES[item % len(_GENRES)]


def _expected(**more: object) -> Expected:
    """Return what comes out of all of them: titles, and genres as category and side feature."""
    known = {
        "types": _COUNT,
        "titles": {str(100 + item): _title(item) for item in range(ITEMS)},
        "categories": {"100": "Comedy", "101": "Drama", "102": "Comedy", "103": ""},
        "features": {"102": {"genres": "Comedy|Romance"}, "103": {"genres": ""}},
    }
    return Expected(**(known | more))  # type: ignore[arg-type]


def _csv(folder: Path) -> Expected:
    ratings = [f"{row.user},{100 + row.item},3.5,{row.seconds}" for row in rows()]
    titles = [_title(item).replace('"', '""') for item in range(ITEMS)]
    movies = [f'{100 + item},"{title}",{_genres(item)}' for item, title in enumerate(titles)]
    write(folder / "ratings.csv", ["userId,movieId,rating,timestamp", *ratings])
    write(folder / "movies.csv", ["movieId,title,genres", *movies])
    write(folder / "tags.csv", ["userId,movieId,tag,timestamp", "1,100,dark,1750000000"])
    write(folder / "links.csv", ["movieId,imdbId,tmdbId", "100,0114709,862"])
    return _expected()


def _dat(folder: Path, encoding: str) -> None:
    write(folder / "ratings.dat", [f"{row.user}::{100 + row.item}::5::{row.seconds}" for row in rows()])
    movies = [f"{100 + item}::{_title(item)}::{_genres(item)}" for item in range(ITEMS)]
    write(folder / "movies.dat", movies, encoding)


def _1m(folder: Path) -> Expected:
    _dat(folder, "latin-1")
    write(folder / "movies.dat", [f"{100 + item}::{_title(item)}::Drama|War" for item in range(ITEMS)], "latin-1")
    write(folder / "users.dat", [f"{user}::F::25::{user}::7{user}72" for user in range(USERS)])
    return _expected(
        categories={"100": "Drama"},
        features={"100": {"genres": "Drama|War"}},
        profiles={"1": {"gender": "F", "age": "25-34", "occupation": "academic/educator"}},
    )


def _10m(folder: Path) -> Expected:
    _dat(folder, "utf-8")
    write(folder / "tags.dat", ["1::100::dark::1750000000"])
    return _expected()


def _100k(folder: Path) -> Expected:
    flags = {0: "0|1|0|0|0|1", 1: "0|0|0|0|0|0|0|0|1", 2: "0|0|0|0|0|1|0|0|0|0|0|0|0|0|1", 3: "1"}
    write(folder / "u.data", [f"{row.user}\t{100 + row.item}\t4\t{row.seconds}" for row in rows()])
    movies = [
        f"{100 + item}|{_title(item)}|01-Jan-1995||http://x|{(flags[item % 4] + '|0' * 18)[:37]}"
        for item in range(ITEMS)
    ]
    write(folder / "u.item", movies, "latin-1")
    write(folder / "u.user", [f"{user}|{9 + user}|M|writer|4020{user}" for user in range(USERS)])
    return _expected(
        categories={"100": "Action", "101": "Drama", "102": "Comedy", "103": ""},
        features={"100": {"genres": "Action|Comedy"}, "102": {"genres": "Comedy|Romance"}},
        profiles={"0": {"age": "under 10", "gender": "M"}, "1": {"age": "10s", "occupation": "writer"}},
    )


def _recbole_100k(folder: Path) -> Expected:
    _recbole(folder, "ml-100k")
    movies = [f"{100 + item}\tFilm {item}\t{1990 + item}\tChildren's Comedy" for item in range(ITEMS)]
    header = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
    write(folder / "ml-100k.item", [header, *movies])
    header = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token"
    write(folder / "ml-100k.user", [header, *(f"{user}\t2{user}\tF\tlawyer\t4020{user}" for user in range(USERS))])
    return Expected(
        types=_COUNT,
        titles={"101": "Film 1 (1991)"},
        categories={"101": "Children's"},
        features={"101": {"genres": "Children's|Comedy"}},
        profiles={"1": {"age": "20s", "gender": "F", "occupation": "lawyer"}},
    )


def _recbole(folder: Path, name: str) -> None:
    ratings = [f"{row.user}\t{100 + row.item}\t4\t{row.seconds}" for row in rows()]
    write(folder / f"{name}.inter", ["user_id:token\titem_id:token\trating:float\ttimestamp:float", *ratings])


def _recbole_shop(folder: Path) -> Expected:
    _recbole(folder, "shop")
    things = [f'{100 + item}\tLamp "{item}" red\tHome Lamps\tOak{item}\t{item}.5' for item in range(ITEMS)]
    header = "item_id:token\ttitle:token_seq\tcategories:token_seq\tbrand:token\tprice:float"
    write(folder / "shop.item", [header, *things])
    return Expected(
        types=_COUNT,
        titles={"101": 'Lamp "1" red'},
        categories={"101": "Home"},
        prices={"101": 1.5},
        features={"101": {"categories": "Home|Lamps", "brand": "Oak1"}},
    )


def _recbole_artists(folder: Path) -> Expected:
    listens = [f"{row.user}\t{100 + row.item}\t{row.seconds % 50}" for row in rows()]
    write(folder / "music.inter", ["user_id:token\tartist_id:token\tweight:float", *listens])
    return Expected(first=None, last=None, orders={"0": ["100", "106", "104", "102"]})


FILMS = (
    LookAlike("MovieLens latest", "movielens", "ratings.csv", _csv),
    LookAlike("MovieLens 1M", "movielens-1m", "ratings.dat", _1m),
    LookAlike("MovieLens 10M", "movielens-10m", "ratings.dat", _10m),
    LookAlike("MovieLens 100K", "movielens-100k", "u.data", _100k),
    LookAlike("MovieLens 100K by RecBole", "movielens-100k", "ml-100k.inter", _recbole_100k),
    LookAlike("RecBole with items", "recbole", "shop.inter", _recbole_shop),
    LookAlike("RecBole without times", "recbole", "music.inter", _recbole_artists),
)
