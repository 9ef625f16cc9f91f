"""Planted interests of the simulated shop that come back as capsules, by the way of serving."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.harness.report import finish
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.data.simulator import SimulatedShop, simulate
from model_export.evaluation.report import table
from model_export.evaluation.split import split_of
from model_export.export.bundle_writer import export
from model_export.models.presets import DEFAULT, PRESETS, preset
from model_export.models.training_config import TrainingConfig
from model_export.training.train import train

__all__ = ["interests_found", "main", "main_categories", "user_ids_for_test"]

TOP = 20


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A shop of 600 users and 300 steps.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the shop and of the training.")] = 7,
    model: Annotated[str, typer.Option(help=f"Which model: {', '.join(PRESETS)}.")] = DEFAULT,
) -> None:
    """Measure the share of planted interests with a capsule of their own, on held-out users."""
    shop = simulate(users=600 if quick else 2_000, seed=seed)
    chosen = preset(model)
    training = replace(chosen.training, steps=300 if quick else 1_500, seed=seed)
    users = user_ids_for_test(shop, training)
    checkpoint = train(shop.log, chosen.model, training)
    with tempfile.TemporaryDirectory() as folder:
        bundle = export(checkpoint, Path(folder))
        by_number = {n: [u for u in users if len(shop.interests[u]) == n] for n in (2, 3, 4)}
        found = {n: 100 * interests_found(bundle, shop, some) for n, some in by_number.items()}
        overall = 100 * interests_found(bundle, shop, users)
    rows: list[tuple[object, ...]] = [(f"users of {n} interests", len(by_number[n]), f"{found[n]:.1f}") for n in found]
    print(table(["interests found, %", "users", "found"], [*rows, ("all", len(users), f"{overall:.1f}")]))
    finish({"interests_found": overall, "users": len(users), "recall50": 100 * checkpoint.validation["recall@50"]})


def user_ids_for_test(shop: SimulatedShop, training: TrainingConfig) -> list[str]:
    """Return the users held out of training and of early stopping."""
    user_ids = sorted(shop.interests)
    return [user_ids[place] for place in split_of(training, user_ids).test]


def interests_found(bundle: Bundle, shop: SimulatedShop, user_ids: Sequence[str]) -> float:
    """Return the share of planted interests that have a capsule of their own, 0 to 1.

    An interest is found if some capsule of the user brings mostly (more than 10 of its top 20) items of that
    category, by the inner product over all items.
    """
    events = shop.log.events.groupby("user_id")
    histories, times_ms, types = (events[name].agg(list) for name in ("item_id", "event_time_ms", "event_type"))
    profiles: dict[Any, Any] = shop.log.profiles.set_index("user_id").to_dict("index")
    served = Extractor(bundle).encode(
        [histories[u] for u in user_ids],
        [profiles[u] for u in user_ids],
        [times_ms[u] for u in user_ids],
        types=[types[u] for u in user_ids],
    )
    found = [
        interest in main_categories(bundle, capsules.vectors)
        for user, capsules in zip(user_ids, served, strict=True)
        for interest in shop.interests[user]
    ]
    return float(np.mean(found))


def main_categories(bundle: Bundle, vectors: np.ndarray) -> set[str]:
    """Return the categories with a majority in the top 20 of some capsule.

    Parameters
    ----------
    vectors : float (K', d), a user's capsules.
    """
    scores = vectors @ bundle.item_embeddings.T  # (K', items)
    top = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]  # (K', 20)
    names, codes = np.unique(list(bundle.catalogue.category), return_inverse=True)
    counts = np.stack([np.bincount(codes[rows], minlength=len(names)) for rows in top])  # (K', categories)
    return set(names[(counts > TOP / 2).any(0)].tolist())
