"""Bundles: check | publish | list | show | promote | rollback | prune."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from mindstream import settings
from mindstream.log_options import must_be_there, takes_log
from mindstream.mapping import Mapping
from mindstream.objects.bucket import is_url
from model_export.bundle.bundle import MODEL_CARD, Bundle, BundleError
from model_export.bundle.check import check
from model_export.bundle.homes.open_registry import open_registry
from model_export.bundle.last_good import open_last_good
from model_export.bundle.registry import Registry
from model_export.bundle.trained_rule import trained_rule
from model_export.commands.behaviours import read_behaviours
from model_export.commands.options import Force, MaxDrop, MinHr, MinRecall, Models
from model_export.evaluation.gate import LEAST_RECALL, Gate, apply_gate, current_or_none
from model_export.evaluation.report import table

__all__ = ["EXIT_REFUSED", "app"]

EXIT_REFUSED = 1  # a bundle that has a fault, or that the gate does not let pass

app = typer.Typer(pretty_exceptions_enable=False)

Version = Annotated[str, typer.Argument(help="Version of a bundle in the registry.")]


def _registry_of(models: str | None) -> Registry:
    """Return the registry in `models` or the configured one, with the full check."""
    return open_registry(models or settings.load().published, settings.load().cache, check)


@app.command("check")
def check_bundle(bundle: Annotated[Path, typer.Argument(help="Bundle folder.")]) -> None:
    """Check a bundle in full, say what was checked, and name the first fault (exit status 1)."""
    try:
        opened = Bundle(bundle)
        print(f"ok     manifest: version {opened.version}")
        check(opened, passed=lambda name: print(f"ok     {name}"))
    except BundleError as error:
        published = settings.load().models / bundle
        meant = f"; right is the path of a folder, such as {published}" if _is_other(bundle, published) else ""
        print(f"FAULT  {error}{meant}")
        raise typer.Exit(EXIT_REFUSED) from None
    print(f"{bundle} may be served")


def _is_other(given: Path, published: Path) -> bool:
    """Tell whether a path leads nowhere and is the name of a published bundle."""
    return not given.exists() and published != given and published.is_dir()


@app.command()
@takes_log
def publish(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder that `export` made.", exists=True)],
    mapping: Mapping,
    models: Models = None,
    log: Annotated[
        str | None, typer.Option(help="Interaction log for --min-hr and --max-drop.", callback=must_be_there)
    ] = None,
    min_hr: MinHr = None,
    max_drop: MaxDrop = None,
    min_recall: MinRecall = LEAST_RECALL,
    force: Force = False,
) -> None:
    """Check a bundle and make it the current one; a bad one is refused and the old one stays."""
    registry, candidate = _registry_of(models), Bundle(bundle)
    check(candidate)
    events = None if log is None else read_behaviours(log, mapping)
    verdict = apply_gate(candidate, current_or_none(registry), Gate(min_hr, max_drop, min_recall), events)
    if verdict.hr is not None:
        print(verdict)
    for objection in verdict.objections:
        print(f"{'forced' if force else 'refused'}: {candidate.version}: {objection}", file=sys.stderr)
    if verdict.objections and not force:
        raise typer.Exit(EXIT_REFUSED)
    print(f"current model: {registry.publish(bundle).version}")


@app.command("list")
def list_bundles(models: Models = None) -> None:
    """List the registry's bundles, newest first: which is current, which `rollback` goes to."""
    registry = _registry_of(models)
    marks = dict(zip(registry.pointer(), ("current", "before"), strict=False))
    if not is_url(registry.home.name):  # all of the current bundle would have to be fetched for it
        _say_refused(registry)
    rows = [_row_of(registry, version, marks.get(version, "")) for version in reversed(registry.versions())]
    if not rows:
        print(f"no bundles in {registry.home.name}", file=sys.stderr)
        return
    print(table(["version", "", "model", "items", "d", "index", "MB", "trained until", "HR@50"], rows))


def _say_refused(registry: Registry) -> None:
    """Say on stderr if the current bundle is damaged, and what a new process serves."""
    if not registry.pointer():
        return
    try:
        open_last_good(
            registry,
            lambda version, fault, served: print(
                f"bundle {version} must not be served, what starts now serves {served}: {fault}", file=sys.stderr
            ),
        )
    except BundleError as error:
        print(f"nothing that starts now can serve: {error}", file=sys.stderr)


def _row_of(registry: Registry, version: str, mark: str) -> list[Any]:
    """Return a bundle's row of `list`."""
    try:
        manifest = registry.manifest(version)
    except BundleError:
        return [version, ", ".join(filter(None, (mark, "damaged"))), *[""] * 7]
    if not registry.is_whole(version):
        mark = ", ".join(filter(None, (mark, "damaged")))
    size = sum(entry["bytes"] for entry in manifest.files.values()) / 1e6
    name, kind = manifest.model.get("name", ""), manifest.index.get("kind", "exact")
    return [
        version,
        mark,
        name,
        f"{manifest.items:,}",
        manifest.dim,
        kind,
        f"{size:.1f}",
        _trained_until(manifest),
        _hr(manifest),
    ]


def _trained_until(manifest: Any) -> str:
    """Return the date of the last event that a model was trained on, if there are times."""
    data = manifest.data
    if not data.get("timed") or not isinstance(data.get("last_event_ms"), int):
        return ""
    return f"{datetime.fromtimestamp(data['last_event_ms'] / 1_000, UTC):%Y-%m-%d}"


def _hr(manifest: Any) -> str:
    """Return HR@50 of the validation users, if it is known."""
    validation = manifest.metrics.get("validation")
    found = validation.get("hr@50") if isinstance(validation, dict) else None
    return f"{100 * found:.1f} %" if isinstance(found, float) else ""


@app.command()
def show(
    version: Annotated[str | None, typer.Argument(help="Version of a bundle.", show_default="the current one")] = None,
    models: Models = None,
) -> None:
    """Print the model card of a bundle, where it lies, its index and its behaviour rule."""
    registry = _registry_of(models)
    if version is None:
        _say_refused(registry)
    bundle = registry.open(version or registry.current_version() or registry.current().version)
    print(f"{bundle.path}\nindex: {bundle.manifest.index or 'exact'}")
    print(f"behaviours: {trained_rule(bundle) or 'not recorded'}\n")
    print((bundle.path / MODEL_CARD).read_text(encoding="utf-8", errors="replace"))


@app.command()
def promote(version: Version, models: Models = None) -> None:
    """Check a bundle that is in the registry already and make it the current one."""
    print(f"current model: {_registry_of(models).promote(version).version}")


@app.command()
def rollback(models: Models = None) -> None:
    """Make the previous bundle current again; once more goes back further."""
    print(f"current model: {_registry_of(models).rollback().version}")


@app.command()
def prune(
    keep: Annotated[int, typer.Option(help="How many of the newest bundles stay.", min=1)],
    models: Models = None,
) -> None:
    """Remove old bundles; the current one stays, and so does the one that `rollback` goes to."""
    removed = _registry_of(models).prune(keep)
    print(f"removed: {', '.join(removed) or 'none'}")
