"""`mindstream index serve --workers`: several processes at one port, each replaced if it dies, none left at the end."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from model_export.bundle.bundle import Bundle
from model_export.bundle.registry import Registry
from stream.store.lmdb_store import LmdbStore
from tests.support.api_world import user

ROOT = Path(__file__).parents[3]
WORKERS = 2


@contextmanager
def serving(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and where it says that it is."""
    ours = {"MINDSTREAM_HOME": str(home), "MINDSTREAM_REDIS": "", "MINDSTREAM_API_PORT": "0"}
    command = [sys.executable, "-m", "index", "serve", "--workers", str(WORKERS)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **ours}, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            where = re.search(r"http://127\.0\.0\.1:\d+", said)
            assert where, (said, process.stderr and process.stderr.read())
            yield process, where[0]
        finally:
            process.kill()


def get(address: str, path: str) -> str:
    with urllib.request.urlopen(f"{address}{path}", timeout=120) as answer:
        return str(answer.read().decode())


def workers_seen(address: str) -> set[tuple[int, int]]:
    """Number and process of the workers that some new connections come to."""
    pages = [get(address, "/readyz") for _ in range(40)]
    return {
        (int(number), int(pid))
        for page in pages
        for number, pid in re.findall(r"worker (\d+) of 2, process (\d+)", page)
    }


def until(seen: Callable[[], bool]) -> None:
    ends = time.monotonic() + 120
    while not seen():
        assert time.monotonic() < ends
        time.sleep(0.1)


def sample(page: str, name: str) -> float:
    """The value of a metric, all labels together."""
    families = text_string_to_metric_families(page)
    return sum(one.value for family in families for one in family.samples if one.name == name)


@pytest.mark.slow
def test_several_processes_serve_one_port_until_all_end(bundle: Bundle, tmp_path: Path) -> None:
    """Both answer, and count together; one is killed and replaced; SIGTERM leaves none."""
    Registry(tmp_path / "models").publish(bundle.path)
    with LmdbStore(tmp_path / "state") as store:
        store.put_many([user(bundle, "ann", bundle.item_ids[:9])])
    with serving(tmp_path) as (process, address):
        until(lambda: {number for number, _ in workers_seen(address)} == {1, 2})
        first = dict(workers_seen(address))
        for _ in range(20):
            assert '"path":"capsules"' in get(address, "/users/ann/recommendations?n=3")
        page = get(address, "/metrics")
        assert sample(page, "mindstream_api_answers_total") == 20
        assert sample(page, "mindstream_api_workers") == WORKERS
        assert sample(page, "mindstream_api_connections") >= 1  # this one is open
        assert sample(page, "mindstream_bundle_info") == 1
        os.kill(first[1], signal.SIGKILL)
        until(lambda: dict(workers_seen(address)).get(1, first[1]) != first[1])
        page = get(address, "/metrics")
        assert sample(page, "mindstream_api_worker_restarts_total") == 1
        assert sample(page, "mindstream_api_workers") == WORKERS
        assert sample(page, "mindstream_api_answers_total") == 20
        assert dict(workers_seen(address))[2] == first[2]
        all_of_them = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=240)
    assert (process.returncode, out) == (0, "")
    [line] = err.splitlines()
    assert f"worker 1 (process {first[1]}) is begun anew: it ended by SIGKILL" in line
    assert not psutil.wait_procs(all_of_them, timeout=60)[1]  # Python's own helper ends a moment after them


@pytest.mark.slow
def test_workers_end_with_the_process_that_began_them(bundle: Bundle, tmp_path: Path) -> None:
    Registry(tmp_path / "models").publish(bundle.path)
    with serving(tmp_path) as (process, _):
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate(timeout=240)
    _, left = psutil.wait_procs(workers, timeout=120)
    assert not left


def test_what_keeps_workers_from_beginning_is_said_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "index", "serve", "--workers", "2"]
    ours = {"MINDSTREAM_HOME": str(tmp_path), "MINDSTREAM_API_PORT": "0", "MINDSTREAM_REDIS": ""}
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **ours}, capture_output=True, text=True, check=False, timeout=240
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: no model was published in")
