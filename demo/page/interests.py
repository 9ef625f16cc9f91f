"""The interest map: the places of a visitor's interests among the items, how they moved, and what made them."""

import streamlit as st

from demo.drawing import charts
from demo.drawing.interest_map import coupling
from demo.drawing.view import formed_by, theme_of
from demo.engine.served import Served
from stream.store.interests import interests_of
from stream.store.state import UserState

__all__ = ["show"]


def show(served: Served, state: UserState | None) -> None:
    """Show the map and the heat map of a visitor."""
    [state] = served.recommender.current([state])
    if state is None or not len(state.capsules.vectors):
        st.info("Nothing is known of this visitor yet. Click some products, or choose a persona, and watch the map.")
        return
    extractor = served.recommender.extractor
    [interests] = interests_of([state], extractor)
    themes = [theme_of(formed, served.bundle) for formed in formed_by(interests)]
    importance = [interest.importance for interest in interests]
    found = served.map
    trail = found.trail(state, extractor)
    drawn = charts.interest_map(found.sample(), found.behaviours(state), trail, themes, importance)
    st.altair_chart(drawn, width="stretch")
    differing = "categories" if served.categories else "items"
    st.caption(
        "Dots are items, rings your last behaviours, diamonds your interests; the lines are the ways they took "
        f"with your last events. Two of many dimensions: those along which the {differing} differ most."
    )
    st.markdown("**Which behaviour made which interest** (routing weights)")
    st.altair_chart(charts.heat_map(coupling(state, extractor), themes), width="stretch")
