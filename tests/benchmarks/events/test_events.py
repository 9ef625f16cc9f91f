"""The benchmark of posted events: what it counts as a fault, and that it finds none where there is none."""

import json
from pathlib import Path

import pytest

from benchmarks.events.clients import ACCEPTED, IN_DOUBT, NOT_WRITTEN, REFUSED, UNEXPECTED, Posted, result_of
from benchmarks.events.command import post_under_outages, report
from benchmarks.events.verdict import FAULTS, verdict
from benchmarks.harness.served_api import served
from model_export.bundle.bundle import Bundle
from model_export.bundle.registry import Registry
from testbed.real_kafka import RealKafka

NONE = dict.fromkeys(FAULTS, 0) | {"in_doubt_written": 0}
A, B, C, D, E = (b"a", b"1"), (b"a", b"2"), (b"b", b"3"), (b"b", b"4"), (b"c", b"5")
POSTED = [
    Posted(b"a", (b"1", b"2"), ACCEPTED, 0.0, 0.1),
    Posted(b"b", (b"3",), IN_DOUBT, 0.0, 0.1),
    Posted(b"b", (b"4",), REFUSED, 0.0, 0.1),
    Posted(b"c", (b"5",), NOT_WRITTEN, 0.0, 0.1),
]


@pytest.mark.parametrize(
    ("records", "wrong"),
    [
        ([A, B], {}),
        ([A, B, C], {"in_doubt_written": 1}),
        ([A], {"acknowledged_lost": 1}),
        ([A, (b"a", b"2 ")], {"acknowledged_lost": 1, "never_sent": 1}),  # not exactly as it was sent
        ([A, (b"b", b"2")], {"acknowledged_lost": 1, "never_sent": 1}),  # under another key
        ([A, B, B], {"acknowledged_twice": 1}),
        ([A, B, C, C], {"doubtful_twice": 1, "in_doubt_written": 1}),
        ([A, B, D, E], {"written_though_refused": 2}),
    ],
)
def test_what_is_not_as_the_answers_say_is_counted(
    records: list[tuple[bytes, bytes]], wrong: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdict(POSTED, records) == NONE | wrong
    assert report(POSTED, records, [1.0]) == (wrong.keys() <= {"in_doubt_written"})
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["acknowledged_lost"] == wrong.get("acknowledged_lost", 0)


def test_an_answer_that_the_api_does_not_know_is_a_fault() -> None:
    assert not report([*POSTED, Posted(b"d", (b"6",), UNEXPECTED, 0.0, 0.1)], [A, B], [])
    assert not report([], [], [])  # nothing was put to the test


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (202, b"{}", ACCEPTED),
        (422, b"{}", REFUSED),
        (503, b'{"error":"x","in_doubt":true}', IN_DOUBT),
        (503, b'{"error":"x","in_doubt":false}', NOT_WRITTEN),
        (503, b'{"error":"x"}', UNEXPECTED),
        (503, b"[]", UNEXPECTED),
        (500, b'{"in_doubt":false}', UNEXPECTED),
        (200, b"", UNEXPECTED),
    ],
)
def test_what_an_answer_says(status: int, body: bytes, result: str) -> None:
    assert result_of(status, body) == result


def test_a_broker_that_is_killed_once(
    real_kafka: RealKafka, topic: str, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not real_kafka.can_restart:
        pytest.skip("only a broker that was started here can be killed")
    Registry(tmp_path / "models").publish(bundle.path)
    with served(tmp_path, bootstrap_servers=real_kafka.bootstrap_servers, topic=topic) as port:
        posted, resumed = post_under_outages(real_kafka, port, outages=1, connections=8, seconds=0.5)
    records = [(record.key, record.value) for record in real_kafka.records(topic)]
    assert report(posted, records, resumed), verdict(posted, records)
    assert {ACCEPTED, REFUSED} <= {one.result for one in posted}
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["acknowledged_lost"] == 0
    assert not report(posted, records[1:], resumed)  # one less would have been seen
