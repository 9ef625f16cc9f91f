"""The events of JSON records of the one shape that a mapping expects, decoded straight into what is looked for.

A record that is anything else (a field missing, of another type, not clean) is left to `any_shape`, which gives the
same events where both give some.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import msgspec

from mindstream.limits import EARLIEST_MS, LATEST_MS, LONGEST_EVENT_TYPE, LONGEST_ITEM_ID, LONGEST_USER_ID
from mindstream.parsing.ids import clean_text
from mindstream.parsing.time_numbers import PER_SECOND
from stream.events.event import AHEAD_MS, NO_JSON, Event
from stream.events.mapped.any_shape import USUAL_TYPE
from stream.events.mapped.cells import id_of
from stream.events.mapped.event_ids import LONGEST_EVENT_ID, numbered, own_id
from stream.events.mapped.known import Known
from stream.events.mapped.paths import TIMESTAMP
from stream.events.mapped.plan import Plan
from stream.events.mapped.record_struct import ID, NOTHING, TIME, WORD, Tree, TwoMeaningsError, all_of, put, struct_of
from stream.events.mapped.times.common import PLAIN_MS, other_time

__all__ = ["ReadEvents", "one_shape"]


class _TooLongError(Exception):
    """A word that is longer than the stream takes: no other name is asked instead, as for one that is missing."""


_LEFT = (*NO_JSON, _TooLongError)  # what such a record raises is left to `any_shape`
ReadEvents = Callable[[bytes, int, str | None], list[Event] | None]


def one_shape(plan: Plan) -> ReadEvents | None:
    """Make the function that reads a plan's shape; None where that is not so simple.

    It takes a record's value, when it was published (Unix ms) and the id of the events without one of their own; it
    returns None for a record of another shape, and for one to be left out.
    """
    if _needs_more(plan) or _needs_rows(plan):
        return None
    try:
        return _made(plan)
    except (TwoMeaningsError, ValueError, TypeError):
        return None


def _needs_more(plan: Plan) -> bool:
    """Tell whether values have to be joined, parsed or compared, or are in the key."""
    homes = {path.home for path in plan.item if path.home}
    own = [path for path in (*plan.user, *plan.event_id, *plan.time) if path.is_of_record]
    return (
        not _is_known_by_its_mark(plan)
        or plan.joined
        or plan.min_value is not None
        or len(homes) > 1
        or plan.reader.format is not None
        or plan.reader.unit not in (None, *PER_SECOND)
        or (own != [] and (own != list(plan.time) or own[0].text != TIMESTAMP))
    )


def _is_known_by_its_mark(plan: Plan) -> bool:
    """Tell whether a record whose kind of call or type is known needs no preparing."""
    looked_at = [plan.calls[0]] if plan.calls else list(plan.type)
    return plan.prepare is None or [plan.mark] == looked_at


def _needs_rows(plan: Plan) -> bool:
    """Tell whether fields beside the item stand in lists, or lists in lists."""
    others = (*plan.user, *plan.time, *plan.type, *plan.event_id)
    return any(path.lists for path in others) or any(
        len(path.lists) > 1 or not path.lists[0].names for path in plan.item if path.lists
    )


def _made(plan: Plan) -> ReadEvents:
    """Make the structs of a plan's names, and the reader."""
    root: Tree = {}
    within: Tree = {}
    attributes: dict[str, list[str]] = {
        "user": [put(root, path.names, ID) for path in plan.user],
        "time": [put(root, path.names, TIME) for path in plan.time if path.text != TIMESTAMP],
        "type": [put(root, path.names, WORD) for path in plan.type],
        "event_id": [put(root, path.names, WORD) for path in plan.event_id],
        "calls": [put(root, plan.calls[0].names, WORD)] if plan.calls else [],
        "single": [put(root, path.names, ID) for path in plan.item if not path.lists],
        "within": [put(within, path.names, ID) for path in plan.item if path.lists and path.names],
        "list": [],
    }
    if listed := next((path for path in plan.item if path.lists), None):
        kind = struct_of(within) if within else ID
        attributes["list"] = [put(root, listed.lists[0].names, list[kind])]  # type: ignore[valid-type]
    is_plain = not attributes["list"] and not plan.calls and not plan.event_id
    is_plain = is_plain and all(len(attributes[field]) <= 1 for field in ("user", "single", "time", "type"))
    return (_plain if is_plain else _full)(msgspec.json.Decoder(struct_of(root)).decode, plan, attributes)


