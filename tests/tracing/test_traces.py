"""One trace from a producer's headers through the updater to the answer; without MINDSTREAM_TRACES there is none."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mindstream.settings import Settings
from mindstream.tracing.opening import open_tracing
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.serving import FixedServing
from stream.events.event import Event, encode
from stream.events.producer import EventProducer
from stream.events.publisher import EventPublisher
from stream.kafka.cluster import Cluster
from stream.kafka.embedded_broker import EmbeddedBroker
from stream.store.lmdb_store import LmdbStore
from stream.updater.batch_traces import MOST_TRACED, BatchTraces
from stream.updater.updater import Updater
from testbed.stream_process import wait_until
from tests.support.api_world import app_of, client_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PRODUCER, SHOP = "00f067aa0ba902b7", "53995c3f42cd8ad8"
SAMPLED = f"00-{TRACE}-{PRODUCER}-01"
PARTS = {"decode", "store get", "apply", "encode", "store put", "commit"}


class Written:
    """Spans that were written, by OpenTelemetry's exporter into memory."""

    def __init__(self) -> None:
        sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="the extra `tracing` is not installed")
        export = pytest.importorskip("opentelemetry.sdk.trace.export")
        memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
        tracing = pytest.importorskip("mindstream.tracing.tracing")
        self.exporter = memory.InMemorySpanExporter()
        provider = sdk.TracerProvider()
        provider.add_span_processor(export.SimpleSpanProcessor(self.exporter))
        self.tracing = tracing.tracing_of(provider)

    @property
    def spans(self) -> list[Any]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> Any:
        [found] = [span for span in self.spans if span.name == name]
        return found


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with EmbeddedBroker(tmp_path / "state") as broker:
        yield broker.cluster


class World:
    """A broker of this process, a store and an updater whose batches are traced."""

    def __init__(self, cluster: Cluster, bundle: Bundle, home: Path, written: Written) -> None:
        self.cluster, self.bundle = cluster, bundle
        self.settings = Settings(bootstrap_servers=cluster.bootstrap_servers, home=home)
        self.store = LmdbStore(home / "state")
        self.traces = BatchTraces(written.tracing)
        serving = FixedServing(bundle, Extractor)
        self.updater = Updater(cluster, self.store, serving, self.settings, observer=self.traces)
        self.traces.life = self.updater.reader.life.id

    def close(self) -> None:
        self.updater.close()
        self.store.close()

    def publish(self, user_id: str, *traceparents: str | None) -> None:
        """A click for each, with this header where there is one; the updater then applies all."""
        before = self.updater.counts["applied"]
        with EventProducer(self.cluster, self.settings.topic) as producer:
            for item_id, parent in zip(self.bundle.item_ids, traceparents, strict=False):
                headers = [("traceparent", parent.encode())] if parent else []
                producer.send_record(*encode(Event(user_id, item_id, 1_780_000_000_000)), headers=headers)
        self.step_until(before + len(traceparents))

    def step_until(self, applied: int) -> None:
        def is_done() -> bool:
            self.updater.step(50)
            return self.updater.counts["applied"] >= applied

        wait_until(is_done, f"{applied} events are applied")
        self.updater.step(5)


@pytest.fixture
def world(cluster: Cluster, bundle: Bundle, tmp_path: Path, written: Written) -> Iterator[World]:
    with closing(World(cluster, bundle, tmp_path, written)) as made:
        yield made


def trace_of(span: Any) -> str:
    return f"{span.context.trace_id:032x}"


def test_one_trace_from_the_producer_to_the_answer(
    world: World, written: Written, bundle: Bundle, tmp_path: Path
) -> None:
    world.publish("ann", SAMPLED)
    process = written.named("process behaviour-events")
    assert trace_of(process) == TRACE
    assert f"{process.parent.span_id:016x}" == PRODUCER
    inside = [span for span in written.spans if span.parent and span.parent.span_id == process.context.span_id]
    assert {span.name for span in inside} == PARTS
    assert all(process.start_time <= span.start_time <= span.end_time <= process.end_time for span in inside)

    app, serving = app_of(bundle, world.store, tmp_path / "api", tracing=written.tracing)
    with serving, client_of(app) as client:
        asked = client.get("/users/ann/recommendations", headers={"traceparent": f"00-{TRACE}-{SHOP}-01"})
    assert asked.json()["path"] == "capsules"
    answer = written.named("GET /users/{user_id}/recommendations")
    assert trace_of(answer) == TRACE  # of who asks: here the page that has sent the click too
    assert f"{answer.parent.span_id:016x}" == SHOP
    assert "ann" not in answer.to_json()


