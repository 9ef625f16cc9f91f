"""What a ranker reads of B users and their candidates; in ONNX each field is an input of that name."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

__all__ = ["INPUT_NAMES", "RankerInputs"]


@dataclass(frozen=True)
class RankerInputs:
    """Histories and candidates of B users; a field that the network does not read may be empty.

    Attributes
    ----------
    behaviours : float (B, L, r), the ranker's own embeddings of the most recent behaviours, the most recent last,
        padded in front; what stands at padding has no influence.
    mask : bool (B, L), True at behaviours.
    gaps : int64 (B, L), how long before the question each one was, in the buckets of time_gaps.py.
    types : int64 (B, L), rows of the event types, 0 for unknown.
    profile : int64 (B, P), the row of each profile field's value, 0 for unknown.
    candidates : float (B, N, r), the ranker's own embeddings of the candidates.
    candidate_features : float (B, N, F), see features.py.
    capsules : float (B, K, d), the matching model's.
    """

    behaviours: Tensor
    mask: Tensor
    gaps: Tensor
    types: Tensor
    profile: Tensor
    candidates: Tensor
    candidate_features: Tensor
    capsules: Tensor

    @classmethod
    def of(cls, **named: Tensor) -> "RankerInputs":
        """Return inputs of some fields; the others are empty."""
        empty = torch.empty(0)
        return cls(**{name: named.get(name, empty) for name in INPUT_NAMES})

    def with_features(self, features: Tensor) -> "RankerInputs":
        """Return the same inputs with other features of the candidates."""
        return replace(self, candidate_features=features)

    def to(self, device: torch.device | str) -> "RankerInputs":
        """Return the inputs on a device."""
        return RankerInputs(**{name: getattr(self, name).to(device) for name in INPUT_NAMES})


INPUT_NAMES = tuple(field.name for field in fields(RankerInputs))
