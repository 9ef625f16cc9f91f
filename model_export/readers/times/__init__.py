"""Times of a log: their units and formats, told from all values together, as SQL."""

from mindstream.limits import EARLIEST_MS, LATEST_MS
from model_export.readers.times.cells import trimmed
from model_export.readers.times.check import check_times
from model_export.readers.times.join import join_calendar, join_date_and_time
from model_export.readers.times.reading import TimeReading, read_times

__all__ = [
    "EARLIEST_MS",
    "LATEST_MS",
    "TimeReading",
    "check_times",
    "join_calendar",
    "join_date_and_time",
    "read_times",
    "trimmed",
]
