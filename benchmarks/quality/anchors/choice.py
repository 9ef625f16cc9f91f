"""Which anchors a benchmark compares with, by name."""

from collections.abc import Sequence

from benchmarks.quality.anchors.ease import left_out, tune_ease
from benchmarks.quality.anchors.hstu import HstuEncoder
from benchmarks.quality.anchors.sasrec import SasRecEncoder
from benchmarks.quality.anchors.training import tune_next_item
from benchmarks.quality.held_out import HeldOut
from model_export.evaluation.evaluate import COMIREC_LENGTH
from model_export.evaluation.rankers import Ranker

__all__ = ["ANCHORS", "HAVE_SEEDS", "anchors_named", "fit_anchor", "those_that_fit"]

ANCHORS = {"ease": "EASE", "sasrec": "SASRec", "hstu": "HSTU"}  # name -> what people call it
HAVE_SEEDS = ("sasrec", "hstu")  # trained from a start drawn by chance
ENCODERS = {"sasrec": SasRecEncoder, "hstu": HstuEncoder}


def anchors_named(text: str) -> list[str]:
    """Return the anchors that a text such as "ease,sasrec", "all" or "none" names.

    Raises
    ------
    ValueError
        If there is no anchor of a name.
    """
    if text in ("all", "none"):
        return list(ANCHORS) if text == "all" else []
    named = [part.strip() for part in text.split(",")]
    wrong = next((name for name in named if name not in ANCHORS), None)
    if wrong is not None:
        raise ValueError(
            f"--anchors {text}: there is no anchor {wrong!r}; it must be all, none, or some of {', '.join(ANCHORS)}"
        )
    return [name for name in ANCHORS if name in named]


def those_that_fit(names: Sequence[str], num_items: int) -> tuple[list[str], list[str]]:
    """Return the anchors that can have such a catalogue, and a sentence on each other one."""
    sentence = left_out(num_items) if "ease" in names else ""
    return [name for name in names if not (name == "ease" and sentence)], [sentence] if sentence else []


def fit_anchor(name: str, held_out: HeldOut, seed: int) -> Ranker:
    """Fit an anchor on the training users, tuned on the validation users.

    Parameters
    ----------
    name : one of ANCHORS.
    seed : of the training; EASE has none.
    """
    learned_from = held_out.sequences, held_out.split.train, held_out.num_items
    if name == "ease":
        return tune_ease(*learned_from, held_out.valid, progress=False)
    return tune_next_item(ANCHORS[name], *learned_from, held_out.valid, COMIREC_LENGTH, ENCODERS[name], seed)
