"""Item embeddings: the mean of an item's id and its side features (MIND's embedding and pooling layer)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ItemEmbedding"]


class ItemEmbedding(nn.Module):
    """An item is the mean of its id's vector and those of its side features' values.

    The values of all side features share one table, whose row 0 is padding. An item that training never saw has
    no vector for its id but may have values.
    """

    def __init__(self, items: int, feature_values: int, dim: int) -> None:
        super().__init__()
        self.ids = nn.Embedding(items, dim)
        self.features = nn.Embedding(feature_values + 1, dim, padding_idx=0) if feature_values else None
        nn.init.normal_(self.ids.weight, std=dim**-0.5)
        if self.features is not None:
            nn.init.normal_(self.features.weight[1:], std=dim**-0.5)

    def forward(self, rows: Tensor, features: Tensor) -> Tensor:
        """`rows` int64 (...), `features` int64 (..., W), 0 at padding -> (..., d)."""
        vectors: Tensor = self.ids(rows)
        if self.features is None:
            return vectors
        return (vectors + self.sum_values(features, self.features.weight)) / (1 + (features > 0).sum(-1, keepdim=True))

    def embed_features(self, features: Tensor) -> Tensor:
        """Items that are new since training: as `forward`, with zeros for the id; all zeros where nothing is known.

        A mean of the known values alone would be longer than the items that training saw, and win by its length.

        `features` int64 (n, W), 0 at padding -> (n, d).
        """
        if self.features is None or not features.shape[1]:
            return torch.zeros(len(features), self.ids.embedding_dim, device=self.ids.weight.device)
        return self.sum_values(features, self.features.weight) / (1 + (features > 0).sum(-1, keepdim=True))

    @staticmethod
    def sum_values(features: Tensor, table: Tensor) -> Tensor:
        """The sum of each item's values: (..., W), 0 at padding -> (..., d)."""
        # Summed where they lie: the vectors (items, W, d) of all values of all items would be far too many.
        bags = features.reshape(-1, features.shape[-1])
        values = F.embedding_bag(bags, table, mode="sum", padding_idx=0)
        return values.view(*features.shape[:-1], table.shape[1])
