"""Readers that ask for candidates while models come and go, and somebody who computes each answer again."""

import queue
import random
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple, Self

import numpy as np

from benchmarks.harness.background import Threads
from index.recommend.candidates import CAPSULES
from index.recommend.recommender import Candidates, Recommender
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.scoring.history_raises import raised_by
from model_export.bundle.serving import Serving
from stream.store.contract import Store
from stream.store.state import UserState, encoded

__all__ = ["Answer", "Readers"]

THREADS = 2
PAUSE_S = 0.02
N = 50
ROUNDING = 1e-5  # a batch of several users may round otherwise than one user alone
WAITING = 1_000  # answers that wait for being computed again


class Answer(NamedTuple):
    """An answer that a reader got, with the state that it is about."""

    state: UserState | None
    candidates: Candidates


class _Reference:
    """An oracle of one bundle's answers, from nothing but its files and a user's history.

    It repeats the rule of scores on purpose, so that a fault of the product is not one of its own.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.extractor = bundle, Extractor(bundle)

    def agrees(self, answer: Answer) -> bool:
        """Tell whether an answer is this bundle's: its interests, its scores, and their items."""
        state, found = answer
        rows = [self.bundle.rows.get(item_id, -1) for item_id in found.item_ids]
        if state is None:
            return found.path != CAPSULES and -1 not in rows
        [capsules] = encoded(self.extractor, [state])
        if not len(capsules.vectors) or -1 in rows:
            return found.path != CAPSULES and -1 not in rows
        scores_of_all = (self.bundle.item_embeddings @ capsules.vectors.T).max(axis=1)
        raised, bonus = raised_by(self.bundle, self.bundle.rows.known(state.history.item_ids))
        scores_of_all[raised] += bonus
        best, theirs = np.sort(scores_of_all)[::-1][:N], scores_of_all[rows]
        return len(found.interests) == len(capsules.vectors) and all(
            len(scores) == len(best) and np.allclose(scores, best, atol=ROUNDING) for scores in (found.scores, theirs)
        )


class Readers(Threads):
    """Threads that ask at a steady pace, from entering the context until leaving it.

    Attributes
    ----------
    users : how many there may be; readers choose one of them.
    took_s : seconds that each answer took since it was last emptied.
    failed, mixed, answered : requests that raised something, answers that are not those of the bundle that they name,
        and all.
    waited_for, first_at : a version, and when it was first answered with since `wait_for`.
    """

    def __init__(self, serving: Serving[Recommender], store: Store, bundles: Mapping[str, Bundle]) -> None:
        super().__init__([partial(self.read, seed) for seed in range(THREADS)])
        self.serving, self.store = serving, store
        self.references = {version: _Reference(bundle) for version, bundle in bundles.items()}
        self.users = 200
        self.took_s: list[float] = []
        self.failed = self.mixed = self.answered = 0
        self.waited_for, self.first_at = "", 0.0
        self.answers: queue.Queue[Answer | None] = queue.Queue(WAITING)
        self.checking = threading.Thread(target=self.check, daemon=True)

    def read(self, seed: int) -> None:
        """Ask for one user after the other, until the readers are stopped."""
        choose = random.Random(seed)
        while not self.stopping.wait(PAUSE_S):
            user_id, started = f"user-{choose.randrange(self.users)}", time.monotonic()
            try:
                recommender = self.serving.current  # once for each answer
                [state] = self.store.get_many([user_id])
                found = recommender.recommend_for(state, N)
            except Exception:  # whatever it is, somebody gets no answer
                self.failed += 1
                continue
            ended = time.monotonic()
            self.took_s.append(ended - started)
            if found.model_version == self.waited_for and not self.first_at:
                self.first_at = ended
            self.answers.put(Answer(state, found))

    def check(self) -> None:
        """Compute the answers again, one by one, until there are no more."""
        while (answer := self.answers.get()) is not None:
            reference = self.references.get(answer.candidates.model_version)
            self.mixed += reference is None or not reference.agrees(answer)
            self.answered += 1

    def wait_for(self, version: str) -> None:
        """Look out for answers of this version from now on."""
        self.first_at, self.waited_for = 0.0, version

    def __enter__(self) -> Self:
        self.checking.start()
        return super().__enter__()

    def stop(self) -> None:
        """Tell the readers to stop, and return once all that they were answered is computed again."""
        super().stop()
        self.answers.put(None)
        self.checking.join()
