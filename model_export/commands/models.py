"""Models, from a log to a bundle: simulate | train | evaluate | export."""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mindstream.log_options import LogPath, takes_log
from mindstream.mapping import Mapping
from model_export.commands.behaviours import read_behaviours
from model_export.commands.options import (
    MOST_SEED,
    BatchSize,
    Dim,
    HistoryLength,
    Model,
    NumInterests,
    Ranker,
    Seed,
    Start,
    Steps,
    Switches,
    Threads,
    Until,
    given_options,
    set_threads,
)
from model_export.models.presets import DEFAULT, preset
from model_export.models.switches import apply_settings
from model_export.rankers.ranker_config import ranker_preset
from model_export.readers import write_table

__all__ = ["app", "train", "training_state_file"]

app = typer.Typer(pretty_exceptions_enable=False)

CheckpointPath = Annotated[Path, typer.Argument(help="Checkpoint that `train` wrote.", exists=True, dir_okay=False)]


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Parquet file to write.")],
    users: Annotated[int, typer.Option(help="Number of users.", min=1)] = 2_000,
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same shop.", min=0, max=MOST_SEED)] = 7,
) -> None:
    """Write the log of a simulated shop whose users have two to four planted interests."""
    from model_export.data.simulator import simulate as simulate_shop

    log = simulate_shop(users=users, seed=seed).log
    out.parent.mkdir(parents=True, exist_ok=True)
    write_table(log, out)
    print(log.describe())


@app.command()
@takes_log
def train(
    log: LogPath,
    mapping: Mapping,
    out: Annotated[Path, typer.Option(help="Checkpoint file to write.")] = Path("model.pt"),
    model: Model = DEFAULT,
    steps: Steps = None,
    batch_size: BatchSize = None,
    dim: Dim = None,
    num_interests: NumInterests = None,
    history_length: HistoryLength = None,
    start: Start = None,
    ranker: Ranker = None,
    seed: Seed = 7,
    threads: Threads = 1,
    switches: Switches = None,
    until: Until = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was stopped (its state is in OUT.progress).")
    ] = False,
) -> None:
    """Train a model on a log; held-out users say when it does not get better any more."""
    from model_export.evaluation.evaluate import with_test_metrics
    from model_export.models.checkpoint import save
    from model_export.ranking.evaluation import with_page_metrics
    from model_export.ranking.second_stage import with_ranker
    from model_export.training.train import train as train_model

    _require_writable(out)
    second = None if ranker is None else ranker_preset(ranker).config
    set_threads(threads)
    chosen = apply_settings(preset(model), switches or [])
    config = replace(chosen.model, **given_options(dim=dim, num_interests=num_interests, history_length=history_length))
    training = replace(chosen.training, seed=seed, **given_options(steps=steps, batch_size=batch_size, start=start))
    interactions = read_behaviours(log, mapping, until=until, impressions=ranker is not None)
    print(interactions.describe())
    state, ranker_state = training_state_file(out, resume), out.with_name(out.name + ".ranker.progress")
    if not resume:
        ranker_state.unlink(missing_ok=True)
    try:
        checkpoint = train_model(interactions, config, training, state=state)
        checkpoint = with_ranker(checkpoint, interactions, second, state=ranker_state)
    except KeyboardInterrupt:
        if state.exists():
            print(
                f"\nstopped; {state} has the training so far, and the same line with --resume goes on", file=sys.stderr
            )
        raise
    save(checkpoint, out)
    for file in (state, ranker_state):
        file.unlink(missing_ok=True)
    # Again: the evaluation takes a while, and what was trained should not be lost.
    save(with_page_metrics(with_test_metrics(checkpoint, interactions), interactions), out)
    print(f"wrote {out}; validation: {_percentages(checkpoint.validation)}")


@app.command()
@takes_log
def evaluate(
    checkpoint: CheckpointPath,
    log: LogPath,
    mapping: Mapping,
    protocol: Annotated[
        str, typer.Option(help="comirec: the last fifth of test users; chronological: all that came after training.")
    ] = "comirec",
) -> None:
    """Print Recall@N, HR@N and NDCG@N of a model and of the baselines, on the same users."""
    from model_export.evaluation.evaluate import check_protocol
    from model_export.evaluation.evaluate import evaluate as evaluate_model
    from model_export.evaluation.report import metrics_json, metrics_table
    from model_export.models.checkpoint import load

    check_protocol(protocol)  # before a log is read that may be large
    trained = load(checkpoint)
    interactions = read_behaviours(log, mapping)
    print(interactions.describe(), file=sys.stderr)  # stdout is the table and the JSON
    figures = evaluate_model(trained, interactions, protocol)
    print(f"{protocol}: {figures[0].users:,} users; in brackets the 95 % interval\n")
    print(metrics_table(figures))
    print(json.dumps({"protocol": protocol, "figures": [metrics_json(one) for one in figures]}))


@app.command()
def export(
    checkpoint: CheckpointPath,
    out: Annotated[Path, typer.Option(help="Folder in which the bundle's folder is made.")] = Path("bundles"),
) -> None:
    """Turn a checkpoint into a bundle (graph, tables, manifest, golden capsules); print where."""
    from model_export.export.bundle_writer import export as export_bundle
    from model_export.models.checkpoint import load

    print(export_bundle(load(checkpoint), out).path)


def _require_writable(out: Path) -> None:
    """Raise OSError if the checkpoint could not be written: the training would be lost."""
    if out.is_dir():
        raise IsADirectoryError(f"--out is {out}, a folder; right is a file, such as {out / 'model.pt'}")
    folder = next(one for one in out.absolute().parents if one.exists())  # those below it are made later
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(
            f"--out is {out}, which cannot be written in {folder} ({error.strerror}); "
            "right is a file in a folder that is there or can be made"
        ) from error


def training_state_file(out: Path, resume: bool) -> Path:
    """Return the file of a training's state; one that is not to be resumed is deleted.

    Raises
    ------
    ValueError
        If a training is to be resumed and has no state.
    """
    file = out.with_name(out.name + ".progress")
    if resume and not file.exists():
        raise ValueError(f"{file} does not exist: there is no training to go on with; leave out --resume")
    if not resume:
        file.unlink(missing_ok=True)
    return file


def _percentages(found: dict[str, float]) -> str:
    """Format shares in %, for people."""
    return ", ".join(f"{name} {100 * value:.1f} %" for name, value in found.items()) or "no held-out users"
