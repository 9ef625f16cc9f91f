"""The page that the ranker orders, beside the same candidates in the order of matching."""

import streamlit as st

from demo.drawing.ranked import moved, ranked_panel
from demo.engine.engine import Engine
from demo.engine.served import Served
from demo.page.products import products

__all__ = ["show"]

ON_A_PAGE = 12


def show(engine: Engine, served: Served, user_id: str) -> None:
    """Show both pages for the same clicks."""
    recommender = served.recommender
    ranked = recommender.recommend(user_id, ON_A_PAGE, exclude_seen=True, why=True)
    if not ranked.ranked:
        st.info("Nothing is known of this visitor yet, so there is nothing to rank. Click some products and watch.")
        return
    plain = recommender.recommend(user_id, ON_A_PAGE, exclude_seen=True, rank=False)
    pages = [("ranked", ranked, plain), ("matching", plain, ranked)]
    heads = [f"**Ranked**: the best of {ranked.ranked}, and what spoke for them", "**As matching brings them**"]
    refusal = next(iter(engine.settings.rule.negative_types), None)
    for column, head, (key, mine, other) in zip(st.columns(2, gap="medium"), heads, pages, strict=True):
        with column:
            st.markdown(head)
            drawn = moved(mine, served.bundle, ON_A_PAGE)
            products(engine, user_id, key, ranked_panel(drawn, frozenset(other.item_ids), refusal))
    both = len(set(ranked.item_ids) & set(plain.item_ids))
    st.caption(f"{both} of {len(ranked.item_ids)} are on both pages; those marked new are on one only.")
