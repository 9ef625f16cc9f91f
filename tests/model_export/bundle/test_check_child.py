"""The check in a process of its own: it says what the check says, and a crash of it is a refusal."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model_export.bundle.bundle import Bundle, BundleError
from model_export.bundle.check import child
from model_export.bundle.check.child import ROOT, check_in_child
from model_export.bundle.items.arrow_files import write_items
from testbed.bad_bundles import BAD_BUNDLES

CRASHING = "import os, signal; print('[]', flush=True); os.kill(os.getpid(), signal.SIGBUS)"


@pytest.fixture
def copied(bundle: Bundle, tmp_path: Path) -> Bundle:
    return Bundle(shutil.copytree(bundle.path, tmp_path / "a 'bundle'" / bundle.version))


def test_a_good_bundle_passes_wherever_this_process_was_started(
    copied: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    check_in_child(copied)


def test_neither_the_check_nor_what_is_served_loads_pandas(copied: Bundle, tmp_path: Path) -> None:
    """Arrow would at a step from its columns to NumPy's: 0.3 s and 40 MB in each process."""
    write_items(tmp_path, ["tea"], title=["Tea"], category=[""], price=[None], popularity=[0])  # has no values
    code = (
        "import sys; from pathlib import Path; from model_export.bundle.check.child import main; main(sys.argv[1])\n"
        "from model_export.bundle.bundle import Bundle; bundle = Bundle(Path(sys.argv[1])); bundle.map_files()\n"
        "bundle.catalogue.attributes['category'].numbers_of([str(one) for one in range(100)])\n"
        "from model_export.bundle.items.arrow_files import open_items; open_items(Path(sys.argv[2])).catalogue\n"
        "print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, copied.path, tmp_path], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("null\nFalse\n", "")


def test_a_fault_comes_back_by_name(copied: Bundle) -> None:
    bad = BAD_BUNDLES["with NaN"]
    bad.spoil(copied.path)
    with pytest.raises(BundleError, match=bad.said) as raised:
        check_in_child(Bundle(copied.path))
    assert str(raised.value).startswith(f"{copied.path / 'item_embeddings.npy'} holds")


def a_python_that(code: str, tmp_path: Path) -> str:
    """An interpreter that runs this, whatever it is asked to."""
    file = tmp_path / "python"
    file.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}"\n')
    file.chmod(0o755)
    return str(file)


def test_a_crash_is_a_refusal(copied: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", a_python_that(CRASHING, tmp_path))
    with pytest.raises(BundleError, match=rf"cannot be checked: .* signal {signal.SIGBUS}; the last it said: nothing"):
        check_in_child(copied)


def test_what_it_said_last_is_told(copied: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", a_python_that("raise MemoryError('all is full')", tmp_path))
    with pytest.raises(BundleError, match=r"ended with exit status 1; the last it said: Traceback[^$]*all is full"):
        check_in_child(copied)


@pytest.mark.parametrize(
    ("within_s", "stops", "said"), [(0.3, False, "not checked within 0 s"), (600.0, True, "stops")]
)
def test_a_child_that_does_not_end_is_ended(
    within_s: float, stops: bool, said: str, copied: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"import os, time; open('{tmp_path}/pid', 'w').write(str(os.getpid())); time.sleep(600)"
    monkeypatch.setattr(sys, "executable", a_python_that(code, tmp_path))
    monkeypatch.setattr(child, "WITHIN_S", within_s)
    with pytest.raises(BundleError, match=said):
        check_in_child(copied, lambda: stops and (tmp_path / "pid").exists())
    if stops:
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)
