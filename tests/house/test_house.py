"""The rules of the house: who imports whom, what runs without torch, who reads the environment, what is under git."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from benchmarks import house
from benchmarks.house import ROOMS, ROOT, TOP, imports, modules, room_of
from index.search.hnsw import HnswSettings
from index.search.index_files import build_index
from model_export.bundle.bundle import Bundle

MOST_MODULES = 14  # in one folder
README_LINES = 150
# Library -> the only module that may import it; benchmarks, for which it is a peer, and the testbed apart.
ONLY_IN = {
    "fsspec": "mindstream.objects.bucket",
    "hnswlib": "index.search.hnsw",
    "lightgbm": "model_export.ranking.lambdamart",
    "onnxruntime": "model_export.bundle.onnx_session",
    "pydantic_settings": "mindstream.settings",
    "redis": "stream.store.redis.client",
}
PAGE = ("demo.app", "demo.page.", "demo.serve")  # what may import streamlit
WITH_EXTRA = tuple(f"stream.events.registry.{name}" for name in ("avro", "client", "protobuf", "reader"))
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
# {**os.environ, ...} for a child process; nothing in it is read.
PASSES_IT_ON = {"demo.command", "testbed.chart.tools", "testbed.demo_process", "testbed.stream_process"}

LARGEST = 100_000  # bytes
A_MACHINE_S_PATH = re.compile(r"(?<![\w.$}])/(?:work|root|home)\b")
A_REGISTRY = re.compile(r"pypi\.org|pythonhosted\.org|repo\d*\.maven")


def is_of(library: str, name: str) -> bool:
    return name == library or name.startswith(f"{library}.")


def importing(library: str) -> set[str]:
    """The modules that import a library, anywhere in the file."""
    return {module for module, tree in modules().items() if any(is_of(library, name) for name in imports(tree))}


def is_product(module: str) -> bool:
    return module.split(".")[0] not in ("benchmarks", "testbed")


def test_every_module_is_in_a_room() -> None:
    assert len(modules()) > 200
    outside = {module for module in modules() if room_of(module) is None}
    assert {one for one in outside if not one.endswith((".__main__", ".__init__"))} == set()
    assert {room_of(module) for module in modules()} - {None} == set(ROOMS)


def test_rooms_stand_above_those_that_they_may_not_import() -> None:
    """A name in a room's line is another room's, or begins such a one, that stands in a line above."""
    order = list(ROOMS)
    for room, named in ROOMS.items():
        above = order[: order.index(room)]
        assert [name for name in named if not any(is_of(name, one) for one in above)] == [], room


@pytest.mark.parametrize("room", ROOMS)
def test_who_may_import_whom(room: str) -> None:
    assert [arrow for arrow in house.forbidden() if room_of(arrow[0]) == room] == []


def test_arrows_run_one_way() -> None:
    assert house.against_order() == []
    assert house.cycles() == []


def test_nobody_imports_a_door_or_the_tests() -> None:
    doors = [(module, target) for module, target in house.arrows() if target.endswith(".__main__")]
    assert [arrow for arrow in doors if arrow[0] != "mindstream.cli"] == []
    assert importing("tests") == set()


def test_no_test_imports_another() -> None:
    found = []
    for file in (ROOT / "tests").rglob("test_*.py"):
        names = imports(ast.parse(file.read_text(encoding="utf-8")))
        found += [f"{file.name}: {name}" for name in names if re.search(r"\btests\..*\btest_\w+$", name)]
    assert found == []


def test_a_folder_holds_few_modules() -> None:
    folders = house.files_per_folder((*TOP, "tests"))
    assert {folder: count for folder, count in folders.items() if count > MOST_MODULES} == {}


def test_no_test_begins_an_event_loop_in_its_own_thread() -> None:
    """A browser test of the same process leaves one running there; see `awaited` in tests/support/api_world.py."""
    begins = re.compile(r"\b(asyncio\.run|run_until_complete)\(")
    assert [file for file in (ROOT / "tests").rglob("*.py") if begins.search(file.read_text(encoding="utf-8"))] == []


def test_cycles_and_arrows_against_the_order_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule itself, on a house that breaks it."""
    bad = {
        ("stream.kafka.group.reader", "stream.updater.updater"),
        ("stream.updater.updater", "stream.kafka.group.reader"),
    }
    monkeypatch.setattr(house, "arrows", lambda: bad)
    assert house.against_order() == [("stream.kafka.group.reader", "stream.updater.updater")]
    assert house.forbidden() == [("stream.kafka.group.reader", "stream.updater.updater")]
    assert [sorted(set(loop)) for loop in house.cycles()] == [["stream.kafka.group.reader", "stream.updater.updater"]]


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_has_one_place(library: str) -> None:
    assert {module for module in importing(library) if is_product(module)} == {ONLY_IN[library]}


def test_streamlit_is_for_the_page_only() -> None:
    found = importing("streamlit")
    assert found
    assert [module for module in found if not module.startswith(PAGE)] == []


def test_the_testbed_needs_no_pytest() -> None:
    """Benchmarks run in an image that has no test tools."""
    assert {module for module in importing("pytest") if not module.startswith("tests")} == set()


def test_the_contract_needs_numpy_and_the_standard_library_only() -> None:
    for module in ("model_export.bundle.bundle", "model_export.bundle.registry"):
        names = {name.split(".")[0] for name in imports(modules()[module])}
        assert names <= {"numpy", "model_export"} | sys.stdlib_module_names


