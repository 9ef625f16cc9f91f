"""The one name to import: a public API that loads lazily, and a command that holds every room's commands."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import mindstream
from mindstream.cli import ROOMS, app_for

LIGHT = """
import sys
import mindstream
assert not {"stream", "index", "model_export"} & set(sys.modules), "the rooms load with the name"
for name in mindstream.__all__:
    getattr(mindstream, name)
print(sorted({"torch", "pandas", "streamlit", "fastapi"} & set(sys.modules)))
"""


def run(command: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=480)


def test_the_public_api_loads_lazily_and_without_torch(tmp_path: Path) -> None:
    done = run([sys.executable, "-c", LIGHT], tmp_path)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", mindstream.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(mindstream, name)
    assert name in dir(mindstream)
    assert name == "__version__" or (found.__name__ == name and found.__doc__)


def test_another_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="module 'mindstream' has no attribute 'Recomender'"):
        _ = mindstream.Recomender  # type: ignore[attr-defined]  # which type checkers see too


@pytest.mark.parametrize("start", [["-m", "mindstream"], ["-m", "stream"], ["-m", "index"], ["-m", "demo"]])
def test_a_folder_with_modules_of_our_names_does_not_get_in_the_way(start: list[str], tmp_path: Path) -> None:
    for name in ("settings", "console", "printable", "report"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a file of the user')", encoding="utf-8")
    done = run([sys.executable, *start, "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def names_of(app: typer.Typer) -> set[str]:
    """The commands and groups that an app has."""
    command = typer.main.get_command(app)
    return set(getattr(command, "commands", {}))


@pytest.mark.parametrize(("name", "room"), [("stream", "stream"), ("model", "model_export"), ("index", "index")])
def test_the_command_of_a_room_is_that_of_its_module(name: str, room: str) -> None:
    listed = CliRunner().invoke(app_for([name]), [name, "--help"])
    assert listed.exit_code == 0
    own = names_of(import_module(f"{room}.__main__").app)
    assert own
    assert all(f" {one} " in listed.stdout for one in own)


def test_the_list_of_commands_imports_no_room(tmp_path: Path) -> None:
    script = "import sys; from mindstream.cli import app_for; app_for([]); print({*sys.argv[1:]} & {*sys.modules})"
    done = run([sys.executable, "-c", script, *(module for module, _ in ROOMS.values()), "demo.command"], tmp_path)
    assert (done.stdout, done.stderr) == ("set()\n", "")
    listed = CliRunner().invoke(app_for([]), ["--help"])
    assert all(f" {name} " in listed.stdout for name in (*ROOMS, "demo"))


def test_the_version() -> None:
    done = CliRunner().invoke(app_for(["--version"]), ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"mindstream {mindstream.__version__}\n")


def test_demo_is_a_command_with_options_of_its_own() -> None:
    done = CliRunner().invoke(app_for(["demo"]), ["demo", "--help"])
    assert done.exit_code == 0
    assert "--only-prepare" in done.stdout