def _plain(decode: Callable[[bytes], Any], plan: Plan, attributes: dict[str, list[str]]) -> ReadEvents:
    """Make the reader of shapes with one name for each field, as fast as can be."""
    get = attrgetter(*(next(iter(attributes[field]), NOTHING) for field in ("user", "single", "time", "type")))
    users, items, types = _known_words(plan)
    is_of_timestamp, of_unit = plan.time[0].text == TIMESTAMP, _of_unit(plan)

    def events(value: bytes, published_ms: int, record_id: str | None) -> list[Event] | None:
        try:
            user, item, moment, kind = get(decode(value))
            user_id, item_id, event_type = users[user], items[item], types[kind]
        except _LEFT:
            return None
        if is_of_timestamp:
            moment = published_ms
        elif of_unit is not None:
            moment = of_unit(moment)
        elif moment.__class__ is not int or not PLAIN_MS <= moment <= LATEST_MS:
            moment = other_time(moment)
        if user_id is None or item_id is None or event_type is None or moment is None:
            return None
        if not 0 <= published_ms >= moment - AHEAD_MS:
            return None
        return [Event(user_id, item_id, moment, event_type, record_id)]

    return events


def _full(decode: Callable[[bytes], Any], plan: Plan, attributes: dict[str, list[str]]) -> ReadEvents:
    """Make the reader of shapes with several names for a field, lists, calls and own ids."""
    firsts = (
        next(iter(attributes[field]), NOTHING) for field in ("user", "single", "time", "type", "calls", "event_id")
    )
    first = attrgetter(*firsts)
    others = {field: all_of(attributes[field][1:]) for field in ("user", "single", "time", "type", "event_id")}
    listed, within = (all_of(attributes[field]) for field in ("list", "within"))
    users, items, types = _known_words(plan)
    is_of_timestamp, of_unit = plan.time[0].text == TIMESTAMP, _of_unit(plan)
    call_wanted = plan.calls[1] if plan.calls else None
    is_listed, has_own_ids, of_elements = bool(attributes["list"]), bool(plan.event_id), bool(attributes["within"])

    def events(value: bytes, published_ms: int, record_id: str | None) -> list[Event] | None:
        try:
            record = decode(value)
            user, item, moment, kind, call, own = first(record)
            if call != call_wanted or (has_own_ids and not (_is_plain(own) and others["event_id"](record)[0] is None)):
                return None
            if (user_id := users[user]) is None:
                user_id = next(filter(None, map(users.__getitem__, others["user"](record))), None)
            if kind is None:
                kind = next(filter(_is_there, others["type"](record)), None)
            if moment is None:
                moment = next(filter(_is_there, others["time"](record)), None)
            if is_of_timestamp:
                moment = published_ms
            elif of_unit is not None:
                moment = of_unit(moment)
            elif moment.__class__ is not int or not PLAIN_MS <= moment <= LATEST_MS:
                moment = other_time(moment)
            event_type = types[kind]
            if user_id is None or event_type is None or moment is None or not 0 <= published_ms >= moment - AHEAD_MS:
                return None
            if not is_listed or not (elements := listed(record)[0]):
                if (item_id := items[item]) is None:
                    item_id = next(filter(None, map(items.__getitem__, others["single"](record))), None)
                return None if item_id is None else [Event(user_id, item_id, moment, event_type, own or record_id)]
            found = []
            for number, one in enumerate(elements):
                item_id = next(filter(None, map(items.__getitem__, within(one) if of_elements else (one,))), None)
                if item_id is None:
                    return None
                event_id = own_id((own,), number) if has_own_ids else numbered(record_id, number)
                found.append(Event(user_id, item_id, moment, event_type, event_id))
            return found
        except _LEFT:
            return None

    return events


def _known_words(plan: Plan) -> tuple[Known[str], Known[str], Known[str]]:
    """Return what is known of users, items and types.

    A type by which records of a format are known is never missing.
    """
    usual = None if plan.prepare and not plan.calls else USUAL_TYPE
    return (
        Known(lambda value: _within(id_of(value), LONGEST_USER_ID)),
        Known(lambda value: _within(id_of(value), LONGEST_ITEM_ID)),
        Known(lambda value: _within(clean_text(value) if value is not None else usual, LONGEST_EVENT_TYPE)),
    )


def _within(word: str | None, longest: int) -> str | None:
    """Return a word; raise _TooLongError if it is longer than the stream takes."""
    if word is not None and len(word) > longest:
        raise _TooLongError
    return word


def _is_there(value: object) -> bool:
    """Tell whether a record has a value."""
    return value is not None


def _is_plain(own: str | None) -> bool:
    """Tell whether a record's own id needs no cleaning, and is none of a letter too many."""
    return (
        own is not None and own.isascii() and own.isprintable() and " " not in own and 0 < len(own) <= LONGEST_EVENT_ID
    )


def _of_unit(plan: Plan) -> Callable[[Any], int | None] | None:
    """Return the function that reads whole numbers in the unit that is given; None if none is."""
    if plan.reader.unit is None:
        return None
    per_second = PER_SECOND[plan.reader.unit]

    def time_of(value: Any) -> int | None:
        found = value * 1000 // per_second if value.__class__ is int else 0
        return found if EARLIEST_MS <= found <= LATEST_MS else None

    return time_of
