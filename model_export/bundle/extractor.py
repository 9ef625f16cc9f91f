"""A bundle's extractor, run by ONNX Runtime: histories in, interest capsules out. No torch.

Everybody who needs capsules comes here: export (parity), publish (golden histories), the updater, and readers that
meet capsules of another version.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from os import PathLike
from typing import NamedTuple, TypeVar, cast

import msgspec
import numpy as np

from model_export.bundle.bundle import EXTRACTOR, Bundle
from model_export.bundle.half_precision import in_half, keeps_digits
from model_export.bundle.onnx_session import open_session, padded_lengths
from model_export.bundle.time_gaps import asked_gaps, time_gaps

__all__ = ["BEHAVIOURS", "OUTPUTS", "Capsules", "Extractor", "taken_at"]

BEHAVIOURS = 3_200  # of one run, with padding: they fit a core's cache, a run of more takes longer for each
FEWEST = 2  # users of one run: a product of a matrix with one row is summed up in another order than with several

OUTPUTS = ("capsules", "interest_mask", "routing_weights")


_Known = tuple[list[int], list[int] | slice]  # what `known_behaviours` returns
_One = TypeVar("_One")


class Capsules(msgspec.Struct, frozen=True, gc=False):
    """The interests of one user.

    Attributes
    ----------
    vectors : float32 (K', d), the interest capsules; only those that the user has, never zeros for unused ones. A store
        keeps them, and the importance, as float16.
    importance : float32 (K',), the share of the behaviours that flowed into each interest; sums to 1.
    model_version : version of the bundle that made them.
    """

    vectors: np.ndarray
    importance: np.ndarray
    model_version: str


class _Routed(NamedTuple):
    """What one run of the graph makes of some users.

    Attributes
    ----------
    users : their places among all.
    kept : of each, which of the K capsules the user has.
    vectors (B, K, d), weights (B, K, L) : the graph's outputs.
    counts : int64 (B,), how many behaviours were read of each.
    """

    users: list[int]
    kept: list[slice] | list[np.ndarray]
    vectors: np.ndarray
    weights: np.ndarray
    counts: np.ndarray


class Extractor:
    """The ONNX graph of one bundle with its item table.

    Parameters
    ----------
    bundle : the bundle to serve.
    threads : of ONNX Runtime; more than one helps big batches only.

    Raises
    ------
    BundleError
        If ONNX Runtime cannot load the graph.
    """

    def __init__(self, bundle: Bundle | str | PathLike[str], threads: int = 1) -> None:
        bundle = Bundle.of(bundle)
        self.session = open_session(bundle.path / EXTRACTOR, threads)
        self.bundle = bundle
        self.length = bundle.manifest.history_length
        self.lengths = padded_lengths(self.session, self.length)
        read = {node.name for node in self.session.get_inputs()}
        self.reads_gaps, self.reads_types, self.reads_asked_gap = (
            name in read for name in ("gaps", "types", "asked_gap")
        )
        self.type_rows, self.profile_rows = bundle.manifest.type_rows(), bundle.manifest.profile_rows()

    def encode(
        self,
        histories: Sequence[Sequence[str]],
        profiles: Sequence[Mapping[str, str]] | None = None,
        times_ms: Sequence[Sequence[int]] | None = None,
        half: bool = False,
        types: Sequence[Sequence[str]] | None = None,
        asked_ms: Sequence[int] | None = None,
    ) -> list[Capsules]:
        """Return the capsules of many users, in their order.

        A user's capsules do not depend, bit for bit, on who else is in the batch: a history is padded to a length that
        follows from its own alone, so the arithmetic of a user is always the same.

        Parameters
        ----------
        histories : item ids of each user, oldest first. Items that the bundle does not know are skipped; of the rest
            the last L count.
        profiles : profile field -> value of each user; unknown fields and values count as unknown.
        times_ms : when the behaviours of each history were, Unix time in milliseconds; without it they are taken as of
            one visit. Read by models that have the input `gaps`.
        half : round to half precision, but for users with a capsule whose digits that would spoil (see `keeps_digits`).
        types : event type of each behaviour, in lower case; those that the bundle does not list count as unknown, and
            so do all without it. Read by models that have the input `types`.
        asked_ms : when each user's interests are asked for, Unix time in milliseconds; without it, right after the last
            behaviour, as at an event. Read by models that have the input `asked_gap`.

        Returns
        -------
        One Capsules a user.

        Raises
        ------
        ValueError
            If `asked_ms` comes without `times_ms`, so that nobody knows how long after the last behaviour that is.
        """
        if asked_ms is not None and times_ms is None:
            raise ValueError("asked_ms is given without times_ms; right is both, the times of the behaviours too")
        version = self.bundle.version
        of_user: dict[int, Capsules] = {}
        routed = self._routed(self._known(histories), profiles, times_ms, types, asked_ms)
        for users, kept, vectors, weights, counts in routed:
            importance = weights.sum(2) / np.maximum(counts, 1)[:, None].astype(np.float32)  # (B, K)
            found = _halved(vectors, importance) if half else [(vectors, importance)] * len(counts)
            for row, user in enumerate(users):
                its_vectors, its_importance = found[row]
                of_user[user] = Capsules(its_vectors[row, kept[row]], its_importance[row, kept[row]], version)
        return [of_user[user] for user in range(len(histories))]

    def routing_weights(
        self,
        histories: Sequence[Sequence[str]],
        profiles: Sequence[Mapping[str, str]] | None = None,
        times_ms: Sequence[Sequence[int]] | None = None,
        types: Sequence[Sequence[str]] | None = None,
    ) -> list[np.ndarray]:
        """Return which behaviours made which interest of each user; no store keeps that.

        Parameters
        ----------
        histories, profiles, times_ms, types : as those of `encode`.

        Returns
        -------
        One float32 (K', T) a user, for the T behaviours of the history. A behaviour's column sums to 1, or is zero if
        the bundle does not know its item or it is older than the L that the model reads.
        """
        known = self._known(histories)
        of_user: dict[int, np.ndarray] = {}
        for users, kept, _, weights, _ in self._routed(known, profiles, times_ms, types):
            for row, user in enumerate(users):
                of_user[user] = _spread_weights(weights[row, kept[row]], known[user][1], len(histories[user]))
        return [of_user[user] for user in range(len(histories))]

    def _known(self, histories: Sequence[Sequence[str]]) -> list[_Known]:
        """Return the behaviours that are read of each user."""
        return [self.known_behaviours(history) for history in histories]

    def _routed(
        self,
        known: Sequence[_Known],
        profiles: Sequence[Mapping[str, str]] | None,
        times_ms: Sequence[Sequence[int]] | None,
        types: Sequence[Sequence[str]] | None,
        asked_ms: Sequence[int] | None = None,
    ) -> Iterator[_Routed]:
        """Run the graph on users, some at a time; all else is as given to `encode`."""
        profiles = profiles or [{}] * len(known)
        times_ms = times_ms if self.reads_gaps or self.reads_asked_gap else None
        types = types if self.reads_types else None
        asked_ms = asked_ms if self.reads_asked_gap else None
        for users, length in self._runs(np.fromiter((len(rows) for rows, _ in known), np.int64, len(known))):
            yield self._run_users(
                users,
                [known[user] for user in users],
                [profiles[user] for user in users],
                [times_ms[user] for user in users] if times_ms is not None else None,
                [types[user] for user in users] if types is not None else None,
                [asked_ms[user] for user in users] if asked_ms is not None else None,
                length,
            )

    def _runs(self, counts: np.ndarray) -> Iterator[tuple[list[int], int]]:
        """Yield the users of each run of the graph, and the length of their padding.

        Parameters
        ----------
        counts : int64 (users,), how many behaviours are read of each.
        """
        fitting = np.searchsorted(self.lengths, counts)
        for place, length in enumerate(self.lengths):
            users, most = np.flatnonzero(fitting == place).tolist(), max(1, BEHAVIOURS // length)
            yield from ((users[at : at + most], length) for at in range(0, len(users), most))

    def _run_users(
        self,
        users: list[int],
        known: Sequence[_Known],
        profiles: Sequence[Mapping[str, str]],
        times_ms: Sequence[Sequence[int]] | None,
        types: Sequence[Sequence[str]] | None,
        asked_ms: Sequence[int] | None,
        length: int,
    ) -> _Routed:
        """Run the graph on some users, whose behaviours are padded to a length."""
        counts = np.zeros(max(FEWEST, len(known)), dtype=np.int64)
        counts[: len(known)] = [len(item_rows) for item_rows, _ in known]
        mask = np.arange(length) < counts[:, None]  # (B, L)
        rows = np.zeros(mask.shape, dtype=np.int64)  # (B, L)
        rows[mask] = np.fromiter(chain.from_iterable(item_rows for item_rows, _ in known), np.int64, counts.sum())
        places = [of_user for _, of_user in known]
        gaps, asked = _time_inputs(times_ms, asked_ms, places, mask)
        profile, type_rows = self.profile_matrix(profiles, len(counts)), self.type_matrix(types, places, mask)
        vectors, active, weights = self.run(rows, mask, profile, gaps, type_rows, asked)
        return _Routed(users, _kept(active), vectors, weights, counts)

    def known_behaviours(self, history: Sequence[str]) -> tuple[list[int], list[int] | slice]:
        """Return item rows and places of the last L behaviours of items in the bundle.

        Parameters
        ----------
        history : item ids, oldest first.

        Returns
        -------
        item rows (T',) and their places in the history, as a list or a slice; T' is at most L.
        """
        row_of = self.bundle.rows.find
        recent = history[-self.length :]
        found = list(map(row_of, recent))
        if None not in found:  # the usual case, which has to be fast
            return cast(list[int], found), slice(len(history) - len(recent), len(history))
        every = [(row_of(item_id), place) for place, item_id in enumerate(history)]
        known = [(row, place) for row, place in every if row is not None][-self.length :]
        return [row for row, _ in known], [place for _, place in known]

    def profile_matrix(self, profiles: Sequence[Mapping[str, str]], users: int) -> np.ndarray:
        """Return each user's rows in the profile tables, 0 for unknown.

        Parameters
        ----------
        users : rows of the result; those beyond the profiles are all zero.

        Returns
        -------
        int64 (users, P)
        """
        matrix = np.zeros((users, len(self.profile_rows)), dtype=np.int64)
        for field, (name, rows) in enumerate(self.profile_rows.items()):
            matrix[: len(profiles), field] = [rows.get(profile.get(name, ""), 0) for profile in profiles]
        return matrix

    def type_matrix(
        self, types: Sequence[Sequence[str]] | None, places: Sequence[list[int] | slice], mask: np.ndarray
    ) -> np.ndarray:
        """Return the rows of the event types at these places: int64 (B, L), 0 at padding.

        Without types all are 0, "unknown".
        """
        matrix = np.zeros(mask.shape, dtype=np.int64)
        if types is not None:
            read = chain.from_iterable(map(taken_at, types, places))
            matrix[mask] = np.fromiter((self.type_rows.get(name, 0) for name in read), np.int64, mask.sum())
        return matrix

    def run(
        self,
        rows: np.ndarray,
        mask: np.ndarray,
        profile: np.ndarray,
        gaps: np.ndarray,
        types: np.ndarray | None = None,
        asked: np.ndarray | None = None,
    ) -> tuple[np.ndarray, ...]:
        """Run the graph on B users.

        Parameters
        ----------
        rows : int64 (B, L), item rows.
        mask : bool (B, L), True at behaviours.
        profile : int64 (B, P), rows in the profile tables.
        gaps : int64 (B, L), see `time_gaps`.
        types : int64 (B, L), rows of the event types; None: all are unknown.
        asked : int64 (B,), see `asked_gaps`; None: now.

        Returns
        -------
        capsules (B, K, d), interest_mask (B, K) and routing_weights (B, K, L), float32 but for the mask.
        """
        return tuple(self.session.run(list(OUTPUTS), self.inputs(rows, mask, profile, gaps, types, asked)))

    def inputs(
        self,
        rows: np.ndarray,
        mask: np.ndarray,
        profile: np.ndarray,
        gaps: np.ndarray,
        types: np.ndarray | None = None,
        asked: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the graph's inputs by name, looked up by the arguments of `run`."""
        inputs = {
            "behaviours": np.take(self.bundle.item_embeddings, rows, axis=0),  # (B, L, d)
            "mask": mask,
            "routing_logits": np.take(self.bundle.routing_logits, rows, axis=0).transpose(0, 2, 1),  # (B, K, L)
        }
        if self.profile_rows:
            inputs["profile"] = profile
        if self.reads_gaps:
            inputs["gaps"] = gaps
        if self.reads_types:
            inputs["types"] = np.zeros(rows.shape, dtype=np.int64) if types is None else types
        if self.reads_asked_gap:
            inputs["asked_gap"] = np.zeros(len(rows), dtype=np.int64) if asked is None else asked
        return inputs


def _time_inputs(
    times_ms: Sequence[Sequence[int]] | None,
    asked_ms: Sequence[int] | None,
    places: Sequence[list[int] | slice],
    mask: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gaps of behaviours, int64 (B, L), and the asked gaps, int64 (B,).

    See `time_gaps` and `asked_gaps`. Without times all are zero. B may be more than the users.
    """
    times, asked = np.zeros(mask.shape, dtype=np.int64), np.zeros(len(mask), dtype=np.int64)
    if times_ms is None:
        return times, asked
    read = map(taken_at, times_ms, places)
    times[mask] = np.fromiter(chain.from_iterable(read), np.int64, mask.sum())
    if asked_ms is not None:
        users = slice(len(asked_ms))
        asked[users] = asked_gaps(times[users], mask[users], np.array(asked_ms, dtype=np.int64))
    return time_gaps(times, mask), asked


def taken_at(column: Sequence[_One], places: list[int] | slice) -> Sequence[_One]:
    """Return the times, or event types, at these places of a history."""
    return column[places] if isinstance(places, slice) else [column[place] for place in places]


def _halved(vectors: np.ndarray, importance: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return for each user where to find vectors and importance.

    They are in half precision, or as they are.

    Parameters
    ----------
    vectors, importance : float32 (B, K, d) and (B, K).
    """
    halves = in_half(vectors), in_half(importance)
    return [halves if kept else (vectors, importance) for kept in np.all(keeps_digits(vectors), axis=1)]


def _kept(active: np.ndarray) -> list[slice] | list[np.ndarray]:
    """Return which capsules each user has, as something to index them with.

    Parameters
    ----------
    active : bool (B, K)
    """
    numbers = active.sum(1)
    if np.array_equal(active, np.arange(active.shape[1]) < numbers[:, None]):  # a slice is much quicker to take
        return [slice(number) for number in numbers.tolist()]
    return list(active)


def _spread_weights(weights: np.ndarray, places: list[int] | slice, behaviours: int) -> np.ndarray:
    """Spread routing weights (K', L) over the places in the user's history: (K', T)."""
    read = places.stop - places.start if isinstance(places, slice) else len(places)
    if read == behaviours:
        return weights[:, :read]
    spread = np.zeros((len(weights), behaviours), dtype=np.float32)
    spread[:, places] = weights[:, :read]
    return spread
