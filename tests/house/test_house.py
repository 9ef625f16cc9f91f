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

from index.search.bundled import build_index
from index.search.hnsw import HnswSettings
from model_export.bundle.format import Bundle

ROOT = Path(__file__).parents[2]
ROOMS = ("benchmarks", "demo", "index", "model_export", "stream", "tests")
OURS = (*ROOMS, "console", "settings")

BUNDLE, EXTRACTOR, REGISTRY = (
    "model_export.bundle.format",
    "model_export.bundle.extractor",
    "model_export.bundle.registry",
)
REPEATS = "model_export.bundle.own_items"
SERVING = "model_export.bundle.serving"
REAL_PARTS = (
    "testbed.real_kafka",
    "testbed.java_broker",
    "testbed.kafka_jars",
    "testbed.real_redis",
    "testbed.system",
    "testbed.tied_process",
)
FAULT_PARTS = (  # of `python -m benchmarks faults` and `swap`
    "testbed.stream_process",
    "testbed.bad_records",
    "testbed.small_model",
    "testbed.bad_bundles",
)
STORES = (  # what index reads of the stream's, how it prints it, and the way to the Redis where its own items are too
    "stream.events.event",
    "stream.store.history",
    "stream.store.interests",
    "stream.events.position",
    "mindstream.printable",
    "stream.store.redis_address",
    "stream.store.redis_link",
    "stream.store.state",
    "stream.store.protocol",
    "stream.store.open",
)
DEMO_PARTS = ("testbed.demo_process",)  # of `python -m benchmarks demo`
# Room -> what of ours it may import besides itself, settings and console. A name allows what is below it.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "stream": (BUNDLE, EXTRACTOR, REGISTRY, SERVING, "model_export.data.interactions", "model_export.readers"),
    "index": (BUNDLE, EXTRACTOR, REGISTRY, REPEATS, SERVING, *STORES),
    "model_export": (),
    "demo": ("index", "model_export", "stream"),
    "benchmarks": ("index", "model_export", "stream", *REAL_PARTS, *FAULT_PARTS, *DEMO_PARTS),
    "settings": (),
    "console": (),
}
# Library -> the only file that may import it; benchmarks, where it is a peer, and tests apart.
ONLY_IN = {
    "hnswlib": "index/hnsw.py",
    "onnxruntime": "model_export/extractor.py",
    "pydantic_settings": "settings.py",
    "redis": "stream/redis_link.py",
}
PAGE = ("demo/app.py", "demo/page/", "demo/serve.py")  # what may import streamlit
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
PASSES_IT_ON = {"demo/__main__.py"}  # {**os.environ, ...} for a child process; nothing in it is read

LARGEST = 100_000  # bytes
A_MACHINE_S_PATH = re.compile(r"(?<![\w.$}])/(?:work|root|home)\b")
A_REGISTRY = re.compile(r"pypi\.org|pythonhosted\.org|repo\d*\.maven")


@cache
def sources() -> dict[str, ast.Module]:
    """Path below the root -> syntax tree, of every Python file that is ours."""
    files = [*ROOT.glob("*.py"), *(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))]
    return {file.relative_to(ROOT).as_posix(): ast.parse(file.read_text(encoding="utf-8")) for file in sorted(files)}


def product() -> dict[str, ast.Module]:
    """Those that are not tests."""
    return {path: tree for path, tree in sources().items() if room_of(path) != "tests"}


