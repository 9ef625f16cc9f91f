"""What the archive holds beside what was published, and how good both models are on the next day."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.night.calls import Told
from benchmarks.night.days import Days
from mindstream.archive.folder import reading
from mindstream.behaviour_rule import BehaviourRule
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.data.behaviours import behaviours_of
from model_export.data.dataset import build_sequences, build_vocabulary
from model_export.data.interactions import InteractionLog
from model_export.evaluation.cases import chronological_cases
from model_export.evaluation.gate import HeldOutUsers, hit_rate, users_of

__all__ = ["archive_faults", "archived_events", "hit_rates", "users_of_next_day"]

MOST_USERS = 5_000
COLUMNS = ["user_id", "item_id", "event_type", "event_time_ms"]


def archived_events(folder: Path) -> Counter[Told]:
    """Count the events in an archive, row by row."""
    found = Counter[Told]()
    with reading(folder):
        for file in folder.glob("day=*/*.parquet"):
            cells = pq.read_table(file, columns=COLUMNS, partitioning=None).to_pydict()
            found.update(zip(*(cells[name] for name in COLUMNS), strict=True))
    return found


def archive_faults(published: Counter[Told], folder: Path) -> dict[str, int]:
    """Count the events that an archive lacks, and those that it has too often.

    Too often is also what nobody has published.
    """
    found = archived_events(folder)
    return {"lost": (published - found).total(), "doubled": (found - published).total()}


def users_of_next_day(log: InteractionLog, days: Days, length: int) -> HeldOutUsers:
    """Return the users who came back on the next day, with what they did then.

    Parameters
    ----------
    log : the whole log.
    length : most behaviours of a history.

    Raises
    ------
    ValueError
        If nobody came back.
    """
    rule = _default_rule()
    vocabulary = build_vocabulary(log)
    past = build_sequences(behaviours_of(log.before(days.following_ms), rule), vocabulary)
    future = build_sequences(behaviours_of(days.following, rule), vocabulary)
    cases = chronological_cases(past, future, length, MOST_USERS)
    if not len(cases):
        raise ValueError(f"{log.source}: nobody has behaviours both before its last day and on it")
    return users_of(cases, vocabulary)


def _default_rule() -> BehaviourRule:
    return BehaviourRule.parse(Settings.model_fields["behaviours"].default)


def hit_rates(bundles: Sequence[Bundle], log: InteractionLog, days: Days) -> tuple[list[float], int]:
    """Return HR@50 of each bundle on the next day, a share from 0 to 1, and of how many users."""
    users = users_of_next_day(log, days, max(one.manifest.history_length for one in bundles))
    return [hit_rate(one, users) for one in bundles], len(users.histories)
