"""The page's contents as plain values: products that match, and candidates grouped by interest."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from index.recommend.candidates import Candidates
from model_export.bundle.bundle import Bundle
from stream.store.interests import ExplainedInterest
from stream.store.state import UserState

__all__ = [
    "Product",
    "Shelf",
    "Shown",
    "Theme",
    "behaviours_of",
    "categories_among",
    "formed_by",
    "product_of",
    "search",
    "shelves_of",
    "shown_after",
    "theme_of",
    "unwanted_of",
]

ON_A_SHELF = 4
MADE_BY = 3
WORTH = 0.6  # of the best candidate's max-sim, to be shown
LAST_BEHAVIOURS = 8


@dataclass(frozen=True)
class Product:
    """A product as shown.

    Attributes
    ----------
    because : title of the behaviour that it often goes with; empty if there is none.
    """

    item_id: str
    title: str
    category: str
    price: float | None
    because: str = ""


@dataclass(frozen=True)
class Theme:
    """The category that the behaviours named for an interest have in common.

    Attributes
    ----------
    category : of more than half of them, in small letters; empty if there is none.
    whole : whether it is the category of every one of them.
    """

    category: str = ""
    whole: bool = False

    @property
    def words(self) -> str:
        """Return the category, marked if it is not the whole truth; empty if there is none."""
        return self.category if self.whole or not self.category else f"mostly {self.category}"


@dataclass(frozen=True)
class Shelf:
    """The products that one interest brings.

    Attributes
    ----------
    interest : its place among the user's interests, -1 for popular products.
    theme : what `made_by` are.
    made_by : titles of the behaviours that formed the interest, the strongest first; empty for popular products.
    importance : share of the behaviours in this interest, 0 to 1.
    """

    interest: int
    theme: Theme
    made_by: list[str]
    importance: float
    products: list[Product]

    @property
    def key(self) -> str:
        """Return a name that is unique on the page."""
        return "popular" if self.interest < 0 else f"interest-{self.interest}"


@dataclass(frozen=True)
class Shown:
    """The shelves that a visitor sees, and what is different from before.

    Attributes
    ----------
    entered : item_ids that were not there before; empty at the first look.
    left : products that were there before and are gone.
    """

    user_id: str
    shelves: list[Shelf]
    entered: frozenset[str] = frozenset()
    left: tuple[Product, ...] = ()

    @property
    def products(self) -> list[Product]:
        """Return all products, shelf by shelf."""
        return [product for shelf in self.shelves for product in shelf.products]


def shown_after(before: Shown | None, user_id: str, shelves: list[Shelf]) -> Shown:
    """Return the next view of a user; if nothing has changed the marks stay as they are."""
    if before is None or before.user_id != user_id:
        return Shown(user_id, shelves)
    if before.shelves == shelves:
        return before
    after = Shown(user_id, shelves)
    was, now = {one.item_id for one in before.products}, {one.item_id for one in after.products}
    left = tuple(product for product in before.products if product.item_id not in now)
    return Shown(user_id, shelves, frozenset(now - was), left)


def categories_among(products: Iterable[Product]) -> int:
    """Count the different categories of these products."""
    return len({product.category for product in products if product.category})


def product_of(bundle: Bundle, row: int, because: str = "") -> Product:
    """Return the product in a row; `because` is the item that it often goes with."""
    catalogue, goes_with = bundle.catalogue, _title_of(bundle, because) if because else ""
    return Product(bundle.item_ids[row], catalogue.title[row], catalogue.category[row], catalogue.price[row], goes_with)


def search(bundle: Bundle, wanted: str, category: str) -> list[Product]:
    """Return products whose title has all the words, the most popular first.

    No words: all titles; no category: all categories.
    """
    words = wanted.casefold().split()
    catalogue = bundle.catalogue
    return [
        product_of(bundle, row)
        for row in bundle.items.popular.tolist()
        if (not category or catalogue.category[row] == category)
        and all(word in catalogue.title[row].casefold() for word in words)
    ]


def shelves_of(candidates: Candidates, bundle: Bundle, most: int = ON_A_SHELF) -> list[Shelf]:
    """Group candidates by the interest that brought them, the most important first.

    An interest that is the main one of no behaviour has no shelf: some models give every user all K capsules, and after
    one click these would be K shelves for the same product. Nor has one that brings nothing worth showing: if two
    interests are near each other, the stronger brings all that is close, and what is left for the other is far off.

    Parameters
    ----------
    most : products on each shelf.
    """
    if not candidates.interests:
        products = [product_of(bundle, bundle.rows[item_id]) for item_id in candidates.item_ids[:most]]
        return [Shelf(-1, Theme(), [], 0.0, products)]
    # What the best neighbour gets on top says nothing of interests, so what is worth showing is told without it.
    best = max(candidates.scores, default=0.0) - bundle.manifest.blend.get("weight", 0.0)
    least = WORTH * best if best > 0 else -math.inf
    because = dict(zip(candidates.item_ids, candidates.because, strict=True))
    brought = list(zip(candidates.item_ids, candidates.capsule, candidates.scores, strict=True))
    shelves = []
    both = zip(candidates.interests, formed_by(candidates.interests), strict=True)
    for number, (interest, formed) in enumerate(both):
        mine = [item_id for item_id, capsule, score in brought if capsule == number and score >= least][:most]
        if not formed or not mine:
            continue
        shelves.append(
            Shelf(
                interest=number,
                theme=theme_of(formed, bundle),
                made_by=[_title_of(bundle, item_id) for item_id in formed],
                importance=min(1.0, interest.importance),
                products=[product_of(bundle, bundle.rows[item_id], because[item_id]) for item_id in mine],
            )
        )
    return sorted(shelves, key=lambda shelf: -shelf.importance)


def theme_of(formed: list[str], bundle: Bundle) -> Theme:
    """Return the theme of the items that formed an interest."""
    known = [bundle.rows.get(item_id) for item_id in formed]
    categories = Counter("" if row is None else bundle.catalogue.category[row] for row in known)
    [(category, count)] = categories.most_common(1) or [("", 0)]
    if not category or 2 * count <= len(formed):
        return Theme()
    return Theme(category.lower(), count == len(formed))


def formed_by(interests: list[ExplainedInterest]) -> list[list[str]]:
    """Return the items of which each interest has the largest share, the strongest first.

    No item is named for two interests, so that those of the same theme can be told apart.
    """
    shares: dict[str, list[tuple[float, int]]] = {}
    for number, interest in enumerate(interests):
        for behaviour in interest.behaviours:
            shares.setdefault(behaviour.item_id, []).append((-behaviour.weight, number))
    main = {item_id: min(of)[1] for item_id, of in shares.items()}
    mine = [[one.item_id for one in interest.behaviours] for interest in interests]
    return [[one for one in items if main[one] == number][:MADE_BY] for number, items in enumerate(mine)]


def behaviours_of(state: UserState | None, bundle: Bundle) -> list[str]:
    """Return the titles of the last behaviours, the newest first."""
    if state is None:
        return []
    return [_title_of(bundle, item_id) for item_id in reversed(state.history.item_ids[-LAST_BEHAVIOURS:])]


def unwanted_of(state: UserState | None, bundle: Bundle) -> list[str]:
    """Return the titles of the last items that the user has refused, the newest first."""
    if state is None:
        return []
    return [_title_of(bundle, item_id) for item_id in reversed(state.unwanted[-LAST_BEHAVIOURS:])]


def _title_of(bundle: Bundle, item_id: str) -> str:
    """Return the title of an item, or the id itself if the model does not know it."""
    row = bundle.rows.get(item_id)
    return item_id if row is None else bundle.catalogue.title[row]
