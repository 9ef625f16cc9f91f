"""The comparison of models for people, and the figures of one of them as the last line."""

import numpy as np

from benchmarks.harness.report import finish
from benchmarks.quality.ranker_results import (
    RankerResult,
    TrainingResult,
    coverage,
    diversity,
    group_by_length,
    mean_result,
    paired_gain,
    recall50,
)
from model_export.evaluation.cases import Cases
from model_export.evaluation.evaluate import summarise_metrics
from model_export.evaluation.report import metrics_table, table

__all__ = ["comparison_sentence", "print_report"]


def print_report(
    models: dict[str, list[TrainingResult]],
    baselines: list[RankerResult],
    main_model: str,
    single_interest: str,
    test: Cases,
    vectors: np.ndarray,
) -> None:
    """Print the comparison for people, and one model's figures as the last line.

    Parameters
    ----------
    models : the trainings of each model.
    main_model : the model whose figures are the last line.
    single_interest : what the same with one interest is called; it need not be there.
    vectors : float (items, d), see `diversity`.
    """
    together = _in_one_list(models, baselines)
    by_name = {result.name: result for result in together}
    mine, knn, single = by_name[main_model], by_name["item-kNN"], by_name.get(single_interest, by_name[main_model])
    seeds = len(models[main_model])
    print(f"\n{len(test):,} test users; means of {seeds} training(s); in brackets the 95 % interval over users\n")
    _print_tables(together, test, vectors)
    print(f"\n{table(['', 'slot cosine', 'event cosine', 'seconds per 1,000 steps'], _geometry(models))}\n")
    print(comparison_sentence(mine, knn))
    if single is not mine:
        print(comparison_sentence(mine, single))
    counts = {"model": main_model, "users": len(test), "seeds": seeds}
    finish(counts | _figures(models[main_model], mine, knn, single))


def _in_one_list(models: dict[str, list[TrainingResult]], baselines: list[RankerResult]) -> list[RankerResult]:
    """Return the baselines, each model's mean, and the means with fresh routing logits."""
    means = [mean_result(name, [training.result for training in trainings]) for name, trainings in models.items()]
    redrawn = [[training.fresh for training in trainings if training.fresh] for trainings in models.values()]
    return [*baselines, *means, *(mean_result(some[0].name, some) for some in redrawn if some)]


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
    trainings: list[TrainingResult], mine: RankerResult, knn: RankerResult, single: RankerResult
) -> dict[str, float]:
    """Return the figures of a model, of item-kNN and of one interest; shares in %."""
    return {
        **{name.replace("@", ""): 100 * float(values.mean()) for name, values in mine.metrics.items()},
        "recall50_unseen": recall50(mine.unseen),
        "hr50_unseen": 100 * float(mine.unseen["hr@50"].mean()),
        "recall50_knn": recall50(knn.metrics),
        "recall50_k1": recall50(single.metrics),
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


def comparison_sentence(ranker: RankerResult, other: RankerResult) -> str:
    """Return a sentence on the lead of one ranker over another."""
    share = recall50(ranker.metrics) / max(recall50(other.metrics), 1e-9) - 1
    points, low, high = paired_gain(ranker, other)
    word = "ahead of" if share > 0 else "BEHIND"
    sure = f"{points:+.2f} points [{low:+.2f}, {high:+.2f}]"
    return f"{ranker.name} is {abs(share):.1%} {word} {other.name} by recall@50: {sure}"


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
