"""A request: how many candidates, and which may come back."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real

__all__ = ["MOST_CANDIDATES", "MOST_EXCLUDED", "MOST_VALUES", "Request", "filters_of", "weights_of"]

MOST_CANDIDATES = 10_000
MOST_EXCLUDED = 10_000
MOST_VALUES = 1_000  # of all filters together
MOST_WEIGHT = 1e6  # of a task


@dataclass(frozen=True)
class Request:
    """One request; what is left out asks for nothing.

    Attributes
    ----------
    n : how many candidates. Fewer come back only if there are no more that may; with quotas or max_cosine, no more
        among the best 64 n (at least 4,096).
    exclude_seen : leave out the items of the kept history.
    exclude : item ids to leave out, at most 10,000; unknown ones are fine.
    where : attribute of the catalogue -> values; an item needs one of the values of every attribute.
    min_score : candidates of interests with a lower score are left out; popular items have no such score.
    quota : most candidates that one interest may bring.
    by_importance : each interest may bring its share of n, rounded up, by its importance.
    diversity : ComiRec's lambda, in units of the score: every pair of candidates from different categories is worth so
        much. Candidates are then chosen greedily from the best 4 n, or if quotas and max_cosine leave fewer than n
        of those, anew from as many as it takes; they stand in the order in which they were chosen.
    max_cosine : a candidate with a larger cosine to one that was chosen before is left out as a near-duplicate.
    rank : order the candidates by the bundle's ranker, if it has one; all of the above is then of its scores.
    candidates : how many the matching stage brings to be ranked, of which the answer is chosen; at least n are. None:
        as many as the bundle says.
    tasks : task of the ranker -> its weight in the score, where it is to be another than the bundle's.
    rank_ms : a budget in milliseconds: by what a candidate has taken so far, fewer are ranked, but never fewer than the
        answer is chosen of. None: no budget.
    why : say of each ranked candidate which features spoke for it.

    Raises
    ------
    ValueError
        Names what is not right, its value, and what would be right.
    """

    n: int = 50
    exclude_seen: bool = False
    exclude: frozenset[str] = frozenset()
    where: Mapping[str, frozenset[str]] = field(default_factory=dict)
    min_score: float | None = None
    quota: int | None = None
    by_importance: bool = False
    diversity: float = 0.0
    max_cosine: float | None = None
    rank: bool = True
    candidates: int | None = None
    tasks: Mapping[str, float] = field(default_factory=dict)
    rank_ms: float | None = None
    why: bool = False

    def __post_init__(self) -> None:
        _check(_is_integer(self.n), f"n is {self.n!r}; right is a whole number")
        _check(self.n >= 1, f"n is {self.n}; it must be at least 1")
        _check(self.n <= MOST_CANDIDATES, f"n is {self.n}; it must be at most {MOST_CANDIDATES:,}")
        _check(not isinstance(self.exclude, str), f"exclude is {self.exclude!r}; right is a set of item ids")
        _check(
            len(self.exclude) <= MOST_EXCLUDED,
            f"exclude has {len(self.exclude):,} items; at most {MOST_EXCLUDED:,} are right",
        )
        self._check_where()
        self._check_numbers()
        self._check_ranking()

    def _check_where(self) -> None:
        """Raise ValueError unless the filters are sets of values, and not too many."""
        for attribute, values in self.where.items():
            _check(
                not isinstance(values, str) and len(values) > 0,
                f"where {attribute} is {values!r}; right is a set of at least one value",
            )
        total = sum(map(len, self.where.values()))
        _check(total <= MOST_VALUES, f"where has {total:,} values; at most {MOST_VALUES:,} are right")

    def _check_numbers(self) -> None:
        """Raise ValueError unless the numbers are in their ranges; NaN never is."""
        _check(
            self.min_score is None or _is_finite(self.min_score),
            f"min_score is {self.min_score!r}; right is a finite number",
        )
        _check(
            self.quota is None or (_is_integer(self.quota) and 1 <= self.quota <= MOST_CANDIDATES),
            f"quota is {self.quota!r}; right is 1 to {MOST_CANDIDATES:,}",
        )
        _check(
            _is_finite(self.diversity) and self.diversity >= 0,
            f"diversity is {self.diversity!r}; right is a finite number of at least 0",
        )
        _check(
            self.max_cosine is None or (_is_finite(self.max_cosine) and 0 <= self.max_cosine < 1),
            f"max_cosine is {self.max_cosine!r}; right is at least 0 and below 1",
        )

    def _check_ranking(self) -> None:
        """Raise ValueError unless what is asked of the second stage is right."""
        _check(
            self.candidates is None or (_is_integer(self.candidates) and 1 <= self.candidates <= MOST_CANDIDATES),
            f"candidates is {self.candidates!r}; right is 1 to {MOST_CANDIDATES:,}",
        )
        _check(isinstance(self.tasks, Mapping), f"tasks is {self.tasks!r}; right is task -> weight")
        for task, weight in self.tasks.items():
            _check(
                _is_finite(weight) and abs(weight) <= MOST_WEIGHT,
                f"tasks {task} is {weight!r}; right is a number of at most {MOST_WEIGHT:,.0f}",
            )
        _check(
            self.rank_ms is None or (_is_finite(self.rank_ms) and self.rank_ms > 0),
            f"rank_ms is {self.rank_ms!r}; right is a number of milliseconds above 0",
        )
        for name in ("exclude_seen", "by_importance", "rank", "why"):
            _check(isinstance(getattr(self, name), bool), f"{name} is {getattr(self, name)!r}; right is True or False")

    @property
    def is_plain(self) -> bool:
        """Tell whether the n best that may come back are the answer."""
        return self.quota is None and not self.by_importance and not self.diversity and self.max_cosine is None


def filters_of(said: Iterable[str], source: str) -> dict[str, frozenset[str]]:
    """Read attribute -> values from texts like "brand=acme".

    Of an attribute that is named twice either value will do.

    Parameters
    ----------
    source : where the texts come from, for the error.

    Raises
    ------
    ValueError
        If a text has another form.
    """
    found: dict[str, set[str]] = {}
    for one in said:
        attribute, is_there, value = one.partition("=")
        if not (attribute and is_there and value):
            raise ValueError(f"{source} is {one!r}; right is attribute=value")
        found.setdefault(attribute, set()).add(value)
    return {attribute: frozenset(values) for attribute, values in found.items()}


def weights_of(said: Iterable[str], source: str) -> dict[str, float]:
    """Read task -> weight from texts like "purchase=3".

    Parameters
    ----------
    source : where the texts come from, for the error.

    Raises
    ------
    ValueError
        If a text has another form, or names a task again.
    """
    found: dict[str, float] = {}
    for one in said:
        task, _, weight = one.rpartition("=")
        try:
            number = float(weight)
        except ValueError:
            number = math.nan
        if not task or math.isnan(number) or task in found:
            raise ValueError(f"{source} is {one!r}; right is task=weight, each task once, such as purchase=3")
        found[task] = number
    return found


def _is_integer(number: object) -> bool:
    """Tell whether it is a whole number; True is none."""
    return isinstance(number, int) and not isinstance(number, bool)


def _is_finite(number: object) -> bool:
    """Tell whether it is a finite number; True is none."""
    return isinstance(number, Real) and not isinstance(number, bool) and math.isfinite(number)


def _check(right: bool, message: str) -> None:
    """Raise ValueError unless it is right."""
    if not right:
        raise ValueError(message)
