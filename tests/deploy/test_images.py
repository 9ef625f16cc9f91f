"""What the images hold: each process starts and works with its group of pyproject.toml and nothing else."""

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from model_export.bundle.bundle import Bundle

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NEVER = {"duckdb", "lightgbm", "pandas", "streamlit", "torch"}

REFUSING = """
import importlib, importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused!r}:
            raise ModuleNotFoundError("refused: " + name, name=name)

sys.meta_path.insert(0, Refuse())
"""

UPDATER = """
from pathlib import Path
import stream.__main__, stream.commands.archive, stream.commands.run
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from stream.store.redis_store import RedisStore

bundle = Bundle(Path(sys.argv[1]))
[capsules] = Extractor(bundle).encode([tuple(bundle.item_ids[:8])])
print(len(capsules.vectors))
"""

API = """
import index.__main__, index.api.server
from index.recommend.recommender import Recommender
from stream.store.lmdb_store import LmdbStore

with LmdbStore(Path(sys.argv[2])) as store:
    print(len(Recommender(bundle, store).recommend("ann", 5).item_ids))
"""


def names_in(lines: list[str]) -> set[tuple[str, frozenset[str]]]:
    """Requirements as (name, extras)."""
    parsed = [Requirement(line) for line in lines]
    return {(canonicalize_name(one.name), frozenset(one.extras)) for one in parsed}


def group(name: str) -> list[str]:
    """The requirements of a group, with those of groups that it includes."""
    found: list[str] = []
    for line in PROJECT["dependency-groups"][name]:
        found += group(line["include-group"]) if isinstance(line, dict) else [line]
    return found


def installed_by(lines: list[str]) -> set[str]:
    """The distributions that these requirements bring, with all that they need in turn."""
    found, left = set(), names_in(lines)
    while left:
        name, extras = left.pop()
        found.add(name)
        for line in importlib.metadata.requires(name) or []:
            needed = Requirement(line)
            chosen = [{"extra": extra} for extra in extras or {""}]
            if needed.marker is None or any(needed.marker.evaluate(one) for one in chosen):
                left |= {one for one in names_in([line]) if one[0] not in found}
    return found


def others_than(lines: list[str]) -> set[str]:
    """The top-level names that are installed here and would not be in an image of these requirements."""
    ours = installed_by(lines)
    tops = importlib.metadata.packages_distributions().items()
    return {
        top for top, owners in tops if not {canonicalize_name(one) for one in owners} & (ours | {"mindstream"})
    } - set(sys.stdlib_module_names)


@pytest.mark.parametrize(("image", "work", "printed"), [("updater", UPDATER, "4"), ("api", UPDATER + API, "4\n5")])
def test_a_process_works_with_what_its_image_holds(
    image: str, work: str, printed: str, bundle: Bundle, tmp_path: Path
) -> None:
    refused = others_than(group(image)) | NEVER
    assert "confluent_kafka" in refused
    assert ("numba" in refused) == (image == "updater")
    script = REFUSING.format(refused=refused) + work
    command = [sys.executable, "-c", script, str(bundle.path), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=480)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == printed.split()


def test_an_image_holds_nothing_that_the_project_does_not_need() -> None:
    dependencies = names_in(PROJECT["project"]["dependencies"])
    assert names_in(group("api")) <= dependencies
    assert names_in(group("updater")) < names_in(group("api"))


def test_the_page_is_an_extra() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert "streamlit" in {name for name, _ in names_in(extras["demo"])}
    assert not {name for name, _ in names_in(PROJECT["project"]["dependencies"])} & {"streamlit", "lightgbm", "torch"}


def test_an_extra_that_is_none_is_refused_by_name() -> None:
    command = [sys.executable, "deploy/image/extras.py", "tracing,registrie"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "'registrie', which is no extra" in done.stderr
    assert "registry" in done.stderr


def test_the_dockerfile_has_a_target_for_each_service() -> None:
    targets = set(re.findall(r"^FROM base AS (\w+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    workflow = (ROOT / ".github/workflows/images.yml").read_text(encoding="utf-8")
    assert targets - {"build"} == {"updater", "api", "demo", "train"}
    assert set(re.findall(r"target: (\w+)", compose)) == targets - {"build"}
    assert json.dumps(sorted(targets - {"build"})) in workflow
    assert all(word in workflow for word in ("linux/amd64,linux/arm64", "sbom: true", "provenance: "))
