"""Answers as bytes of JSON, of the form that the classes of `responses` say, joined from pieces."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from operator import attrgetter

from index.api.answers.item_json import ENCODE, ItemPieces, SnapshotJson
from index.rank.ranked_page import RankedColumns
from index.recommend.candidates import Found, UserInterests
from stream.store.interests import ExplainedInterest, WeightedBehaviour

__all__ = ["recommendations_json", "similar_json", "user_interests_json"]

NO_INTEREST = -1
NOT_BECAUSE = b',"because":null'
_BEFORE, _BEHIND = attrgetter("before"), attrgetter("behind")


@lru_cache(1_024)
def _interest_between(interest: int) -> bytes:
    """Write the interest that brought a candidate, which stands behind its score."""
    return b',"interest":null' if interest == NO_INTEREST else b',"interest":%d' % interest


def recommendations_json(
    user_id: str | None, freshness_s: float | None, found: Found, items: SnapshotJson, error: str | None = None
) -> bytes:
    """Write the answer for one user, a `Recommendations`.

    Parameters
    ----------
    user_id : None for a visitor.
    freshness_s : seconds since the last behaviour, None where none is known.
    found : with the behaviours that are to be named of each interest.
    items : of the snapshot of what was found.
    error : why there are no candidates, in an answer to many.
    """
    return b"".join(
        (
            b'{"user_id":',
            ENCODE(user_id),
            _served(found.path, found.snapshot.bundle.version),
            ENCODE(freshness_s),
            b',"interests":',
            _interests(found.interests, items),
            b',"candidates":',
            _candidates(found, items),
            b',"error":',
            ENCODE(error),
            b"}" if found.ranked is None else b',"ranked":%d}' % found.ranked.ranked,
        )
    )


def user_interests_json(
    user_id: str, freshness_s: float | None, found: UserInterests, items: SnapshotJson, vectors: bool
) -> bytes:
    """Write a user's interests, an `Interests`.

    Parameters
    ----------
    vectors : whether the capsules are written too.
    """
    head = _served(found.path, found.model_version) + ENCODE(freshness_s)
    capsules = found.vectors.tolist() if vectors else None
    interests = _interests(found.interests, items, capsules)
    return b'{"user_id":' + ENCODE(user_id) + head + b',"interests":' + interests + b"}"


def similar_json(item_id: str, found: Found, items: SnapshotJson) -> bytes:
    """Write the items like another one, a `SimilarItems`."""
    head = _served(found.path, found.snapshot.bundle.version)
    return b'{"item_id":' + ENCODE(item_id) + head + b'null,"candidates":' + _candidates(found, items) + b"}"


@lru_cache(64)
def _served(path: str, version: str) -> bytes:
    """Write what served an answer."""
    return b',"path":' + ENCODE(path) + b',"model_version":' + ENCODE(version) + b',"freshness_s":'


def _candidates(found: Found, items: SnapshotJson) -> bytes:
    """Write candidates, a list of `Candidate`."""
    hits = found.hits
    if not len(hits.rows):
        return b"[]"
    pieces = items.rows(hits.rows.tolist())
    columns = 5 if found.ranked is None else 6
    parts: list[bytes] = [b""] * (columns * len(pieces))
    parts[0::columns] = map(_BEFORE, pieces)
    parts[1::columns] = _numbers(hits.scores.tolist())
    parts[2::columns] = map(_interest_between, hits.capsule.tolist())
    parts[3::columns] = _because(found.because.tolist(), items)
    if found.ranked is not None:
        parts[4::columns] = _of_ranker(found.ranked)
    parts[columns - 1 :: columns] = map(_BEHIND, pieces)
    parts[0] = parts[0].removeprefix(b",")
    return b"[" + b"".join(parts) + b"]"


def _because(rows: list[int], items: SnapshotJson) -> list[bytes]:
    """Write the behaviours whose neighbours candidates are; they stand behind interests."""
    known = [row for row in dict.fromkeys(rows) if row >= 0]
    named = {row: b',"because":' + item.named for row, item in zip(known, items.rows(known), strict=True)}
    return [named.get(row, NOT_BECAUSE) for row in rows]


def _of_ranker(ranked: RankedColumns) -> list[bytes]:
    """Write what the second stage says of candidates; it stands behind the behaviours."""
    names = [b',"tasks":{' + ENCODE(ranked.tasks[0]) + b":", *(b"," + ENCODE(task) + b":" for task in ranked.tasks[1:])]
    columns = zip(names, map(_numbers, ranked.scores.T.tolist()), strict=True)
    parts = [[name + number for number in numbers] for name, numbers in columns]
    parts.append([b'},"matching_rank":%d' % rank for rank in ranked.matching_rank.tolist()])
    if ranked.reasons:
        parts.append([b',"reasons":' + ENCODE(some) for some in ranked.reasons])
    return list(map(b"".join, zip(*parts, strict=True)))


def _interests(
    interests: Sequence[ExplainedInterest], items: SnapshotJson, vectors: list[list[float]] | None = None
) -> bytes:
    """Write interests and the behaviours that formed them, a list of `Interest`.

    Parameters
    ----------
    vectors : the capsule of each, where they are asked for.
    """
    capsules = [b"null"] * len(interests) if vectors is None else [ENCODE(vector) for vector in vectors]
    written = [_interest(one, capsule, items.item) for one, capsule in zip(interests, capsules, strict=True)]
    return b"[" + b",".join(written) + b"]"


def _interest(interest: ExplainedInterest, capsule: bytes, item: Callable[[str], ItemPieces]) -> bytes:
    """Write one interest."""
    behaviours = b",".join(_behaviours(interest.behaviours, item))
    return (
        b'{"importance":'
        + ENCODE(interest.importance)
        + b',"behaviours":['
        + behaviours
        + b'],"vector":'
        + capsule
        + b"}"
    )


def _behaviours(behaviours: list[WeightedBehaviour], item: Callable[[str], ItemPieces]) -> Iterable[bytes]:
    """Write the behaviours that formed an interest."""
    if not behaviours:
        return []
    weights = _numbers([one.weight for one in behaviours])
    pieces = [item(one.item_id) for one in behaviours]
    return [one.formed + weight + one.title for one, weight in zip(pieces, weights, strict=True)]


def _numbers(numbers: list[float]) -> list[bytes]:
    """Write each number as msgspec does."""
    return ENCODE(numbers)[1:-1].split(b",")
