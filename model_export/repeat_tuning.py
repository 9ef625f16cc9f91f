"""How much a user's own items get, raised on the validation users as item-kNN's own items are (item_knn.py).

Training asks for the very next behaviour, and within a visit hardly anybody takes a thing twice; candidates are asked
what somebody comes for in the time ahead. So what training learned of repeats is right about their ages and too little.
"""

import numpy as np
import torch
from tqdm import tqdm

from model_export.cases import Cases
from model_export.metrics import per_case
from model_export.model import InterestModel
from model_export.model_ranker import top_n

RAISES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)  # beside cosines
N = 20  # with as many candidates as a history has behaviours there is room for all of its items, and none costs any


@torch.no_grad()
def raise_repeats(model: InterestModel, cases: Cases, progress: bool) -> float:
    """Add to `model.repeat_bonus`, at all ages alike, what gives the best recall@20, and say how much that was.

    Of those that are equal the least. Nothing where the model knows no bonus, or there are no cases to tell by.
    """
    learned = model.repeat_bonus
    if model.log_repeat_bonus is None or learned is None or not len(cases):
        return 0.0
    recalls = []
    for by in tqdm(RAISES, desc="weighing repeats", disable=not progress):
        model.log_repeat_bonus.copy_((learned + by).log())
        recalls.append(per_case(top_n(model, cases, N), cases.labels, at=(N,))[f"recall@{N}"].mean())
    best = RAISES[int(np.argmax(recalls))]
    model.log_repeat_bonus.copy_((learned + best).log())
    return best
