"""The gate before a new bundle: HR@50 and the ranked page's NDCG@10 of held-out users, the recall of its index.

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
from model_export.evaluation.page_ndcg import PAGE, PageOrder
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
    "page_ndcg",
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
    max_drop : how far HR@50 may be below the current bundle's, as a share of that; likewise the page's NDCG@10, where
        one of them has a ranker.
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
    asked_ms : when the first of them was, Unix time in milliseconds; none: at the last behaviour of the history.
    """

    rows: dict[str, int]
    histories: list[list[str]]
    profiles: list[dict[str, str]]
    times_ms: list[list[int]]
    labels: np.ndarray
    types: list[list[str]] | None = None
    asked_ms: list[int] | None = None


@dataclass(frozen=True)
class Verdict:
    """Findings of the gate on one bundle.

    Attributes
    ----------
    objections : sentences; none if the bundle may be published.
    hr, current_hr : HR@50 of the new bundle and of the current one, None if it was not measured.
    cases : users that they were measured on.
    ndcg, current_ndcg : NDCG@10 of the pages of both, where one of them has a ranker.
    """

    objections: tuple[str, ...]
    hr: float | None = None
    current_hr: float | None = None
    cases: int = 0
    ndcg: float | None = None
    current_ndcg: float | None = None

    def __str__(self) -> str:
        if self.hr is None:
            return "HR@50 not measured"
        page = "" if self.ndcg is None else f", NDCG@10 {_beside(self.ndcg, self.current_ndcg)}"
        return f"HR@50 {_beside(self.hr, self.current_hr)}{page} of {self.cases:,} held-out users"


def _beside(value: float, current: float | None) -> str:
    """Format a share in %, and the current bundle's."""
    return f"{100 * value:.1f} %" + ("" if current is None else f" (the current one {100 * current:.1f} %)")


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
    ndcg = current_ndcg = None
    if any(one.manifest.ranker for one in (bundle, current) if one is not None):
        ndcg = page_ndcg(bundle, users)
        current_ndcg = None if current is None else page_ndcg(current, users)
        objections += _page_objections(ndcg, current_ndcg, gate)
    return Verdict(tuple(objections), hr, current_hr, len(users.histories), ndcg, current_ndcg)


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


def _page_objections(ndcg: float, current_ndcg: float | None, gate: Gate) -> list[str]:
    """Return the objections to a bundle whose pages have this NDCG@10."""
    if gate.max_drop is None or current_ndcg is None or ndcg >= current_ndcg * (1 - gate.max_drop):
        return []
    return [
        f"NDCG@10 of the page is {ndcg:.4f}, {1 - ndcg / current_ndcg:.1%} below the current bundle's "
        f"{current_ndcg:.4f}; at most {gate.max_drop:.1%} is right (--max-drop)"
    ]


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
    return HeldOutUsers(rows, histories, profiles, times, cases.labels, types, cases.asked_ms.tolist())


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
    rows = _rows_of(bundle, users)
    raised = [raised_by(bundle, bundle.rows.known(history)) for history in users.histories]
    capsules = Extractor(bundle).encode(users.histories, users.profiles, users.times_ms, types=users.types)
    batches = [slice(at, at + BATCH) for at in range(0, len(capsules), BATCH)]
    top = np.concatenate(
        [_top_rows(bundle.item_embeddings, capsules[some], raised[some]) for some in batches]
    )  # (C, N)
    found = np.where(top >= 0, rows[top], -1)
    return float(metrics_per_case(found, users.labels, at=(N,))[f"hr@{N}"].mean())


def page_ndcg(bundle: Bundle, users: HeldOutUsers) -> float:
    """Measure NDCG@10 of the pages that a bundle serves, ranked where it has a ranker.

    Popularity and trend are those of the log's end, as in serving, so the figure is a little too good; alike for both
    bundles that are compared.

    Returns
    -------
    a share from 0 to 1
    """
    rows, order = _rows_of(bundle, users), PageOrder(bundle)
    capsules = order.extractor.encode(users.histories, users.profiles, users.times_ms, types=users.types)
    asked_ms = users.asked_ms or [max(times, default=0) for times in users.times_ms]
    pages = np.full((len(capsules), PAGE), -1)
    for at, (history, its) in enumerate(zip(users.histories, capsules, strict=True)):
        if len(its.vectors):
            bonus = raised_by(bundle, bundle.rows.known(history)).spread(len(rows))
            types = [""] * len(history) if users.types is None else users.types[at]
            about = (history, users.times_ms[at], types, users.profiles[at], its, asked_ms[at])
            pages[at] = order.top(scores_of(its.vectors @ bundle.item_embeddings.T, bonus), *about)
    found = np.where(pages >= 0, rows[pages], -1)
    return float(metrics_per_case(found, users.labels, at=(PAGE,))[f"ndcg@{PAGE}"].mean())


def _rows_of(bundle: Bundle, users: HeldOutUsers) -> np.ndarray:
    """Return the row that stands for each of the bundle's items in the labels.

    int64 (items,), -1 for none.
    """
    return np.array([users.rows.get(item_id, -1) for item_id in bundle.item_ids])


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
