"""Slow, silent, fat, malformed, deaf and abandoned requests at the HTTP API as a process: how each ends."""

import json
import socket
import time
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.harness.served_api import served
from model_export.bundle.bundle import Bundle
from model_export.bundle.registry import Registry
from testbed.hostile_clients import HOSTILE, answer_to, deaf_client, status_of
from testbed.stream_process import wait_until

pytestmark = pytest.mark.slow
MOST, TRANSFER_S = 12, 1.0
PAGE, PAGES_MAY_READ = "https://shop.example", b"\r\naccess-control-allow-origin: *\r\n"
# Kind -> status and the reason by which the connection is counted; 0: no answer.
ENDS = {
    "silent": (0, "headers_late"),
    "slow headers": (408, "headers_late"),
    "slow body": (408, "body_late"),
    "fat headers": (431, "headers_large"),
    "many headers": (431, "headers_large"),
    "fat body": (413, "body_large"),
    "fat chunks": (413, "body_large"),
    "fat trailer": (0, "body_large"),
    "many trailers": (431, "headers_large"),
    "tiny chunks": (413, "body_large"),
    "many together": (429, "together"),
    "no HTTP": (400, "malformed"),
}


@pytest.fixture(scope="module")
def port(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The API with few connections and little time."""
    home = tmp_path_factory.mktemp("hostile")
    Registry(home / "models").publish(bundle.path)
    with served(home, api_connections=str(MOST), api_transfer_s=str(TRANSFER_S), cors_origins=PAGE) as port:
        yield port


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return str(answer.read().decode())


def counted(port: int, name: str, reason: str = "") -> float:
    families = text_string_to_metric_families(get(port, "/metrics"))
    samples = [one for family in families for one in family.samples if one.name == name]
    return sum(one.value for one in samples if not reason or one.labels["reason"] == reason)


def all_are_closed(port: int) -> bool:
    """Whether nobody is connected but, maybe, the last who asked for this."""
    return counted(port, "mindstream_api_connections") <= 1


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_connection_that_means_no_good_is_closed_and_counted(port: int, kind: str) -> None:
    status, reason = ENDS[kind]
    before = counted(port, "mindstream_api_connections_closed_total", reason)
    answer = answer_to(port, HOSTILE[kind]())
    assert status_of(answer) == status, answer[:200]
    if status:
        assert set(json.loads(answer.partition(b"\r\n\r\n")[2])) == {"error"}
        # The body that is too large is refused by the route, which pages may not ask.
        assert (PAGES_MAY_READ in answer) == (kind not in ("fat body", "fat chunks"))
    if kind == "no HTTP":
        assert b"this is no HTTP/1.1 request: Invalid method encountered" in answer
    wait_until(lambda: counted(port, "mindstream_api_connections_closed_total", reason) == before + 1, "it is counted")
    wait_until(lambda: all_are_closed(port), "nothing is left open")


CHUNKED = b"POST /recommendations HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([CHUNKED, b"1\r\n \r\n" * 5_000, b"0\r\n\r\n"], b"the body comes in too small pieces; the most is 4,000"),
        ([CHUNKED, b"0\r\nX: ", *[b"x" * 65_536] * 16], b""),
    ],
    ids=["5,000 bytes, a chunk each", "a trailer of a megabyte"],
)
def test_what_costs_much_for_its_bytes_is_cut_off_before_it_is_large(
    port: int, pieces: list[bytes], said: bytes
) -> None:
    before = counted(port, "mindstream_api_connections_closed_total", "body_large")
    answer = answer_to(port, pieces)
    assert said in answer
    assert bool(answer) == bool(said)
    assert counted(port, "mindstream_api_connections_closed_total", "body_large") == before + 1


def test_who_takes_no_answers_is_cut_off(port: int) -> None:
    with deaf_client(port, "/users/ann/recommendations?n=600", 100):
        wait_until(lambda: counted(port, "mindstream_api_connections_closed_total", "answer_late"), "it is cut off")
    wait_until(lambda: all_are_closed(port), "nothing is left open")


def test_connections_that_do_nothing_keep_nobody_out(port: int) -> None:
    """There are twice as many as may be open; the ones that came first make room."""
    silent = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(2 * MOST)]
    assert get(port, "/livez") == "ok\n"
    assert silent[0].recv(1) == b""
    for one in silent:
        one.close()
    wait_until(lambda: all_are_closed(port), "nothing is left open")


def test_a_request_after_a_pause_is_answered_on_the_same_connection(port: int) -> None:
    """It is kept alive for longer than the transfer of a request may take."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        for pause_s in (3 * TRANSFER_S, 0):
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b"ok\n"):
                answer += client.recv(4_096)
            assert status_of(answer) == 200
            time.sleep(pause_s)
