"""The machine room: what goes through, how long it takes, and levers to make it harder."""

from datetime import UTC, datetime

import streamlit as st

from demo.drawing import charts
from demo.drawing.words import age, escape_markdown
from demo.engine.engine import Engine
from demo.engine.invalid_records import MALFORMED, last_letters, send
from demo.engine.traffic import MOST_PER_SECOND
from mindstream.printable import printable
from model_export.bundle.bundle import Bundle

__all__ = ["show"]

REFRESH_S = 1.0


def show(engine: Engine) -> None:
    """Show figures above, levers below."""
    _figures(engine)
    left, middle, right = st.columns(3, gap="large")
    with left:
        _traffic(engine)
        _pausing(engine)
    with middle:
        _dead_letters(engine)
    with right:
        _models(engine)


@st.fragment(run_every=REFRESH_S)
def _figures(engine: Engine) -> None:
    """Show what happens right now."""
    try:
        beat = engine.pulse.look()
    except OSError as error:
        st.error(escape_markdown(str(error)))
        return
    if engine.is_broken():
        st.rerun()
    if trouble := engine.trouble():
        st.error(escape_markdown(trouble))
    quantiles = engine.pulse.quantiles()
    figure = st.columns(6)
    figure[0].metric("Events a second", f"{beat.per_second:,.0f}")
    figure[1].metric("Lag, events", f"{beat.progress.lag:,}")
    for place, name in enumerate(("p50", "p99"), start=2):
        figure[place].metric(
            f"Click to new list, {name}", f"{quantiles[name]:.0f} ms" if quantiles else "none yet", help=LATENCY_HELP
        )
    figure[4].metric("Dead letters", f"{beat.progress.letters:,}")
    bundle = engine.served.bundle
    figure[5].metric("Model's age", age(datetime.now(UTC) - _exported(bundle)), help=f"Model {bundle.version}")
    left, middle, right = st.columns(3, gap="large")
    rates = engine.pulse.rates()
    left.altair_chart(charts.over_time(rates, "per_second", "events a second", "#0f766e"), width="stretch")
    middle.altair_chart(charts.over_time(rates, "lag", "lag, events", "#c2410c"), width="stretch")
    right.altair_chart(charts.latencies(engine.pulse.latency_table()), width="stretch")


LATENCY_HELP = "From publishing an event to having new candidates, over the last minute: your clicks, and those of a \
test shopper who clicks twice a second while traffic runs."


def _exported(bundle: Bundle) -> datetime:
    """Return when a bundle was made: its version begins with that."""
    return datetime.strptime(bundle.version.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _traffic(engine: Engine) -> None:
    """Show the rate of other users' events."""
    st.subheader("Traffic", anchor=False)

    def change() -> None:  # only when moved: another tab's slider may stand elsewhere
        engine.traffic.rate = st.session_state.rate

    label = "Other users' events a second"
    st.slider(label, 0, MOST_PER_SECOND, engine.traffic.rate, 10, key="rate", on_change=change)
    if engine.traffic.failure:
        st.error(escape_markdown(str(engine.traffic.failure)))


def _pausing(engine: Engine) -> None:
    """Stop the updater for a while, and see it catch up."""
    st.subheader("Updater", anchor=False)
    if engine.updater is None:
        st.caption("The updater runs in another process (MINDSTREAM_DEMO_UPDATER is false).")
    elif engine.going.is_set():
        st.button("Pause", icon=":material/pause:", on_click=engine.going.clear, width="stretch")
        st.caption("Events wait in Kafka meanwhile; nothing is lost.")
    else:
        st.button("Resume", icon=":material/play_arrow:", on_click=engine.going.set, width="stretch")
        st.caption("Paused: the lag grows. Resume, and see how fast it is gone.")


def _dead_letters(engine: Engine) -> None:
    """Send what is no event, and read what became of it."""
    st.subheader("Dead letters", anchor=False)
    kind = st.selectbox("What a careless producer sends", list(MALFORMED), key="malformed")
    if st.button("Send it", icon=":material/report:", width="stretch"):
        try:
            st.caption(f"Sent: {escape_markdown(send(engine.producer, kind))}")
        except OSError as error:
            st.error(escape_markdown(str(error)))
    _letters(engine)


@st.fragment(run_every=REFRESH_S)
def _letters(engine: Engine) -> None:
    """Show the last dead letters; the topic is read again only if one has come."""
    try:
        count = engine.pulse.look().progress.letters
        if st.session_state.get("letters", (None,))[0] != count:
            topic = engine.settings.dead_letter_topic
            st.session_state.letters = count, last_letters(engine.cluster, topic) if count else []
    except OSError as error:
        st.error(escape_markdown(str(error)))
        return
    for letter in st.session_state.letters[1]:
        with st.container(border=True):
            st.markdown(f"**{escape_markdown(letter.reason)}** · {escape_markdown(letter.source)}")
            st.text(letter.error)
            st.code(printable((letter.value or b"").decode(errors="replace")), language="json", wrap_lines=True)


def _models(engine: Engine) -> None:
    """Show the levers for a new model while everything goes on, and for the way back."""
    st.subheader("Model", anchor=False)
    start = engine.retraining.start
    st.button("Retrain and publish", icon=":material/model_training:", on_click=start, width="stretch")
    st.button("Roll back", icon=":material/undo:", on_click=_roll_back, args=[engine], width="stretch")
    _progress(engine, engine.served.bundle.version)


def _roll_back(engine: Engine) -> None:
    """Go back to the model before; before the page is drawn, so that all of it shows that one."""
    try:
        engine.roll_back()
    except (OSError, ValueError) as error:
        st.session_state.error = str(error)  # the page says it


@st.fragment(run_every=REFRESH_S)
def _progress(engine: Engine, drawn: str) -> None:
    """Show how far a retraining is, and which versions there are.

    Once another model is served, the page is drawn anew: its sidebar names the model too.
    """
    training = engine.retraining
    if training.running:
        st.progress(training.share, text=escape_markdown(training.doing) or "starting")
    elif training.failed:
        st.error("The retraining has failed; the model before goes on.")
        st.code("\n".join(training.lines))
    current = engine.served.bundle.version
    if current != drawn:
        st.rerun()
    for version in reversed(engine.registry.versions()[-5:]):
        mark = ":material/check_circle: **served now**" if version == current else ""
        st.markdown(f"`{version}` {mark}")
