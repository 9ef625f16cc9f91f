"""Parts of the demo that need no engine: pictures, cards, what changes, the map, charts, figures, retraining."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as strategies

from demo.drawing import cards, charts
from demo.drawing.interest_map import InterestMap, coupling, coupling_table, evenly, normalized
from demo.drawing.picture import SHAPES, data_uri, picture, shape_of
from demo.drawing.view import Product, Shelf, Shown, Theme, categories_among, shown_after
from demo.drawing.words import age
from demo.engine.live_metrics import Pulse
from demo.engine.offsets import TopicProgress
from demo.engine.retrain_with_events import events_in, with_events
from demo.engine.retraining_process import Retraining
from demo.engine.served import make_served
from mindstream.behaviour_rule import BehaviourRule
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.registry import Registry
from model_export.bundle.serving import Serving
from model_export.data.interactions import EVENT_COLUMNS
from model_export.data.simulator import SimulatedShop
from stream.events.position import Position
from stream.events.replay import events_of
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState
from tests.support.refusals import refused_in_turn

MUG = Product("mug", "Blue mug", "Kitchen", 4.5)
CUP = Product("cup", "Red cup", "Kitchen", None)
TENT = Product("tent", "<Dome> & 'tent'", "", 99.0)


def shelf(*rows: Product, interest: int = 0) -> Shelf:
    return Shelf(interest, Theme("kitchen", whole=True), ["Wok", "Pan"], 0.42, list(rows))


# Pictures


def test_the_same_product_has_the_same_picture_and_others_do_not() -> None:
    assert picture("Blue mug", "Kitchen") == picture("Blue mug", "Kitchen")
    products = [("Blue mug", "Kitchen"), ("Red mug", "Kitchen"), ("Blue mug", "Garden"), ("Blue wok", "Kitchen")]
    assert len({picture(*product) for product in products}) == 4


@given(strategies.text(), strategies.text())
def test_every_picture_is_svg(title: str, category: str) -> None:
    assert ElementTree.fromstring(picture(title, category)).tag.endswith("svg")


def test_words_suggest_shapes() -> None:
    assert shape_of("Anything", "Camping") == "tent"
    assert shape_of("Brass table lamp", "") == "bowl"  # the first shape that any word suggests
    assert shape_of("Qqq", "Zzz") in SHAPES


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_can_be_drawn(shape: str) -> None:
    for number in range(256):
        ElementTree.fromstring(f"<g>{SHAPES[shape](bytes([number] * 8), 'red')}</g>")


def test_a_picture_s_address_holds_it() -> None:
    svg = picture("Blue mug", "Kitchen")
    address = data_uri(svg)
    assert not set('"<>#') & set(address)
    assert unquote(address.removeprefix("data:image/svg+xml,")) == svg.replace('"', "'")
    assert len(address) < 1_500


# Cards


def test_a_card_has_three_events_and_a_picture_with_words() -> None:
    html = cards.card(MUG)
    tree = ElementTree.fromstring(html.replace("&nbsp;", ""))
    assert [(one.get("data-act"), one.get("data-item")) for one in tree.iter("button")] == [
        ("click", "mug"),
        ("cart", "mug"),
        ("purchase", "mug"),
    ]
    assert next(tree.iter("img")).get("alt") == "Drawing of Blue mug (Kitchen)"
    assert "Kitchen · 4.50" in html
    assert "ms-new" not in html
    assert "ms-new" in cards.card(MUG, entered=True)


def test_a_recommended_product_can_be_refused_by_the_rule_s_own_type() -> None:
    html = cards.panel(Shown("ann", [shelf(MUG, TENT)]), refusal="dis<like")
    tree = ElementTree.fromstring(html.replace("&nbsp;", ""))
    acts = [(one.get("data-act"), one.get("data-item")) for one in tree.iter("button")]
    assert acts[3::4] == [("dis<like", "mug"), ("dis<like", "tent")]
    assert 'aria-label="Not for me: Blue mug"' in html
    assert "Not for me" not in cards.panel(Shown("ann", [shelf(MUG, TENT)]))


@given(strategies.text(), strategies.text(), strategies.text())
def test_no_text_becomes_markup(item_id: str, title: str, category: str) -> None:
    html = cards.card(Product(item_id, f"<script>{title}\"'", category, None), refusal=f"<script{item_id}\"'")
    assert "<script" not in html
    assert html.count("<button") == 4


def test_shelves_say_what_made_them_and_what_has_changed() -> None:
    html = cards.panel(Shown("ann", [shelf(MUG, TENT)], frozenset({"tent"}), (CUP,)))
    assert "From your <b>kitchen</b> things: Wok, Pan" in html
    assert "42 % of your behaviours" in html
    mostly = Shelf(0, Theme("kitchen"), ["Wok", "Tent", "Pan"], 0.42, [])
    assert "From your <b>mostly kitchen</b> things: Wok, Tent, Pan" in cards.panel(Shown("ann", [mostly]))
    assert html.count("ms-new") == 1
    assert "Left just now" in html
    assert "Drawing of Red cup" in html
    assert "Left just now" not in cards.panel(Shown("ann", [shelf(MUG)]))
    assert "None of the top candidates" in cards.panel(Shown("ann", [shelf()]))
    assert "Popular now" in cards.panel(Shown("ann", [Shelf(-1, Theme(), [], 0.0, [MUG])]))
    assert "No product matches" in cards.grid([])


def test_what_enters_and_leaves() -> None:
    first = shown_after(None, "ann", [shelf(MUG, CUP)])
    assert (first.entered, first.left) == (frozenset(), ())
    then = shown_after(first, "ann", [shelf(CUP), shelf(TENT, interest=1)])
    assert (then.entered, then.left) == (frozenset({"tent"}), (MUG,))
    assert shown_after(then, "ann", then.shelves) is then  # drawn again, the marks stay
    assert shown_after(then, "ben", [shelf(MUG)]).entered == frozenset()
    assert categories_among(then.products) == 1


# The map


@pytest.fixture
def state(bundle: Bundle) -> UserState:
    """A user with twelve behaviours, one of them unknown to the model."""
    items = (*bundle.item_ids[5:300:27], "unknown", bundle.item_ids[0])
    [capsules] = Extractor(bundle).encode([items])
    count = len(items)
    return UserState("ann", History(items, tuple(range(count)), ("",) * count), capsules, Position("life", 0, 0))


def test_the_map_keeps_categories_apart(bundle: Bundle) -> None:
    found = InterestMap(bundle)
    assert np.allclose(found.axes @ found.axes.T, np.eye(2), atol=1e-6)
    items = found.sample()
    assert len(items) == 500
    rows = [bundle.catalogue.title.index(title) for title in items["title"]]
    assert np.allclose(items[["x", "y"]], found.project(bundle.item_embeddings[rows]))
    assert np.allclose(
        found.project(bundle.item_embeddings[:3] * 5), found.project(bundle.item_embeddings[:3]), atol=1e-5
    )


def test_the_trail_ends_where_the_interests_are_and_begins_eight_events_ago(bundle: Bundle, state: UserState) -> None:
    extractor, found = Extractor(bundle), InterestMap(bundle)
    trail = found.trail(state, extractor)
    now = trail[trail["age"] == 0]
    assert np.allclose(now[["x", "y"]], found.project(state.capsules.vectors))
    assert set(trail["age"]) == set(range(8))
    [before] = extractor.encode([state.history.item_ids[:-3]])
    assert np.allclose(trail[trail["age"] == 3][["x", "y"]], found.project(before.vectors))
    behaviours = found.behaviours(state)
    assert behaviours["age"].tolist() == [7, 6, 5, 4, 3, 2, 1, 0]
    assert behaviours["title"].iloc[-1] == bundle.catalogue.title[0]


def test_coupling_is_the_routing_weights(bundle: Bundle, state: UserState) -> None:
    extractor = Extractor(bundle)
    found = coupling(state, extractor)
    assert found.titles[-2:] == ["unknown", bundle.catalogue.title[0]]
    table = coupling_table(found)
    assert len(table) == found.weights.size
    last = table[(table["place"] == len(found.titles) - 1)].sort_values("interest")["share"].to_numpy()
    history = state.history
    [weights] = extractor.routing_weights([history.item_ids], [state.profile], [history.event_times_ms])
    assert np.allclose(last, weights[:, -1])
    assert last.sum() == pytest.approx(1, abs=1e-5)


def test_few_and_many_rows() -> None:
    assert evenly(3, 500).tolist() == [0, 1, 2]
    assert len(evenly(100_000, 500)) == 500
    assert normalized(np.zeros((1, 4))).tolist() == [[0, 0, 0, 0]]


def test_charts_can_be_drawn(bundle: Bundle, state: UserState) -> None:
    found = InterestMap(bundle)
    trail = found.trail(state, Extractor(bundle))
    camping = Theme("camping", whole=True)
    themes = [camping] * (len(state.capsules.vectors) - 1)  # one that is in the trail is gone
    importance = state.capsules.importance.tolist()
    drawn = charts.interest_map(found.sample(), found.behaviours(state), trail, themes, importance).to_dict()
    assert [layer["mark"]["type"] for layer in drawn["layer"]] == ["circle", "point", "line", "point", "text"]
    names = charts.interest_names([camping, Theme(), Theme("bath")])
    assert names == ["1: camping", "2: mixed", "3: mostly bath"]
    assert charts.interest_names([Theme(), Theme()]) == ["interest 1", "interest 2"]  # a log without categories
    heat = charts.heat_map(coupling(state, Extractor(bundle)), [camping] * len(state.capsules.vectors))
    assert heat.to_dict()["mark"]["type"] == "rect"


def test_items_have_the_colour_of_the_first_shelf_of_their_theme() -> None:
    themes = [Theme("bath"), Theme("camping"), Theme("camping", whole=True), Theme("camping"), Theme()]
    colours = charts.colours_of(themes, [0.1, 0.2, 0.3, 0.3, 0.1])
    assert colours == {"bath": cards.interest_colour(0), "camping": cards.interest_colour(2)}
    items = pd.DataFrame({"x": 0.0, "y": 0.0, "title": "?", "category": ["Camping", "Bath", "Audio"]})
    [drawn] = charts.dots(items, colours).to_dict()["datasets"].values()
    assert [row["colour"] for row in drawn] == [colours["camping"], colours["bath"], charts.GREY]


@pytest.mark.parametrize(("peak", "top"), [(200.0, 220.0), (0.0, 5.0)])
def test_a_peak_does_not_touch_the_top(peak: float, top: float) -> None:
    chart = charts.over_time(pd.DataFrame({"time": [0, 1], "lag": [1.0, peak]}), "lag", "lag, events", "red")
    assert chart.to_dict()["encoding"]["y"]["scale"]["domain"] == [0, pytest.approx(top)]


# Figures


class Clock:
    """A source of progress that moves when told to."""

    def __init__(self) -> None:
        self.progress, self.asked = TopicProgress(written=0, done=0, letters=0), 0

    def read(self) -> TopicProgress:
        self.asked += 1
        return self.progress


def test_the_pulse_tells_events_a_second_and_asks_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    now, clock = 1_000.0, Clock()
    monkeypatch.setattr(time, "time", lambda: now)
    pulse = Pulse(clock)
    assert pulse.look().per_second == 0
    clock.progress = TopicProgress(written=60, done=40, letters=2)
    now += 0.5
    assert pulse.look().progress.done == 0
    now += 1.5
    beat = pulse.look()
    assert (beat.per_second, beat.progress.lag, beat.progress.letters, clock.asked) == (20, 20, 2, 2)
    clock.progress = TopicProgress(written=5, done=5, letters=0)  # a topic made again
    now += 2
    assert pulse.look().per_second == 0
    assert pulse.rates()["lag"].tolist() == [0, 20, 0]


def test_latencies_by_quantile(monkeypatch: pytest.MonkeyPatch) -> None:
    now, pulse = 1_000.0, Pulse(Clock())
    monkeypatch.setattr(time, "time", lambda: now)
    assert pulse.quantiles() == {}
    assert not len(pulse.latency_table())
    charts.latencies(pulse.latency_table()).to_dict()
    for ms in range(101):
        pulse.took(ms)
    now += 10
    pulse.took(7)
    assert pulse.quantiles(now + 55) == {"p50": 7, "p99": 7}
    assert pulse.quantiles()["p99"] == pytest.approx(99, abs=1)
    table = pulse.latency_table()
    assert table[["quantile", "ms"]].values.tolist() == [["p50", 50], ["p99", 99], ["p50", 7], ["p99", 7]]


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (7_200, "2 h"),
        (90_000, "1 d"),
        (-5, "0 s"),
    ],
)
def test_ages(passed: int, said: str) -> None:
    assert age(pd.Timedelta(seconds=passed)) == said


# Models


def run_to_its_end(script: str) -> Retraining:
    training = Retraining((sys.executable, "-c", script))
    assert not training.running
    training.start()
    process = training.process
    training.start()  # a second one is not started
    assert training.process in (process, None)
    deadline = time.monotonic() + 480
    while training.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not training.running
    return training


def test_a_retraining_says_how_far_it_is() -> None:
    training = Retraining()
    training.hear("training:  40%|####      | 8/20 s")
    assert (training.doing, training.share) == ("training", 0.4)
    training.hear("model x is published")
    assert (training.doing, training.share) == ("model x is published", 0.0)
    done = run_to_its_end("print('reading\\ntraining: 10%| x\\rtraining: 90%| x', end='')")
    assert (done.doing, done.share, done.failed) == ("training", 0.9, False)
    assert list(done.lines) == ["reading"]


def test_a_retraining_that_fails_says_why() -> None:
    failed = run_to_its_end("raise SystemExit('error: no broker')")
    assert failed.failed
    assert list(failed.lines) == ["error: no broker"]


def test_a_retraining_can_be_stopped() -> None:
    training = Retraining((sys.executable, "-c", "import time; time.sleep(60)"))
    training.start()
    training.stop()
    assert training.process is None or training.process.poll() is not None
    Retraining().stop()


def test_the_log_with_what_has_happened_since(shop: SimulatedShop) -> None:
    [item] = shop.log.items.item_id.head(1)
    first = shop.log.events.iloc[0]
    since = events_of_rows(
        ("new-user", item, "click", 1_900_000_000_000),
        ("new-user", "not-in-the-shop", "click", 1_900_000_000_001),
        ("user-001", item, "purchase", 1_000_000_000_000),
        (first.user_id, first.item_id, first.event_type, first.event_time_ms),  # a visitor came in by it
    )
    both = with_events(shop.log, since)
    assert len(both.events) == len(shop.log.events) + 2
    assert both.events.event_time_ms.is_monotonic_increasing
    assert both.events.iloc[-1].user_id == "new-user"
    assert both.events.iloc[0].event_type == "purchase"
    assert list(both.profiles.columns) == list(shop.log.profiles.columns)
    assert set(both.profiles.user_id) == {*shop.log.profiles.user_id, "new-user"}
    assert both.profiles.notna().all().all()
    assert len(with_events(shop.log, since.iloc[:0]).events) == len(shop.log.events)


def test_where_nothing_has_happened_yet_the_log_is_learned_from_again(shop: SimulatedShop, tmp_path: Path) -> None:
    assert len(with_events(shop.log, events_in(tmp_path)).events) == len(shop.log.events)


def test_what_a_log_without_times_has_already_is_known_as_it_is_replayed(shop: SimulatedShop) -> None:
    places = shop.log.events.assign(event_time_ms=range(len(shop.log.events)))
    untimed = replace(shop.log, events=places, timed=False)
    replayed = [(one.user_id, one.item_id, one.event_type, one.event_time_ms) for one in events_of(untimed)]
    once = with_events(untimed, events_of_rows(*replayed[:100], (*replayed[0][:3], 1_900_000_000_000)))
    assert len(once.events) == len(untimed.events) + 1
    assert once.events.iloc[-1].event_time_ms == 1_900_000_000_000


def events_of_rows(*rows: tuple[str, str, str, int]) -> pd.DataFrame:
    """Events as they are read from an archive."""
    return pd.DataFrame(rows, columns=EVENT_COLUMNS)


# What is served


def test_every_bad_bundle_is_refused_by_name(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(tmp_path / "models")
    registry.publish(bundle.path)
    with LmdbStore(tmp_path / "state") as store:
        serving = Serving(registry, lambda bundle: make_served(bundle, store, BehaviourRule()))
        for version, said in refused_in_turn(serving, bundle, monkeypatch):
            assert said in str(serving.trouble)
            assert f"bundle {version} is refused, {bundle.version} is served: " in str(serving.trouble)
