"""What reads the Helm chart: helm, kubeconform, and the schemas of Kubernetes' objects and of others' kinds.

`python -m testbed.chart.tools` builds the two programs by Go, and brings the schemas into the user's cache: Kubernetes'
own from the package kubernetes-validate (extra `chart`), KEDA's and the Prometheus operator's from their Go modules.
"""

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mindstream import console, settings
from testbed.system_packages import PartMissing, find

__all__ = ["HELM", "KUBECONFORM", "KUBERNETES", "are_there", "build", "schemas", "tool"]

HELM, KUBECONFORM = "helm", "kubeconform"
PROGRAMS = ("helm.sh/helm/v3/cmd/helm@v3.19.0", "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0")
KUBERNETES = "1.31.0"
# Go module -> its files of kinds that are not Kubernetes' own.
KINDS = {
    "github.com/kedacore/keda/v2@v2.17.2": "config/crd/bases/keda.sh_*.yaml",
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"
    ),
}
TO_BUILD = "`make test-chart` builds it, which needs Go"


def tool(name: str) -> Path:
    """Return the path of helm or kubeconform: of MINDSTREAM_HELM, PATH, or the cache.

    Raises
    ------
    PartMissing
        If it is in none of these places.
    """
    said = settings.load().helm
    if said is not None and (named := said if name == HELM else said.with_name(name)).is_file():
        return named
    found = find(name)
    built = _folder() / "bin" / name
    if found is None and not built.is_file():
        raise PartMissing(f"{name} is not installed; {TO_BUILD}")
    return Path(found) if found else built


def schemas() -> str:
    """Return where kubeconform finds the schema of a kind.

    Raises
    ------
    PartMissing
        If the schemas are not in the cache.
    """
    folder = _folder() / f"schemas-{KUBERNETES}"
    if not folder.is_dir():
        raise PartMissing(f"the schemas of Kubernetes {KUBERNETES} are not in {folder}; `make test-chart` brings them")
    return f"{folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"


def are_there() -> bool:
    """Tell whether all of them are there."""
    try:
        return bool(tool(HELM) and tool(KUBECONFORM) and schemas())
    except PartMissing:
        return False


def build() -> None:
    """Build what is missing, into the cache.

    Raises
    ------
    PartMissing
        If Go or the package kubernetes-validate is not there, or a module cannot be had.
    """
    for program in PROGRAMS:
        name = program.partition("@")[0].rpartition("/")[2]
        if find(name) is None and not (_folder() / "bin" / name).is_file():
            print(f"building {program}", flush=True)
            _go("install", program, GOBIN=str(_folder() / "bin"))
    folder = _folder() / f"schemas-{KUBERNETES}"
    if not folder.is_dir():
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, schema in (*_kubernetes_kinds(), *_other_kinds()):
            (partial / name).write_text(json.dumps(schema), encoding="utf-8")
        partial.rename(folder)


def _folder() -> Path:
    """Return the folder in the cache for all of them."""
    return settings.load().cache / "chart"


def _go(*words: str, **variables: str) -> str:
    """Run Go; return what it prints."""
    go = find("go")
    if go is None:
        raise PartMissing("go is not installed, which builds helm and kubeconform")
    environment = {**os.environ, **variables}
    done = subprocess.run([go, *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PartMissing(f"`go {' '.join(words)}` failed: {(done.stderr or done.stdout)[-500:]}")
    return done.stdout


def _kubernetes_kinds() -> Iterator[tuple[str, Any]]:
    """Yield the files of Kubernetes' own kinds; what they refer to is in the same folder."""
    package = importlib.util.find_spec("kubernetes_validate")
    if package is None or package.origin is None:
        raise PartMissing("the package kubernetes-validate is not installed, which has Kubernetes' schemas")
    folder = Path(package.origin).parent / "kubernetes-json-schema" / f"v{KUBERNETES}-local-strict"
    for file in sorted(folder.glob("*.json")):
        schema = json.loads(file.read_text(encoding="utf-8").replace('"/api/_definitions.json', '"_definitions.json'))
        schema.pop("$id", None)  # it would be asked for on the network
        yield file.name, schema


def _other_kinds() -> Iterator[tuple[str, Any]]:
    """Yield the schemas in definitions of custom resources, by kubeconform's names.

    What they do not name is wrong.
    """
    for module, files in KINDS.items():
        folder = Path(json.loads(_go("mod", "download", "-json", module))["Dir"])
        for file in sorted(folder.glob(files)):
            spec = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]
            for version in spec["versions"]:
                group, kind = spec["group"].split(".")[0], spec["names"]["kind"].lower()
                yield f"{kind}-{group}-{version['name']}.json", _closed(version["schema"]["openAPIV3Schema"])


def _closed(schema: Any) -> Any:
    """Return a schema that refuses properties which it does not name, at every depth."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(one) for name, one in schema.items()}
    is_open = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    # Of an object's own metadata the definition names nothing: Kubernetes has it.
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not is_open:
        closed["additionalProperties"] = False
    return closed


if __name__ == "__main__":
    console.run(build)
