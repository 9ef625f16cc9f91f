"""The demo's charts, made with Altair from plain tables."""

import altair as alt
import pandas as pd

from demo.cards import interest_colour
from demo.interest_map import Coupling, coupling_table

SHORT = 26  # characters of a title beside the heat map
CLOCK = alt.X("time:T", title=None, axis=alt.Axis(format="%H:%M:%S", grid=False, tickCount=4))
QUIET = alt.Axis(labels=False, ticks=False, domain=False, grid=False, title=None)


def interest_map(
    items: pd.DataFrame, behaviours: pd.DataFrame, trail: pd.DataFrame, themes: list[str]
) -> alt.LayerChart:
    """Items as dots, those of an interest's theme in its colour; the last behaviours as rings; interests as diamonds.

    The lines are the ways that the interests came.
    """
    names = names_of(themes)
    x, y = alt.X("x:Q", axis=QUIET), alt.Y("y:Q", axis=QUIET)
    places = {"x": x, "y": y}
    named = trail.assign(name=[name_of(names, number) for number in trail["interest"]])
    colours = alt.Scale(
        domain=[name_of(names, number) for number in range(len(names))],
        range=[interest_colour(number) for number in range(len(names))],
    )
    colour = alt.Color(
        "name:N", scale=colours, legend=alt.Legend(title=None, orient="bottom", columns=2, labelLimit=300)
    )
    tip = ["title:N", "category:N"]
    tint = {theme: interest_colour(number) for number, theme in enumerate(themes) if theme}
    tinted = items.assign(tint=[tint.get(category.lower(), "#b9cac6") for category in items["category"]])
    dots = (
        alt.Chart(tinted)
        .mark_circle(size=36, opacity=0.4)
        .encode(**places, color=alt.Color("tint:N", scale=None), tooltip=tip)
    )
    rings = (
        alt.Chart(behaviours)
        .mark_point(size=120, strokeWidth=2, color="#16302b")
        .encode(
            **places,
            opacity=alt.Opacity("age:Q", scale=alt.Scale(domain=[0, 8], range=[1, 0.2]), legend=None),
            tooltip=tip,
        )
    )
    way = (
        alt.Chart(named)
        .mark_line(strokeWidth=2, opacity=0.6)
        .encode(**places, order="age:O", color=alt.Color("name:N", scale=colours, legend=None))
    )
    now = (
        alt.Chart(named[named["age"] == 0])
        .mark_point(shape="diamond", size=340, filled=True, opacity=1)
        .encode(**places, color=colour, tooltip=["name:N"])
    )
    numbers = alt.Chart(named[named["age"] == 0].assign(number=lambda found: found["interest"] + 1))
    label = numbers.mark_text(fontSize=11, fontWeight="bold", color="white").encode(**places, text="number:Q")
    chart = alt.layer(dots, rings, way, now, label).resolve_scale(color="independent", opacity="independent")
    return chart.properties(height=430).configure_view(strokeWidth=0)


def names_of(themes: list[str]) -> list[str]:
    """Interests as charts name them: the number and the theme."""
    return [f"{number}: {theme or 'mixed'}" for number, theme in enumerate(themes, start=1)]


def name_of(names: list[str], number: int) -> str:
    """An interest's name; one that the user no longer has is named by its number."""
    return names[number] if number < len(names) else f"interest {number + 1}, gone"


def heat_map(found: Coupling, themes: list[str]) -> alt.Chart:
    """Behaviours below each other, the newest last; interests side by side."""
    names = names_of(themes)
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


def upwards(column: str, title: str) -> alt.Y:
    """A figure from 0 upwards, in whole numbers."""
    return alt.Y(f"{column}:Q", title=title, axis=alt.Axis(format="~s", tickMinStep=1, tickCount=4))


def latencies(table: pd.DataFrame) -> alt.Chart:
    """p50 and p99 over time."""
    colours = alt.Scale(domain=["p50", "p99"], range=["#0f766e", "#c2410c"])
    return (
        alt.Chart(table)
        .mark_line(point=True)
        .encode(
            x=CLOCK,
            y=upwards("ms", "click to new list, ms"),
            color=alt.Color("quantile:N", scale=colours, legend=alt.Legend(title=None, orient="top")),
        )
        .properties(height=190)
    )


def over_time(table: pd.DataFrame, column: str, title: str, colour: str) -> alt.Chart:
    """One figure over time."""
    return (
        alt.Chart(table)
        .mark_area(line={"color": colour}, color=colour, opacity=0.18)
        .encode(
            x=CLOCK,
            y=upwards(column, title),
        )
        .properties(height=190)
    )
