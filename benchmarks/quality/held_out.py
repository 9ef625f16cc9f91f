"""The users that a benchmark of accuracy holds out, and what all models are asked of them."""

from dataclasses import dataclass

from model_export.data.dataset import Sequences, Vocabulary, build_sequences
from model_export.data.interactions import InteractionLog
from model_export.evaluation.cases import Cases, comirec_cases
from model_export.evaluation.evaluate import COMIREC_LENGTH, cases_of_test_users
from model_export.evaluation.split import Split, split_of
from model_export.models.presets import Preset

__all__ = ["HeldOut", "held_out_cases"]


@dataclass(frozen=True)
class HeldOut:
    """The behaviours, a training's split of the users, and the cases of those held out."""

    sequences: Sequences
    split: Split
    test: Cases
    valid: Cases
    num_items: int


def held_out_cases(log: InteractionLog, settings: Preset, vocabulary: Vocabulary) -> HeldOut:
    """Make the cases that a model with these settings is measured on.

    Raises
    ------
    ValueError
        If there is no test user to ask.
    """
    sequences = build_sequences(log, vocabulary)
    split = split_of(settings.training, sequences.user_ids, log.sides)
    test = cases_of_test_users(sequences, split, COMIREC_LENGTH, log.source)
    valid = comirec_cases(sequences, split.valid, COMIREC_LENGTH)
    return HeldOut(sequences, split, test, valid, len(vocabulary.item_ids))
