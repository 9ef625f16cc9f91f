"""`mindstream index` as a process, and users whose capsules a bundle's own extractor made."""

import os
import subprocess
import sys
from pathlib import Path

from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from stream.events.position import Position
from stream.store.history import History
from stream.store.state import UserState
from testbed.stream_process import ROOT


def run_index(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`mindstream index ...` as a process of its own."""
    command = [sys.executable, "-m", "index", *arguments]
    environment = {**os.environ, "MINDSTREAM_HOME": str(home), "COLUMNS": "120", "TERM": "dumb"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240)


def state_of(bundle: Bundle, user_id: str, history: list[str]) -> UserState:
    [capsules] = Extractor(bundle).encode([history])
    kept = History(tuple(history), tuple(range(len(history))), ("",) * len(history))
    return UserState(user_id, kept, capsules, Position("life", 0, 7), {})
