"""Cases of interaction logs: what must come out of each, and the verdict on what did."""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

__all__ = ["Expectation", "Figures", "Outcome", "Verdict", "judged", "load_cases"]

FILE = "expect.json"


class Expectation(BaseModel):
    """One reading of a case, and what must come out of it.

    Attributes
    ----------
    path : in the case's folder; "." is the folder itself.
    options : of the command line.
    interactions : least and most that count as behaviours.
    users, items, prices : how many; prices are the items with one.
    first, last : UTC days.
    said : regular expression that what is printed must meet, so that nothing is lost in silence.
    said_if_fewer_than : `said` is asked for only where fewer interactions are read.
    not_titles : a title that no item may have.
    error : regular expression of an error that is right as well.
    must_error : regular expression of the error that alone is right.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    options: tuple[str, ...] = ()
    interactions: tuple[int, int] | None = None
    users: int | None = None
    items: int | None = None
    prices: int | None = None
    first: date | None = None
    last: date | None = None
    said: str | None = None
    said_if_fewer_than: int | None = None
    not_titles: str | None = None
    error: str | None = None
    must_error: str | None = None


@dataclass(frozen=True)
class Figures:
    """What was read.

    Attributes
    ----------
    interactions : that count as behaviours.
    left_out : rows of the log that were left out and counted.
    first, last : UTC days; None without times.
    """

    interactions: int
    users: int
    items: int
    prices: int
    left_out: int
    first: date | None
    last: date | None
    titles: frozenset[str]


@dataclass(frozen=True)
class Outcome:
    """What came of a reading: all that was printed, and the figures or an error.

    Attributes
    ----------
    crashed : the error was no sentence for people but a traceback.
    """

    printed: str
    figures: Figures | None = None
    error: str | None = None
    crashed: bool = False


@dataclass(frozen=True)
class Verdict:
    """The verdict on a reading.

    Attributes
    ----------
    kind : "right", "wrong", or "refused": an error that no expectation allows.
    silent : whether interactions were lost and nothing said of it.
    why : what is not as expected; "" if all is.
    """

    kind: str
    silent: bool = False
    why: str = ""


def load_cases(folder: Path) -> dict[Path, list[Expectation]]:
    """Read the expectations of all cases: their folders, or the one that the path is.

    Raises
    ------
    ValueError
        If there is no case, or one's file cannot be read; names the file.
    """
    files = sorted(folder.rglob(FILE))
    if not files:
        raise ValueError(f"--cases is {folder}: there is no {FILE} in it or in its folders")
    return {file.parent: _load(file) for file in files}


def _load(file: Path) -> list[Expectation]:
    try:
        return TypeAdapter(list[Expectation]).validate_json(file.read_bytes())
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(str(one) for one in wrong["loc"])
        raise ValueError(f"{file}: {place}: {wrong['msg']}, but it is {str(wrong['input'])[:80]}") from None


def judged(expected: Expectation, outcome: Outcome) -> Verdict:
    """Return the verdict on a reading."""
    if outcome.error is not None:
        return _judged_error(expected, outcome)
    assert outcome.figures is not None
    if expected.must_error is not None:
        return Verdict("wrong", why=f"read, but right is an error such as {expected.must_error!r}")
    why = [*_differences(expected, outcome.figures), *_unsaid(expected, outcome)]
    return Verdict("wrong" if why else "right", _is_silent_loss(expected, outcome), "; ".join(why))


def _judged_error(expected: Expectation, outcome: Outcome) -> Verdict:
    allowed = expected.must_error or expected.error
    text = f"{outcome.printed}\n{outcome.error}"
    if allowed is not None and not outcome.crashed and re.search(allowed, text):
        return Verdict("right")
    return Verdict("refused", why=f"{'crashed: ' if outcome.crashed else ''}{outcome.error}")


def _differences(expected: Expectation, read: Figures) -> list[str]:
    """List the figures that are not as expected."""
    found = []
    if expected.interactions and not expected.interactions[0] <= read.interactions <= expected.interactions[1]:
        found.append(f"{read.interactions} interactions, expected {_range(expected.interactions)}")
    for name in ("users", "items", "prices", "first", "last"):
        wanted, got = getattr(expected, name), getattr(read, name)
        if wanted is not None and wanted != got:
            found.append(f"{name} {got}, expected {wanted}")
    if expected.not_titles is not None and expected.not_titles in read.titles:
        found.append(f"an item has the title {expected.not_titles!r}")
    return found


def _range(interactions: tuple[int, int]) -> str:
    least, most = interactions
    return str(least) if least == most else f"{least} to {most}"


def _unsaid(expected: Expectation, outcome: Outcome) -> list[str]:
    """List what had to be printed, if it was not."""
    assert outcome.figures is not None
    enough = expected.said_if_fewer_than is not None and outcome.figures.interactions >= expected.said_if_fewer_than
    if expected.said is None or enough or re.search(expected.said, outcome.printed):
        return []
    return [f"nothing printed meets {expected.said!r}"]


def _is_silent_loss(expected: Expectation, outcome: Outcome) -> bool:
    """Tell whether there are fewer interactions than expected and nothing was said of it.

    Said is what meets `said`; where there is no such expression, what is counted as left out.
    """
    assert outcome.figures is not None
    whole = expected.said_if_fewer_than or (expected.interactions[0] if expected.interactions else 0)
    missing = whole - outcome.figures.interactions
    if missing <= 0:
        return False
    if expected.said is not None:
        return re.search(expected.said, outcome.printed) is None
    return outcome.figures.left_out < missing
