"""What is decided before anything is written: cuts, names, merges, and whose rows are left out."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.archive.columns import MOST_FIELDS, Row
from stream.archive.cutting import Part, plan_cut
from stream.archive.erasing import Sieve
from stream.archive.merging import MOST_FILES, MOST_ROWS, Size, plan_merges
from stream.archive.names import ArchiveFile, as_archive_file, check_no_overlap, day_of, oldest_kept
from stream.archive.state import ArchiveState, Erasure, decoded, encoded, with_progress_of
from stream.events.event import Event
from tests.support.archived import DAY_MS, NOON_MS

LOG = ("life", 0)
TODAY = date(2026, 11, 29)
RECORDS = 12


def row(offset: int, user_id: str = "ann", published_ms: int | None = None) -> Row:
    time_ms = NOON_MS + offset * DAY_MS // 3
    return Row(Event(user_id, "mug", time_ms), 0, offset, 0, time_ms if published_ms is None else published_ms)


def file(first: int, last: int, day: date = TODAY, partition: int = 0, life: str = "life") -> ArchiveFile:
    return ArchiveFile(day, life, partition, first, last)


class Reader:
    """An archiver of one partition without files: it reads, is put elsewhere, and cuts."""

    def __init__(self) -> None:
        self.part = Part(None)

    def read(self, count: int) -> None:
        begin = max(self.part.next, self.part.base or 0)
        for offset in range(begin, min(RECORDS, begin + count)):
            self.part.passed(offset, offset)
            self.part.rows.append(row(offset))

    def begin(self, state: ArchiveState) -> None:
        self.part = Part(state.next_offset(LOG))

    def cut(self, state: ArchiveState, archive: dict[ArchiveFile, list[Row]]) -> ArchiveState:
        made = plan_cut({LOG: self.part}, state, date.min, NOON_MS)
        assert not archive.keys() & made.files.keys()
        archive.update(made.files)
        self.begin(made.state)
        return made.state


ACTIONS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["read", "begin", "cut"]), st.integers(1, 5)))


@given(ACTIONS)
@settings(max_examples=200, deadline=None)
def test_two_who_both_think_that_a_partition_is_theirs_write_each_event_once(
    actions: list[tuple[int, str, int]],
) -> None:
    state, archive = ArchiveState("clicks"), dict[ArchiveFile, list[Row]]()
    readers = (Reader(), Reader())
    for who, what, count in [*actions, (0, "cut", 0), (0, "read", RECORDS), (0, "cut", 0), (1, "cut", 0)]:
        if what == "cut":
            state = readers[who].cut(state, archive)
        elif what == "begin":
            readers[who].begin(state)
        else:
            readers[who].read(count)
    offsets = [one.offset for rows in archive.values() for one in rows]
    assert sorted(offsets) == list(range(RECORDS))
    assert state.next_offset(LOG) == RECORDS
    check_no_overlap(archive)
    for one, rows in archive.items():
        assert {day_of(each.event.event_time_ms) for each in rows} == {one.day}
        assert one.first <= rows[0].offset <= rows[-1].offset <= one.last


def test_records_without_an_event_are_passed_too() -> None:
    part = Part(5)
    assert not part.is_new(4)
    assert part.is_new(7)
    part.passed(7, 9)  # a damaged batch
    assert not part.is_new(9)
    made = plan_cut({LOG: part}, ArchiveState("clicks", {"life": {0: 5}}), date.min, NOON_MS)
    assert made.files == {}
    assert made.state.next_offset(LOG) == 10


def test_events_of_days_that_are_not_kept_are_counted() -> None:
    part = Part(None)
    for offset in range(6):  # noon, and every eight hours: two on the first day, three on the second, one on the third
        part.passed(offset, offset)
        part.rows.append(row(offset))
    made = plan_cut({LOG: part}, ArchiveState("clicks"), day_of(NOON_MS + DAY_MS), NOON_MS)
    assert (made.counts["too_old"], made.counts["archived"]) == (2, 4)
    assert [len(rows) for rows in made.files.values()] == [3, 1]


@pytest.mark.parametrize(
    ("published_ms", "life", "partition", "offset", "dropped"),
    [
        (999, "life", 3, 50, True),  # published earlier, on another partition
        (1000, "life", 3, 50, False),
        (1000, "life", 0, 49, True),  # before the request on its partition
        (5000, "life", 0, 49, True),
        (1000, "life", 0, 51, False),
        (5000, "other", 0, 49, False),  # offsets of another life say nothing
    ],
)
def test_what_is_from_before_a_forgetting(
    published_ms: int, life: str, partition: int, offset: int, dropped: bool
) -> None:
    sieve = Sieve([Erasure("ann", 1000, "life", 0, 50)], {"ben": 7})
    assert sieve.drops("ann", published_ms, life, partition, offset) is dropped
    assert not sieve.drops("cat", published_ms, life, partition, offset)
    assert sieve.drops("ben", 6, life, partition, offset)


def test_a_late_row_of_a_forgotten_user_is_left_out_for_as_long_as_markers_stay() -> None:
    asked = Part(None)
    asked.passed(0, 0)
    asked.erasures.append(Erasure("ann", NOON_MS, "life", 1, 0))
    state = plan_cut({("life", 1): asked}, ArchiveState("clicks"), date.min, NOON_MS, marker_days=2).state
    for days, archived in ((1, 0), (3, 1)):
        late = Part(None)
        late.passed(0, 0)
        late.rows.append(row(0, published_ms=NOON_MS - 1))
        after = state.with_erasures([], NOON_MS + days * DAY_MS, 2)
        made = plan_cut({LOG: late}, after.without_due(after.due), date.min, NOON_MS + days * DAY_MS, marker_days=2)
        assert made.counts["archived"] == archived


@pytest.mark.parametrize("life", ["QkZ3_a-4", "cluster/clicks", "a-0-b", "a%b;ä 中"])
def test_a_name_says_what_is_in_a_file(life: str) -> None:
    one = ArchiveFile(TODAY, life, 12, 0, 2**63 - 1)
    assert as_archive_file(one.path) == one
    assert one.path.isascii()
    assert "/" not in one.path.removeprefix("day=2026-11-29/")


@pytest.mark.parametrize("path", ["day=2026-11-29/log.parquet", "day=2026-13-29/x-0-1-2.parquet", "x.parquet"])
def test_other_names_are_strangers(path: str) -> None:
    assert as_archive_file(path) is None


def test_files_with_the_same_offsets_are_named() -> None:
    check_no_overlap([file(0, 9), file(10, 19), file(5, 12, partition=1), file(5, 12, day=date(2026, 11, 30))])
    with pytest.raises(ValueError, match=r"-0-0{20}-0{19}9\.parquet and .* hold the same offsets"):
        check_no_overlap([file(0, 9), file(9, 19)])


def test_without_a_state_progress_is_told_from_the_names() -> None:
    files = [file(0, 9), file(10, 29), file(0, 3, partition=1), file(0, 3, life="other")]
    found = with_progress_of(ArchiveState("clicks", {"life": {1: 8}}), files)
    assert found.progress == {"life": {0: 30, 1: 8}, "other": {0: 4}}
    assert decoded(encoded(found), "state.json") == found


@pytest.mark.parametrize("content", [b"", b"[]", b'{"topic": 1}', b"\xff"])
def test_a_state_that_is_none_is_named(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^here/state\.json is no state of an archive"):
        decoded(content, "here/state.json")


def test_small_neighbours_become_one() -> None:
    def sizes(*rows: int, day: date = TODAY) -> dict[ArchiveFile, Size]:
        return {file(10 * place, 10 * place + 9, day): Size(count, frozenset()) for place, count in enumerate(rows)}

    tomorrow = date(2026, 11, 30)
    assert [len(run) for run in plan_merges(sizes(5, 5, 5), tomorrow)] == [3]
    assert plan_merges(sizes(5, 5, 5), TODAY) == []  # the day goes on
    assert [len(run) for run in plan_merges(sizes(*[5] * (MOST_FILES + 1)), TODAY)] == [MOST_FILES + 1]
    large = plan_merges(sizes(5, 5, MOST_ROWS, 5, 5), tomorrow)
    assert [(run[0].first, run[-1].last) for run in large] == [(0, 19), (30, 49)]
    wide = {one: Size(5, frozenset(f"{one.first}-{n}" for n in range(MOST_FIELDS))) for one in sizes(5, 5)}
    assert plan_merges(wide, tomorrow) == []


def test_days_that_are_kept() -> None:
    assert oldest_kept(30, NOON_MS) == day_of(NOON_MS - 30 * DAY_MS)
    assert oldest_kept(None, NOON_MS) == date.min
