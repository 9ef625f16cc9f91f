"""SimEmb: an item's id vector is made of the vectors of the items that it stands beside (SimRec, WSDM 2024).

The paper's E = A W: A is a row-normalised co-occurrence matrix with self loops, W is learned. The published code
(yaokunliu/SimRec) was read for that; the paper's text was not. Ours are the co-occurrence that is counted
(cooccurrence.py), the even share of the self loop, and the limit to an item's strongest neighbours, without which a
step would cost more the more items there are.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix, diags_array
from scipy.sparse.linalg import lsqr
from torch import Tensor, nn

from model_export.data.cooccurrence import most_similar

__all__ = ["OWN_SHARE", "SimilarityEmbedding", "neighbour_shares"]

OWN_SHARE = 0.5  # of an item's own row of W in its vector
DAMPING, SOLVER_STEPS = 1e-3, 100  # of the least squares behind `set_vectors`


class SimilarityEmbedding(nn.Module):
    """An embedding table E = A W of which only the rows asked for are computed.

    Before `set_neighbours` A is the identity. A is saved with the weights: a checkpoint needs no log.

    Attributes
    ----------
    weight : W, float (items, d), learned.
    neighbours : int32 (items, m), the columns of A that a row has; which stand in unused places does not matter.
    shares : float32 (items, m), the entries of A there, 0 in unused places; each row sums to 1.
    """

    neighbours: Tensor
    shares: Tensor

    def __init__(self, num_items: int, dim: int, most: int) -> None:
        super().__init__()
        self.embedding_dim = dim
        self.weight = nn.Parameter(torch.empty(num_items, dim))
        own = torch.arange(num_items, dtype=torch.int32)[:, None]
        self.register_buffer("neighbours", own.repeat(1, most))
        self.register_buffer("shares", torch.zeros(num_items, most).index_fill_(1, torch.tensor([0]), 1.0))

    def set_neighbours(self, neighbours: np.ndarray, shares: np.ndarray) -> None:
        """Set A; see `neighbour_shares`.

        Parameters
        ----------
        neighbours : int32 (items, m).
        shares : float32 (items, m).
        """
        self.neighbours.copy_(torch.from_numpy(neighbours))
        self.shares.copy_(torch.from_numpy(shares))

    def forward(self, rows: Tensor) -> Tensor:
        """Return rows of E.

        Parameters
        ----------
        rows : int64 (...).

        Returns
        -------
        float (..., d)
        """
        flat = rows.reshape(-1)  # (...) -> (n,)
        bags, shares = self.neighbours[flat], self.shares[flat]  # (n, m) each
        vectors = F.embedding_bag(bags, self.weight, mode="sum", per_sample_weights=shares)  # (n, d)
        return vectors.view(*rows.shape, self.embedding_dim)

    @torch.no_grad()
    def set_vectors(self, vectors: Tensor) -> None:
        """Set W so that E comes as near as it can to given vectors (damped least squares).

        Parameters
        ----------
        vectors : float (items, d).
        """
        matrix = self._matrix()
        columns = vectors.cpu().double().numpy().T
        found = [lsqr(matrix, column, damp=DAMPING, iter_lim=SOLVER_STEPS)[0] for column in columns]
        self.weight.copy_(torch.from_numpy(np.stack(found, 1)))

    def _matrix(self) -> csr_matrix:
        """Return A, float64 (items, items)."""
        items, most = self.shares.shape
        columns, entries = self.neighbours.cpu().numpy().ravel(), self.shares.cpu().double().numpy().ravel()
        return csr_matrix((entries, columns, np.arange(0, items * most + 1, most)), shape=(items, items))


def neighbour_shares(pairs: csr_matrix, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return SimEmb's A: the item itself, and the items that it stands beside most often.

    Half of a row is the item's own; the other half is shared by its neighbours in proportion to their co-occurrence.
    An item without neighbours has all of its row.

    Parameters
    ----------
    pairs : csr (items, items), see `co_occurrence`; how often an item follows itself does not count.
    most : m, at least 2.

    Returns
    -------
    neighbours int32 (items, m), the item itself first, and shares float32 (items, m), as in SimilarityEmbedding.
    """
    others = csr_matrix(pairs - diags_array(pairs.diagonal(), format="csr"))
    others.eliminate_zeros()
    strongest, weights = most_similar(others, most - 1)
    weights[strongest[:, 0] < 0, 0] = 1  # who has none is its own
    weights *= (1 - OWN_SHARE) / weights.sum(1, keepdims=True)
    own = np.arange(len(weights), dtype=np.int32)[:, None]
    shares = np.hstack([np.full_like(own, OWN_SHARE, dtype=np.float32), weights])
    return np.hstack([own, np.where(strongest < 0, own, strongest)]), shares
