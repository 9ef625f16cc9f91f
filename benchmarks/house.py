"""The house in figures: folders, cycles, arrows against the order of the rooms, docstrings, types, lines."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np

from benchmarks.harness.report import finish
from model_export.evaluation.report import table

__all__ = [
    "ROOMS",
    "ROOT",
    "TOP",
    "against_order",
    "arrows",
    "cycles",
    "files_per_folder",
    "forbidden",
    "imports",
    "main",
    "modules",
    "room_of",
    "undocumented",
]

ROOT = Path(__file__).parents[1]
TOP = ("benchmarks", "demo", "index", "mindstream", "model_export", "stream", "testbed")

# Room -> what it may import besides itself; a name allows the rooms below it too. All of them stand in lines above, so
# arrows run one way. A module belongs to the longest name here that it begins with.
_BUNDLE, _DATA, _READERS = "model_export.bundle", "model_export.data", "model_export.readers"
_MODELS, _EVALUATION, _TABLES = "model_export.models", "model_export.evaluation", "model_export.item_tables"
_RANKERS = "model_export.rankers"
ROOMS: dict[str, tuple[str, ...]] = {
    "mindstream": (),  # the ground: settings, console, files
    _BUNDLE: ("mindstream",),
    _DATA: ("mindstream",),
    f"{_READERS}.layout": ("mindstream",),
    f"{_READERS}.sql": (),
    f"{_READERS}.presets": ("mindstream", _DATA, f"{_READERS}.layout", f"{_READERS}.sql"),
    _READERS: ("mindstream", _DATA),
    _TABLES: ("mindstream", _DATA),
    _MODELS: ("mindstream", _BUNDLE, _DATA, _TABLES),
    _RANKERS: ("mindstream", _BUNDLE, _DATA, _MODELS),
    f"{_MODELS}.checkpoint": ("mindstream", _BUNDLE, _DATA, _MODELS, _RANKERS),
    _EVALUATION: ("mindstream", _BUNDLE, _DATA, _MODELS),
    "model_export.training": ("mindstream", _BUNDLE, _DATA, _TABLES, _MODELS, _EVALUATION),
    "model_export.ranking": ("mindstream", _BUNDLE, _DATA, _MODELS, _RANKERS, _EVALUATION, "model_export.training"),
    "model_export.export": ("mindstream", _BUNDLE, _DATA, _MODELS, _RANKERS, _EVALUATION),
    "model_export.summary": ("mindstream", _DATA, _EVALUATION),
    "model_export.commands": ("mindstream", "model_export"),
    "stream.monitoring": ("mindstream",),
    "stream.kafka": ("mindstream", "stream.monitoring"),
    "stream.kafka.group": ("mindstream", "stream.monitoring", "stream.kafka"),
    "stream.events": ("mindstream", _DATA, "stream.kafka"),
    "stream.store": ("mindstream", _BUNDLE, "stream.events"),
    "stream.transfer": ("mindstream", _BUNDLE, "stream.events", "stream.store"),
    "stream.repair": ("mindstream", "stream.events", "stream.store"),
    "stream.dead_letters": ("mindstream", "stream.kafka", "stream.events"),
    "stream.archive": ("mindstream", "stream.monitoring", "stream.kafka", "stream.events"),
    "stream.updater": ("mindstream", _BUNDLE, "stream"),
    "stream.schema": ("mindstream", "stream"),
    "stream.commands": ("mindstream", _BUNDLE, _READERS, "stream"),
    "index.search": ("mindstream", _BUNDLE),
    "index.catalogue": ("mindstream", _BUNDLE, "stream.store", "index.search"),
    "index.rank": (_BUNDLE, "stream.store", "index.search", "index.catalogue"),
    "index.recommend": ("mindstream", _BUNDLE, "stream.store", "index.search", "index.catalogue", "index.rank"),
    "index.api": ("mindstream", _BUNDLE, "stream.events", "stream.store", "index"),
    "index.commands": ("mindstream", _BUNDLE, "stream.store", "index"),
    "mindstream.retrain": ("mindstream", "model_export", "index.search"),
    "demo.drawing": (_BUNDLE, "stream.store", "index.recommend"),
    "demo.training": ("mindstream", "model_export"),
    "demo.engine": ("mindstream", "model_export", "stream", "index", "demo.drawing", "demo.training"),
    "demo.page": ("mindstream", _BUNDLE, "stream.store", "index", "demo"),
    "demo": ("mindstream",),
    "mindstream.commands": ("mindstream", "model_export"),
    "mindstream.cli": ("mindstream",),
    "testbed": ("mindstream", "model_export", "stream.events", "stream.store"),
    "benchmarks.harness": ("mindstream", "model_export", "stream", "testbed"),
    "benchmarks.scenario": ("mindstream", "model_export", "stream", "testbed", "benchmarks.harness"),
    "benchmarks.kgat": ("model_export", "benchmarks.harness"),
    "benchmarks.quality": ("mindstream", "model_export", "stream", "index", "testbed", "benchmarks.harness"),
    "benchmarks.ranking": ("mindstream", "model_export", "benchmarks.harness"),
    "benchmarks.retrieval": ("model_export", "index", "benchmarks.harness"),
    "benchmarks.speed": ("mindstream", "model_export", "stream", "index", "testbed", "benchmarks.harness"),
    "benchmarks.faults": ("mindstream", "model_export", "stream", "testbed", "benchmarks"),
    "benchmarks.events": ("mindstream", "model_export", "stream", "testbed", "benchmarks.harness"),
    "benchmarks.night": ("mindstream", "model_export", "stream", "testbed", "benchmarks"),
    "benchmarks.swap": ("mindstream", "model_export", "stream", "index", "testbed", "benchmarks"),
    "benchmarks.page": ("mindstream", "model_export", "stream", "index", "benchmarks"),
    "benchmarks.overlay": ("mindstream", "model_export", "stream", "index", "testbed", "benchmarks"),
    "benchmarks": ("mindstream", _EVALUATION),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> None:
    """Print how the house is built; the last line is one JSON object."""
    found = _figures()
    print(table(["figure", "", "goal"], [(name, value, _GOALS.get(name, "")) for name, value in found.items()]))
    finish(found)


_GOALS = {
    "files_per_folder_max": "<= 14",
    "cycles": "0",
    "arrows_against_order": "0",
    "readme_lines": "<= 150",
    "public_names_undocumented": "0",
}


def _figures() -> dict[str, float]:
    """Measure everything."""
    folders, functions = files_per_folder(TOP), [node for _, node in _functions()]
    lengths = [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions]
    typed = [one for node in functions for one in _is_typed(node)]
    return {
        "files": sum(folders.values()),
        "folders": len(folders),
        "files_per_folder_max": max(folders.values()),
        "files_per_folder_mean": round(sum(folders.values()) / len(folders), 1),
        "cycles": len(cycles()),
        "arrows_against_order": len(against_order()),
        "readme_lines": len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()),
        "public_names_undocumented": len(undocumented()),
        "function_lines_median": float(np.median(lengths)),
        "function_lines_p90": float(np.percentile(lengths, 90)),
        "typed_percent": round(100 * sum(typed) / len(typed), 2),
    }


@cache
def modules() -> dict[str, ast.Module]:
    """Read every module but the tests'.

    Returns
    -------
    Module name -> syntax tree; of a package the name ends in `__init__`.
    """
    files = sorted(file for top in TOP for file in (ROOT / top).rglob("*.py"))
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts): ast.parse(file.read_text(encoding="utf-8"))
        for file in files
    }


def files_per_folder(tops: tuple[str, ...]) -> dict[str, int]:
    """Count the modules of each folder below these; a folder that holds folders only is none."""
    found: dict[str, int] = {}
    for file in (file for top in tops for file in (ROOT / top).rglob("*.py")):
        if file.name != "__init__.py" or file.stat().st_size:
            folder = file.parent.relative_to(ROOT).as_posix()
            found[folder] = found.get(folder, 0) + (file.name != "__init__.py")
    return {folder: count for folder, count in found.items() if count}


def room_of(module: str) -> str | None:
    """Name the room that a module is in; None for doors and for folders of rooms.

    Doors are the `__main__` modules, which nobody imports: they may import any room.
    """
    if module.endswith(".__main__"):
        return None
    names = module.removesuffix(".__init__").split(".")
    for end in range(len(names), 0, -1):
        if (name := ".".join(names[:end])) in ROOMS:
            return name
    return None


def imports(tree: ast.AST) -> Iterator[str]:
    """List the modules that a file imports anywhere, but for the type checker alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if _is_module(full) else node.module
        else:
            yield from imports(node)


