"""Cost of interest capsules: the exported extractor in ONNX Runtime beside torch, with the same weights.

One thread each, full histories of L = 50 behaviours. The graph and torch begin with behaviours that are looked up
already; `encode` is all that the updater asks for, from item ids to capsules. The weights are those of a few training
steps on a small simulated shop: what they are makes no difference to the time.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from tqdm import tqdm

from benchmarks.harness.report import finish
from benchmarks.harness.stopwatch import best_means
from model_export.bundle.extractor import OUTPUTS, Extractor
from model_export.bundle.time_gaps import BUCKETS
from model_export.data.simulator import simulate
from model_export.evaluation.report import table
from model_export.export.bundle_writer import export
from model_export.models.checkpoint import Checkpoint
from model_export.models.presets import DEFAULT, PRESETS, preset
from model_export.training.train import train

__all__ = ["full_inputs", "long_histories", "main", "measure", "onnx_call", "small_extractor", "torch_call"]

ALL = "all"
BATCH = 32
SHOP_USERS, STEPS = 300, 3
TOO_LONG = 10  # behaviours of a history beyond the L that the model reads
ROUNDS = 7
SECONDS = 0.2  # of each way in each round

Call = Callable[[], object]


def main(
    model: Annotated[str, typer.Option(help=f"Which model: {', '.join(PRESETS)}, or {ALL}.")] = DEFAULT,
    seed: Annotated[int, typer.Option(help="Seed of the shop, the weights and the histories.")] = 7,
) -> None:
    """Measure microseconds a user of ONNX Runtime, of torch, and of the way from item ids."""
    torch.set_num_threads(1)
    if model != ALL:
        preset(model)  # a name that there is none of is an error before anything is shown
    names = list(PRESETS) if model == ALL else [model]
    found = {
        name: measure(*small_extractor(name, seed), seed=seed) for name in tqdm(names, desc="measuring", unit="model")
    }
    print(f"\nµs a user on one thread, the best of {ROUNDS} rounds (the least of their means), after one to warm up\n")
    ways = list(next(iter(found.values())))
    print(
        table(
            ["", *map(_column_head, ways)],
            [(name, *(f"{one[way]:.1f}" for way in ways)) for name, one in found.items()],
        )
    )
    # One model's figures have no name in front.
    finish(found[model] if model != ALL else {f"{n}_{way}": us for n, one in found.items() for way, us in one.items()})


def _column_head(way: str) -> str:
    """Return the head of a column: "encode_batch32" for us_per_user_encode_batch32."""
    return way.replace("us_per_user", "onnx").replace("torch_onnx", "torch").replace("onnx_encode", "encode")


def small_extractor(name: str, seed: int) -> tuple[Checkpoint, Extractor]:
    """Train a model for a moment, and return it with its extractor on one thread."""
    shop, chosen = simulate(users=SHOP_USERS, seed=seed), preset(name)
    training = replace(chosen.training, steps=STEPS, seed=seed, valid_share=0, test_share=0)
    checkpoint = train(shop.log, chosen.model, training, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        bundle = export(checkpoint, Path(folder), progress=False)
        extractor = Extractor(bundle, threads=1)
        # Read before the folder goes: a bundle opens its files when they are first asked for.
        extractor.encode([bundle.item_ids[:1]])
        return checkpoint, extractor


def measure(
    checkpoint: Checkpoint, extractor: Extractor, rounds: int = ROUNDS, seconds: float = SECONDS, seed: int = 7
) -> dict[str, float]:
    """Return microseconds a user of each way."""
    ways = _ways_of(checkpoint, extractor, seed)
    with torch.no_grad():
        took = best_means({name: call for name, (call, _) in ways.items()}, rounds, seconds)
    return {name: 1e6 * took[name] / users for name, (_, users) in ways.items()}


def _ways_of(checkpoint: Checkpoint, extractor: Extractor, seed: int) -> dict[str, tuple[Call, int]]:
    """Return the calls to time, and the number of users of each."""
    one, many = full_inputs(extractor, 1, seed), full_inputs(extractor, BATCH, seed)
    histories = long_histories(extractor, BATCH, seed)
    times_ms = [list(range(0, 3_600_000 * len(history), 3_600_000)) for history in histories]  # an hour apart
    return {
        "us_per_user_batch1": (onnx_call(extractor, one), 1),
        "us_per_user_batch32": (onnx_call(extractor, many), BATCH),
        "torch_us_per_user_batch1": (torch_call(checkpoint, one), 1),
        "us_per_user_encode_batch32": (lambda: extractor.encode(histories, times_ms=times_ms), BATCH),
    }


def full_inputs(extractor: Extractor, users: int, seed: int) -> dict[str, np.ndarray]:
    """Return the graph's inputs for users with full histories of random items."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(extractor.bundle.item_ids), size=(users, extractor.length))
    profile, gaps = extractor.profile_matrix([{}] * users, users), rng.integers(BUCKETS, size=rows.shape)
    types = rng.integers(1 + len(extractor.type_rows), size=rows.shape)
    return extractor.inputs(rows, np.ones(rows.shape, dtype=bool), profile, gaps, types)


def long_histories(extractor: Extractor, users: int, seed: int) -> list[list[str]]:
    """Return item ids of users with more behaviours than the model reads."""
    rng = np.random.default_rng(seed)
    ids = np.array(list(extractor.bundle.item_ids), dtype=object)
    histories: list[list[str]] = ids[rng.integers(len(ids), size=(users, extractor.length + TOO_LONG))].tolist()
    return histories


def onnx_call(extractor: Extractor, inputs: dict[str, np.ndarray]) -> Call:
    """Return a call of the graph in ONNX Runtime."""
    return lambda: extractor.session.run(list(OUTPUTS), inputs)


def torch_call(checkpoint: Checkpoint, inputs: dict[str, np.ndarray]) -> Call:
    """Return the same call in torch, to be made under `no_grad`."""
    module = checkpoint.model.extractor.eval()
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()}
    return lambda: module(**tensors)
