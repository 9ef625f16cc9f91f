"""Visits of places: Yelp's reviews, Foursquare's and Gowalla's check-ins."""

import re
from pathlib import Path

from mindstream.mapping import Mapping
from model_export.data.interactions import SEPARATOR
from model_export.readers.layout import Found, Layout, Preset, Table
from model_export.readers.presets.peek import data_files, names_of, stem
from model_export.readers.presets.sql import with_missing
from model_export.readers.sql import literal

__all__ = ["FOURSQUARE", "GOWALLA", "YELP"]

_YELP = {"review_id", "user_id", "business_id", "stars", "date"}


def _one(found: Found, names: re.Pattern[str]) -> Path | None:
    """Return the path itself for a file, or the one file in the folder with such a name."""
    files = [found.path] if not found.is_folder else [file for one, file in found.files.items() if names.search(one)]
    return files[0] if len(files) == 1 else None


def _yelp_file(found: Found) -> Path | None:
    file = _one(found, re.compile(r"review\.(json|jsonl|csv|parquet)$"))
    return file if file is not None and set(names_of(file)) >= _YELP else None


def _layout_yelp(found: Found) -> Layout:
    file = _yelp_file(found) or found.path
    business = stem(file).replace("review", "business")
    beside = next((one for one in found.files.values() if "review" in stem(file) and stem(one) == business), None)
    nothing = "there is no file of businesses beside the reviews: they are known by their ids alone"
    return Layout(
        format="yelp",
        events=Table((str(file),)),
        mapping=Mapping(user="user_id", item="business_id", time="date", value="stars", type="event_type"),
        sql="SELECT user_id, business_id, stars, date, 'review' AS event_type, row_number FROM events",
        beside={"catalogue": Table((str(beside),))} if beside else {},
        items=_BUSINESSES if beside else None,
        notes=() if beside else (nothing,),
    )


_BUSINESSES = f"""
SELECT business_id AS item_id, name AS title, split_part(categories, ', ', 1) AS category,
    replace(categories, ', ', {literal(SEPARATOR)}) AS feature_categories, city AS feature_city
FROM {with_missing(("business_id", "name", "categories", "city"), "catalogue")}
"""

_FOURSQUARE = (
    *("user_id", "venue_id", "category_id", "category", "latitude", "longitude", "offset_minutes", "utc_time"),
)
_WITH_HEADER = (
    *(
        "userId",
        "venueId",
        "venueCategoryId",
        "venueCategory",
        "latitude",
        "longitude",
        "timezoneOffset",
        "utcTimestamp",
    ),
)
_MAIL_TIME = re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \+0000 \d{4}")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_DEGREES = re.compile(r"-?\d{1,3}\.\d+|0")


def _foursquare_file(found: Found) -> Path | None:
    """Return the file of check-ins if its first line is a row of Foursquare's, or a header."""
    file = _one(found, re.compile(r"^dataset_tsmc2014_(nyc|tky)\.(txt|csv)$"))
    cells = names_of(file) if file is not None else ()
    is_row = len(cells) == len(_FOURSQUARE) and _MAIL_TIME.fullmatch(cells[-1]) and _DEGREES.fullmatch(cells[4])
    return file if is_row or cells == _WITH_HEADER else None


def _layout_foursquare(found: Found) -> Layout:
    file = _foursquare_file(found) or found.path
    header = names_of(file) == _WITH_HEADER
    form = {} if header else {"columns": _FOURSQUARE, "delimiter": "\t", "quote": "", "encoding": "latin-1"}
    columns = (
        ("userId", "venueId", "utcTimestamp", "venueCategory")
        if header
        else (*("user_id", "venue_id", "utc_time", "category"),)
    )
    user, item, time, category = columns
    return Layout(
        format="foursquare",
        events=Table((str(file),), **form),  # type: ignore[arg-type]
        mapping=Mapping(
            user=user, item=item, time=time, time_format="%a %b %d %H:%M:%S %z %Y", category=category, type="event_type"
        ),
        sql=f"SELECT {', '.join(columns)}, 'check-in' AS event_type, row_number FROM events",
    )


_GOWALLA = ("user_id", "time", "latitude", "longitude", "location_id")


def _is_gowalla(found: Found) -> bool:
    """Tell whether the first line is a check-in as Stanford's collection ships Gowalla's."""
    files = data_files(found)
    cells = found.names if not found.is_folder else names_of(files[0]) if len(files) == 1 else ()
    if len(cells) != len(_GOWALLA) or not cells[0].isdigit():
        return False
    return bool(_ISO.fullmatch(cells[1]) and _DEGREES.fullmatch(cells[2]) and _DEGREES.fullmatch(cells[3]))


def _layout_gowalla(found: Found) -> Layout:
    return Layout(
        format="gowalla",
        events=Table((str(data_files(found)[0]),), columns=_GOWALLA, delimiter="\t", quote=""),
        mapping=Mapping(user="user_id", item="location_id", time="time", type="event_type"),
        sql="SELECT user_id, location_id, time, 'check-in' AS event_type, row_number FROM events",
    )


YELP = Preset("yelp", "Yelp reviews (JSON lines)", lambda found: _yelp_file(found) is not None, _layout_yelp)
FOURSQUARE = Preset(
    "foursquare",
    "Foursquare check-ins (dataset_TSMC2014_NYC.txt)",
    lambda found: _foursquare_file(found) is not None,
    _layout_foursquare,
)
GOWALLA = Preset(
    "gowalla", "Gowalla and Brightkite check-ins (loc-gowalla_totalCheckins.txt)", _is_gowalla, _layout_gowalla
)