def _is_module(name: str) -> bool:
    """Tell whether a dotted name is a module or package of ours."""
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


@cache
def arrows() -> frozenset[tuple[str, str]]:
    """List who imports whom among our modules."""
    ours = modules()
    found = set()
    for module, tree in ours.items():
        for name in imports(tree):
            target = name if name in ours else f"{name}.__init__"
            if target in ours and target != module:
                found.add((module, target))
    return frozenset(found)


def cycles() -> list[list[str]]:
    """Find modules that import each other in a loop.

    Each loop that is found is opened at one arrow, to find the next.
    """
    graph: dict[str, set[str]] = {}
    for module, target in arrows():
        graph.setdefault(module, set()).add(target)
    found: list[list[str]] = []
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            loop = error.args[1]
            found.append(loop)
            graph[loop[1]].discard(loop[0])
        else:
            return found


def against_order() -> list[tuple[str, str]]:
    """List the arrows from a room to one that does not stand above it in ROOMS."""
    order = {room: place for place, room in enumerate(ROOMS)}
    pairs = [(room_of(module), room_of(target), module, target) for module, target in arrows()]
    return sorted(
        (module, target)
        for room, other, module, target in pairs
        if room is not None and other is not None and room != other and order[other] > order[room]
    )


def forbidden() -> list[tuple[str, str]]:
    """List the arrows from a room to one that its line in ROOMS does not name."""
    pairs = [(room_of(module), room_of(target), module, target) for module, target in arrows()]
    return sorted(
        (module, target)
        for room, other, module, target in pairs
        if room is not None and other is not None and not any(_allows(one, other) for one in (room, *ROOMS[room]))
    )


def _allows(name: str, room: str) -> bool:
    """Tell whether a name in ROOMS allows a room."""
    return room == name or room.startswith(f"{name}.")


def _functions() -> Iterator[tuple[str, Function]]:
    """List every function of every module with the module's name."""
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield module, node


def _is_typed(node: Function) -> list[bool]:
    """Tell of each parameter (but self and cls) and of the return value whether it has a type."""
    given = node.args
    parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    named = [one for one in parameters if one is not None and one.arg not in ("self", "cls")]
    return [*(one.annotation is not None for one in named), node.returns is not None or node.name == "__init__"]


def undocumented() -> list[str]:
    """List the public modules, classes, functions and methods without a docstring."""
    silent = []
    for module, tree in modules().items():
        if tree.body and not ast.get_docstring(tree):
            silent.append(module)
        silent += [f"{module}.{name}" for name, node in _public(tree) if not ast.get_docstring(node)]
    return silent


def _public(tree: ast.Module) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """List the public classes, functions and methods of a module."""
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            for member in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(member, Function) and not member.name.startswith("_"):
                    yield f"{node.name}.{member.name}", member
