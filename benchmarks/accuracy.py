"""How good the models are, beside the baselines, on the same users: the ComiRec protocol."""

from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from tqdm import tqdm

from benchmarks.report import finish
from benchmarks.wals import tune as tune_wals
from model_export import metrics
from model_export.cases import Cases, comirec_cases
from model_export.cosines import Cosines, cosines
from model_export.dataset import Sequences, Vocabulary, build_sequences, build_vocabulary, item_counts
from model_export.evaluation import COMIREC_LENGTH, N, cases_of_test_users, figures_of
from model_export.interactions import InteractionLog
from model_export.item_knn import tune as tune_item_knn
from model_export.model_ranker import ModelRanker
from model_export.presets import DEFAULT, PRESETS, Preset, one_interest, preset
from model_export.rankers import Popular, Ranker
from model_export.readers import read_log
from model_export.report import figures_table, table
from model_export.split import Split, split_of
from model_export.training import train

ALL = "all"
WORKERS = 2  # trainings at a time, each on one thread

DataPath = Annotated[Path, typer.Option("--data", help="Interaction log; a publisher's file or folder.")]
Answers = dict[str, np.ndarray]  # metric -> float64 (C,)


@dataclass(frozen=True)
class Judged:
    """What a ranker gave on the test users.

    Attributes
    ----------
    answers : every metric of every user.
    unseen : likewise, with the items of the input left out.
    """

    name: str
    answers: Answers
    unseen: Answers


@dataclass(frozen=True)
class Trained:
    """What a training gave.

    Attributes
    ----------
    fresh : what it gives with routing logits drawn anew for each behaviour; None where the model draws none.
    """

    judged: Judged
    fresh: Judged | None
    cosines: Cosines
    seconds_per_1000_steps: float


def main(
    data: DataPath,
    model: Annotated[str, typer.Option(help=f"Which model, or {ALL} of them: {', '.join(PRESETS)}.")] = DEFAULT,
    ids_only: Annotated[bool, typer.Option("--ids-only", help="Leave out the side features of items.")] = False,
    seeds: Annotated[int, typer.Option(help="Trainings of each model; figures are their means.", min=1)] = 1,
    steps: Annotated[int | None, typer.Option(help="Most training steps.", min=1, show_default="the model's")] = None,
) -> None:
    """Recall, HR and NDCG of a model, of the same with one interest, and of the baselines, on users held out."""
    shown = DEFAULT if model == ALL else model
    chosen = dict(PRESETS) if model == ALL else {model: preset(model)}
    if preset(shown).model.num_interests > 1:
        chosen[one_name(shown)] = one_interest(preset(shown))
    log = without_side_features(read_log(data)) if ids_only else read_log(data)
    print(log.describe())
    asked(log, preset(shown), build_vocabulary(log))  # before anything is trained: is there anybody to ask?
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        baselines = pool.submit(judge_baselines, log, preset(shown), model == ALL)
        trainings = {
            name: [pool.submit(run, name, with_settings(of, seed, steps), log) for seed in range(1, seeds + 1)]
            for name, of in chosen.items()
        }
        wait_for([baselines, *(one for of in trainings.values() for one in of)])
    report({name: [one.result() for one in of] for name, of in trainings.items()}, baselines.result(), shown)


def asked(log: InteractionLog, of: Preset, vocabulary: Vocabulary) -> tuple[Sequences, Split, Cases]:
    """The behaviours, the split that a training makes of the users, and what the test users are asked.

    Raises
    ------
    ValueError
        If there is no test user to ask.
    """
    sequences = build_sequences(log, vocabulary)
    split = split_of(of.training, sequences.user_ids, log.sides)
    return sequences, split, cases_of_test_users(sequences, split, COMIREC_LENGTH, log.source)


def one_name(model: str) -> str:
    """What the same model with one interest is called."""
    return f"{model}, one interest"


def without_side_features(log: InteractionLog) -> InteractionLog:
    """Items known by their ids alone."""
    items = log.items[["item_id", "title", "category", "price"]].assign(category="", price=np.nan)
    return replace(log, items=items.astype({"category": "str"}))


def with_settings(of: Preset, seed: int, steps: int | None) -> Preset:
    """The settings with this seed, and with so many steps where they are given."""
    return replace(of, training=replace(of.training, seed=seed, steps=steps or of.training.steps))


def wait_for(futures: list[Future[Any]]) -> None:
    """Show how many are done."""
    for _ in tqdm(as_completed(futures), total=len(futures), desc="training and judging", unit="model"):
        pass


