"""The stamp beside a prepared log: of what its model was made, so that a log that has changed is noticed."""

import glob
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demo.engine.paths import is_prepared
from mindstream.settings import Settings
from stream.kafka.embedded_broker import running_embedded

__all__ = ["changes", "files_of", "forget_users", "mark_stopped", "stamp_of", "write_stamp"]

FORMAT = 1  # raised whenever an older preparation would show something else
WHY = {
    "format": "this version of Mindstream prepares logs in another way",
    "files": "the log has changed",
    "mapping": "it is to be read in another way",
    "rule": "other events count as behaviours",
    "minutes": "the training has another limit",
}
STOPPED = "stopped"  # in the stamp while a preparation goes on


def stamp_of(source: str, given: dict[str, Any], rule: str, minutes: float | None) -> dict[str, Any]:
    """Return what a preparation depends on, as JSON has it.

    Parameters
    ----------
    source : path of the log, a glob, or an address, of whose files nothing is known.
    given : the mapping.
    rule : which events count as behaviours.
    minutes : limit of the training, None: by the size of the log.
    """
    beside = [str(given[name]) for name in ("items", "users") if given.get(name)]
    stamp = {
        "format": FORMAT,
        "files": [_state_of(one) for one in [source, *beside]],
        "mapping": given,
        "rule": rule,
        "minutes": minutes,
    }
    found: dict[str, Any] = json.loads(json.dumps(stamp))
    return found


def _state_of(source: str) -> dict[str, Any]:
    """Return number, bytes and a digest of the names, sizes and times of the files of a log."""
    seen = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files_of(source)]
    digest = hashlib.blake2b(json.dumps(seen).encode(), digest_size=8).hexdigest()
    return {"source": source, "files": len(seen), "bytes": sum(size for _, size, _ in seen), "digest": digest}


def files_of(source: str) -> Iterator[Path]:
    """Yield the files of a log in order: of a path, a folder or a glob."""
    path = Path(source)
    found = [path] if path.exists() else [Path(one) for one in sorted(glob.glob(source, recursive=True))]
    for one in found:
        yield from sorted(file for file in one.rglob("*") if file.is_file()) if one.is_dir() else [one]


def changes(settings: Settings, stamp: dict[str, Any]) -> list[str] | None:
    """Return why the log has to be prepared anew; None if it never was.

    A training's limit that is not given is whatever it was.

    Returns
    -------
    Reasons; [] if what is prepared is of this very stamp.
    """
    if not is_prepared(settings):
        return None
    before = _read(stamp_file(settings))
    if before.get(STOPPED):
        return ["the preparation before was stopped"]
    now = {**before, **stamp} if stamp["minutes"] is not None else {**before, **stamp, "minutes": before.get("minutes")}
    return [why for name, why in WHY.items() if before.get(name) != now[name]]


def forget_users(settings: Settings) -> None:
    """Remove what is kept of the users of a log, unless a demo runs on it now.

    That is their states and, where the archive lies in the home, their events. Read in another way, the log has other
    ids. Only for a home that a log has of its own.
    """
    if running_embedded(settings.state) is None:
        shutil.rmtree(settings.state, ignore_errors=True)
        if settings.archive_folder is None:
            shutil.rmtree(settings.archive, ignore_errors=True)


def stamp_file(settings: Settings) -> Path:
    """Return the file of the stamp."""
    return settings.home / "prepared.json"


def write_stamp(settings: Settings, stamp: dict[str, Any]) -> None:
    """Keep the stamp of what is prepared now."""
    stamp_file(settings).write_text(json.dumps(stamp), encoding="utf-8")


def mark_stopped(settings: Settings) -> None:
    """Mark a prepared home as half prepared, until `write_stamp`; do nothing without a stamp."""
    if before := _read(stamp_file(settings)):
        write_stamp(settings, {**before, STOPPED: True})


def _read(file: Path) -> dict[str, Any]:
    """Return the stamp in a file; empty if there is none that can be read."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
