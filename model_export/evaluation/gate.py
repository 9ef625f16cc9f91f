"""What a new bundle must show before it replaces the current one: hits on held-out users, and recall of its index.

It runs both bundles as serving does, by ONNX Runtime and max-sim, over the same behaviours. No torch.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_export.bundle.check import check
from model_export.bundle.extractor import Capsules, Extractor
from model_export.bundle.format import Bundle, BundleError
from model_export.bundle.own_items import OwnItems, own_items, scores_of
from model_export.bundle.registry import Registry
from model_export.data.dataset import Vocabulary, build_sequences, build_vocabulary
from model_export.data.interactions import InteractionLog
from model_export.evaluation.cases import comirec_cases
from model_export.evaluation.metrics import per_case
from model_export.evaluation.rankers import best
from model_export.evaluation.split import split_of
from model_export.models.training_config import TrainingConfig

__all__ = [
    "LEAST_RECALL",
    "Exam",
    "Gate",
    "Verdict",
    "current_or_none",
    "exam_of",
    "hit_rate",
    "judge",
    "recall_objections",
]

N = 50
MOST_CASES = 2_000
BATCH = 32  # users whose capsules are compared with all items at a time
LEAST_RECALL = 0.95  # below what `index build` aims at, which it measures on few capsules

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gate:
    """What is asked; all are shares from 0 to 1.

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
        """Whether it asks for anything that only a log tells."""
        return self.min_hr is not None or self.max_drop is not None


@dataclass(frozen=True)
class Exam:
    """Users that taught no weights: what is known of them, and what they did then.

    Trainings stop by such users and weigh own items by them (repeat_tuning.py), so a rate is a little too good.

    Attributes
    ----------
    rows : item -> the row that stands for it in the labels.
    histories, profiles, times_ms : of each user, as `Extractor.encode` takes them.
    labels : int64 (C, Y), the behaviours that followed, -1 at padding.
    """

    rows: dict[str, int]
    histories: list[list[str]]
    profiles: list[dict[str, str]]
    times_ms: list[list[int]]
    labels: np.ndarray


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes
    ----------
    objections : sentences; none where the bundle may be published.
    hr, current_hr : HR@50 of the new bundle and of the current one, None where it was not measured.
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


def judge(bundle: Bundle, current: Bundle | None, gate: Gate, events: InteractionLog | None) -> Verdict:
    """Ask the gate's questions of a new bundle.

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
    exam = exam_of(events, max(lengths))
    hr = hit_rate(bundle, exam)
    current_hr = None if current is None else hit_rate(current, exam)
    objections += _hit_objections(hr, current_hr, gate)
    return Verdict(tuple(objections), hr, current_hr, len(exam.histories))


def recall_objections(bundle: Bundle, least: float) -> list[str]:
    """What speaks against the bundle's HNSW index, by what `index build` measured; exact search has recall 1."""
    if bundle.manifest.index.get("kind") != "hnsw":
        return []
    recall = bundle.manifest.index.get("recall")
    if not isinstance(recall, dict) or not recall:
        return ["the manifest records no recall of the HNSW index; `python -m index build` measures it where --ef is 0"]
    return [
        f"recall@{n} of the HNSW index is {value}; at least {least} is right (--min-recall)"
        for n, value in recall.items()
        if not (isinstance(value, int | float) and value >= least)
    ]


def _hit_objections(hr: float, current_hr: float | None, gate: Gate) -> list[str]:
    """What speaks against a bundle with this HR@50."""
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
    """The current bundle; None before the first, or where it is damaged, so that nothing can be compared with it."""
    if registry.current_version() is None:
        return None
    try:
        bundle = registry.current()
        check(bundle)
        return bundle
    except BundleError as error:
        log.warning("the current bundle is damaged, so the new one is compared with none: %s", error)
        return None


def exam_of(events: InteractionLog, length: int) -> Exam:
    """The last fifth of each validation user, as in ComiRec's protocol; a hash of the id says who is one.

    Raises
    ------
    ValueError
        If there is no such user.
    """
    training, vocabulary = TrainingConfig(), build_vocabulary(events)
    sequences = build_sequences(events, vocabulary)
    users = split_of(training, sequences.user_ids, events.sides).valid
    cases = comirec_cases(sequences, users, length).sample(MOST_CASES, training.seed)
    if not len(cases):
        raise ValueError(f"{events.source}: none of its {len(users)} validation users has two behaviours or more")
    ids = np.array(vocabulary.item_ids, dtype=object)
    histories = [ids[rows[mask]].tolist() for rows, mask in zip(cases.history, cases.mask, strict=True)]
    times = [when[mask].tolist() for when, mask in zip(cases.times, cases.mask, strict=True)]
    rows = {item_id: row for row, item_id in enumerate(vocabulary.item_ids)}
    return Exam(rows, histories, [_profile_of(one, vocabulary) for one in cases.profiles], times, cases.labels)


def _profile_of(rows: np.ndarray, vocabulary: Vocabulary) -> dict[str, str]:
    """Profile field -> value, where it is known, of a user's rows (P,) in the profile tables."""
    fields = zip(vocabulary.profile_fields.items(), rows.tolist(), strict=True)
    return {name: values[row - 1] for (name, values), row in fields if row}


def hit_rate(bundle: Bundle, exam: Exam) -> float:
    """HR@50 by exact search over the bundle's items; what a user did with an item that it does not know is missed."""
    rows = np.array([exam.rows.get(item_id, -1) for item_id in bundle.item_ids])
    capsules = Extractor(bundle).encode(exam.histories, exam.profiles, exam.times_ms)
    own = [own_items(bundle, history) for history in exam.histories]
    batches = [slice(at, at + BATCH) for at in range(0, len(capsules), BATCH)]
    top = np.concatenate([_top_rows(bundle.item_embeddings, capsules[some], own[some]) for some in batches])  # (C, N)
    found = np.where(top >= 0, rows[top], -1)
    return float(per_case(found, exam.labels, at=(N,))[f"hr@{N}"].mean())


def _top_rows(table: np.ndarray, users: list[Capsules], own: Sequence[OwnItems]) -> np.ndarray:
    """The N best rows of the item table (items, d) for each user, -1 where there are none: int64 (B, N).

    Parameters
    ----------
    own : of each user, see `own_items`.
    """
    scores = np.full((len(users), len(table)), -np.inf, dtype=np.float32)
    for row, capsules in enumerate(users):
        if len(capsules.vectors):
            bonus = np.zeros(len(table), dtype=np.float32)
            bonus[own[row].rows] = own[row].bonus
            scores[row] = scores_of(capsules.vectors @ table.T, bonus)
    return best(scores, N)
