"""Recommendation of items that nobody has taken yet, by their side features or dense vectors alone.

A share of the items is held out of the training, with all that users did to them. A test user who really took one is
asked for it, from what that user did before to the other items: the held-out items alone are ranked, by max-sim with
embeddings made of nothing but their side features, of their dense vectors (--item-vectors, or --title-vectors, which
makes them of the titles), or of both.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from scipy.sparse import csr_matrix

from benchmarks.harness.report import finish
from benchmarks.quality.title_vectors import with_title_vectors
from mindstream.log_options import must_be_there
from mindstream.mapping import AS_IT_IS, Mapping
from model_export.commands.behaviours import read_behaviours
from model_export.data.dataset import Vocabulary, build_sequences, history_windows, new_features
from model_export.data.interactions import InteractionLog
from model_export.evaluation.cases import Cases
from model_export.evaluation.metrics import mean_metrics, metrics_per_case
from model_export.evaluation.model_ranker import capsules_of
from model_export.evaluation.rankers import BATCH, top_columns
from model_export.evaluation.report import table
from model_export.evaluation.split import hash_sides, split_of
from model_export.models.checkpoint import Checkpoint
from model_export.models.interest_model import InterestModel
from model_export.models.presets import DEFAULT, PRESETS, preset
from model_export.training.train import train

__all__ = ["ColdItems", "cold_cases", "cold_items", "hold_out", "main", "rank_by_features", "rank_by_popularity"]

LENGTH = 20  # behaviours of a history
AT = (20, 50)


@dataclass(frozen=True)
class ColdItems:
    """Items that were held out of the training.

    Attributes
    ----------
    item_ids : list of str (n,), sorted.
    features : int64 (n, W), rows in the vocabulary's table of side-feature values, 0 at padding.
    dense : float32 (n, D), dense vectors in unit length, zeros at an item that has none; None: the log has none.
    counts : int64 (n,), behaviours with each in the whole log: nothing that is known of a really new item.
    """

    item_ids: list[str]
    features: np.ndarray
    counts: np.ndarray
    dense: np.ndarray | None = None


def main(
    data: Annotated[
        Path,
        typer.Option(help="Interaction log; a publisher's file or folder, CSV or Parquet.", callback=must_be_there),
    ],
    model: Annotated[str, typer.Option(help=f"Which model: {', '.join(PRESETS)}.")] = DEFAULT,
    share: Annotated[float, typer.Option(help="Share of the items that is held out.", min=0.01, max=0.9)] = 0.1,
    steps: Annotated[int | None, typer.Option(help="Most training steps.", min=1, show_default="the model's")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the training and of the items that are held out.")] = 7,
    item_vectors: Annotated[
        Path | None, typer.Option(help="Dense vectors of the items, as of `mindstream model train`.", exists=True)
    ] = None,
    title_vectors: Annotated[
        bool, typer.Option("--title-vectors", help="Make dense vectors of the titles, by hashed parts of words.")
    ] = False,
) -> None:
    """Measure HR of items that training never saw, beside most popular and chance."""
    mapping = AS_IT_IS if item_vectors is None else Mapping(item_vectors=item_vectors)
    log, chosen = read_behaviours(data, mapping), preset(model)
    if title_vectors:
        log = with_title_vectors(log)
    print(log.describe())
    warm, cold_log = hold_out(log, share, seed)
    training = replace(chosen.training, seed=seed, steps=steps or chosen.training.steps)
    checkpoint = train(warm, chosen.model, training)
    cold = cold_items(cold_log, checkpoint.vocabulary)
    cases = cold_cases(log, checkpoint, cold)
    if not len(cases):
        raise ValueError(
            f"{log.source}: no test user took one of the {len(cold.item_ids)} items that were held out after another "
            f"item; --share {share} is too small, or the log"
        )
    _report(model, _hit_rates(checkpoint, cold, cases), cases, cold)


def hold_out(log: InteractionLog, share: float, seed: int) -> tuple[InteractionLog, InteractionLog]:
    """Divide a log by item: the log without the held-out items, and their log.

    A hash of the item's id decides.

    Parameters
    ----------
    share : of the items that are held out, 0 to 1.
    """
    item_ids = log.items.item_id.tolist()
    out = hash_sides([f"{seed}:{item_id}" for item_id in item_ids], valid_share=0, test_share=share) > 0
    cold = set(log.items.item_id[out])
    apart = log.events.item_id.isin(cold)
    return _part(log, ~apart, ~out), _part(log, apart, out)


def _part(log: InteractionLog, events: pd.Series, items: np.ndarray) -> InteractionLog:
    """Return some of the events and items; all users stay, whatever is left of them."""
    return replace(log, events=log.events[events].reset_index(drop=True), items=log.items[items].reset_index(drop=True))


def cold_items(log: InteractionLog, vocabulary: Vocabulary) -> ColdItems:
    """Return the held-out log's items, with the vocabulary's knowledge of their features."""
    items = log.items.sort_values("item_id", ignore_index=True)
    counts = log.events.item_id.value_counts().reindex(items.item_id, fill_value=0)
    features, item_ids = new_features(items, log.side_features, vocabulary), items.item_id.tolist()
    dense = None if log.item_vectors is None else log.item_vectors.of(item_ids)
    return ColdItems(item_ids, features, counts.to_numpy(dtype=np.int64), dense)


def cold_cases(log: InteractionLog, checkpoint: Checkpoint, cold: ColdItems) -> Cases:
    """Make a case of each held-out item that a test user took, at the first time.

    The history is of the other items that came before.

    Labels are rows of the held-out items, histories those of the model. Without a history there is no case.
    """
    sequences = build_sequences(log, checkpoint.vocabulary)  # of the other items; the users are all of the log
    users, items = log.events.user_id.array, log.events.item_id.array
    assert users.categories.tolist() == sequences.user_ids
    order = np.argsort(users.codes, kind="stable")
    places = pd.Index(cold.item_ids).get_indexer(items.categories)  # of the log's items, -1 at other items
    labels, users = places[items.codes[order]], users.codes[order].astype(np.int64)  # (E,)
    other = (labels < 0).astype(np.int64)
    ends = np.cumsum(other) - other  # (E,), how many events with other items came before
    test = np.isin(users, split_of(checkpoint.training, sequences.user_ids, log.sides).test)
    first = ~pd.DataFrame({"user": users, "item": labels}).duplicated().to_numpy()
    asked = (labels >= 0) & test & first & (ends > sequences.starts[users])
    ends, users = ends[asked], users[asked]
    length = min(LENGTH, checkpoint.model.config.history_length)
    history, mask, *when_and_what = history_windows(sequences, ends, sequences.starts[users], length)
    return Cases(history, mask, sequences.profiles[users], labels[asked][:, None], *when_and_what)


def _hit_rates(checkpoint: Checkpoint, cold: ColdItems, cases: Cases) -> dict[str, dict[int, float]]:
    """Return HR@20 and HR@50 of the model by what it reads, of most popular and of chance.

    Between 0 and 1.
    """
    tops = {"cold": rank_by_features(checkpoint.model, replace(cold, dense=None), cases)}
    if cold.dense is not None:
        nothing = np.zeros((len(cold.item_ids), 0), dtype=np.int64)
        tops["vectors"] = rank_by_features(checkpoint.model, replace(cold, features=nothing), cases)
        tops["both"] = rank_by_features(checkpoint.model, cold, cases)
    tops["popular_in_category"] = rank_by_popularity(checkpoint.vocabulary, cold, cases)
    found = {name: mean_metrics(metrics_per_case(top, cases.labels, AT)) for name, top in tops.items()}
    rates = {name: {n: metrics[f"hr@{n}"] for n in AT} for name, metrics in found.items()}
    return {**rates, "chance": {n: min(1.0, n / len(cold.item_ids)) for n in AT}}


@torch.no_grad()
def rank_by_features(model: InterestModel, cold: ColdItems, cases: Cases) -> np.ndarray:
    """Return the best held-out items of each case by max-sim, int64 (C, 50)."""
    model.eval()
    dense = None if cold.dense is None else torch.from_numpy(cold.dense)
    items, new = model.item_table(), model.embed_new(torch.from_numpy(cold.features), dense)
    found = []
    for some in cases.batches(BATCH):
        capsules, active = capsules_of(model, items, some)
        scores = (capsules @ new.T).masked_fill(~active[:, :, None], -torch.inf).amax(1)  # (B, n)
        found.append(top_columns(scores.numpy(), max(AT)))
    return np.concatenate(found)


def rank_by_popularity(vocabulary: Vocabulary, cold: ColdItems, cases: Cases) -> np.ndarray:
    """Return the most popular held-out items, the last behaviour's category first.

    Returns
    -------
    int64 (C, 50)
    """
    rows = _category_rows(vocabulary)
    known = _values_of(vocabulary.item_features, vocabulary.feature_values)[:, rows]
    new = _values_of(cold.features, vocabulary.feature_values)[:, rows]
    popularity = cold.counts / (1 + cold.counts.max(initial=0))  # below 1: less than a shared value
    found = []
    for some in cases.batches(BATCH):
        shared = (known[some.history[:, -1]] @ new.T).toarray() > 0  # (B, n)
        found.append(top_columns(shared + popularity, max(AT)))
    return np.concatenate(found)


def _category_rows(vocabulary: Vocabulary) -> slice:
    """Return the rows of the categories; of all side features without categories."""
    return vocabulary.feature_slices().get("category", slice(1, None))


def _values_of(features: np.ndarray, values: int) -> csr_matrix:
    """Return the items' side-feature values as ones: features (n, W) -> (n, 1 + values)."""
    items, places = np.nonzero(features)
    ones = np.ones(len(items))
    return csr_matrix((ones, (items, features[items, places])), shape=(len(features), 1 + values))


