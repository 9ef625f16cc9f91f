"""Item embeddings: the mean of an item's id and its side features (MIND's embedding and pooling layer)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_export.item_tables.simemb import SimilarityEmbedding

__all__ = ["ItemEmbedding", "has_sparse_gradient"]

SPARSE_FROM = 20_000  # rows: of a smaller table a step touches a good part anyway


def has_sparse_gradient(rows: int) -> bool:
    """Tell whether a table of so many rows has a sparse gradient.

    With it a step costs what its own rows cost, however many there are.
    """
    return rows > SPARSE_FROM


class ItemEmbedding(nn.Module):
    """Embeddings of items: the mean of an item's id vector and its side features' vectors.

    The values of all side features share one table, whose row 0 is padding. An item that training never saw has
    no vector for its id but may have values.

    Parameters
    ----------
    neighbours : 0 for a vector of its own for each id; else the most that SimEmb makes one of (simemb.py).
    """

    def __init__(self, num_items: int, feature_values: int, dim: int, neighbours: int = 0) -> None:
        super().__init__()
        self.ids: nn.Embedding | SimilarityEmbedding
        if neighbours:
            self.ids = SimilarityEmbedding(num_items, dim, neighbours)
        else:
            self.ids = nn.Embedding(num_items, dim, sparse=has_sparse_gradient(num_items))
        self.features = None
        if feature_values:
            is_sparse = has_sparse_gradient(feature_values + 1)
            self.features = nn.Embedding(feature_values + 1, dim, padding_idx=0, sparse=is_sparse)
        nn.init.normal_(self.ids.weight, std=dim**-0.5)
        if self.features is not None:
            nn.init.normal_(self.features.weight[1:], std=dim**-0.5)

    def forward(self, rows: Tensor, features: Tensor) -> Tensor:
        """Embed items by id and side features.

        Parameters
        ----------
        rows : int64 (...).
        features : int64 (..., W), rows in the table of side-feature values, 0 at padding.

        Returns
        -------
        float (..., d)
        """
        vectors: Tensor = self.ids(rows)  # (..., d)
        if self.features is None:
            return vectors
        return (vectors + self.sum_values(features, self.features.weight)) / (1 + (features > 0).sum(-1, keepdim=True))

    @torch.no_grad()
    def id_vectors(self) -> Tensor:
        """Return the id vectors of all items, float (items, d)."""
        vectors: Tensor = self.ids(torch.arange(len(self.ids.weight), device=self.ids.weight.device))
        return vectors

    @torch.no_grad()
    def set_id_vectors(self, vectors: Tensor) -> None:
        """Set the id vectors of all items; those that SimEmb makes come as near as they can.

        Parameters
        ----------
        vectors : float (items, d).
        """
        if isinstance(self.ids, SimilarityEmbedding):
            self.ids.set_vectors(vectors)
        else:
            self.ids.weight.copy_(vectors)

    def embed_features(self, features: Tensor) -> Tensor:
        """Embed items that are new since training: as `forward`, with zeros for the id.

        All zeros if no value is known. A mean of the known values alone would be longer than the items that training
        saw, and win by its length.

        Parameters
        ----------
        features : int64 (n, W), rows in the table of side-feature values, 0 at padding.

        Returns
        -------
        float (n, d)
        """
        if self.features is None or not features.shape[1]:
            return torch.zeros(len(features), self.ids.embedding_dim, device=self.ids.weight.device)
        return self.sum_values(features, self.features.weight) / (1 + (features > 0).sum(-1, keepdim=True))

    @staticmethod
    def sum_values(features: Tensor, table: Tensor) -> Tensor:
        """Return the sum of each item's value vectors.

        Parameters
        ----------
        features : int64 (..., W), rows in the table, 0 at padding.
        table : float (values + 1, d).

        Returns
        -------
        float (..., d)
        """
        # Summed where they lie: the vectors (items, W, d) of all values of all items would be far too many.
        bags = features.reshape(-1, features.shape[-1])  # (..., W) -> (n, W)
        values = F.embedding_bag(
            bags, table, mode="sum", padding_idx=0, sparse=has_sparse_gradient(len(table))
        )  # (n, d)
        return values.view(*features.shape[:-1], table.shape[1])  # (..., d)
