"""The arrays that training and evaluation read, made of an interaction log without a Python loop per event."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mindstream.behaviour_rule import BehaviourRule
from model_export.data.event_types import event_types_of, type_rows
from model_export.data.interactions import BLOCK, SEPARATOR, InteractionLog

__all__ = [
    "MOST_VALUES",
    "LaterBehaviours",
    "Sequences",
    "Vocabulary",
    "build_sequences",
    "build_vocabulary",
    "history_windows",
    "item_counts",
    "mask_without_last",
    "new_features",
    "positions_of",
    "price_bands",
    "profile_rows",
    "rows_of",
    "user_blocks",
]

PRICE_BANDS = 10
MOST_VALUES = 32  # of an item, the first: a single item that lists thousands would widen the table of all items


@dataclass(frozen=True)
class Vocabulary:
    """The rows that stand for items, feature values and profile values.

    Row 0 of every profile field means "unknown"; items have no such row. The values of all side features stand in
    one table, field after field, behind a row 0 that means "no (further) value".

    Attributes
    ----------
    item_ids : list of str, item of each row.
    feature_fields : side feature -> values, in the order of the one table.
    item_features : int64 (items, W), rows in that table, 0 at padding; W is the most values that an item has.
    profile_fields : field -> values, in the order of the profile tables.
    price_edges : the prices (ascending) between the price bands; empty if prices are unknown.
    event_types : the types of behaviours that are told apart; the i-th has row i + 1, and row 0 is "unknown".
    item_vectors : float32 (items, D), dense side features in unit length, zeros at an item that has none; None without
        such features.
    """

    item_ids: list[str]
    feature_fields: dict[str, list[str]]
    item_features: np.ndarray
    profile_fields: dict[str, list[str]]
    price_edges: list[float]
    event_types: list[str] = field(default_factory=list)
    item_vectors: np.ndarray | None = None

    @property
    def feature_values(self) -> int:
        """Return the number of values of all side features; their table has one row more."""
        return sum(len(values) for values in self.feature_fields.values())

    def feature_slices(self) -> dict[str, slice]:
        """Return side feature -> its rows in the one table, in the order of its values."""
        ends = np.cumsum([1, *(len(values) for values in self.feature_fields.values())]).tolist()
        return {name: slice(*rows) for name, rows in zip(self.feature_fields, pairwise(ends), strict=True)}


@dataclass(frozen=True)
class Sequences:
    """The behaviours of all users, one user after the other, each oldest first.

    Attributes
    ----------
    user_ids : list of str (U,)
    items : int32 (E,), item rows.
    times : int64 (E,), Unix time in milliseconds; all zero if the log has none.
    starts : int64 (U + 1,); user u's behaviours are items[starts[u] : starts[u + 1]].
    profiles : int64 (U, P), rows in the profile tables.
    weights : float32 (E,), of the behaviours' event types; given as (1,) where all weigh alike, which takes no memory.
    types : uint8 (E,), rows of the behaviours' event types (Vocabulary.event_types); likewise (1,) where all have one.
    """

    user_ids: list[str]
    items: np.ndarray
    times: np.ndarray
    starts: np.ndarray
    profiles: np.ndarray
    weights: np.ndarray = field(default_factory=lambda: np.ones(1, dtype=np.float32))
    types: np.ndarray = field(default_factory=lambda: np.zeros(1, dtype=np.uint8))

    def __post_init__(self) -> None:
        for name in ("weights", "types"):
            object.__setattr__(self, name, np.broadcast_to(getattr(self, name), self.items.shape))

    @property
    def lengths(self) -> np.ndarray:
        """Return the number of behaviours of each user, (U,)."""
        return np.diff(self.starts)


def build_vocabulary(log: InteractionLog) -> Vocabulary:
    """Collect items (sorted by id), side features, vectors, profile fields and event types."""
    items = log.items.sort_values("item_id", ignore_index=True)
    bands, edges = price_bands(items.price.to_numpy(dtype=float))
    feature_fields, features = _code_features(_side_values(items, bands, log.side_features), len(items))
    profile_fields = {
        str(name): sorted({value for value in log.profiles[name] if value})
        for name in log.profiles.columns
        if name != "user_id"
    }
    item_ids = items.item_id.tolist()
    vectors = None if log.item_vectors is None else log.item_vectors.of(item_ids)
    return Vocabulary(item_ids, feature_fields, features, profile_fields, edges, event_types_of(log), vectors)


def _side_values(items: pd.DataFrame, bands: pd.Series, side_features: list[str]) -> pd.DataFrame:
    """Return the side features as one long table: item (its row), field, value.

    Field after field.
    """
    known = [_single_values("category", items.category), _single_values("price_band", bands)]
    known += [_several_values(name, items[name]) for name in side_features]
    return pd.concat(known, ignore_index=True)


def price_bands(prices: np.ndarray) -> tuple[pd.Series, list[float]]:
    """Name the decile of each price, "" for unknown prices.

    Parameters
    ----------
    prices : float (items,), NaN where unknown.

    Returns
    -------
    the names, str (items,), and the prices between the bands, ascending; none without a known price.
    """
    known = prices[~np.isnan(prices)]
    if not len(known):
        return pd.Series([""] * len(prices), dtype=str), []
    edges = np.unique(np.quantile(known, np.linspace(0, 1, PRICE_BANDS + 1)[1:-1])).tolist()
    return _bands_between(edges, prices), edges


def _bands_between(edges: list[float], prices: np.ndarray) -> pd.Series:
    """Name the band of each price by the prices between the bands, "" for unknown prices."""
    band = pd.Series(np.searchsorted(edges, prices, side="right"), dtype=str)
    return band.where(~np.isnan(prices), "")


def _single_values(field: str, column: pd.Series) -> pd.DataFrame:
    """Return item (its row), field and value of a column (items,) with one value a cell."""
    known = np.flatnonzero(column != "")
    return pd.DataFrame({"item": known, "field": field, "value": column.iloc[known].astype("str").array})


def _several_values(field: str, column: pd.Series) -> pd.DataFrame:
    """Return item (its row), field and value of a column (items,) of "|"-joined values."""
    parts = pc.split_pattern(pa.array(column, pa.large_string()), SEPARATOR)
    owners, values = np.asarray(pc.list_parent_indices(parts)), pc.list_flatten(parts).to_pandas()
    found = pd.DataFrame({"item": owners, "field": field, "value": values.astype("str")})
    return found[found.value != ""]


def _code_features(known: pd.DataFrame, num_items: int) -> tuple[dict[str, list[str]], np.ndarray]:
    """Assign a row of one table to each side-feature value, and list each item's rows.

    Parameters
    ----------
    known : DataFrame
        item (its row), field and value, field after field. Of a value that an item has twice the second counts
        for nothing, and so do an item's values beyond the first `MOST_VALUES`.

    Returns
    -------
    Field -> values in order; int64 (items, W), rows in the table of all fields' values, 0 at padding.
    """
    names = known.field.unique()
    known = _keep_first_values(known)
    fields: dict[str, list[str]] = {}
    rows, table_rows = pd.Series(0, index=known.index, dtype="int64"), 1
    for name in names:
        of_field = known.field == name
        codes, values = pd.factorize(known.value[of_field], sort=True)
        if len(values) > 1:  # a feature that is the same for every item says nothing
            fields[str(name)] = values.tolist()
            rows[of_field] = table_rows + codes
            table_rows += len(values)
    return fields, _rows_side_by_side(known.item[rows > 0], rows[rows > 0], num_items)


def new_features(items: pd.DataFrame, side_features: list[str], vocabulary: Vocabulary) -> np.ndarray:
    """Return the known feature values of items that the vocabulary does not have.

    Values that it does not have either are left out.

    Parameters
    ----------
    items : as InteractionLog.items.
    side_features : the columns that are side features beside category and price.

    Returns
    -------
    int64 (items, W), rows in the vocabulary's one table of values, 0 at padding.
    """
    bands = _bands_between(vocabulary.price_edges, items.price.to_numpy(dtype=float))
    known = _side_values(items, bands, side_features)
    rows = pd.Series(0, index=known.index, dtype="int64")
    for name, table in vocabulary.feature_slices().items():
        of_field = known.field == name
        found = rows_of(known.value[of_field], vocabulary.feature_fields[name])
        rows[of_field] = np.where(found > 0, found - 1 + table.start, 0)
    known = _keep_first_values(known.assign(row=rows)[rows > 0])
    return _rows_side_by_side(known.item, known.row, len(items))


def _keep_first_values(known: pd.DataFrame) -> pd.DataFrame:
    """Keep each value of an item once, and at most its first `MOST_VALUES`."""
    known = known.drop_duplicates().sort_values("item", kind="stable", ignore_index=True)
    return known[known.groupby("item").cumcount() < MOST_VALUES]


def _rows_side_by_side(owners: pd.Series, rows: pd.Series, num_items: int) -> np.ndarray:
    """Put the rows of each owner side by side: int64 (items, most rows of one owner).

    0 is padding.
    """
    places = owners.groupby(owners).cumcount().to_numpy()
    table = np.zeros((num_items, places.max(initial=-1) + 1), dtype=np.int64)
    table[owners.to_numpy(), places] = rows.to_numpy()
    return table


def rows_of(column: pd.Series, values: list[str]) -> np.ndarray:
    """Return the table row of each value: 1 + its place in `values`, or 0 if it is not there.

    Parameters
    ----------
    column : values (n,).
    values : the table's values, from row 1 on.

    Returns
    -------
    int64 (n,)
    """
    return pd.Index(values).get_indexer(pd.Index(column)).astype(np.int64) + 1


def build_sequences(log: InteractionLog, vocabulary: Vocabulary) -> Sequences:
    """Group a log by user; items that the vocabulary does not have are left out.

    Beside the log and the sequences this takes 12 bytes an event for a while.
    """
    users, items, types = (log.events[name].array for name in ("user_id", "item_id", "event_type"))
    rows = pd.Index(vocabulary.item_ids).get_indexer(items.categories).astype(np.int32)  # of the log's items, -1: none
    rule = BehaviourRule.parse(log.rule)
    weights = np.array([rule.weight(name) for name in types.categories], dtype=np.float32)
    order = np.argsort(users.codes, kind="stable")  # the log is in time order, and stays so within a user
    if (rows < 0).any():
        order = np.concatenate([some[rows[items.codes[some]] >= 0] for some in _blocks(order)])
    user_ids = users.categories.tolist()
    lengths = np.zeros(len(user_ids), dtype=np.int64)
    for some in _blocks(order):
        lengths += np.bincount(users.codes[some], minlength=len(lengths))
    return Sequences(
        user_ids,
        _looked_up(rows, items.codes, order),
        log.events.event_time_ms.to_numpy()[order] if log.timed else np.zeros(len(order), dtype=np.int64),
        np.concatenate([[0], np.cumsum(lengths)]),
        profile_rows(log.profiles, user_ids, vocabulary),
        _of_types(weights if len(weights) else np.ones(1, dtype=np.float32), types.codes, order),
        _of_types(type_rows([*types.categories] or [""], vocabulary.event_types), types.codes, order),
    )


def _of_types(values: np.ndarray, codes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return what each behaviour has of its event type, (E,), or (1,) where all have the same.

    Parameters
    ----------
    values : (types,), of the log's event types; at least one.
    """
    return _looked_up(values, codes, order) if len(np.unique(values)) > 1 else values[:1]


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield an array in parts: what is made of one in between is small."""
    return (array[at : at + BLOCK] for at in range(0, len(array), BLOCK))


def _looked_up(values: np.ndarray, codes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return values[codes[order]], (E,), block by block."""
    found = np.empty(len(order), dtype=values.dtype)
    for part, some in zip(_blocks(found), _blocks(order), strict=True):
        part[:] = values[codes[some]]
    return found


