"""A simulated shop whose users' interests are known, so that the interests a model finds can be checked.

Every user has two to four interests, which are categories. Behaviours come in short visits, each to one
interest, the next visit to another; some clicks go anywhere. The same seed gives the same shop at any date.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from model_export.data.interactions import InteractionLog

__all__ = ["END_MS", "SimulatedShop", "simulate"]

# Category: lowest and highest price, materials, products. Every material goes with every product, and no
# product is in two categories, so that all names differ.
_CATALOGUE: dict[str, tuple[float, float, str, str]] = {
    "Garden": (14, 65, "Copper,Galvanised,Painted,Slate-grey,Victorian",
               "watering can,plant stand,bird feeder,hanging planter,seed tray"),
    "Kitchen": (9, 48, "Oak,Walnut,Olive wood,Bamboo,Beech",
                "serving board,salad bowl,rolling pin,spice rack,bread bin"),
    "Cookware": (25, 140, "Cast iron,Stainless steel,Enamelled,Ceramic,Hammered copper",
                 "frying pan,stockpot,saucepan,casserole,wok"),
    "Tableware": (6, 38, "Stoneware,Porcelain,Speckled,Cobalt blue,Hand-painted",
                  "dinner plate,cereal bowl,mug,gravy boat,cake stand"),
    "Glassware": (8, 45, "Crystal,Recycled glass,Smoked,Ribbed,Amber",
                  "wine glass,tumbler,carafe,champagne flute,water jug"),
    "Coffee and tea": (9, 60, "Matt black,Brushed steel,Japanese,Cream,Compact",
                       "teapot,coffee dripper,travel cup,milk frother,moka pot"),
    "Bedding": (18, 130, "Linen,Organic cotton,Washed percale,Flannel,Sateen",
                "duvet cover,pillowcase pair,fitted sheet,flat sheet,bed throw"),
    "Bath": (6, 48, "Waffle,Egyptian cotton,Turkish,Bamboo fibre,Charcoal",
             "bath towel,hand towel,bath mat,bathrobe,face cloth"),
    "Lighting": (22, 160, "Brass,Smoked glass,Rattan,Industrial,Paper",
                 "table lamp,floor lamp,pendant light,wall light,desk lamp"),
    "Furniture": (60, 480, "Solid oak,Walnut veneer,Mid-century,Reclaimed pine,White lacquer",
                  "side table,bookcase,bedside cabinet,hallway bench,bar stool"),
    "Rugs and cushions": (15, 190, "Wool,Jute,Kilim,Velvet,Striped",
                          "hallway runner,floor cushion,living room rug,sofa cushion,pouffe"),
    "Candles": (5, 35, "Cedar,Lavender,Fig,Sea salt,Beeswax",
                "pillar candle,scented candle,tealight set,wax melt,reed diffuser"),
    "Stationery": (3, 28, "Leather,Marbled,Pocket,Botanical,Kraft",
                   "notebook,pencil case,desk diary,writing set,photo album"),
    "Toys": (8, 55, "Wooden,Rainbow,Magnetic,Classic,Giant",
             "building blocks,train set,stacking tower,marble run,pull-along dog"),
    "Board games": (12, 60, "Cooperative,Travel,Family,Deluxe,Two-player",
                    "word game,dice game,card game,strategy game,memory game"),
    "Cycling": (9, 120, "Reflective,All-weather,Lightweight,Commuter,Racing",
                "bike light,saddle bag,cycling gloves,bottle cage,bike helmet"),
    "Camping": (15, 220, "Ultralight,Insulated,Compact,Four-season,Trail",
                "sleeping mat,camping stove,sleeping bag,dome tent,cool box"),
    "Running": (10, 130, "Breathable,Seamless,Thermal,Neon,Recycled",
                "running vest,running socks,running shorts,running jacket,headband"),
    "Yoga": (9, 75, "Cork,Natural rubber,Extra-thick,Cotton,Foldable",
             "yoga mat,yoga block,yoga strap,bolster,meditation cushion"),
    "Skincare": (6, 52, "Rosehip,Aloe vera,Oat milk,Hyaluronic,Green tea",
                 "face cream,cleansing balm,face serum,hand cream,eye gel"),
    "Bags": (25, 240, "Waxed canvas,Vegetable-tanned,Quilted,Nylon,Suede",
             "backpack,tote bag,weekend bag,crossbody bag,wash bag"),
    "Jewellery": (20, 260, "Silver,Rose gold,Gold-plated,Titanium,Pearl",
                  "wristwatch,pendant necklace,hoop earrings,bangle,signet ring"),
    "Audio": (25, 320, "Wireless,Portable,Retro,Studio,Hi-fi",
              "headphones,earbuds,speaker,turntable,soundbar"),
    "Pets": (8, 70, "Tweed,Padded,Washable,Checked,Fleece-lined",
             "dog bed,cat cushion,dog coat,cat cave,travel carrier"),
}  # fmt: skip
_PRODUCTS = 25  # in each category

END_MS = 1_782_777_600_000  # 2026-06-30 00:00 UTC: a fixed end, so that the log does not change with the date
_DAY_MS = 86_400_000
_DAYS = 30
_SHORTEST, _LONGEST = 20, 80  # events of a user: log2 of them is 4 to 6, room for several capsules
_MOST_CLICKS = 6  # in one visit
_MOST_INTERESTS = 4  # a first round of visits to all of them fits into the shortest history
_VISIT_MS = 15 * 60_000  # visits start at least this apart, longer than any lasts
_EVENT_TYPES = {"click": 0.88, "cart": 0.08, "buy": 0.04}
_REGIONS = ["north", "east", "south", "west"]
_AGES = ["18-24", "25-34", "35-44", "45-54", "55-64", "65+"]


@dataclass(frozen=True)
class SimulatedShop:
    """A simulated log and the interests it was made from.

    Attributes
    ----------
    log : InteractionLog
        20 to 80 events a user over 30 days that end at `END_MS`; profile fields region and age say nothing
        of the interests.
    interests : dict
        user_id -> the two to four categories planted as the user's interests.
    """

    log: InteractionLog
    interests: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Visits:
    """Visits of all users, user by user and in time order: arrays (visits,) of one entry each."""

    user: np.ndarray
    category: np.ndarray
    clicks: np.ndarray
    start_ms: np.ndarray


def simulate(users: int = 2000, seed: int = 7, *, noise: float = 0.05) -> SimulatedShop:
    """Simulate a shop with 24 categories of 25 products each.

    Parameters
    ----------
    users : int
        Number of users, at least 1.
    noise : float
        Share of events that go to any product, by popularity; 0 to 0.5. Never a visit's first event.
    seed : the same seed gives the same shop.

    Raises
    ------
    ValueError
        If there are no users or the share is out of range.
    """
    if users < 1:
        raise ValueError(f"users is {users}; expected at least 1")
    if not 0 <= noise <= 0.5:
        raise ValueError(f"noise is {noise}; expected a share from 0 to 0.5")
    rng = np.random.default_rng(seed)
    items, category_share, product_share = _make_products(rng)
    interests, counts = _plant_interests(rng, users, category_share)
    visits = _draw_visits(rng, interests, counts)
    product, visit = _draw_clicks(rng, visits, product_share)
    product = _add_noise(rng, product, visit, noise, (category_share[:, None] * product_share).ravel())
    names = np.array([f"user-{number:0{len(str(users))}d}" for number in range(1, users + 1)])
    events = pd.DataFrame(
        {
            "user_id": names[visits.user[visit]],
            "item_id": items.item_id.to_numpy()[product],
            "event_type": rng.choice(list(_EVENT_TYPES), size=len(visit), p=list(_EVENT_TYPES.values())),
            "event_time_ms": _event_times(rng, visits.start_ms, visit),
        }
    ).astype({"user_id": "str", "item_id": "str", "event_type": "str"})
    categories = np.array(list(_CATALOGUE))
    planted = {
        str(name): tuple(categories[row[:count]].tolist())
        for name, row, count in zip(names, interests, counts, strict=True)
    }
    profiles = pd.DataFrame({"user_id": names, "region": rng.choice(_REGIONS, users), "age": rng.choice(_AGES, users)})
    log = InteractionLog(
        events=events.sort_values("event_time_ms", kind="stable", ignore_index=True),
        items=items.iloc[np.unique(product)].sort_values("item_id", ignore_index=True),
        profiles=profiles.astype("str"),
        source=f"simulated shop (seed {seed})",
    )
    return SimulatedShop(log, planted)


def _make_products(rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Make the products, and draw the shares by which they are taken.

    Returns
    -------
    item table; share of each category (24,); share of each product within its category (24, 25)
    """
    rows = []
    for category, (low, high, materials, products) in _CATALOGUE.items():
        for product in products.split(","):
            usual = low * (high / low) ** rng.random()
            for material in materials.split(","):
                title = f"{material} {product}"
                price = np.floor(np.clip(usual * rng.uniform(0.8, 1.25), low, high - 1)) + 0.95
                rows.append((title.lower().replace(" ", "-"), title, category, price))
    zipf = 1 / np.arange(1, _PRODUCTS + 1)
    shares = np.stack([rng.permutation(zipf / zipf.sum()) for _ in _CATALOGUE])
    # Flatter than Zipf between categories, so that every category has users enough to be learnt from.
    between = rng.permutation(np.arange(1, len(_CATALOGUE) + 1) ** -0.5)
    items = pd.DataFrame(rows, columns=["item_id", "title", "category", "price"])
    items = items.astype({"item_id": "str", "title": "str", "category": "str"})
    return items, between / between.sum(), shares


