"""compose.yaml without an engine: its services run as plain processes, with the commands and variables in it."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest
import yaml

from mindstream import settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.registry import Registry
from model_export.data.simulator import SimulatedShop
from model_export.readers import read_log, write_table
from stream.events.event import Event
from stream.events.producer import EventProducer
from stream.kafka.cluster import Cluster
from testbed import system_packages
from testbed.java_broker import free_ports
from testbed.real_kafka import RealKafka
from testbed.real_redis import RealRedis
from testbed.stream_process import wait_until
from tests.support.archived import rows_in

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
PORTS = ("8000", "8501", "9100")  # of services that run as our processes
LOADER = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"


@dataclass
class Service:
    """A service of compose.yaml as a process on this host.

    Parameters
    ----------
    elsewhere : what stands in compose.yaml -> what it is here: addresses, folders.
    more : options beside those of its command.
    """

    name: str
    elsewhere: Mapping[str, str]
    log: Path
    more: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        described = SERVICES[self.name]
        self.here = dict(self.elsewhere) | dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        # Nothing but what the container would have: its variables, and a PATH.
        given = {name: self.moved(str(value)) for name, value in described["environment"].items()}
        self.environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PYTHONUNBUFFERED": "1"} | given
        self.process = self.start([*described["command"], *self.more])

    def moved(self, text: str) -> str:
        """A text of compose.yaml with the addresses, folders and ports of this host, and defaults of variables."""
        text = re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", text)
        for there, here in self.here.items():
            text = re.sub(rf"\b{there}\b" if there.isdigit() else re.escape(there), here, text)
        return text

    def start(self, words: list[str]) -> subprocess.Popen[bytes]:
        """Start a command of the service."""
        command = [sys.executable if word == "python" else self.moved(word) for word in words]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def is_healthy(self) -> bool:
        """What the service's own health check says."""
        assert self.process.poll() is None, f"{self.name} ended:\n{self.said}"
        kind, *command = SERVICES[self.name]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.start(command).wait(120) == 0

    def address(self, port: str) -> str:
        """Where one of its ports is on this host."""
        return f"http://127.0.0.1:{self.here[port]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(120)
        finally:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True)
class Running:
    """All services of ours."""

    updaters: list[Service]
    api: Service
    demo: Service


