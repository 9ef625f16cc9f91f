"""Training speed of our MIND and our default model beside a peer's MIND, in the same run, on one thread.

All train on the same made-up log, with the same batch size, K, d, L and items; whatever else a model does in a step,
such as iterations of its routing, is its own. Each loads its batches as it always does: ours by the Sampler, the peer
by its own functions (rechub.py); what is done once before the first step is not timed. Ours share the negatives of a
step among its pairs, the peer draws some for each pair. So the peer is measured with as many negatives a step, which
are few for each pair and little work, and with as many for each pair.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks.harness.report import finish
from benchmarks.harness.stopwatch import best_means
from benchmarks.speed import rechub
from model_export.data.dataset import Sequences, Vocabulary
from model_export.evaluation.cases import comirec_cases
from model_export.evaluation.report import table
from model_export.models.checkpoint import new_model
from model_export.models.presets import DEFAULT, preset
from model_export.training.loop import TrainingRun
from model_export.training.sampler import Sampler
from model_export.training.train import prepare_items

__all__ = ["OURS", "Size", "figures_json", "made_up_sequences", "main", "measure", "our_training", "peer_negatives"]

ROUNDS = 3
SECONDS = 2.0  # of each training in each round
STEPS = 5  # between two looks at the clock
OURS = (DEFAULT, "mind")


@dataclass(frozen=True)
class Size:
    """Sizes that all trainings have in common: of the log, of the model and of a step."""

    items: int = 12_000
    users: int = 500
    behaviours: int = 60  # of each user
    dim: int = 64
    interests: int = 4
    length: int = 50
    batch_size: int = 256
    negatives: int = 1_024  # a step


def main(
    items: Annotated[int, typer.Option(help="Items of the made-up log.", min=100)] = Size.items,
    seed: Annotated[int, typer.Option(help="Seed of the log and of the trainings.")] = 7,
) -> None:
    """Measure training steps and examples a second, ours and a peer's."""
    rechub.require_peer()
    torch.set_num_threads(1)
    size = Size(items=items)
    _report(measure(size, seed), size)


def measure(size: Size, seed: int, rounds: int = ROUNDS, seconds: float = SECONDS) -> dict[str, float]:
    """Return steps a second of each training."""
    sequences = made_up_sequences(size, np.random.default_rng(seed))
    trainings = {name: our_training(name, sequences, size, seed) for name in OURS}
    for name, negatives in peer_negatives(size).items():
        config = replace(preset("mind").model, dim=size.dim, num_interests=size.interests, history_length=size.length)
        trainings[name] = rechub.peer_training(sequences, size.items, config, size.batch_size, negatives, seed)
    calls = {name: lambda steps=steps: steps(STEPS) for name, steps in trainings.items()}
    return {name: STEPS / took for name, took in best_means(calls, rounds, seconds).items()}


def peer_negatives(size: Size) -> dict[str, int]:
    """Return the peer's trainings with their negatives of each pair.

    As many in a step as ours, and as many for each pair.
    """
    return {"peer": max(1, size.negatives // size.batch_size), "peer_all_negatives": size.negatives}


def made_up_sequences(size: Size, rng: np.random.Generator) -> Sequences:
    """Make up users with behaviours drawn by Zipf's law, and without profiles."""
    share = 1 / np.arange(1, size.items + 1)
    behaviours = size.users * size.behaviours
    items = rng.choice(size.items, size=behaviours, p=share / share.sum())
    starts = size.behaviours * np.arange(size.users + 1)
    user_ids = [f"user-{user}" for user in range(size.users)]
    return Sequences(user_ids, items, np.arange(behaviours), starts, np.zeros((size.users, 0), dtype=np.int64))


def our_training(name: str, sequences: Sequences, size: Size, seed: int) -> Callable[[int], None]:
    """Prepare a training of one of our models; the returned function takes so many steps.

    Loading included.
    """
    torch.manual_seed(seed)
    chosen = preset(name)
    config = replace(chosen.model, dim=size.dim, num_interests=size.interests, history_length=size.length)
    # More steps than are taken: the learning rate does not fall to zero, as it never does while training goes on.
    training = replace(
        chosen.training, batch_size=size.batch_size, negatives=size.negatives, steps=1_000_000, seed=seed
    )
    nothing = np.zeros((size.items, 0), dtype=np.int64)
    vocabulary = Vocabulary([str(item) for item in range(size.items)], {}, nothing, {}, [])
    model = new_model(config, vocabulary)
    users = np.arange(size.users)
    neighbours = prepare_items(model, sequences, users, training, vocabulary)
    cpu = torch.device("cpu")  # as the peer
    sampler = Sampler(sequences, users, size.length, training, size.items, cpu, neighbours)
    run = TrainingRun(model, sampler, comirec_cases(sequences, users[:0], size.length), training)

    def steps(number: int) -> None:
        for _ in range(number):
            run.train_step()

    return steps


def _report(speeds: dict[str, float], size: Size) -> None:
    """Print steps and examples a second."""
    few = peer_negatives(size)["peer"]
    names = {
        **{name: f"{name}, {size.negatives:,} negatives shared by the step" for name in OURS},
        "peer": f"torch-rechub's MIND, {few * size.batch_size:,} negatives a step, {few} for each pair",
        "peer_all_negatives": f"torch-rechub's MIND, {size.negatives:,} negatives for each pair",
    }
    examples = {name: speed * size.batch_size for name, speed in speeds.items()}
    rows = [(text, f"{speeds[name]:.2f}", f"{examples[name]:,.0f}") for name, text in names.items()]
    print(
        f"One thread, loading included, the best of {ROUNDS} rounds: batches of {size.batch_size}, K = "
        f"{size.interests}, d = {size.dim}, L = {size.length}, {size.items:,} items\n"
    )
    print(table(["", "steps/s", "examples/s"], rows))
    finish({**figures_json(speeds, size), "batch_size": size.batch_size})


def figures_json(speeds: dict[str, float], size: Size) -> dict[str, float]:
    """Return the figures for programs.

    `ratio` is to the peer with as many negatives a step, the quicker one.
    """
    found: dict[str, float] = {}
    for name in OURS:
        suffix = "" if name == DEFAULT else f"_{name}"
        found |= {f"steps_per_s{suffix}": speeds[name], f"examples_per_s{suffix}": speeds[name] * size.batch_size}
        found |= {
            f"ratio{suffix}": speeds[name] / speeds["peer"],
            f"ratio_all_negatives{suffix}": speeds[name] / speeds["peer_all_negatives"],
        }
    for peer in peer_negatives(size):
        found[f"{peer}_examples_per_s"] = speeds[peer] * size.batch_size
    return found
