"""Build a bundle's index and ask for recommendations: build | query."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import console
import settings
from index.bundled import build_index
from index.hnsw import HnswSettings
from index.recommender import Candidates, Recommender
from model_export.bundle import Bundle
from model_export.registry import Registry
from stream.stores import open_store

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def build(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder that `python -m model_export export` made.")],
    kind: Annotated[str, typer.Option(help="auto (exact up to 20,000 items), exact or hnsw.")] = "auto",
    m: Annotated[int, typer.Option(help="HNSW: links an item.", min=2)] = 16,
    ef_construction: Annotated[int, typer.Option(help="HNSW: breadth of building.", min=1)] = 200,
    ef: Annotated[int, typer.Option(help="HNSW: breadth of searching.", min=1)] = 200,
) -> None:
    """Add the item index to a bundle, before it is published."""
    built = build_index(Bundle(bundle), kind, HnswSettings(m, ef_construction, ef))
    print(f"{built.path}: {built.manifest.index['kind']} index of {built.manifest.items:,} items")


@app.command()
def query(
    user: Annotated[str, typer.Argument(help="user_id.")],
    n: Annotated[int, typer.Option("--n", "-n", help="How many candidates.", min=1)] = 10,
    exclude_seen: Annotated[bool, typer.Option(help="Leave out items of the user's history.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Candidates for one user from the current model and the stored capsules."""
    bundle = Registry(settings.load().models).current()
    with open_store(settings.load()) as store:
        candidates = Recommender(bundle, store).recommend(user, n, exclude_seen)
    print(json.dumps(asdict(candidates), ensure_ascii=False) if as_json else table(candidates, bundle))


def table(candidates: Candidates, bundle: Bundle) -> str:
    """Candidates and interests for people to read."""
    title = dict(zip(bundle.item_ids, bundle.catalogue.title, strict=True))
    lines = [f"model {candidates.model_version}, path: {candidates.path}"]
    for number, interest in enumerate(candidates.interests):
        made_by = "; ".join(title.get(b.item_id, b.item_id) for b in interest.behaviours[:3])
        lines.append(f"interest {number} ({100 * interest.importance:.0f} % of the behaviours): {made_by}")
    for item_id, score, capsule in zip(candidates.item_ids, candidates.scores, candidates.capsule, strict=True):
        brought_by = f"interest {capsule}" if capsule >= 0 else "popular"
        lines.append(f"{score:10.3f}  {brought_by:<10}  {title[item_id]}")
    return "\n".join(lines)


if __name__ == "__main__":
    console.run(app)