def run(name: str, of: Preset, log: InteractionLog) -> Trained:
    """Train one model and judge it on the test users."""
    torch.set_num_threads(1)
    checkpoint = train(log, of.model, of.training, progress=False)
    _, _, cases = asked(log, of, checkpoint.vocabulary)
    model, speed = checkpoint.model, 1_000 * checkpoint.seconds / checkpoint.steps
    fresh = judge(ModelRanker(f"{name}, fresh logits", model, True), cases) if of.model.draws_logits else None
    return Trained(judge(ModelRanker(name, model), cases), fresh, cosines(model, cases), speed)


def judge_baselines(log: InteractionLog, of: Preset, with_wals: bool) -> list[Judged]:
    """Most popular, item-kNN and WALS, which learn from the training users and are tuned on the validation users."""
    vocabulary = build_vocabulary(log)
    sequences, split, test = asked(log, of, vocabulary)
    items, valid = len(vocabulary.item_ids), comirec_cases(sequences, split.valid, COMIREC_LENGTH)
    rankers: list[Ranker] = [Popular(item_counts(sequences, split.train, items))]
    if with_wals:
        rankers.append(tune_wals(sequences, split.train, items, valid, progress=False))
    rankers.append(tune_item_knn(sequences, split.train, items, valid, COMIREC_LENGTH, progress=False))
    return [judge(ranker, test) for ranker in rankers]


def judge(ranker: Ranker, cases: Cases) -> Judged:
    """Ask a ranker for the cases, with and without what is in the history."""
    seen, unseen = (metrics.per_case(ranker.top(cases, N, only), cases.labels) for only in (False, True))
    return Judged(ranker.name, seen, unseen)


def report(models: dict[str, list[Trained]], baselines: list[Judged], shown: str) -> None:
    """Print the comparison; the figures of one model are the last line."""
    together = [*baselines, *(mean_of(name, [one.judged for one in of]) for name, of in models.items())]
    redrawn = [[one.fresh for one in of if one.fresh] for of in models.values()]
    together += [mean_of(of[0].name, of) for of in redrawn if of]
    by_name = {one.name: one for one in together}
    mine, knn, one = by_name[shown], by_name["item-kNN"], by_name.get(one_name(shown), by_name[shown])
    users, trainings = len(mine.answers["recall@50"]), len(models[shown])
    print(f"\n{users:,} test users; means of {trainings} training(s); in brackets the 95 % interval over users\n")
    print(figures_table([figures_of(judged.name, judged.answers) for judged in together]))
    print("\nwith the items of the input (the last 20 behaviours) left out\n")
    print(figures_table([figures_of(judged.name, judged.unseen) for judged in together]))
    print(f"\n{table(['', 'slot cosine', 'event cosine', 'seconds per 1,000 steps'], geometry(models))}")
    ahead = recall50(mine.answers) / max(recall50(knn.answers), 1e-9) - 1
    print(f"\n{shown} is {abs(ahead):.1%} {'ahead of' if ahead > 0 else 'BEHIND'} item-kNN by recall@50")
    finish(
        {
            "model": shown,
            "users": users,
            "seeds": trainings,
            **{name.replace("@", ""): 100 * float(values.mean()) for name, values in mine.answers.items()},
            "recall50_unseen": recall50(mine.unseen),
            "hr50_unseen": 100 * float(mine.unseen["hr@50"].mean()),
            "recall50_knn": recall50(knn.answers),
            "recall50_k1": recall50(one.answers),
            "slot_cosine": mean_slot(models[shown]),
            "event_cosine": mean_event(models[shown]),
            "seconds_per_1000_steps": mean_seconds(models[shown]),
        }
    )


def mean_of(name: str, judged: list[Judged]) -> Judged:
    """Each user's mean over several trainings."""
    names = judged[0].answers
    answers = {metric: np.mean([one.answers[metric] for one in judged], axis=0) for metric in names}
    unseen = {metric: np.mean([one.unseen[metric] for one in judged], axis=0) for metric in names}
    return Judged(name, answers, unseen)


def recall50(answers: Answers) -> float:
    """Mean recall@50 in %."""
    return 100 * float(answers["recall@50"].mean())


def geometry(models: dict[str, list[Trained]]) -> list[tuple[str, ...]]:
    """A row for each model."""
    return [
        (name, f"{mean_slot(of):.2f}", f"{mean_event(of):.3f}", f"{mean_seconds(of):.0f}")
        for name, of in models.items()
    ]


def mean_slot(trained: list[Trained]) -> float:
    """Mean slot cosine."""
    return float(np.mean([one.cosines.slot for one in trained]))


def mean_event(trained: list[Trained]) -> float:
    """Mean event cosine."""
    return float(np.mean([one.cosines.event for one in trained]))


def mean_seconds(trained: list[Trained]) -> float:
    """Mean seconds of 1,000 training steps."""
    return float(np.mean([one.seconds_per_1000_steps for one in trained]))
