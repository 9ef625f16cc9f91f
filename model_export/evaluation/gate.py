"""The gate before a new bundle: HR@50 on held-out users and the recall of its index, compared with the current bundle.

It runs both bundles as serving does, by ONNX Runtime and max-sim, over the same behaviours. No torch.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_export.bundle.bundle import Bundle, BundleError
from model_export.bundle.check import check
from model_export.bundle.extractor import Capsules, Extractor
from model_export.bundle.registry import Registry
from model_export.bundle.scoring.history_raises import raised_by
from model_export.bundle.scoring.raised_items import RaisedItems, scores_of
from model_export.data.dataset import Vocabulary, build_sequences, build_vocabulary
from model_export.data.interactions import InteractionLog
from model_export.evaluation.cases import Cases, comirec_cases
from model_export.evaluation.metrics import metrics_per_case
from model_export.evaluation.rankers import top_columns
from model_export.evaluation.split import split_of
from model_export.models.training_config import TrainingConfig

__all__ = [
    "LEAST_RECALL",
    "Gate",
    "HeldOutUsers",
    "Verdict",
    "apply_gate",
    "current_or_none",
    "held_out_users",
    "hit_rate",
    "recall_objections",
    "users_of",
]

N = 50
MOST_CASES = 2_000
BATCH = 32  # users whose capsules are compared with all items at a time
LEAST_RECALL = 0.95  # below what `index build` aims at, which it measures on few capsules

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gate:
    """Thresholds that a new bundle must reach; all are shares from 0 to 1.

    Attributes
    ----------
    min_hr : least HR@50.
    max_drop : how far HR@50 may be below the current bundle's, as a share of that.
    min_recall : least recall@N of an HNSW index against exact search, for each N that the manifest records.
    """

    min_hr: float | None = None
    max_drop: float | None = None
    min_recall: float = LEAST_RECALL

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; it must be a share from 0 to 1")

    @property
    def needs_log(self) -> bool:
        """Tell whether a threshold is measured on a log."""
        return self.min_hr is not None or self.max_drop is not None


@dataclass(frozen=True)
class HeldOutUsers:
    """Users whose later behaviours are known: their histories, profiles and what followed.

    Those of `held_out_users` taught no weights. Trainings stop by such users and weigh own items by them
    (own_item_tuning.py), so a rate is a little too good.

    Attributes
    ----------
    rows : item -> the row that stands for it in the labels.
    histories, profiles, times_ms, types : of each user, as `Extractor.encode` takes them.
    labels : int64 (C, Y), the behaviours that followed, -1 at padding.
    """

    rows: dict[str, int]
    histories: list[list[str]]
    profiles: list[dict[str, str]]
    times_ms: list[list[int]]
    labels: np.ndarray
    types: list[list[str]] | None = None


@dataclass(frozen=True)
class Verdict:
    """Findings of the gate on one bundle.

    Attributes
    ----------
    objections : sentences; none if the bundle may be published.
    hr, current_hr : HR@50 of the new bundle and of the current one, None if it was not measured.
    cases : users that they were measured on.
    """

    objections: tuple[str, ...]
    hr: float | None = None
    current_hr: float | None = None
    cases: int = 0

    def __str__(self) -> str:
        if self.hr is None:
            return "HR@50 not measured"
        before = "" if self.current_hr is None else f" (the current one {100 * self.current_hr:.1f} %)"
        return f"HR@50 {100 * self.hr:.1f} %{before} of {self.cases:,} held-out users"


def apply_gate(bundle: Bundle, current: Bundle | None, gate: Gate, events: InteractionLog | None) -> Verdict:
    """Measure a new bundle and return the objections to publishing it.

    Parameters
    ----------
    current : what it would replace; None: nothing to compare with.
    events : the log whose held-out users are asked; None: HR@50 is not measured.

    Raises
    ------
    ValueError
        If HR@50 is asked for and there is no log, or nobody in it to ask.
    """
    objections = recall_objections(bundle, gate.min_recall)
    if events is None:
        if gate.needs_log:
            raise ValueError("the least HR@50 and the most drop of it are measured on a log (--log); none is given")
        return Verdict(tuple(objections))
    lengths = [one.manifest.history_length for one in (bundle, current) if one is not None]
    users = held_out_users(events, max(lengths))
    hr = hit_rate(bundle, users)
    current_hr = None if current is None else hit_rate(current, users)
    objections += _hit_objections(hr, current_hr, gate)
    return Verdict(tuple(objections), hr, current_hr, len(users.histories))


def recall_objections(bundle: Bundle, least: float) -> list[str]:
    """Return the objections to the bundle's HNSW index, by its recall in the manifest.

    `index build` measured it; exact search has recall 1.

    Parameters
    ----------
    least : least recall@N, for each N in the manifest.
    """
    if bundle.manifest.index.get("kind") != "hnsw":
        return []
    recall = bundle.manifest.index.get("recall")
    if not isinstance(recall, dict) or not recall:
        return [
            "the manifest records no recall of the HNSW index; `mindstream index build` measures it where --ef is 0"
        ]
    return [
        f"recall@{n} of the HNSW index is {value}; at least {least} is right (--min-recall)"
        for n, value in recall.items()
        if not (isinstance(value, int | float) and value >= least)
    ]


def _hit_objections(hr: float, current_hr: float | None, gate: Gate) -> list[str]:
    """Return the objections to a bundle with this HR@50."""
    objections = []
    if gate.min_hr is not None and hr < gate.min_hr:
        objections.append(f"HR@50 is {hr:.4f}; at least {gate.min_hr} is right (--min-hr)")
    if gate.max_drop is not None and current_hr is not None and hr < current_hr * (1 - gate.max_drop):
        objections.append(
            f"HR@50 is {hr:.4f}, {1 - hr / current_hr:.1%} below the current bundle's {current_hr:.4f}; "
            f"at most {gate.max_drop:.1%} is right (--max-drop)"
        )
    return objections


def current_or_none(registry: Registry) -> Bundle | None:
    """Return the current bundle, or None if there is none that can be compared with.

    So before the first one, and if it is damaged.
    """
    try:
        if registry.current_version() is None:
            return None
        bundle = registry.current()
        check(bundle)
        return bundle
    except BundleError as error:
        log.warning("the current bundle is damaged, so the new one is compared with none: %s", error)
        return None


def held_out_users(events: InteractionLog, length: int) -> HeldOutUsers:
    """Return the validation users with the last fifth of each as labels (ComiRec protocol).

    The log's own split says who they are, or a hash of the id.

    Parameters
    ----------
    length : most behaviours of a history.

    Raises
    ------
    ValueError
        If there is no such user.
    """
    training, vocabulary = TrainingConfig(), build_vocabulary(events)
    sequences = build_sequences(events, vocabulary)
    users = split_of(training, sequences.user_ids, events.sides).valid
    cases = comirec_cases(sequences, users, length, MOST_CASES, training.seed)
    if not len(cases):
        raise ValueError(f"{events.source}: none of its {len(users)} validation users has two behaviours or more")
    return users_of(cases, vocabulary)


def users_of(cases: Cases, vocabulary: Vocabulary) -> HeldOutUsers:
    """Return the users of cases with their items by id, for any bundle to be asked."""
    ids = np.array(vocabulary.item_ids, dtype=object)
    histories = [ids[rows[mask]].tolist() for rows, mask in zip(cases.history, cases.mask, strict=True)]
    times = [when[mask].tolist() for when, mask in zip(cases.times, cases.mask, strict=True)]
    names = np.array(["", *vocabulary.event_types], dtype=object)
    types = [names[kinds[mask]].tolist() for kinds, mask in zip(cases.types, cases.mask, strict=True)]
    rows = {item_id: row for row, item_id in enumerate(vocabulary.item_ids)}
    profiles = [_profile_of(one, vocabulary) for one in cases.profiles]
    return HeldOutUsers(rows, histories, profiles, times, cases.labels, types)


def _profile_of(rows: np.ndarray, vocabulary: Vocabulary) -> dict[str, str]:
    """Return profile field -> value of a user's rows (P,) in the profile tables, if known."""
    fields = zip(vocabulary.profile_fields.items(), rows.tolist(), strict=True)
    return {name: values[row - 1] for (name, values), row in fields if row}


