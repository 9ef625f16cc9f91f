"""Ratings and reviews: Amazon's of three ages, goodbooks-10k and BookCrossing."""

import re
from pathlib import Path

from mindstream.mapping import Mapping
from model_export.data.interactions import SEPARATOR
from model_export.readers.layout import Found, Layout, Preset, Table
from model_export.readers.presets.peek import data_files, is_json, names_at, names_of, stem
from model_export.readers.presets.sql import AS_RATING, with_missing
from model_export.readers.sql import literal, quoted

__all__ = ["AMAZON", "AMAZON_RATINGS", "BOOKCROSSING", "GOODBOOKS"]

_MANY = 60  # files in a folder that is still looked through

# Amazon

_REVIEW_2014 = {"reviewerID", "asin", "unixReviewTime"}  # and of 2018
_REVIEW_2023 = {"user_id", "parent_asin", "timestamp", "rating"}
_META = (
    *("asin", "parent_asin", "title", "category", "categories", "main_category", "brand", "store", "price"),
    "main_cat",
)
_ITEM = re.compile(r"B[0-9A-Z]{9}|\d{9}[\dX]")
_REVIEWER = re.compile(r"A[0-9A-Z]{9,20}")
_RATING = re.compile(r"[1-5](\.0)?")
_SECONDS = re.compile(r"\d{9,10}")


def _is_review(path: Path) -> bool:
    """Tell whether a file has the names of Amazon's reviews, of 2014 and 2018 or of 2023."""
    names = set(names_of(path))
    return names >= _REVIEW_2014 or names >= _REVIEW_2023


def _reviews(found: Found) -> list[Path]:
    """Return the path itself, or the files of reviews in the folder."""
    files = data_files(found)
    return [one for one in files if _is_review(one)] if len(files) <= _MANY else []


def _layout_amazon(found: Found) -> Layout:
    """Return the layout of reviews, without their own titles, and of the products beside."""
    files = _reviews(found) or [found.path]
    names = set(names_of(files[0]))
    of_2023 = not names >= _REVIEW_2014
    meta, notes = _meta(found, files)
    columns = (
        ("user_id", "parent_asin", "timestamp", "rating")
        if of_2023
        else (*("reviewerID", "asin", "unixReviewTime", "overall"),)
    )
    user, item, time, value = columns
    chosen = ", ".join(quoted(one) for one in columns)
    return Layout(
        format="amazon",
        events=Table(tuple(str(one) for one in files)),
        mapping=Mapping(user=user, item=item, time=time, value=value, type="event_type"),
        sql=f"SELECT {chosen}, 'review' AS event_type, row_number FROM {with_missing(columns)}",
        beside={"catalogue": Table(tuple(str(one) for one in meta))} if meta else {},
        items=_PRODUCTS if meta else None,
        notes=notes,
    )


def _meta(found: Found, reviews: list[Path]) -> tuple[list[Path], tuple[str, ...]]:
    """Return the files of products that belong to these reviews, and notes on them."""
    right, notes = [], []
    for review in reviews:
        plain = re.sub(r"^reviews_|_\d+(core)?$|\.(train|valid|test)$", "", stem(review))
        for file in (
            file for one, file in found.files.items() if one.startswith("meta_") and stem(file) == f"meta_{plain}"
        ):
            if is_json(file) and not names_of(file):
                notes.append(
                    f"{file.name} is no JSON (that of 2014 is Python code): products are known by their ids alone"
                )
            elif file not in right:
                right.append(file)
    if not right and not notes:
        notes.append(
            "there is no meta_ file of the same name beside the reviews: products are known by their ids alone"
        )
    return right, tuple(notes)


def _path_in(column: str) -> str:
    """Return a product's categories, from general to special, as a list; [] without any."""
    given = f"TRY_CAST({column} AS JSON)"
    nested = f"CASE WHEN json_type({given}, '$[0]') = 'ARRAY' THEN {given} -> '$[0]' ELSE {given} END"
    return f"coalesce(TRY_CAST({nested} AS VARCHAR[]), [])"


_PRODUCTS = f"""
WITH products AS (
    SELECT coalesce(parent_asin, asin) AS item_id, title, price, coalesce(brand, store) AS maker,
        coalesce(main_category, main_cat) AS department,
        CASE WHEN len({_path_in("category")}) > 0 THEN {_path_in("category")} ELSE {_path_in("categories")} END AS path,
    FROM {with_missing(_META, "catalogue")}
)
SELECT item_id, title, price, coalesce(path[2], path[1], department) AS category, maker AS feature_brand,
    nullif(array_to_string(path, {literal(SEPARATOR)}), '') AS feature_categories
FROM products
"""


