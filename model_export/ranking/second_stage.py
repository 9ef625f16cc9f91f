"""The second stage of a trained matching model: from a log to a trained ranker."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from mindstream.behaviour_rule import BehaviourRule
from model_export.bundle.ranking.features import FeatureTables
from model_export.data.dataset import Sequences, build_sequences
from model_export.data.event_types import event_types_of
from model_export.data.impressions import ShownItems
from model_export.data.interactions import InteractionLog
from model_export.evaluation.cases import Cases, comirec_cases, next_item_cases
from model_export.evaluation.split import Split, split_of
from model_export.models.checkpoint import Checkpoint
from model_export.rankers.ranked_checkpoint import RankedCheckpoint, new_ranker
from model_export.rankers.ranker_config import RankerConfig
from model_export.ranking.as_of import BUCKETS, AsOf
from model_export.ranking.held_out import fit_held_out
from model_export.ranking.lists import sampled_negatives
from model_export.ranking.matching import Matching
from model_export.ranking.ranked_lists import ListMaker, RankedLists
from model_export.ranking.ranker_training import RankerTraining
from model_export.ranking.training import RankerRun

__all__ = ["SecondStage", "fit_ranker", "tables_of", "tasks_of", "train_ranker", "with_ranker"]

MOST_TASKS = 4
ONE_TASK = "click"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SecondStage:
    """What rankers of one matching model are trained and evaluated with.

    Attributes
    ----------
    sequences : behaviours of all users, with their event types.
    split : of the users, as the matching model was trained with.
    tasks, task_weights : see `tasks_of`.
    length : most behaviours of a history.
    reads_types : whether the model's bundle knows event types; histories have none otherwise.
    shown : what users were shown and did not take; None: the log does not say.
    """

    sequences: Sequences
    split: Split
    maker: ListMaker
    tasks: tuple[str, ...]
    task_weights: np.ndarray
    length: int
    reads_types: bool
    shown: ShownItems | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint, events: InteractionLog) -> "SecondStage":
        """Prepare what the rankers of a checkpoint need of its log.

        Parameters
        ----------
        events : the behaviours that the checkpoint was trained on.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        vocabulary = checkpoint.vocabulary
        types = vocabulary.event_types or event_types_of(events)
        sequences = build_sequences(events, replace(vocabulary, event_types=types))
        split = split_of(checkpoint.training, sequences.user_ids, events.sides)
        tasks, weights, task_of = tasks_of(types, BehaviourRule.parse(events.rule))
        maker = ListMaker(
            Matching(checkpoint.model.to(device), checkpoint.neighbours),
            AsOf(sequences, split.train, len(vocabulary.item_ids)),
            tables_of(checkpoint),
            task_of,
            weights[task_of.clip(0)],
        )
        length = checkpoint.model.config.history_length
        shown = _shown(events, sequences, vocabulary.item_ids)
        return cls(sequences, split, maker, tasks, weights, length, bool(vocabulary.event_types), shown)

    def training_lists(self, training: RankerTraining) -> RankedLists:
        """Make the lists that a ranker learns from: a target of a training user and its negatives."""
        cases = self._known(
            next_item_cases(self.sequences, self.split.train, self.length, training.examples, training.seed)
        )
        rng = np.random.default_rng(training.seed)
        choose = sampled_negatives(cases, self.maker.as_of.num_items, training.lists, rng, self.shown)
        lists = self.maker.make(cases, training.lists.brought, choose)
        return replace(lists, weights=lists.weights * self._recency(cases.asked_ms, training.recency_half_life))

    def questions(self, users: np.ndarray, most: int, n: int, seed: int) -> tuple[RankedLists, RankedLists]:
        """Make lists of held-out users as serving would: the time ahead and the next behaviour.

        Parameters
        ----------
        users : int64, indices into sequences.user_ids.
        most : of each kind, at most so many.
        n : candidates that the matching stage brings; what it does not bring is missed.
        """
        ahead = comirec_cases(self.sequences, users, self.length, most, seed)
        following = next_item_cases(self.sequences, users, self.length, most, seed)
        return self.maker.make(self._known(ahead), n), self.maker.make(self._known(following), n)

    def _known(self, cases: Cases) -> Cases:
        """Return cases whose histories have event types only where serving would know them."""
        return cases if self.reads_types else replace(cases, types=np.zeros(1, dtype=np.int64))

    def _recency(self, asked_ms: np.ndarray, half_life: float | None) -> np.ndarray:
        """Return what lists weigh for their age, float32 (C,)."""
        if half_life is None or not self.maker.as_of.timed:
            return np.ones(len(asked_ms), dtype=np.float32)
        first, last = self.maker.as_of.first, self.maker.as_of.last
        return (0.5 ** ((last - asked_ms) / (last - first) / half_life)).astype(np.float32)