def hit_rate(bundle: Bundle, users: HeldOutUsers) -> float:
    """Measure HR@50 by exact search over the bundle's items.

    Labels that are not among the bundle's items count as missed.

    Returns
    -------
    a share from 0 to 1
    """
    rows = np.array([users.rows.get(item_id, -1) for item_id in bundle.item_ids])
    raised = [raised_by(bundle, bundle.rows.known(history)) for history in users.histories]
    capsules = Extractor(bundle).encode(users.histories, users.profiles, users.times_ms, types=users.types)
    batches = [slice(at, at + BATCH) for at in range(0, len(capsules), BATCH)]
    top = np.concatenate(
        [_top_rows(bundle.item_embeddings, capsules[some], raised[some]) for some in batches]
    )  # (C, N)
    found = np.where(top >= 0, rows[top], -1)
    return float(metrics_per_case(found, users.labels, at=(N,))[f"hr@{N}"].mean())


def _top_rows(table: np.ndarray, users: list[Capsules], raised: Sequence[RaisedItems]) -> np.ndarray:
    """Return the N best rows of the item table (items, d) for each user: int64 (B, N).

    -1 stands for a missing candidate.

    Parameters
    ----------
    raised : of each user, see `raised_by`.
    """
    scores = np.full((len(users), len(table)), -np.inf, dtype=np.float32)
    for row, capsules in enumerate(users):
        if len(capsules.vectors):
            scores[row] = scores_of(capsules.vectors @ table.T, raised[row].spread(len(table)))
    return top_columns(scores, N)
