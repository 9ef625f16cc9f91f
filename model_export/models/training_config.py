"""Settings of the training; the model's dimensions are in model_config.py."""

import math
from dataclasses import dataclass

__all__ = ["STARTS", "TrainingConfig"]

LOSSES = ("label-aware", "joint")
SAMPLINGS = ("popularity", "uniform")
STARTS = ("random", "co-occurrence", "kgat")


@dataclass(frozen=True)
class TrainingConfig:
    """The training's settings. The defaults are MIND's; presets.py has those of every model.

    Attributes
    ----------
    steps : most steps; early stopping may end sooner. None: as many as pass over the targets six times (train.py).
    batch_size : (history, target) pairs a step.
    learning_rate : of AdamW, falling to zero along a cosine over `steps`.
    weight_decay : of AdamW, on embeddings only; 0 makes it Adam.
    loss : "label-aware": sampled softmax of the capsule that label-aware attention selects; "joint": all capsules share
        one softmax (losses.py).
    sharpness : beta of the joint softmax: with 1 what capsules say of an item is summed up, with much more the nearest
        capsule alone counts.
    negatives : sampled negatives, shared by the pairs of a step.
    negative_sampling : draw negatives by "popularity" or "uniform".
    hard_negatives : beta of REMI's interest-aware hard negatives, 0 for none.
    routing_penalty : lambda of REMI's routing regularisation, 0 for none.
    stability : weight of the term that keeps capsules still from one event to the next.
    separation : weight of the term that keeps a user's capsules apart.
    independence_steps : steps that learn, for each batch, weights of its users with which their interests do not depend
        on each other (independence.py); 0 weighs all the same.
    latent_penalty : weight of the term that keeps IDNP's latent near the standard normal one; 0 for other models.
    start : item embeddings start "random", from "co-occurrence" (cooccurrence.py), or from "kgat", which learns from
        who took what and from the side features (kgat.py).
    substitution : share of the behaviours in a history that a step replaces by an item that often goes with them.
    recency_half_life : targets of this age are drawn half as often as the newest, as a share of the log's time range;
        None draws all alike.
    averaging : decay that the running average of the weights comes to, which is kept in the end; 0 for the best at a
        look.
    neighbours : whether item-kNN's neighbours count beside max-sim, as much as the validation users say
        (blend_tuning.py).
    validate_every : steps between two looks at the validation users.
    patience : looks without a better recall@50 before training stops.
    valid_share, test_share : shares of the users that are held out of training, if the log names none.
    seed : of everything that is drawn.
    max_seconds : most seconds that the steps and the looks at the validation users take together; a step or look that
        has begun comes to its end. Only without it is the result the same on every machine.
    """

    steps: int | None = 3_000
    batch_size: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    loss: str = "label-aware"
    sharpness: float = 1.0
    negatives: int = 1_024
    negative_sampling: str = "popularity"
    hard_negatives: float = 0.0
    routing_penalty: float = 0.0
    stability: float = 0.0
    separation: float = 0.0
    independence_steps: int = 0
    latent_penalty: float = 0.0
    start: str = "random"
    substitution: float = 0.0
    recency_half_life: float | None = None
    averaging: float = 0.0
    neighbours: bool = False
    validate_every: int = 250
    patience: int = 4
    valid_share: float = 0.1
    test_share: float = 0.1
    seed: int = 7
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("loss", LOSSES), ("negative_sampling", SAMPLINGS), ("start", STARTS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(allowed)}")
        if self.loss != "label-aware" and self.hard_negatives:
            raise ValueError(
                f"hard_negatives is {self.hard_negatives} with the {self.loss} loss, which has none; it must be 0 there"
            )
        for name in ("steps", "batch_size", "negatives", "validate_every", "patience"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.independence_steps < 0:
            raise ValueError(f"independence_steps is {self.independence_steps}; it must be at least 0")
        for name in ("learning_rate", "recency_half_life", "max_seconds"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a finite number above 0")
        for name in ("weight_decay", "hard_negatives", "routing_penalty", "stability", "separation", "latent_penalty"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a finite number, at least 0")
        for name in ("substitution", "valid_share", "test_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be from 0 to 1")
        if not 0.1 <= self.sharpness <= 1_000:  # beyond, its powers leave the range of a float
            raise ValueError(f"sharpness is {self.sharpness}; it must be from 0.1 to 1000")
        if not 0 <= self.averaging < 1:  # with 1 the average stays what it began with
            raise ValueError(f"averaging is {self.averaging}; it must be from 0 to below 1")
        if not self.valid_share + self.test_share < 1:
            raise ValueError(
                f"valid_share is {self.valid_share} and test_share {self.test_share}; "
                "together they must be below 1, as somebody must be left to learn from"
            )
