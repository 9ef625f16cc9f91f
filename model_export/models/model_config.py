"""The dimensions and switches of a model; training has its own settings (training_config.py)."""

import math
from dataclasses import dataclass

__all__ = ["EXTRACTORS", "ModelConfig"]

ITEM_TABLES = ("ids", "simemb")
EXTRACTORS = ("mind", "mean", "maxmf", "self-attention", "unshared-routing", "steady", "hcn", "idnp")
READ_TIMES = ("steady", "idnp")


@dataclass(frozen=True)
class ModelConfig:
    """The network's settings. The defaults are MIND's; presets.py has those of every model.

    Attributes
    ----------
    name : what people call the model.
    extractor : how behaviours become capsules, one of EXTRACTORS.
    dim : d, the length of item embeddings and capsules.
    num_interests : K, the most capsules a user can have.
    adaptive_interests : whether a user has K' = max(1, min(K, log2 n)) capsules for n behaviours, or always K.
    history_length : L, how many of the most recent behaviours are read.
    routing_iterations : iterations of B2I dynamic routing (algorithm 1), or layers of HCN.
    short_length : how many of the most recent behaviours are the short history of HCN, and the first scale of IDNP.
    routing_sigma : standard deviation of the Gaussian that the initial routing logits are drawn from (algorithm 1).
    map_gain : scale of the initial S. The larger S, the harder the routing: with the usual gain of 1 behaviours are
        spread almost evenly, and the capsules of a user come out alike.
    pow_p : p of label-aware attention; math.inf picks the best capsule alone.
    hidden : width of the ReLU layer behind the capsules, or of self-attention.
    profile_dim : length of one profile field's embedding.
    learned_logits : whether the items' routing logits are learned, or stay as drawn.
    unit_length : whether items and capsules have length 1; scores are then cosines times a learned scale.
    time_gaps : whether a behaviour's weight also depends on how long before the last one it was; nothing is read of the
        times of a log that has none. Steady, and IDNP, whose interests then also depend on when they are asked for.
    types : whether a behaviour's weight also depends on its event type; nothing is read of a log whose behaviours are
        all of one type. Steady only.
    repeats : whether items of the history get a score of their own on top of max-sim (own_items.py).
    behaviour_dropout : share of the behaviours that a training step leaves out.
    embedding_noise : length of the Gaussian noise on item embeddings in training, relative to theirs, of an item that
        was never seen; it falls with the root of an item's behaviours.
    item_table : "ids" learns a vector for each item's id; "simemb" makes it of the vectors of the items that stand
        beside it in the histories of the training users (simemb.py).
    table_neighbours : m, of how many vectors simemb makes an item's, its own among them.
    """

    name: str = "mind"
    extractor: str = "mind"
    dim: int = 64
    num_interests: int = 5
    adaptive_interests: bool = True
    history_length: int = 50
    routing_iterations: int = 6
    short_length: int = 5
    routing_sigma: float = 1.0
    map_gain: float = 16.0
    pow_p: float = float("inf")
    hidden: int = 256
    profile_dim: int = 8
    learned_logits: bool = False
    unit_length: bool = False
    time_gaps: bool = False
    types: bool = False
    repeats: bool = False
    behaviour_dropout: float = 0.0
    embedding_noise: float = 0.0
    item_table: str = "ids"
    table_neighbours: int = 20

    def __post_init__(self) -> None:
        if self.extractor not in EXTRACTORS:
            raise ValueError(f"extractor is {self.extractor!r}; it must be one of {', '.join(EXTRACTORS)}")
        if self.item_table not in ITEM_TABLES:
            raise ValueError(f"item_table is {self.item_table!r}; it must be one of {', '.join(ITEM_TABLES)}")
        if self.table_neighbours < 2:
            raise ValueError(
                f"table_neighbours is {self.table_neighbours}; it must be at least 2, the item and a neighbour"
            )
        lengths = ("dim", "history_length", "short_length", "hidden", "profile_dim")
        for name in (*lengths, "num_interests", "routing_iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("routing_sigma", "map_gain"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a finite number above 0")
        if not self.pow_p >= 0:
            raise ValueError(f"pow_p is {self.pow_p}; it must be at least 0, or inf for the argmax")
        if self.types and self.extractor != "steady":
            raise ValueError(f"types is True for extractor {self.extractor!r}; only steady reads them")
        if self.time_gaps and self.extractor not in READ_TIMES:
            raise ValueError(
                f"time_gaps is True for extractor {self.extractor!r}; only {' and '.join(READ_TIMES)} read them"
            )
        if not 0 <= self.behaviour_dropout < 1:
            raise ValueError(f"behaviour_dropout is {self.behaviour_dropout}; it must be from 0 to below 1")
        if self.behaviour_dropout and self.extractor != "steady":
            raise ValueError(
                f"behaviour_dropout is {self.behaviour_dropout} for extractor {self.extractor!r}, which has none; "
                "it must be 0 there"
            )
        if not 0 <= self.embedding_noise < math.inf:
            raise ValueError(f"embedding_noise is {self.embedding_noise}; it must be a finite number, at least 0")

    @property
    def reads_profile(self) -> bool:
        """Tell whether a user's profile has a part in the capsules."""
        return self.extractor in ("mind", "mean", "steady")

    @property
    def reads_asked_gap(self) -> bool:
        """Tell whether the capsules depend on how long after the last behaviour somebody asks."""
        return self.extractor == "idnp" and self.time_gaps

    @property
    def draws_logits(self) -> bool:
        """Tell whether training draws the initial routing logits of capsules anew at each step."""
        return self.extractor in ("mind", "maxmf") and not self.learned_logits
