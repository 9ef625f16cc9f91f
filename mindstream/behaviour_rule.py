"""The rule for what counts as a behaviour: a weight for each event type, the same in training and in serving."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

__all__ = ["OTHERS", "UNDO", "BehaviourRule"]

UNDO = "undo"  # instead of a weight: takes a negative event of the same user and item back
OTHERS = "*"  # stands for the types that are not named
LONGEST_TYPE = 64  # characters, as of an Event
MOST_WEIGHT = 1e6

_RIGHT = "right are pairs TYPE=WEIGHT with commas between them, such as view=1,cart=2,impression=0,dislike=-1"


@dataclass(frozen=True)
class BehaviourRule:
    """Weights of event types; upper and lower case are the same.

    Attributes
    ----------
    weights : event type in lower case -> weight. Above 0: a behaviour; 0: none; below 0: a negative event, which takes
        the item out of the history and keeps it out of the user's answers until a behaviour with it.
    undoing : types that only take a negative event back.
    others : weight of the types that are not named.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    undoing: frozenset[str] = frozenset()
    others: float = 1.0

    def __post_init__(self) -> None:
        # Asked several times for every event, of few types. The cache has an end because types come from outside.
        object.__setattr__(self, "weight", lru_cache(maxsize=1_000)(self.weight))

    @classmethod
    def parse(cls, text: str) -> "BehaviourRule":
        """Read a rule such as `view=1,cart=2,impression=0,dislike=-1,undislike=undo,*=0`.

        `*` stands for the types that are not named, which weigh 1 otherwise.

        Raises
        ------
        ValueError
            If a part is no pair, a weight is no finite number, a type comes twice or is longer than an event's may be,
            or no type at all is a behaviour; names the part.
        """
        weights: dict[str, float] = {}
        undoing: set[str] = set()
        for part in filter(None, (one.strip() for one in text.split(","))):
            event_type, given = _pair(part)
            if event_type in weights or event_type in undoing:
                raise ValueError(f"{event_type!r} comes twice; {_RIGHT}")
            if given == UNDO and event_type != OTHERS:
                undoing.add(event_type)
            else:
                weights[event_type] = _weight(given, part)
        others = weights.pop(OTHERS, 1.0)
        if not any(weight > 0 for weight in (*weights.values(), others)):
            raise ValueError(f"no event type weighs more than 0, so nothing would be a behaviour; {_RIGHT}")
        return cls(MappingProxyType(weights), frozenset(undoing), others)

    def weight(self, event_type: str) -> float:
        """Return the weight of an event type; 0 for one that only undoes."""
        event_type = event_type.lower()
        return 0.0 if event_type in self.undoing else self.weights.get(event_type, self.others)

    def counts(self, event_type: str) -> bool:
        """Tell whether events of this type change anything of a user; else they are ignored."""
        return self.weight(event_type) != 0 or self.undoes(event_type)

    def is_behaviour(self, event_type: str) -> bool:
        """Tell whether events of this type count as behaviours."""
        return self.weight(event_type) > 0

    def is_negative(self, event_type: str) -> bool:
        """Tell whether events of this type say that the user does not want the item."""
        return self.weight(event_type) < 0

    def undoes(self, event_type: str) -> bool:
        """Tell whether events of this type take a negative event back, and do nothing else."""
        return event_type.lower() in self.undoing

    @property
    def negative_types(self) -> tuple[str, ...]:
        """Return the named types of negative events, in the order of the alphabet."""
        return tuple(sorted(name for name, weight in self.weights.items() if weight < 0))

    def __str__(self) -> str:
        """Return the rule as text that `parse` reads, in one order for equal rules."""
        parts = [f"{name}={_number(weight)}" for name, weight in sorted(self.weights.items())]
        parts += [f"{name}={UNDO}" for name in sorted(self.undoing)]
        if self.others != 1 or not parts:
            parts.append(f"{OTHERS}={_number(self.others)}")
        return ",".join(parts)


def _pair(part: str) -> tuple[str, str]:
    """Cut a part at its last `=` into event type and weight, both in lower case."""
    event_type, equals, given = (one.strip().lower() for one in part.rpartition("="))
    if not equals or not event_type:
        raise ValueError(f"{part!r} is no pair; {_RIGHT}")
    if len(event_type) > LONGEST_TYPE:
        raise ValueError(f"{event_type[:20]!r}... has {len(event_type)} characters; an event type has at most 64")
    return event_type, given


def _weight(given: str, part: str) -> float:
    """Return the number of a pair."""
    try:
        weight = float(given)
    except ValueError:
        weight = math.nan
    if not abs(weight) <= MOST_WEIGHT:
        raise ValueError(f"the weight in {part!r} is no number from -1e6 to 1e6; {_RIGHT}")
    return weight


def _number(weight: float) -> str:
    """Write a weight with all of its digits, and without a point if it is whole."""
    return str(int(weight)) if weight == int(weight) else repr(weight)
