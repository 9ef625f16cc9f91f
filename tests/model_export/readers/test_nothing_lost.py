"""Whatever is wrong with lines of a file: each is among the events, or counted with a reason."""

import json
import os
import re
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from model_export.data.interactions import InteractionLog
from model_export.readers import Mapping, read_log
from tests.support.logs import put

EXAMPLES = int(os.environ.get("EXAMPLES", "25"))
RIGHT = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 10**7)).map(
    lambda one: [f"u{one[0]}", f"i{one[1]}", str(1_750_000_000 + one[2])]
)
FAULTS = st.sampled_from(
    [
        *["", "NA", "null", " ", "x" * 600, "0", "-1", "1e400", "9999999999999", "2025-06-15", "soon", "\ufeff", "\\"],
        *["a b", "1,5", "a,b", "a;b", "'", '"', '""', 'a"b', '"a', 'a"', '"a"', '"a"b', '"a,b"', '"a ""b"""', "é"],
    ]
)
LINES = st.sampled_from(
    ["u", "u,i", "u,i,1,2,3", ",,", ",,,", '"', '",', '"u"', "{}", "#", "u;i;1", "\t", " ,i,1", "\\N"]
)


@st.composite
def wrong_rows(draw: st.DrawFn) -> list[str]:
    row = draw(RIGHT)
    row[draw(st.integers(0, 2))] = draw(FAULTS)
    return row


def read_or_none(path: Path, message: str) -> InteractionLog | None:
    """The log, or None if it is refused in one sentence that says why."""
    try:
        return read_log(path)
    except ValueError as error:
        said = str(error)
    assert re.search(message, said), said
    assert str(path) in said
    assert "\n" not in said
    return None


ROW = RIGHT.map(",".join) | wrong_rows().map(",".join) | LINES


@given(
    st.lists(RIGHT.map(",".join), min_size=4, max_size=30),
    st.lists(st.tuples(st.integers(0, 30), ROW), max_size=8),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
@example(["u0,i0,1750000000"] * 4, [(1, '"u,i,1'), (3, 'u,"i,1')], "\n", True)
@example(["u0,i0,1750000000"] * 4, [(4, '"')], "\n", False)
@example(["',i0,1750000000", *["u0,i0,1750000000"] * 9, "',i0,1750000000"], [(6, "u")], "\n", False)
@example(
    ["u0,i0,1750000000"] * 4, [(0, "u0,i0,1750000000"), (0, "u,i"), (6, 'u0,"a,1750000000'), (7, '",')], "\n", False
)
@settings(max_examples=EXAMPLES)
def test_lines_of_text(right: list[str], wrong: list[tuple[int, str]], end: str, last: bool) -> None:
    lines = list(right)
    for place, line in wrong:
        lines.insert(place, line)
    content = end.join(["user_id,item_id,timestamp", *lines]) + (end if last else "")
    with tempfile.TemporaryDirectory() as folder:
        path = put(Path(folder) / "log.csv", content)
        log = read_or_none(path, "a quote is never closed") or read_log(path, Mapping(quote="none"))
    assert len(log.events) + sum(log.dropped.values()) == len(lines)
    assert log is None or 0 not in log.dropped.values()


VALUES = st.sampled_from(
    [None, "", "u", 7, 1.5, True, "NA", [], ["a"], ["a", "b"], {"x": 1}, "1750000000", '"', "\n", "é"]
)
OBJECTS = st.fixed_dictionaries({}, optional=dict.fromkeys(("user_id", "item_id", "timestamp", "title"), VALUES))
JUNK = st.sampled_from(
    ["{", "}", '{"user_id": "u"', "[]", "null", "1", '"text"', "u,i,1", "{'a': 1}", '{"a": 1} x', "\x1f"]
)


@given(
    st.lists(RIGHT, min_size=3, max_size=20),
    st.lists(st.tuples(st.integers(0, 20), OBJECTS.map(json.dumps) | JUNK), max_size=6),
)
@settings(max_examples=EXAMPLES)
def test_lines_of_json(right: list[list[str]], wrong: list[tuple[int, str]]) -> None:
    lines = [json.dumps(dict(zip(("user_id", "item_id", "timestamp"), row, strict=True))) for row in right]
    more = 0
    for place, line in wrong:
        lines.insert(place, line)
        more += '"item_id": ["a", "b"]' in line  # one line, two events
    with tempfile.TemporaryDirectory() as folder:
        path = put(Path(folder) / "log.jsonl", "".join(line + "\n" for line in lines))
        log = read_or_none(path, "is a list, and an event has one (user|time)")
    assert log is None or len(log.events) + sum(log.dropped.values()) == len(lines) + more
    assert log is None or 0 not in log.dropped.values()
