"""The settings of a ranker, and the rankers that can be trained by name, each with its source."""

from dataclasses import dataclass, replace

__all__ = ["CORES", "DEFAULT_RANKER", "RANKERS", "RankerConfig", "RankerPreset", "ranker_preset"]

CORES = ("linear", "din", "dien", "tin", "diffumin", "infnet", "hcn")
DEFAULT_RANKER = "tin"


@dataclass(frozen=True)
class RankerConfig:
    """The network's settings; what only one core reads says so.

    Attributes
    ----------
    name : what people call the ranker.
    core : the network, one of CORES.
    dim : r, the length of the ranker's own item embeddings.
    hidden : widths of the hidden layers behind the core, at least one.
    tasks : what each of the T scores of a candidate foretells, such as click and purchase.
    history_length : L, how many of the most recent behaviours are read.
    dropout : share of the first hidden layer's values that a training step leaves out.
    unit_hidden : width of DIN's local activation unit.
    channels : C, interest channels of DiffuMIN, at most r.
    diffusion_steps : steps of DiffuMIN's diffusion; 0 generates no interests.
    proxies : how many proxies read the sequence for a candidate in INFNet.
    blocks : blocks of INFNet, each heterogeneous and then homogeneous.
    num_interests : K, interests of HCN.
    layers : layers of HCN's hierarchical extraction.
    short_length : how many of the most recent behaviours are the short history of HCN.
    auxiliary_weight : weight in training of what `auxiliary_loss` returns, see DIEN; 0 leaves it out.
    diffusion_weight, contrast_weight : of DiffuMIN's two auxiliary losses.
    table_penalty : weight in training of DIN's mini-batch aware regularisation of the item table.
    """

    name: str = "tin"
    core: str = "tin"
    dim: int = 32
    hidden: tuple[int, ...] = (64, 32)
    tasks: tuple[str, ...] = ("click",)
    history_length: int = 50
    dropout: float = 0.0
    unit_hidden: int = 16
    channels: int = 4
    diffusion_steps: int = 3
    proxies: int = 4
    blocks: int = 2
    num_interests: int = 4
    layers: int = 3
    short_length: int = 5
    auxiliary_weight: float = 0.0
    diffusion_weight: float = 1.0
    contrast_weight: float = 0.1
    table_penalty: float = 0.0

    def __post_init__(self) -> None:
        if self.core not in CORES:
            raise ValueError(f"core is {self.core!r}; it must be one of {', '.join(CORES)}")
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"tasks are {self.tasks}; right is one name or more, each once")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden is {self.hidden}; right is one width or more, each at least 1")
        widths = ("dim", "history_length", "unit_hidden", "channels", "proxies", "blocks")
        for name in (*widths, "num_interests", "layers", "short_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.channels > self.dim:
            raise ValueError(f"channels is {self.channels}; orthogonal ones can be at most dim, {self.dim}")
        for name in ("diffusion_steps", "auxiliary_weight", "diffusion_weight", "contrast_weight", "table_penalty"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a finite number, at least 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be from 0 to below 1")


@dataclass(frozen=True)
class RankerPreset:
    """Settings of a ranker.

    Attributes
    ----------
    source : where the model comes from.
    """

    source: str
    config: RankerConfig


RANKERS = {
    "tin": RankerPreset(
        "Zhou et al., Temporal Interest Network for User Response Prediction, WWW 2024 (tin.py)", RankerConfig()
    ),
    "din": RankerPreset(
        "Zhou et al., Deep Interest Network for Click-Through Rate Prediction, KDD 2018 (din.py)",
        RankerConfig(name="din", core="din", table_penalty=0.01),
    ),
    "dien": RankerPreset(
        "Zhou et al., Deep Interest Evolution Network for Click-Through Rate Prediction, AAAI 2019 (dien.py)",
        RankerConfig(name="dien", core="dien", auxiliary_weight=1.0),
    ),
    "diffumin": RankerPreset(
        "after Lai et al., Modeling Long-term User Behaviors with Diffusion-driven Multi-interest Network for CTR "
        "Prediction, RecSys 2025 (diffumin.py)",
        RankerConfig(name="diffumin", core="diffumin", auxiliary_weight=0.01),
    ),
    "infnet": RankerPreset(
        "after Li et al., INFNet: A Task-aware Information Flow Network for Large-Scale Recommendation Systems, 2025 "
        "(infnet.py)",
        RankerConfig(name="infnet", core="infnet"),
    ),
    "hcn": RankerPreset(
        "after Yuan et al., Hierarchical Multi-Interest Co-Network For Coarse-Grained Ranking, 2022 (hcn.py)",
        RankerConfig(name="hcn", core="hcn"),
    ),
    "linear": RankerPreset(
        "a weighted sum of the features, the plainest one (linear.py)", RankerConfig("linear", "linear")
    ),
}


def ranker_preset(name: str, tasks: tuple[str, ...] = ("click",)) -> RankerPreset:
    """Return the settings of a ranker by name, for these tasks.

    Raises
    ------
    ValueError
        If there is no ranker of that name.
    """
    if name not in RANKERS:
        raise ValueError(f"there is no ranker {name!r}; it must be one of {', '.join(RANKERS)}")
    found = RANKERS[name]
    return replace(found, config=replace(found.config, tasks=tasks))