def room_of(path: str) -> str:
    return path.split("/")[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, anywhere in the file: a name taken from a package counts where it is a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if is_module(full) else node.module


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def allows(allowed: str, name: str) -> bool:
    return name == allowed or name.startswith(f"{allowed}.")


def test_the_rooms_are_all_there() -> None:
    assert {room_of(path) for path in sources()} == set(OURS)
    assert set(MAY_IMPORT) == set(OURS) - {"tests"}
    assert len(sources()) > 50


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_who_may_import_whom(room: str) -> None:
    allowed = (room, "settings", "console", *MAY_IMPORT[room])
    broken = [
        f"{path} imports {name}"
        for path, tree in sources().items()
        if room_of(path) == room
        for name in imports(tree)
        if name.split(".")[0] in OURS and not any(allows(one, name) for one in allowed)
    ]
    assert broken == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_has_one_place(library: str) -> None:
    found = {path for path, tree in product().items() if any(allows(library, name) for name in imports(tree))}
    assert {path for path in found if room_of(path) != "benchmarks"} == {ONLY_IN[library]}


def test_streamlit_is_for_the_page_only() -> None:
    found = {path for path, tree in product().items() if any(allows("streamlit", name) for name in imports(tree))}
    assert found
    assert [path for path in found if not path.startswith(PAGE)] == []


def test_the_contract_needs_numpy_and_the_standard_library_only() -> None:
    for path in ("model_export/bundle.py", "model_export/registry.py"):
        names = {name.split(".")[0] for name in imports(sources()[path])}
        assert names <= {"numpy", "model_export"} | sys.stdlib_module_names


def test_torch_stays_in_the_training_room() -> None:
    """A command line of model_export and the demo import it where they train, not before; benchmarks measure it."""
    importing = {path for path, tree in product().items() if any(allows("torch", name) for name in imports(tree))}
    assert "model_export/mind.py" in importing
    assert {path for path in importing if room_of(path) not in ("model_export", "benchmarks")} <= {"demo/prepare.py"}


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
from model_export.bundle import Bundle
from model_export.extractor import Extractor
from stream.history import History
from stream.position import Position
from stream.state import UserState
from stream.store import LmdbStore

bundle = Bundle(Path(sys.argv[1]))
history = tuple(bundle.item_ids[:8])
[capsules] = Extractor(bundle).encode([history])
store = LmdbStore(Path(sys.argv[2]))
store.put_many([UserState("ann", History(history, (0,) * 8, ("",) * 8), capsules, Position("life", 0, 0))])
"""

RECOMMEND = """
from index.recommender import Recommender

recommender = Recommender(bundle, store)
found = recommender.recommend("ann", 5)
print(json.dumps([recommender.index.kind, found.path, len(found.item_ids), len(found.interests)]))
"""


def modules_of(room: str) -> list[str]:
    """Every module of a room but the page, which needs streamlit."""
    paths = [path for path in sources() if room_of(path) == room and not path.startswith(PAGE)]
    return [path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in paths]


def run_without(refused: set[str], modules: list[str], work: str, *arguments: object) -> str:
    """Import modules and do some work in a process where some libraries cannot be imported; what it prints."""
    script = WITHOUT.format(refused=refused, modules=modules, work=work)
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_updater_runs_without_torch_hnswlib_and_streamlit(bundle: Bundle, tmp_path: Path) -> None:
    run_without({"torch", "hnswlib", "streamlit"}, modules_of("stream"), UPDATE, bundle.path, tmp_path)


def test_index_and_demo_run_without_torch(bundle: Bundle, tmp_path: Path) -> None:
    copy = Bundle(shutil.copytree(bundle.path, tmp_path / "bundle"))
    build_index(copy, "hnsw", HnswSettings(), progress=False)
    modules = [*modules_of("index"), *modules_of("demo")]
    printed = run_without({"torch", "streamlit"}, modules, UPDATE + RECOMMEND, copy.path, tmp_path / "state")
    assert json.loads(printed) == ["hnsw", "capsules", 5, 4]


def test_publishing_runs_without_torch(bundle: Bundle, tmp_path: Path) -> None:
    work = "from model_export.registry_commands import *\npublish(*map(Path, sys.argv[1:]))"
    modules = ["model_export.readers", "model_export.data.simulator"]
    printed = run_without({"torch", "hnswlib", "streamlit"}, modules, work, bundle.path, tmp_path)
    assert printed == f"current model: {bundle.version}\n"


def test_only_settings_look_at_the_environment() -> None:
    assert {path for path, tree in product().items() if list(looks_at_environment(tree, path))} <= {"settings.py"}


def looks_at_environment(tree: ast.AST, path: str) -> Iterator[ast.AST]:
    """Uses of os.environ and its like; a copy made for a child process is none, where that is allowed."""
    copied = [
        value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict) and path in PASSES_IT_ON
        for key, value in zip(node.keys, node.values, strict=True)
        if key is None
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT and node not in copied:
            yield node
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (alias for alias in node.names if alias.name in ENVIRONMENT)


def test_what_is_public_says_what_it_is() -> None:
    """Every module that holds something, every public function and class of a module."""
    silent = []
    for path, tree in product().items():
        public = [
            node
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_")
        ]
        silent += [f"{path}: {node.name}" for node in public if not ast.get_docstring(node)]
        if tree.body and not ast.get_docstring(tree):
            silent.append(path)
    assert not silent, silent


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
