"""The demo's page: `streamlit run demo/app.py`. Widgets only; what they do is in engine.py."""

import atexit
import subprocess
import sys
import uuid

import streamlit as st

import settings
from demo.engine import Engine
from demo.prepare import is_prepared
from demo.view import Row, Shelf, behaviours_of, search, shelves_of
from demo.words import plain, price
from model_export.bundle import BundleError

CARDS = 3  # products side by side in the catalogue
PAGE = 12  # products of the catalogue shown at once
REFRESH_S = 1.0

st.set_page_config(page_title="Mindstream", page_icon=":material/stream:", layout="wide")
# Streamlit leaves a third of the screen empty, and cuts titles that do not fit into one line.
st.html(
    "<style>.stMainBlockContainer { padding-top: 2rem } "
    ".stButton button * { white-space: normal; overflow: visible; line-height: 1.3 }</style>"
)


@st.cache_resource(show_spinner="Starting the broker, the updater and the recommender ...")
def running_engine() -> Engine:
    """One engine for all tabs of this process."""
    engine = Engine(settings.load())
    atexit.register(engine.close)
    return engine


def prepare_once() -> None:
    """Train the first model in a process of its own, so that this one never loads torch."""
    note = "Training the first model; this takes a minute or two. The terminal shows how far it is."
    with st.spinner(note):
        done = subprocess.run([sys.executable, "-m", "demo", "--only-prepare"], check=False)
    if done.returncode:
        st.error("The model could not be prepared; the terminal says why. `make demo` does the whole set-up.")
        st.stop()


def click(engine: Engine, user_id: str, item_id: str) -> None:
    """Callback of every product button."""
    try:
        st.session_state.last_click = engine.click(user_id, item_id)
    except (OSError, ValueError) as error:  # the address of the page may name any user, also one that no event may have
        st.session_state.error = str(error)


def choose_user(engine: Engine) -> str:
    """The user in the sidebar; the address of the page keeps it over a refresh."""
    if "visitor" not in st.session_state:
        wanted = st.query_params.get("user", "")
        known = wanted in engine.personas.user_ids
        st.session_state.visitor = wanted if wanted and not known else f"visitor-{uuid.uuid4().hex[:6]}"
        st.session_state.user = wanted if known else st.session_state.visitor
    st.sidebar.button("New visitor", icon=":material/person_add:", on_click=new_visitor, width="stretch")
    options = [st.session_state.visitor, *engine.personas.user_ids]
    user_id = str(st.sidebar.selectbox("You are", options, key="user"))
    st.query_params["user"] = user_id
    return user_id


def new_visitor() -> None:
    """Callback: become somebody of whom nothing is known."""
    st.session_state.visitor = f"visitor-{uuid.uuid4().hex[:6]}"
    st.session_state.user = st.session_state.visitor


def bring_in(engine: Engine, user_id: str) -> None:
    """Publish a persona's past behaviours the first time it is chosen."""
    try:
        with st.spinner(f"Publishing what {plain(user_id)} did before ..."):
            engine.bring_in(user_id)
    except (OSError, ValueError) as error:
        st.error(str(error))


def traffic(engine: Engine) -> None:
    """The sidebar's traffic simulator."""
    st.sidebar.divider()
    st.sidebar.slider("Other users' events per second", 0, 200, engine.traffic.rate, 10, key="rate")
    engine.traffic.rate = st.session_state.rate
    with st.sidebar:
        figures(engine)


@st.fragment(run_every=REFRESH_S)
def figures(engine: Engine) -> None:
    """What the machinery has done so far."""
    counts = engine.updater.counts if engine.updater else {}
    left, right = st.columns(2)
    left.metric("Events applied", f"{counts.get('applied', 0):,}")
    right.metric("Dead letters", f"{counts.get('dead_letter', 0):,}")
    st.caption(f"Model `{engine.bundle.version}`")
    st.caption(f"{engine.bundle.manifest.items:,} items, {engine.recommender.index.kind} max-sim")
    st.caption(f"Broker {plain(engine.cluster.bootstrap_servers)}{' (embedded)' if engine.cluster.life else ''}")
    if trouble := engine.trouble():
        st.error(trouble)


def product(engine: Engine, user_id: str, row: Row, key: str) -> None:
    """One product: a button with its title, and what else is known of it."""
    st.button(plain(row.title), key=key, on_click=click, args=(engine, user_id, row.item_id), width="stretch")
    st.caption(" · ".join(part for part in (plain(row.category), price(row.price)) if part) or "&nbsp;")


def shop(engine: Engine, user_id: str) -> None:
    """Browse and search the catalogue."""
    st.subheader("The shop")
    categories = sorted({category for category in engine.catalogue.category if category})
    wanted = st.text_input("Search", placeholder="Search products", label_visibility="collapsed", key="search")
    category = ""
    if categories:
        chosen = st.selectbox("Category", ["All categories", *categories], label_visibility="collapsed", key="category")
        category = chosen if chosen in categories else ""
    found = search(engine.bundle, str(wanted), category)
    for at in range(0, min(PAGE, len(found)), CARDS):
        for column, row in zip(st.columns(CARDS), found[at : at + CARDS], strict=False):
            with column:
                product(engine, user_id, row, f"shop-{row.item_id}")
    st.caption(f"{min(PAGE, len(found))} of {len(found):,} products, the most popular first")


@st.fragment(run_every=REFRESH_S)
def for_you(engine: Engine, user_id: str) -> None:
    """Recommendations by interest; refreshed every second, so that events from elsewhere show too."""
    st.subheader(f"For {plain(user_id)}")
    candidates = engine.recommend(user_id, st.toggle("Hide products that I clicked before", value=True))
    last = st.session_state.get("last_click")
    if last and last.user_id == user_id:
        st.markdown(f":material/bolt: click to recommendations in **{last.latency_ms:.0f} ms**, through Kafka")
    if not candidates.interests:
        st.info("Nothing is known of this user yet: these are the most popular products. Click some and watch.")
    for shelf in shelves_of(candidates, engine.bundle):
        show_shelf(engine, user_id, shelf)
    behaviours = behaviours_of(engine.state(user_id), engine.bundle)
    if behaviours:
        st.caption(f"Your last behaviours: {plain(' · '.join(behaviours))}")


def show_shelf(engine: Engine, user_id: str, shelf: Shelf) -> None:
    """One interest: what formed it, and what it brings."""
    with st.container(border=True):
        if shelf.made_by:
            st.markdown(f"**From your {plain(', '.join(shelf.made_by))}**")
            st.progress(shelf.importance, text=f"{100 * shelf.importance:.0f} % of your behaviours")
        else:
            st.markdown("**Popular now**")
        if not shelf.rows:
            st.caption("None of the top candidates comes from this interest.")
            return
        for column, row in zip(st.columns(len(shelf.rows)), shelf.rows, strict=True):
            with column:
                product(engine, user_id, row, f"{shelf.key}-{row.item_id}")


def page() -> None:
    """The whole page."""
    if not is_prepared(settings.load()):
        prepare_once()
    try:
        engine = running_engine()
    except (OSError, BundleError) as error:
        st.error(str(error))
        st.stop()
    st.title("Mindstream")
    st.markdown("Every click goes through Kafka and changes your **interests** within milliseconds. Try it.")
    user_id = choose_user(engine)
    traffic(engine)
    bring_in(engine, user_id)
    if "error" in st.session_state:
        st.error(st.session_state.pop("error"))
    browse, recommended = st.columns([2, 3], gap="large")
    with browse:
        shop(engine, user_id)
    with recommended:
        for_you(engine, user_id)


page()
