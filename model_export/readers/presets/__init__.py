"""Formats that many have: how each is recognised, and how its files lie."""

from model_export.readers.layout import Found, Preset
from model_export.readers.presets import (
    analytics,
    comirec,
    movielens,
    music,
    places,
    recbole,
    reviews,
    sequences,
    sessions,
    shops,
    snowplow,
)

__all__ = ["PRESETS", "preset", "recognise"]

# In the order in which they are tried: the first that looks like the path counts.
PRESETS: tuple[Preset, ...] = (
    recbole.MOVIELENS_100K_ANY,
    movielens.MOVIELENS_1M,
    movielens.MOVIELENS_10M,
    movielens.MOVIELENS,
    recbole.RECBOLE,
    reviews.AMAZON,
    reviews.AMAZON_RATINGS,
    sessions.OTTO,
    sessions.YOOCHOOSE,
    sessions.DIGINETICA,
    shops.RETAILROCKET,
    shops.HM,
    shops.INSTACART,
    shops.TMALL,
    shops.TAOBAO,
    shops.ONLINE_RETAIL,
    sequences.MIND,
    analytics.GA4,
    analytics.TRACK_CALLS,
    snowplow.SNOWPLOW,
    analytics.CLOUDEVENTS,
    music.HETREC,
    music.LASTFM_1K,
    music.LASTFM_360K,
    reviews.GOODBOOKS,
    reviews.BOOKCROSSING,
    places.YELP,
    places.FOURSQUARE,
    places.GOWALLA,
    comirec.COMIREC,
    sequences.PAIRS,
    sequences.USER_LINES,
)


def recognise(found: Found) -> Preset | None:
    """Return the preset of the format at a path, or None if it is none of them."""
    return next((one for one in PRESETS if one.looks_like(found)), None)


def preset(name: str) -> Preset:
    """Return the preset of this name.

    Raises
    ------
    ValueError
        If there is none; lists the names.
    """
    for one in PRESETS:
        if one.name == name:
            return one
    raise ValueError(f"there is no preset {name!r}; there are {', '.join(one.name for one in PRESETS)}")
