"""Which partitions stand still, with times that are given: nothing here waits."""

from kafka import TopicPartition

from stream.kafka.group.watchdog import Watchdog
from stream.kafka.progress import Progress

ONE, TWO = TopicPartition("events", 1), TopicPartition("events", 2)


def test_a_partition_with_lag_that_does_not_move_is_found_after_the_patience() -> None:
    dog = Watchdog(patience_s=30, patience_polls=3)
    still = {ONE: Progress(5, 9, 9)}
    assert [dog.stuck(still, now, 10 * now) for now in (0, 20, 30)] == [[], [], []]
    assert dog.stuck(still, 31, 10 * 31) == [ONE]
    assert dog.found == {ONE: 5}


def test_it_is_named_again_only_after_as_long_and_stays_found_until_it_moves() -> None:
    dog = Watchdog(patience_s=30, patience_polls=3)
    still = {ONE: Progress(5, 9, 9)}
    dog.stuck(still, 0, 10 * 0)
    assert [dog.stuck(still, now, 10 * now) for now in (31, 41, 61, 62)] == [[ONE], [], [], [ONE]]
    assert dog.found == {ONE: 5}
    assert dog.stuck({ONE: Progress(6, 9, 9)}, 70, 700) == []
    assert dog.found == {}


def test_one_that_moves_or_has_no_lag_is_never_stuck() -> None:
    dog = Watchdog(patience_s=30, patience_polls=3)
    found = [
        dog.stuck({ONE: Progress(now, 1_000, 1_000), TWO: Progress(7, 7, 7)}, now, 10 * now)
        for now in range(0, 200, 10)
    ]
    assert found == [[]] * 20


def test_after_a_pause_it_counts_anew() -> None:
    dog = Watchdog(patience_s=30, patience_polls=3)
    still = {ONE: Progress(5, 9, 9)}
    dog.stuck(still, 0, 10 * 0)
    dog.forgive()
    assert dog.stuck(still, 100, 10 * 100) == []
    assert dog.stuck(still, 131, 10 * 131) == [ONE]


def test_where_batches_take_long_each_partition_has_its_turns_first() -> None:
    dog = Watchdog(patience_s=30, patience_polls=3)
    progress = {ONE: Progress(5, 9, 9), TWO: Progress(5, 9, 9)}
    found = [dog.stuck(progress, 20.0 * polls, polls) for polls in range(7)]
    assert found == [[]] * 6 + [[ONE, TWO]]


def test_one_behind_an_open_transaction_is_never_stuck() -> None:
    dog = Watchdog(patience_s=30, patience_polls=3)
    assert [dog.stuck({ONE: Progress(5, 5, 9)}, now, 10 * now) for now in range(0, 200, 10)] == [[]] * 20
    assert dog.found == {}
