"""Dense vectors made of items' titles: what a text model would give, without one."""

import hashlib
import re
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix

from model_export.data.dense_features import DenseFeatures
from model_export.data.interactions import InteractionLog

__all__ = ["title_vectors", "with_title_vectors"]

SIZE = 64  # numbers of a vector
BUCKETS = 1 << 16  # that parts of words are hashed to
LONG, SHORT = 5, 3  # characters of a part of a word


def with_title_vectors(log: InteractionLog) -> InteractionLog:
    """Return a log whose items have vectors of their titles; zeros without a title.

    Where the id stands for the title it counts if it has several words, as the descriptions that some shops have as
    ids.

    Raises
    ------
    ValueError
        If the log has no titles.
    """
    title = log.items.title
    known = title.where((title != log.items.item_id) | title.str.contains(" ", regex=False), "")
    if not (known != "").any():
        raise ValueError(f"{log.source} has no titles to make vectors of; right is a log that has, or --item-vectors")
    return replace(log, item_vectors=DenseFeatures(log.items.item_id.tolist(), title_vectors(known.tolist())))


def title_vectors(titles: list[str]) -> np.ndarray:
    """Return a vector for each title: hashed parts of its words, weighed and projected.

    Words are cut into all parts of three to five characters; a space stands before and after each. They are weighed by
    TF-IDF, and the projection is random, of a fixed seed. Titles that share words, or parts of these, come out alike.

    Returns
    -------
    float32 (titles, 64), zeros for an empty title
    """
    parts = [_parts_of(title) for title in titles]
    rows = np.repeat(np.arange(len(parts)), [len(some) for some in parts])
    buckets = np.array([bucket for some in parts for bucket in some], dtype=np.int64)
    counts = csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, buckets)), shape=(len(parts), BUCKETS))
    titles_with = np.bincount(counts.indices, minlength=BUCKETS)
    rarity = np.log((1 + len(titles)) / (1 + titles_with)).astype(np.float32)  # the usual IDF; 0 if all titles have it
    projection = np.random.default_rng(0).normal(size=(BUCKETS, SIZE)).astype(np.float32)
    return np.asarray(counts @ (rarity[:, None] * projection), dtype=np.float32)


def _parts_of(title: str) -> list[int]:
    """Return the buckets of the parts of a title's words."""
    found = []
    for word in re.findall(r"\w+", title.casefold()):
        padded = f" {word} "
        found += [
            int.from_bytes(hashlib.blake2b(padded[at : at + size].encode(), digest_size=8).digest(), "little") % BUCKETS
            for size in range(SHORT, LONG + 1)
            for at in range(len(padded) - size + 1)
        ]
    return found
