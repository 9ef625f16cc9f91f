"""Records of many shapes, decoded as updaters decode them: what came of each, and whether it is right."""

from collections.abc import Mapping
from typing import Annotated

import typer

from benchmarks.harness.report import finish
from model_export.evaluation.report import table
from stream.events.event import Event
from testbed.shapes import SHAPES
from testbed.shapes.shape import Outcome, Shape, faults, has_a_way, outcome_of

__all__ = ["figures_of", "main"]

_WIDTH = 110  # of the last column
_COMES = "events or dead letter"
_Found = Mapping[str, tuple[Shape, Outcome]]


def main(
    only: Annotated[str, typer.Option(help="Only shapes with this in their names.")] = "",
) -> None:
    """Compare what comes of a record of each shape with what is right."""
    found = {name: (shape, outcome_of(shape)) for name, shape in SHAPES.items() if only in name}
    rows = [(name, *_cells(shape, outcome)) for name, (shape, outcome) in found.items()]
    # A table's last column stands to the right, which sentences do not.
    print(table(["shape", "verdict", _COMES.ljust(_WIDTH)], [(*row, said.ljust(_WIDTH)) for *row, said in rows]))
    finish(figures_of(found))


def figures_of(found: _Found) -> dict[str, int]:
    """Count what is right, what is wrong, and the dead letters that do not say what to do."""
    wrong = sum(bool(faults(shape, outcome)) for shape, outcome in found.values())
    letters = [outcome for _, outcome in found.values() if outcome.reason]
    return {
        "right": len(found) - wrong,
        "wrong": wrong,
        "dead_letters": len(letters),
        "dead_letters_without_a_way": sum(not has_a_way(outcome) for outcome in letters),
        "shapes": len(found),
    }


def _cells(shape: Shape, outcome: Outcome) -> tuple[str, str]:
    """Return the cells of a shape after its name."""
    wrong = faults(shape, outcome)
    if outcome.reason:
        said = f"{outcome.reason}: {outcome.message}"
    else:
        events = [_shown(event) for event in outcome.events if isinstance(event, Event)]
        said = "; ".join([*events, *(f"left out: {reason}" for reason in outcome.left_out)])
    said = " ".join("; ".join([*wrong, said]).split())
    return ("wrong" if wrong else "right"), said if len(said) <= _WIDTH else f"{said[: _WIDTH - 1]}…"


def _shown(event: Event) -> str:
    """Return an event in a few words."""
    return f"{event.event_type} {event.user_id} {event.item_id} {event.event_time_ms}"
