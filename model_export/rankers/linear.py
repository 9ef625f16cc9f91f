"""The plainest ranker: a weighted sum of the features, which reads nothing else."""

from torch import Tensor, nn

from model_export.rankers.inputs import RankerInputs
from model_export.rankers.ranker_config import RankerConfig

__all__ = ["LinearRanker"]


class LinearRanker(nn.Module):
    """Weighted features; see `RankingModel` for what a core is."""

    READS = ("candidate_features",)

    def __init__(self, config: RankerConfig, features: int, profile_sizes: list[int]) -> None:
        super().__init__()
        self.weights = nn.Linear(features, len(config.tasks))
        nn.init.zeros_(self.weights.weight)

    def forward(self, inputs: RankerInputs) -> Tensor:
        """Return scores (B, N, T)."""
        scores: Tensor = self.weights(inputs.candidate_features)
        return scores
