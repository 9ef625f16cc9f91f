"""Look-alikes of listens, tags and check-ins: Last.fm in three forms, HetRec, Foursquare and Gowalla."""

from dataclasses import replace
from pathlib import Path

from testbed.look_alikes.expected import ITEMS, ROWS, USERS, Expected, LookAlike, rows, write

__all__ = ["LISTENS"]

_DAY = "%-d\t%-m\t%Y"
_CLOCK = f"{_DAY}\t%-H\t%-M\t%-S"
_LISTENS = {"listen": ROWS}
_FILE_1K = "userid-timestamp-artid-artname-traid-traname.tsv"
_FILE_360K = "usersha1-artmbid-artname-plays.tsv"


def _1k(folder: Path) -> Expected:
    """Write tracks 0 and 1 without ids."""
    listens = [
        f'user_00000{row.user}\t{row.time("%Y-%m-%dT%H:%M:%SZ")}\tart-{row.item // 2}\tThe "Dogs" {row.item // 2}\t'
        f"{f'track-{row.item}' if row.item > 1 else ''}\tSong {row.item}"
        for row in rows()
    ]
    write(folder / _FILE_1K, listens)
    people = [f"user_00000{user}\tm\t{30 + user}\tMexico\tApr 27, 2005" for user in range(USERS)]
    write(folder / "userid-profile.tsv", ["#id\tgender\tage\tcountry\tregistered", *people])
    return Expected(
        types=_LISTENS,
        titles={"track-5": 'The "Dogs" 2 - Song 5', 'The "Dogs" 0 - Song 1': 'The "Dogs" 0 - Song 1'},
        features={"track-5": {"artist": 'The "Dogs" 2'}},
        profiles={"user_000001": {"gender": "m", "age": "30s", "country": "Mexico"}},
    )


def _360k(folder: Path) -> Expected:
    plays = [
        f"{row.user:040x}\t{f'mbid-{row.item}' if row.item else ''}\tärzte {row.item}\t{100 + n}"
        for n, row in enumerate(rows())
    ]
    write(folder / _FILE_360K, plays)
    people = [f"{user:040x}\tf\t{user or ''}\tGermany\tFeb 1, 2007" for user in range(USERS)]
    write(folder / "usersha1-profile.tsv", people)
    return Expected(
        types=_LISTENS,
        first=None,
        last=None,
        titles={"mbid-5": "ärzte 5", "ärzte 0": "ärzte 0"},
        profiles={f"{1:040x}": {"age": "under 10", "country": "Germany"}, f"{0:040x}": {"age": ""}},
    )


def _artists(folder: Path) -> None:
    artists = [f"{50 + item}\tArtist {item}\thttp://x/{item}\thttp://y" for item in range(ITEMS)]
    write(folder / "artists.dat", ["id\tname\turl\tpictureURL", *artists])


def _tagged(folder: Path) -> Expected:
    """Write tags with their days apart; the first thing has three tags at once."""
    tags = [f"{row.user}\t{50 + row.item}\t1\t{row.time(_DAY)}" for row in rows()]
    more = [f"0\t50\t{tag}\t15\t6\t2025" for tag in (2, 3)]
    write(folder / "user_taggedartists.dat", ["userID\tartistID\ttagID\tday\tmonth\tyear", tags[0], *more, *tags[1:]])
    write(folder / "user_artists.dat", ["userID\tartistID\tweight", "0\t50\t13883"])
    write(folder / "user_friends.dat", ["userID\tfriendID", "0\t1"])
    _artists(folder)
    return Expected(
        types={"tag": ROWS},
        titles={"53": "Artist 3"},
        left_out={"further tags of the same thing at the same time": 2},
        orders={"0": ["50", "56", "54", "52"]},
    )


