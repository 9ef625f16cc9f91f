"""The choice of who is shopping: a visitor of whom nothing is known, or a persona."""

import uuid

import streamlit as st

from demo.drawing.words import escape_markdown
from demo.engine.engine import Engine

__all__ = ["bring_in", "choose_user"]


def choose_user(engine: Engine) -> str:
    """Choose the user in the sidebar; the address of the page keeps it over a refresh."""
    if "visitor" not in st.session_state:
        wanted = st.query_params.get("user", "")
        known = wanted in engine.personas.user_ids
        st.session_state.visitor = wanted if wanted and not known else _new_name()
        st.session_state.user = wanted if known else st.session_state.visitor
    options = [st.session_state.visitor, *engine.personas.user_ids]
    st.sidebar.selectbox("You are", options, key="user", format_func=engine.personas.label)
    st.sidebar.button("New visitor", icon=":material/person_add:", on_click=_become_new, width="stretch")
    user_id = str(st.session_state.user)
    st.query_params["user"] = user_id
    return user_id


def _new_name() -> str:
    """Make up a visitor's user_id."""
    return f"visitor-{uuid.uuid4().hex[:6]}"


def _become_new() -> None:
    """Become somebody of whom nothing is known; a callback."""
    st.session_state.visitor = st.session_state.user = _new_name()


def bring_in(engine: Engine, user_id: str) -> None:
    """Publish a persona's past behaviours the first time it is chosen."""
    try:
        with st.spinner(f"Publishing what {escape_markdown(user_id)} did before ..."):
            engine.bring_in(user_id)
    except (OSError, ValueError) as error:
        st.error(escape_markdown(str(error)))