def profile_rows(profiles: pd.DataFrame, user_ids: list[str], vocabulary: Vocabulary) -> np.ndarray:
    """Return users' rows in the profile tables, 0 for unknown users and values.

    Parameters
    ----------
    profiles : as InteractionLog.profiles.

    Returns
    -------
    int64 (U, P), in the order of `user_ids`.
    """
    fields = list(vocabulary.profile_fields)
    if not fields:
        return np.zeros((len(user_ids), 0), dtype=np.int64)
    known = profiles.set_index("user_id").reindex(index=user_ids, columns=fields, fill_value="")
    columns = [rows_of(known[name], values) for name, values in vocabulary.profile_fields.items()]
    return np.stack(columns, 1)


def history_windows(
    sequences: Sequences, ends: np.ndarray, first: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the up to `length` behaviours before each position.

    Parameters
    ----------
    ends : int64 (B,), positions in sequences.items; the behaviour at the position itself is not included.
    first : int64 (B,), where the user of each position starts.

    Returns
    -------
    rows int64 (B, length), the most recent last, 0 at padding; mask bool (B, length); times int64 (B, length),
    meaningless at padding; types int64 (B, length), rows of the event types, 0 at padding.
    """
    positions = ends[:, None] - length + np.arange(length)  # (B, length)
    mask = positions >= first[:, None]
    positions = np.where(mask, positions, 0)
    rows, types = (np.where(mask, of[positions].astype(np.int64), 0) for of in (sequences.items, sequences.types))
    return rows, mask, sequences.times[positions], types


def mask_without_last(mask: np.ndarray) -> np.ndarray:
    """Return masks (B, L) without each history's last behaviour, in the last place."""
    earlier = mask.copy()
    earlier[:, -1] = False
    return earlier


def positions_of(sequences: Sequences, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of users' behaviours in sequences.items, and their users.

    For all users of a large log take `user_blocks`: this is 16 bytes a behaviour.

    Parameters
    ----------
    users : int64, indices into sequences.user_ids.

    Returns
    -------
    positions int64 (E',) and users int64 (E',), user after user.
    """
    lengths = sequences.lengths[users]
    before = np.cumsum(lengths) - lengths  # behaviours of the users that come earlier among `users`
    return np.arange(lengths.sum()) + np.repeat(sequences.starts[users] - before, lengths), np.repeat(users, lengths)


def user_blocks(sequences: Sequences, users: np.ndarray, most: int = BLOCK) -> Iterator[np.ndarray]:
    """Yield users in parts of at most so many behaviours, or of one user with more.

    Parameters
    ----------
    users : int64, indices into sequences.user_ids.
    most : behaviours of a part.
    """
    ends = np.cumsum(sequences.lengths[users])
    first = 0
    while first < len(users):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield users[first:last]
        first = last


def item_counts(sequences: Sequences, users: np.ndarray, num_items: int) -> np.ndarray:
    """Count the behaviours of these users with each item.

    Parameters
    ----------
    users : int64, indices into sequences.user_ids.

    Returns
    -------
    int64 (items,)
    """
    counts = np.zeros(num_items, dtype=np.int64)
    for some in user_blocks(sequences, users):
        counts += np.bincount(sequences.items[positions_of(sequences, some)[0]], minlength=num_items)
    return counts


class LaterBehaviours:
    """The behaviours of some users that follow another one of the same user.

    They are numbered, user after user. Positions are computed from the numbers: a list of them and of their users would
    take 16 bytes a behaviour.

    Parameters
    ----------
    users : int64, indices into sequences.user_ids.
    """

    def __init__(self, sequences: Sequences, users: np.ndarray) -> None:
        counts = np.maximum(sequences.lengths[users] - 1, 0)
        self.users, self.ends = users, np.cumsum(counts)  # numbers of users[u] are ends[u] - counts[u] up to ends[u]
        self.first = sequences.starts[users] + 1 - (self.ends - counts)  # position minus number, of each user

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def at(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of behaviours in sequences.items by number, and their users.

        Parameters
        ----------
        numbers : int64 (n,), 0 to the length.

        Returns
        -------
        positions int64 (n,) and users int64 (n,)
        """
        places = np.searchsorted(self.ends, numbers, side="right")
        return numbers + self.first[places], self.users[places]

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the positions of all of them in parts, int64."""
        for at in range(0, len(self), BLOCK):
            yield self.at(np.arange(at, min(at + BLOCK, len(self))))[0]
