"""A load in a process of its own: what it reports of a server that answers, hangs up, or is not there."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import msgspec
import pytest

from benchmarks.harness.http_load import LoadReport, LoadTask
from benchmarks.harness.load_process import LoadProcess, report_in

BODY = b"x" * 10
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


@contextmanager
def server(answers: bytes) -> Iterator[int]:
    """A server that says this to each request of each connection, and hangs up after what is no whole answer."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve(client: socket.socket) -> None:
            with client:
                while client.recv(65_536):
                    client.sendall(answers)
                    if answers != HEAD + BODY:
                        return

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


def test_each_answer_is_counted_with_its_bytes() -> None:
    with server(HEAD + BODY) as port:
        report = LoadProcess(LoadTask(port, ["/a"], 2, 0.19, warm_up_s=0.0, rate=50)).report()
    assert (len(report.took_ms), report.errors, report.bytes) == (10, 0, 10 * len(HEAD + BODY))


def test_a_server_that_hangs_up_in_an_answer_is_an_error_and_none_has_no_report() -> None:
    with server(HEAD + BODY[:5]) as port, pytest.raises(OSError, match=r"nothing was answered within 0 s, with 2 err"):
        LoadProcess(LoadTask(port, ["/a"], 2, 0.2, warm_up_s=0.0, rate=50)).report()


def test_without_a_server_it_fails() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OSError, match="ended with status 1"):
        LoadProcess(LoadTask(port, ["/a"], 1, 0.1)).report()


def test_a_report_that_is_cut_off_is_named_with_what_is_there() -> None:
    whole = msgspec.json.encode(LoadReport([1.5], 0, 50, 2.0))
    assert report_in(whole + b"\n", 0) == LoadReport([1.5], 0, 50, 2.0)
    with pytest.raises(OSError, match=r"without a whole report \(Input data was truncated\): it wrote 0 bytes"):
        report_in(b"", 0)
    with pytest.raises(OSError, match=r"it wrote 12 bytes, the last b'\{\"took_ms\":\['"):
        report_in(whole[:12], 0)
