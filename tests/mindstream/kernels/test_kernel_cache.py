"""Machine code belongs to the sources that it was made of, and what is not whole is made anew."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest

from index.search import heaps
from mindstream.kernels import kernel_cache
from mindstream.kernels.kernel_cache import KernelCache, cache_folder, source_key, sources_of

ROOT = Path(__file__).parents[3]
KEYS = """
from mindstream.kernels.compiled import compiled

@compiled()
def weight(number):
    return 2 * number
"""
SCAN = """
from mindstream.kernels.compiled import compiled
from shop.keys import weight

@compiled()
def total(numbers):
    found = 0
    for number in numbers:
        found += weight(number)
    return found
"""
ASK = """
import sys
import numpy as np
from shop.scan import total

sys.stdin.readline()
print(total(np.arange(4, dtype=sys.argv[1])), sum(total.stats.cache_hits.values()))
"""


def double(number: int) -> int:
    return 2 * number


def asked(folder: Path | None) -> int:
    """Have 21 doubled by a kernel that is new to this process; how often its machine code was found in the folder."""
    kernel: Any = numba.njit(double)
    kernel._cache = KernelCache(double, folder)
    assert kernel(21) == 42
    return sum(kernel.stats.cache_hits.values())


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A package of two files, the kernel of one of which is compiled into that of the other."""
    package = tmp_path / "shop"
    package.mkdir()
    for name, text in (("__init__", ""), ("keys", KEYS), ("scan", SCAN)):
        (package / f"{name}.py").write_text(text)
    return package


def started(shop: Path, kind: str = "int64", **variables: str) -> subprocess.Popen[str]:
    """A process that adds up 0 to 3, once it is told to."""
    paths = {"PYTHONPATH": f"{shop.parent}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", ASK, kind],
        env={**os.environ, **paths, **variables},
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
    )


def ran(shop: Path, **variables: str) -> tuple[list[int], str]:
    """The total, and how often machine code was found; and what was said."""
    with started(shop, **variables) as process:
        out, err = process.communicate("go\n", timeout=240)
    assert process.returncode == 0, err
    return [int(one) for one in out.split()], err


@pytest.mark.slow
def test_a_change_in_what_a_kernel_uses_makes_it_anew(shop: Path) -> None:
    assert ran(shop) == ([12, 0], "")
    assert ran(shop) == ([12, 1], "")
    (shop / "keys.py").write_text(KEYS.replace("2 *", "7 *"))
    assert ran(shop) == ([42, 0], "")
    (shop / "keys.py").write_text(KEYS)
    assert ran(shop) == ([12, 1], "")  # what was made before is still there


@pytest.mark.slow
def test_two_processes_at_once_of_different_types(shop: Path) -> None:
    for hits in (0, 1):
        processes = [started(shop, kind) for kind in ("int64", "float32")]
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=240) for process in processes]
        assert [out.split() for out, _ in said] == [["12", str(hits)], ["12.0", str(hits)]]


def no_folder(path: Path) -> None:
    """Let a file stand where the folder would be made: root, as which tests may run, may write into any folder."""
    path.write_text("")


@pytest.mark.slow
def test_without_any_folder_for_it_machine_code_is_not_kept(shop: Path) -> None:
    """A process in a read-only container starts all the same, and says it."""
    no_folder(shop / "__pycache__")
    home = shop.parent / "home"
    home.mkdir()
    assert ran(shop, HOME=str(home), XDG_CACHE_HOME=str(home / ".cache")) == ([12, 0], "")
    assert ran(shop, HOME=str(home), XDG_CACHE_HOME=str(home / ".cache")) == ([12, 1], "")
    assert list((home / ".cache" / "mindstream").glob("kernels-*/total-*.kernel"))
    shutil.rmtree(home)
    no_folder(home)
    found, said = ran(shop, HOME=str(home), XDG_CACHE_HOME=str(home / ".cache"))
    assert found == [12, 0]
    assert "machine code cannot be kept in " in said
    assert "Not a directory" in said


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    "spoil", [cut, flip, lambda file: file.write_bytes(b""), lambda file: file.write_bytes(b"no" * 99), folder_instead]
)
def test_damaged_machine_code_is_made_anew(
    spoil: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert [asked(tmp_path), asked(tmp_path)] == [0, 1]
    [file] = tmp_path.iterdir()
    spoil(file)
    assert asked(tmp_path) == 0
    assert f"{file} is damaged, and its machine code is made anew: " in caplog.text
    if not file.is_dir():
        assert asked(tmp_path) == 1


def test_a_folder_that_is_gone_or_was_never_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert [asked(None), asked(None)] == [0, 0]
    assert [asked(tmp_path / "gone"), asked(tmp_path / "gone")] == [0, 1]
    no_folder(tmp_path / "file")
    assert [asked(tmp_path / "file"), asked(tmp_path / "file")] == [0, 0]
    assert caplog.text.count("machine code cannot be kept in ") == 1


def test_the_key_is_of_all_sources_and_of_the_surroundings(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [file.name for file in sources_of(shop / "scan.py")] == ["keys.py", "scan.py"]
    named = {file.name for file in sources_of(Path(heaps.__file__).with_name("joint_beam.py"))}
    assert named == {"compiled.py", "heaps.py", "joint_beam.py", "kernel_cache.py", "prefetch.py"}

    def key() -> str:
        for one in (source_key, kernel_cache._surroundings, kernel_cache._imported):
            one.cache_clear()
        return source_key(shop / "scan.py")

    before = key()
    assert key() == before
    (shop / "keys.py").write_text(KEYS + "\n")
    changed = key()
    monkeypatch.setattr(numba, "__version__", "0.0")
    other = key()
    monkeypatch.setattr(numba.config, "OPT", 0)
    assert len({before, changed, other, key()}) == 4


def test_older_sources_are_forgotten_after_a_while(shop: Path) -> None:
    old, young = (shop / "__pycache__" / f"kernels-{name}" for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    made = cache_folder(shop / "scan.py")
    assert made is not None
    assert {one.name for one in made.parent.iterdir()} == {made.name, "kernels-young"}
