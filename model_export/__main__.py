"""Train MIND and publish bundles: simulate | train | evaluate | export | publish."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

import console
import settings
from model_export.interactions import InteractionLog
from model_export.presets import DEFAULT, PRESETS, preset
from model_export.readers import read_log, write_table

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)

MODEL_S = "the model's own"

LogPath = Annotated[Path, typer.Argument(help="Interaction log: CSV, Parquet, or a publisher's file or folder.")]
LogFormat = Annotated[
    str, typer.Option("--format", help="auto, table, online-retail, movielens-100k, movielens-1m, taobao or comirec.")
]
CheckpointPath = Annotated[Path, typer.Argument(help="Checkpoint that `train` wrote.")]


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Parquet file to write.")],
    users: Annotated[int, typer.Option(help="Number of users.", min=1)] = 2_000,
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same shop.")] = 7,
) -> None:
    """Write the log of a simulated shop whose users have two to four planted interests."""
    from model_export.simulator import simulate as simulate_shop

    log = simulate_shop(users=users, seed=seed).log
    out.parent.mkdir(parents=True, exist_ok=True)
    write_table(log, out)
    print(log.describe())


@app.command()
def train(
    log: LogPath,
    out: Annotated[Path, typer.Option(help="Checkpoint file to write.")] = Path("model.pt"),
    format: LogFormat = "auto",
    model: Annotated[str, typer.Option(help=f"Which model: {', '.join(PRESETS)}.")] = DEFAULT,
    steps: Annotated[
        int | None,
        typer.Option(help="Most steps; early stopping may end sooner.", min=1, show_default=MODEL_S),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples a step.", min=1, show_default=MODEL_S)] = None,
    dim: Annotated[
        int | None, typer.Option(help="d, length of embeddings and capsules.", min=1, show_default=MODEL_S)
    ] = None,
    num_interests: Annotated[
        int | None, typer.Option(help="K, most capsules a user can have.", min=1, show_default=MODEL_S)
    ] = None,
    history_length: Annotated[
        int | None, typer.Option(help="L, most recent behaviours read.", min=1, show_default=MODEL_S)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 7,
    until: Annotated[
        datetime | None, typer.Option(help="Learn from events before this date (UTC) only.", formats=["%Y-%m-%d"])
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was stopped (its state is in OUT.progress).")
    ] = False,
) -> None:
    """Train a model on a log, keeping the step with the best recall@50 on held-out users."""
    from model_export.checkpoint import save
    from model_export.evaluation import judged
    from model_export.training import train as train_model

    chosen = preset(model)
    config = replace(chosen.model, **given(dim=dim, num_interests=num_interests, history_length=history_length))
    training = replace(chosen.training, seed=seed, **given(steps=steps, batch_size=batch_size))
    interactions = read_log(log, format)
    if until is not None:
        interactions = events_until(interactions, until)
    print(interactions.describe())
    state = state_file(out, resume)
    try:
        checkpoint = train_model(interactions, config, training, state=state)
    except KeyboardInterrupt:
        if state.exists():
            print(
                f"\nstopped; {state} has the training so far, and the same line with --resume goes on", file=sys.stderr
            )
        raise
    save(checkpoint, out)
    state.unlink(missing_ok=True)
    save(judged(checkpoint, interactions), out)  # again: judging takes a while, and what was trained should not be lost
    print(f"wrote {out}; validation: {percentages(checkpoint.validation)}")


@app.command()
def evaluate(
    checkpoint: CheckpointPath,
    log: LogPath,
    format: LogFormat = "auto",
    protocol: Annotated[
        str, typer.Option(help="comirec: the last fifth of test users; chronological: all that came after training.")
    ] = "comirec",
) -> None:
    """Recall@N, HR@N and NDCG@N of a model beside item-kNN and most popular, on the same users."""
    from model_export.checkpoint import load
    from model_export.evaluation import evaluate as evaluate_model
    from model_export.report import figures_json, figures_table

    figures = evaluate_model(load(checkpoint), read_log(log, format), protocol)
    print(f"{protocol}: {figures[0].users:,} users; in brackets the 95 % interval\n")
    print(figures_table(figures))
    print(json.dumps({"protocol": protocol, "figures": [figures_json(one) for one in figures]}))


@app.command()
def export(
    checkpoint: CheckpointPath,
    out: Annotated[Path, typer.Option(help="Folder in which the bundle's folder is made.")] = Path("bundles"),
) -> None:
    """Turn a checkpoint into a bundle (ONNX graph, item table, manifest, golden capsules); print its path."""
    from model_export.checkpoint import load
    from model_export.export import export as export_bundle

    print(export_bundle(load(checkpoint), out).path)


@app.command()
def publish(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder that `export` made.")],
    models: Annotated[Path | None, typer.Option(help="Registry folder [default: $MINDSTREAM_HOME/models].")] = None,
) -> None:
    """Check a bundle and make it the current one; one that fails is refused and the old one stays."""
    from model_export.bundle import Bundle
    from model_export.check import check
    from model_export.registry import Registry

    check(Bundle(bundle))
    published = Registry(models or settings.load().models).publish(bundle)
    print(f"current model: {published.version}")


def given(**options: int | None) -> dict[str, Any]:
    """The options that were given; the others are the model's own."""
    return {name: value for name, value in options.items() if value is not None}


def state_file(out: Path, resume: bool) -> Path:
    """Where a training keeps its state; one that shall not be gone on with is deleted."""
    file = out.with_name(out.name + ".progress")
    if resume and not file.exists():
        raise ValueError(f"{file} does not exist: there is no training to go on with; leave out --resume")
    if not resume:
        file.unlink(missing_ok=True)
    return file


def events_until(log: InteractionLog, date: datetime) -> InteractionLog:
    """The events before a date (UTC); ValueError where there are none, or they have no times."""
    if not log.timed:
        raise ValueError(f"{log.source} has no times, only an order, so it cannot be cut at {date:%Y-%m-%d} (--until)")
    past = log.before(int(date.replace(tzinfo=UTC).timestamp() * 1_000))
    if not len(past.events):
        first = datetime.fromtimestamp(int(log.events.event_time_ms.min()) / 1_000, UTC)
        raise ValueError(
            f"{log.source} has no events before {date:%Y-%m-%d} (--until); its first is of {first:%Y-%m-%d}"
        )
    return past


def percentages(found: dict[str, float]) -> str:
    """Shares as per cent, for people."""
    return ", ".join(f"{name} {100 * value:.1f} %" for name, value in found.items()) or "no held-out users"


if __name__ == "__main__":
    console.run(app)
