"""What the pages and compose.yaml say is so: variables, commands, options, columns, links."""

import importlib.util
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml

from mindstream.cli import app_for
from mindstream.settings import Settings
from model_export.readers import formats
from model_export.readers.names import ACCEPTED, FEATURE_PREFIX, PROFILE_PREFIX

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))

README_LINES = 150
FORMS = ("python -m demo", "python -m index", "python -m model_export", "python -m stream", "mindstream")
CODE = re.compile(r"^```\w*\n(.*?)^```$|`([^`\n]+)`", flags=re.MULTILINE | re.DOTALL)
COMMAND = re.compile(
    r"(python -m (?:benchmarks|demo|index|model_export|stream)\b|(?<!\S)mindstream(?= (?!import)[a-z]))"
)
OPTION = re.compile(r"(?<!\S)(--[a-z][a-z-]*|-[a-z])\b")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def variables() -> dict[str, object]:
    """Environment variable -> default."""
    fields = Settings.model_fields.items()
    return {str(field.validation_alias or f"MINDSTREAM_{name.upper()}"): field.default for name, field in fields}


def commands_in(code: str) -> Iterator[tuple[str, str]]:
    """The program and the rest of the line of each command in some code; a comment may name further options."""
    for line in code.splitlines():
        found = COMMAND.search(line.replace("$(", "$( "))
        if found:
            yield found[1], re.split(r"[|;>)]|\$\(", found.string[found.end() :])[0]


def shown() -> list[tuple[str, str]]:
    """Every command that the pages show or Compose runs: the program, and what follows."""
    found = set()
    for page in PAGES:
        for block, span in CODE.findall(page.read_text(encoding="utf-8")):
            found |= set(commands_in(block or span))
    for service in COMPOSE["services"].values():
        found |= set(commands_in(" ".join(service.get("command", []))))
    return sorted(found)


def command_of(program: str, words: list[str]) -> Any:
    """The command that these words name: groups are followed until a command that takes the rest."""
    room = program.removeprefix("python -m ")
    app = app_for(words) if program == "mindstream" else import_module(f"{room}.__main__").app
    command: Any = typer.main.get_command(app)
    for word in words:
        subcommands = getattr(command, "commands", None)
        if subcommands is None or not re.fullmatch(r"[a-z-]+", word):
            break
        assert word in subcommands, f"{program} has no command {word}"
        command = subcommands[word]
    return command


def tool(name: str) -> ModuleType:
    """A module of docs/tools."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_variable_is_documented_with_its_default() -> None:
    page = text_of("docs/configuration.md")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([^|`]+)`? \|", page, flags=re.MULTILINE))
    assert set(rows) == set(variables())
    for name, default in variables().items():
        if name not in ("CI", "XDG_CACHE_HOME") and str(default) not in ("", "None"):
            assert rows[name] == (str(default).lower() if isinstance(default, bool) else str(default))


def test_every_variable_that_a_page_names_exists() -> None:
    named = {
        name for page in PAGES for name in re.findall(r"\b(?:MINDSTREAM|KAFKA)_[A-Z_]+\b", page.read_text("utf-8"))
    }
    assert named <= set(variables())


def test_every_format_of_a_log_and_every_column_is_documented() -> None:
    rows = {line.split("`")[1]: line for line in text_of("docs/data.md").splitlines() if line.startswith("| `")}
    assert [name for name in formats() if name not in rows] == []
    assert {f"{PROFILE_PREFIX}...", f"{FEATURE_PREFIX}..."} <= set(rows)
    for field, names in ACCEPTED.items():
        assert re.findall(r"`([^`]+)`", rows[field].split("|")[2]) == list(names)


@pytest.mark.parametrize(("program", "rest"), shown(), ids=lambda part: part.strip()[:60])
def test_every_command_and_option_exists(program: str, rest: str) -> None:
    command = command_of(program, rest.partition("#")[0].split())
    assert set(OPTION.findall(rest)) <= options_of(command) | {"--help"}


def options_of(command: Any) -> set[str]:
    """The options of a command and of all below it."""
    own = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return own.union(*(options_of(one) for one in getattr(command, "commands", {}).values()))


def test_every_option_in_a_text_or_table_exists() -> None:
    programs = ("python -m benchmarks", *FORMS)
    known = set[str]().union(*(options_of(command_of(program, [])) for program in programs)) | {"--help"}
    spans = {span for page in PAGES for _, span in CODE.findall(page.read_text("utf-8")) if span.startswith("-")}
    assert {option for span in spans for option in OPTION.findall(span)} <= known


def test_the_pages_show_commands_in_every_form() -> None:
    assert {program for program, _ in shown()} == {"python -m benchmarks", *FORMS}


def test_compose_gives_known_variables_only() -> None:
    ours = COMPOSE["services"]["updater"]["environment"] | COMPOSE["services"]["demo"]["environment"]
    assert set(ours) <= set(variables())


def test_readme_is_a_door() -> None:
    assert len(text_of("README.md").splitlines()) <= README_LINES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_file_linked_is_there(page: Path) -> None:
    tool("pages").rewritten(page, set())


def test_a_dead_link_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = tool("pages")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text("[nowhere](docs/nothing.md)", encoding="utf-8")
    with pytest.raises(ValueError, match=r"README\.md links to docs/nothing\.md, which is not a file"):
        pages.rewritten(tmp_path / "README.md", set())


def test_the_site_has_every_page_and_the_code_that_they_link_to(tmp_path: Path) -> None:
    pages = tool("pages")
    pages.main(tmp_path)
    nav = re.findall(r"[\w/-]+\.md$", text_of("mkdocs.yml"), flags=re.MULTILINE)
    made = {page.relative_to(tmp_path).as_posix() for page in tmp_path.rglob("*.md")}
    assert {page for page in made if not page.startswith("source/")} == set(nav)
    assert "source/stream/updater/updater.py.md" in made
