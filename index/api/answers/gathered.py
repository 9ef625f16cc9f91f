"""The work of requests for one user each that were gathered: one reading of the store, one run of the model."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import msgspec
from fastapi import HTTPException

from index.api.answers.item_json import ItemJson, SnapshotJson
from index.api.answers.written import recommendations_json
from index.api.limits.gathering import Job
from index.api.metrics import ApiMetrics
from index.api.responses import MADE_BY, freshness_of
from index.recommend.cancellation import CancelledWorkError
from index.recommend.candidates import Found
from index.recommend.filters import AskedUser, ResolvedRequest
from index.recommend.recommender import Recommender
from index.recommend.request import Request
from stream.store.contract import Store, read_readable
from stream.store.state import UserState

if TYPE_CHECKING:
    from mindstream.tracing.tracing import RequestTrace

__all__ = ["AskedOne", "GatheredAnswers", "OneJob", "ReadTogetherError", "cannot_be_read", "store_failed"]

log = logging.getLogger(__name__)


class ReadTogetherError(Exception):
    """A reading of several users failed, maybe for the sake of one; each is to be read alone."""


@dataclass(frozen=True)
class AskedOne:
    """A request for one stored user.

    Attributes
    ----------
    recommender : what was served when it came; its answer is of no other model.
    trace : told which event an answer is made of; None where the request is not traced.
    """

    user_id: str
    request: Request
    recommender: Recommender
    trace: "RequestTrace | None" = None


OneJob = Job[AskedOne]


@dataclass(frozen=True)
class _Resolved:
    """A job whose request is right."""

    job: OneJob
    resolved: ResolvedRequest


class GatheredAnswers:
    """Answers requests together, each as it would be answered alone.

    Parameters
    ----------
    store : of the users; read only.
    metrics : what was answered is counted there.
    """

    def __init__(self, store: Store, metrics: ApiMetrics) -> None:
        self.store, self.metrics = store, metrics
        self._items: WeakKeyDictionary[Recommender, ItemJson] = WeakKeyDictionary()

    def items_of(self, recommender: Recommender) -> ItemJson:
        """Return the items of a recommender's bundle as pieces of JSON."""
        items = self._items.get(recommender)
        if items is None:
            items = self._items.setdefault(recommender, ItemJson(recommender.bundle))
        return items

    def work(self, jobs: Sequence[OneJob]) -> list[bytes | Exception]:
        """Answer jobs in JSON; an error stands where one cannot be answered.

        A request is checked before the store is read: a wrong one costs no reading.
        """
        answers: dict[OneJob, bytes | Exception] = {}
        right = self._resolved(jobs, answers)
        states = self._states([one.job for one in right], answers)
        by_recommender: dict[Recommender, list[tuple[_Resolved, UserState | None]]] = {}
        for one, state in zip(right, states, strict=True):
            if one.job not in answers:
                by_recommender.setdefault(one.job.asked.recommender, []).append((one, state))
        for recommender, some in by_recommender.items():
            asked = [AskedUser(state, one.resolved, one.job.cancellation) for one, state in some]
            found = recommender.find_each(asked, MADE_BY)
            items = self.items_of(recommender).of(some[0][0].resolved.snapshot)
            for (one, state), its in zip(some, found, strict=True):
                answers[one.job] = self._written(one.job, state, its, items)
        return [answers[job] for job in jobs]

    def _resolved(self, jobs: Sequence[OneJob], answers: dict[OneJob, bytes | Exception]) -> list[_Resolved]:
        """Check requests against the items of this moment; those that are not right are answered."""
        snapshots = {
            recommender: recommender.catalogue.current for recommender in {one.asked.recommender for one in jobs}
        }
        known: dict[tuple[int, int], ResolvedRequest] = {}
        right = []
        for job in jobs:
            recommender, request = job.asked.recommender, job.asked.request
            key = id(recommender), id(request)  # what is asked alike is often the same object
            try:
                if key not in known:
                    known[key] = recommender.resolve_in(request, snapshots[recommender])
                right.append(_Resolved(job, known[key]))
            except ValueError as error:
                answers[job] = HTTPException(422, str(error))
        return right

    def _states(self, jobs: Sequence[OneJob], answers: dict[OneJob, bytes | Exception]) -> list[UserState | None]:
        """Read the states of all users at once; of whom that fails is answered."""
        try:
            states, unreadable = read_readable(self.store, [job.asked.user_id for job in jobs]) if jobs else ([], {})
        except OSError as error:
            answers.update((job, store_failed(error) if len(jobs) == 1 else ReadTogetherError()) for job in jobs)
            return [None] * len(jobs)
        for job in jobs:
            if (reason := unreadable.get(job.asked.user_id)) is not None:
                log.error("%s: %s", cannot_be_read(job.asked.user_id), reason)
                answers[job] = HTTPException(500, cannot_be_read(job.asked.user_id))
            elif job.cancellation.is_set:
                answers[job] = CancelledWorkError()
        return states

    def _written(
        self, job: OneJob, state: UserState | None, found: Found | CancelledWorkError, items: SnapshotJson
    ) -> bytes | Exception:
        """Write the answer of a job, and count it."""
        if isinstance(found, CancelledWorkError) or job.cancellation.is_set:
            return CancelledWorkError()
        if job.asked.trace is not None and state is not None:
            job.asked.trace.answered_from(*msgspec.structs.astuple(state.position))
        try:
            freshness_s = freshness_of(state)
            answer = recommendations_json(job.asked.user_id, freshness_s, found, items)
        except Exception as error:  # a title that is no Unicode, for example: the others' answers are right
            return error
        self.metrics.answer(found.path, freshness_s)
        return answer


def cannot_be_read(user_id: str | None) -> str:
    """Say that a user cannot be read, and what mends that."""
    return f"what is stored of user {user_id!r} cannot be read; `mindstream stream repair` says why, and what to do"


def store_failed(error: OSError) -> HTTPException:
    """Log that the store does not answer; return what is told of it."""
    log.warning("a request was not answered: %s", error)
    failed = HTTPException(503, "the capsule store does not answer; ask again later", {"Retry-After": "1"})
    failed.__cause__ = error
    return failed
