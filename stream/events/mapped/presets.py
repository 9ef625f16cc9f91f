"""The plans of trackers' formats: the same names as in logs of them."""

from mindstream.parsing.trackers import (
    ALIASES,
    CALL_TIMES,
    CLOUD_ITEMS,
    CLOUD_TIMES,
    CLOUD_USERS,
    PRODUCT_IDS,
    SNOWPLOW_ACTION,
    WITHOUT_PRODUCT,
)
from stream.events.mapped.formats import calls_in, cloud_events_in, ga4_events_in, snowplow_events_in
from stream.events.mapped.paths import Path, parse
from stream.events.mapped.plan import Plan, paths_of
from stream.events.mapped.times.reader import TimeReader

__all__ = ["PRESETS", "preset_plan"]

_PLAIN = ("auto", "table")


def _paths(before: str, names: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(parse(before + name) for name in names)


_GA4 = Plan(
    user=paths_of("user_pseudo_id,user_id"),
    item=paths_of("items[].item_id"),
    time=paths_of("event_timestamp"),
    reader=TimeReader("event_timestamp", "microseconds"),
    type=paths_of("event_name"),
    prepare=ga4_events_in,
    mark=parse("event_name"),
    without_item=WITHOUT_PRODUCT,
    notes=('user_pseudo_id is the user, which every event has; user = "user_id,user_pseudo_id" takes those logged in',),
)

_CALLS = Plan(
    user=paths_of("userId,anonymousId"),
    item=(*_paths("properties.products[].", PRODUCT_IDS), *_paths("properties.", PRODUCT_IDS)),
    time=_paths("", CALL_TIMES),
    type=paths_of("event"),
    event_id=paths_of("messageId"),
    calls=(parse("type"), "track"),
    prepare=calls_in,
    mark=parse("type"),
    without_item=WITHOUT_PRODUCT,
    notes=("anonymousId is the user of the calls without a userId",),
)

_CLOUDEVENTS = Plan(
    user=_paths("data.", CLOUD_USERS),
    item=(
        *_paths("data.items[].", CLOUD_ITEMS),
        *_paths("data.products[].", CLOUD_ITEMS),
        *_paths("data.", CLOUD_ITEMS),
    ),
    time=(parse("time"), *_paths("data.", CLOUD_TIMES)),
    type=paths_of("type"),
    event_id=paths_of("source,id"),
    prepare=cloud_events_in,
    without_item=WITHOUT_PRODUCT,
    notes=("CloudEvents are read in structured mode, and in binary mode where the data is JSON",),
)


_SNOWPLOW = Plan(
    user=paths_of("domain_userid,user_id,network_userid"),
    item=paths_of("products[].id,ti_sku,se_property"),
    time=paths_of("derived_tstamp,collector_tstamp"),
    type=paths_of(f"{SNOWPLOW_ACTION}.type,unstruct_event.data.data.type,se_action,event_name,event"),
    event_id=paths_of("event_id"),
    without_item=WITHOUT_PRODUCT,
    prepare=snowplow_events_in,
    notes=('domain_userid is the user, or else user_id; user = "user_id,domain_userid" takes those logged in',),
)

PRESETS = {"ga4": _GA4, "track-calls": _CALLS, "snowplow": _SNOWPLOW, "cloudevents": _CLOUDEVENTS}


def preset_plan(name: str) -> Plan | None:
    """Return the plan of a format by its name; None where the mapping alone says it all.

    Raises
    ------
    ValueError
        If it is a format of files, or none.
    """
    name = ALIASES.get(name, name)
    if name in _PLAIN:
        return None
    if name not in PRESETS:
        right = ", ".join((*_PLAIN, *PRESETS, *ALIASES))
        raise ValueError(f"format is {name!r}, which no topic has; right are {right}")
    return PRESETS[name]
