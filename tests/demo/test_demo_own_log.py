"""The demo with a log of one's own: what it says of the log, of the time it takes, and of how good its model is."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest
from typer.testing import CliRunner

import demo.engine.prepare
import model_export.training.train
from demo.command import app, for_log
from demo.engine.paths import log_file, one_interest_models
from demo.engine.prepared import changes, forget_users, stamp_of, write_stamp
from demo.training.outcome import outcome
from demo.training.plan import duration, plan_for
from mindstream import settings
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.check import check
from model_export.bundle.registry import Registry
from model_export.data.interactions import InteractionLog
from model_export.models.presets import DEFAULT, PRESETS, preset
from model_export.readers import read_log
from testbed.stream_process import is_ended_by_ctrl_c
from tests.support.demo_home import home_of

ROOT = Path(__file__).parents[2]


def log_of(users: int, each: int, items: int = 7) -> InteractionLog:
    """A log of users who go round among the items, one event a minute."""
    rows = [(f"u{user:03}", f"i{(user + number) % items}", number) for number in range(each) for user in range(users)]
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "event_time_ms"])
    events = events.assign(event_type="view", event_time_ms=1_750_000_000_000 + 60_000 * events.event_time_ms)
    table = pd.DataFrame({"item_id": sorted(set(events.item_id)), "title": "x", "category": "", "price": float("nan")})
    profiles = pd.DataFrame({"user_id": sorted(set(events.user_id))})
    return InteractionLog(events[["user_id", "item_id", "event_type", "event_time_ms"]], table, profiles, "by hand")


# The plan


def test_few_users_teach_all_of_them_in_batches_of_all_that_there_is() -> None:
    plan = plan_for(log_of(users=6, each=4), preset(DEFAULT), None)
    training = plan.chosen.training
    assert (training.batch_size, training.valid_share, training.test_share) == (6 * 3, 0, 0)
    assert (plan.steps, plan.is_evaluated) == (300, False)
    assert (plan.seconds, plan.one_seconds) == (90, 30)
    assert "300 steps of 18 examples each, at most 2 min in all (--minutes sets another limit)" in plan.before()
    assert "nobody is held out: fewer than 50 users" in plan.before()


def test_a_usual_log_has_held_out_users_and_time_by_its_steps() -> None:
    plan = plan_for(log_of(users=50, each=60), preset(DEFAULT), None)
    usual = preset(DEFAULT)
    assert plan.chosen == replace(usual, training=replace(usual.training, steps=1_500))
    assert (plan.steps, plan.is_evaluated) == (1_500, True)
    assert (plan.seconds, plan.one_seconds) == (450, 120)
    assert "nobody" not in plan.before()


def test_the_time_has_bounds_and_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of(users=50, each=60)
    assert (plan := plan_for(log, preset("mind"), None)).steps == 3_000
    assert (plan.seconds, plan.one_seconds) == (600, 120)
    assert plan_for(log, preset("mind"), 0.5).seconds == 30
    assert plan_for(log, preset("mind"), 45).seconds == 2_700


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        (log_of(1, 1), "by hand has 1 behaviour of 1 user with 1 item; right are two items or more"),
        (log_of(3, 4, items=1), "by hand has 12 behaviours of 3 users with 1 item; right are two items"),
        (log_of(3, 1), "by hand has 3 behaviours of 3 users with 3 items, one of each user, so that nothing follows"),
    ],
)
def test_too_small_a_log_is_one_sentence(log: InteractionLog, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        plan_for(log, preset(DEFAULT), None)


@pytest.mark.parametrize(
    ("one_seconds", "said"),
    [
        (
            30.0,
            "training the model: about 1 min; with preparing and indexing expect about 1 min 20 s to 1 min 50 s",
        ),  # 300 steps at 10 a second, and twice that with several interests
        (
            60.0,
            "training the model: 1 min 30 s; with preparing and indexing expect about 1 min 50 s to 2 min 20 s\n"
            "its training has time for about 75 % of its steps; --minutes 2 would let it take all",
        ),
    ],
)
def test_the_first_training_tells_how_long_the_second_takes(one_seconds: float, said: str) -> None:
    assert plan_for(log_of(6, 4), preset(DEFAULT), None).between(300, one_seconds, 20.0) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 s"), (41.4, "41 s"), (60, "1 min"), (144, "2 min 20 s"), (599, "10 min"), (725, "12 min")],
)
def test_times_for_people(seconds: float, said: str) -> None:
    assert duration(seconds) == said


# The outcome


def bundle_with(
    model: float, knn: float, spent: float = 10.0, steps: int = 100, users: int = 40, items: int = 200
) -> Bundle:
    """As much of a bundle as the outcome reads: recall in %, and a training of 100 steps or 20 s."""
    recalls = {"steady": model, "item-kNN": knn, "most popular": 3.0}
    figures = [
        {
            "name": name,
            "users": users,
            "recall@50": recall,
            "hr@50": 2 * recall,
            "intervals": {"recall@50": [recall - 2, recall + 2]},
        }
        for name, recall in recalls.items()
        for _ in (False, True)
    ]
    training = {"steps": steps, "most_steps": 100, "seconds": spent, "max_seconds": 20.0}
    manifest = SimpleNamespace(items=items, metrics={"test": figures, "training": training})
    return cast(Bundle, SimpleNamespace(manifest=manifest))


def test_the_outcome_is_a_table_in_plain_words() -> None:
    heading, header, _, *rows, last = outcome(bundle_with(21.3, 16.4)).splitlines()
    assert heading.startswith(
        "how good it is: of what 40 held-out users did last, how much is among 50 recommendations"
    )
    assert re.split(r" {2,}", header.strip()) == ["found", "users with a hit"]
    assert [re.split(r" {2,}", row) for row in rows] == [
        ["this model", "21.3 %", "42.6 %"],
        ["item-kNN", "16.4 %", "32.8 %"],
        ["most popular", "3.0 %", "6.0 %"],
    ]
    assert last == "the model finds more than item-kNN"


@pytest.mark.parametrize(
    ("bundle", "verdict"),
    [
        (bundle_with(16.4, 16.4), r"^the model finds as much as item-kNN$"),
        (bundle_with(17.0, 16.4), r"^the model finds more than item-kNN \(within chance\)$"),
        (
            bundle_with(9.0, 16.4),
            r"less than item-kNN, a simple method, although its training came to its end: .* describe",
        ),
        (
            bundle_with(9.0, 16.4, spent=20.1, steps=15),
            r"a simple method: its time was up after 15 % of the steps; --minutes",
        ),
        (bundle_with(16.0, 16.4), r"less than item-kNN, a simple method \(within chance\), although"),
    ],
)
def test_a_model_below_item_knn_is_said_with_what_to_do(bundle: Bundle, verdict: str) -> None:
    assert re.search(verdict, outcome(bundle).splitlines()[-1])


def test_without_held_out_users_there_is_no_table() -> None:
    nothing = cast(Bundle, SimpleNamespace(manifest=SimpleNamespace(metrics={"test": []})))
    assert outcome(nothing).startswith("how good the model is cannot be told, as no user")


@pytest.mark.parametrize(("items", "share"), [(40, "all"), (50, "all"), (199, "25 %")])
def test_of_few_items_nothing_can_be_told(items: int, share: str) -> None:
    said = outcome(bundle_with(100.0, 100.0, items=items))
    assert said == (
        "how good the model is cannot be told: it is measured by 50 recommendations, and that many are "
        f"{share} of the log's {items} items; right are 200 items or more"
    )


# A log that has changed


@pytest.fixture
def home(bundle: Bundle, shop: Any, tmp_path: Path) -> Settings:
    """A home that is prepared, without a stamp."""
    return home_of(bundle, shop, tmp_path / "home")


def test_what_changes_a_preparation(home: Settings, tmp_path: Path) -> None:
    log, more = tmp_path / "log.csv", tmp_path / "items.csv"
    log.write_text("a")
    more.write_text("b")
    given = {"user": "visitor", "items": str(more)}

    def now(given: dict[str, Any] = given, rule: str = "view=1", minutes: float | None = None) -> list[str] | None:
        return changes(home, stamp_of(str(log), given, rule, minutes))

    before = now()
    assert before is not None
    assert "this version of Mindstream prepares logs in another way" in before  # no stamp, or one of an earlier version
    write_stamp(home, stamp_of(str(log), given, "view=1", 5.0))
    assert now() == now(minutes=5.0) == []
    assert now(minutes=6.0) == ["the training has another limit"]
    assert now(rule="view=2") == ["other events count as behaviours"]
    assert now(given={**given, "user": "customer"}) == ["it is to be read in another way"]
    os.utime(log, ns=(5, 5))
    assert now() == ["the log has changed"]
    write_stamp(home, stamp_of(str(log), given, "view=1", 5.0))
    more.write_text("bb")
    assert now() == ["the log has changed"]  # the catalogue beside it
    (home.home / "prepared.json").write_text("{half")
    assert now() == before


def test_a_folder_and_a_glob_have_changed_if_a_part_is_new(home: Settings, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    (parts / "day=1").mkdir(parents=True)
    (parts / "day=1" / "a.csv").write_text("a")
    for source in (str(parts), str(parts / "*" / "*.csv")):
        write_stamp(home, stamp_of(source, {}, "", None))
        assert changes(home, stamp_of(source, {}, "", None)) == []
        (parts / "day=1" / f"{len(source)}.csv").write_text("b")
        assert changes(home, stamp_of(source, {}, "", None)) == ["the log has changed"]


def test_nothing_is_prepared_in_a_new_home(tmp_path: Path) -> None:
    assert changes(Settings(home=tmp_path, log=None), stamp_of("log.csv", {}, "", None)) is None


def test_users_are_forgotten_with_what_they_were_read_from(tmp_path: Path) -> None:
    chosen = Settings(home=tmp_path, log=None)
    chosen.state.mkdir()
    (chosen.state / "data.mdb").touch()
    chosen.archive.mkdir()
    forget_users(chosen)
    assert not chosen.state.exists()
    assert not chosen.archive.exists()
    forget_users(chosen)  # there is nothing to forget
    elsewhere = Settings(home=tmp_path, log=None, archive_folder=tmp_path / "shared")
    elsewhere.archive.mkdir()
    forget_users(elsewhere)
    assert elsewhere.archive.exists()  # others may have it too


# From the command line


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A file of 24 events of 6 users."""
    file = tmp_path / "tiny.csv"
    log_of(6, 4).events.to_csv(file, index=False)
    return file


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Trainings of a moment, and a home in a folder of its own."""
    default = preset(DEFAULT)
    monkeypatch.setitem(
        PRESETS, DEFAULT, replace(default, model=replace(default.model, dim=8, history_length=10, hidden=16))
    )
    monkeypatch.setattr(model_export.training.train, "STEPS_OF_FEW", 3)
    chosen = Settings(home=tmp_path / "home", log=None)
    monkeypatch.setattr(settings, "load", lambda: chosen)
    return chosen


@pytest.mark.slow
def test_a_tiny_log_gets_models_and_a_log_that_changed_gets_new_ones(tiny: Path, quick: Settings) -> None:
    def said() -> str:
        done = CliRunner().invoke(app, ["--log", str(tiny), "--only-prepare"], catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    first, mine = said(), for_log(tiny)
    assert first.startswith("tiny.csv: 24 interactions of 6 users with 7 items, of 2025-06-15 (UTC)\n")
    assert "far more are better\ntraining two models" in first
    assert "\nhow good the model is cannot be told" in first
    for models in (mine.models, one_interest_models(mine)):
        check(Registry(models).current())
    assert len(read_log(log_file(mine)).events) == 24
    version = Registry(mine.models).current().version
    assert said().startswith(f"the model of {tiny} is there from before, as is the log; it is shown as it is\n")
    assert Registry(mine.models).current().version == version
    with tiny.open("a") as file:
        file.write("u000,i6,view,1760000000000\n")
    again = said()
    assert again.startswith(f"{tiny} is prepared anew: the log has changed\ntiny.csv: 25 interactions of 6 users")
    assert Registry(mine.models).current().version != version
    assert "it is shown as it is\n" in said()


@pytest.mark.slow
def test_ctrl_c_while_it_trains_leaves_nothing_that_is_taken_for_prepared(tiny: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "MINDSTREAM_HOME": str(tmp_path / "home"), "MINDSTREAM_LOG": ""}
    command = [sys.executable, "-m", "demo", "--log", str(tiny), "--only-prepare"]
    running = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("training two models"):
            break
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=120)
    assert is_ended_by_ctrl_c(running.returncode), errors
    assert "Traceback" not in errors
    [home] = (tmp_path / "home" / "logs").iterdir()
    assert changes(Settings(home=home, log=tiny), stamp_of(str(tiny), {}, "", None)) is None


def test_a_preparation_that_was_stopped_begins_anew_although_an_older_model_is_there(
    tiny: Path, bundle: Bundle, shop: Any, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = home_of(bundle, shop, for_log(tiny).home)
    write_stamp(mine, stamp_of(str(tiny), {}, str(mine.rule), 5.0))
    os.utime(tiny, ns=(5, 5))

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo.engine.prepare, "prepare", stopped)
    for why in ("the log has changed", "the preparation before was stopped", "the preparation before was stopped"):
        done = CliRunner().invoke(app, ["--log", str(tiny), "--only-prepare"])
        assert done.exit_code == 130
        assert done.stdout.startswith(f"{tiny} is prepared anew: {why}\n")


def test_a_preparation_that_was_killed_while_it_trained_is_said(
    tiny: Path, bundle: Bundle, shop: Any, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = home_of(bundle, shop, for_log(tiny).home)
    write_stamp(mine, stamp_of(str(tiny), {}, str(mine.rule), 5.0))
    assert changes(mine, stamp_of(str(tiny), {}, str(mine.rule), None)) == []

    def killed(*_: object) -> None:
        raise SystemExit(137)

    monkeypatch.setattr(demo.engine.prepare, "publish", killed)
    CliRunner().invoke(app, ["--log", str(tiny), "--only-prepare", "--minutes", "6"])
    assert changes(mine, stamp_of(str(tiny), {}, str(mine.rule), 6.0)) == ["the preparation before was stopped"]
    assert changes(mine, stamp_of(str(tiny), {}, str(mine.rule), 5.0)) == ["the preparation before was stopped"]
    write_stamp(mine, stamp_of(str(tiny), {}, str(mine.rule), 6.0))
    assert changes(mine, stamp_of(str(tiny), {}, str(mine.rule), 6.0)) == []


def test_only_preparing_says_where_the_home_is(tiny: Path, bundle: Bundle, shop: Any, quick: Settings) -> None:
    mine = home_of(bundle, shop, for_log(tiny).home)
    write_stamp(mine, stamp_of(str(tiny), {}, str(mine.rule), None))
    done = CliRunner().invoke(app, ["--log", str(tiny), "--only-prepare"])
    home = mine.home.resolve()
    assert done.stdout.splitlines() == [
        f"the model of {tiny} is there from before, as is the log; it is shown as it is",
        f"the demo's home is {home}; other commands meet it with MINDSTREAM_HOME={home}",
    ]


def test_a_log_that_has_too_little_is_one_sentence(tmp_path: Path, quick: Settings) -> None:
    file = tmp_path / "sessions.csv"
    log_of(30, 1).events.to_csv(file, index=False)
    with pytest.raises(ValueError, match=r"sessions\.csv has 30 behaviours of 30 users .* nothing follows anything"):
        CliRunner().invoke(app, ["--log", str(file), "--only-prepare"], catch_exceptions=False)
