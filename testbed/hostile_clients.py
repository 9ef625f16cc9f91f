"""Clients that mean no good, or know no better: slow, silent, fat, malformed and deaf ones, on raw sockets.

Each gives what it was answered until the server hung up.
"""

import socket
import time
from collections.abc import Callable, Iterable, Iterator

__all__ = ["HOSTILE", "answer_to", "deaf_client", "endless", "status_of"]

PATIENCE_S = 60.0  # for a server that should hang up; a longer wait is a fault
PIECE = 65_536

_HEAD = b"Host: localhost\r\n"
_POST = b"POST /recommendations HTTP/1.1\r\n" + _HEAD + b"Content-Type: application/json\r\n"


def endless(piece: bytes, pause_s: float) -> Iterator[bytes]:
    """Yield the same piece again and again, with a pause before each."""
    while True:
        time.sleep(pause_s)
        yield piece


def _slow_headers() -> Iterator[bytes]:
    """Send headers that never end, one after the other."""
    yield b"GET /livez HTTP/1.1\r\n" + _HEAD
    yield from endless(b"X-More: 1\r\n", 0.2)


def _slow_body() -> Iterator[bytes]:
    """Send a body byte by byte."""
    yield _POST + b"Content-Length: 900000\r\n\r\n"
    yield from endless(b" ", 0.2)


def _fat_headers() -> Iterator[bytes]:
    """Send as much of a header as is taken."""
    yield b"GET /livez HTTP/1.1\r\n" + _HEAD + b"X-Fat: "
    yield from endless(b"x" * PIECE, 0.0)


def _many_headers() -> Iterator[bytes]:
    """Send headers that end, and are too many."""
    yield b"GET /livez HTTP/1.1\r\n" + _HEAD + b"X: 1234567890\r\n" * 10_000 + b"\r\n"


def _fat_body() -> Iterator[bytes]:
    """Send a body whose length says that it is too large."""
    yield _POST + b"Content-Length: 10000000000\r\n\r\n"
    yield from endless(b" " * PIECE, 0.0)


def _fat_chunks() -> Iterator[bytes]:
    """Send a body that never ends, in chunks."""
    yield _POST + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from endless(b"%x\r\n" % PIECE + b" " * PIECE + b"\r\n", 0.0)


def _fat_trailer() -> Iterator[bytes]:
    """Send a header behind the body that never ends."""
    yield _POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Fat: "
    yield from endless(b"x" * PIECE, 0.0)


def _many_trailers() -> Iterator[bytes]:
    """Send headers behind the body that never end."""
    yield _POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    yield from endless(b"X: 1\r\n" * 10_000, 0.0)


def _tiny_chunks() -> Iterator[bytes]:
    """Send a body byte by byte, in chunks."""
    yield _POST + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from endless(b"1\r\n \r\n" * 10_000, 0.0)


def _many_together() -> Iterator[bytes]:
    """Send requests that need some work, and wait for no answer."""
    yield from endless((b"GET /healthz HTTP/1.1\r\n" + _HEAD + b"\r\n") * 1_000, 0.0)


# Kind -> what is sent. The silent one sends nothing.
HOSTILE: dict[str, Callable[[], Iterator[bytes]]] = {
    "silent": lambda: iter(()),
    "slow headers": _slow_headers,
    "slow body": _slow_body,
    "fat headers": _fat_headers,
    "many headers": _many_headers,
    "fat body": _fat_body,
    "fat chunks": _fat_chunks,
    "fat trailer": _fat_trailer,
    "many trailers": _many_trailers,
    "tiny chunks": _tiny_chunks,
    "many together": _many_together,
    "no HTTP": lambda: iter([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]),
}


def answer_to(port: int, pieces: Iterable[bytes]) -> bytes:
    """Send pieces until the server hangs up; return all that it answers.

    Raises
    ------
    TimeoutError
        If it does not hang up.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
        answered = _send(client, pieces)
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            try:
                received = client.recv(PIECE)
            except ConnectionError:
                received = b""
            if not received:
                return answered
            answered += received
    raise TimeoutError("the server did not hang up")


def _send(client: socket.socket, pieces: Iterable[bytes]) -> bytes:
    """Send pieces, and read what comes meanwhile; return that once the server takes no more."""
    answered = b""
    for piece in pieces:
        try:
            client.sendall(piece)
            client.setblocking(False)
            answered += client.recv(PIECE)
        except BlockingIOError:
            pass
        except ConnectionError:
            break
        finally:
            client.settimeout(PATIENCE_S)
    return answered


def deaf_client(port: int, path: str, times: int) -> socket.socket:
    """Ask for a path many times on one connection, which is returned and never read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.settimeout(PATIENCE_S)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * times)
    return client


def status_of(answer: bytes) -> int:
    """Return the status of an answer; 0: there is none."""
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
