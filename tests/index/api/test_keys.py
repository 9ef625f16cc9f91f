"""Keys of the HTTP API with scopes, in a file that is followed: what each opens, and what happens to a bad file."""

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from index.api.errors import MOST_BYTES
from index.api.keys import Keys
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from stream.store.lmdb_store import LmdbStore
from tests.support.api_world import app_of, client_of

SHOP, IMPORT, PAGES, NEWER = (
    "canary-of-the-web-shop",
    "canary-of-the-import",
    "canary-of-the-pages",
    "canary-newer-0001",
)
FILE = f"""
[web-shop]
key = "{SHOP}"
scopes = ["read"]

[import]
key = "{IMPORT}"
scopes = ["items"]

[pages]
key = "{PAGES}"
scopes = ["events"]
"""


def written(file: Path, text: str) -> Path:
    """The file, replaced as secrets are: whole."""
    new = file.with_suffix(".new")
    new.write_text(text)
    os.replace(new, file)
    return file


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return written(tmp_path / "keys.toml", FILE)


@pytest.fixture
def client(bundle: Bundle, tmp_path: Path, keys_file: Path) -> Any:
    with LmdbStore(tmp_path / "state") as store:
        app, _ = app_of(
            bundle, store, tmp_path, api_keys_file=keys_file, api_key=SecretStr("all"), bootstrap_servers=""
        )
        yield client_of(app)


ROUTES = {
    "read": ("GET", "/users/ann/interests", 200),
    "batch": ("POST", "/recommendations", 422),
    "see": ("GET", "/items/lost", 404),
    "remove": ("DELETE", "/items/lost", 204),
    "put": ("POST", "/items", 422),
    "post": ("POST", "/events", 415),
}
OPENS = {SHOP: {"read", "batch", "see"}, IMPORT: {"remove", "put"}, PAGES: {"post"}, "all": {*ROUTES} - {"post"}}


@pytest.mark.parametrize("key", OPENS)
def test_a_key_opens_its_scopes_and_no_others(client: TestClient, key: str) -> None:
    for name, (method, path, status) in ROUTES.items():
        answer = client.request(method, path, headers={"Authorization": f"Bearer {key}"})
        right = status if name in OPENS[key] else 403
        assert answer.status_code == right, (name, answer.text)
        assert "canary" not in answer.text
        if right == 403:
            assert "this needs the scope " in answer.json()["error"]


def test_a_key_that_lacks_a_scope_is_told_which(client: TestClient) -> None:
    answer = client.delete("/items/mug", headers={"X-API-Key": SHOP})
    assert answer.json() == {"error": "this needs the scope items, and the key web-shop has read"}
    answer = client.delete("/items/mug", headers={"X-API-Key": "another"})
    assert answer.status_code == 401
    assert answer.json()["error"].startswith("this needs a key with the scope items, as X-API-Key: KEY or Auth")


def test_the_key_comes_before_the_body(client: TestClient) -> None:
    """A body that is no JSON would be a 422 if it were read, one that is too large a 413, a compressed one a 415."""
    for path in ("/recommendations", "/items", "/events"):
        for body, coding in ((b"{", "identity"), (b" " * (MOST_BYTES + 1), "identity"), (b"{", "gzip")):
            headers = {"Content-Type": "application/json", "Content-Encoding": coding, "X-API-Key": "wrong"}
            assert client.post(path, content=body, headers=headers).status_code == 401
    fat = client.post("/items", content=b" " * (MOST_BYTES + 1), headers={"X-API-Key": IMPORT})
    assert (fat.status_code, "the most is 1,000,000 bytes" in fat.json()["error"]) == (413, True)
    assert 'requests_total{method="POST",route="/items",status="413"} 1.0' in client.get("/metrics").text


class Clock:
    """Seconds that pass when somebody says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_keys_are_rotated_without_a_restart_and_a_bad_file_changes_nothing(
    keys_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    keys = Keys(Settings(api_keys_file=keys_file), clock)

    def known() -> dict[str, bool]:
        clock.now += 1
        return {one: keys.find(one.encode()) is not None for one in (SHOP, NEWER)}

    both = f'{FILE}\n[web-shop-2]\nkey = "{NEWER}"\nscopes = ["read", "events"]\n'
    assert known() == {SHOP: True, NEWER: False}
    written(keys_file, both)
    assert known() == {SHOP: True, NEWER: True}
    with caplog.at_level(logging.ERROR):
        for bad, said in (
            (both + "[", "is no TOML"),
            (both.replace('["read"]', '["reed"]'), "the key 'web-shop' in"),
            ("", "has no key"),
        ):
            caplog.clear()
            written(keys_file, bad)
            assert known() == known() == {SHOP: True, NEWER: True}
            [line] = caplog.messages
            assert "the keys that were read before stay: " in line
            assert said in line
            assert "canary" not in line
        keys_file.unlink()
        assert known() == {SHOP: True, NEWER: True}
    written(keys_file, both.replace(SHOP, "canary-that-nobody-has"))
    assert known() == {SHOP: False, NEWER: True}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[a]\nkey = "short"\nscopes = ["read"]', "the key 'a' in .*right are a key of 16 or more visible ASCII"),
        (f'[a]\nkey = "{SHOP}"\nscopes = []', "the key 'a' in .*scopes of read, items and events"),
        (f'[a]\nkey = "{SHOP}"\nscopes = ["read"]\nscope = 1', "the key 'a' in .*scope"),
        (
            f'[a]\nkey = "{SHOP}"\nscopes = ["read"]\n[b]\nkey = "{SHOP}"\nscopes = ["items"]',
            "'b' in .*is that of 'a' too",
        ),
        ('[a]\nkey = "of-the-settings-0"\nscopes = ["read"]', "is that of 'MINDSTREAM_API_KEY' too"),
        ("keys = 1", r"'keys' in .* \(MINDSTREAM_API_KEYS_FILE\) stands outside of a table; right is a table for each"),
    ],
)
def test_a_file_that_is_not_right_ends_the_start(tmp_path: Path, text: str, message: str) -> None:
    settings = Settings(api_keys_file=written(tmp_path / "keys.toml", text), api_key=SecretStr("of-the-settings-0"))
    with pytest.raises(ValueError, match=message) as refused:
        Keys(settings)
    assert "canary" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named_with_its_variable(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"\(MINDSTREAM_API_KEYS_FILE\) cannot be read: Is a directory; right is a table"):
        Keys(Settings(api_keys_file=tmp_path))