def _report(model: str, rates: dict[str, dict[int, float]], cases: Cases, cold: ColdItems) -> None:
    """Print HR@20 and HR@50 in %."""
    with_features = int((cold.features > 0).any(1).sum())
    with_vectors = 0 if cold.dense is None else int(cold.dense.any(1).sum())
    names = {
        "cold": f"{model}, by side features alone",
        "vectors": f"{model}, by dense vectors alone",
        "both": f"{model}, by both",
        "popular_in_category": "most popular in the category *",
        "chance": "chance",
    }
    rows = [(names[name], *(f"{100 * rate[n]:.2f}" for n in AT)) for name, rate in rates.items()]
    print(
        f"\n{len(cases):,} cases; {len(cold.item_ids):,} items held out, {with_features:,} of them with side features, "
        f"{with_vectors:,} with dense vectors\n"
    )
    print(table(["%", *(f"HR@{n}" for n in AT)], rows))
    print(
        "\n* of the last behaviour (where the log has no categories: sharing an attribute with it), by what all users "
        "really did later: a really new item has no such count."
    )
    finish(
        {
            **{f"hr{n}_{name}": 100 * rate[n] for name, rate in rates.items() for n in AT},
            "cases": len(cases),
            "cold_items": len(cold.item_ids),
            "cold_items_with_features": with_features,
            "cold_items_with_vectors": with_vectors,
        }
    )
