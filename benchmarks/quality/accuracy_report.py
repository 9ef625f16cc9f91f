"""The comparison of models for people, and the figures of one of them as the last line."""

import numpy as np

from benchmarks.harness.report import finish
from benchmarks.quality.comparison import Results
from benchmarks.quality.ranker_results import (
    METRICS_COMPARED,
    RankerResult,
    TrainingResult,
    coverage,
    diversity,
    group_by_length,
    mean_percent,
    mean_result,
    paired_gain,
)
from model_export.evaluation.cases import Cases
from model_export.evaluation.evaluate import summarise_metrics
from model_export.evaluation.report import metrics_table, table

__all__ = ["best_anchor", "comparison_sentence", "print_report"]

BEST_OF = ("item-kNN", "EASE", "SASRec")


def print_report(found: Results, main_model: str, single_interest: str, test: Cases, vectors: np.ndarray) -> None:
    """Print the comparison for people, and one model's figures as the last line.

    Parameters
    ----------
    found : the trainings of each model, and the results of baselines and anchors.
    main_model : the model whose figures are the last line.
    single_interest : what the same with one interest is called; it need not be there.
    vectors : float (items, d), see `diversity`.
    """
    together = _in_one_list(found)
    by_name = {result.name: result for result in together}
    mine, knn, single = by_name[main_model], by_name["item-kNN"], by_name.get(single_interest, by_name[main_model])
    anchor = best_anchor(by_name)
    seeds = len(found.models[main_model])
    print(f"\n{len(test):,} test users; means of {seeds} training(s); in brackets the 95 % interval over users\n")
    _print_tables(together, test, vectors)
    print(f"\n{table(['', 'slot cosine', 'event cosine', 'seconds per 1,000 steps'], _geometry(found.models))}\n")
    for other in {one.name: one for one in (knn, anchor, single) if one is not mine}.values():
        for metric in METRICS_COMPARED:
            print(comparison_sentence(mine, other, metric))
    counts = {"model": main_model, "users": len(test), "seeds": seeds}
    finish(counts | _figures(found.models[main_model], mine, knn, single, anchor))


def best_anchor(by_name: dict[str, RankerResult]) -> RankerResult:
    """Return the best by recall@50 of item-kNN, EASE and SASRec, as far as they are there."""
    there = [by_name[name] for name in BEST_OF if name in by_name]
    return max(there, key=lambda one: mean_percent(one.metrics))


def _in_one_list(found: Results) -> list[RankerResult]:
    """Return baselines, anchors, each model's mean, and means with fresh routing logits."""
    means = [mean_result(name, [training.result for training in trainings]) for name, trainings in found.models.items()]
    redrawn = [[training.fresh for training in trainings if training.fresh] for trainings in found.models.values()]
    return [*found.others, *means, *(mean_result(some[0].name, some) for some in redrawn if some)]


def _print_tables(together: list[RankerResult], test: Cases, vectors: np.ndarray) -> None:
    """Print the tables with a row for each ranker: metrics, spread, recall by length."""
    print(metrics_table([summarise_metrics(result.name, result.metrics) for result in together]))
    print("\nwith the items of the input (the last 20 behaviours) left out\n")
    print(metrics_table([summarise_metrics(result.name, result.unseen) for result in together]))
    print("\nR@50 of the validation users, by whom settings are chosen; how wide the test users' candidates spread\n")
    print(table(["", "validation", "coverage", "diversity"], [_spread(result, vectors) for result in together]))
    groups = group_by_length(test)
    print("\nR@50 of users by how many behaviours are read; each group's users in the first row\n")
    counts = ["", *(f"{int(group.sum()):,}" for group in groups.values())]
    print(table(["behaviours", *groups], [counts, *(_by_length(result, groups) for result in together)]))


def _figures(
    trainings: list[TrainingResult], mine: RankerResult, knn: RankerResult, single: RankerResult, anchor: RankerResult
) -> dict[str, float | str]:
    """Return figures of a model, item-kNN, one interest and the best anchor; shares in %."""
    return {
        **{name.replace("@", ""): mean_percent(mine.metrics, name) for name in mine.metrics},
        "recall50_unseen": mean_percent(mine.unseen),
        "hr50_unseen": mean_percent(mine.unseen, "hr@50"),
        **{f"{name.replace('@', '')}_knn": mean_percent(knn.metrics, name) for name in METRICS_COMPARED},
        **{f"{name.replace('@', '')}_k1": mean_percent(single.metrics, name) for name in METRICS_COMPARED},
        "recall50_best_anchor": mean_percent(anchor.metrics),
        "best_anchor": anchor.name,
        "recall50_valid": 100 * mine.valid,
        "slot_cosine": _mean_slot(trainings),
        "event_cosine": _mean_event(trainings),
        "seconds_per_1000_steps": _mean_seconds(trainings),
    }


def _spread(result: RankerResult, vectors: np.ndarray) -> tuple[str, ...]:
    """Return a ranker's row: validation recall@50 in %, coverage in %, diversity."""
    covered = f"{100 * coverage(result.top, len(vectors)):.1f}"
    return result.name, f"{100 * result.valid:.2f}", covered, f"{diversity(result.top, vectors):.2f}"


def _by_length(result: RankerResult, groups: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Return a ranker's row: recall@50 in % of each group of users."""
    recalls = result.metrics["recall@50"]
    return result.name, *(f"{100 * recalls[group].mean():.2f}" for group in groups.values())


def comparison_sentence(ranker: RankerResult, other: RankerResult, metric: str = "recall@50") -> str:
    """Return a sentence on the lead of one ranker over another by a metric."""
    share = mean_percent(ranker.metrics, metric) / max(mean_percent(other.metrics, metric), 1e-9) - 1
    points, low, high = paired_gain(ranker, other, metric)
    word = "ahead of" if share > 0 else "BEHIND"
    sure = f"{points:+.2f} points [{low:+.2f}, {high:+.2f}]"
    return f"{ranker.name} is {abs(share):.1%} {word} {other.name} by {metric}: {sure}"


def _geometry(models: dict[str, list[TrainingResult]]) -> list[tuple[str, ...]]:
    """Return a row for each model: slot cosine, event cosine, seconds of 1,000 steps."""
    return [
        (name, f"{_mean_slot(trainings):.2f}", f"{_mean_event(trainings):.3f}", f"{_mean_seconds(trainings):.0f}")
        for name, trainings in models.items()
    ]


def _mean_slot(trained: list[TrainingResult]) -> float:
    """Return the mean slot cosine."""
    return float(np.mean([training.cosines.slot for training in trained]))


def _mean_event(trained: list[TrainingResult]) -> float:
    """Return the mean event cosine."""
    return float(np.mean([training.cosines.event for training in trained]))


def _mean_seconds(trained: list[TrainingResult]) -> float:
    """Return the mean seconds of 1,000 training steps."""
    return float(np.mean([training.seconds_per_1000_steps for training in trained]))
