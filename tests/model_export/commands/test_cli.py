"""`mindstream model`: the commands one after the other as a person calls them, and what they say of mistakes."""

import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from typer.models import CommandInfo

from mindstream import console
from mindstream.commands.model import app
from model_export.bundle.bundle import Bundle
from model_export.bundle.check import check
from model_export.bundle.items.arrow_files import FILES
from model_export.bundle.registry import Registry
from model_export.commands.models import train, training_state_file
from model_export.data.simulator import simulate
from model_export.evaluation.evaluate import evaluate
from model_export.models.checkpoint import load
from model_export.models.model_config import ModelConfig
from model_export.models.presets import DEFAULT, PRESETS, preset
from model_export.models.training_config import TrainingConfig
from model_export.readers import read_log
from model_export.training.loop import TrainingRun
from testbed.stream_process import is_ended_by_ctrl_c

ROOT = Path(__file__).parents[3]
OWN = ["simulate", "train", "evaluate", "export"]
OF_BUNDLES = ["check", "publish", "list", "show", "promote", "rollback", "prune"]
COMMANDS = ["describe", *OWN, *OF_BUNDLES, "retrain"]


class Shell:
    """Runs `mindstream model` in processes of their own; paths are below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "MINDSTREAM_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "model_export", *map(str, arguments)]

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), cwd=ROOT, env=self.environment, capture_output=True, text=True)

    def succeed(self, *arguments: str | Path) -> str:
        """What it prints on stdout."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert "WARN" not in done.stderr.upper()
        return done.stdout


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("cli"))


@pytest.fixture(scope="module")
def log(shell: Shell) -> Path:
    path = shell.folder / "new" / "log.parquet"
    said = shell.succeed("simulate", path, "--users", "60", "--seed", "3")
    assert re.fullmatch(
        r"simulated shop \(seed 3\): [\d,]+ interactions of 60 users with .*\n  left out: nothing\n", said
    )
    return path


@pytest.fixture(scope="module")
def checkpoint(shell: Shell, log: Path) -> Path:
    path = shell.folder / "mind.pt"
    dimensions = ["--dim", "8", "--num-interests", "3", "--history-length", "12", "--batch-size", "64"]
    said = shell.succeed("train", log, "--out", path, "--steps", "30", *dimensions, "--seed", "5")
    assert "log.parquet: " in said
    assert re.search(rf"wrote {path}; validation: recall@10 [\d.]+ %, .*ndcg@50 [\d.]+ %\n$", said)
    return path


@pytest.fixture(scope="module")
def exported(shell: Shell, checkpoint: Path) -> Path:
    [path] = shell.succeed("export", checkpoint, "--out", shell.folder / "bundles").splitlines()
    return Path(path)


def test_simulate_writes_the_log_of_the_seed(log: Path) -> None:
    pd.testing.assert_frame_equal(read_log(log).events, simulate(users=60, seed=3).log.events)


def test_train_writes_a_checkpoint_with_the_settings_asked_for(checkpoint: Path) -> None:
    loaded = load(checkpoint)
    default = preset(DEFAULT)
    assert loaded.model.config == replace(default.model, dim=8, num_interests=3, history_length=12)
    assert loaded.training == replace(default.training, steps=30, batch_size=64, seed=5)
    assert loaded.data["source"] == "log.parquet"


def test_what_is_not_asked_for_is_the_models_own(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[ModelConfig, TrainingConfig]] = []

    def stop(_: object, config: ModelConfig, training: TrainingConfig, **__: object) -> None:
        asked.append((config, training))
        raise ValueError("enough")

    monkeypatch.setattr("model_export.training.train.train", stop)
    for name in PRESETS:
        assert say(monkeypatch, "train", log, "--model", name, "--out", tmp_path / "model.pt") == 2
    assert capsys.readouterr().err == "error: enough\n" * len(PRESETS)
    assert asked == [(one.model, one.training) for one in PRESETS.values()]
    assert inspect.signature(train).parameters["model"].default == DEFAULT
    assert {one.training.seed for one in PRESETS.values()} == {inspect.signature(train).parameters["seed"].default}


