"""Build a bundle's index, ask for candidates, serve them, change items at run time: build | query | serve | items."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

# First of ours: until it is there, Ctrl-C is a traceback.
from mindstream import console

# isort: split
from index.catalogue.item import CATEGORY
from index.catalogue.open import open_overlay_store
from index.catalogue.overlay import Overlay
from index.commands import items as item_commands
from index.recommend.explain import table
from index.recommend.recommender import Recommender
from index.recommend.request import Request, filters_of
from index.search.breadth import TARGET
from index.search.bundled import breadth_of, build_index
from index.search.hnsw import HnswSettings
from mindstream import settings
from mindstream.printable import json_line
from model_export.bundle.format import Bundle
from model_export.bundle.registry import Registry
from stream.store.open import open_store

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(item_commands.app, name="items")


@app.command()
def build(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder that `python -m model_export export` made.")],
    kind: Annotated[str, typer.Option(help="auto (exact up to 20,000 items), exact or hnsw.")] = "auto",
    m: Annotated[int, typer.Option(help="HNSW: links an item.", min=2)] = 16,
    ef_construction: Annotated[int, typer.Option(help="HNSW: breadth of building.", min=1)] = 200,
    ef: Annotated[int, typer.Option(help="HNSW: breadth of searching; 0: as --recall needs it.", min=0)] = 0,
    recall: Annotated[float, typer.Option(help="HNSW: recall that ef is measured for.")] = TARGET,
) -> None:
    """Add the item index to a bundle, before it is published."""
    built = build_index(Bundle(bundle), kind, HnswSettings(m, ef_construction, ef), target=recall)
    print(f"{built.path}: {built.manifest.index['kind']} index of {built.manifest.items:,} items")
    if found := breadth_of(built):
        for n, breadth in found.ef.items():
            print(f"N = {n:,}: ef {breadth:,}, recall {found.recall[n]:.4f}")
        if found.missed:
            missed = ", ".join(f"{n:,} ({found.recall[n]:.4f})" for n in found.missed)
            print(
                f"warning: no breadth that was tried has recall {found.target} at N = {missed}, so the largest is "
                "taken; a larger --m or --ef-construction may help",
                file=sys.stderr,
            )


@app.command()
def query(
    user: Annotated[str, typer.Argument(help="user_id.")],
    n: Annotated[int, typer.Option("--n", "-n", help="How many candidates.", min=1)] = 10,
    exclude_seen: Annotated[bool, typer.Option(help="Leave out items of the user's history.")] = False,
    exclude: Annotated[list[str] | None, typer.Option(help="An item to leave out; may be repeated.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="Only of this category, or one of several.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Only with attribute=value; may be repeated.")] = None,
    min_score: Annotated[float | None, typer.Option(help="Only candidates with this score at least.")] = None,
    quota: Annotated[int | None, typer.Option(help="Most candidates of one interest.", min=1)] = None,
    by_importance: Annotated[bool, typer.Option(help="Each interest at most its share, by importance.")] = False,
    diversity: Annotated[float, typer.Option(help="Worth of two candidates' categories being different.", min=0)] = 0,
    max_cosine: Annotated[float | None, typer.Option(help="Leave out what is more alike to a better one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Candidates for one user, what brought each, and what formed each interest."""
    attributes = [*(f"{CATEGORY}={value}" for value in category or []), *(where or [])]
    where_given = filters_of(attributes, "--where")
    request = Request(
        n, exclude_seen, frozenset(exclude or []), where_given, min_score, quota, by_importance, diversity, max_cosine
    )
    bundle = Registry(settings.load().models).current()
    with open_store(settings.load()) as store, open_overlay_store(settings.load()) as items:
        recommender = Recommender(bundle, store, Overlay(items))
        [candidates] = recommender.recommend_many([user], request)
        shown = recommender.items.current
    print(json_line(asdict(candidates)) if as_json else table(candidates, shown))


@app.command()
def serve() -> None:
    """Answer over HTTP until Ctrl-C or SIGTERM, at MINDSTREAM_API_HOST and MINDSTREAM_API_PORT."""
    from index.api.server import serve as serve_http  # here, because FastAPI takes a moment to import

    serve_http(settings.load())


if __name__ == "__main__":
    console.run(app)
