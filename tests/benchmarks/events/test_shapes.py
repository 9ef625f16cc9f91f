"""Verdicts on shapes of records: what is right, what is wrong, and which dead letters say what to do."""

import json
from dataclasses import replace

import pytest

from benchmarks.events import shapes
from testbed.shapes import SHAPES
from testbed.shapes.shape import Outcome, Shape, click, faults, has_a_way, outcome_of

FLAT = SHAPES["flat"]
NO_ITEM = SHAPES["no item"]
SCROLL = SHAPES["no item, of a type without weight"]


@pytest.mark.parametrize(
    ("shape", "outcome", "said"),
    [
        (FLAT, Outcome((click(event_type="view"),)), "the events are"),
        (FLAT, Outcome(), "the events are ()"),
        (FLAT, Outcome(FLAT.events, ("no weight",)), "left out is ('no weight',)"),
        (FLAT, Outcome(reason="field", message="no item"), "the reason is 'field'"),
        (SCROLL, Outcome(), "left out is ()"),
        (NO_ITEM, Outcome(FLAT.events), "the reason is ''"),
        (NO_ITEM, Outcome(reason="field", message="no item: looked for product"), "the message lacks 'uid, ts'"),
    ],
)
def test_what_is_not_as_it_should_be_is_said(shape: Shape, outcome: Outcome, said: str) -> None:
    assert [one for one in faults(shape, outcome) if said in one] != []


def test_what_is_right_has_no_faults() -> None:
    assert faults(FLAT, Outcome(FLAT.events)) == []
    assert faults(SCROLL, Outcome((), ("an event that counts for nothing",))) == []


@pytest.mark.parametrize(
    ("message", "way"),
    [
        ("no item: there are uid, ts; `item` in the mapping names it", True),
        ("set MINDSTREAM_SCHEMA_REGISTRY to its URL", True),
        ("the item has 513 characters; right are at most 512", True),
        ("no item: there are uid, ts", False),
        ("it is not bright", False),
    ],
)
def test_a_way_on_is_something_to_set_or_to_send(message: str, way: bool) -> None:
    assert has_a_way(Outcome(reason="field", message=message)) == way


def test_the_figures_are_those_of_the_verdicts() -> None:
    found = {
        "right": (FLAT, outcome_of(FLAT)),
        "wrong": (replace(FLAT, events=()), outcome_of(FLAT)),
        "a letter": (NO_ITEM, outcome_of(NO_ITEM)),
        "a bare letter": (NO_ITEM, Outcome(reason="field", message="no item")),
    }
    assert shapes.figures_of(found) == {
        **{"right": 2, "wrong": 2, "dead_letters": 2, "dead_letters_without_a_way": 1, "shapes": 4}
    }


def test_the_command_shows_a_row_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    shapes.main(only="no item")
    *rows, last = capsys.readouterr().out.strip().splitlines()
    assert json.loads(last) == {
        **{"right": 3, "wrong": 0, "dead_letters": 1, "dead_letters_without_a_way": 0, "shapes": 3}
    }
    [row] = [row for row in rows if row.startswith("| no item |") or row.startswith("no item  ")]
    assert "field: no item: looked for product" in row
