"""A multi-interest model: item embeddings, an interest extractor, and the routing logits that serving looks up."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_export.models.hcn import HierarchicalCoNetwork
from model_export.models.idnp import NeuralProcess
from model_export.models.item_embeddings import ItemEmbedding, has_sparse_gradient
from model_export.models.mind import InterestExtractor, behaviour_ages
from model_export.models.model_config import ModelConfig
from model_export.models.peers import MaxMf, MeanPooling, SelfAttention, UnsharedRouting
from model_export.models.steady import SteadyExtractor, unit_length

__all__ = ["EXTRACTOR_CLASSES", "InterestModel"]

EXTRACTOR_CLASSES: dict[str, type[nn.Module]] = {
    "mind": InterestExtractor,
    "mean": MeanPooling,
    "maxmf": MaxMf,
    "self-attention": SelfAttention,
    "unshared-routing": UnsharedRouting,
    "steady": SteadyExtractor,
    "hcn": HierarchicalCoNetwork,
    "idnp": NeuralProcess,
}
IDS, FEATURES = "items.ids.weight", "items.features.weight"
TABLES = (IDS, FEATURES, "routing_logits")  # parameters with a row for each item, or side feature
FIRST_SCALE = 1 / 0.08  # of inner products of unit-length vectors
FIRST_REPEAT_BONUS = 0.02  # beside cosines


class InterestModel(nn.Module):
    """A multi-interest model: from item rows to capsules, with all that training learns.

    Parameters
    ----------
    item_features : int64 (items, W), rows in the one table of side-feature values, 0 at padding.
    feature_values : number of side-feature values.
    profile_sizes : rows of each profile field's table.
    routing_logits : float (items, K), as drawn for these items (`draw_routing_logits`): served as they are, or the
        start of learned ones.
    item_vectors : float (items, D), dense side features in unit length, zeros at an item that has none; None: there are
        no such features.
    """

    item_features: Tensor
    item_vectors: Tensor | None
    noise: Tensor  # (items,), length of each embedding's noise in training, relative to the embedding
    routing_logits: Tensor

    def __init__(
        self,
        config: ModelConfig,
        item_features: Tensor,
        feature_values: int,
        profile_sizes: list[int],
        routing_logits: Tensor,
        item_vectors: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        neighbours = config.table_neighbours if config.item_table == "simemb" else 0
        vector_size = 0 if item_vectors is None else item_vectors.shape[1]
        self.items = ItemEmbedding(len(item_features), feature_values, config.dim, neighbours, vector_size)
        self.extractor = EXTRACTOR_CLASSES[config.extractor](config, profile_sizes)
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE))) if config.unit_length else None
        self.register_buffer("item_features", item_features, persistent=False)
        self.register_buffer("item_vectors", item_vectors, persistent=False)
        self.register_buffer("noise", torch.full((len(item_features),), config.embedding_noise), persistent=False)
        first = torch.full((config.history_length,), math.log(FIRST_REPEAT_BONUS))
        self.log_repeat_bonus = nn.Parameter(first) if config.repeats else None
        if config.learned_logits:
            self.routing_logits = nn.Parameter(routing_logits)
        else:
            self.register_buffer("routing_logits", routing_logits, persistent=False)

    @property
    def scale(self) -> Tensor:
        """Return the factor on inner products in training, (); retrieval has no need of it."""
        return torch.ones(()) if self.log_scale is None else self.log_scale.exp()

    @property
    def repeat_bonus(self) -> Tensor | None:
        """Return the score that each occurrence in the history adds to its item, by age: (L,).

        See own_items.py. Never negative: that people do not take the same thing twice within a visit, which is what
        the next behaviour teaches, does not mean that they do not come back to it.
        """
        return None if self.log_repeat_bonus is None else self.log_repeat_bonus.exp()

    def extract(
        self,
        behaviours: Tensor,
        mask: Tensor,
        routing_logits: Tensor,
        profile: Tensor,
        gaps: Tensor,
        types: Tensor | None = None,
        asked_gap: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return capsules, interest mask and routing weights of B histories.

        They are the extractor's; see InterestExtractor.forward.

        Parameters
        ----------
        behaviours : float (B, L, d), item embeddings.
        mask : bool (B, L), True at behaviours.
        routing_logits : float (B, K, L).
        profile : int64 (B, P); may have no fields.
        gaps : int64 (B, L), see time_gaps.py; read by models with `time_gaps`.
        types : int64 (B, L), rows of the event types; read by models with `types`. None: all are unknown.
        asked_gap : int64 (B,), how long after the last behaviour somebody asks, in the same buckets; read by models
            with `reads_asked_gap`. None: now.

        Returns
        -------
        capsules (B, K, d), interest mask bool (B, K), routing weights (B, K, L)
        """
        read = {"profile": profile} if profile.shape[1] else {}
        if self.config.time_gaps:
            read["gaps"] = gaps
        if self.config.types and types is not None:
            read["types"] = types
        if self.config.reads_asked_gap and asked_gap is not None:
            read["asked_gap"] = asked_gap
        found: tuple[Tensor, Tensor, Tensor] = self.extractor(behaviours, mask, routing_logits, **read)
        return found

    def latent_divergence(self, behaviours: Tensor, mask: Tensor) -> Tensor:
        """Return how far the latent is from the standard normal; see GlobalLatent.divergence.

        Raises
        ------
        ValueError
            If the extractor has no latent.
        """
        if not isinstance(self.extractor, NeuralProcess):
            raise ValueError(
                f"extractor is {self.config.extractor!r}, which has no latent; right is idnp, or latent_penalty 0"
            )
        return self.extractor.latent.divergence(behaviours, mask)

    def repeat_scores(self, history: Tensor, mask: Tensor, num_items: int) -> Tensor | None:
        """Return each item's repeat bonus for B histories, zero for items not in the history.

        None if the model has no repeat bonus.

        Parameters
        ----------
        history : int64 (B, L), places among these items; what stands at padding has no influence.
        mask : bool (B, L).

        Returns
        -------
        float (B, items)
        """
        bonus = self.repeat_bonus
        if bonus is None:
            return None
        each = bonus[behaviour_ages(mask, self.config.history_length)] * mask  # (B, L)
        return torch.zeros(len(history), num_items, device=each.device).scatter_add(1, history, each)

    def embed(self, rows: Tensor) -> Tensor:
        """Embed item rows (...) as (..., d); in training with noise if the settings say so."""
        dense = None if self.item_vectors is None else self.item_vectors[rows]
        vectors: Tensor = self.items(rows, self.item_features[rows], dense)
        if self.training and self.config.embedding_noise:
            length = torch.linalg.vector_norm(vectors.detach(), dim=-1, keepdim=True)  # (..., 1)
            spread = self.noise[rows][..., None] * self.config.dim**-0.5 * length  # (..., 1)
            vectors = vectors + spread * torch.randn_like(vectors)
        return unit_length(vectors) if self.config.unit_length else vectors

    def embed_new(self, features: Tensor, dense: Tensor | None = None) -> Tensor:
        """Embed items that are new since training by their side features alone.

        Zeros if the model knows none of an item's values, and it has no dense vector.

        Parameters
        ----------
        features : int64 (n, W), rows in the table of side-feature values, 0 at padding.
        dense : float (n, D), dense vectors in unit length, zeros at an item that has none.

        Returns
        -------
        float (n, d)
        """
        vectors = self.items.embed_features(features, dense)
        return unit_length(vectors) if self.config.unit_length else vectors

    def scale_noise(self, behaviours: Tensor) -> None:
        """Scale each item's noise by the inverse root of its behaviours.

        What is seen often is known well.

        Parameters
        ----------
        behaviours : int64 (items,), the number of behaviours with each item.
        """
        self.noise = self.config.embedding_noise * torch.rsqrt(behaviours.to(self.noise) + 1)

    def item_table(self) -> Tensor:
        """Return the embeddings of all items (items, d), as retrieval and serving use them."""
        return self.embed(torch.arange(len(self.item_features), device=self.item_features.device))

    def tables_read(self, rows: Tensor) -> dict[str, Tensor]:
        """Return what items read of the weights with sparse gradients: which rows of each.

        Parameters
        ----------
        rows : int64 (n,), each once.

        Returns
        -------
        name of the parameter -> int64 rows, each once
        """
        weights = dict(self.named_parameters())
        sparse = {name for name in TABLES if name in weights and has_sparse_gradient(len(weights[name]))}
        if not isinstance(self.items.ids, nn.Embedding):  # SimEmb's vectors are of other items' rows too
            sparse.discard(IDS)
        features = {FEATURES: self.item_features[rows].unique()} if FEATURES in sparse else {}
        return dict.fromkeys(sparse - {FEATURES}, rows) | features

    def training_logits(self, history: Tensor) -> Tensor:
        """Return initial routing logits (B, K, L) of item rows: learned ones or fresh Gaussians.

        Parameters
        ----------
        history : int64 (B, L), item rows.
        """
        if self.config.learned_logits:
            is_sparse = has_sparse_gradient(len(self.routing_logits))
            logits = F.embedding(history, self.routing_logits, sparse=is_sparse)  # (B, L, K)
            return logits.transpose(1, 2)  # (B, K, L)
        shape = (len(history), self.config.num_interests, history.shape[1])
        return self.config.routing_sigma * torch.randn(shape, device=history.device)
