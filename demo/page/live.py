"""Recommendations that follow every event: a shelf for each interest, a ranked page, one interest for all, or a map."""

import streamlit as st

from demo.drawing import cards
from demo.drawing.view import Shelf, Shown, behaviours_of, categories_among, shelves_of, shown_after, unwanted_of
from demo.drawing.words import escape_markdown
from demo.engine.engine import CANDIDATES, Click, Engine
from demo.engine.served import Served
from demo.page import interests, ranked
from demo.page.products import products
from index.recommend.recommender import Recommender

__all__ = ["show"]

LOOK_EVERY_S = 1.0
SHELVES, RANKED, BESIDE_ONE, MAP = "By interest", "Ranked page", "Beside one interest", "Interest map"
NEW_HERE = "Nothing is known of this visitor yet: these are the most popular products. Click some and watch."
NO_ONE = (
    "There is no model with one interest in this home: it was prepared by an earlier version. `make demo` in a new \
home (MINDSTREAM_HOME) trains both."
)


def show(engine: Engine, served: Served, user_id: str) -> None:
    """Show what the visitor is recommended now."""
    drawn = _signature(engine, user_id)  # before anything is read: what comes meanwhile is drawn at the next look
    st.subheader(f"For {escape_markdown(user_id)}", anchor=False)
    choices = [SHELVES, *([RANKED] if served.bundle.manifest.ranker else []), BESIDE_ONE, MAP]
    kind = st.segmented_control(
        "Show", choices, default=SHELVES, required=True, label_visibility="collapsed", key="kind"
    )
    _last_click(user_id, st.session_state.get("last_click"))
    state = engine.state(user_id)
    if behaviours := behaviours_of(state, served.bundle):
        st.caption(f"Your last behaviours: {escape_markdown(' · '.join(behaviours))}")
    if unwanted := unwanted_of(state, served.bundle):
        st.caption(f"Not for you, until you click it again: {escape_markdown(' · '.join(unwanted))}")
    if kind == MAP:
        interests.show(served, state)
    elif kind == RANKED:
        ranked.show(engine, served, user_id)
    elif kind == BESIDE_ONE:
        _beside_one(engine, served, user_id)
    else:
        _show_panel(engine, user_id, "interests", _shelves(served.recommender, user_id))
    _watch(engine, user_id, drawn)


def _last_click(user_id: str, last: Click | None) -> None:
    """Show how long the last event took."""
    if last and last.user_id == user_id:
        st.markdown(
            f":material/bolt: {last.event_type} to recommendations in **{last.latency_ms:.0f} ms**, through Kafka"
        )


def _shelves(recommender: Recommender, user_id: str, most: int = 4) -> list[Shelf]:
    """Recommend a shelf for each interest, without what the visitor knows already."""
    # A shelf is what its interest brings, so a ranker has no say.
    found = recommender.recommend(user_id, CANDIDATES, exclude_seen=True, rank=False)
    return shelves_of(found, recommender.bundle, most)


def _show_panel(engine: Engine, user_id: str, key: str, found: list[Shelf], narrow: bool = False) -> Shown:
    """Show shelves with what has entered and left since the visitor's last event."""
    before = st.session_state.get(f"shown-{key}")
    shown = st.session_state[f"shown-{key}"] = shown_after(before, user_id, found)
    if not shown.shelves or shown.shelves[0].interest < 0:
        st.info(NEW_HERE)
    refusal = next(iter(engine.settings.rule.negative_types), None)
    products(engine, user_id, key, cards.panel(shown, narrow, refusal))
    return shown


def _beside_one(engine: Engine, served: Served, user_id: str) -> None:
    """Show the same behaviours read by two models: several interests, and one."""
    if engine.one is None:
        st.info(NO_ONE)
        return
    several, one = st.columns(2, gap="medium")
    with several:
        st.markdown(f"**Several**: up to {served.bundle.manifest.num_interests} interests")
        shown = _show_panel(engine, user_id, "several", _shelves(served.recommender, user_id), narrow=True)
        _summary(shown)
    with one:
        st.markdown("**One interest**: all in one vector")
        _summary(_show_panel(engine, user_id, "one", _shelves(engine.one, user_id, len(shown.products)), narrow=True))


def _summary(shown: Shown) -> None:
    """Show the figures by which both sides can be compared."""
    st.caption(f"{len(shown.products)} products from {categories_among(shown.products)} categories")


def _signature(engine: Engine, user_id: str) -> tuple[object, ...]:
    """Return what a visitor's recommendations depend on."""
    state = engine.state(user_id)
    return user_id, engine.served.bundle.version, state and state.position


@st.fragment(run_every=LOOK_EVERY_S)
def _watch(engine: Engine, user_id: str, drawn: tuple[object, ...]) -> None:
    """Draw the page anew if events from elsewhere or another model have changed it.

    A look costs next to nothing.
    """
    if trouble := engine.trouble():
        st.error(escape_markdown(trouble))
    if _signature(engine, user_id) != drawn or engine.is_broken():
        st.rerun()
