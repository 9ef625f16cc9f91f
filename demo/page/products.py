"""Products on the page: one component for any HTML of cards.py; what is pressed comes back as an event."""

from collections.abc import Callable

import streamlit as st

from demo.cards import CSS

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


def products(key: str, html: str, act: Callable[[str, str], None]) -> None:
    """Show HTML; `act` is told the item and the event type of what is pressed."""

    def pressed() -> None:
        if said := st.session_state[key].act:
            act(said["item_id"], said["event_type"])

    COMPONENT(key=key, data=html, on_act_change=pressed)
