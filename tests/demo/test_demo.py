"""The demo without a browser: what the page shows, who is in it, and clicks that go through the embedded broker."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as strategies
from pydantic import SecretStr
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import ButtonGroup

import demo.engine.engine
import demo.engine.prepare
import demo.engine.traffic
import demo.engine_keeper
from demo.command import APP, as_environment, for_log, require_free
from demo.drawing.view import Product, Shelf, Theme, behaviours_of, search, shelves_of, theme_of, unwanted_of
from demo.drawing.words import escape_markdown, price
from demo.engine.engine import Engine
from demo.engine.invalid_records import MALFORMED, last_letters, send
from demo.engine.paths import is_prepared, log_file, one_interest_models
from demo.engine.personas import Personas
from demo.engine.prepare import prepare, read_or_simulate
from demo.engine.retrain_with_events import archive_topic, events_in, with_events
from demo.engine.served import make_served
from demo.engine.traffic import MOST_PER_SECOND, Traffic
from demo.engine_keeper import EngineKeeper, engine_keeper
from index.recommend.recommender import Candidates
from mindstream import settings
from mindstream.behaviour_rule import BehaviourRule
from mindstream.settings import Settings
from model_export.bundle.bundle import ROUTING_LOGITS, Bundle, BundleError, write_manifest
from model_export.bundle.check import check
from model_export.bundle.extractor import Capsules
from model_export.bundle.items.arrow_files import write_items
from model_export.bundle.registry import Registry
from model_export.data.interactions import InteractionLog
from model_export.data.simulator import SimulatedShop, simulate
from model_export.models.presets import DEFAULT, PRESETS, preset
from model_export.readers import read_log
from stream.events.event import Event
from stream.events.position import Position
from stream.events.producer import EventProducer
from stream.kafka.cluster import Cluster
from stream.kafka.embedded_broker import EmbeddedBroker, running_embedded
from stream.store.feedback import Feedback, ItemFeedback
from stream.store.history import History
from stream.store.interests import ExplainedInterest, WeightedBehaviour
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState
from testbed.bad_bundles import copy_bundle
from tests.support.demo_home import home_of, one_interest_bundle
from tests.support.made_once import made_once

ROOT = Path(__file__).parents[2]
NOW_MS = 1_780_000_000_000
RULE = BehaviourRule.parse("impression=0,dislike=-1")

# Items of the shelves: title, category, price, popularity.
FEW = {
    "mug": ("Blue Mug", "Kitchen", 4.5, 3),
    "cup": ("Red cup", "Kitchen", None, 7),
    "tent": ("Dome tent (blue)", "Camping", 99.0, 7),
    "mat": ("Sleeping mat", "Camping", 20.0, 9),
    "wok": ("Wok", "Kitchen", 30.0, 0),
    "pan": ("Frying pan", "Kitchen", 25.0, 1),
}


@pytest.fixture(scope="module")
def few(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """As much of a bundle as the page shows."""
    path = tmp_path_factory.mktemp("few")
    title, category, prices, popularity = zip(*FEW.values(), strict=True)
    write_items(path, list(FEW), title=title, category=category, price=prices, popularity=popularity)
    write_manifest(path, replace(bundle.manifest, items=len(FEW), files={}, blend={}))
    return Bundle(path)


def rows(*item_ids: str) -> list[Product]:
    return [Product(item_id, *FEW[item_id][:3]) for item_id in item_ids]


def log_of(*events: tuple[str, str], profiles: dict[str, str] | None = None) -> InteractionLog:
    """A log of (user, item), one a second; users may have a region."""
    users, items = [user for user, _ in events], sorted({item for _, item in events})
    regions = {user: (profiles or {}).get(user, "") for user in sorted(set(users))}
    return InteractionLog(
        events=pd.DataFrame(
            {
                "user_id": users,
                "item_id": [item for _, item in events],
                "event_type": "click",
                "event_time_ms": [NOW_MS + 1_000 * second for second in range(len(events))],
            }
        ),
        items=pd.DataFrame({"item_id": items, "title": items, "category": "", "price": float("nan")}),
        profiles=pd.DataFrame({"user_id": list(regions), "region": list(regions.values())}),
        source="by hand",
    )


def wait_until(happened: Callable[[], object], within_s: float = 80) -> None:
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.01)


# Words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Blue mug", "Blue mug"),
        ("*new* 5 < 6", r"\*new\* 5 \< 6"),
        ("[a](b) `c` #1 $2 :d: ~e~ f|g h\\i", r"\[a\]\(b\) \`c\` \#1 \$2 \:d\: \~e\~ f\|g h\\i"),
        ("Salt &amp; pepper", r"Salt \&amp; pepper"),
        ("  1. two\nlines\t", r"1\. two lines"),
        ("", ""),
    ],
)
def test_words_are_shown_as_they_are(text: str, shown: str) -> None:
    assert escape_markdown(text) == shown


@given(strategies.text())
def test_no_word_is_lost_and_no_mark_is_left(text: str) -> None:
    shown = escape_markdown(text)
    assert re.sub(r"\\(.)", r"\1", shown) == " ".join(text.split())
    assert not re.search(r"[`*_{}\[\]()<>#+\-.!|~$:&]", re.sub(r"\\.", "", shown))


def test_prices() -> None:
    assert [price(value) for value in (None, 0.0, 4.5, 1234.567)] == ["", "0.00", "4.50", "1,234.57"]


# What is shown


@pytest.mark.parametrize(
    ("wanted", "category", "found"),
    [
        ("", "", ["mat", "cup", "tent", "mug", "pan", "wok"]),  # by popularity, then by row
        ("BLUE", "", ["tent", "mug"]),
        ("mug blue", "", ["mug"]),
        ("  ", "Camping", ["mat", "tent"]),
        ("(blue)", "", ["tent"]),
        ("blue", "Kitchen", ["mug"]),
        ("sofa", "", []),
        ("", "Garden", []),
    ],
)
def test_search(few: Bundle, wanted: str, category: str, found: list[str]) -> None:
    assert search(few, wanted, category) == rows(*found)


def candidates(
    item_ids: list[str], capsule: list[int], interests: list[ExplainedInterest], scores: list[float] | None = None
) -> Candidates:
    nothing = [""] * len(item_ids)
    return Candidates(item_ids, scores or [1.0] * len(item_ids), capsule, nothing, interests, "capsules", "v")


def test_candidates_are_shelved_by_the_interest_that_brought_them(few: Bundle) -> None:
    camping = ExplainedInterest(0.3, [WeightedBehaviour("tent", 0.9)])
    kitchen = ExplainedInterest(0.7, [WeightedBehaviour(item_id, 0.5) for item_id in ("cup", "gone", "mug", "pan")])
    found = candidates(
        ["mat", "mug", "tent", "wok", "pan"], [0, 1, 0, 1, 1], [camping, kitchen, ExplainedInterest(0.0, [])]
    )
    assert shelves_of(found, few) == [
        Shelf(1, Theme("kitchen"), ["Red cup", "gone", "Blue Mug"], 0.7, rows("mug", "wok", "pan")),
        Shelf(0, Theme("camping", whole=True), ["Dome tent (blue)"], 0.3, rows("mat", "tent")),
    ]


def test_an_interest_that_is_the_main_one_of_no_behaviour_has_no_shelf(few: Bundle) -> None:
    main = ExplainedInterest(0.6, [WeightedBehaviour("tent", 0.6), WeightedBehaviour("mat", 0.7)])
    beside = ExplainedInterest(0.4, [WeightedBehaviour("tent", 0.4), WeightedBehaviour("mat", 0.3)])
    found = candidates(["mat", "mug"], [1, 0], [beside, main])
    assert [shelf.key for shelf in shelves_of(found, few)] == ["interest-1"]


def test_two_shelves_of_one_theme_name_different_behaviours(few: Bundle) -> None:
    """Else nothing but the colour would tell "your kitchen things" from "your kitchen things"."""
    cups = ExplainedInterest(
        0.6,
        [
            WeightedBehaviour("cup", 0.9),
            WeightedBehaviour("mug", 0.8),
            WeightedBehaviour("wok", 0.4),
            WeightedBehaviour("pan", 0.2),
        ],
    )
    pans = ExplainedInterest(
        0.4,
        [
            WeightedBehaviour("pan", 0.8),
            WeightedBehaviour("wok", 0.6),
            WeightedBehaviour("mug", 0.2),
            WeightedBehaviour("cup", 0.1),
        ],
    )
    shelves = shelves_of(candidates(["tent", "mat"], [0, 1], [cups, pans]), few)
    assert [shelf.made_by for shelf in shelves] == [["Red cup", "Blue Mug"], ["Frying pan", "Wok"]]
    assert {shelf.theme for shelf in shelves} == {Theme("kitchen", whole=True)}


def test_what_an_interest_leaves_to_another_near_it_is_not_worth_a_shelf(few: Bundle) -> None:
    strong, weak = (
        ExplainedInterest(0.4, [WeightedBehaviour("cup", 0.9)]),
        ExplainedInterest(0.6, [WeightedBehaviour("pan", 0.9)]),
    )
    found = candidates(["mug", "wok", "tent", "mat"], [0, 0, 0, 1], [strong, weak], [7.0, 4.2, 4.1, 3.9])
    assert [(shelf.interest, shelf.products) for shelf in shelves_of(found, few)] == [(0, rows("mug", "wok"))]
    opposite = candidates(["mug", "mat"], [0, 1], [strong, weak], [-1.0, -2.0])  # nothing is near: what there is
    assert [shelf.interest for shelf in shelves_of(opposite, few)] == [1, 0]


@pytest.mark.parametrize(
    ("formed", "theme", "words"),
    [
        (["mug", "cup"], Theme("kitchen", whole=True), "kitchen"),
        (["mug", "tent", "cup"], Theme("kitchen"), "mostly kitchen"),
        (["mug", "gone", "cup"], Theme("kitchen"), "mostly kitchen"),
        (["mug", "tent"], Theme(), ""),
        (["gone"], Theme(), ""),
        ([], Theme(), ""),
    ],
)
def test_a_theme_says_whether_all_is_of_it(few: Bundle, formed: list[str], theme: Theme, words: str) -> None:
    assert theme_of(formed, few) == theme
    assert theme.words == words


def test_a_shelf_has_four_products(few: Bundle) -> None:
    [shelf] = shelves_of(
        candidates(list(FEW), [0] * 6, [ExplainedInterest(1.0000001, [WeightedBehaviour("mug", 1.0)])]), few
    )
    assert shelf.products == rows("mug", "cup", "tent", "mat")
    assert shelf.importance == 1  # more than 1 by rounding is no share that a bar can show


def test_popular_products_have_one_shelf(few: Bundle) -> None:
    assert shelves_of(candidates(list(FEW), [-1] * 6, []), few) == [
        Shelf(-1, Theme(), [], 0.0, rows("mug", "cup", "tent", "mat"))
    ]


def test_last_behaviours_the_newest_first(few: Bundle) -> None:
    items = ("pan", "mug", "cup", "tent", "mat", "wok", "mug", "gone", "cup", "mug")
    capsules = Capsules(np.zeros((0, 4)), np.zeros(0), "v")
    state = UserState("ann", History(items, tuple(range(10)), ("",) * 10), capsules, Position("life", 0, 0))
    assert behaviours_of(None, few) == []
    assert behaviours_of(state, few) == [
        "Blue Mug",
        "Red cup",
        "gone",
        "Blue Mug",
        "Wok",
        "Sleeping mat",
        "Dome tent (blue)",
        "Red cup",
    ]


def test_refused_products_the_newest_first(few: Bundle) -> None:
    capsules = Capsules(np.zeros((0, 4)), np.zeros(0), "v")
    refused = tuple(ItemFeedback(item_id, NOW_MS + at) for at, item_id in enumerate(["mug", "gone", "cup"]))
    state = UserState("ann", History(), capsules, Position("life", 0, 0), feedback=Feedback(refused))
    assert unwanted_of(state, few) == ["Red cup", "gone", "Blue Mug"]
    assert unwanted_of(None, few) == []


# Personas


def test_personas_are_chosen_by_what_counts() -> None:
    """Impressions make nobody busy, and what a persona refused is published with the rest."""
    log = log_of(*(("ann", f"item-{at}") for at in range(5)), *(("ben", f"item-{at}") for at in range(9)))
    log.events["event_type"] = ["click"] * 4 + ["dislike"] + ["click"] * 3 + ["impression"] * 6
    personas = Personas(log, RULE)
    assert personas.user_ids == ["ann", "ben"]
    assert [event.event_type for event in personas.events("ann")] == ["click"] * 4 + ["dislike"]
    assert [event.item_id for event in personas.events("ben")] == ["item-0", "item-1", "item-2"]
    log.events["event_type"] = log.events.event_type.astype("category")
    assert Personas(log, RULE).events("ann") == personas.events("ann")
    log.events["event_type"] = "impression"
    assert Personas(log, RULE).user_ids == []


def test_personas_are_those_with_the_most_behaviours() -> None:
    lengths = {"bot": 91, "b": 90, "a": 90, "c": 3} | {f"few-{number:02}": 2 for number in range(30)}
    log = log_of(*((user, f"item-{at}") for user, length in lengths.items() for at in range(length)))
    personas = Personas(log, RULE)
    assert personas.user_ids[:4] == ["a", "b", "c", "few-00"]  # nobody browses as much as "bot"; equal ones by name
    assert len(personas.user_ids) == 20
    assert set(personas.past) == set(personas.user_ids)
    assert [event.item_id for event in personas.events("a")] == [f"item-{at}" for at in range(60, 90)]


def test_a_persona_is_described_by_few_words() -> None:
    log = log_of(*(("ann", item) for item in ("mug", "mug", "mug", "tent", "tent", "lamp")))
    log.items["category"] = log.items.item_id.map({"mug": "Kitchen", "tent": "Camping", "lamp": "Lighting"})
    assert Personas(log, RULE).label("ann") == "ann · Kitchen, Camping"
    assert Personas(log, RULE).label("somebody") == "somebody"


def test_personas_of_a_log_with_long_histories_only() -> None:
    log = log_of(*((user, "i") for user, length in {"a": 200, "b": 120}.items() for _ in range(length)))
    assert Personas(log, RULE).user_ids == ["b"]


def test_a_persona_s_events_are_those_of_the_log() -> None:
    log = log_of(("ann", "mug"), ("bob", "cup"), ("ann", "pan"), profiles={"ann": "north"})
    north = {"region": "north"}
    assert Personas(log, RULE).events("ann") == [
        Event("ann", "mug", NOW_MS, "click", profile=north),
        Event("ann", "pan", NOW_MS + 2_000, "click", profile=north),
    ]
    assert Personas(log, RULE).events("bob") == [Event("bob", "cup", NOW_MS + 1_000, "click")]


# Traffic


class Recorder(EventProducer):
    """A producer that keeps what is sent, or fails."""

    def __init__(self) -> None:
        self.sent: list[Event] = []
        self.broken = False

    def send(self, event: Event) -> Any:
        if self.broken:
            raise OSError("the broker is away")
        self.sent.append(event)


@contextmanager
def running_traffic(log: InteractionLog, *without: str) -> Iterator[Traffic]:
    traffic = Traffic(log, Recorder(), without)
    yield traffic
    traffic.stop()


@pytest.fixture
def traffic() -> Iterator[Traffic]:
    log = log_of(("ann", "mug"), ("bob", "cup"), ("ann", "pan"), profiles={"ann": "north"})
    with running_traffic(log) as traffic:
        yield traffic


def sent(traffic: Traffic) -> list[Event]:
    assert isinstance(traffic.producer, Recorder)
    return traffic.producer.sent


def test_traffic_plays_the_log_again_and_again_as_if_it_were_now(traffic: Traffic) -> None:
    traffic.rate = 100
    wait_until(lambda: len(sent(traffic)) > 20)
    events = sent(traffic)[:7]
    assert [(event.user_id, event.item_id) for event in events] == [
        *[("ann", "mug"), ("bob", "cup"), ("ann", "pan")] * 2,
        ("ann", "mug"),
    ]
    assert all(abs(event.event_time_ms - 1_000 * time.time()) < 30_000 for event in events)
    assert [event.profile for event in events[:3]] == [{"region": "north"}, None, None]


def run_by_a_clock(traffic: Traffic, monkeypatch: pytest.MonkeyPatch, wakes_s: float) -> None:
    """Let it wake five times, each time so many seconds after the last."""
    traffic.stop()  # its own thread
    clock = iter([number * wakes_s for number in range(6)])
    monkeypatch.setattr(demo.engine.traffic, "time", SimpleNamespace(monotonic=lambda: next(clock), time=time.time))
    wakes = iter([False] * 5 + [True])
    monkeypatch.setattr(traffic, "stopping", SimpleNamespace(wait=lambda _: next(wakes), set=lambda: None))
    traffic.run()


@pytest.mark.parametrize(("rate", "published"), [(0, 0), (100, 50), (1_000_000, MOST_PER_SECOND // 2)])
def test_traffic_keeps_its_rate(traffic: Traffic, monkeypatch: pytest.MonkeyPatch, rate: int, published: int) -> None:
    traffic.rate = rate
    run_by_a_clock(traffic, monkeypatch, 0.1)
    assert traffic.published == len(sent(traffic)) == pytest.approx(published, abs=1)


@pytest.mark.parametrize(
    ("late_s", "published"),
    [(0.1, 50), (0.25, 125), (30.0, 500)],  # five wake-ups; after a long sleep a second's worth, not thirty
)
def test_traffic_keeps_its_rate_where_it_wakes_late(
    traffic: Traffic, monkeypatch: pytest.MonkeyPatch, late_s: float, published: int
) -> None:
    traffic.rate = 100
    run_by_a_clock(traffic, monkeypatch, late_s)
    assert traffic.published == pytest.approx(published, abs=1)


def test_traffic_pauses_in_the_midst_of_what_is_owed(traffic: Traffic, monkeypatch: pytest.MonkeyPatch) -> None:
    def send_three(event: Event) -> None:
        sent(traffic).append(event)
        traffic.rate = 100 if len(sent(traffic)) < 3 else 0

    monkeypatch.setattr(traffic.producer, "send", send_three)
    traffic.rate = 100
    run_by_a_clock(traffic, monkeypatch, 1.0)
    assert traffic.published == len(sent(traffic)) == 3


def test_traffic_stops(traffic: Traffic) -> None:
    traffic.rate = 100
    wait_until(lambda: traffic.published > 0)
    traffic.stop()
    assert not traffic.thread.is_alive()


def test_traffic_leaves_users_out() -> None:
    log = log_of(("ann", "mug"), ("bob", "cup"), ("ann", "pan"), ("eve", "wok"), profiles={"ann": "north"})
    with running_traffic(log, "ann") as traffic:
        traffic.rate = MOST_PER_SECOND
        wait_until(lambda: len(sent(traffic)) > 4)
        assert [event.user_id for event in sent(traffic)[:4]] == ["bob", "eve", "bob", "eve"]


def test_traffic_of_a_log_without_other_users() -> None:
    with running_traffic(log_of(("ann", "mug")), "ann") as traffic:
        traffic.rate = MOST_PER_SECOND
        time.sleep(0.3)
        assert traffic.thread.is_alive()
        assert not sent(traffic)


def test_traffic_outlives_a_broker_that_is_away(traffic: Traffic) -> None:
    assert isinstance(traffic.producer, Recorder)
    traffic.producer.broken = True
    traffic.rate = 100
    wait_until(lambda: traffic.failure)
    assert str(traffic.failure) == "the broker is away"
    assert traffic.published == 0
    traffic.producer.broken = False
    wait_until(lambda: traffic.published)
    assert traffic.failure is None


# Preparing


@pytest.mark.slow
def test_a_model_is_prepared_from_the_simulated_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = simulate(users=60)
    default = preset(DEFAULT)
    quick = replace(default.model, dim=8, history_length=10, hidden=16)
    monkeypatch.setitem(PRESETS, DEFAULT, replace(default, model=quick))
    monkeypatch.setattr(demo.engine.prepare, "simulate", lambda: small)
    monkeypatch.setattr(demo.engine.prepare, "TRAINING_SECONDS", 0.1)
    monkeypatch.setattr(demo.engine.prepare, "ONE_INTEREST_SECONDS", 0.1)
    chosen = Settings(home=tmp_path / "new" / "home", log=None)
    assert not is_prepared(chosen)
    prepare(chosen)
    assert is_prepared(chosen)
    bundle = Registry(chosen.models).current()
    check(bundle)
    assert bundle.manifest.index == {"kind": "exact"}
    assert bundle.manifest.items == len(small.log.items)
    assert bundle.manifest.num_interests > 1
    assert Registry(one_interest_models(chosen)).current().manifest.num_interests == 1
    pd.testing.assert_frame_equal(read_log(log_file(chosen)).events, small.log.events)
    log_file(chosen).unlink()
    assert not is_prepared(chosen)


def test_a_log_of_one_s_own_is_kept_in_our_format(shop: SimulatedShop, tmp_path: Path) -> None:
    file = tmp_path / "my shop.csv"
    shop.log.events.head(500).to_csv(file, index=False)
    chosen = Settings(home=tmp_path, log=file)
    assert len(read_or_simulate(chosen).events) == 500
    kept = shop.log.with_events(shop.log.events.head(500)).events
    pd.testing.assert_frame_equal(read_log(log_file(chosen)).events, kept)


def test_a_port_that_is_taken_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot be served at port {port} of 127.0.0.1 .*--port"):
            require_free("127.0.0.1", port)
    require_free("127.0.0.1", port)


def test_every_log_has_a_home_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "load", lambda: Settings(home=tmp_path))
    for name in ("My Shop (1).csv", "other.csv"):
        (tmp_path / name).touch()
    mine, other = for_log(tmp_path / "My Shop (1).csv"), for_log(tmp_path / "other.csv")
    assert re.fullmatch(r"my-shop-1-[0-9a-f]{8}", mine.home.name)
    assert mine.home.parent == other.home.parent == tmp_path / "logs"
    assert mine.home == for_log(tmp_path / "My Shop (1).csv").home != other.home
    assert as_environment(mine) == {
        "MINDSTREAM_HOME": str(mine.home),
        "MINDSTREAM_LOG": str(tmp_path / "My Shop (1).csv"),
    }
    assert as_environment(Settings(home=tmp_path, log=None)) == {"MINDSTREAM_HOME": str(tmp_path)}


def test_a_log_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no log at nowhere\.csv"):
        for_log(Path("nowhere.csv"))


def test_without_torch_no_model_is_prepared_and_it_is_said(tmp_path: Path) -> None:
    script = "import runpy, sys; sys.modules['torch'] = None; runpy.run_module('demo', run_name='__main__')"
    command = [sys.executable, "-c", script, "--only-prepare"]
    environment = {**os.environ, "MINDSTREAM_HOME": str(tmp_path), "MINDSTREAM_LOG": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 2
    assert done.stderr == (
        "error: torch is not installed; training needs the extra `train`: `uv tool install '.[train]'`, "
        "or in a checkout remove .venv and run `make setup`\n"
    )
    assert not is_prepared(Settings(home=tmp_path))


# The engine, on the embedded broker


@pytest.fixture(scope="module")
def engine(bundle: Bundle, shop: SimulatedShop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine that all tests share; each has a visitor of its own."""
    one = made_once(tmp_path_factory, "one-interest", partial(one_interest_bundle, shop))
    with closing(Engine(home_of(bundle, shop, tmp_path_factory.mktemp("home"), one))) as engine:
        yield engine


