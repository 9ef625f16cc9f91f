"""The findings of a row of faults."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["MUST_BE_ZERO", "Found", "sums"]

MUST_BE_ZERO = (
    "lost",
    "applied_twice",
    "zombie_writes_accepted",
    "dead_letters_missing",
    "users_differing",
    "reprocessed_after_sigterm",
)


@dataclass(frozen=True)
class Found:
    """The faults and figures that a row found.

    Attributes
    ----------
    faults : what must be 0, of MUST_BE_ZERO and the row's own.
    figures : what was measured; seconds end in `_s`, megabytes in `_mb`.
    """

    faults: Mapping[str, int]
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Return whether all that must be 0 is."""
        return not any(self.faults.values())


def sums(faults: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up faults of the same name; those that are 0 stay."""
    found: Counter[str] = Counter()
    for one in faults:
        found.update(one)
    return dict(found)
