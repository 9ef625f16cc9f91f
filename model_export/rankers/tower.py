"""The layers that end every core: from what is known of each candidate, and of its user, to scores."""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn

__all__ = ["Tower", "relu"]


class Tower(nn.Module):
    """Hidden layers over candidates and their user, and a linear layer of T scores.

    The user's part of the first layer is computed once, not once a candidate.

    Parameters
    ----------
    candidate_width : numbers of each candidate.
    user_width : numbers of each user.
    hidden : widths of the hidden layers, at least one.
    outputs : T.
    dropout : share of the first hidden layer's values that a training step leaves out.
    activation : makes the activation of a layer of some width.
    """

    def __init__(
        self,
        candidate_width: int,
        user_width: int,
        hidden: tuple[int, ...],
        outputs: int,
        dropout: float,
        activation: Callable[[int], nn.Module],
    ) -> None:
        super().__init__()
        self.candidate = nn.Linear(candidate_width, hidden[0])
        self.user = nn.Linear(user_width, hidden[0], bias=False)
        later: list[nn.Module] = [activation(hidden[0]), nn.Dropout(dropout)]
        for width, following in pairwise(hidden):
            later += [nn.Linear(width, following), activation(following)]
        self.later = nn.Sequential(*later, nn.Linear(hidden[-1], outputs))

    def forward(self, candidate: Tensor, user: Tensor) -> Tensor:
        """Score candidates.

        Parameters
        ----------
        candidate : float (B, N, candidate_width).
        user : float (B, user_width).

        Returns
        -------
        float (B, N, T)
        """
        scores: Tensor = self.later(self.candidate(candidate) + self.user(user)[:, None])
        return scores


def relu(_width: int) -> nn.Module:
    """Return the activation of a layer of any width."""
    return nn.ReLU()
