"""Any sequence of changes of an overlay, after each of which what was patched must be what is made from scratch."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from index.catalogue.catalogue import Catalogue
from index.catalogue.item import Item
from index.catalogue.overlay import Overlay
from index.catalogue.overlay_store import OverlayStore
from index.catalogue.snapshot import CatalogueSnapshot
from index.search.exact import ExactIndex
from model_export.bundle.bundle import Bundle
from tests.support.overlay.stores import spoil

__all__ = ["OverlayMachine", "described"]

NEW = [f"new-{number}" for number in range(5)]
BRANDS = ["acme", "apex"]


class OverlayMachine(RuleBasedStateMachine):
    """Items come, change, go and come back, here and by another process; now and then another bundle is served."""

    def __init__(self, store: OverlayStore, bundles: list[Bundle]) -> None:
        super().__init__()
        self.store, self.served = store, bundles
        self.known = [*bundles[0].item_ids[:2], *bundles[0].item_ids[200:203]]
        self.seen: list[tuple[CatalogueSnapshot, Any]] = []

    @initialize()
    def begin(self) -> None:
        self.store.drop([*self.store.since(0).entries, *self.store.since(0).unreadable])
        self.overlay, self.others = Overlay(self.store), Overlay(self.store)
        self.catalogues = [Catalogue(self.served[0], self.overlay)]

    def item(self, place: int, like: int, brands: list[str], odd: bool) -> Item:
        """One of ten items, new or known, with a category and a price that the models know, or a strange category."""
        item_id, catalogue = [*NEW, *self.known][place], self.served[0].catalogue
        category = "Unheard of" if odd and place >= len(NEW) else catalogue.category[like]
        price = catalogue.price[like]
        return Item(item_id, f"Thing {like % 3}", category, price, {"brand": brands} if brands else {})

    changes = st.tuples(
        st.integers(0, 9), st.integers(100, 130), st.lists(st.sampled_from(BRANDS), unique=True), st.booleans()
    )
    ids = st.integers(0, 9).map(lambda place: [*NEW, "nobody knows it", *range(5)][place])

    @rule(change=changes)
    def put(self, change: tuple[int, int, list[str], bool]) -> None:
        self.catalogues[-1].put(self.item(*change))

    @rule(changed=st.lists(changes, max_size=4), gone=st.lists(ids, max_size=2))
    def others_write(self, changed: list[tuple[int, int, list[str], bool]], gone: list[str | int]) -> None:
        items = [self.item(*change) for change in changed]
        self.others.write({**{item.item_id: item for item in items}, **dict.fromkeys(map(self.name, gone))})
        self.overlay.look()

    @rule(item_id=ids)
    def remove(self, item_id: str | int) -> None:
        self.catalogues[-1].remove(self.name(item_id))

    @rule(item_ids=st.lists(ids, max_size=4))
    def restore(self, item_ids: list[str | int]) -> None:
        self.catalogues[-1].restore_many([self.name(item_id) for item_id in item_ids])

    @rule(item_id=ids)
    def others_forget(self, item_id: str | int) -> None:
        self.store.drop([self.name(item_id)])
        self.overlay.look()

    @rule(item_id=ids)
    def one_is_spoilt(self, item_id: str | int) -> None:
        spoil(self.store, self.name(item_id), b'{"item_id":')
        self.overlay.look()

    @rule(number=st.integers(0, 1))
    def another_bundle(self, number: int) -> None:
        self.catalogues = [*self.catalogues[-1:], Catalogue(self.served[number], self.overlay)]

    @invariant()
    def as_from_scratch(self) -> None:
        for catalogue in getattr(self, "catalogues", []):
            expected = described(Catalogue(catalogue.bundle, Overlay(self.store)).current)
            assert described(catalogue.current) == expected
            self.seen.append((catalogue.current, expected))

    def teardown(self) -> None:
        for snapshot, expected in self.seen[:-8:5]:
            assert described(snapshot) == expected  # a snapshot never changes

    def name(self, item_id: str | int) -> str:
        """One of the known items by its place, or a name as it is."""
        return self.known[item_id] if isinstance(item_id, int) else item_id


def described(snapshot: CatalogueSnapshot) -> dict[str, Any]:
    """All that requests see of a snapshot, by ids instead of rows."""

    def ids(rows: np.ndarray) -> list[str]:
        return [snapshot.item_id(row) for row in rows.tolist()]

    def allowed_by(**where: str) -> Any:
        asked = frozenset((name, frozenset([value])) for name, value in where.items())
        return attempted(lambda: sorted(ids(allowed.rows)) if (allowed := snapshot.allowed(asked, blocked)) else None)

    blocked = frozenset([snapshot.bundle.item_ids[300], NEW[0]])
    new = snapshot.new_ids
    capsule = snapshot.bundle.item_embeddings[150:152]
    hits = snapshot.over(ExactIndex(snapshot.bundle.item_embeddings)).search(
        capsule, 700, snapshot.rows([NEW[1]]), snapshot.allowed(frozenset(), frozenset())
    )
    categories = snapshot.category[snapshot.popular].tolist()
    return {
        "entries": dict(snapshot.entries),
        "new": {one: snapshot.vectors[np.array(snapshot.rows([one]))].tobytes() for one in new},
        "popular": ids(snapshot.popular),
        "popularity": snapshot.popularity[snapshot.popular].tolist(),
        "filters": [
            allowed_by(),
            *(allowed_by(brand=brand) for brand in [*BRANDS, "nobody's"]),
            *(allowed_by(category=category) for category in ["Unheard of", snapshot.bundle.catalogue.category[110]]),
        ],
        "of brand": sorted(ids(snapshot.rows_with("brand", "acme"))),
        "same category": [categories.index(number) if number >= 0 else -1 for number in categories],
        "found": list(zip(ids(hits.rows), hits.scores.tolist(), strict=True)),
        "shown": [snapshot.summary(one) for one in [*NEW, *snapshot.bundle.item_ids[:250]]],
    }


def attempted(ask: Callable[[], Any]) -> Any:
    """What is answered, or what is said that it is not."""
    try:
        return ask()
    except ValueError as error:
        return str(error)