@pytest.fixture(scope="module")
def elsewhere(
    real_kafka: RealKafka, shared_redis: RealRedis, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What stands in compose.yaml -> where it is here."""
    shared_redis.flush()
    return {
        "kafka:9092": real_kafka.bootstrap_servers,
        "redis://redis:6379/0": shared_redis.url,
        "/data": str(tmp_path_factory.mktemp("data")),
    }


@pytest.fixture(scope="module")
def running(
    elsewhere: dict[str, str], bundle: Bundle, shop: SimulatedShop, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """The services, healthy; with a small model, so that `prepare` need not train one."""
    home, logs = Path(elsewhere["/data"]), tmp_path_factory.mktemp("logs")
    Registry(home / "models").publish(bundle.path)
    write_table(shop.log, home / "log.parquet")
    prepare = Service("prepare", elsewhere, logs / "prepare")
    assert prepare.process.wait(480) == 0, prepare.said
    with ExitStack() as stack:
        updaters = [
            stack.enter_context(Service("updater", elsewhere, logs / f"updater-{number}"))
            for number in range(SERVICES["updater"]["deploy"]["replicas"])
        ]
        api, demo = (stack.enter_context(Service(name, elsewhere, logs / name)) for name in ("api", "demo"))
        services = [*updaters, api, demo]
        for service in services:
            wait_until_healthy(service)
        yield Running(updaters, api, demo)


def wait_until_healthy(service: Service) -> None:
    """Return once its health check is green; ask as Compose does, not all the time."""
    deadline = time.monotonic() + 480
    while not service.is_healthy():
        assert time.monotonic() < deadline, f"{service.name} did not become healthy:\n{service.said}"
        time.sleep(0.5)


def answer(running: Running, user_id: str) -> Any:
    """What the API recommends to a user."""
    asked = httpx2.get(f"{running.api.address('8000')}/users/{user_id}/recommendations", params={"n": 10}, timeout=120)
    assert asked.status_code == 200, asked.text
    return asked.json()


def test_a_click_changes_an_answer_of_the_api(running: Running, elsewhere: dict[str, str], bundle: Bundle) -> None:
    before = answer(running, "ann")
    assert before["path"] == "popular"
    cluster = Cluster(elsewhere["kafka:9092"])
    with EventProducer(cluster, settings.Settings.model_fields["topic"].default) as producer:
        for item_id in bundle.item_ids[:3]:
            producer.publish(Event("ann", item_id, int(time.time() * 1000), "click"))
    wait_until(lambda: answer(running, "ann")["path"] == "capsules", "the API answers by interests")
    after = answer(running, "ann")
    assert after["model_version"] == bundle.version
    assert after["candidates"] != before["candidates"]


def test_both_updaters_work_for_the_same_group(running: Running) -> None:
    wait_until(lambda: all("now reading" in one.said for one in running.updaters), "each updater has partitions")


def test_the_archive_has_what_was_published(running: Running, elsewhere: dict[str, str], tmp_path: Path) -> None:
    topic, known = settings.Settings.model_fields["topic"].default, ["olive-wood-salad-bowl", "oak-spice-rack"]
    published = {("ben", item_id, 1_780_000_000_000 + at) for at, item_id in enumerate(known)}
    folder = Path(elsewhere["/data"]) / "events"  # where the nightly retrain looks for it
    with Service("archive", elsewhere, tmp_path / "archive", ("--every", "0.5")) as archive:
        wait_until_healthy(archive)
        assert "mindstream_archive_events_total" in httpx2.get(f"{archive.address('9100')}/metrics", timeout=120).text
        with EventProducer(Cluster(elsewhere["kafka:9092"]), topic) as producer:
            for user_id, item_id, time_ms in published:
                producer.publish(Event(user_id, item_id, time_ms))
        wait_until(lambda: sum(user_id == "ben" for user_id, *_ in rows_in(folder)) >= len(known), "both are archived")
    assert archive.process.returncode == 0, archive.said
    events = read_log(folder).events
    ours = events[events.user_id == "ben"]
    assert sorted(zip(ours.user_id, ours.item_id, ours.event_time_ms, strict=True)) == sorted(published)


def test_the_nightly_retrain_waits_for_its_hour(elsewhere: dict[str, str], tmp_path: Path) -> None:
    with Service("nightly", elsewhere, tmp_path / "nightly") as nightly:
        wait_until(lambda: "the next retrain is at " in nightly.said, "it says when it is next")
        assert re.search(r"the next retrain is at \d{4}-\d\d-\d\d 03:00 UTC", nightly.said)
        assert nightly.is_healthy()
        noted = Path(elsewhere["/data"]) / "nights.json"
        noted.write_text(noted.read_text().replace('"last_status": null', '"last_status": 2'))
        assert not nightly.is_healthy()
        overdue = re.sub(r'"next_run_s": [\d.]+', f'"next_run_s": {time.time() - 3_600}', noted.read_text())
        noted.write_text(overdue.replace('"last_status": 2', '"last_status": 0'))
        assert not nightly.is_healthy()
    assert nightly.process.returncode == 0, nightly.said


def test_prometheus_asks_services_that_answer(running: Running) -> None:
    jobs = yaml.safe_load((ROOT / "monitoring/prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    asked = set()
    for job in jobs:
        for found in job.get("dns_sd_configs", []):
            asked |= {(name, str(found["port"])) for name in found["names"]}
        for found in job.get("static_configs", []):
            asked |= {(name, port) for name, _, port in (target.partition(":") for target in found["targets"])}
    assert asked == {("updater", "9100"), ("archive", "9100"), ("api", "8000")}
    shown = {*metrics(running.updaters[0].address("9100")), *metrics(running.api.address("8000"))}
    assert wanted_by_grafana() - shown == set()


def metrics(address: str) -> set[str]:
    """The names of what a service lets Prometheus read, also of what has not happened yet."""
    page = httpx2.get(f"{address}/metrics", timeout=120).text
    kinds = re.findall(r"^# TYPE ([a-z_]+) ([a-z]+)$", page, flags=re.MULTILINE)
    return {f"{name}_bucket" if kind == "histogram" else name for name, kind in kinds}


def wanted_by_grafana() -> set[str]:
    """The names of metrics that the board shows."""
    board = json.loads((ROOT / "monitoring/mindstream.json").read_text(encoding="utf-8"))
    shown = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    found = {name for expr in shown for name in re.findall(r"mindstream_[a-z_]+", expr)}
    assert len(found) >= 8
    return found


def test_every_file_that_a_service_mounts_is_there() -> None:
    mounted = [one.split(":")[0] for service in SERVICES.values() for one in service.get("volumes", [])]
    files = [one for one in mounted if one.startswith("./")]  # a variable's default is whatever people bring
    assert len(files) >= 4
    assert [one for one in files if not (ROOT / one).is_file()] == []


def test_every_service_that_stays_has_a_health_check() -> None:
    staying = {name: one for name, one in SERVICES.items() if "restart" in one}
    ours = {"updater", "archive", "api", "demo", "nightly"}
    assert ours | {"kafka", "redis", "prometheus", "grafana"} <= set(staying)
    assert [name for name, one in staying.items() if "healthcheck" not in one] == []


def test_the_loader_of_the_compose_specification_takes_it(tmp_path: Path) -> None:
    go = system_packages.find("go")
    if go is None:
        pytest.skip("go is not installed, which builds the loader")  # the other tests read the same file
    built = subprocess.run([go, "install", LOADER], env={**os.environ, "GOBIN": str(tmp_path)}, capture_output=True)
    if built.returncode:
        pytest.skip(f"the loader cannot be built: {built.stderr.decode()[-300:]}")
    done = subprocess.run([tmp_path / "cmd", str(ROOT / "compose.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
