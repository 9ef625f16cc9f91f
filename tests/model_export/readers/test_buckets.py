"""Logs in object stores: an object, a folder of parts, a glob, and an archive, as if they lay here."""

import gzip
import uuid
from collections.abc import Iterator

import fsspec
import pytest

from model_export.readers import read_log

LINES = "user,item,time\n" + "".join(f"u{n % 3},i{n},{1_700_000_000 + n}\n" for n in range(9))
MORE = "user,item,time\n" + "".join(f"u{n % 3},j{n},{1_700_001_000 + n}\n" for n in range(5))


@pytest.fixture
def url() -> Iterator[str]:
    name = uuid.uuid4().hex[:8]
    files = fsspec.filesystem("memory")
    files.pipe_file(f"/{name}/log.csv", LINES.encode())
    files.pipe_file(f"/{name}/parts/shard=a/a.csv", LINES.encode())
    files.pipe_file(f"/{name}/parts/shard=b/b.csv.gz", gzip.compress(MORE.encode()))
    files.pipe_file(f"/{name}/parts/_archive/state.json", b"{}")
    files.pipe_file(f"/{name}/parts/_SUCCESS", b"")
    yield f"memory://{name}"
    files.rm(f"/{name}", recursive=True)


@pytest.mark.parametrize(
    ("path", "events"), [("log.csv", 9), ("parts", 14), ("parts/", 14), ("parts/*/*.csv", 9), ("parts/shard=b", 5)]
)
def test_what_a_url_names_is_read(url: str, path: str, events: int) -> None:
    log = read_log(f"{url}/{path}")
    assert len(log.events) == events
    assert set(log.events.user_id) == {"u0", "u1", "u2"}


def test_what_is_not_there_is_said_by_its_url(url: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"no file at {url}/none"):
        read_log(f"{url}/none")


def test_an_error_names_the_url_and_no_copy(url: str) -> None:
    fsspec.filesystem("memory").pipe_file(f"{url.removeprefix('memory:/')}/bad.csv.gz", b"no gzip")
    with pytest.raises(ValueError, match=f"{url}/bad.csv.gz is not a gz file") as raised:
        read_log(f"{url}/bad.csv.gz")
    assert "mindstream-" not in str(raised.value)
