"""A walk over all users that computes capsules of another model again from the histories.

Readers do that for themselves, at each reading; after a sweep they need not.
"""

import logging
from collections.abc import Callable
from itertools import islice

from model_export.bundle.extractor import Extractor
from stream.store.contract import Store, read_readable
from stream.store.state import UserState, encoded, recomputed
from stream.store.unreadable import UnreadableTally

__all__ = ["PAGE", "Sweep"]

log = logging.getLogger(__name__)

PAGE = 128  # users of one step, for which events may have to wait


def _everybody(state: UserState) -> bool:
    """Tell that every user is swept."""
    return True


def _nothing(states: list[UserState]) -> None:
    """Do nothing before states are written."""


class Sweep:
    """One walk over the users of a store, step by step.

    Parameters
    ----------
    extractor : of the model that all capsules are to be of.
    mine : whether a user is for this sweep.

    Attributes
    ----------
    looked_at, swept, overtaken : users so far; those whose capsules are new; those who were written by somebody else
        between reading and writing, who stay as those wrote them.
    unreadable : users so far who cannot be read; they stay as they are.
    """

    def __init__(self, store: Store, extractor: Extractor, mine: Callable[[UserState], bool] = _everybody) -> None:
        self.store, self.extractor, self.mine = store, extractor, mine
        self.users = store.users()
        self.looked_at = self.swept = self.overtaken = 0
        self.unreadable = UnreadableTally()

    def step(self, before_writing: Callable[[list[UserState]], None] = _nothing) -> bool:
        """Do the next page of users; tell whether there was one.

        Parameters
        ----------
        before_writing : given the new states; where it raises, nothing is written.

        Raises
        ------
        OSError
            If the store cannot be read or written. This walk is over then; a new one finds what is left.
        """
        page = list(islice(self.users, PAGE))
        old = [state for state in self.read(page) if self.is_old(state) and self.mine(state)]
        if old:
            capsules = encoded(self.extractor, old)
            pairs = [(one, recomputed(one, made)) for one, made in zip(old, capsules, strict=True)]
            before_writing([new for _, new in pairs])
            overtaken = self.store.replace_many(pairs)
            self.overtaken += overtaken
            self.swept += len(old) - overtaken
        self.looked_at += len(page)
        return bool(page)

    def read(self, users: list[str]) -> list[UserState]:
        """Read the states of a page; the log names the first of those that cannot be read."""
        found, unreadable = read_readable(self.store, users)
        for user_id in self.unreadable.add(unreadable):
            log.warning("user %r is not swept: %s", user_id, unreadable[user_id])
        return [state for state in found if state is not None]

    def is_old(self, state: UserState) -> bool:
        """Tell whether the capsules are of another model."""
        return state.capsules.model_version != self.extractor.bundle.version
