"""Products on the page: one component for any HTML of cards.py; what is pressed becomes an event."""

import streamlit as st

from demo.drawing.cards import CSS
from demo.engine.engine import Engine

__all__ = ["products"]

SCRIPT = """
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".ms-products")
  if (root.shown !== data) {
    root.innerHTML = root.shown = data
  }
  root.onclick = (press) => {
    const button = press.target.closest("[data-act]")
    if (!button) return
    const card = button.closest(".ms-card")
    card.classList.add("ms-pressed")
    setTimeout(() => card.classList.remove("ms-pressed"), 300)
    setTriggerValue("act", { item_id: button.dataset.item, event_type: button.dataset.act })
  }
}
"""
# Without a shadow root: the page's own fonts, and one sheet for all.
COMPONENT = st.components.v2.component(
    "products", html='<div class="ms-products"></div>', css=CSS, js=SCRIPT, isolate_styles=False
)


def products(engine: Engine, user_id: str, key: str, html: str) -> None:
    """Show HTML; what is pressed is an event of this user."""

    def pressed() -> None:
        if said := st.session_state[key].act:
            _act(engine, user_id, said["item_id"], said["event_type"])

    COMPONENT(key=key, data=html, on_act_change=pressed)


def _act(engine: Engine, user_id: str, item_id: str, event_type: str) -> None:
    """Publish a look, cart, purchase or refusal, and note what it changes."""
    try:
        st.session_state.last_click = engine.click(user_id, item_id, event_type)
    except (OSError, ValueError) as error:  # the address of the page may name any user, also one that no event may have
        st.session_state.error = str(error)
