"""The commands `query` and `similar`: candidates for a user, and items like another one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from index.catalogue.item import CATEGORY
from index.catalogue.open_overlay_store import open_overlay_store
from index.catalogue.overlay import Overlay
from index.recommend.candidates import Candidates
from index.recommend.explain import candidates_as_text
from index.recommend.recommender import Recommender
from index.recommend.request import Request, filters_of, weights_of
from mindstream import settings
from mindstream.printable import json_line
from model_export.bundle.homes.open_registry import open_registry
from model_export.bundle.last_good import open_last_good
from stream.store.open_store import open_store

__all__ = ["query", "similar"]


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
    rank: Annotated[bool, typer.Option(help="Order the candidates by the model's ranker, if it has one.")] = True,
    candidates: Annotated[int | None, typer.Option(help="How many are ranked.", min=1)] = None,
    task: Annotated[list[str] | None, typer.Option(help="task=weight in the ranked score; may be repeated.")] = None,
    rank_ms: Annotated[float | None, typer.Option(help="Budget: rank fewer if they would take longer.")] = None,
    why: Annotated[bool, typer.Option(help="Say what spoke for each ranked candidate.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the candidates for one user, what brought each, and what formed each interest."""
    filters, tasks = _filters(category, where), weights_of(task or [], "--task")
    request = Request(
        *(n, exclude_seen, frozenset(exclude or []), filters, min_score, quota, by_importance, diversity, max_cosine),
        *(rank, candidates, tasks, rank_ms, why),
    )
    with _recommender() as recommender:
        [found] = recommender.recommend_many([user], request)
        _show(found, recommender, as_json)


def similar(
    item: Annotated[str, typer.Argument(help="item_id.")],
    n: Annotated[int, typer.Option("--n", "-n", help="How many items.", min=1)] = 10,
    category: Annotated[list[str] | None, typer.Option(help="Only of this category, or one of several.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Only with attribute=value; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print items like another one."""
    request = Request(n, where=_filters(category, where))
    with _recommender() as recommender:
        _show(recommender.similar(item, request), recommender, as_json)


def _filters(category: list[str] | None, where: list[str] | None) -> dict[str, frozenset[str]]:
    """Return attribute -> values, as the two options name them."""
    return filters_of([*(f"{CATEGORY}={value}" for value in category or []), *(where or [])], "--where")


@contextmanager
def _recommender() -> Iterator[Recommender]:
    """Open the last good bundle over the stores that the configuration names."""
    bundle = open_last_good(open_registry(settings.load().published, settings.load().cache))
    with open_store(settings.load(), read_only=True) as store, open_overlay_store(settings.load()) as overlay_store:
        yield Recommender(bundle, store, Overlay(overlay_store))


def _show(candidates: Candidates, recommender: Recommender, as_json: bool) -> None:
    """Print candidates as JSON or as a table."""
    as_text = (
        json_line(asdict(candidates)) if as_json else candidates_as_text(candidates, recommender.catalogue.current)
    )
    print(as_text)
