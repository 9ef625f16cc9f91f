"""A memory of what values mean, for those that come again and again."""

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["MOST_KNOWN", "Known"]

MOST_KNOWN = 50_000
LONGEST_KNOWN = 200  # characters; what is longer is no id that comes often

_Meaning = TypeVar("_Meaning")


class Known(dict[Any, _Meaning | None]):
    """Values as they came -> what they mean; None if they mean nothing that is plain.

    Half of a cache's time is the call of its function, so this is looked up like a dict.
    """

    def __init__(self, meaning: Callable[[Any], _Meaning | None]) -> None:
        super().__init__()
        self.meaning = meaning

    def __missing__(self, value: Any) -> _Meaning | None:
        """Find what a value means, and remember it."""
        found = self.meaning(value)
        if isinstance(value, str) and len(value) > LONGEST_KNOWN:
            return found
        if len(self) >= MOST_KNOWN:
            self.clear()
        self[value] = found
        return found
