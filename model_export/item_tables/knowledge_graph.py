"""The collaborative knowledge graph of KGAT: who took what, and what is known of the items, as triples."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from model_export.data.dataset import Sequences, Vocabulary, positions_of, user_blocks

__all__ = ["KnowledgeGraph", "graph_of_log", "knowledge_graph"]

MOST_PAIRS = 500_000  # of user and item: every step of KGAT's training passes all of them


@dataclass(frozen=True)
class KnowledgeGraph:
    """Triples (head, relation, tail) of nodes; each also stands there the other way round, as an inverse relation.

    Nodes are the items, then the other entities, then the users. Relation 0 is "took", of a user and an item.

    Attributes
    ----------
    items, users, nodes : how many there are.
    relations : number of relations R, inverses among them; the inverse of r is r + R / 2, in the first half.
    heads, kinds, tails : int64 (T,), head, relation and tail of each triple, ordered by head.
    takers, taken : int64 (P,), the user (0 to `users`) and item of each distinct pair.
    """

    items: int
    users: int
    nodes: int
    relations: int
    heads: np.ndarray
    kinds: np.ndarray
    tails: np.ndarray
    takers: np.ndarray
    taken: np.ndarray

    @property
    def first_user(self) -> int:
        """Return the node of user 0."""
        return self.nodes - self.users

    @cached_property
    def pair_keys(self) -> np.ndarray:
        """Return user * items + item of each pair, int64 (P,), ascending."""
        return np.sort(self.takers * self.items + self.taken)

    def has_pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Tell which users took which items, bool (n,).

        Parameters
        ----------
        users, items : int64 (n,).
        """
        keys = users * self.items + items
        places = np.searchsorted(self.pair_keys, keys).clip(max=max(0, len(self.pair_keys) - 1))
        found: np.ndarray = self.pair_keys[places] == keys
        return found


def knowledge_graph(
    takers: np.ndarray, taken: np.ndarray, facts: np.ndarray, num_users: int, num_items: int, num_entities: int
) -> KnowledgeGraph:
    """Make the graph of pairs of user and item, and facts of entities.

    Parameters
    ----------
    takers, taken : int64 (P,), user and item of each pair, the same pair at most once.
    facts : int64 (F, 3), head, relation and tail; entities below `num_items` are the items.
    num_entities : with the items.

    Raises
    ------
    ValueError
        If there is no pair to learn from.
    """
    if not len(takers):
        raise ValueError("the graph has no pair of user and item; KGAT needs at least one")
    half = 1 + (int(facts[:, 1].max()) + 1 if len(facts) else 0)
    heads = np.concatenate([takers + num_entities, facts[:, 0]])
    kinds = np.concatenate([np.zeros_like(takers), facts[:, 1] + 1])
    tails = np.concatenate([taken, facts[:, 2]])
    both = np.stack([np.r_[heads, tails], np.r_[kinds, kinds + half], np.r_[tails, heads]])  # (3, T)
    heads, kinds, tails = np.ascontiguousarray(both[:, np.argsort(both[0], kind="stable")])
    nodes = num_entities + num_users
    return KnowledgeGraph(num_items, num_users, nodes, 2 * half, heads, kinds, tails, takers, taken)


def graph_of_log(sequences: Sequences, users: np.ndarray, vocabulary: Vocabulary, seed: int) -> KnowledgeGraph:
    """Make the graph of what these users took and of the items' side features.

    Each side feature is a relation, each of its values an entity. Of a large log some users, drawn by chance, speak for
    all: those with the first `MOST_PAIRS` pairs.

    Parameters
    ----------
    users : int64, whose behaviours count.
    """
    num_items = len(vocabulary.item_ids)
    drawn = np.random.default_rng(seed).permutation(users)
    drawn = drawn[: max(1, int(np.searchsorted(np.cumsum(sequences.lengths[drawn]), MOST_PAIRS, side="right")))]
    keys = [np.zeros(0, dtype=np.int64)]
    for some in user_blocks(sequences, np.sort(drawn)):
        positions, owners = positions_of(sequences, some)
        keys.append(np.unique(owners * num_items + sequences.items[positions]))
    owners, taken = np.divmod(np.concatenate(keys), num_items)
    present, takers = np.unique(owners, return_inverse=True)
    facts = _facts(vocabulary)
    return knowledge_graph(takers, taken, facts, len(present), num_items, num_items + vocabulary.feature_values)


def _facts(vocabulary: Vocabulary) -> np.ndarray:
    """Return side features as facts, int64 (F, 3); table row v is entity items + v - 1."""
    items, places = np.nonzero(vocabulary.item_features)
    values = vocabulary.item_features[items, places]
    ends = [rows.stop for rows in vocabulary.feature_slices().values()]
    relations = np.searchsorted(ends, values, side="right")
    return np.stack([items, relations, len(vocabulary.item_ids) + values - 1], 1).astype(np.int64)
