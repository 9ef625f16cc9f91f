"""The ranked page beside the order of matching: what moved, how far, and what spoke for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from demo.drawing.cards import card
from demo.drawing.view import Product, product_of
from index.recommend.candidates import Candidates
from model_export.bundle.bundle import Bundle

__all__ = ["Moved", "moved", "ranked_panel"]


@dataclass(frozen=True)
class Moved:
    """A product of the ranked page.

    Attributes
    ----------
    rank : its place on this page, 0 for the first.
    matching_rank : its place in the order of matching; None on the page that has that order.
    reasons : what spoke for it, in words.
    """

    product: Product
    rank: int
    matching_rank: int | None
    reasons: Sequence[str]

    @property
    def words(self) -> str:
        """Say how far it moved, and why; nothing where nothing can move."""
        if self.matching_rank is None:
            return ""
        far = self.matching_rank - self.rank
        way = f"▲ {far}" if far > 0 else f"▼ {-far}" if far < 0 else "="
        return f"{way} · {', '.join(self.reasons)}" if self.reasons else way


def moved(found: Candidates, bundle: Bundle, most: int) -> list[Moved]:
    """Return the first products with the way they came."""
    ranks: Sequence[int | None] = found.matching_rank or [None] * len(found.item_ids)
    reasons = found.reasons or [[]] * len(found.item_ids)
    columns = zip(found.item_ids[:most], ranks, reasons, strict=False)
    return [
        Moved(product_of(bundle, bundle.rows[item_id]), place, rank, why)
        for place, (item_id, rank, why) in enumerate(columns)
        if item_id in bundle.rows
    ]


def ranked_panel(shown: Sequence[Moved], elsewhere: frozenset[str], refusal: str | None = None) -> str:
    """Draw a page in its order.

    What is not among `elsewhere`, the items of the other page, is marked as new.
    """
    cards = "".join(
        f"<div>{card(one.product, one.product.item_id not in elsewhere, refusal)}"
        f'<p class="ms-meta ms-moved">{escape(one.words)}</p></div>'
        for one in shown
    )
    shelf = f'<section class="ms-shelf"><div class="ms-cards">{cards}</div></section>'
    return f'<div class="ms-panel ms-narrow">{shelf}</div>'
