"""SASRec: behaviours attend to those before them.

Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018: items and learned positions, two blocks of
self-attention and a feed-forward network at each position, each with layer normalisation before it, dropout and the
input added. Of the paper is the encoder here; loss and lengths are not (training.py, next_item.py).
"""

import torch
from torch import Tensor, nn

__all__ = ["SasRecEncoder"]

BLOCKS, HEADS = 2, 1


class SasRecEncoder(nn.Module):
    """The encoder of SASRec.

    Parameters
    ----------
    dim : d, dimensions of behaviours and states.
    length : L, most behaviours.
    dropout : share of values that training leaves out.
    """

    def __init__(self, dim: int, length: int, dropout: float) -> None:
        super().__init__()
        self.positions = nn.Parameter(0.02 * torch.randn(length, dim))  # the last is that of the latest behaviour
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(_Block(dim, dropout) for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(dim)

    def forward(self, behaviours: Tensor, readable: Tensor, times: Tensor) -> Tensor:
        """Return the state after each behaviour, float (B, L, d).

        Parameters
        ----------
        behaviours : float (B, L, d), most recent last.
        readable : bool (B, L, L), see `may_read`.
        times : int64 (B, L); SASRec knows the order alone.
        """
        states = self.dropout(behaviours + self.positions[-behaviours.shape[1] :])
        for block in self.blocks:
            states = block(states, ~readable)
        found: Tensor = self.norm(states)
        return found


class _Block(nn.Module):
    """Self-attention and a feed-forward network."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.forward_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, HEADS, dropout, batch_first=True)
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(dim, dim), nn.Dropout(dropout)
        )

    def forward(self, states: Tensor, hidden: Tensor) -> Tensor:
        """Return the next states (B, L, d); hidden (B, L, L) says what each position may not read."""
        queries = self.attention_norm(states)
        attended, _ = self.attention(queries, queries, queries, attn_mask=hidden, need_weights=False)
        states = states + attended
        found: Tensor = states + self.feed_forward(self.forward_norm(states))
        return found
