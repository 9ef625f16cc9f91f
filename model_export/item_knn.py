"""Item-kNN, the baseline to beat: items that stand close to each other in users' sequences are alike."""

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from model_export.dataset import Sequences

REACH = 5  # positions
LAST = 50  # behaviours of a history that count
DECAY = 0.8  # weight for each step back


class ItemKnn:
    """Co-occurrence within five positions of a user's sequence, divided by the root of both items' counts.

    Parameters
    ----------
    sequences : behaviours to learn from.
    items : number of items.
    """

    def __init__(self, sequences: Sequences, items: int) -> None:
        pairs = csr_matrix((items, items), dtype=np.float64)
        owner = np.repeat(np.arange(len(sequences.user_ids)), sequences.lengths)
        for step in range(1, REACH + 1):
            together = owner[step:] == owner[:-step]
            left, right = sequences.items[:-step][together], sequences.items[step:][together]
            ones = np.ones(len(left))
            pairs += coo_matrix((ones, (left, right)), shape=(items, items)).tocsr()
        pairs = pairs + pairs.T
        root = 1 / np.sqrt(np.maximum(np.bincount(sequences.items, minlength=items), 1))
        self.similarity = pairs.multiply(root[:, None]).multiply(root[None, :]).tocsr()

    def top(self, history: list[int], n: int) -> np.ndarray:
        """The n best item rows for a history of item rows (oldest first), best first; the history's own count too."""
        recent = history[-LAST:]
        weights = DECAY ** np.arange(len(recent))[::-1]
        scores = np.asarray(weights @ self.similarity[recent]).ravel()
        return np.argsort(-scores, kind="stable")[:n]
