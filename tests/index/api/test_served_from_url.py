"""An API that has nothing but the url of a bucket serves what is published there, and goes on where that is damaged."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from mindstream.objects.bucket import Bucket
from model_export.bundle.bundle import GOLDEN, Bundle
from model_export.bundle.homes.open_registry import open_registry
from stream.store.lmdb_store import LmdbStore
from testbed.bad_bundles import copy_bundle
from testbed.stream_process import wait_until
from tests.support.api_world import user
from tests.support.s3_server import new_bucket, s3_server

ROOT = Path(__file__).parents[3]


def get(address: str, path: str) -> str:
    with urllib.request.urlopen(f"{address}{path}", timeout=120) as answer:
        return str(answer.read().decode())


def test_the_api_follows_a_bucket(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LmdbStore(tmp_path / "home" / "state") as store:
        store.put_many([user(bundle, "ann", bundle.item_ids[:9])])
    with s3_server() as server:
        url = new_bucket(server, monkeypatch)
        registry = open_registry(url, tmp_path / "publisher")
        registry.publish(copy_bundle(bundle, tmp_path / "a"))
        ours = {
            "MINDSTREAM_HOME": str(tmp_path / "home"),
            "MINDSTREAM_BUNDLES": url,
            "MINDSTREAM_CACHE": str(tmp_path / "cache"),
            "MINDSTREAM_REDIS": "",
            "MINDSTREAM_API_PORT": "0",
        }
        with subprocess.Popen(
            [sys.executable, "-m", "index", "serve"],
            cwd=ROOT, env={**os.environ, **ours}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            said = process.stdout.readline()
            where = re.search(r"http://127\.0\.0\.1:\d+", said)
            assert where, (said, process.stderr and process.stderr.read())
            assert "model a at" in said
            address = where[0]
            assert answered_by(address) == "a"
            registry.publish(copy_bundle(bundle, tmp_path / "b"))
            seen = ["a"]
            wait_until(lambda: note(seen, answered_by(address)) == "b", "b is served", 120)
            assert set(seen) == {"a", "b"}
            registry.home.add(Bundle(copy_bundle(bundle, tmp_path / "c")))
            Bucket(url).write(f"c/{GOLDEN}", b"x")
            registry.point_to("c")
            refused = f"{url}/c/{GOLDEN} has 1 bytes"
            wait_until(lambda: refused in get(address, "/readyz"), "c is refused", 120)
            assert answered_by(address) == "b"
            assert "mindstream_bundles_refused_total 1.0" in get(address, "/metrics")
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            assert process.stderr is not None
            process.stderr.read()
            assert process.wait(60) == 0


def note(seen: list[str], version: str) -> str:
    seen.append(version)
    return version


def answered_by(address: str) -> str:
    """The version that an answer is of."""
    answer = json.loads(get(address, "/users/ann/recommendations?n=3"))
    assert len(answer["candidates"]) == 3
    return str(answer["model_version"])
