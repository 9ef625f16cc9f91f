"""Item embeddings: the mean of an item's id and its side features (MIND's embedding and pooling layer).

That a dense vector of an item, such as that of its text or image, is one more value of the mean by a learned linear map
is ours.
"""

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

    The values of all side features share one table, whose row 0 is padding. A dense vector is one more of them: its
    image under a linear map. An item that training never saw has no vector for its id but may have values.

    Parameters
    ----------
    neighbours : 0 for a vector of its own for each id; else the most that SimEmb makes one of (simemb.py).
    vector_size : D, numbers of an item's dense vector; 0: items have none.
    """

    def __init__(
        self, num_items: int, feature_values: int, dim: int, neighbours: int = 0, vector_size: int = 0
    ) -> None:
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
        self.vector_map = None
        if vector_size:
            self.vector_map = nn.Linear(vector_size, dim, bias=False)
            nn.init.normal_(self.vector_map.weight, std=dim**-0.5)  # unit vectors become as long as the others

    def forward(self, rows: Tensor, features: Tensor, dense: Tensor | None = None) -> Tensor:
        """Embed items by id and side features.

        Parameters
        ----------
        rows : int64 (...).
        features : int64 (..., W), rows in the table of side-feature values, 0 at padding.
        dense : float (..., D), dense vectors in unit length, zeros at an item that has none.

        Returns
        -------
        float (..., d)
        """
        vectors: Tensor = self.ids(rows)  # (..., d)
        if self.features is None and self.vector_map is None:
            return vectors
        total, count = self.sum_known(features, dense)
        return (vectors + total) / (1 + count)

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

    def embed_features(self, features: Tensor, dense: Tensor | None = None) -> Tensor:
        """Embed items that are new since training: as `forward`, with zeros for the id.

        All zeros if no value is known. A mean of the known values alone would be longer than the items that training
        saw, and win by its length.

        Parameters
        ----------
        features : int64 (n, W), rows in the table of side-feature values, 0 at padding.
        dense : float (n, D), dense vectors in unit length, zeros at an item that has none.

        Returns
        -------
        float (n, d)
        """
        total, count = self.sum_known(features, dense)
        return total / (1 + count)

    def sum_known(self, features: Tensor, dense: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the sum of the vectors of what is known of items beside their ids, and how many.

        Parameters
        ----------
        features : int64 (..., W), rows in the table of side-feature values, 0 at padding.
        dense : float (..., D), dense vectors in unit length, zeros at an item that has none; None: no item has one.

        Returns
        -------
        float (..., d) and int64 (..., 1)
        """
        weight = self.ids.weight
        total = torch.zeros(*features.shape[:-1], weight.shape[1], dtype=weight.dtype, device=weight.device)
        count = torch.zeros(*features.shape[:-1], 1, dtype=torch.int64, device=weight.device)
        if self.features is not None and features.shape[-1]:
            total, count = self.sum_values(features, self.features.weight), (features > 0).sum(-1, keepdim=True)
        if self.vector_map is not None and dense is not None:
            total, count = total + self.vector_map(dense), count + (dense != 0).any(-1, keepdim=True)
        return total, count

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
