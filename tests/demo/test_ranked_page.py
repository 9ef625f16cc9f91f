"""The ranked page of the demo: how far each product moved, and why."""

from dataclasses import replace
from pathlib import Path

import pytest

from demo.drawing.ranked import Moved, moved, ranked_panel
from demo.drawing.view import Product
from index.recommend.candidates import Candidates
from model_export.bundle.bundle import Bundle
from tests.support.bundles.ranked import hand_made

MUG = Product("mug", "Mug <1>", "Kitchen", None)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return hand_made(Path(tmp_path_factory.mktemp("demo")) / "ranked")


@pytest.mark.parametrize(
    ("rank", "matching_rank", "reasons", "words"),
    [
        (0, 14, ["popular", "taken before"], "▲ 14 · popular, taken before"),
        (3, 1, [], "▼ 2"),
        (2, 2, ["popular"], "= · popular"),
    ],
)
def test_what_moved_and_why(rank: int, matching_rank: int, reasons: list[str], words: str) -> None:
    assert Moved(MUG, rank, matching_rank, reasons).words == words


def test_pages_of_candidates(bundle: Bundle) -> None:
    """Matching's own page has moved nothing; an item that was added since has no row and no card."""
    ids, nothing = ["item-4", "new", "item-9"], [""] * 3
    plain = Candidates(ids, [3.0, 2.0, 1.0], [0] * 3, nothing, [], "capsules", "v")
    assert [(one.product.item_id, one.words) for one in moved(plain, bundle, 5)] == [("item-4", ""), ("item-9", "")]
    ranked = replace(plain, ranked=20, matching_rank=[7, 0, 1], reasons=[["popular"], [], []])
    assert [one.words for one in moved(ranked, bundle, 1)] == ["▲ 7 · popular"]


def test_a_card_is_marked_that_the_other_page_lacks(bundle: Bundle) -> None:
    shown = [Moved(MUG, 0, 3, ["<b>"])]
    there, here = ranked_panel(shown, frozenset({"mug"})), ranked_panel(shown, frozenset())
    assert "ms-new" not in there
    assert "ms-new" in here
    assert "&lt;b&gt;" in here
    assert "<b>" not in here
