"""The rule for what counts as a behaviour: a weight for each event type, the same in training and in serving."""

from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["UNDO", "BehaviourRule"]

UNDO = "undo"  # instead of a weight: takes a negative event of the same user and item back
OTHERS = "*"

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

    weights: MappingProxyType[str, float] = field(default_factory=lambda: MappingProxyType({}))
    undoing: frozenset[str] = frozenset()
    others: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "BehaviourRule":
        """Read a rule such as `view=1,cart=2,impression=0,dislike=-1,undislike=undo,*=0`.

        `*` stands for the types that are not named, which weigh 1 otherwise.

        Raises
        ------
        ValueError
            If a part is no pair, a weight is no finite number, or a type comes twice; names the part.
        """
        weights: dict[str, float] = {}
        undoing: set[str] = set()
        for part in filter(None, (one.strip() for one in text.split(","))):
            event_type, equals, given = (one.strip().lower() for one in part.rpartition("="))
            if not equals or not event_type:
                raise ValueError(f"{part!r} is no pair; {_RIGHT}")
            if event_type in weights or event_type in undoing:
                raise ValueError(f"{event_type!r} comes twice; {_RIGHT}")
            if given == UNDO and event_type != OTHERS:
                undoing.add(event_type)
            else:
                weights[event_type] = _weight(given, part)
        return cls(MappingProxyType(weights), frozenset(undoing), weights.pop(OTHERS, 1.0))

    def weight(self, event_type: str) -> float:
        """Return the weight of an event type; 0 for one that only undoes."""
        event_type = event_type.lower()
        return 0.0 if event_type in self.undoing else self.weights.get(event_type, self.others)

    def is_behaviour(self, event_type: str) -> bool:
        """Tell whether events of this type count as behaviours."""
        return self.weight(event_type) > 0

    def is_negative(self, event_type: str) -> bool:
        """Tell whether events of this type say that the user does not want the item."""
        return self.weight(event_type) < 0

    def undoes(self, event_type: str) -> bool:
        """Tell whether events of this type take a negative event back, and do nothing else."""
        return event_type.lower() in self.undoing

    def __str__(self) -> str:
        """Return the rule as text that `parse` reads, in one order for equal rules."""
        parts = [f"{name}={weight:g}" for name, weight in sorted(self.weights.items())]
        parts += [f"{name}={UNDO}" for name in sorted(self.undoing)]
        return ",".join([*parts, *([f"{OTHERS}={self.others:g}"] if self.others != 1 else [])])


def _weight(given: str, part: str) -> float:
    """Return the number of a pair."""
    try:
        weight = float(given)
    except ValueError:
        weight = float("nan")
    if not abs(weight) <= 1e6:
        raise ValueError(f"the weight in {part!r} is no number from -1e6 to 1e6; {_RIGHT}")
    return weight