@pytest.fixture
def visitor(request: pytest.FixtureRequest) -> str:
    return f"visitor-{request.node.name}"


def two_of_different_kinds(engine: Engine) -> tuple[str, str]:
    bundle = engine.served.bundle
    category = bundle.catalogue.category
    other = next(row for row, of in enumerate(category) if of != category[0])
    return bundle.item_ids[0], bundle.item_ids[other]


def history_of(engine: Engine, user_id: str) -> tuple[str, ...]:
    state = engine.state(user_id)
    return state.history.item_ids if state else ()


def test_a_new_visitor_gets_popular_items(engine: Engine, visitor: str) -> None:
    found = engine.recommend(visitor)
    assert found.path == "popular"
    assert len(found.item_ids) == demo.engine.engine.CANDIDATES
    assert engine.state(visitor) is None


def test_a_click_changes_the_recommendations(engine: Engine, visitor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = two_of_different_kinds(engine)
    click = engine.click(visitor, first)
    assert (click.user_id, click.item_id, click.event_type) == (visitor, first, "click")
    assert 0 < click.latency_ms < 10_000
    assert engine.pulse.latencies[-1][1] == click.latency_ms
    after_one = engine.recommend(visitor)
    assert after_one.path == "capsules"
    assert [one.item_id for one in after_one.interests[0].behaviours] == [first]
    engine.click(visitor, second, "purchase")
    after_two = engine.recommend(visitor)
    assert {one.item_id for interest in after_two.interests for one in interest.behaviours} == {first, second}
    assert after_two.item_ids != after_one.item_ids
    assert history_of(engine, visitor) == (first, second)
    monkeypatch.setattr(demo.engine.engine, "CANDIDATES", engine.served.bundle.manifest.items)
    new = engine.recommend(visitor, exclude_seen=True).item_ids
    assert set(engine.recommend(visitor).item_ids) - set(new) == {first, second}


def test_a_refused_product_leaves_the_page_until_it_is_wanted(
    engine: Engine, visitor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo.engine.engine, "CANDIDATES", engine.served.bundle.manifest.items)
    first, second = two_of_different_kinds(engine)
    engine.click(visitor, first)
    engine.click(visitor, second)
    engine.click(visitor, first, "dislike")
    assert history_of(engine, visitor) == (second,)
    assert unwanted_of(engine.state(visitor), engine.served.bundle) == [engine.served.bundle.catalogue.title[0]]
    assert first not in engine.recommend(visitor).item_ids
    assert engine.one is not None
    assert first not in engine.one.recommend(visitor, 1_000).item_ids
    engine.click(visitor, second, "dislike")
    found = engine.recommend(visitor)
    assert found.path == "popular"
    assert not {first, second} & set(found.item_ids)
    engine.click(visitor, first)
    assert first in engine.recommend(visitor).item_ids


def test_an_event_that_counts_for_nothing_is_not_waited_for(engine: Engine, visitor: str) -> None:
    first, second = two_of_different_kinds(engine)
    timed = len(engine.pulse.latencies)
    assert engine.click(visitor, first, "impression").latency_ms < 9_000
    assert len(engine.pulse.latencies) == timed  # it says nothing of how long one waits for what is new
    engine.click(visitor, second)
    assert history_of(engine, visitor) == (second,)


def test_a_model_of_another_rule_is_said_by_the_demo(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = shutil.copytree(bundle.path, tmp_path / "ruled")
    write_manifest(path, replace(bundle.manifest, data=bundle.manifest.data | {"behaviours": "buy=2,*=0"}))
    with LmdbStore(tmp_path / "state") as store:
        make_served(Bundle(path), store, RULE)
    assert caplog.text.count("was trained under the rule buy=2,*=0") == 1


def test_a_click_on_something_the_model_does_not_know(engine: Engine, visitor: str) -> None:
    engine.click(visitor, "brand-new")
    assert history_of(engine, visitor) == ("brand-new",)
    assert engine.recommend(visitor).path == "popular"


def test_the_end_of_another_process_s_broker_is_said(bundle: Bundle, shop: SimulatedShop, tmp_path: Path) -> None:
    settings = home_of(bundle, shop, tmp_path)
    with EmbeddedBroker(settings.state) as broker, closing(Engine(settings)) as guest:
        assert guest.cluster == broker.cluster
        assert guest.trouble() is None
        assert not guest.is_broken()
        broker.close()
        assert "has ended" in str(guest.trouble())
        assert guest.is_broken()


def test_a_persona_is_brought_in_once(engine: Engine) -> None:
    persona = engine.personas.user_ids[0]
    expected = tuple(event.item_id for event in engine.personas.events(persona))
    assert len(expected) == 30
    engine.bring_in(persona)
    before = engine.state(persona)
    assert before is not None
    assert before.history.item_ids == expected
    assert set(before.profile) == {"region", "age"}
    assert len(engine.recommend(persona).interests) == 4
    engine.bring_in(persona)
    engine.click(persona, "another")  # what was published before it is applied by now
    assert history_of(engine, persona) == (*expected, "another")


def test_a_retrain_learns_from_each_event_once(
    engine: Engine, visitor: str, shop: SimulatedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mindstream.settings.load", lambda: engine.settings)
    persona, item_id = engine.personas.user_ids[-1], engine.served.bundle.item_ids[0]
    engine.bring_in(persona)  # puts behaviours of the log onto the topic
    for _ in range(2):
        engine.click(visitor, item_id)
        archive_topic(engine.settings)
    archived = events_in(engine.settings.archive)
    of_both = [int((archived.user_id == one).sum()) for one in (persona, visitor)]
    assert of_both == [len(engine.personas.events(persona)), 2]
    learned = with_events(shop.log, archived).events.user_id
    assert (learned == persona).sum() == (shop.log.events.user_id == persona).sum()
    assert (learned == visitor).sum() == 2


def test_a_topic_without_events_has_none_in_its_archive(tmp_path: Path) -> None:
    assert events_in(tmp_path).empty


def test_a_visitor_is_not_brought_in(engine: Engine, visitor: str) -> None:
    engine.bring_in(visitor)
    assert engine.state(visitor) is None


def test_traffic_reaches_the_updater(engine: Engine, visitor: str) -> None:
    assert engine.updater is not None
    engine.click(visitor, "x")
    before = engine.updater.counts["applied"]
    engine.traffic.rate = 100
    time.sleep(0.5)
    engine.traffic.rate = 0
    time.sleep(0.2)
    assert engine.traffic.published > 10
    assert not set(engine.traffic.log.events.user_id) & set(engine.personas.user_ids)
    # At least: the click may have been stored before and counted after.
    wait_until(lambda: engine.updater and engine.updater.counts["applied"] >= before + engine.traffic.published)


def test_an_engine_closes_and_opens_again_and_says_when_its_updater_stops(
    bundle: Bundle, shop: SimulatedShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, before = home_of(bundle, shop, tmp_path), our_threads()
    with_engine(chosen, lambda engine: engine.click("ann", "mug"))
    assert our_threads() == before
    assert running_embedded(chosen.state) is None

    def clicks_until_the_updater_breaks(engine: Engine) -> None:
        engine.click("ann", "cup")  # the new broker counts from 0 again; that must not look like a replay
        assert history_of(engine, "ann") == ("mug", "cup")
        assert engine.failure is None
        assert engine.updater is not None
        monkeypatch.setattr(engine.updater.extractor, "encode", broken)
        with pytest.raises(OSError, match="the updater has stopped: out of order"):
            engine.click("ann", "pan")
        assert isinstance(engine.failure, RuntimeError)

    with_engine(chosen, clicks_until_the_updater_breaks)
    with LmdbStore(chosen.state) as store:
        assert list(store.users()) == ["ann"]


def our_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name in ("updater", "traffic", "shopper", "serving")}


def broken(*_: object, **__: object) -> None:
    raise RuntimeError("out of order")


def with_engine(chosen: Settings, use: Callable[[Engine], object]) -> None:
    engine = Engine(chosen)
    try:
        use(engine)
    finally:
        engine.close()


def test_without_a_model_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no model was published in .*models; `make demo` or"):
        Engine(Settings(home=tmp_path, bootstrap_servers=""))


@pytest.mark.slow
def test_it_starts_with_the_last_good_model(bundle: Bundle, shop: SimulatedShop, tmp_path: Path) -> None:
    chosen = home_of(bundle, shop, tmp_path)
    copy_bundle(bundle, chosen.models / "newer")
    (chosen.models / "newer" / ROUTING_LOGITS).write_bytes(b"cut off")
    Registry(chosen.models).point_to("newer")

    def use(engine: Engine) -> None:
        assert engine.serving.version == bundle.version
        assert f"{ROUTING_LOGITS} has 7 bytes" in str(engine.serving.trouble)

    with_engine(chosen, use)


def test_an_engine_that_does_not_get_ready_leaves_nothing_open(
    bundle: Bundle, shop: SimulatedShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, before = home_of(bundle, shop, tmp_path), our_threads()
    monkeypatch.setattr(demo.engine.engine, "READY_WITHIN_S", 0)
    monkeypatch.setattr("stream.updater.updater.Updater.step", lambda *_: time.sleep(0.01))  # it joins no group
    with pytest.raises(OSError, match="the updater got no partition of behaviour-events within 0 s"):
        Engine(chosen)
    assert our_threads() == before
    assert running_embedded(chosen.state) is None
    LmdbStore(chosen.state).close()


def test_a_click_that_nobody_applies_is_said(
    bundle: Bundle, shop: SimulatedShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an updater elsewhere the demo runs none of its own."""
    monkeypatch.setattr(demo.engine.engine, "APPLIED_WITHIN_S", 0.2)
    chosen = home_of(bundle, shop, tmp_path).model_copy(update={"demo_updater": False})

    def click(engine: Engine) -> None:
        assert engine.updater is None
        said = r"behaviour-events\[\d\]@0 was published but not applied within 0 s; is an updater running\?"
        with pytest.raises(OSError, match=said):
            engine.click("ann", "mug")

    with_engine(chosen, click)


# The machine room


def test_a_paused_updater_waits_and_catches_up(engine: Engine, visitor: str) -> None:
    first, second = two_of_different_kinds(engine)
    engine.click(visitor, first)
    engine.going.clear()
    try:
        wait_until(lambda: is_paused(engine))
        with pytest.raises(OSError, match="the updater is paused; the event waits in Kafka"):
            engine.click(visitor, second)
        assert history_of(engine, visitor) == (first,)
        assert engine.pulse.source.read().lag >= 1
    finally:
        engine.going.set()
    wait_until(lambda: history_of(engine, visitor) == (first, second))
    wait_until(lambda: engine.pulse.source.read().lag == 0)


def is_paused(engine: Engine) -> bool:
    """Whether the updater has finished the step that it was in: its polls do not go on."""
    assert engine.updater is not None
    polls = engine.updater.reader.polls
    time.sleep(0.5)
    return engine.updater.reader.polls == polls


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("Not JSON", "json"),
        ("Time in seconds", "field"),
        ("Empty item", "field"),
        ("Somebody else's key", "key"),
        ("Next week's event", "time"),
    ],
)
def test_every_malformed_record_becomes_a_letter_that_says_why(engine: Engine, kind: str, reason: str) -> None:
    assert kind in MALFORMED
    place = send(engine.producer, kind)
    topic = engine.settings.dead_letter_topic
    wait_until(lambda: place in [letter.source for letter in last_letters(engine.cluster, topic)])
    letters = last_letters(engine.cluster, topic)
    assert [letter.reason for letter in letters if letter.source == place] == [reason]
    assert len(letters) <= 5
    assert engine.pulse.source.read().letters >= len(letters)


def test_the_test_shopper_shops_while_there_is_traffic(engine: Engine) -> None:
    engine.traffic.rate = 10
    wait_until(lambda: history_of(engine, "test-shopper"))
    engine.traffic.rate = 0
    assert engine.shopper.failure is None


def test_a_new_model_is_served_and_rolled_back(bundle: Bundle, shop: SimulatedShop, tmp_path: Path) -> None:
    chosen = home_of(bundle, shop, tmp_path)
    with closing(Engine(chosen)) as engine:
        first = engine.served
        assert engine.one is None
        with pytest.raises(ValueError, match=r"^There is no earlier model to go back to\.$"):
            engine.roll_back()
        engine.click("ann", engine.served.bundle.item_ids[0])
        newer = newer_version(bundle, tmp_path / "newer")
        engine.registry.publish(newer)
        wait_until(lambda: engine.served.bundle.version == "99990101T000000Z-ffff")
        assert engine.recommend("ann").model_version == "99990101T000000Z-ffff"
        assert engine.roll_back() == first.bundle.version == engine.recommend("ann").model_version


def newer_version(bundle: Bundle, path: Path) -> Path:
    """The same bundle under a later name."""
    shutil.copytree(bundle.path, path)
    write_manifest(path, replace(bundle.manifest, version="99990101T000000Z-ffff"))
    return path


def test_where_things_are_is_said_without_secrets(engine: Engine) -> None:
    assert engine.places() == {
        "Broker": f"embedded, {engine.cluster.bootstrap_servers}",
        "Store": f"LMDB, {engine.settings.state}",
    }
    url = "redis://:s3cret@redis.shop:6379"
    own = Settings(redis=SecretStr(url), log=Path("logs/clicks.csv"))
    elsewhere = SimpleNamespace(settings=own, cluster=Cluster("kafka.shop:9092"))
    assert Engine.places(cast(Engine, elsewhere)) == {
        "Broker": "Apache Kafka, kafka.shop:9092",
        "Store": "Redis, redis.shop:6379",
        "Log": "clicks.csv",
    }


# EngineKeeper


@pytest.mark.slow
def test_an_engine_that_could_not_start_is_tried_again(bundle: Bundle, shop: SimulatedShop, tmp_path: Path) -> None:
    power = EngineKeeper(Settings(home=tmp_path, bootstrap_servers="", log=None))
    with pytest.raises(BundleError, match="no model was published"):
        power.engine()
    home_of(bundle, shop, tmp_path)
    with closing(power):
        engine = power.engine()
        assert power.engine() is engine
        engine.click("ann", "mug")
        engine.failure = RuntimeError("out of order")
        again = power.engine()
        assert again is not engine
        again.click("ann", "cup")
        assert history_of(again, "ann") == ("mug", "cup")
    assert power.running is None


# The page


@pytest.fixture
def page(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The page as a new visitor sees it."""
    monkeypatch.setattr(settings, "load", lambda: engine.settings)
    monkeypatch.setattr(demo.engine_keeper, "Engine", lambda _: engine)
    engine_keeper.cache_clear()
    yield run(AppTest.from_file(str(APP), default_timeout=240))
    engine_keeper.cache_clear()


def run(page: AppTest) -> AppTest:
    page.run()
    assert not page.exception
    return page


def html_of(page: AppTest, key: str) -> str:
    """What a component of products shows."""
    [found] = [element.proto for element in page.get("bidi_component") if element.proto.id.endswith(f"-{key}")]
    return str(json.loads(found.json))


def cards_of(page: AppTest, key: str) -> list[str]:
    return re.findall(r'data-card="([^"]+)"', html_of(page, key))


def says(page: AppTest, text: str) -> bool:
    shown = (*page.markdown, *page.info, *page.error, *page.caption, *page.warning)
    return any(text in element.value for element in shown)


def choose(page: AppTest, key: str, choice: str) -> AppTest:
    """Press one of a row of choices."""
    [group] = [one for one in page.get("button_group") if getattr(one, "key", "") == key]
    cast(ButtonGroup[str], group).set_value(choice)
    return run(page)


def test_recommendations_follow_events_from_elsewhere(page: AppTest, engine: Engine) -> None:
    user_id = page.session_state.visitor
    assert page.query_params["user"] in (user_id, [user_id])
    assert "Popular now" in html_of(page, "interests")
    assert says(page, "Nothing is known of this visitor")
    first, second = two_of_different_kinds(engine)
    engine.click(user_id, first)
    run(page)
    title = engine.served.bundle.catalogue.title[0]
    assert "Popular now" not in html_of(page, "interests")
    assert f"things: {title}" in html_of(page, "interests")
    assert says(page, f"Your last behaviours: {escape_markdown(title)}")
    [shelf] = shelves_of(engine.recommend(user_id, exclude_seen=True), engine.served.bundle)
    assert cards_of(page, "interests") == [row.item_id for row in shelf.products]
    assert "ms-new" in html_of(page, "interests")
    assert "Left just now" in html_of(page, "interests")
    after_one = cards_of(page, "interests")
    engine.click(user_id, second)
    assert cards_of(run(page), "interests") != after_one


def test_what_was_refused_is_named_on_the_page(page: AppTest, engine: Engine) -> None:
    user_id = page.session_state.visitor
    refused = cards_of(page, "interests")[0]
    assert 'data-act="dislike"' in html_of(page, "interests")
    assert 'data-act="dislike"' not in html_of(page, "shop")
    engine.click(user_id, refused, "dislike")
    run(page)
    title = engine.served.bundle.catalogue.title[engine.served.bundle.rows[refused]]
    assert says(page, f"Not for you, until you click it again: {escape_markdown(title)}")
    assert refused not in cards_of(page, "interests")
    assert refused in cards_of(page, "shop")  # the catalogue is all there is


def test_search_and_categories_on_the_page(page: AppTest) -> None:
    assert len(cards_of(page, "shop")) == 12
    page.text_input(key="search").input("yoga mat")
    run(page)
    assert len(cards_of(page, "shop")) == 5
    assert says(page, "5 of 5 products")
    choose(page, "category", "Camping")
    assert "No product matches" in html_of(page, "shop")
    page.text_input(key="search").input("")
    run(page)
    assert set(re.findall(r"Camping|Yoga", html_of(page, "shop"))) == {"Camping"}


def test_a_persona_beside_one_interest_and_on_the_map(page: AppTest, engine: Engine) -> None:
    persona = engine.personas.user_ids[3]
    page.selectbox(key="user").select(persona)
    run(page)
    assert page.query_params["user"] in (persona, [persona])
    assert len(history_of(engine, persona)) == 30
    assert html_of(page, "interests").count("From your") == 4
    choose(page, "kind", "Beside one interest")
    assert html_of(page, "several").count("From your") == 4
    assert html_of(page, "one").count("From your") == 1
    assert len(cards_of(page, "one")) == len(cards_of(page, "several"))
    assert says(page, f"{len(cards_of(page, 'one'))} products from")
    choose(page, "kind", "Interest map")
    assert len(page.get("vega_lite_chart")) == 2
    new_visitor = next(button for button in page.button if button.label == "New visitor")
    new_visitor.click()
    run(page)
    assert not page.get("vega_lite_chart")
    assert says(page, "Nothing is known of this visitor yet")


def test_without_a_model_with_one_interest_it_is_said(
    page: AppTest, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "one", None)
    choose(page, "kind", "Beside one interest")
    assert says(page, "There is no model with one interest in this home")


def test_an_impossible_user_on_the_page(engine: Engine, page: AppTest) -> None:
    """The page's address may hold anything."""
    page = AppTest.from_file(str(APP), default_timeout=240)
    page.query_params["user"] = "x" * 200
    assert "Popular now" in html_of(run(page), "interests")
    with pytest.raises(ValueError, match="user_id"):
        engine.click("x" * 200, "mug")


def test_the_machine_room(page: AppTest, engine: Engine) -> None:
    choose(page, "view", "Machine room")
    assert page.query_params["view"] in ("Machine room", ["Machine room"])
    assert [metric.label for metric in page.metric][:2] == ["Events a second", "Lag, events"]
    assert says(page, engine.served.bundle.version)
    before = engine.traffic.published
    page.slider(key="rate").set_value(200)
    run(page)
    wait_until(lambda: engine.traffic.published > before)
    page.slider(key="rate").set_value(0)
    run(page)
    assert engine.traffic.rate == 0
    pressed(page, "Roll back")
    assert [error.value for error in page.error] == [escape_markdown("There is no earlier model to go back to.")]
    pressed(page, "Pause")
    assert not engine.going.is_set()
    assert says(page, "Paused: the lag grows")
    pressed(page, "Resume")
    assert engine.going.is_set()


def pressed(page: AppTest, label: str) -> AppTest:
    next(button for button in page.button if button.label == label).click()
    return run(page)


def test_a_malformed_event_on_the_page(page: AppTest, engine: Engine) -> None:
    choose(page, "view", "Machine room")
    page.selectbox(key="malformed").select("Empty item")
    pressed(page, "Send it")
    assert says(page, "Sent: behaviour")

    def is_shown() -> bool:
        return any("careless-producer" in code.value for code in run(page).code)

    wait_until(is_shown)


@pytest.mark.parametrize("failure", [OSError("no Kafka broker answers"), BundleError("no model")])
def test_what_does_not_start_is_said_and_tried_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(_: Settings) -> None:
        raise failure

    monkeypatch.setattr(settings, "load", lambda: engine.settings)
    monkeypatch.setattr(demo.engine_keeper, "Engine", fail)
    engine_keeper.cache_clear()
    page = run(AppTest.from_file(str(APP), default_timeout=240))
    assert says(page, str(failure))
    monkeypatch.setattr(demo.engine_keeper, "Engine", lambda _: engine)
    assert "Popular now" in html_of(run(page), "interests")
    engine_keeper.cache_clear()


def test_what_breaks_while_it_runs_is_said(page: AppTest, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: object) -> None:
        raise OSError("the capsule store cannot be read")

    with monkeypatch.context() as broken:
        broken.setattr(engine.store, "get_many", away)
        assert says(run(page), "the capsule store cannot be read")
    assert "Popular now" in html_of(run(page), "interests")


def test_a_model_that_cannot_be_prepared_is_said_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    def refuse(command: list[str], check: bool) -> subprocess.CompletedProcess[bytes]:
        commands.append(command[1:])
        return subprocess.CompletedProcess(command, 2)

    monkeypatch.setattr(settings, "load", lambda: Settings(home=tmp_path))
    monkeypatch.setattr(subprocess, "run", refuse)
    assert says(run(AppTest.from_file(str(APP), default_timeout=240)), "The model could not be prepared")
    assert commands == [["-m", "demo", "--only-prepare"]]