def _ratings_columns(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of ratings without a header, () if the first line is no such row.

    Those of 2014 begin with the user, those of 2018 with the item.
    """
    if len(names) != 4 or not (_RATING.fullmatch(names[2]) and _SECONDS.fullmatch(names[3])):
        return ()
    if _REVIEWER.fullmatch(names[0]) and _ITEM.fullmatch(names[1]):
        return ("user_id", "item_id", "rating", "timestamp")
    if _ITEM.fullmatch(names[0]) and _REVIEWER.fullmatch(names[1]):
        return ("item_id", "user_id", "rating", "timestamp")
    return ()


def _layout_ratings(found: Found) -> Layout:
    columns = _ratings_columns(found.names) or ("item_id", "user_id", "rating", "timestamp")
    return Layout(
        format="amazon-ratings",
        events=Table((str(found.path),), columns=columns, delimiter=","),
        mapping=Mapping(user="user_id", item="item_id", time="timestamp", value="rating", type="event_type"),
        sql=AS_RATING,
        notes=(f"the columns without a header are {', '.join(columns)}, by the look of the ids in the first line",),
    )


# Books

_GOODBOOKS = ("user_id", "book_id", "rating")


def _is_goodbooks(found: Found) -> bool:
    return (found.is_folder or found.name == "ratings.csv") and names_at(found, "ratings.csv") == _GOODBOOKS


def _layout_goodbooks(found: Found) -> Layout:
    names = names_at(found, "books.csv")
    key = "book_id" if "goodreads_book_id" in names else "id"  # the first version calls Goodreads' id book_id
    known = key in names and "title" in names
    books = with_missing((key, "title", "authors", "language_code"), "catalogue")
    statement = (
        f"SELECT {quoted(key)} AS item_id, title, replace(authors, ', ', {literal(SEPARATOR)}) AS feature_authors, "
        f"language_code AS feature_language FROM {books}"
    )
    return Layout(
        format="goodbooks",
        events=found.table("ratings.csv"),
        mapping=Mapping(user="user_id", item="book_id", value="rating", type="event_type", untimed=True),
        sql=AS_RATING,
        beside={"catalogue": found.table("books.csv")} if known else {},
        items=statement if known else None,
        notes=("goodbooks has no times; its publisher says that the rows are in their order",),
    )


_CROSSING = {"user-id", "isbn", "book-rating"}


def _crossing_file(found: Found) -> str | None:
    """Return the name of the file of ratings: the path's, or that in the folder."""
    names = [found.name] if not found.is_folder else ["bx-book-ratings.csv", "ratings.csv"]
    right = [one for one in names if {cell.lower() for cell in names_at(found, one)} >= _CROSSING]
    return right[0] if right else None


def _layout_crossing(found: Found) -> Layout:
    """Return the layout.

    The first publisher's files have semicolons, Latin-1 and quotes behind backslashes.
    """
    ratings = _crossing_file(found) or found.name
    old = ratings.startswith("bx-")
    form = {"delimiter": ";", "encoding": "latin-1", "escape": "\\"} if old else {}
    beside = (
        {"books": "bx-books.csv", "people": "bx-users.csv"} if old else {"books": "books.csv", "people": "users.csv"}
    )
    beside = {key: file for key, file in beside.items() if file in found.files}
    return Layout(
        format="bookcrossing",
        events=found.table(ratings, **form),
        mapping=Mapping(user="User-ID", item="ISBN", value="Book-Rating", type="event_type", untimed=True),
        sql=(
            'SELECT * REPLACE (nullif("Book-Rating", \'0\') AS "Book-Rating"), '
            "CASE WHEN \"Book-Rating\" = '0' THEN 'implicit' ELSE 'rating' END AS event_type FROM events"
        ),
        beside={key: found.table(file, **form) for key, file in beside.items()},
        items=(
            'SELECT "ISBN" AS item_id, "Book-Title" AS title, "Book-Author" AS feature_author, '
            '"Publisher" AS feature_publisher FROM books'
        )
        if "books" in beside
        else None,
        users=(
            'SELECT "User-ID" AS user_id, trim(regexp_extract("Location", \'[^,]*$\')) AS country FROM people'
            if "people" in beside
            else None
        ),
        notes=("BookCrossing has no times and no order: splitting by time means nothing", "a rating of 0 is none"),
    )


AMAZON = Preset(
    "amazon", "Amazon reviews of 2014, 2018 and 2023 (JSON lines)", lambda f: bool(_reviews(f)), _layout_amazon
)
AMAZON_RATINGS = Preset(
    "amazon-ratings",
    "Amazon ratings of 2014 and 2018 (CSV without a header)",
    lambda found: bool(_ratings_columns(found.names)),
    _layout_ratings,
)
GOODBOOKS = Preset("goodbooks", "goodbooks-10k (ratings.csv, books.csv)", _is_goodbooks, _layout_goodbooks)
BOOKCROSSING = Preset(
    "bookcrossing",
    "BookCrossing (BX-Book-Ratings.csv or Ratings.csv)",
    lambda f: _crossing_file(f) is not None,
    _layout_crossing,
)
