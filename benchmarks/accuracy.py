"""How good the models are, beside the baselines, on the same users: the ComiRec protocol."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from tqdm import tqdm

from benchmarks.report import finish, table
from benchmarks.wals import tune as tune_wals
from model_export import metrics
from model_export.cases import comirec_cases
from model_export.cosines import Cosines, cosines
from model_export.dataset import Sequences, build_sequences, build_vocabulary, positions_of
from model_export.evaluation import COMIREC_LENGTH, Figures, N
from model_export.interactions import InteractionLog
from model_export.item_knn import tune as tune_item_knn
from model_export.model_ranker import ModelRanker
from model_export.presets import DEFAULT, PRESETS, Preset, one_interest, preset
from model_export.rankers import Popular, Ranker
from model_export.readers import read_log
from model_export.report import figures_table
from model_export.split import Split, split_users
from model_export.training import train

ALL = "all"
WORKERS = 2  # trainings at a time, each on one thread

DataPath = Annotated[Path, typer.Option("--data", help="Interaction log; a publisher's file or folder.")]
Answers = dict[str, np.ndarray]  # metric -> float64 (C,)


@dataclass(frozen=True)
class Job:
    """One training."""

    name: str
    settings: Preset
    seed: int
    log: InteractionLog


@dataclass(frozen=True)
class Trained:
    """What a training gave on the test users.

    Attributes
    ----------
    answers, unseen : every metric of every user; with the items of the history left out.
    """

    name: str
    answers: Answers
    unseen: Answers
    cosines: Cosines
    seconds_per_1000_steps: float


def main(
    data: DataPath,
    model: Annotated[str, typer.Option(help=f"Which model, or all of them: {', '.join([*PRESETS, ALL])}.")] = DEFAULT,
    ids_only: Annotated[bool, typer.Option("--ids-only", help="Leave out the side features of items.")] = False,
    seeds: Annotated[int, typer.Option(help="Trainings of each model; figures are their means.", min=1)] = 1,
    steps: Annotated[int | None, typer.Option(help="Most training steps.", min=1, show_default="the model's")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Without WALS, whose settings take long to choose.")] = False,
) -> None:
    """Recall, HR and NDCG of a model, of the same with one interest, and of the baselines, on users held out."""
    log = without_side_features(read_log(data)) if ids_only else read_log(data)
    print(log.describe())
    chosen = dict(PRESETS) if model == ALL else {model: preset(model)}
    shown = DEFAULT if model == ALL else model
    trainings = {**chosen, one_name(shown): one_interest(preset(shown))}
    jobs = [
        Job(name, with_steps(of, steps), seed, log) for name, of in trainings.items() for seed in range(1, seeds + 1)
    ]
    trained = run_all(jobs)
    baselines = judge_baselines(log, preset(shown), quick)
    models = {name: [one for one in trained if one.name == name] for name in trainings}
    report(models, baselines, shown)


def one_name(model: str) -> str:
    return f"{model}, one interest"


def without_side_features(log: InteractionLog) -> InteractionLog:
    """Items known by their ids alone."""
    items = log.items[["item_id", "title", "category", "price"]].assign(category="", price=np.nan)
    return replace(log, items=items.astype({"category": "str"}))


def with_steps(of: Preset, steps: int | None) -> Preset:
    return of if steps is None else replace(of, training=replace(of.training, steps=steps))


def run_all(jobs: list[Job]) -> list[Trained]:
    """Train several models side by side, in processes of their own."""
    with ProcessPoolExecutor(min(WORKERS, len(jobs)), mp_context=get_context("spawn")) as pool:
        return list(tqdm(pool.map(run, jobs), total=len(jobs), desc="training", unit="model"))


def run(job: Job) -> Trained:
    """Train one model and judge it on the test users."""
    torch.set_num_threads(1)
    training = replace(job.settings.training, seed=job.seed)
    checkpoint = train(job.log, job.settings.model, training, progress=False)
    sequences = build_sequences(job.log, checkpoint.vocabulary)
    cases = comirec_cases(sequences, split_of(job.log, sequences, job.settings).test, COMIREC_LENGTH)
    ranker = ModelRanker(job.name, checkpoint.model)
    answers, unseen = (metrics.per_case(ranker.top(cases, N, only), cases.labels) for only in (False, True))
    speed = 1_000 * checkpoint.seconds / checkpoint.steps
    return Trained(job.name, answers, unseen, cosines(checkpoint.model, cases), speed)


def split_of(log: InteractionLog, sequences: Sequences, of: Preset) -> Split:
    return split_users(sequences.user_ids, of.training.valid_share, of.training.test_share, log.sides)


def judge_baselines(log: InteractionLog, of: Preset, quick: bool) -> list[tuple[str, Answers, Answers]]:
    """Most popular, item-kNN and WALS, which learn from the training users and are tuned on the validation users."""
    vocabulary = build_vocabulary(log)
    items, sequences = len(vocabulary.item_ids), build_sequences(log, vocabulary)
    split = split_of(log, sequences, of)
    valid, test = (comirec_cases(sequences, users, COMIREC_LENGTH) for users in (split.valid, split.test))
    counts = np.bincount(sequences.items[positions_of(sequences, split.train)[0]], minlength=items)
    rankers: list[Ranker] = [Popular(counts)]
    if not quick:
        rankers.append(tune_wals(sequences, split.train, items, valid))
    rankers.append(tune_item_knn(sequences, split.train, items, valid, COMIREC_LENGTH))
    return [
        (ranker.name, *(metrics.per_case(ranker.top(test, N, only), test.labels) for only in (False, True)))
        for ranker in rankers
    ]


def report(models: dict[str, list[Trained]], baselines: list[tuple[str, Answers, Answers]], shown: str) -> None:
    """Print the comparison; the figures of one model are the last line."""
    seen = {name: answers for name, answers, _ in baselines} | {
        n: mean_of([t.answers for t in of]) for n, of in models.items()
    }
    unseen = {name: answers for name, _, answers in baselines} | {
        n: mean_of([t.unseen for t in of]) for n, of in models.items()
    }
    users = len(next(iter(seen.values()))["recall@50"])
    print(
        f"\n{users:,} test users; means of {len(models[shown])} training(s); in brackets the 95 % interval over users\n"
    )
    print(figures_table([figures(name, answers) for name, answers in seen.items()]))
    print("\nwith the items of the history left out\n")
    print(figures_table([figures(name, answers) for name, answers in unseen.items()]))
    rows = [(n, f"{slot(of):.2f}", f"{event(of):.3f}", f"{seconds(of):.0f}") for n, of in models.items()]
    print("\n" + table(["", "slot cosine", "event cosine", "seconds per 1,000 steps"], rows))
    mean = {name: float(values.mean()) * 100 for name, values in seen[shown].items()}
    knn, one = recall50(seen["item-kNN"]), recall50(seen[one_name(shown)])
    ahead = mean["recall@50"] / knn - 1
    print(f"\n{shown} is {abs(ahead):.1%} {'ahead of' if ahead > 0 else 'BEHIND'} item-kNN by recall@50")
    finish(
        {
            "model": shown,
            "users": users,
            "seeds": len(models[shown]),
            **{name.replace("@", ""): value for name, value in mean.items()},
            "recall50_unseen": recall50(unseen[shown]),
            "hr50_unseen": 100 * float(unseen[shown]["hr@50"].mean()),
            "recall50_knn": knn,
            "recall50_k1": one,
            "slot_cosine": slot(models[shown]),
            "event_cosine": event(models[shown]),
            "seconds_per_1000_steps": seconds(models[shown]),
        }
    )


def mean_of(answers: list[Answers]) -> Answers:
    """Each user's mean over several trainings."""
    return {name: np.mean([one[name] for one in answers], axis=0) for name in answers[0]}


def figures(name: str, answers: Answers) -> Figures:
    """Means and intervals over users."""
    return Figures(name, len(answers["recall@50"]), metrics.means(answers), metrics.intervals(answers, seed=7))


def recall50(answers: Answers) -> float:
    return 100 * float(answers["recall@50"].mean())


def slot(trained: list[Trained]) -> float:
    return float(np.mean([one.cosines.slot for one in trained]))


def event(trained: list[Trained]) -> float:
    return float(np.mean([one.cosines.event for one in trained]))


def seconds(trained: list[Trained]) -> float:
    return float(np.mean([one.seconds_per_1000_steps for one in trained]))
