"""The demo's charts, made with Altair from plain tables."""

import altair as alt
import pandas as pd

from demo.drawing.cards import interest_colour
from demo.drawing.interest_map import TRAIL, Coupling, coupling_table
from demo.drawing.view import Theme

__all__ = ["GREY", "colours_of", "dots", "heat_map", "interest_map", "interest_names", "latencies", "over_time"]

SHORT = 26  # characters of a title beside the heat map
CLOCK = alt.X("time:T", title=None, axis=alt.Axis(format="%H:%M:%S", grid=False, tickCount=4))
QUIET = alt.Axis(labels=False, ticks=False, domain=False, grid=False, title=None)
X, Y = alt.X("x:Q", axis=QUIET), alt.Y("y:Q", axis=QUIET)
GREY, DARK = "#b9cac6", "#16302b"


def interest_map(
    items: pd.DataFrame, behaviours: pd.DataFrame, trail: pd.DataFrame, themes: list[Theme], importance: list[float]
) -> alt.LayerChart:
    """Draw items as dots, behaviours as rings, interests as diamonds with their trails."""
    names = interest_names(themes)
    trail = trail[trail["interest"] < len(names)]  # one that the user no longer has is left out
    trail = trail.assign(name=[names[number] for number in trail["interest"]])
    layers = alt.layer(
        dots(items, colours_of(themes, importance)), _behaviour_rings(behaviours), *_diamonds(trail, names)
    )
    apart = layers.resolve_scale(color="independent", opacity="independent")
    chart: alt.LayerChart = apart.properties(height=430).configure_view(strokeWidth=0)
    return chart


def colours_of(themes: list[Theme], importance: list[float]) -> dict[str, str]:
    """Return category -> the colour of the interest that it is the theme of.

    Of several interests, the one whose shelf comes first.
    """
    shelved = sorted(range(len(themes)), key=lambda number: -importance[number])
    return {themes[number].category: interest_colour(number) for number in reversed(shelved) if themes[number].category}


def dots(items: pd.DataFrame, colours: dict[str, str]) -> alt.Chart:
    """Draw items; those of the category that is an interest's theme have its colour."""
    table = items.assign(colour=[colours.get(category.lower(), GREY) for category in items["category"]])
    points = alt.Chart(table).mark_circle(size=36, opacity=0.4)
    chart: alt.Chart = points.encode(X, Y, color=alt.Color("colour:N", scale=None), tooltip=["title:N", "category:N"])
    return chart


def _behaviour_rings(behaviours: pd.DataFrame) -> alt.Chart:
    """Draw behaviours, the older the fainter."""
    faint = alt.Opacity("age:Q", scale=alt.Scale(domain=[0, TRAIL], range=[1, 0.2]), legend=None)
    points = alt.Chart(behaviours).mark_point(size=120, strokeWidth=2, color=DARK)
    chart: alt.Chart = points.encode(X, Y, opacity=faint, tooltip=["title:N", "category:N"])
    return chart


def _diamonds(trail: pd.DataFrame, names: list[str]) -> list[alt.Chart]:
    """Draw interests with their numbers, and the ways that they came."""
    scale = alt.Scale(domain=names, range=[interest_colour(number) for number in range(len(names))])
    legend = alt.Legend(title=None, orient="bottom", columns=4)
    now = trail[trail["age"] == 0].assign(number=trail["interest"] + 1)
    way = alt.Chart(trail).mark_line(strokeWidth=2, opacity=0.6)
    diamond = alt.Chart(now).mark_point(shape="diamond", size=340, filled=True, opacity=1)
    number = alt.Chart(now).mark_text(fontSize=11, fontWeight="bold", color="white")
    return [
        way.encode(X, Y, order="age:O", color=alt.Color("name:N", scale=scale, legend=None)),
        diamond.encode(X, Y, color=alt.Color("name:N", scale=scale, legend=legend), tooltip=["name:N"]),
        number.encode(X, Y, text="number:Q"),
    ]


def interest_names(themes: list[Theme]) -> list[str]:
    """Return the names of interests in charts: the number and the theme, if there are any."""
    if not any(theme.words for theme in themes):  # as in a log without categories
        return [f"interest {number}" for number in range(1, len(themes) + 1)]
    return [f"{number}: {theme.words or 'mixed'}" for number, theme in enumerate(themes, start=1)]


def heat_map(found: Coupling, themes: list[Theme]) -> alt.Chart:
    """Draw behaviours below each other, the newest last, and interests side by side."""
    names = interest_names(themes)
    table = coupling_table(found)
    labels = [f"{place + 1}. {title[:SHORT]}" for place, title in zip(table["place"], table["title"], strict=True)]
    table = table.assign(label=labels, name=[names[number] for number in table["interest"]])
    chart: alt.Chart = (
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
    return chart


def _upwards(table: pd.DataFrame, column: str, title: str) -> alt.Y:
    """Return the axis of a figure from 0 to a little above its largest value, at least to 5."""
    scale = alt.Scale(domain=[0, max([5.0, *(1.1 * table[column])])])
    return alt.Y(f"{column}:Q", title=title, scale=scale, axis=alt.Axis(format="~s", tickCount=4))


def latencies(table: pd.DataFrame) -> alt.Chart:
    """Draw p50 and p99 over time."""
    colours = alt.Scale(domain=["p50", "p99"], range=["#0f766e", "#c2410c"])
    chart: alt.Chart = (
        alt.Chart(table)
        .mark_line(point=True)
        .encode(
            x=CLOCK,
            y=_upwards(table, "ms", "click to new list, ms"),
            color=alt.Color("quantile:N", scale=colours, legend=alt.Legend(title=None, orient="top")),
        )
        .properties(height=190)
    )
    return chart


def over_time(table: pd.DataFrame, column: str, title: str, colour: str) -> alt.Chart:
    """Draw one figure over time."""
    chart: alt.Chart = (
        alt.Chart(table)
        .mark_area(line={"color": colour}, color=colour, opacity=0.18)
        .encode(
            x=CLOCK,
            y=_upwards(table, column, title),
        )
        .properties(height=190)
    )
    return chart
