"""Stopping cleanly: SIGTERM and Ctrl-C as an event that a command waits for."""

import signal
import threading

__all__ = ["stop_on_signals"]


def stop_on_signals() -> threading.Event:
    """Make an event that is set by SIGTERM and Ctrl-C."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
