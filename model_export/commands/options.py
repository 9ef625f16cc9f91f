"""Command-line options that several commands share."""

from datetime import datetime
from typing import Annotated, Any

import typer

from model_export.models.presets import PRESETS
from model_export.models.training_config import STARTS
from model_export.rankers.ranker_config import RANKERS

__all__ = [
    "MOST_SEED",
    "BatchSize",
    "Dim",
    "Force",
    "HistoryLength",
    "MaxDrop",
    "MinHr",
    "MinRecall",
    "Model",
    "Models",
    "NumInterests",
    "Ranker",
    "Seed",
    "Since",
    "Start",
    "Steps",
    "Switches",
    "Threads",
    "Until",
    "given_options",
    "set_threads",
]

MODEL_S = "the model's own"
DAY = ["%Y-%m-%d"]
MOST_SEED = 2**32 - 1  # whatever draws takes these: NumPy none below 0, torch none above 2**64 - 1

Model = Annotated[str, typer.Option(help=f"Which model: {', '.join(PRESETS)}.")]
Steps = Annotated[
    int | None, typer.Option(help="Most steps; early stopping may end sooner.", min=1, show_default=MODEL_S)
]
BatchSize = Annotated[int | None, typer.Option(help="Examples a step.", min=1, show_default=MODEL_S)]
Dim = Annotated[int | None, typer.Option(help="d, length of embeddings and capsules.", min=1, show_default=MODEL_S)]
NumInterests = Annotated[
    int | None, typer.Option(help="K, most capsules a user can have.", min=1, show_default=MODEL_S)
]
HistoryLength = Annotated[int | None, typer.Option(help="L, most recent behaviours read.", min=1, show_default=MODEL_S)]
Start = Annotated[str | None, typer.Option(help=f"How item vectors begin: {', '.join(STARTS)}.", show_default=MODEL_S)]
Ranker = Annotated[
    str | None, typer.Option(help=f"Train a ranker of the candidates too: {', '.join(RANKERS)}.", show_default="none")
]
Seed = Annotated[int, typer.Option(help="Seed of everything that is drawn.", min=0, max=MOST_SEED)]
Threads = Annotated[int, typer.Option(help="Threads that train; more pay only where cores are idle.", min=1)]
Switches = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="One of the switches of model or training; may be repeated."),
]
Since = Annotated[datetime | None, typer.Option(help="Take events of this date (UTC) and later only.", formats=DAY)]
Until = Annotated[datetime | None, typer.Option(help="Take events before this date (UTC) only.", formats=DAY)]
Models = Annotated[
    str | None,
    typer.Option(
        "--bundles",
        "--models",
        help="Where bundles are published: a folder, or a url such as s3://shop/bundles [default: $MINDSTREAM_BUNDLES, "
        "else $MINDSTREAM_HOME/models].",
    ),
]
MinHr = Annotated[float | None, typer.Option(help="Least HR@50 of held-out users of the log, a share from 0 to 1.")]
MaxDrop = Annotated[
    float | None, typer.Option(help="How far HR@50 may be below the current bundle's, as a share of that.")
]
MinRecall = Annotated[float, typer.Option(help="Least recall of an HNSW index against exact search.")]
Force = Annotated[bool, typer.Option("--force", help="Publish what the gate speaks against all the same.")]


def set_threads(threads: int) -> None:
    """Let torch train on so many threads.

    As many as there are cores, torch's own number, wait for each other on a shared machine: slower than one.
    """
    import torch  # here, because it takes a while and only training needs it

    torch.set_num_threads(threads)


def given_options(**options: int | str | None) -> dict[str, Any]:
    """Return the options that were given; the others are the model's own."""
    return {name: value for name, value in options.items() if value is not None}
