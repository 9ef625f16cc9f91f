"""Work that is done every day at an hour, each time by a process of its own, until SIGTERM or Ctrl-C.

A process of its own gives its memory back, and where it fails or is killed the next day comes all the same.
"""

import json
import logging
import os
import re
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from mindstream import console
from model_export.commands.bundles import EXIT_REFUSED

__all__ = ["EXIT_FAILED", "Nights", "in_own_process", "next_run", "parse_hour"]

EXIT_FAILED = 2
LOOK_S = 30.0  # a host that slept wakes up to another time than it was waiting for
JOIN_S = 0.2

log = logging.getLogger(__name__)


def parse_hour(text: str) -> time:
    """Read an hour of the day such as 03:00.

    Raises
    ------
    ValueError
        If it is none.
    """
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text)
    if found is None:
        raise ValueError(f"--every-day-at is {text!r}; right is an hour from 00:00 to 23:59 (UTC), such as 03:00")
    return time(int(found[1]), int(found[2]))


def next_run(at: time, now: datetime) -> datetime:
    """Return the next time after now (UTC) at which it is that hour."""
    today = datetime.combine(now.date(), at, UTC)
    return today if today > now else today + timedelta(days=1)


def _now() -> datetime:
    """Return the time (UTC)."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Nights:
    """A task, and the hour at which it is done.

    Attributes
    ----------
    at : the hour, UTC.
    task : does it, and returns the exit status: 0 done, 1 refused by the gate, else failed. It ends early once the
        event is set that it is given.
    file : JSON of when it is next (`next_run` as text, `next_run_s` in Unix seconds) and how the last ended
        (`last_run`, `last_status`), for health checks.
    now : tells the time.
    """

    at: time
    task: Callable[[threading.Event], int]
    file: Path
    now: Callable[[], datetime] = _now

    def run(self, stop: threading.Event) -> None:
        """Do the task day after day, whatever becomes of it, until `stop` is set."""
        last: dict[str, Any] = {"last_run": None, "last_status": None}
        while not stop.is_set():
            due = next_run(self.at, self.now())
            self._note(due, last)
            log.info("the next retrain is at %s UTC", f"{due:%Y-%m-%d %H:%M}")
            while self.now() < due and not stop.wait(min(LOOK_S, (due - self.now()).total_seconds())):
                pass
            if stop.is_set():
                break
            # A retrain that takes hours is not overdue.
            self._note(next_run(self.at, self.now()), last)
            status = self.task(stop)
            last = {"last_run": due.isoformat(), "last_status": status}
            if not stop.is_set():
                _say(status)
        log.info("stopped cleanly")

    def _note(self, due: datetime, last: dict[str, Any]) -> None:
        """Write when the task is next, and how the last ended."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        draft = self.file.with_suffix(".new")
        draft.write_text(json.dumps({"next_run": due.isoformat(), "next_run_s": due.timestamp(), **last}))
        os.replace(draft, self.file)


def _say(status: int) -> None:
    """Say how a night has ended; what the task itself has said stands above."""
    if status == EXIT_REFUSED:
        log.warning("the new model was refused, for the reason above; the one before goes on")
    elif status < 0:
        log.error("the retrain was killed by signal %d (9: out of memory, mostly); the model before goes on", -status)
    elif status:
        log.error("the retrain has failed with status %d, for the reason above; the model before goes on", status)


def in_own_process(work: Callable[..., int], *arguments: Any, stop: threading.Event) -> int:
    """Do work in a new process, and return its exit status; below 0 the signal that killed it.

    Parameters
    ----------
    work : a function of a module, and its arguments; it returns the status.
    stop : once it is set, the process is ended.
    """
    process = get_context("spawn").Process(target=_worker, args=(work, *arguments), name="retrain")
    process.start()
    while process.is_alive():
        if stop.is_set():
            process.terminate()
        process.join(JOIN_S)
    status = process.exitcode
    assert status is not None, "a process that was joined has an exit status"
    return status


def _worker(work: Callable[..., int], *arguments: Any) -> None:
    """Do work as the process that it is done by; log what goes wrong."""
    from mindstream import settings

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the process above ends this one
    console.set_up_logs(settings.load().log_format == "json")
    try:
        status = work(*arguments)
    except (ValueError, OSError) as error:
        log.error("%s", error)
        status = EXIT_FAILED
    except Exception:
        log.exception("the retrain has ended by a fault of its own")
        status = EXIT_FAILED
    raise SystemExit(status)
