"""Accuracy of the models beside baselines and anchors, on the same users: the ComiRec protocol."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.quality.accuracy_report import print_report
from benchmarks.quality.anchors.choice import ANCHORS, anchors_named, those_that_fit
from benchmarks.quality.comparison import Comparison, compare_all
from benchmarks.quality.held_out import HeldOut, held_out_cases
from benchmarks.quality.small_samples import measure_samples, sizes_named
from mindstream.log_options import must_be_there
from model_export.commands.behaviours import read_behaviours
from model_export.commands.options import Switches
from model_export.data.cooccurrence import co_occurrence, similarity_matrix, svd_item_vectors
from model_export.data.dataset import build_vocabulary, item_counts
from model_export.models.presets import DEFAULT, PRESETS, Preset, one_interest, preset
from model_export.models.switches import apply_settings

__all__ = ["main"]

ALL, USUAL = "all", "ease,sasrec"  # those of which the last line names the best
VECTORS = 64  # dimensions of the space in which candidates are compared

DataPath = Annotated[
    Path, typer.Option("--data", help="Interaction log; a publisher's file or folder.", callback=must_be_there)
]


def main(
    data: DataPath,
    model: Annotated[str, typer.Option(help=f"Which model, or {ALL} of them: {', '.join(PRESETS)}.")] = DEFAULT,
    ids_only: Annotated[bool, typer.Option("--ids-only", help="Leave out the side features of items.")] = False,
    seeds: Annotated[int, typer.Option(help="Trainings of each model; figures are their means.", min=1)] = 1,
    steps: Annotated[int | None, typer.Option(help="Most training steps.", min=1, show_default="the model's")] = None,
    anchors: Annotated[str, typer.Option(help=f"Compare with all, none, or some of {', '.join(ANCHORS)}.")] = USUAL,
    users: Annotated[
        str, typer.Option(help="Samples of so many users instead, e.g. 100,300.", show_default="all")
    ] = "",
    switches: Switches = None,
) -> None:
    """Measure Recall, HR and NDCG of models, baselines and anchors on users held out."""
    compared, sizes = anchors_named(anchors), sizes_named(users)
    main_model = DEFAULT if model == ALL else model
    single_interest = f"{main_model}, one interest"
    chosen = _chosen_models(model, main_model, single_interest, switches or [])
    log = read_behaviours(data)
    log = log.without_side_features() if ids_only else log
    print(log.describe())
    vocabulary = build_vocabulary(log)
    compared, left_out = those_that_fit(compared, len(vocabulary.item_ids))
    print(*left_out, sep="\n")
    if sizes:
        some = {name: chosen[name] for name in (main_model, single_interest) if name in chosen}
        measure_samples(
            Comparison(log, some, main_model, [name for name in compared if name == "ease"], False, seeds, steps), sizes
        )
        return
    held_out = held_out_cases(log, chosen[main_model], vocabulary)  # before any training: is there anybody to ask?
    [found] = compare_all([Comparison(log, chosen, main_model, compared, model == ALL, seeds, steps)])
    print_report(found, main_model, single_interest, held_out.test, _item_vectors(held_out))


def _chosen_models(model: str, main_model: str, single_interest: str, switches: list[str]) -> dict[str, Preset]:
    """Return name -> settings of the models asked for, and of the main one's single interest."""
    presets = dict(PRESETS) if model == ALL else {model: preset(model)}
    chosen = {name: apply_settings(settings, switches) for name, settings in presets.items()}
    if chosen[main_model].model.num_interests > 1:
        chosen[single_interest] = one_interest(chosen[main_model])
    return chosen


def _item_vectors(held_out: HeldOut) -> np.ndarray:
    """Place items by co-occurrence, float32 (items, d): the same for all rankers."""
    learned_from = held_out.sequences, held_out.split.train, held_out.num_items
    similarity = similarity_matrix(co_occurrence(*learned_from), item_counts(*learned_from))
    return svd_item_vectors(similarity, VECTORS, np.random.default_rng(7))
