"""The models that can be trained by name, each a set of switches of the same training, with its source."""

from dataclasses import dataclass, replace
from typing import Any

from model_export.models.model_config import ModelConfig
from model_export.models.training_config import TrainingConfig

__all__ = ["DEFAULT", "PRESETS", "Preset", "one_interest", "preset"]

DEFAULT = "steady"


@dataclass(frozen=True)
class Preset:
    """Settings of a model and of its training.

    Attributes
    ----------
    source : where the model comes from.
    """

    source: str
    model: ModelConfig
    training: TrainingConfig


MIND = Preset(
    "Li et al., Multi-Interest Network with Dynamic Routing for Recommendation at Tmall, CIKM 2019",
    ModelConfig(),
    TrainingConfig(),
)
STEADY = Preset(
    "MIND with routing logits that belong to the items, unit-length tables, one softmax over all interests (steady.py)",
    ModelConfig(
        name="steady",
        extractor="steady",
        num_interests=4,
        adaptive_interests=False,
        learned_logits=True,
        unit_length=True,
        time_gaps=True,
        types=True,
        repeats=True,
        behaviour_dropout=0.2,
        embedding_noise=1.0,
    ),
    TrainingConfig(
        steps=None,
        batch_size=512,
        learning_rate=4e-3,
        weight_decay=0.05,
        loss="joint",
        sharpness=2.0,
        negatives=1_024,
        negative_sampling="uniform",
        stability=1.5,
        start="co-occurrence",
        substitution=0.15,
        recency_half_life=1 / 3,
        averaging=0.998,
        neighbours=True,
        patience=8,
    ),
)
COMIREC: dict[str, Any] = {"num_interests": 4, "adaptive_interests": False}  # every user has all K
PRESETS = {
    "steady": STEADY,
    "mind": MIND,
    "simemb": Preset(
        "Steady with the item table of SimRec, Attribute Simulation for Item Embedding Enhancement in Multi-Interest "
        "Recommendation, WSDM 2024 (simemb.py)",
        replace(STEADY.model, name="simemb", item_table="simemb"),
        STEADY.training,
    ),
    "mind-1": Preset("MIND with one interest", replace(MIND.model, name="mind-1", num_interests=1), MIND.training),
    "mind-soft": Preset(
        "MIND with a soft selection of the interest: all capsules in one softmax (losses.py)",
        replace(MIND.model, name="mind-soft"),
        replace(MIND.training, loss="joint"),
    ),
    "youtube-dnn": Preset(
        "Covington et al., Deep Neural Networks for YouTube Recommendations, RecSys 2016",
        replace(MIND.model, name="youtube-dnn", extractor="mean", num_interests=1),
        MIND.training,
    ),
    "maxmf": Preset(
        "Weston et al., Nonlinear latent factorization by embedding multiple user interests, RecSys 2013",
        replace(MIND.model, name="maxmf", extractor="maxmf", routing_iterations=3),
        MIND.training,
    ),
    "comirec-sa": Preset(
        "Cen et al., Controllable Multi-Interest Framework for Recommendation, KDD 2020 (self-attention)",
        replace(MIND.model, name="comirec-sa", extractor="self-attention", **COMIREC),
        MIND.training,
    ),
    "comirec-dr": Preset(
        "Cen et al., Controllable Multi-Interest Framework for Recommendation, KDD 2020 (dynamic routing)",
        replace(MIND.model, name="comirec-dr", extractor="unshared-routing", routing_iterations=3, **COMIREC),
        MIND.training,
    ),
    "remi": Preset(
        "Xie et al., Rethinking Multi-Interest Learning for Candidate Matching in Recommender Systems, RecSys 2023",
        replace(MIND.model, name="remi", extractor="self-attention", **COMIREC),
        replace(MIND.training, hard_negatives=0.1, routing_penalty=100.0, negative_sampling="uniform"),
    ),
    "desmil": Preset(
        "after Liu et al., Improving Multi-Interest Network with Stable Learning, 2022 (independence.py)",
        replace(MIND.model, name="desmil", extractor="self-attention", **COMIREC),
        replace(MIND.training, independence_steps=5),
    ),
    "hcn": Preset(
        "after Yuan et al., Hierarchical Multi-Interest Co-Network For Coarse-Grained Ranking, 2022 (hcn.py)",
        replace(MIND.model, name="hcn", extractor="hcn", routing_iterations=3, **COMIREC),
        MIND.training,
    ),
    "idnp": Preset(
        "after Du et al., IDNP: Interest Dynamics Modeling using Generative Neural Processes, WSDM 2023 (idnp.py)",
        replace(MIND.model, name="idnp", extractor="idnp", time_gaps=True, **COMIREC),
        replace(MIND.training, latent_penalty=1e-3),
    ),
}


def preset(name: str) -> Preset:
    """Return the settings of a model by name.

    Raises
    ------
    ValueError
        If there is no model of that name.
    """
    if name not in PRESETS:
        raise ValueError(f"there is no model {name!r}; it must be one of {', '.join(PRESETS)}")
    return PRESETS[name]


def one_interest(base: Preset) -> Preset:
    """Return the same model and training with a single interest."""
    return replace(base, model=replace(base.model, num_interests=1))
