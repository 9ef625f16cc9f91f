"""`python -m demo` as a process of its own, on the embedded broker."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.java_broker import free_ports

__all__ = ["RunningDemo", "prepared", "running_demo"]

ROOT = Path(__file__).parents[1]
UP_WITHIN_S = 360
NOTHING_ELSE = {"KAFKA_BOOTSTRAP_SERVERS": "", "MINDSTREAM_REDIS": "", "MINDSTREAM_LOG": ""}


@dataclass(frozen=True)
class RunningDemo:
    """A demo: the address of its page, and its process."""

    address: str
    pid: int


@contextmanager
def running_demo(home: Path) -> Iterator[RunningDemo]:
    """Run a demo on this home; yield it as soon as it listens."""
    [port] = free_ports(1)
    with _started(home, "--port", str(port)) as process:
        try:
            _wait_until_it_listens(port, process)
            yield RunningDemo(f"http://localhost:{port}", process.pid)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=120)


def prepared(home: Path) -> None:
    """Train the models of a home."""
    with _started(home, "--only-prepare") as process:
        assert process.wait() == 0, "the models could not be trained; what stands above says why"


def _started(home: Path, *options: str) -> "subprocess.Popen[bytes]":
    """`python -m demo` with these options."""
    environment = {**os.environ, **NOTHING_ELSE, "MINDSTREAM_HOME": str(home)}
    command = [sys.executable, "-m", "demo", *options]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


def _wait_until_it_listens(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the demo has ended with exit status {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"the demo does not listen after {UP_WITHIN_S} s")
