"""What the settings say of a registry, and what is wrong with them before anything is read."""

import importlib.util
from pathlib import Path

import pytest

from mindstream.settings import Settings
from stream.events.registry import open_registry as opening
from stream.events.registry.open_registry import open_registry
from tests.stream.events.registry.opened import opened

PASSWORD_FILE, TOKEN_FILE = "schema_registry_password_file", "schema_registry_token_file"


def test_none_is_set() -> None:
    assert open_registry(Settings()) is None


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("no/such/folder", "'no/such/folder', which is no folder and no URL; right is a URL such as http://"),
        ("shop:secret@registry:8081", "'registry:8081', which is no folder and no URL"),
        ("ftp://shop:secret@registry", "'registry', which is no URL of a schema registry"),
        ("http://", "no URL of a schema registry"),
        ("https://shop:secret@registry:port", "'registry:port', which is no URL of a schema registry"),
        ("http://a:8081,registry:8081", "no URL of a schema registry"),
    ],
)
def test_what_is_no_registry(where: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^MINDSTREAM_SCHEMA_REGISTRY is '") as refused:
        opened(where)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("where", "setting", "said"),
    [
        ("http://a:b@registry", PASSWORD_FILE, "has a password, and MINDSTREAM_SCHEMA_REGISTRY_PASSWORD_FILE is set"),
        ("http://registry", PASSWORD_FILE, "MINDSTREAM_SCHEMA_REGISTRY names no user"),
        ("http://a@registry", TOKEN_FILE, "names a user, and MINDSTREAM_SCHEMA_REGISTRY_TOKEN_FILE is set"),
        ("http://a@registry", f"no {PASSWORD_FILE}", "PASSWORD_FILE is .*gone, which cannot be read"),
        ("http://registry", f"no {TOKEN_FILE}", "TOKEN_FILE is .*gone, which cannot be read"),
        ("https://registry", "no schema_registry_cafile", "CAFILE is .*gone, which cannot be read"),
    ],
)
def test_what_does_not_go_together_or_is_not_there(tmp_path: Path, where: str, setting: str, said: str) -> None:
    (tmp_path / "there").write_text("word")
    file = tmp_path / ("gone" if setting.startswith("no ") else "there")
    with pytest.raises(ValueError, match=said):
        opened(where, **{setting.removeprefix("no "): file})


def test_a_package_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    gone = ("fastavro", "cachetools")
    monkeypatch.setattr(opening, "find_spec", lambda name: None if name in gone else there(name))
    with pytest.raises(ValueError, match="needs the extra `registry`") as refused:
        opened(str(tmp_path))
    assert str(refused.value).endswith("`pip install 'confluent-kafka[schemaregistry]' 'fastavro'`")
