"""How good the candidates are: HitRate@N, Recall@N and NDCG@N with all items scored by max-sim."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model_export.bundle import draw_routing_logits
from model_export.checkpoint import Checkpoint
from model_export.dataset import Sequences, Vocabulary, build_sequences, windows
from model_export.interactions import InteractionLog
from model_export.mind import InterestExtractor, ModelConfig

BATCH = 512


@dataclass(frozen=True)
class Cases:
    """Histories and the behaviours that really followed.

    Attributes
    ----------
    history : int64 (C, L), item rows, most recent last, 0 at padding.
    mask : bool (C, L).
    profiles : int64 (C, P).
    labels : int64 (C, Y), distinct item rows of what followed, -1 at padding.
    """

    history: np.ndarray
    mask: np.ndarray
    profiles: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.history)


@dataclass(frozen=True)
class Split:
    """Users for training, validation and test: int64 indices into Sequences.user_ids."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def split_users(user_ids: list[str], valid_share: float, test_share: float) -> Split:
    """Assign each user by a hash of the id, so that a user stays on the same side in every log and run."""
    place = np.array([int.from_bytes(hashlib.blake2b(u.encode(), digest_size=8).digest(), "big") for u in user_ids])
    place = place / 2.0**64
    test, valid = place < test_share, (place >= test_share) & (place < test_share + valid_share)
    return Split(*(np.flatnonzero(side) for side in (~test & ~valid, valid, test)))


def next_item_cases(sequences: Sequences, users: np.ndarray, length: int, most: int, seed: int) -> Cases:
    """Single behaviours predicted from those before them: at most `most` of these users, drawn by `seed`."""
    ends = [np.arange(sequences.starts[u] + 1, sequences.starts[u + 1]) for u in users]
    owners = np.repeat(users, [len(e) for e in ends])
    flat = np.concatenate([*ends, np.zeros(0, dtype=np.int64)])
    chosen = np.random.default_rng(seed).permutation(len(flat))[:most]
    flat, owners = flat[chosen], owners[chosen]
    history, mask = windows(sequences, flat, sequences.starts[owners], length)
    return Cases(history, mask, sequences.profiles[owners], sequences.items[flat][:, None])


def last_fifth_cases(sequences: Sequences, users: np.ndarray, length: int) -> Cases:
    """Each user's last 20 % of behaviours predicted from the first 80 % (users with five behaviours or more)."""
    users = users[sequences.lengths[users] >= 5]
    starts, ends = sequences.starts[users], sequences.starts[users + 1]
    cuts = starts + (ends - starts) * 4 // 5
    history, mask = windows(sequences, cuts, starts, length)
    distinct = [np.unique(sequences.items[cut:end]) for cut, end in zip(cuts, ends, strict=True)]
    labels = np.full((len(users), max((len(d) for d in distinct), default=1)), -1, dtype=np.int64)
    for row, items in zip(labels, distinct, strict=True):
        row[: len(items)] = items
    return Cases(history, mask, sequences.profiles[users], labels)


def serving_logits(vocabulary: Vocabulary, config: ModelConfig) -> Tensor:
    """The fixed routing logits that the bundle will have, float (items, K)."""
    return torch.from_numpy(draw_routing_logits(vocabulary.item_ids, config.num_interests, config.routing_sigma))


@torch.no_grad()
def top_n(extractor: InterestExtractor, item_table: Tensor, routing_logits: Tensor, cases: Cases, n: int) -> np.ndarray:
    """The n best item rows of each case by max over capsules of the inner product, best first: int64 (C, n).

    `item_table` (items, d) and `routing_logits` (items, K) are what serving will use.
    """
    found = []
    for at in range(0, len(cases), BATCH):
        history = torch.from_numpy(cases.history[at : at + BATCH]).to(item_table.device)
        mask = torch.from_numpy(cases.mask[at : at + BATCH]).to(item_table.device)
        profile = torch.from_numpy(cases.profiles[at : at + BATCH]).to(item_table.device)
        capsules, active, _ = extractor(
            item_table[history],
            mask,
            routing_logits[history].transpose(1, 2),
            profile if profile.shape[1] else None,
        )
        scores = capsules @ item_table.T  # (B, K, items)
        scores = scores.masked_fill(~active[:, :, None], -torch.inf).amax(1)  # (B, items)
        found.append(scores.topk(min(n, scores.shape[1]), dim=1).indices.cpu().numpy())
    return np.concatenate(found)


def metrics(top: np.ndarray, labels: np.ndarray, at: tuple[int, ...] = (20, 50)) -> dict[str, float]:
    """HitRate@N, Recall@N and NDCG@N, means over the cases, between 0 and 1.

    HitRate: share of cases with at least one label among the top N. Recall: share of the distinct labels found.
    NDCG: gains 1 / log2(rank + 1), divided by the best that this many labels allow.

    Parameters
    ----------
    top : int64 (C, n), best first, n >= max(at). labels : int64 (C, Y), -1 at padding.
    """
    hits = (top[:, :, None] == labels[:, None, :]).any(2)  # (C, n)
    counts = (labels >= 0).sum(1)  # (C,)
    discounts = 1 / np.log2(np.arange(max(at)) + 2)
    found = {}
    for n in at:
        here = hits[:, :n]
        ideal = np.array([discounts[: min(count, n)].sum() for count in counts])
        found[f"hr@{n}"] = float(here.any(1).mean())
        found[f"recall@{n}"] = float((here.sum(1) / counts).mean())
        found[f"ndcg@{n}"] = float(((here * discounts[: here.shape[1]]).sum(1) / ideal).mean())
    return found


def evaluate(checkpoint: Checkpoint, log: InteractionLog) -> dict[str, float]:
    """Metrics in % on the test users of the checkpoint's split, with the routing logits that serving uses.

    Raises
    ------
    ValueError
        If no test user has five behaviours or more with items that the model knows.
    """
    model, config = checkpoint.model.eval(), checkpoint.model.config
    sequences = build_sequences(log, checkpoint.vocabulary)
    split = split_users(sequences.user_ids, checkpoint.training.valid_share, checkpoint.training.test_share)
    cases = last_fifth_cases(sequences, split.test, config.history_length)
    if not len(cases):
        raise ValueError(f"{log.source}: none of the {len(split.test)} test users has five behaviours or more")
    logits = serving_logits(checkpoint.vocabulary, config)
    with torch.no_grad():
        top = top_n(model.extractor, model.item_table(), logits, cases, 50)
    found = {name: 100 * value for name, value in metrics(top, cases.labels).items()}
    return {"users": len(cases), **found}
