"""The parity check: ONNX Runtime gives the capsules that torch gives, on random histories of all lengths."""

import numpy as np
import torch

from model_export.bundle.bundle import EXTRACTOR, BundleError
from model_export.bundle.extractor import Extractor, taken_at
from model_export.bundle.time_gaps import asked_gaps, time_gaps
from model_export.data.event_types import type_rows
from model_export.models.checkpoint import Checkpoint

__all__ = ["PARITY", "check_parity", "largest_difference", "random_histories", "random_times", "random_types"]

PARITY = 1e-5  # the largest difference between torch's capsules and ONNX Runtime's
RANDOM_HISTORIES = 64  # for the check of an export; the tests use many more


def random_histories(checkpoint: Checkpoint, number: int) -> list[list[str]]:
    """Draw histories of random items, with lengths spread evenly from 0 to more than L.

    Returns
    -------
    item ids of each of `number` histories
    """
    rng = np.random.default_rng(checkpoint.training.seed)
    ids = checkpoint.vocabulary.item_ids
    lengths = np.linspace(0, checkpoint.model.config.history_length * 1.2, number).astype(int)
    return [[ids[row] for row in rng.integers(len(ids), size=length)] for length in lengths]


def random_times(checkpoint: Checkpoint, histories: list[list[str]]) -> list[list[int]]:
    """Draw times for the behaviours of these histories: some in one visit, some months apart.

    Returns
    -------
    ascending Unix milliseconds of each history
    """
    rng = np.random.default_rng(checkpoint.training.seed)
    steps = [np.exp(rng.uniform(0, np.log(1e10), size=len(history))) for history in histories]  # up to four months
    return [np.cumsum(some).astype(np.int64).tolist() for some in steps]


def random_types(checkpoint: Checkpoint, histories: list[list[str]]) -> list[list[str]]:
    """Draw event types for the behaviours of these histories, "" (unknown) among them."""
    rng = np.random.default_rng(checkpoint.training.seed)
    names = ["", *checkpoint.vocabulary.event_types]
    return [[names[row] for row in rng.integers(len(names), size=len(history))] for history in histories]


def _random_questions(checkpoint: Checkpoint, times: list[list[int]]) -> list[int]:
    """Draw when each history's interests are asked for, up to four months after it."""
    rng = np.random.default_rng(checkpoint.training.seed)
    return [(when[-1] if when else 0) + int(np.exp(rng.uniform(0, np.log(1e10)))) for when in times]


def check_parity(checkpoint: Checkpoint, extractor: Extractor) -> None:
    """Raise BundleError if ONNX Runtime and torch disagree by more than 1e-5."""
    worst = largest_difference(checkpoint, extractor, random_histories(checkpoint, RANDOM_HISTORIES))
    if worst > PARITY:
        raise BundleError(
            f"{extractor.bundle.path / EXTRACTOR}: capsules differ from torch's by {worst:.1e}; "
            f"at most {PARITY:.0e} is right"
        )


@torch.no_grad()
def largest_difference(checkpoint: Checkpoint, extractor: Extractor, histories: list[list[str]]) -> float:
    """Return the largest absolute difference between capsules of torch and ONNX Runtime.

    inf if the numbers of capsules differ, or for NaN.
    """
    model, bundle = checkpoint.model.eval(), extractor.bundle
    table, logits = model.item_table(), torch.from_numpy(np.array(bundle.routing_logits))
    worst, times, types = 0.0, random_times(checkpoint, histories), random_types(checkpoint, histories)
    asked = _random_questions(checkpoint, times)
    encoded = extractor.encode(histories, times_ms=times, types=types, asked_ms=asked)
    for history, when, what, asked_at, served in zip(histories, times, types, asked, encoded, strict=True):
        item_rows, places = extractor.known_behaviours(history)
        rows = torch.tensor([item_rows], dtype=torch.int64).reshape(1, -1)
        mask, read = torch.ones_like(rows, dtype=torch.bool), np.array(taken_at(when, places), dtype=np.int64)[None]
        kinds = type_rows(taken_at(what, places), checkpoint.vocabulary.event_types).astype(np.int64)[None]
        profile = torch.zeros(1, len(extractor.profile_rows), dtype=torch.int64)
        gaps = torch.from_numpy(time_gaps(read, mask.numpy()))
        asked_gap = torch.from_numpy(asked_gaps(read, mask.numpy(), np.array([asked_at])))
        inputs = table[rows], mask, logits[rows].transpose(1, 2), profile, gaps, torch.from_numpy(kinds), asked_gap
        capsules, active, _ = model.extract(*inputs)
        expected = capsules[active].numpy()
        if expected.shape != served.vectors.shape:
            return float("inf")
        difference = np.nan_to_num(np.abs(expected - served.vectors), nan=np.inf)
        worst = max(worst, float(difference.max(initial=0)))
    return worst
