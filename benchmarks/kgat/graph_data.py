"""A data set with a knowledge graph in RecBole's atomic files, split for those who learn from it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from model_export.item_tables.knowledge_graph import KnowledgeGraph, knowledge_graph

__all__ = ["PARTS", "GraphData", "read_graph_data"]

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class GraphData:
    """Interactions in three parts and the facts of a knowledge graph.

    Attributes
    ----------
    users, items, entities : how many; items are the first entities.
    pairs : part -> int64 (P, 2), users and items.
    facts : int64 (F, 3), head, relation and tail.
    files : the .kg and .link that they come from.
    user_ids, item_ids : what the file calls them.
    """

    users: int
    items: int
    entities: int
    pairs: dict[str, np.ndarray]
    facts: np.ndarray
    files: tuple[Path, Path]
    user_ids: list[str]
    item_ids: list[str]

    def graph(self, with_facts: bool = True) -> KnowledgeGraph:
        """Return the graph of the pairs to learn from, and of the facts."""
        facts = self.facts if with_facts else self.facts[:0]
        users, items = self.pairs["train"].T.copy()
        return knowledge_graph(users, items, facts, self.users, self.items, self.entities)


def read_graph_data(folder: Path, seed: int) -> GraphData:
    """Read a data set and split it, user by user, at random; all learn from the same split.

    Raises
    ------
    FileNotFoundError
        If the folder has no .inter, .kg or .link.
    """
    inter, facts, link = (_read_table(folder, ending) for ending in ("inter", "kg", "link"))
    inter = inter.drop_duplicates(["user_id", "item_id"])
    user_ids, item_ids = sorted(inter.user_id.unique()), sorted(inter.item_id.unique())
    entity_of = dict(zip(link.entity_id, link.item_id, strict=True))
    ends = pd.concat([facts.head_id, facts.tail_id]).map(lambda entity: entity_of.get(entity, f"entity {entity}"))
    others = sorted(set(ends) - set(item_ids))
    nodes = pd.Index([*item_ids, *others]).get_indexer(ends).reshape(2, -1)
    relations = pd.factorize(facts.relation_id, sort=True)[0]
    users, items = pd.Index(user_ids).get_indexer(inter.user_id), pd.Index(item_ids).get_indexer(inter.item_id)
    return GraphData(
        len(user_ids),
        len(item_ids),
        len(item_ids) + len(others),
        _split(np.stack([users, items], 1).astype(np.int64), seed),
        np.stack([nodes[0], relations, nodes[1]], 1).astype(np.int64),
        (_file(folder, "kg"), _file(folder, "link")),
        user_ids,
        item_ids,
    )


def _file(folder: Path, ending: str) -> Path:
    """Return the file of a folder with this ending."""
    found = sorted(folder.glob(f"*.{ending}"))
    if not found:
        raise FileNotFoundError(f"--data {folder} has no .{ending}; right is a folder with NAME.inter, .kg and .link")
    return found[0]


def _read_table(folder: Path, ending: str) -> pd.DataFrame:
    """Read an atomic file as text; its columns are called NAME:TYPE."""
    found = pd.read_csv(_file(folder, ending), sep="\t", dtype=str, keep_default_na=False)
    return found.rename(columns=lambda name: name.partition(":")[0])


def _split(pairs: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Split each user's pairs (P, 2) at random, a tenth each for validation and test."""
    order = np.random.default_rng(seed).permutation(len(pairs))
    order = order[np.argsort(pairs[order, 0], kind="stable")]
    users = pairs[order, 0]
    counts = np.bincount(users)
    place = np.arange(len(users)) - (np.cumsum(counts) - counts)[users]
    tenth = counts[users] // 10
    part = np.where(place < tenth, 2, np.where(place < 2 * tenth, 1, 0))
    return {name: pairs[order[part == number]] for number, name in enumerate(PARTS)}