def _timestamps(folder: Path) -> Expected:
    tags = [f"{row.user}\t{50 + row.item}\t1\t{row.seconds}000" for row in rows()]
    write(folder / "user_taggedartists-timestamps.dat", ["userID\tartistID\ttagID\ttimestamp", *tags])
    _artists(folder)
    return Expected(types={"tag": ROWS}, titles={"53": "Artist 3"})


def _counts(folder: Path) -> Expected:
    counts = [f"{row.user}\t{50 + row.item}\t{n}" for n, row in enumerate(rows())]
    write(folder / "user_artists.dat", ["userID\tartistID\tweight", *counts])
    _artists(folder)
    return Expected(types=_LISTENS, first=None, last=None, titles={"53": "Artist 3"})


def _rated(folder: Path) -> Expected:
    """Write HetRec's ratings of films, with date and clock in six columns."""
    ratings = [f"{row.user}\t{row.item + 1}\t4.5\t{row.time(_CLOCK)}" for row in rows()]
    header = "userID\tmovieID\trating\tdate_day\tdate_month\tdate_year\tdate_hour\tdate_minute\tdate_second"
    write(folder / "user_ratedmovies.dat", [header, *ratings])
    films = [f"{item + 1}\tPelé {item}\t011470{item}\t199{item}" for item in range(ITEMS)]
    write(folder / "movies.dat", ["id\ttitle\timdbID\tyear", *films], "latin-1")
    return Expected(types={"rating": ROWS}, titles={"4": "Pelé 3"})


def _foursquare_rows() -> list[str]:
    return [
        f"{470 + row.user}\t49bbd6c0f964a520f453{row.item}\t4bf58dd8d48988d1{row.item}\tCafé {row.item % 3}\t40.7198\t"
        f"-74.0025\t-240\t{row.time('%a %b %d %H:%M:%S +0000 %Y')}"
        for row in rows()
    ]


def _foursquare(folder: Path) -> Expected:
    write(folder / "dataset_TSMC2014_NYC.txt", _foursquare_rows(), "latin-1")
    return Expected(types={"check-in": ROWS}, categories={"49bbd6c0f964a520f4534": "Café 1"})


def _foursquare_csv(folder: Path) -> Expected:
    header = "userId,venueId,venueCategoryId,venueCategory,latitude,longitude,timezoneOffset,utcTimestamp"
    write(folder / "dataset_TSMC2014_NYC.csv", [header, *(row.replace("\t", ",") for row in _foursquare_rows())])
    return Expected(types={"check-in": ROWS}, categories={"49bbd6c0f964a520f4534": "Café 1"})


def _gowalla(folder: Path) -> Expected:
    visits = [
        f"{row.user}\t{row.time('%Y-%m-%dT%H:%M:%SZ')}\t30.2359\t-97.7951\t{22800 + row.item}"
        for row in sorted(rows(), key=lambda row: (row.user, -row.seconds))
    ]
    write(folder / "loc-gowalla_totalCheckins.txt", visits)
    return replace(Expected(types={"check-in": ROWS}), orders={"0": ["22800", "22806", "22804", "22802"]})


LISTENS = (
    LookAlike("Last.fm 1K", "lastfm-1k", _FILE_1K, _1k),
    LookAlike("Last.fm 360K", "lastfm-360k", _FILE_360K, _360k),
    LookAlike("HetRec tags by day", "hetrec", "user_taggedartists.dat", _tagged),
    LookAlike("HetRec tags by time", "hetrec", "user_taggedartists-timestamps.dat", _timestamps, by_folder=False),
    LookAlike("HetRec counts", "hetrec", "user_artists.dat", _counts),
    LookAlike("HetRec ratings", "hetrec", "user_ratedmovies.dat", _rated),
    LookAlike("Foursquare", "foursquare", "dataset_TSMC2014_NYC.txt", _foursquare),
    LookAlike("Foursquare with a header", "foursquare", "dataset_TSMC2014_NYC.csv", _foursquare_csv),
    LookAlike("Gowalla", "gowalla", "loc-gowalla_totalCheckins.txt", _gowalla),
)
