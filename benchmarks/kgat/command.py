"""KGAT alone as a recommender, beside RecBole's: the same split of a data set with a knowledge graph.

The data set is a folder in RecBole's atomic files, such as the ml-100k of its wheel: NAME.inter (who took what),
NAME.kg (facts) and NAME.link (the entity of each item). Of each user's interactions eight tenths are learned from, one
tenth says when to stop, one tenth is asked for; all items that the user did not have in the first two are ranked.
"""

import importlib.util
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from tqdm import tqdm

from benchmarks.harness.report import finish
from benchmarks.kgat.graph_data import GraphData, read_graph_data
from benchmarks.kgat.recbole_peer import recbole_epochs
from model_export.evaluation.metrics import mean_metrics, metrics_per_case
from model_export.evaluation.rankers import top_columns
from model_export.evaluation.report import table
from model_export.item_tables.kgat import Kgat, KgatConfig
from model_export.item_tables.kgat_training import final_vectors, kgat_epochs

__all__ = ["main"]

AT = (10, 20)
PATIENCE = 10  # epochs without a better NDCG@10 of the validation pairs; RecBole's default
NAMES = {"kgat": "KGAT", "kgat_without_facts": "KGAT without facts", "bpr": "BPR alone", "recbole": "RecBole's KGAT"}


def main(
    data: Annotated[
        Path, typer.Option(help="Folder with .inter, .kg and .link in RecBole's atomic files.", exists=True)
    ],
    epochs: Annotated[int, typer.Option(help="Most epochs of each training.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the split and of the trainings.", min=0)] = 7,
) -> None:
    """Measure KGAT with and without its knowledge graph, BPR alone, and RecBole's KGAT."""
    known = read_graph_data(data, seed)
    sizes = ", ".join(f"{len(pairs):,} {part}" for part, pairs in known.pairs.items())
    others = f"{known.entities - known.items:,} other entities, {len(known.facts):,} facts"
    print(f"{known.users:,} users, {known.items:,} items, {others}; pairs: {sizes}")
    trainings = {
        "kgat": _kgat_epochs(known, KgatConfig(), True, seed),
        "kgat_without_facts": _kgat_epochs(known, KgatConfig(), False, seed),
        "bpr": _kgat_epochs(known, KgatConfig(layers=()), False, seed),
    }
    if importlib.util.find_spec("recbole") is None:
        print("RecBole's KGAT is left out: recbole is not installed here")
    else:
        trainings["recbole"] = recbole_epochs(known, seed)
    figures: dict[str, float] = {}
    for name, scores in trainings.items():
        figures |= {f"{figure}_{name}": value for figure, value in _measure(known, scores, epochs, name).items()}
    _report(figures, list(trainings))


def _report(figures: dict[str, float], names: list[str]) -> None:
    """Print the table, in %, and the figures."""
    metrics = ["recall@10", "recall@20", "ndcg@10"]
    rows = []
    for name in names:
        quality = (f"{100 * figures[f'{metric}_{name}']:.2f}" for metric in metrics)
        rows.append((NAMES[name], *quality, figures[f"epochs_{name}"], f"{figures[f'seconds_an_epoch_{name}']:.1f}"))
    print(table(["%", *metrics, "epochs", "s an epoch"], rows))
    finish({name.replace("@", ""): value for name, value in figures.items()})


def _kgat_epochs(known: GraphData, config: KgatConfig, with_facts: bool, seed: int) -> Iterator[np.ndarray]:
    """Train, and yield all scores after each epoch, float (users, items)."""
    torch.manual_seed(seed)
    graph = known.graph(with_facts)
    model = Kgat(graph, config)
    for _ in kgat_epochs(model, seed):
        vectors = final_vectors(model).numpy()
        yield vectors[graph.first_user :] @ vectors[: graph.items].T


def _measure(known: GraphData, trained: Iterator[np.ndarray], epochs: int, name: str) -> dict[str, float]:
    """Train until validation gets no better, and return what the best epoch is worth."""
    begun, best, idle, done = time.monotonic(), -1.0, 0, 0
    found: dict[str, float] = {}
    for scores in tqdm(islice(trained, epochs), total=epochs, desc=NAMES[name], unit="epoch"):
        done += 1
        now = _judge(known, _top(known, scores, "train"), "valid")["ndcg@10"]
        idle += 1
        if now > best:
            best, idle = now, 0
            found = _judge(known, _top(known, scores, "train", "valid"), "test")
        if idle == PATIENCE:
            break
    return {**found, "epochs": done, "seconds_an_epoch": (time.monotonic() - begun) / done}


def _top(known: GraphData, scores: np.ndarray, *seen: str) -> np.ndarray:
    """Return the best items of each user that are in none of these parts, int64 (users, 20)."""
    rest = scores.copy()
    for part in seen:
        rest[tuple(known.pairs[part].T)] = -np.inf
    return top_columns(rest, max(AT))


def _judge(known: GraphData, top: np.ndarray, part: str) -> dict[str, float]:
    """Return the mean metrics of the users who have pairs in a part."""
    pairs = known.pairs[part]
    asked, rows = np.unique(pairs[:, 0], return_inverse=True)
    order = np.argsort(rows, kind="stable")
    counts = np.bincount(rows)
    labels = np.full((len(asked), counts.max()), -1, dtype=np.int64)
    labels[rows[order], np.arange(len(rows)) - (np.cumsum(counts) - counts)[rows[order]]] = pairs[order, 1]
    return mean_metrics(metrics_per_case(top[asked], labels, AT))
