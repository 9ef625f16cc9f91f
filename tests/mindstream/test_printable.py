"""What others wrote, on a terminal: nothing that cannot be seen reaches it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindstream.printable import json_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mug, ä and 湯呑", "mug, ä and 湯呑"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\r\t\0", r"a\nb\r\t\x00"),
        ("\u202egum", r"\u202egum"),
        ("\udcff", r"\udcff"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_a_line_of_json_says_the_same(text: str) -> None:
    line = json_line({"text": text})
    assert line.isprintable()
    assert json.loads(line) == {"text": text}


def test_letters_stay_letters_in_json() -> None:
    assert json_line(["ä", "\x7f", "\U000e0001"]) == r'["ä", "\u007f", "\udb40\udc01"]'
