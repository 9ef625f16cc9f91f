"""What the first records of a topic tell of a mapping: a name that none of them has, and records that are all left out.

A wrong name of a field that records may lack is no fault of any record, and would be noticed by nobody.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

from mindstream.parsing.trackers import WITHOUT_PRODUCT
from stream.events.mapped.any_shape import LOW, OF_NO_WEIGHT
from stream.events.mapped.messages import names_in
from stream.events.mapped.paths import Path

__all__ = ["MOST_WATCHED", "FirstRecords"]

log = logging.getLogger(__name__)

MOST_WATCHED = 1_000  # records
_FOLLOWS = {
    "type": "all of them count as clicks",
    "event_id": "each of them is known by its place on the topic, and one that is sent twice counts twice",
    "value": "none of them can be compared with `min_value`",
}
_OTHERWISE = {
    WITHOUT_PRODUCT: '`item = "..."` in the mapping names the product, `format` the format',
    LOW: "`min_value` in the mapping says which count",
    OF_NO_WEIGHT: "MINDSTREAM_BEHAVIOURS says which types count",
}


class FirstRecords:
    """What is noticed in the first records that gave events or were left out.

    Parameters
    ----------
    source : the mapping's file, for messages.
    optional : field that the mapping names and a record may lack -> the names.
    """

    def __init__(self, source: str, optional: Mapping[str, Sequence[Path]]) -> None:
        self.source, self.unseen = source, dict(optional)
        self.gave_events = False
        self.count = 0

    @property
    def is_over(self) -> bool:
        """Tell whether nothing is left to be noticed."""
        return self.count >= MOST_WATCHED or (self.gave_events and not self.unseen)

    def note(self, value: object, has: Callable[[str], bool], gave_events: bool, left_out: Mapping[str, int]) -> None:
        """Look at one more record; warn after the last one of what none had.

        Parameters
        ----------
        value : of the record.
        has : tells whether the record has a field.
        left_out : reason -> events that were left out so far.
        """
        self.count += 1
        self.gave_events |= gave_events
        self.unseen = {name: paths for name, paths in self.unseen.items() if not has(name)}
        if self.count < MOST_WATCHED:
            return
        for name, paths in self.unseen.items():
            log.warning(
                "%s: `%s` is %s, which none of the first %s records has, so %s; the last one has %s",
                *(self.source, name, ",".join(path.text for path in paths), f"{MOST_WATCHED:,}", _FOLLOWS[name]),
                names_in(value),
            )
        if not self.gave_events:
            self._warn_of_nothing(value, left_out)

    def _warn_of_nothing(self, value: object, left_out: Mapping[str, int]) -> None:
        """Warn that all records were left out."""
        ways = dict.fromkeys(_OTHERWISE.get(reason, _OTHERWISE[WITHOUT_PRODUCT]) for reason in left_out)
        log.warning(
            "%s: all of the first %s records were left out: %s; the last one has %s; %s",
            *(self.source, f"{MOST_WATCHED:,}"),
            "; ".join(f"{count:,} {reason}" for reason, count in left_out.items()),
            *(names_in(value), "; ".join(ways)),
        )
