"""What is seen in a text column of times, and the SQL that reads it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mindstream.parsing.writings import Writing
from model_export.readers.times.cells import NUMBER, matches, number_of_text, tidy
from model_export.readers.times.numbers import NumberReading
from model_export.readers.times.writing_sql import is_written_so, milliseconds

__all__ = ["Seen", "is_number"]


@dataclass(frozen=True)
class Seen:
    """Writings of a column.

    Attributes
    ----------
    writings : the most frequent first.
    numbers : whether there are numbers too.
    untidy : whether some cells can be read only after tidying.
    """

    writings: tuple[Writing, ...] = ()
    numbers: bool = False
    untidy: bool = False

    def texts(self, column: str) -> list[str]:
        """Return the expressions to read, one after the other until one can be read."""
        return [column, tidy(column)] if self.untidy else [column]

    def only(self, separator: str) -> "Seen":
        """Return the dates with this separator whose order is open."""
        return replace(self, writings=tuple(w for w in self.writings if w.separator == separator), numbers=False)

    def condition(self, column: str) -> str:
        """Write the condition that a cell is in one of the writings, or a number."""
        patterns = [*(writing.pattern for writing in self.writings), *([NUMBER] if self.numbers else [])]
        if not patterns:
            return "false"
        whole = "|".join(f"(?:{pattern})" for pattern in patterns)
        return "(" + " OR ".join(matches(text, whole) for text in self.texts(column)) + ")"

    def number_rows(self, relation: str, column: str) -> str:
        """Write the SELECT of all numbers in a column, as `read_numbers` wants them."""
        cases = " ".join(f"WHEN {matches(text, NUMBER)} THEN {text}" for text in self.texts(column))
        v, i = number_of_text("cell")
        cell = column if self._is_plain else f"CASE {cases} END"
        return f"SELECT {v} AS v, {i} AS i FROM (SELECT {cell} AS cell FROM {relation})"

    def sql(self, column: str, orders: Mapping[str, int], numbers: NumberReading | None = None) -> str:
        """Write the SQL of a cell's time in milliseconds; NULL if it is in no writing.

        Parameters
        ----------
        orders : separator of dates in an open order -> the order, by its place in ORDERS.
        """
        if numbers and self._is_plain:
            return numbers.over(*number_of_text(column))
        readings = [self._one(text, orders, numbers) for text in self.texts(column)]
        return readings[0] if len(readings) == 1 else f"COALESCE({', '.join(readings)})"

    @property
    def _is_plain(self) -> bool:
        """Tell whether there are numbers alone, so that a cast tells them from other cells."""
        return self.numbers and not self.writings and not self.untidy

    def _one(self, text: str, orders: Mapping[str, int], numbers: NumberReading | None) -> str:
        cases = [(matches(text, NUMBER), numbers.over(*number_of_text(text)))] if numbers else []
        cases += [
            (is_written_so(one, text), milliseconds(one, text, orders.get(one.separator, 0))) for one in self.writings
        ]
        if not cases:
            return "NULL::BIGINT"
        return f"CASE {' '.join(f'WHEN {condition} THEN {sql}' for condition, sql in cases)} END"


def is_number(text: str) -> bool:
    """Tell whether a text is a number."""
    return re.fullmatch(NUMBER, text, re.ASCII) is not None