def test_torch_stays_in_the_training_room() -> None:
    """A command line of model_export imports it as soon as it trains, not before; benchmarks measure it."""
    found = importing("torch")
    assert "model_export.models.mind" in found
    assert {module for module in found if is_product(module) and not module.startswith("model_export.")} == set()
    assert {module for module in found if module.startswith("model_export.bundle.")} == set()


WITHOUT = """
import importlib, importlib.abc, json, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused!r}:
            raise ModuleNotFoundError("refused: " + name, name=name)

sys.meta_path.insert(0, Refuse())
for name in {modules!r}:
    importlib.import_module(name)
{work}
assert not {refused!r} & {{name.split(".")[0] for name in sys.modules}}
"""

UPDATE = """
from pathlib import Path
from model_export.bundle.extractor import Extractor
from model_export.bundle.bundle import Bundle
from stream.events.position import Position
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState

bundle = Bundle(Path(sys.argv[1]))
history = tuple(bundle.item_ids[:8])
[capsules] = Extractor(bundle).encode([history])
store = LmdbStore(Path(sys.argv[2]))
store.put_many([UserState("ann", History(history, (0,) * 8, ("",) * 8), capsules, Position("life", 0, 0))])
"""

RECOMMEND = """
from index.recommend.recommender import Recommender

recommender = Recommender(bundle, store)
found = recommender.recommend("ann", 5)
print(json.dumps([recommender.index.kind, found.path, len(found.item_ids), len(found.interests)]))
"""


def modules_of(top: str) -> list[str]:
    """Every module below a folder but the page, which needs streamlit, and what needs an extra."""
    apart = (*PAGE, *WITH_EXTRA)
    names = [module for module in modules() if module.split(".")[0] == top and not module.startswith(apart)]
    return [name.removesuffix(".__init__") for name in names]


def run_without(refused: set[str], modules: list[str], work: str, *arguments: object) -> str:
    """Import modules and do some work in a process where some libraries cannot be imported; what it prints."""
    script = WITHOUT.format(refused=refused, modules=modules, work=work)
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=480)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_updater_runs_without_torch_hnswlib_and_streamlit(bundle: Bundle, tmp_path: Path) -> None:
    refused = {"torch", "hnswlib", "streamlit", "fastavro", "grpc_tools"}
    run_without(refused, modules_of("stream"), UPDATE, bundle.path, tmp_path)


def test_index_and_demo_run_without_torch(bundle: Bundle, tmp_path: Path) -> None:
    copy = Bundle(shutil.copytree(bundle.path, tmp_path / "bundle"))
    build_index(copy, "hnsw", HnswSettings(), progress=False)
    modules = [*modules_of("index"), *modules_of("demo")]
    printed = run_without({"torch", "streamlit"}, modules, UPDATE + RECOMMEND, copy.path, tmp_path / "state")
    assert json.loads(printed) == ["hnsw", "capsules", 5, 4]


def test_publishing_runs_without_torch(bundle: Bundle, tmp_path: Path) -> None:
    work = (
        "from pathlib import Path; from model_export.commands import bundles; bundles.publish(*map(Path, sys.argv[1:]))"
    )
    modules = ["model_export.readers", "model_export.data.simulator"]
    printed = run_without({"torch", "hnswlib", "streamlit"}, modules, work, bundle.path, tmp_path)
    assert printed == f"current model: {bundle.version}\n"


def test_only_settings_look_at_the_environment() -> None:
    looking = {module for module, tree in modules().items() if list(looks_at_environment(tree, module))}
    assert looking <= {"mindstream.settings"}


def looks_at_environment(tree: ast.AST, module: str) -> Iterator[ast.AST]:
    """Uses of os.environ and its like; a copy made for a child process is none, in modules that may make one."""
    copied = [
        value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict) and module in PASSES_IT_ON
        for key, value in zip(node.keys, node.values, strict=True)
        if key is None
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT and node not in copied:
            yield node
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (alias for alias in node.names if alias.name in ENVIRONMENT)


def test_what_is_public_is_documented() -> None:
    assert house.undocumented() == []


def first_lines() -> Iterator[tuple[str, str]]:
    """Where each docstring of a function stands, and its first line."""
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (said := ast.get_docstring(node)):
                yield f"{module}:{node.lineno} {node.name}", said.splitlines()[0]


NO_VERB = re.compile(r"(What|Whether|How|Where|That|Those|Likewise|The|A|An|Like|Its?|One|All|Every|This|These) ")


def test_a_docstring_begins_with_what_the_function_does() -> None:
    """An imperative sentence of at most 88 characters; ruff's D401 knows verbs, this the riddles."""
    found = dict(first_lines())
    assert {place: line for place, line in found.items() if len(line) > 88} == {}
    assert {place: line for place, line in found.items() if NO_VERB.match(line)} == {}


def test_names_that_others_may_import_are_listed() -> None:
    """`__all__` names what stands in a module, and nothing private is imported by another module."""
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in TOP:
                private = [alias.name for alias in node.names if alias.name.startswith("_")]
                assert private == [], f"{module} imports {private} of {node.module}"


@cache
def under_git() -> list[Path]:
    """Files that are, or are about to be, under git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this is no git checkout: {error}")
    return [file for name in listed.split("\0") if name and (file := ROOT / name).is_file()]


def test_no_large_files() -> None:
    assert [file.name for file in under_git() if file.stat().st_size > LARGEST] == []


@pytest.mark.parametrize("foreign", [A_MACHINE_S_PATH, A_REGISTRY], ids=["a machine's paths", "registries"])
def test_nothing_names_one_machine_or_registry(foreign: re.Pattern[str]) -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for file in under_git()
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if foreign.search(line)
    ]
    assert found == []
