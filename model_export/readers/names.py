"""The usual names of columns, and the fields that they stand for."""

import re

__all__ = ["ACCEPTED", "FEATURE_PREFIX", "PROFILE_PREFIX", "letters", "recognised"]

PROFILE_PREFIX = "profile_"
FEATURE_PREFIX = "feature_"

# Of several names that a log has for one field, the first of the list counts.
ACCEPTED: dict[str, tuple[str, ...]] = {
    "user": (
        *("user_id", "user", "customer_id", "customer", "visitor_id", "uid", "reviewer_id", "user_pseudo_id"),
        *("member_id", "account_id", "client_id", "cust_id", "buyer_id", "shopper_id", "consumer_id", "person_id"),
        *("viewer_id", "reader_id", "listener_id", "player_id", "profile_id", "subscriber_id", "household_id"),
        *("customer_no", "customer_number", "user_name", "username", "user_hash", "user_sha1", "login", "msno"),
        *("full_visitor_id", "domain_userid", "distinct_id", "anonymous_id", "device_id", "cookie_id"),
        *("session_id", "session"),
    ),
    "item": (
        *("item_id", "item", "product_id", "product", "sku", "article_id", "movie_id", "book_id", "parent_asin"),
        *("asin", "isbn", "business_id", "song_id", "track_id", "artist_id", "video_id", "news_id", "post_id"),
        *("content_id", "listing_id", "offer_id", "poi_id", "venue_id", "place_id", "recipe_id", "game_id", "app_id"),
        *("course_id", "job_id", "restaurant_id", "hotel_id", "anime_id", "show_id", "episode_id", "story_id"),
        *("document_id", "doc_id", "photo_id", "ad_id", "goods_id", "stock_code", "product_code", "item_code"),
        *("gmap_id", "aid", "iid", "pid", "merchant_id", "target_id", "object_id", "page_url", "url", "page"),
    ),
    "time": (
        *("event_time_ms", "timestamp_ms", "time_ms", "event_time", "event_timestamp", "timestamp", "time"),
        *("datetime", "date_time", "date", "created_at", "ts", "unix_review_time", "unix_timestamp", "unix_time"),
        *("t_dat", "event_date", "time_stamp", "tstamp", "occurred_at", "utc_time", "derived_tstamp"),
        *("collector_tstamp", "server_time", "received_at", "viewed_at", "clicked_at", "purchased_at", "ordered_at"),
        *("watched_at", "rated_at", "visited_at", "review_date", "review_time", "order_date", "purchase_date"),
        *("transaction_date", "invoice_date", "order_purchase_timestamp", "date_hour", "date_added", "epoch", "day"),
    ),
    "type": (
        *("event_type", "event", "event_name", "behavior", "behaviour", "behavior_type", "behaviour_type"),
        *("action", "action_type", "interaction_type", "activity_type", "activity", "interaction", "verb", "type"),
    ),
    "value": ("rating", "overall", "stars", "score", "star_rating", "book_rating", "review_score", "rate"),
    "title": (
        *("title", "name", "product_name", "item_name", "product_title", "item_title", "movie_title", "book_title"),
        *("prod_name", "track_name", "song_name", "headline", "description"),
    ),
    "category": (
        *("category", "category_code", "category_id", "category_name", "main_category", "product_category"),
        *("item_category", "categories", "genre", "genres", "product_type", "department"),
    ),
    "price": ("price", "unit_price", "item_price", "product_price", "sale_price"),
}


def letters(name: str) -> str:
    """Return a name's letters and digits in lower case.

    Blanks, underscores and RecBole's types (user_id:token) do not matter.
    """
    return re.sub(r"[^\w]|_", "", re.sub(r":(token|float)(_seq)?$", "", name).lower())


def recognised(name: str) -> str | None:
    """Return the field that a name usually stands for, if there is one."""
    own = letters(name)
    return next((field for field, names in ACCEPTED.items() if own in map(letters, names)), None)
