"""HSTU: attention without softmax, gated, with a bias for distance and time.

Zhai et al., "Actions Speak Louder than Words: Trillion-Parameter Sequential Transducers for Generative
Recommendations", ICML 2024; written after reading the authors' public code (generative-recommenders), without its
fused kernels. Of a layer: U, V, Q, K are SiLU of one linear map of the normalised input; the attention is
SiLU(Q K' + bias) / L; the output is a linear map of U * norm(attention V), and the input is added. The bias is learned
by distance in positions and by the logarithm of the time between two behaviours. Theirs counts the time from the
behaviour that is to be predicted; ours from the latest one that is read, since whoever asks has not got the next one.
Loss and lengths are ours too (training.py, next_item.py).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["HstuEncoder"]

LAYERS, HEADS = 2, 2
BUCKETS = 32  # of the logarithm to base 2 of seconds: the last one is of more than a hundred years


class HstuEncoder(nn.Module):
    """The encoder of HSTU.

    Parameters
    ----------
    dim : d, dimensions of behaviours and states, a multiple of the heads.
    length : L, most behaviours.
    dropout : share of values that training leaves out.
    """

    def __init__(self, dim: int, length: int, dropout: float) -> None:
        super().__init__()
        self.positions = nn.Parameter(0.02 * torch.randn(length, dim))  # the last is that of the latest behaviour
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(_Layer(dim, length, dropout) for _ in range(LAYERS))

    def forward(self, behaviours: Tensor, readable: Tensor, times: Tensor) -> Tensor:
        """Return the state after each behaviour, float (B, L, d).

        Parameters
        ----------
        behaviours : float (B, L, d), most recent last.
        readable : bool (B, L, L), see `may_read`.
        times : int64 (B, L), Unix time in milliseconds.
        """
        states: Tensor = self.dropout(behaviours + self.positions[-behaviours.shape[1] :])
        gaps = time_buckets(times)  # (B, L, L)
        for layer in self.layers:
            states = layer(states, readable, gaps)
        return states


def time_buckets(times: Tensor) -> Tensor:
    """Return log2 of 1 + seconds between each two behaviours, as buckets: int64 (B, L, L).

    Parameters
    ----------
    times : int64 (B, L), Unix time in milliseconds.
    """
    seconds = (times[:, :, None] - times[:, None, :]).clamp_min(0) / 1_000
    return torch.log2(1 + seconds).long().clamp_max(BUCKETS - 1)


class _Layer(nn.Module):
    """One layer; see the module."""

    def __init__(self, dim: int, length: int, dropout: float) -> None:
        super().__init__()
        self.length = length
        self.norm, self.attention_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.uvqk, self.out = nn.Linear(dim, 4 * dim), nn.Linear(dim, dim)
        self.by_distance = nn.Parameter(0.02 * torch.randn(length))
        self.by_time = nn.Parameter(0.02 * torch.randn(BUCKETS))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, readable: Tensor, gaps: Tensor) -> Tensor:
        """Return the next states (B, L, d)."""
        u, v, q, k = F.silu(self.uvqk(self.norm(states))).chunk(4, dim=-1)  # (B, L, d) each
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (q, k, v))  # (B, heads, L, d / heads)
        places = torch.arange(states.shape[1], device=states.device)
        distance = (places[:, None] - places).clamp_min(0)  # (L, L), of what may be read
        bias = self.by_distance[distance] + self.by_time[gaps]  # (B, L, L)
        attention = F.silu(q @ k.transpose(2, 3) + bias[:, None]) / self.length * readable[:, None]  # (B, heads, L, L)
        attended = (attention @ v).transpose(1, 2).flatten(2)  # (B, L, d)
        found: Tensor = states + self.out(self.dropout(u * self.attention_norm(attended)))
        return found