def _shown(events: InteractionLog, sequences: Sequences, item_ids: Sequence[str]) -> ShownItems | None:
    """Return what users were shown, and say how much of it can be used.

    None where the log does not say.
    """
    if events.impressions is None or not events.timed:
        return None
    found = ShownItems(events.impressions, sequences, item_ids)
    log.info(
        "impressions: %s of items that were not taken are negatives; %s are of items or users without a behaviour",
        *(f"{count:,}" for count in (len(found.items), found.left_out)),
    )
    return found


def train_ranker(
    checkpoint: Checkpoint,
    events: InteractionLog,
    config: RankerConfig,
    training: RankerTraining,
    progress: bool = True,
    state: Path | None = None,
) -> RankedCheckpoint:
    """Train a ranker for a trained matching model, on a GPU if there is one.

    The epoch with the best NDCG@10 of the validation users is kept, then the held-out features are weighed.

    Parameters
    ----------
    events : the behaviours that the checkpoint was trained on.
    config : the network; its tasks and history length become those of the log and of the matching model.
    state : file where the training is kept after each epoch, and from which it goes on if it is there.

    Raises
    ------
    ValueError
        If no training user has two behaviours, the loss is not finite, or `state` is of another training.
    """
    stage = SecondStage.of(checkpoint, events)
    lists = stage.training_lists(training)
    if not len(lists):
        raise ValueError(f"{events.source}: no training user has two behaviours; a ranker needs some that have")
    questions = stage.questions(stage.split.valid, training.valid_cases, training.lists.brought, training.seed)
    return fit_ranker(stage, checkpoint, lists, questions, config, training, progress, state)


def with_ranker(
    checkpoint: Checkpoint,
    events: InteractionLog,
    config: RankerConfig | None,
    progress: bool = True,
    state: Path | None = None,
) -> Checkpoint:
    """Return a checkpoint with a ranker trained by the usual settings.

    With the checkpoint's seed; see `train_ranker`.

    Parameters
    ----------
    config : None: it stays as it is.
    """
    if config is None:
        return checkpoint
    log.info("training the ranker %s", config.name)
    training = RankerTraining(seed=checkpoint.training.seed)
    return replace(checkpoint, ranker=train_ranker(checkpoint, events, config, training, progress, state))


def fit_ranker(
    stage: SecondStage,
    checkpoint: Checkpoint,
    lists: RankedLists,
    questions: Sequence[RankedLists],
    config: RankerConfig,
    training: RankerTraining,
    progress: bool = True,
    state: Path | None = None,
) -> RankedCheckpoint:
    """Train a ranker on lists that are made already; see `train_ranker`."""
    torch.manual_seed(training.seed)
    config = replace(config, tasks=stage.tasks, history_length=stage.length)
    model = new_ranker(config, checkpoint.vocabulary).to(stage.maker.matching.table.device)
    run = RankerRun(model, lists, questions, stage.task_weights, training)
    run.fit(progress, state)
    found = fit_held_out(model, questions, stage.task_weights, training.ridge)
    _, trend = stage.maker.as_of.at(BUCKETS)
    checkpoint.model.cpu()
    return RankedCheckpoint(
        model.cpu(),
        stage.task_weights.tolist(),
        trend,
        training.candidates,
        {
            "validation": {f"ndcg@10 {name}": value for name, value in found.items()},
            "steps": run.step,
            "seconds": run.seconds,
        },
        asdict(training),
    )


def tasks_of(types: Sequence[str], rule: BehaviourRule) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Return the tasks of a log: its event types, those of least weight first.

    Of more than MOST_TASKS those with the largest weights; the others, and behaviours of unknown type, are of the
    first task. A log without types has one task.

    Parameters
    ----------
    types : event types, of rows 1 on.

    Returns
    -------
    names (T,), weights float32 (T,), and the task of each row of the types, int64 (types + 1,)
    """
    if len(types) < 2:
        name, weight = (types[0], rule.weight(types[0])) if types else (ONE_TASK, 1.0)
        return (name,), np.array([weight], dtype=np.float32), np.zeros(len(types) + 1, dtype=np.int64)
    tasks = sorted(types, key=lambda name: (rule.weight(name), name))[-MOST_TASKS:]
    weights = np.array([rule.weight(name) for name in tasks], dtype=np.float32)
    task_of = [0, *(tasks.index(name) if name in tasks else 0 for name in types)]
    return tuple(tasks), weights, np.array(task_of, dtype=np.int64)


def tables_of(checkpoint: Checkpoint) -> FeatureTables:
    """Return what features are computed of, with the popularity of the log's end and no trend."""
    categories = np.array(checkpoint.catalogue["category"], dtype=object)
    names, codes = np.unique(categories.astype(str), return_inverse=True)
    prices = np.array([np.nan if price is None else price for price in checkpoint.catalogue["price"]])
    near = checkpoint.neighbours
    return FeatureTables(
        popularity=checkpoint.popularity,
        trend=np.zeros(len(codes), dtype=np.float32),
        category=np.where(names[codes] == "", -1, codes).astype(np.int32),
        price=prices.astype(np.float64),
        neighbours=None if near is None else near.rows,
        similarity=None if near is None else near.similarity,
    )