@pytest.mark.parametrize(("options", "threads"), [([], 1), (["--threads", "3"], 3)])
@pytest.mark.parametrize("command", ["train", "retrain"])
def test_training_has_as_many_threads_as_asked_for(
    command: str, options: list[str], threads: int, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them on a machine whose cores are busy are slower than one."""
    found: list[int] = []

    def stop(*_: object, **__: object) -> None:
        found.append(torch.get_num_threads())
        raise ValueError("enough")

    monkeypatch.chdir(tmp_path)
    # In this order: a module that is first imported while the other one is patched would keep what it found there.
    monkeypatch.setattr("mindstream.retrain.train", stop)
    monkeypatch.setattr("model_export.training.train.train", stop)
    line: list[str | Path] = ["train", log]
    if command == "retrain":
        line = ["retrain", "--log", log, "--models", tmp_path / "models"]
    before = torch.get_num_threads()
    torch.set_num_threads(2)  # as on a machine of two cores
    try:
        assert say(monkeypatch, *line, *options) == 2
    finally:
        torch.set_num_threads(before)
    assert found == [threads]


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("empty", "--out is empty, a folder; right is a file, such as empty/model.pt"),
        (
            "small.csv/new/model.pt",
            r"--out is small.csv/new/model.pt, which cannot be written in .*/small.csv \(Not a directory\); right .*",
        ),
        ("/proc/new/model.pt", r"--out is /proc/new/model.pt, which cannot be written in /proc \(.*\); right is .*"),
    ],
)
def test_an_out_that_cannot_be_written_is_refused_before_the_training(
    out: str, message: str, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(files)
    monkeypatch.setattr("model_export.training.train.train", lambda *_, **__: pytest.fail("it was trained"))
    before = sorted(files.rglob("*"))
    assert say(monkeypatch, "train", "log.parquet", "--out", out) == 2
    said = capsys.readouterr().err.splitlines()
    assert re.fullmatch(f"error: {message}", said[-1])
    assert [line for line in said if "Traceback" in line] == []
    assert sorted(files.rglob("*")) == before


def test_a_training_that_was_stopped_goes_on(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, state = tmp_path / "model.pt", tmp_path / "model.pt.progress"
    line = ("train", log, "--model", "mind", "--steps", "4", "--batch-size", "64", "--dim", "4", "--out", out)
    saved = TrainingRun.save

    def stopped(run: TrainingRun, path: Path, data: dict[str, Any]) -> None:
        saved(run, path, data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "save", stopped)
        assert say(patch, *line) == 130
    assert [file.name for file in tmp_path.iterdir()] == [state.name]
    assert say(monkeypatch, *line, "--seed", "8", "--resume") == 2
    assert "model.pt.progress is of another training: seed was 7 there and is 8 here\n" in capsys.readouterr().err
    assert say(monkeypatch, *line, "--resume") == 0
    assert [file.name for file in tmp_path.iterdir()] == [out.name]
    assert say(monkeypatch, *line, "--resume") == 2
    expected = f"error: {state} does not exist: there is no training to go on with; leave out --resume\n"
    assert capsys.readouterr().err.endswith(expected)


def test_a_training_that_is_not_gone_on_with_starts_anew(tmp_path: Path) -> None:
    state = tmp_path / "model.pt.progress"
    state.write_text("garbage")
    assert training_state_file(tmp_path / "model.pt", resume=False) == state
    assert not state.exists()


@pytest.mark.slow
def test_evaluate_prints_a_table_and_json(
    checkpoint: Path, log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say(monkeypatch, "evaluate", checkpoint, log) == 0
    said, blank, header, _, *rows, last = capsys.readouterr().out.splitlines()
    expected = evaluate(load(checkpoint), read_log(log), progress=False)
    assert (said, blank) == (f"comirec: {expected[0].users} users; in brackets the 95 % interval", "")
    assert header.split() == ["%", "R@10", "R@20", "R@50", "HR@50", "NDCG@10", "NDCG@50"]
    found = json.loads(last)
    assert found["protocol"] == "comirec"
    for row, one, figures in zip(rows, found["figures"], expected, strict=True):
        low, high = (100 * end for end in figures.intervals["hr@50"])
        assert row.startswith(figures.name)
        assert f" {100 * figures.means['hr@50']:.2f} [{low:.2f}, {high:.2f}]" in row
        assert (one["name"], one["users"]) == (figures.name, figures.users)
        assert one["ndcg@20"] == pytest.approx(100 * figures.means["ndcg@20"], abs=5e-5)
        assert one["intervals"]["hr@50"] == pytest.approx([low, high], abs=5e-5)


def test_a_model_trained_until_a_date_is_judged_by_what_came_after(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = read_log(log).events.event_time_ms
    date = pd.Timestamp(int(times.quantile(0.8)), unit="ms").normalize()
    path = tmp_path / "past.pt"
    line = ("train", log, "--out", path, "--steps", "2", "--dim", "4", "--until", date.strftime("%Y-%m-%d"))
    assert say(monkeypatch, *line) == 0
    before = times[times < date.timestamp() * 1_000]
    trained_on = load(path).data
    assert (trained_on["events"], trained_on["last_event_ms"]) == (len(before), before.max())
    capsys.readouterr()
    assert say(monkeypatch, "evaluate", path, log, "--protocol", "chronological") == 0
    said = capsys.readouterr().out.splitlines()
    users = set(read_log(log).events.user_id[times >= date.timestamp() * 1_000])
    assert json.loads(said[-1])["figures"][0]["users"] <= len(users)
    assert said[0].startswith("chronological: ")


@pytest.mark.slow
def test_export_prints_the_path_of_a_whole_bundle(shell: Shell, exported: Path) -> None:
    assert exported.parent == shell.folder / "bundles"
    check(Bundle(exported))


@pytest.mark.slow
def test_publish_makes_a_bundle_current_once(shell: Shell, exported: Path) -> None:
    assert shell.succeed("publish", exported) == f"current model: {exported.name}\n"
    assert Registry(shell.folder / "home" / "models").current_version() == exported.name
    again = shell.run("publish", exported)
    assert again.returncode == 2
    assert re.fullmatch(rf"error: .*{exported.name} exists already; a version is published once .*\n", again.stderr)
    elsewhere = shell.folder / "elsewhere"
    shell.succeed("publish", exported, "--models", elsewhere)
    check(Registry(elsewhere).current())


# Mistakes

NOTHING_FOLLOWS = (
    "no training user of the log has two behaviours, so nothing follows anything; right is a log in which .*"
)


def say(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """The exit status of a command line; a traceback would come out as the exception that it is."""
    monkeypatch.setattr(sys, "argv", ["model_export", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        console.run(app)
    return int(end.value.code or 0)


@pytest.fixture
def files(tmp_path: Path, log: Path, checkpoint: Path) -> Path:
    """log.parquet, trained.pt of it, small.csv with five events, apart.csv with one a user, garbage.pt."""
    shutil.copy(log, tmp_path / "log.parquet")
    shutil.copy(checkpoint, tmp_path / "trained.pt")
    (tmp_path / "small.csv").write_text(
        "user_id,item_id,timestamp\na,x,1750000001\nb,y,1750000002\na,z,1750000003\na,y,1750000004\nb,x,1750000005\n"
    )
    (tmp_path / "apart.csv").write_text("user_id,item_id,timestamp\na,x,1750000001\nb,y,1750000002\n")
    (tmp_path / "garbage.pt").write_text("garbage")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train nowhere.csv", "log: no file or folder at nowhere.csv; see .*"),
        ("train log.parquet --format table2", "unknown format 'table2'; expected one of: auto, table, .*comirec.*"),
        ("train log.parquet --model bert", "there is no model 'bert'; it must be one of steady, mind, .*"),
        (
            "train log.parquet --model youtube-dnn --num-interests 2",
            "num_interests is 2; the mean .* 1 interest",
        ),
        ("train apart.csv", NOTHING_FOLLOWS),
        ("train apart.csv --model mind", NOTHING_FOLLOWS),
        ("evaluate nowhere.pt log.parquet", "checkpoint: file 'nowhere.pt' does not exist; see .*"),
        ("train log.parquet --until 1999-01-01", r"log.parquet has no events there \(--until 1999-01-01\); it goes .*"),
        (
            "evaluate trained.pt log.parquet --protocol x",
            "unknown protocol 'x'; expected one of: comirec, chronological",
        ),
        (
            "evaluate trained.pt log.parquet --protocol chronological",
            r"log.parquet ends on (.*) and the model was trained on events up to \1; the chronological .* later .*",
        ),
        ("evaluate garbage.pt log.parquet", "garbage.pt is not a checkpoint that this version of .* wrote"),
        ("export nowhere.pt", "checkpoint: file 'nowhere.pt' does not exist; see .*"),
        ("train no*.csv", "log: no file or folder at no.*; see .*"),
        ("train log.parquet --items no.csv", "--items: no file at no.csv"),
        ("train log.parquet --users no.csv", "--users: no file at no.csv"),
        ("train log.parquet --item-vectors no.npz", "--item-vectors: no file at no.npz"),
        ("train log.parquet --item-vectors no.csv", "--item-vectors: no file at no.csv"),
        ("train log.parquet --mapping no.toml", "--mapping: path 'no.toml' does not exist; see .*"),
        ("publish empty --log no.csv", "--log: no file or folder at no.csv; see .*"),
        ("retrain --log no.csv", "--log: no file or folder at no.csv"),
        ("export garbage.pt", "garbage.pt is not a checkpoint .*"),
        ("publish nowhere", "bundle: path 'nowhere' does not exist; see .*"),
        ("publish empty", "empty is not a bundle: it has no manifest.json"),
    ],
)
def test_a_mistake_is_one_sentence(
    line: str, message: str, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(files)
    assert say(monkeypatch, *line.split()) == 2
    said = capsys.readouterr().err.splitlines()
    assert re.fullmatch(f"error: {message}", said[-1])
    assert [line for line in said if "Traceback" in line] == []


def test_training_where_torch_is_not_installed(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "model_export.training.train")
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it then fails
    assert say(monkeypatch, "train", log) == 2
    assert capsys.readouterr().err == (
        "error: torch is not installed; training needs the extra `train`: `uv tool install '.[train]'`, "
        "or in a checkout remove .venv and run `make setup`\n"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train", "error: Missing argument 'log'; see `"),
        ("train log --steps 0", "error: --steps is 0; it must be greater than or equal to 1; see `"),
        ("train log --steps many", "error: --steps is many; it must be a whole number; see `"),
        ("train log --threads 0", "error: --threads is 0; it must be "),
        ("train log --seed -1", "error: --seed is -1; it must be greater than or equal to 0; see `"),
        (f"train log --seed {2**32}", f"--seed is {2**32}; it must be less than or equal to {2**32 - 1}; see `"),
        ("retrain --seed -1", "--seed"),
        ("simulate out --seed -1", "--seed"),
        ("train log --dim x", "--dim is x; it must be a whole number"),
        ("train log --until tomorrow", "--until is tomorrow; 'tomorrow' does not match the formats"),
        ("simulate out --users 0", "--users is 0; it must be "),
        ("train log --nonsense 1", "No such option"),
        ("retain", "No such command 'retain'"),
        ("prune", "Missing option '--keep'"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    line: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say(monkeypatch, *line.split()) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_in_a_process_of_its_own_a_mistake_is_one_sentence_too(shell: Shell, exported: Path, tmp_path: Path) -> None:
    bad = shutil.copytree(exported, tmp_path / "bad")
    (bad / FILES.items).write_text("{}")
    done = shell.run("publish", bad, "--models", tmp_path / "models")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"error: {bad / FILES.items} has 2 bytes; the manifest says \d+\n", done.stderr)
    assert not (tmp_path / "models").exists()


def commands() -> dict[str, CommandInfo]:
    """Name -> command, of all that `mindstream model` has."""
    apps = [app, *(group.typer_instance for group in app.registered_groups if group.typer_instance is not None)]
    listed = [command for one in apps for command in one.registered_commands]
    return {str(command.name or getattr(command.callback, "__name__", "?")): command for command in listed}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert say(monkeypatch, name, "--help") == 0
    said = capsys.readouterr().out
    command = commands()[name]
    assert command.callback is not None
    assert all(line.strip() in said for line in (command.callback.__doc__ or "?").splitlines())
    for parameter in command.callback.__annotations__:
        name_of_option = parameter.removeprefix("as_").replace("_", "-")
        assert parameter == "return" or name_of_option in said or parameter in said
    assert say(monkeypatch, "--help") == 0
    assert name in capsys.readouterr().out


def test_no_other_command_is_there() -> None:
    assert list(commands()) == COMMANDS


@pytest.mark.slow
def test_ctrl_c_ends_training_cleanly(shell: Shell, log: Path, tmp_path: Path) -> None:
    command = shell.command("train", log, "--out", tmp_path / "mind.pt", "--steps", "1000000")
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=shell.environment,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        said = b""
        deadline = time.monotonic() + 240
        while not re.search(rb" [1-9]\d*/1000000 ", said):  # it has taken a step
            assert process.poll() is None, said
            assert time.monotonic() < deadline
            said += os.read(process.stderr.fileno(), 1_000)
        process.send_signal(signal.SIGINT)
        said += process.stderr.read()
        assert is_ended_by_ctrl_c(process.wait(120)), said
    assert b"Traceback" not in said
    assert {file.name for file in tmp_path.iterdir()} <= {"mind.pt.progress"}  # to go on from
