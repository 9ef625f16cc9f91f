"""Numbers as times: units, dates written as digits, and clocks that count from other years."""

from dataclasses import dataclass

__all__ = ["DIGITS", "LARGER", "NEVER_MS", "OTHER_ORIGINS", "PER_SECOND", "Ticks"]

# The times that the stream takes (EARLIEST_MS to LATEST_MS) in one unit do not meet those in another.
PER_SECOND = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
LARGER = {"milliseconds": "seconds", "microseconds": "milliseconds", "nanoseconds": "microseconds"}

# The end of the year 9999 in a unit is what some write for "never"; in the next smaller unit it is January 1978.
NEVER_MS = (253_370_764_800_000, 253_402_300_800_000)

DIGITS = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S", 17: "%Y%m%d%H%M%S%g"}


@dataclass(frozen=True)
class Ticks:
    """Ticks since another year than 1970, of 1995 to 2050: no likely times in other units."""

    said: str
    lowest: int
    highest: int
    per_ms: int
    origin_ms: int


def _ticks(said: str, per_ms: int, origin_ms: int) -> Ticks:
    first, last = 788_918_400_000, 2_524_608_000_000
    return Ticks(said, (first - origin_ms) * per_ms, (last - origin_ms) * per_ms, per_ms, origin_ms)


OTHER_ORIGINS = (
    _ticks("ticks of 100 ns since the year 1, as .NET counts", 10_000, -62_135_596_800_000),
    _ticks("ticks of 100 ns since 1601, as Windows counts", 10_000, -11_644_473_600_000),
    _ticks("microseconds since 1601, as Chrome counts", 1_000, -11_644_473_600_000),
)
