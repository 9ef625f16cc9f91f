"""Health by a clock that the test moves, and /metrics and /healthz over real HTTP."""

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from mindstream.settings import Settings
from stream.monitoring.health import Health
from stream.monitoring.metrics import RESULTS, Metrics
from stream.monitoring.server import Monitor, monitor
from testbed.java_broker import free_ports

CANARY = "canary-7f3b"


class Clock:
    """Seconds that pass when the test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(clock=clock)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def served(metrics: Metrics, health: Health) -> Iterator[Monitor]:
    with Monitor(metrics, health, "127.0.0.1", 0) as running:
        yield running


def get(served: Monitor, path: str, method: str = "GET") -> tuple[int, str]:
    """Status and body."""
    request = urllib.request.Request(f"http://{served.address}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=80) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_silence_is_a_problem_after_a_while(health: Health, clock: Clock) -> None:
    clock.now += 30
    assert health.problem() is None
    clock.now += 1
    assert health.problem() == "the updater has done nothing for 31 s; 30 s is the most that is usual"
    health.beat()
    assert health.problem() is None


def test_a_reason_stays_until_it_is_over(health: Health) -> None:
    health.stuck("the store is away")
    health.beat()
    assert health.problem() == "the store is away"
    health.well()
    assert health.problem() is None


def test_health_over_http(served: Monitor, health: Health, clock: Clock) -> None:
    assert get(served, "/healthz") == (200, "ok\n")
    health.stuck("the store is away")
    assert get(served, "/healthz") == (503, "the store is away\n")
    health.well()
    clock.now += 60
    assert get(served, "/healthz")[0] == 503
    health.beat()
    assert get(served, "/healthz") == (200, "ok\n")


def test_metrics_over_http(served: Monitor, metrics: Metrics, health: Health) -> None:
    """As Prometheus reads them."""
    metrics.count("applied", 41)
    metrics.stored([0.002, 0.004])
    health.stuck("the store is away")
    status, body = get(served, "/metrics")
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(body)}
    events = {sample.labels["result"]: sample.value for sample in families["mindstream_events"].samples}
    assert events == dict.fromkeys(RESULTS, 0.0) | {"applied": 41}
    ages = families["mindstream_event_to_stored_seconds"]
    assert (ages.type, ages.samples[-1].name) == ("histogram", "mindstream_event_to_stored_seconds_sum")
    assert [sample.value for sample in families["mindstream_healthy"].samples] == [0]
    assert all(name.startswith("mindstream_") for name in families)


@pytest.mark.parametrize("path", ["/", "/metric", "/metrics/", "/healthz/x", "/favicon.ico", "/..%2fmetrics"])
def test_no_other_page_is_there(served: Monitor, path: str) -> None:
    assert get(served, path) == (404, "there are /metrics, /healthz, /livez, /readyz\n")


def test_metrics_are_for_reading(served: Monitor) -> None:
    assert get(served, "/metrics", "POST")[0] == 405


def test_a_slow_reader_keeps_nobody_waiting(served: Monitor) -> None:
    host, port = served.address.split(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(b"GET /healthz HT")
        assert get(served, "/healthz") == (200, "ok\n")


def test_nothing_is_left_after_closing(metrics: Metrics, health: Health) -> None:
    with Monitor(metrics, health, "127.0.0.1", 0) as served:
        host, port = served.address.split(":")
        assert [thread for thread in threading.enumerate() if thread.name == "monitor"] == [served.thread]
    assert not served.thread.is_alive()
    with socket.socket() as probe:
        assert probe.connect_ex((host, int(port))) != 0
    Monitor(metrics, health, host, int(port)).close()  # the port is free again


def test_a_taken_port_is_said(served: Monitor, metrics: Metrics, health: Health) -> None:
    port = int(served.address.split(":")[1])
    with pytest.raises(OSError, match=f"at port {port} of 127.0.0.1 .*in use.*MINDSTREAM_METRICS_PORT"):
        Monitor(metrics, health, "127.0.0.1", port)


def test_a_host_that_is_not_ours_is_said(metrics: Metrics, health: Health) -> None:
    with pytest.raises(
        OSError, match=r"of no-such-host\.invalid .*are MINDSTREAM_METRICS_PORT and MINDSTREAM_METRICS_H"
    ):
        Monitor(metrics, health, "no-such-host.invalid", 0)


def test_ipv6(metrics: Metrics, health: Health) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with Monitor(metrics, health, "::1", 0) as served:
        port = served.server.server_address[1]
        with urllib.request.urlopen(f"http://[::1]:{port}/healthz", timeout=80) as response:
            assert response.status == 200


def test_only_where_a_port_is_configured(metrics: Metrics, health: Health) -> None:
    with monitor(Settings(), metrics, health) as none:
        assert none is None
    [port] = free_ports(1)
    with monitor(Settings(metrics_port=port, sasl_password=SecretStr(CANARY)), metrics, health) as served:
        assert served is not None
        assert served.address == f"127.0.0.1:{port}"
        assert get(served, "/healthz") == (200, "ok\n")
        assert CANARY not in get(served, "/metrics")[1]
