"""Last.fm's listens and tags: HetRec 2011, the 1K and 360K users' files; and HetRec's other sets."""

import re
from pathlib import Path

from mindstream.mapping import Mapping
from model_export.readers.layout import Found, Layout, Preset, Table, plain_name
from model_export.readers.presets.peek import names_of
from model_export.readers.presets.sql import decade, with_missing
from model_export.readers.sql import quoted

__all__ = ["HETREC", "LASTFM_1K", "LASTFM_360K"]

# HetRec 2011

_THINGS = {"artistid": "artists.dat", "movieid": "movies.dat", "bookmarkid": "bookmarks.dat"}
_DAY = ("year", "month", "day")
_CLOCK = ("hour", "minute", "second")
# The files of the folders, the first that is there counts: with times before those without.
_HETREC_FILES = (
    *("user_ratedmovies.dat", "user_taggedartists.dat", "user_taggedbookmarks.dat", "user_taggedmovies.dat"),
    "user_artists.dat",
)


def _columns_of(file: Path) -> dict[str, str]:
    """Return the columns in lower case and without "date_" -> as in the file."""
    return {one.lower().removeprefix("date_"): one for one in names_of(file)}


def _hetrec_file(found: Found) -> Path | None:
    """Return the file of users and things with times or counts: the path, or in the folder."""
    files = [found.files[one] for one in _HETREC_FILES if one in found.files] if found.is_folder else [found.path]
    for file in files:
        columns = set(_columns_of(file))
        timed = columns >= set(_DAY) or {"tagid", "timestamp"} <= columns or "weight" in columns
        if "userid" in columns and len(columns & set(_THINGS)) == 1 and timed:
            return file
    return None


def _layout_hetrec(found: Found) -> Layout:
    file = _hetrec_file(found) or found.path
    columns = _columns_of(file)
    thing = next(one for one in _THINGS if one in columns)
    user, item = quoted(columns["userid"]), quoted(columns[thing])
    time = _hetrec_time(columns)
    tagged = "tagid" in columns
    kinds = {"tagid": "tag", "rating": "rating", "weight": "listen"}
    kind = next((kinds[one] for one in kinds if one in columns), "interaction")
    repeated = (
        f"row_number() OVER (PARTITION BY {user}, {item}, time_ms ORDER BY row_number) > 1" if tagged else "false"
    )
    catalogue = found.files.get(_THINGS[thing])
    notes = (
        () if time else ("the file has counts of listens, no times and no order: splitting it by time means nothing",)
    )
    if found.is_folder and time and "user_artists.dat" in found.files:
        notes = (f"{file.name} has the times, and is read; the counts in user_artists.dat are read by its own path",)
    return Layout(
        format="hetrec",
        events=Table((str(file),), delimiter="\t", quote=""),
        mapping=Mapping(user=columns["userid"], item=columns[thing], type="event_type").updated(
            value=columns.get("rating"),
            **({"time": "time_ms", "time_format": "milliseconds"} if time else {"untimed": True}),
        ),
        sql=(
            f"SELECT *, '{kind}' AS event_type, {repeated} AS repeated "
            f"FROM (SELECT *, {time or 'NULL'} AS time_ms FROM events) ORDER BY row_number"
        ),
        beside={"catalogue": _hetrec_table(catalogue)} if catalogue else {},
        items=_hetrec_items(set(names_of(catalogue))) if catalogue else None,
        left_out={"further tags of the same thing at the same time": "repeated"} if tagged else {},
        notes=notes,
    )


def _hetrec_table(catalogue: Path) -> Table:
    encoding = "latin-1" if plain_name(catalogue) == "movies.dat" else "utf-8"
    return Table((str(catalogue),), delimiter="\t", quote="", encoding=encoding)


def _hetrec_time(columns: dict[str, str]) -> str | None:
    """Return the expression of the time in milliseconds; None if the file has no times."""
    if not set(_DAY) <= set(columns):
        return f"TRY_CAST({quoted(columns['timestamp'])} AS BIGINT)" if "timestamp" in columns else None
    day = ", ".join(quoted(columns[one]) for one in _DAY)
    if not set(_CLOCK) <= set(columns):
        return f"epoch_ms(try_strptime(concat_ws('-', {day}), '%Y-%m-%d'))"
    clock = ", ".join(quoted(columns[one]) for one in _CLOCK)
    return f"epoch_ms(try_strptime(concat_ws('-', {day}, {clock}), '%Y-%m-%d-%H-%M-%S'))"