def _draw_without_repeats(rng: np.random.Generator, shares: np.ndarray, count: int) -> np.ndarray:
    """Draw `count` different columns in each row by their shares (Gumbel top-k trick).

    Returns
    -------
    (rows, count)
    """
    keys = np.log(shares) + rng.gumbel(size=shares.shape)
    return np.argsort(-keys, axis=1)[:, :count]


def _plant_interests(rng: np.random.Generator, users: int, category_share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw categories (users, 4) and how many of them (users,) are the user's interests."""
    shares = np.broadcast_to(category_share, (users, len(category_share)))
    counts = rng.integers(2, _MOST_INTERESTS, size=users, endpoint=True)
    return _draw_without_repeats(rng, shares, _MOST_INTERESTS), counts


def _draw_visits(rng: np.random.Generator, interests: np.ndarray, counts: np.ndarray) -> _Visits:
    """Draw visits of 1 to 6 clicks until a user's events are used up.

    Two visits in a row are never to one interest.
    """
    users = len(interests)
    events = rng.integers(_SHORTEST, _LONGEST, size=(users, 1), endpoint=True)
    sizes = rng.integers(1, _MOST_CLICKS, size=(users, _LONGEST), endpoint=True)
    clicks = np.diff(np.minimum(sizes.cumsum(axis=1), events), axis=1, prepend=0)
    # Interests stand in a circle; a step of 1 to count - 1 always leads to another one. The first round
    # takes single steps, so that every interest is visited.
    steps = rng.integers(1, counts[:, None], size=(users, _LONGEST))
    steps[np.arange(_LONGEST) < counts[:, None]] = 1
    category = np.take_along_axis(interests, steps.cumsum(axis=1) % counts[:, None], axis=1)
    user, number = np.nonzero(clicks)
    moment = rng.random(len(user))
    moment = moment[np.lexsort((moment, user))]
    free_ms = _DAYS * _DAY_MS - np.bincount(user)[user] * _VISIT_MS
    start_ms = END_MS - _DAYS * _DAY_MS + moment * free_ms + number * _VISIT_MS
    return _Visits(user, category[user, number], clicks[user, number], start_ms)


def _draw_clicks(rng: np.random.Generator, visits: _Visits, product_share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw the product (events,) and the visit (events,) of every event.

    No product comes twice in a visit.
    """
    chosen = _draw_without_repeats(rng, product_share[visits.category], _MOST_CLICKS)
    visit, place = np.nonzero(np.arange(_MOST_CLICKS) < visits.clicks[:, None])
    return visits.category[visit] * _PRODUCTS + chosen[visit, place], visit


def _add_noise(
    rng: np.random.Generator, product: np.ndarray, visit: np.ndarray, noise: float, shares: np.ndarray
) -> np.ndarray:
    """Replace some products by any; a visit's first stays, since the user came for it."""
    later = np.diff(visit, prepend=-1) == 0
    replaced = later & (rng.random(len(product)) * later.mean() < noise)
    return np.where(replaced, rng.choice(len(shares), size=len(product), p=shares), product)


def _event_times(rng: np.random.Generator, start_ms: np.ndarray, visit: np.ndarray) -> np.ndarray:
    """Draw Unix times in milliseconds (events,), 5 s to 2 min apart within a visit."""
    passed = rng.integers(5_000, 120_000, size=len(visit)).cumsum()
    first = np.flatnonzero(np.diff(visit, prepend=-1))
    times: np.ndarray = start_ms[visit].astype("int64") + passed - passed[first][visit]
    return times
