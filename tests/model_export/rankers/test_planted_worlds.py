"""Worlds whose order is known: what each ranker can learn, on histories that it was not trained on.

In each world a candidate is taken by a rule, and each ranker is held to what it reads: DIN does not tell when a
behaviour was, HCN has no times, and the linear one reads features alone.
"""

from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model_export.bundle.ranking.features import FEATURES
from model_export.rankers.inputs import RankerInputs
from model_export.rankers.ranker_config import RANKERS
from model_export.rankers.ranking_model import RankingModel
from tests.support.rankers import model_of

ITEMS, L, N = 30, 5, 10
CHANCE = 1 / N
STEPS, USERS = 200, 32
POPULARITY = FEATURES.index("log_popularity")


@dataclass(frozen=True)
class Lists:
    """Histories and candidates, by item rows, and the place of what was taken among the candidates."""

    history: Tensor  # (B, L)
    gaps: Tensor  # (B, L)
    types: Tensor  # (B, L)
    candidates: Tensor  # (B, N)
    features: Tensor  # (B, N, F)
    taken: Tensor  # (B,)

    def inputs(self, model: RankingModel) -> RankerInputs:
        return RankerInputs.of(
            behaviours=model.embed(self.history),
            mask=torch.ones_like(self.history, dtype=torch.bool),
            gaps=self.gaps,
            types=self.types,
            candidates=model.embed(self.candidates),
            candidate_features=self.features,
        )


def of_history(users: int, seed: int) -> Lists:
    """Histories of L items; the candidates are all these and others, and what was taken is not said yet."""
    generator = torch.Generator().manual_seed(seed)
    items = torch.rand(users, ITEMS, generator=generator).argsort(1)  # each item once
    order = torch.rand(users, N, generator=generator).argsort(1)
    zeros = torch.zeros(users, L, dtype=torch.int64)
    candidates, features = items[:, :N].gather(1, order), torch.zeros(users, N, len(FEATURES))
    return Lists(items[:, :L], zeros + 3, zeros, candidates, features, zeros[:, 0])


def taking(lists: Lists, items: Tensor) -> Lists:
    """The same lists, from which these items (B,) were taken."""
    return replace(lists, taken=(lists.candidates == items[:, None]).int().argmax(1))


def recency(users: int, seed: int) -> Lists:
    """The item of the last behaviour is taken."""
    lists = of_history(users, seed)
    return taking(lists, lists.history[:, -1])


def position(users: int, seed: int) -> Lists:
    """The item of the third behaviour from the end is taken."""
    lists = of_history(users, seed)
    return taking(lists, lists.history[:, -3])


def marked(users: int, seed: int) -> tuple[Lists, Tensor, Tensor]:
    """Lists, one place of each history at random (B,), and where that is True (B, L)."""
    lists = of_history(users, seed)
    places = torch.randint(L, (users,), generator=torch.Generator().manual_seed(seed))
    here = torch.arange(L)[None] == places[:, None]
    return taking(lists, lists.history[here]), places, here


def time(users: int, seed: int) -> Lists:
    """The item of the behaviour that was so long ago is taken, wherever it stands."""
    lists, _, here = marked(users, seed)
    return replace(lists, gaps=torch.where(here, 12, lists.gaps))


def kind(users: int, seed: int) -> Lists:
    """The item of the behaviour of one type, such as one added to the cart, is taken."""
    lists, _, here = marked(users, seed)
    return replace(lists, types=here.long())


def pair(users: int, seed: int) -> Lists:
    """The partner of an item of the history is taken: items 2k and 2k + 1 go together, which embeddings must learn."""
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.rand(users, ITEMS // 2, generator=generator).argsort(1)  # no two of a user's items are partners,
    items = 2 * pairs + torch.randint(2, pairs.shape, generator=generator)
    lists, chosen = of_history(users, seed), items[:, :1] ^ 1  # but one candidate is of the first behaviour
    history = items[:, :L].gather(1, torch.rand(users, L, generator=generator).argsort(1))
    candidates = torch.cat([chosen, items[:, L : L + N - 1]], 1)
    order = torch.rand(users, N, generator=generator).argsort(1)
    return taking(replace(lists, history=history, candidates=candidates.gather(1, order)), chosen[:, 0])


def popularity(users: int, seed: int) -> Lists:
    """The candidate that is the most popular is taken."""
    lists, features = of_history(users, seed), torch.zeros(users, N, len(FEATURES))
    features[..., POPULARITY] = torch.randn(users, N, generator=torch.Generator().manual_seed(seed))
    return replace(lists, features=features, taken=features[..., POPULARITY].argmax(1))


WORLDS = {one.__name__: one for one in (recency, position, time, kind, pair, popularity)}


@cache
def top_share(name: str, world: str) -> float:
    """Train a ranker in a world; return how often it puts what is taken first, in lists that it has not seen."""
    model = model_of(name, items=ITEMS, profile_sizes=[], dim=16, hidden=(32, 16), history_length=L)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    model.train()
    for step in range(STEPS):
        lists = WORLDS[world](USERS, step)
        loss = F.cross_entropy(model.network_scores(lists.inputs(model))[..., 0], lists.taken)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()
    lists = WORLDS[world](1_000, 10_000)
    with torch.no_grad():
        scores = model.eval()(lists.inputs(model))[..., 0]
    return float((scores.argmax(1) == lists.taken).float().mean())


OF_ORDER, OF_ALL = ("recency", "position", "pair", "popularity"), tuple(WORLDS)
# What each reads: DIN no order, DIEN and HCN no times and types, the linear one no history.
LEARNS = {
    "linear": ("popularity",),
    "din": ("pair", "popularity"),
    "dien": ("recency", "pair", "popularity"),  # its second GRU finds the third from the end with more steps alone
    "hcn": OF_ORDER,
    "tin": OF_ALL,
    "infnet": OF_ALL,
    "diffumin": OF_ALL,
}
pytestmark = pytest.mark.slow  # together; each takes a second or two


def test_every_ranker_is_held_to_something() -> None:
    assert set(LEARNS) == set(RANKERS)


@pytest.mark.parametrize(("name", "world"), [(name, world) for name in RANKERS for world in LEARNS[name]])
def test_a_ranker_learns_what_it_reads(name: str, world: str) -> None:
    assert top_share(name, world) > 0.6  # chance is 0.1, and 0.2 with the history's items before others


def test_tin_reads_positions_and_din_does_not() -> None:
    """DIN is no better than a draw among the items of the history."""
    assert top_share("din", "position") < 2 / L - CHANCE
    assert top_share("tin", "position") > top_share("din", "position") + 0.4


@pytest.mark.parametrize(("name", "world"), [("hcn", "time"), ("dien", "kind"), ("linear", "pair")])
def test_a_world_cannot_be_learned_without_what_it_is_planted_in(name: str, world: str) -> None:
    assert top_share(name, world) < 2 / L - CHANCE
