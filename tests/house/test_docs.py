"""What README.md and compose.yaml say is so: every variable is there, every command exists."""

import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mindstream.settings import Settings
from model_export.readers import FORMATS
from model_export.readers.table import FEATURE_PREFIX, PROFILE_PREFIX

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = "".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md")))
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
COMMAND = re.compile(r"python -m (benchmarks|demo|index|model_export|stream)(?: ([a-z]+))?")


def variables() -> dict[str, object]:
    """Environment variable -> default."""
    fields = Settings.model_fields.items()
    return {str(field.validation_alias or f"MINDSTREAM_{name.upper()}"): field.default for name, field in fields}


def commands() -> list[tuple[str, ...]]:
    """Every command that the README and docs/ show or Compose runs, without its options."""
    shown = {tuple(filter(None, found)) for found in COMMAND.findall(README + DOCS)}
    for service in COMPOSE["services"].values():
        if service.get("command", ["?"])[0] == "python":
            shown.add(tuple(word for word in service["command"][2:4] if not word.startswith("-")))
    return sorted(shown)


def test_every_variable_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([^|`]+)`? \|", README, flags=re.MULTILINE))
    assert set(rows) == set(variables())
    for name, default in variables().items():
        if name not in ("CI", "XDG_CACHE_HOME") and str(default) not in ("", "None"):
            assert rows[name] == (str(default).lower() if isinstance(default, bool) else str(default))


def test_every_format_of_a_log_and_every_column_is_documented() -> None:
    rows = [line for line in README.splitlines() if line.startswith("| `")]
    assert [name for name in FORMATS if not any(f"`{name}`" in row for row in rows)] == []
    [table] = [row for row in rows if row.startswith("| `table`")]
    assert f"`{PROFILE_PREFIX}...`" in table
    assert f"`{FEATURE_PREFIX}...`" in table


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_exists(command: tuple[str, ...]) -> None:
    room, *names = command
    done = CliRunner().invoke(import_module(f"{room}.__main__").app, [*names, "--help"])
    assert done.exit_code == 0, done.output
    assert "Usage" in done.stdout


def test_compose_gives_known_variables_only() -> None:
    ours = COMPOSE["services"]["updater"]["environment"] | COMPOSE["services"]["demo"]["environment"]
    assert set(ours) <= set(variables())


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_every_picture_and_file_linked_is_there(page: Path) -> None:
    linked = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert [target for target in linked if not (page.parent / target).exists()] == []
