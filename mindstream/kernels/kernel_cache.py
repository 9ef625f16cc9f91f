"""Machine code that numba made, kept between processes: it belongs to the sources that it was made of.

numba's own cache looks at the file of a function alone. A kernel that another file's kernel is compiled into goes on
with the old code where that one was changed; a damaged file is an error of pickle; two processes that compile the same
function for different types at once may take each other's code. Here the folder is named by all sources that a kernel
imports, by the versions and by the processor; a file by the types that it is for; and what is not whole is made anew.
"""

import ast
import hashlib
import logging
import os
import pickle
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

__all__ = ["KernelCache", "cache_folder", "source_key", "sources_of"]

FOLDER, SUFFIX = "kernels-", ".kernel"
DIGEST = 32  # bytes, in front of the content
SETTINGS = ("OPT", "CPU_NAME", "CPU_FEATURES", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "SLP_VECTORIZE")
UNUSED_S = 30 * 86_400.0

log = logging.getLogger(__name__)


class KernelCache(_Cache):
    """The compiled forms of one function, a file for each choice of types.

    Parameters
    ----------
    function : of a file whose sources name the folder.
    folder : None: nothing is kept.
    """

    def __init__(self, function: Callable[..., Any], folder: Path | None) -> None:
        self.function, self.folder = function, folder

    @property
    def cache_path(self) -> str:
        """Return the folder, for numba's own reports."""
        return str(self.folder)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what was compiled for these types; None if there is nothing, or it is not whole."""
        target_context.refresh()
        if self.folder is None:
            return None
        file = self._file_of(sig, target_context.codegen())
        try:
            return CompileResult._rebuild(target_context, *pickle.loads(_checked(file.read_bytes())))
        except FileNotFoundError:
            return None
        except Exception as error:  # of pickle, LLVM or the disk
            log.warning("%s is damaged, and its machine code is made anew: %s", file, error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for these types, if it may be kept."""
        if self.folder is None or data.library.has_dynamic_globals or any(not one.can_cache for one in data.lifted):
            return
        content = dumps(data._reduce())
        try:
            _write(self._file_of(sig, data.codegen), hashlib.sha256(content).digest() + content)
        except OSError as error:
            _say_not_kept(str(self.folder), error.strerror or str(error))

    def _file_of(self, sig: Any, codegen: Any) -> Path:
        """Return the file of these types."""
        code, name = self.function.__code__, self.function.__qualname__.replace("<", "").replace(">", "")
        what = f"{name} {code.co_firstlineno} {code.co_code.hex()} {sig} {codegen.magic_tuple()}"
        assert self.folder is not None
        return self.folder / f"{name}-{hashlib.sha256(what.encode()).hexdigest()[:32]}{SUFFIX}"

    def enable(self) -> None:
        """Do nothing: it is always on."""

    def disable(self) -> None:
        """Keep and read nothing from now on."""
        self.folder = None

    def flush(self) -> None:
        """Remove what is kept of this function."""
        if self.folder is not None:
            name = self.function.__qualname__.replace("<", "").replace(">", "")
            for file in self.folder.glob(f"{name}-*{SUFFIX}"):
                file.unlink(missing_ok=True)


def _checked(content: bytes) -> bytes:
    """Return the content behind its digest; raise ValueError if it was changed."""
    digest, content = content[:DIGEST], content[DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError(f"its {len(content)} bytes have another digest than when they were written")
    return content


def _write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all, whoever else writes it at the same time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=file.parent, prefix=".")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        os.replace(partial, file)
    except OSError:
        Path(partial).unlink(missing_ok=True)
        raise


@cache
def _say_not_kept(where: str, why: str) -> None:
    """Log once that machine code is not kept."""
    log.warning("machine code cannot be kept in %s, so that each start makes it anew: %s", where, why)


@cache
def cache_folder(file: Path) -> Path | None:
    """Return the folder for the kernels of a source file; None if there can be none.

    It is beside the file, or in the user's cache. One that has some is taken as it is, so that it may be read-only.
    """
    if not file.is_file():
        return None  # what was typed in
    name, bases = FOLDER + source_key(file), list(_bases(file))
    for base in bases:
        if any((base / name).glob(f"*{SUFFIX}")):
            return base / name
    why = "there is no home"
    for base in bases:
        try:
            (base / name).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=base / name).close()
        except OSError as error:
            why = str(error)
        else:
            _remove_unused(base, base / name)
            return base / name
    _say_not_kept(" or ".join(map(str, bases)), why)
    return None


def _bases(file: Path) -> Iterator[Path]:
    """Yield the folders in which there may be one for kernels, the best first."""
    yield file.parent / "__pycache__"
    of_user = Path(AppDirs("mindstream", appauthor=False).user_cache_dir)
    if of_user.is_absolute():  # else there is no home
        yield of_user


def _remove_unused(base: Path, mine: Path) -> None:
    """Remove the folders of older sources that nothing was written to for a month."""
    for folder in base.glob(f"{FOLDER}*"):
        if folder != mine and time.time() - folder.stat().st_mtime > UNUSED_S:
            shutil.rmtree(folder, ignore_errors=True)


@cache
def source_key(file: Path) -> str:
    """Return a digest of all that the machine code of a file's kernels depends on."""
    digest = hashlib.sha256("\n".join(_surroundings()).encode())
    for source in sources_of(file):
        digest.update(f"\n{source.name} ".encode() + hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()[:32]


@cache
def _surroundings() -> tuple[str, ...]:
    """Return versions, processor and settings."""
    settings = [f"{name}={getattr(numba.config, name, None)}" for name in SETTINGS]
    versions = (sys.version, numba.__version__, llvmlite.__version__, np.__version__)
    return (*versions, platform.machine(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), *settings)


def sources_of(file: Path) -> list[Path]:
    """Return a source file and all of its package that it imports, and those in turn."""
    root = file.parent
    while (root / "__init__.py").exists():
        root = root.parent
    found, waiting = set(), [file]
    while waiting:
        source = waiting.pop()
        if source not in found:
            found.add(source)
            waiting += [one for one in _imported(source, root) if one.is_file()]
    return sorted(found)


@cache
def _imported(source: Path, root: Path) -> tuple[Path, ...]:
    """Return where modules that a file imports would be, below the root."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return tuple(root.joinpath(*name.split(".")).with_suffix(".py") for name in sorted(names))