def _hetrec_items(names: set[str]) -> str | None:
    title = next((one for one in ("name", "title") if one in names), None)
    return f"SELECT id AS item_id, {title} AS title FROM catalogue" if title and "id" in names else None


# 1K users

_LISTEN = ("user_id", "timestamp", "artist_id", "artist_name", "track_id", "track_name")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_FILE_1K = "userid-timestamp-artid-artname-traid-traname.tsv"
_PROFILE_1K = "userid-profile.tsv"


def _file_of(found: Found, expected: str) -> Path | None:
    return found.files.get(expected) if found.is_folder else found.path


def _is_1k(found: Found) -> bool:
    file = _file_of(found, _FILE_1K)
    cells = names_of(file) if file is not None else ()
    return len(cells) == len(_LISTEN) and cells[0].startswith("user_") and bool(_ISO.fullmatch(cells[1]))


def _layout_1k(found: Found) -> Layout:
    """Return the layout: a track is known by its id, and by artist and name if it has none."""
    file = _file_of(found, _FILE_1K) or found.path
    people = {"people": found.table(_PROFILE_1K, delimiter="\t", quote="")} if _PROFILE_1K in found.files else {}
    track = "artist_name || ' - ' || track_name"
    return Layout(
        format="lastfm-1k",
        events=Table((str(file),), columns=_LISTEN, delimiter="\t", quote="", encoding="utf-8"),
        mapping=Mapping(user="user_id", item="track", time="timestamp", type="event_type", title="title"),
        sql=(
            f"SELECT user_id, timestamp, coalesce(nullif(track_id, ''), {track}) AS track, {track} AS title, "
            "artist_name AS feature_artist, 'listen' AS event_type, row_number FROM events"
        ),
        beside=people,
        users=f'SELECT "#id" AS user_id, gender, {decade("age")} AS age, country FROM people' if people else None,
    )


# 360K users

_PLAYS = ("user_id", "artist_id", "artist_name", "plays")
_SHA_1 = re.compile(r"[0-9a-f]{40}")
_FILE_360K, _PROFILE_360K = "usersha1-artmbid-artname-plays.tsv", "usersha1-profile.tsv"


def _is_360k(found: Found) -> bool:
    file = _file_of(found, _FILE_360K)
    cells = names_of(file) if file is not None else ()
    return len(cells) == len(_PLAYS) and bool(_SHA_1.fullmatch(cells[0])) and cells[3].isdigit()


def _layout_360k(found: Found) -> Layout:
    """Return the layout: an artist is known by its id, and by its name if it has none."""
    file = _file_of(found, _FILE_360K) or found.path
    plain = {"delimiter": "\t", "quote": "", "encoding": "utf-8"}
    profile = ("user_id", "gender", "age", "country", "signup")
    people = {"people": found.table(_PROFILE_360K, columns=profile, **plain)} if _PROFILE_360K in found.files else {}
    return Layout(
        format="lastfm-360k",
        events=Table((str(file),), columns=_PLAYS, delimiter="\t", quote="", encoding="utf-8"),
        mapping=Mapping(user="user_id", item="artist", type="event_type", title="artist_name", untimed=True),
        sql=(
            "SELECT user_id, coalesce(nullif(artist_id, ''), artist_name) AS artist, artist_name, plays, "
            "'listen' AS event_type, row_number FROM events"
        ),
        beside=people,
        users=(
            f"SELECT user_id, gender, {decade('age')} AS age, country FROM {with_missing(profile, 'people')}"
            if people
            else None
        ),
        notes=("the file has counts of plays, no times and no order: splitting it by time means nothing",),
    )


HETREC = Preset(
    "hetrec", "HetRec 2011: Last.fm, MovieLens, Delicious", lambda f: _hetrec_file(f) is not None, _layout_hetrec
)
LASTFM_1K = Preset("lastfm-1k", f"Last.fm, 1K users ({_FILE_1K})", _is_1k, _layout_1k)
LASTFM_360K = Preset("lastfm-360k", f"Last.fm, 360K users ({_FILE_360K})", _is_360k, _layout_360k)
