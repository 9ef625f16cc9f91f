"""What training reads: an interaction log turned into arrays, without a Python loop per event."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from model_export.interactions import InteractionLog

PRICE_BANDS = 10


@dataclass(frozen=True)
class Vocabulary:
    """Which row stands for which item, feature value and profile value.

    Row 0 of every feature and profile field means "unknown"; items have no such row.

    Attributes
    ----------
    item_ids : list of str, item of each row.
    feature_fields : field -> values, in the order of the feature tables.
    item_features : int64 (items, F), rows in the feature tables.
    profile_fields : field -> values, in the order of the profile tables.
    price_edges : the prices (ascending) between the price bands; empty where prices are unknown.
    """

    item_ids: list[str]
    feature_fields: dict[str, list[str]]
    item_features: np.ndarray
    profile_fields: dict[str, list[str]]
    price_edges: list[float]


@dataclass(frozen=True)
class Sequences:
    """The behaviours of all users, one user after the other, each oldest first.

    Attributes
    ----------
    user_ids : list of str (U,)
    items : int64 (E,), item rows.
    starts : int64 (U + 1,); user u's behaviours are items[starts[u] : starts[u + 1]].
    profiles : int64 (U, P), rows in the profile tables.
    """

    user_ids: list[str]
    items: np.ndarray
    starts: np.ndarray
    profiles: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Behaviours of each user, (U,)."""
        return np.diff(self.starts)


def build_vocabulary(log: InteractionLog) -> Vocabulary:
    """Collect the items (sorted by id), their side features (category, price band) and the profile fields."""
    items = log.items.sort_values("item_id", ignore_index=True)
    bands, edges = price_bands(items.price.to_numpy(dtype=float))
    columns = {"category": items.category.astype(str), "price_band": bands}
    feature_fields, coded = {}, []
    for name, column in columns.items():
        values = sorted({value for value in column if value})
        if len(values) > 1:  # a feature that is the same for every item says nothing
            feature_fields[name] = values
            coded.append(rows_of(column, values))
    features = np.stack(coded, 1) if coded else np.zeros((len(items), 0), dtype=np.int64)
    profile_fields = {
        str(name): sorted({value for value in log.profiles[name] if value})
        for name in log.profiles.columns
        if name != "user_id"
    }
    return Vocabulary(items.item_id.tolist(), feature_fields, features, profile_fields, edges)


def price_bands(prices: np.ndarray) -> tuple[pd.Series, list[float]]:
    """Name the decile of each price, "" where it is unknown; also give the prices between the bands."""
    known = prices[~np.isnan(prices)]
    if not len(known):
        return pd.Series([""] * len(prices), dtype=str), []
    edges = np.unique(np.quantile(known, np.linspace(0, 1, PRICE_BANDS + 1)[1:-1]))
    band = pd.Series(np.searchsorted(edges, prices, side="right"), dtype=str)
    return band.where(~np.isnan(prices), ""), edges.tolist()


def rows_of(column: pd.Series, values: list[str]) -> np.ndarray:
    """The table row of each value: 1 + its place in `values`, 0 where it is not among them. int64 (len,)."""
    return pd.Index(values).get_indexer(pd.Index(column)).astype(np.int64) + 1


def build_sequences(log: InteractionLog, vocabulary: Vocabulary) -> Sequences:
    """Group a log by user. Items that the vocabulary does not have are left out."""
    rows = pd.Index(vocabulary.item_ids).get_indexer(pd.Index(log.events.item_id))
    users, user_ids = pd.factorize(log.events.user_id, sort=True)
    users, rows = users[rows >= 0], rows[rows >= 0]
    order = np.argsort(users, kind="stable")  # the log is in time order, and stays so within a user
    starts = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=len(user_ids)))])
    profiles = profile_rows(log.profiles, list(user_ids), vocabulary)
    return Sequences(list(user_ids), rows[order].astype(np.int64), starts.astype(np.int64), profiles)


def profile_rows(profiles: pd.DataFrame, user_ids: list[str], vocabulary: Vocabulary) -> np.ndarray:
    """The profile-table rows of these users, int64 (U, P); 0 for users and values that are unknown."""
    fields = list(vocabulary.profile_fields)
    known = profiles.set_index("user_id").reindex(index=user_ids, columns=fields, fill_value="")
    columns = [rows_of(known[name], values) for name, values in vocabulary.profile_fields.items()]
    return np.stack(columns, 1) if columns else np.zeros((len(user_ids), 0), dtype=np.int64)


def windows(sequences: Sequences, ends: np.ndarray, first: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The up to `length` behaviours before each position.

    Parameters
    ----------
    ends : int64 (B,), positions in sequences.items; the behaviour at the position itself is not included.
    first : int64 (B,), where the user of each position starts.

    Returns
    -------
    rows int64 (B, length), the most recent last, 0 at padding; mask bool (B, length).
    """
    positions = ends[:, None] - length + np.arange(length)  # (B, length)
    mask = positions >= first[:, None]
    return np.where(mask, sequences.items[np.where(mask, positions, 0)], 0), mask


def positions_of(sequences: Sequences, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the behaviours of these users stand in sequences.items, and whose they are: both int64 (E',)."""
    lengths = sequences.lengths[users]
    before = np.cumsum(lengths) - lengths  # behaviours of the users that come earlier among `users`
    return np.arange(lengths.sum()) + np.repeat(sequences.starts[users] - before, lengths), np.repeat(users, lengths)
