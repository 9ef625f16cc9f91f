"""The demo's words on how good its model is."""

from typing import Any

from model_export.bundle.bundle import Bundle
from model_export.evaluation.report import table

__all__ = ["outcome"]

# Places of the rankers among the figures (evaluate.py); behind each stands the same without seen items.
MODEL, KNN, POPULAR = 0, 2, 4

LIST = 50  # recommendations that the figures are of
FEWEST_ITEMS = 4 * LIST  # of fewer, a list drawn by chance finds more than a quarter


def outcome(bundle: Bundle) -> str:
    """Return a table of the model beside item-kNN and most popular, and what follows from it."""
    figures: list[dict[str, Any]] = bundle.manifest.metrics.get("test") or []
    if not figures:
        return "how good the model is cannot be told, as no user with two behaviours or more was held out of training"
    if (items := bundle.manifest.items) < FEWEST_ITEMS:
        share = "all" if items <= LIST else f"{100 * LIST / items:.0f} %"
        return (
            f"how good the model is cannot be told: it is measured by {LIST} recommendations, and that many are "
            f"{share} of the log's {items} item{'s' * (items != 1)}; right are {FEWEST_ITEMS} items or more"
        )
    rows = [
        (name, f"{figures[place]['recall@50']:.1f} %", f"{figures[place]['hr@50']:.1f} %")
        for name, place in (("this model", MODEL), ("item-kNN", KNN), ("most popular", POPULAR))
    ]
    users = figures[MODEL]["users"]
    heading = (
        f"how good it is: of what {users:,} held-out user{'s' * (users != 1)} did last, how much is among {LIST} "
        "recommendations, and how many users have a hit there"
    )
    return "\n".join([heading, table(["", "found", "users with a hit"], rows), _verdict(bundle, figures)])


def _verdict(bundle: Bundle, figures: list[dict[str, Any]]) -> str:
    """Say whether the model is better than item-kNN, and what to do if it is not."""
    model, knn = (figures[place]["recall@50"] for place in (MODEL, KNN))
    low, high = figures[MODEL]["intervals"]["recall@50"]
    unsure = " (within chance)" if low <= knn <= high else ""
    share = share_of_steps(bundle)
    if model >= knn:
        return "the model finds as much as item-kNN" if model == knn else f"the model finds more than item-kNN{unsure}"
    less = f"the model finds less than item-kNN, a simple method{unsure}"
    if share < 1:
        return (
            f"{less}: its time was up after {100 * share:.0f} % of the steps; --minutes gives it more, and "
            "`mindstream model train` takes all that it needs"
        )
    return (
        f"{less}, although its training came to its end: the log may be too small, or not what it seems; "
        "`mindstream model describe` says what looks suspicious"
    )


def share_of_steps(bundle: Bundle) -> float:
    """Return the share of the steps that a training had time for; 1 if it ended by itself."""
    training = bundle.manifest.metrics.get("training") or {}
    limit = training.get("max_seconds")
    if limit is None or training["seconds"] < limit:
        return 1.0
    return float(training["steps"] / training["most_steps"])
