"""`mindstream index serve` as a process: it begins, answers, and ends cleanly."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from model_export.bundle.bundle import Bundle, write_manifest
from model_export.bundle.registry import Registry
from stream.store.lmdb_store import LmdbStore
from testbed.bad_bundles import copy_bundle
from testbed.hostile_clients import answer_to
from tests.support.api_world import user

ROOT = Path(__file__).parents[3]
KEY = "canary-9c2e"


def started(home: Path, **variables: str) -> subprocess.Popen[str]:
    """The command, on any free port."""
    ours = {"MINDSTREAM_HOME": str(home), "MINDSTREAM_REDIS": "", "MINDSTREAM_API_PORT": "0", **variables}
    return subprocess.Popen(
        [sys.executable, "-m", "index", "serve"],
        cwd=ROOT,
        env={**os.environ, **ours},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def get(address: str, path: str, **headers: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(f"{address}{path}", headers=headers), timeout=120) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_until_it_is_told_to_stop(number: signal.Signals, bundle: Bundle, tmp_path: Path) -> None:
    Registry(tmp_path / "models").publish(bundle.path)
    with LmdbStore(tmp_path / "state") as store:
        store.put_many([user(bundle, "ann", bundle.item_ids[:9])])
    with started(tmp_path, MINDSTREAM_API_KEY=KEY) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        where = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert where, (said, process.stderr and process.stderr.read())
        assert get(where[0], "/healthz") == "ok\n"
        answer = json.loads(get(where[0], "/users/ann/recommendations?n=3", Authorization=f"Bearer {KEY}"))
        assert (answer["path"], len(answer["candidates"])) == ("capsules", 3)
        refused = answer_to(int(where[0].rpartition(":")[2]), [b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
        assert b"this is no HTTP/1.1 request: Invalid character in Content-Length" in refused
        assert b"access-control" not in refused  # no pages were named that may read it
        process.send_signal(number)
        out, err = process.communicate(timeout=240)
    assert (process.returncode, out, err) == (0, "", "")
    assert KEY not in said


def test_a_model_of_another_rule_is_said_once(bundle: Bundle, tmp_path: Path) -> None:
    path = shutil.copytree(bundle.path, tmp_path / "ruled")
    write_manifest(path, replace(bundle.manifest, data=bundle.manifest.data | {"behaviours": "buy=2,*=0"}))
    Registry(tmp_path / "models").publish(path)
    with started(tmp_path, MINDSTREAM_BEHAVIOURS="dislike=-1") as process:
        assert process.stdout is not None
        where = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert where
        assert get(where[0], "/healthz") == "ok\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=240)
    assert process.returncode == 0
    assert err.count("was trained under the rule buy=2,*=0") == 1
    assert "MINDSTREAM_BEHAVIOURS is dislike=-1" in err


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "error: no model was published in"),
        ({"MINDSTREAM_API_PORT": "port"}, "error: MINDSTREAM_API_PORT is 'port': Input should be a valid integer"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_BOOTSTRAP_SERVERS": "localhost:9"},
            "error: KAFKA_SASL_MECHANISM is ''; right is one of PLAIN",
        ),
        ({"MINDSTREAM_API_KEY": f"{KEY}\n"}, "error: MINDSTREAM_API_KEY is not right (its value is a secret): right"),
    ],
)
def test_what_keeps_it_from_beginning_is_said(tmp_path: Path, variables: dict[str, str], message: str) -> None:
    with started(tmp_path, **variables) as process:
        _, err = process.communicate(timeout=240)
    assert process.returncode == 2
    assert message in err
    assert KEY not in err
    assert err.count("\n") == 1


def test_a_host_that_is_not_ours_is_said(bundle: Bundle, tmp_path: Path) -> None:
    Registry(tmp_path / "models").publish(bundle.path)
    with started(tmp_path, MINDSTREAM_API_HOST="no-such-host.invalid") as process:
        _, err = process.communicate(timeout=240)
    assert process.returncode == 2
    assert "error: the API cannot be served at port 0 of no-such-host.invalid" in err
    assert err.rstrip().endswith("are MINDSTREAM_API_PORT and MINDSTREAM_API_HOST right?")


@pytest.mark.slow
def test_a_served_file_that_is_cut_short_and_the_start_after_it(bundle: Bundle, tmp_path: Path) -> None:
    """The process dies of SIGBUS, and says so; the next one serves the model of before, and says that."""
    registry = Registry(tmp_path / "models")
    for version in ("first", "second"):
        copy_bundle(bundle, registry.folder / version)
        registry.point_to(version)
    with started(tmp_path) as process:
        assert process.stdout is not None
        where = re.search(r"model second at (http://127\.0\.0\.1:\d+)", process.stdout.readline())
        assert where
        os.truncate(registry.folder / "second" / "item_embeddings.npy", 200)
        with pytest.raises(OSError, match=r"Remote end closed|reset"):
            get(where[1], f"/items/{bundle.item_ids[5]}/similar")
        _, err = process.communicate(timeout=240)
    assert process.returncode == -signal.SIGBUS
    assert "Fatal Python error: Bus error" in err
    with started(tmp_path) as process:
        assert process.stdout is not None
        where = re.search(r"model first at (http://127\.0\.0\.1:\d+)", process.stdout.readline())
        assert where
        ready = get(where[1], "/readyz").splitlines()
        assert ready[:2] == ["ok", "model first"]
        assert ready[2].startswith("CURRENT names model second since ")
        assert "item_embeddings.npy has 200 bytes; the manifest says" in ready[2]
        page = get(where[1], "/metrics")
        assert "mindstream_bundles_refused_total 1.0" in page
        assert "mindstream_bundle_behind_seconds 0.0" not in page
        answer = json.loads(get(where[1], f"/items/{bundle.item_ids[5]}/similar"))
        assert answer["model_version"] == "first"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=240)
    assert process.returncode == 0
    assert "bundle second is refused, first is served instead: " in err
    assert "bundle first is served from the start: the last good one that was current before" in err
