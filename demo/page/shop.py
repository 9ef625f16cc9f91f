"""The shop: the catalogue on one side, what it recommends on the other."""

import streamlit as st

from demo.drawing import cards
from demo.drawing.view import search
from demo.engine.engine import Engine
from demo.engine.served import Served
from demo.page import live
from demo.page.products import products
from demo.page.visitor import bring_in

__all__ = ["show"]

PAGE = 12  # products of the catalogue shown at once
ALL = "Everything"


def show(engine: Engine, user_id: str) -> None:
    """Show catalogue and recommendations."""
    bring_in(engine, user_id)
    served = engine.served
    browse, recommended = st.columns([2, 3], gap="large")
    # Recommendations first: they are on the screen while the catalogue is still being drawn.
    with recommended:
        live.show(engine, served, user_id)
    with browse:
        _catalogue(engine, served, user_id)


def _catalogue(engine: Engine, served: Served, user_id: str) -> None:
    """Search and browse."""
    st.subheader("The shop", anchor=False)
    wanted = st.text_input("Search", placeholder="Search products", label_visibility="collapsed", key="search")
    category = ""
    if served.categories:
        options = [ALL, *served.categories]
        chosen = st.pills("Category", options, default=ALL, label_visibility="collapsed", key="category")
        category = chosen if chosen in served.categories else ""
    found = search(served.bundle, str(wanted), category)
    products(engine, user_id, "shop", cards.grid(found[:PAGE]))
    st.caption(f"{min(PAGE, len(found))} of {len(found):,} products, the most popular first")
