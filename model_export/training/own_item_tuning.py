"""Tuning of the repeat bonus on the validation users, as item-kNN's own items are tuned (item_knn.py).

Training asks for the very next behaviour, and within a visit hardly anybody takes a thing twice; candidates are also
asked what somebody comes for in the time ahead, where own items count for more. Weighed by that alone they would fill
the list at the cost of the next behaviour, so both are asked, and count alike.
"""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from model_export.evaluation.cases import Cases
from model_export.models.interest_model import InterestModel
from model_export.training.loop import validate

__all__ = ["RAISES", "set_repeat_bonus", "tune_repeat_bonus"]

RAISES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)  # beside cosines

log = logging.getLogger(__name__)


@torch.no_grad()
def tune_repeat_bonus(model: InterestModel, questions: Sequence[Cases], progress: bool) -> float:
    """Raise `model.repeat_bonus`, at all ages alike, to the best recall@50 on cases.

    Of those that are equal the least. Nothing changes if the model has no bonus, if its scores are not cosines, or if
    there are no cases to tell by.

    Parameters
    ----------
    questions : what is asked of the same users, such as the time ahead and the next behaviour; the mean of their
        recalls decides, however many cases each has.

    Returns
    -------
    the amount, one of RAISES
    """
    if model.log_repeat_bonus is None or not model.config.unit_length or not all(map(len, questions)):
        return 0.0
    learned = model.log_repeat_bonus.clone()
    recalls = []
    for by in tqdm(RAISES, desc="weighing repeats", disable=not progress):
        set_repeat_bonus(model, learned, by)
        recalls.append(np.mean([validate(model, cases)["recall@50"] for cases in questions]))
    best = RAISES[int(np.argmax(recalls))]
    set_repeat_bonus(model, learned, best)
    if best:
        log.info("items of a user's own history get %g more than training gave them, by the validation users", best)
    return best


@torch.no_grad()
def set_repeat_bonus(model: InterestModel, learned: Tensor, by: float) -> None:
    """Set the bonus to what was learned plus `by`.

    Parameters
    ----------
    learned : (L,), the logarithm of the learned bonus.
    """
    assert model.log_repeat_bonus is not None
    model.log_repeat_bonus.copy_((learned.exp() + by).log() if by else learned)
