"""The demo's page: `streamlit run demo/app.py`. Widgets are in page/, what they do is beside it, without Streamlit."""

import subprocess
import sys

import streamlit as st

from demo.drawing.words import escape_markdown
from demo.engine.engine import Engine
from demo.engine.paths import is_prepared
from demo.engine_keeper import engine_keeper
from demo.page import machine_room, shop
from demo.page.visitor import choose_user
from mindstream import settings

SHOP, ROOM = "Shop", "Machine room"
TRY_AGAIN_S = 3.0

st.set_page_config(page_title="Mindstream", page_icon=":material/stream:", layout="wide")
# Streamlit leaves a third of the screen empty.
st.html(
    "<style>.stMainBlockContainer { padding: 2.4rem 2.5rem 2rem } "
    "[data-testid=stSidebarHeader] { height: 2rem }</style>"
)


def prepare_once() -> None:
    """Train the first model in a process of its own, so that this one never loads torch."""
    note = "Training the first model; this takes a minute or two. The terminal shows how far it is."
    with st.spinner(note):
        done = subprocess.run([sys.executable, "-m", "demo", "--only-prepare"], check=False)
    if done.returncode:
        raise OSError("The model could not be prepared; the terminal says why. `make demo` does the whole set-up.")


def page() -> None:
    """Show the whole page."""
    if not is_prepared(settings.load()):
        prepare_once()
    with st.spinner("Starting the broker, the updater and the recommender ...", show_time=True):
        engine = engine_keeper().engine()
    view = header()
    user_id = choose_user(engine)
    where(engine)
    if "error" in st.session_state:
        st.error(escape_markdown(st.session_state.pop("error")))
    if view == ROOM:
        machine_room.show(engine)
    else:
        shop.show(engine, user_id)


def header() -> str:
    """Show the title and the choice of the part; the address keeps it over a refresh.

    Returns the part that is shown.
    """
    title, choice = st.columns([3, 2], vertical_alignment="bottom")
    title.title("Mindstream", anchor=False)
    title.markdown("Every click goes through Kafka and changes your **interests** within milliseconds.")
    if "view" not in st.session_state:
        st.session_state.view = ROOM if st.query_params.get("view") == ROOM else SHOP
    choice.segmented_control(
        "Part", [SHOP, ROOM], required=True, label_visibility="collapsed", key="view", width="stretch"
    )
    st.query_params["view"] = st.session_state.view
    return str(st.session_state.view)


def where(engine: Engine) -> None:
    """Show in the sidebar what the machinery is, without secrets."""
    st.sidebar.divider()
    served = engine.served
    for name, place in engine.places().items():
        st.sidebar.caption(f"**{name}** {escape_markdown(place)}")
    st.sidebar.caption(f"**Model** {escape_markdown(served.bundle.version)}")
    st.sidebar.caption(f"{served.bundle.manifest.items:,} items, {served.recommender.index.kind} max-sim")


@st.fragment(run_every=TRY_AGAIN_S)
def wrong(sentence: str, looks: list[None]) -> None:
    """Say what is wrong, and try again until it is right."""
    if looks:
        st.rerun()
    looks.append(None)
    st.error(escape_markdown(sentence))
    st.caption("Trying again by itself ...")


try:
    page()
except (OSError, ValueError) as error:
    wrong(str(error), [])
