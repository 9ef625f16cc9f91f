"""The demo's charts, made with Altair from plain tables."""

import altair as alt
import pandas as pd

from demo.cards import interest_colour
from demo.interest_map import Coupling, coupling_table

SHORT = 26  # characters of a title beside the heat map
QUIET = alt.Axis(labels=False, ticks=False, domain=False, grid=False, title=None)


def interest_map(
    items: pd.DataFrame, behaviours: pd.DataFrame, trail: pd.DataFrame, names: list[str]
) -> alt.LayerChart:
    """Items as dots, the last behaviours as rings, interests as diamonds with the way that they came."""
    x, y = alt.X("x:Q", axis=QUIET), alt.Y("y:Q", axis=QUIET)
    places = {"x": x, "y": y}
    named = trail.assign(name=[name_of(names, number) for number in trail["interest"]])
    colours = alt.Scale(
        domain=[name_of(names, number) for number in range(len(names))],
        range=[interest_colour(number) for number in range(len(names))],
    )
    colour = alt.Color("name:N", scale=colours, legend=alt.Legend(title=None, orient="bottom", columns=2, labelLimit=300))
    tip = ["title:N", "category:N"]
    dots = alt.Chart(items).mark_circle(size=36, opacity=0.35).encode(
        **places, color=alt.value("#9db5af"), tooltip=tip
    )
    rings = alt.Chart(behaviours).mark_point(size=120, strokeWidth=2, color="#16302b").encode(
        **places, opacity=alt.Opacity("age:Q", scale=alt.Scale(domain=[0, 8], range=[1, 0.2]), legend=None), tooltip=tip
    )
    way = alt.Chart(named).mark_line(strokeWidth=2, opacity=0.6).encode(**places, order="age:O", color=colour)
    now = alt.Chart(named[named["age"] == 0]).mark_point(shape="diamond", size=340, filled=True, opacity=1).encode(
        **places, color=colour, tooltip=["name:N"]
    )
    return (dots + rings + way + now).properties(height=430).configure_view(strokeWidth=0)


def name_of(names: list[str], number: int) -> str:
    """An interest's name; one that the user no longer has is named by its number."""
    return names[number] if number < len(names) else f"interest {number + 1}, gone"


def heat_map(found: Coupling, names: list[str]) -> alt.Chart:
    """Behaviours below each other, the newest last; interests side by side."""
    table = coupling_table(found)
    labels = [f"{place + 1}. {title[:SHORT]}" for place, title in zip(table["place"], table["title"], strict=True)]
    table = table.assign(label=labels, name=[name_of(names, number) for number in table["interest"]])
    return (
        alt.Chart(table)
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X("name:N", sort=None, title=None, axis=alt.Axis(labelAngle=0, labelLimit=110, orient="top")),
            y=alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=210)),
            color=alt.Color("share:Q", scale=alt.Scale(scheme="teals", domain=[0, 1]), legend=None),
            tooltip=["title:N", "name:N", alt.Tooltip("share:Q", format=".2f")],
        )
        .properties(height=alt.Step(20))
    )


def latencies(table: pd.DataFrame) -> alt.Chart:
    """p50 and p99 over time."""
    colours = alt.Scale(domain=["p50", "p99"], range=["#0f766e", "#c2410c"])
    return (
        alt.Chart(table)
        .mark_line(point=True)
        .encode(
            x=alt.X("time:T", title=None, axis=alt.Axis(format="%H:%M:%S", grid=False)),
            y=alt.Y("ms:Q", title="ms"),
            color=alt.Color("quantile:N", scale=colours, legend=alt.Legend(title=None, orient="top-left")),
        )
        .properties(height=190)
    )


def over_time(table: pd.DataFrame, column: str, title: str, colour: str) -> alt.Chart:
    """One figure over time."""
    return (
        alt.Chart(table)
        .mark_area(line={"color": colour}, color=colour, opacity=0.18)
        .encode(
            x=alt.X("time:T", title=None, axis=alt.Axis(format="%H:%M:%S", grid=False)),
            y=alt.Y(f"{column}:Q", title=title),
        )
        .properties(height=190)
    )