def test_an_answer_is_linked_with_the_last_event_in_it(
    world: World, written: Written, bundle: Bundle, tmp_path: Path
) -> None:
    """Also where who asks has a trace of its own: by ids that both make of the user's position."""
    world.publish("ben", None, SAMPLED)
    stored, process = written.named("stored"), written.named("process behaviour-events")
    assert [link.context.span_id for link in stored.links] == [process.context.span_id]
    assert [link.context.span_id for link in process.links] == [stored.context.span_id]
    app, serving = app_of(bundle, world.store, tmp_path / "api", tracing=written.tracing)
    with serving, client_of(app) as client:
        for _ in range(2):  # by the framework, and then directly
            client.get("/users/ben/recommendations", headers={"traceparent": f"00-{'ab' * 16}-{SHOP}-01"})
    answers = [span for span in written.spans if span.name.startswith("GET")]
    assert len(answers) == 2
    for answer in answers:
        [link] = answer.links
        assert (link.context.trace_id, link.context.span_id) == (stored.context.trace_id, stored.context.span_id)
        assert answer.attributes["messaging.kafka.offset"] == process.attributes["messaging.kafka.offset"] == 1


def test_a_posted_event_carries_the_trace_on(world: World, written: Written, bundle: Bundle, tmp_path: Path) -> None:
    with EventPublisher(Settings(home=tmp_path)) as publisher:  # finds the broker of this home
        app, serving = app_of(bundle, world.store, tmp_path / "api", publisher, written.tracing, write_key="w")
        with serving, client_of(app) as client:
            event = {"user_id": "cid", "item_id": bundle.item_ids[0]}
            headers = {"traceparent": SAMPLED, "authorization": "Bearer w"}
            assert client.post("/events", json=event, headers=headers).status_code == 202
    world.step_until(1)
    posted, process = written.named("POST /events"), written.named("process behaviour-events")
    assert trace_of(posted) == trace_of(process) == TRACE
    assert process.parent.span_id == posted.context.span_id


@pytest.mark.parametrize("parent", [None, f"00-{TRACE}-{PRODUCER}-00", "00-zz-01", f"00-{'0' * 32}-{PRODUCER}-01"])
def test_who_sends_no_sampled_trace_is_not_traced(
    world: World, written: Written, bundle: Bundle, tmp_path: Path, parent: str | None
) -> None:
    world.publish("dan", parent)
    app, serving = app_of(bundle, world.store, tmp_path / "api", tracing=written.tracing)
    with serving, client_of(app) as client:
        asked = client.get("/users/dan/recommendations", headers={"traceparent": parent} if parent else {})
    assert asked.status_code == 200
    assert written.spans == []


def test_many_traced_records_of_a_batch_are_cut_off_and_counted(world: World, written: Written) -> None:
    with EventProducer(world.cluster, world.settings.topic) as producer:
        for number in range(MOST_TRACED + 20):
            click = Event("eve", world.bundle.item_ids[number], 1_780_000_000_000 + number)
            producer.send_record(*encode(click), headers=[("traceparent", SAMPLED.encode())])
    world.step_until(MOST_TRACED + 20)
    processed = [span for span in written.spans if span.name.startswith("process")]
    by_batch = {span.start_time: span.attributes["mindstream.left_out"] for span in processed}
    assert len(processed) + sum(by_batch.values()) == MOST_TRACED + 20


def test_a_batch_that_waits_for_the_store_is_traced_once_it_is_written(
    world: World, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, tries = world.store.put_many, []

    def fails_first(*given: Any) -> Any:
        tries.append(given)
        if len(tries) == 1:
            raise OSError("the store is away")
        return put(*given)

    monkeypatch.setattr(world.store, "put_many", fails_first)
    world.publish("fay", SAMPLED)
    puts = [span for span in written.spans if span.name == "store put"]
    assert len(puts) == 2
    assert len({span.parent.span_id for span in puts}) == 1


@pytest.mark.parametrize(
    ("module", "refused"),
    [
        ("stream.commands.run", ("opentelemetry",)),
        ("index.api.server", ("opentelemetry.sdk", "opentelemetry.exporter")),  # fastapi brings OpenTelemetry's API
    ],
)
def test_off_by_default_and_nothing_of_it_is_imported(module: str, refused: tuple[str, ...]) -> None:
    with open_tracing(Settings(), "updater") as tracing:
        assert tracing is None
    script = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.startswith({refused!r}): raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"import {module}\n"
        "assert 'mindstream.tracing.opening' in sys.modules\n"
        "assert 'mindstream.tracing.tracing' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_missing_is_said_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    monkeypatch.delitem(sys.modules, "mindstream.tracing.tracing", raising=False)
    with pytest.raises(ModuleNotFoundError) as missing, open_tracing(Settings(traces="http://collector:4318"), "api"):
        pass
    assert str(missing.value.name).startswith("opentelemetry")
