"""A ranking model: item embeddings of its own, a network by name, and the features that only validation may weigh.

A core is a module of torch that is made of `(config, features, profile_sizes)`: the settings, how many features each
candidate has, and the rows of each profile field's table. Its `forward` maps `RankerInputs`, whose candidate features
are the standardised ones that a network may read, to scores (B, N, T). Its `READS` are the fields that it reads, by
name: the inputs of the exported graph. It draws nothing at random in `forward`, and a user's scores depend neither on
other users nor on the other candidates nor on their order. It may have a method `auxiliary_loss`, see `RankingModel`.

Some features come from tables that the matching model learned from the training users themselves: it has seen their
targets. A network that read them in training would trust them too much, so none does. They are added at the end,
with weights that are fitted on users whom matching has not seen; what the network reads of the features counts there
once more, since what it weighs may change beside the others:

    scores = network_scale * network(...) + features . held_out_weights
"""

import torch
from torch import Tensor, nn

from model_export.bundle.ranking.features import FEATURES, HELD_OUT_FEATURES
from model_export.models.item_embeddings import ItemEmbedding
from model_export.rankers.dien import InterestEvolutionNetwork
from model_export.rankers.diffumin import DiffusionInterestNetwork
from model_export.rankers.din import InterestNetwork
from model_export.rankers.hcn import CoarseRanker
from model_export.rankers.infnet import InformationFlowNetwork
from model_export.rankers.inputs import INPUT_NAMES, RankerInputs
from model_export.rankers.linear import LinearRanker
from model_export.rankers.ranker_config import RankerConfig
from model_export.rankers.tin import TemporalInterestNetwork

__all__ = ["CORE_CLASSES", "READ", "RankingModel"]

CORE_CLASSES: dict[str, type[nn.Module]] = {
    "linear": LinearRanker,
    "din": InterestNetwork,
    "dien": InterestEvolutionNetwork,
    "tin": TemporalInterestNetwork,
    "diffumin": DiffusionInterestNetwork,
    "infnet": InformationFlowNetwork,
    "hcn": CoarseRanker,
}
HELD_OUT = [FEATURES.index(name) for name in HELD_OUT_FEATURES]
READ = [place for place in range(len(FEATURES)) if place not in HELD_OUT]
FARTHEST = 8.0  # standard deviations: training saw nothing beyond, and a network is not asked what it would say
SMALLEST = 1e-3  # of a standard deviation: a feature that hardly varies in training must not be blown up


class RankingModel(nn.Module):
    """A ranking model with all that its training learns.

    Parameters
    ----------
    item_features : int64 (items, W), rows in the one table of side-feature values, 0 at padding.
    feature_values : number of side-feature values.
    profile_sizes : rows of each profile field's table.
    item_vectors : float (items, D), dense side features in unit length, zeros at an item that has none; None: there are
        no such features.
    """

    item_features: Tensor
    item_vectors: Tensor | None
    feature_mean: Tensor  # (F,), of the training examples' candidates
    feature_deviation: Tensor  # (F,)
    network_scale: Tensor  # (), 0 where the network makes the order no better
    held_out_weights: Tensor  # (T, F)

    def __init__(
        self,
        config: RankerConfig,
        item_features: Tensor,
        feature_values: int,
        profile_sizes: list[int],
        item_vectors: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        vector_size = 0 if item_vectors is None else item_vectors.shape[1]
        self.items = ItemEmbedding(len(item_features), feature_values, config.dim, vector_size=vector_size)
        self.core = CORE_CLASSES[config.core](config, len(READ), profile_sizes)
        self.profile_sizes = profile_sizes
        self.register_buffer("item_features", item_features, persistent=False)
        self.register_buffer("item_vectors", item_vectors, persistent=False)
        self.register_buffer("feature_mean", torch.zeros(len(FEATURES)))
        self.register_buffer("feature_deviation", torch.ones(len(FEATURES)))
        self.register_buffer("network_scale", torch.ones(()))
        self.register_buffer("held_out_weights", torch.zeros(len(config.tasks), len(FEATURES)))

    @property
    def reads(self) -> tuple[str, ...]:
        """Return the names of the exported graph's inputs, in the order of RankerInputs."""
        names = {*CORE_CLASSES[self.config.core].READS, "candidate_features"}  # type: ignore[attr-defined]
        if not self.profile_sizes:
            names.discard("profile")
        return tuple(name for name in INPUT_NAMES if name in names)

    @property
    def fixed_length(self) -> bool:
        """Tell whether the exported graph reads exactly L behaviours, and not fewer."""
        return getattr(self.core, "FIXED_LENGTH", False)

    def embed(self, rows: Tensor) -> Tensor:
        """Embed item rows (...) as (..., r)."""
        dense = None if self.item_vectors is None else self.item_vectors[rows]
        vectors: Tensor = self.items(rows, self.item_features[rows], dense)
        return vectors

    def item_table(self) -> Tensor:
        """Return the embeddings of all items (items, r), as serving uses them."""
        return self.embed(torch.arange(len(self.item_features), device=self.item_features.device))

    def embed_new(self, features: Tensor, dense: Tensor | None = None) -> Tensor:
        """Embed items that are new since training by their side features alone.

        See `ItemEmbedding.embed_features`.

        Parameters
        ----------
        features : int64 (n, W), rows in the table of side-feature values, 0 at padding.
        dense : float (n, D), dense vectors in unit length, zeros at an item that has none.

        Returns
        -------
        float (n, r)
        """
        return self.items.embed_features(features, dense)

    @torch.no_grad()
    def set_feature_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Set what features are standardised by.

        Mean and standard deviation of the training examples, each (F,).
        """
        self.feature_mean.copy_(mean)
        self.feature_deviation.copy_(deviation.clamp_min(SMALLEST))

    def standardised(self, features: Tensor) -> Tensor:
        """Return candidate features (B, N, F) in standard deviations from their mean."""
        return (features - self.feature_mean) / self.feature_deviation

    def network_scores(self, inputs: RankerInputs) -> Tensor:
        """Return the network's scores (B, N, T): what training trains."""
        features = self.standardised(inputs.candidate_features)[..., READ].clamp(-FARTHEST, FARTHEST)
        scores: Tensor = self.core(inputs.with_features(features))
        return scores

    def forward(self, inputs: RankerInputs) -> Tensor:
        """Return the scores of B users' candidates for each task, float (B, N, T)."""
        held_out = self.standardised(inputs.candidate_features) @ self.held_out_weights.T  # (B, N, T)
        return self.network_scale * self.network_scores(inputs) + held_out

    def auxiliary_loss(self, inputs: RankerInputs, taken: Tensor) -> Tensor:
        """Return the weighted loss that a core has beside that of its scores, (); zero for most.

        Parameters
        ----------
        inputs : of a mini-batch; users who stand side by side in it must differ.
        taken : int64 (B,), the place of each user's target among the candidates.
        """
        weight, of_core = self.config.auxiliary_weight, getattr(self.core, "auxiliary_loss", None)
        if weight and of_core is not None:
            loss: Tensor = weight * of_core(inputs, taken)
            return loss
        return inputs.candidate_features.new_zeros(())
