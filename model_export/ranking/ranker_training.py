"""Settings of a ranker's training; those of its network are in rankers/ranker_config.py."""

import math
from dataclasses import dataclass, field

from model_export.ranking.lists import ListSettings

__all__ = ["RankerTraining"]


@dataclass(frozen=True)
class RankerTraining:
    """The training of a ranker.

    Attributes
    ----------
    lists : how a list is made of a training user's behaviour.
    examples : most lists that are learned from, drawn from all behaviours of training users that follow another one.
    epochs : most passes over them; early stopping may end sooner.
    batch_size : lists a step.
    learning_rate : of AdamW, falling to zero along a cosine over all steps.
    weight_decay : of AdamW, on item embeddings only.
    recency_half_life : a list weighs half as much for each such share of the log's range that it is older; None: all
        weigh alike.
    patience : looks at the validation users, one an epoch, without a better NDCG@10 after which training ends.
    valid_cases : most lists of validation users, of each of the two kinds: the time ahead and the next behaviour.
    ridge : what holds the weights of the held-out features near zero (held_out.py).
    candidates : how many candidates serving ranks by default.
    max_seconds : training ends after so long; None: it may take its time.
    """

    lists: ListSettings = field(default_factory=ListSettings)
    examples: int = 30_000
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    recency_half_life: float | None = None
    patience: int = 2
    valid_cases: int = 1_000
    ridge: float = 1e-3
    candidates: int = 1_000
    seed: int = 7
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("examples", "epochs", "batch_size", "patience", "valid_cases", "candidates"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("learning_rate", "recency_half_life", "max_seconds"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a finite number above 0")
        for name in ("weight_decay", "ridge"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a finite number, at least 0")
