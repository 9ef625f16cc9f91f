"""Several processes that serve one port: one process begins them, begins anew those that die, and ends them."""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from tempfile import TemporaryDirectory

from prometheus_client.multiprocess import mark_process_dead

from mindstream.console import set_up_logs, stop_on_signals
from mindstream.settings import Settings, shared_metrics

__all__ = ["Worker", "listen", "run_workers"]

log = logging.getLogger(__name__)

BACKLOG = 1_024  # connections that wait to be taken
LOOK_EVERY_S = 0.2
AGAIN_AFTER_S = 5.0  # where a worker could not begin; one that had begun is replaced at once
ENDS_WITHIN_S = 20.0  # then a worker is killed; it gives its own last answers ten


@dataclass(frozen=True)
class Worker:
    """What a process knows of itself among the others that serve the same port.

    Attributes
    ----------
    number, count : its own, from 1, and how many there are.
    is_replacement : whether it was begun since another one died.
    """

    number: int
    count: int
    is_replacement: bool = False

    def __str__(self) -> str:
        return f"worker {self.number} of {self.count}, process {os.getpid()}"


Serve = Callable[[Settings, socket.socket, Worker, Callable[[str], None]], None]


def run_workers(settings: Settings, serve: Serve, begun: Callable[[str, socket.socket], None]) -> None:
    """Serve by several processes until SIGTERM or Ctrl-C.

    Parameters
    ----------
    settings : with how many.
    serve : what each does; it calls its last argument with the version of the model once it answers.
    begun : called with that and a listener once all answer.

    Raises
    ------
    ValueError, OSError
        If the address cannot be listened at, or a worker cannot begin; says why.
    """
    stop = stop_on_signals()
    with ExitStack() as stack:
        listeners = [stack.enter_context(closing(one)) for one in _listeners(settings)]
        folder = stack.enter_context(TemporaryDirectory(prefix="mindstream-metrics-"))
        stack.enter_context(shared_metrics(folder))
        workers = [_Process(settings, serve, one, place, len(listeners)) for place, one in enumerate(listeners, 1)]
        stack.callback(_end, workers)
        for worker in workers:
            worker.start()
        versions = [worker.version(stop) for worker in workers]
        if not stop.is_set():
            begun(versions[0], listeners[0])
        while not stop.wait(LOOK_EVERY_S):
            for worker in workers:
                worker.look()


class _Process:
    """A worker, and the next one in its place where it dies."""

    def __init__(self, settings: Settings, serve: Serve, listener: socket.socket, number: int, count: int) -> None:
        self.settings, self.serve, self.listener, self.number, self.count = settings, serve, listener, number, count
        self.process: SpawnProcess | None = None
        self.said: Connection
        self.is_ready, self.again_at = False, 0.0

    def start(self, is_replacement: bool = False) -> None:
        """Begin a process.

        Its listener stays open here too: who connects until it answers, or another does in its place, waits for that.
        """
        context = multiprocessing.get_context("spawn")
        self.said, says = context.Pipe(duplex=False)
        worker = Worker(self.number, self.count, is_replacement)
        arguments = self.settings, self.serve, self.listener, worker, says
        self.process, self.is_ready = context.Process(target=_work, args=arguments), False
        self.process.start()
        says.close()

    def version(self, stop: threading.Event) -> str:
        """Wait until the process answers, and return its model's version; "" if all end.

        Raises
        ------
        ValueError
            If it cannot begin; says why.
        """
        while not stop.is_set():
            if self.said.poll(LOOK_EVERY_S):
                fault, version = self._heard()
                if fault:
                    raise ValueError(fault)
                return version
        return ""

    def _heard(self) -> tuple[str, str]:
        """Return why a process could not begin, or the version of the model that it serves."""
        assert self.process is not None
        try:
            fault, version = self.said.recv()
        except EOFError:
            self.process.join()
            return f"worker {self.number} ended before it answered, {_ending(self.process)}", ""
        self.is_ready = not fault
        return fault, version

    def look(self) -> None:
        """Begin another process if this one has died; a while later if it could not begin."""
        process = self.process
        if process is None:
            if time.monotonic() >= self.again_at:
                self.start(is_replacement=True)
            return
        fault = self._heard()[0] if not self.is_ready and self.said.poll() else ""
        if not fault and process.is_alive():
            return
        process.join()
        mark_process_dead(process.pid)  # type: ignore[no-untyped-call]
        why = fault or f"it ended {_ending(process)}"
        log.error("worker %s (process %s) is begun anew: %s", self.number, process.pid, why)
        self.again_at = time.monotonic() + (0.0 if self.is_ready else AGAIN_AFTER_S)
        self.said.close()
        process.close()
        self.process = None

    def end(self, ends_at: float) -> None:
        """End the process, if need be by force."""
        process = self.process
        while process is not None and process.is_alive() and time.monotonic() < ends_at:
            process.terminate()
            process.join(1)
        if process is not None and process.is_alive():
            log.error("worker %s (process %s) does not end, and is killed", self.number, process.pid)
            process.kill()
            process.join()


def _end(workers: list[_Process]) -> None:
    """End all workers."""
    for worker in workers:
        if worker.process is not None:
            worker.process.terminate()
    ends_at = time.monotonic() + ENDS_WITHIN_S
    for worker in workers:
        worker.end(ends_at)


def _ending(process: SpawnProcess) -> str:
    """Say how a process ended."""
    code = process.exitcode or 0
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"


def _work(settings: Settings, serve: Serve, listener: socket.socket, worker: Worker, said: Connection) -> None:
    """Serve in a process of its own, and say when that has begun, or why it cannot."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; before this one serves, the first one ends it
    set_up_logs(settings.log_format == "json")
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    try:
        serve(settings, listener, worker, lambda version: said.send(("", version)))
    except (ValueError, OSError) as error:
        said.send((str(error), ""))
        sys.exit(2)


def _end_with_the_first() -> None:
    """End this process when the one that began it is gone."""
    first = multiprocessing.parent_process()
    if first is not None:
        wait([first.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def listen(host: str, port: int, together: bool = False) -> socket.socket:
    """Open a socket that listens, of the family (IPv4 or IPv6) that the host has.

    Parameters
    ----------
    together : whether others listen at the same port.

    Raises
    ------
    OSError
        If the address is not ours, or the port is taken.
    """
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return socket.create_server(address[:2], family=family, backlog=BACKLOG, reuse_port=together)
    except OSError as error:
        raise OSError(
            f"the API cannot be served at port {port} of {host} ({error}); "
            "are MINDSTREAM_API_PORT and MINDSTREAM_API_HOST right?"
        ) from error


def _listeners(settings: Settings) -> list[socket.socket]:
    """Open a listener for each worker, all at the same port.

    Linux deals connections out among sockets of their own. Elsewhere the workers share one, and whoever is idle takes
    the next connection.
    """
    host, count = settings.api_host, settings.api_workers
    first = listen(host, settings.api_port)  # alone, or we would share a port with whoever listens there already
    if sys.platform != "linux":
        return [first, *(first.dup() for _ in range(count - 1))]
    port = first.getsockname()[1]
    first.close()
    return [listen(host, port, together=True) for _ in range(count)]
