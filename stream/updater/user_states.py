"""The users of a batch: read from the store, changed by their events, encoded, and written."""

from collections.abc import Collection, Mapping

from mindstream.settings import Settings
from model_export.bundle.extractor import Extractor
from stream.monitoring.metrics import Metrics
from stream.monitoring.observer import Observer
from stream.store.contract import Store, read_readable
from stream.store.state import Applied, UserState, apply, encoded
from stream.updater.pending_batch import UserEvents

__all__ = ["Changed", "UserStates"]

Changed = list[tuple[Applied, UserState]]  # of each user with new events: what they did, and the state to store


class UserStates:
    """The users in a store, as an updater reads, changes and writes them; each call is timed."""

    def __init__(self, store: Store, settings: Settings, metrics: Metrics, observer: Observer) -> None:
        self.store, self.settings, self.metrics, self.observer = store, settings, metrics, observer

    def change(self, by_user: UserEvents, extractor: Extractor) -> Changed:
        """Apply events to stored users, and encode those who change.

        All events of a user are applied together, encoded once.

        Raises
        ------
        UnreadableUsersError
            If some cannot be read.
        """
        with self.observer.timed("apply"):
            states = self._read(by_user)
            length, rule = self.settings.history_length, self.settings.rule
            pairs = zip(by_user.items(), states, strict=True)
            applied = [apply(user_id, state, events, length, rule) for (user_id, events), state in pairs]
            return self._encode([one for one in applied if one is not None], extractor)

    def _read(self, user_ids: Collection[str]) -> list[UserState | None]:
        """Read the stored states of these users."""
        with self.metrics.timed("get"), self.observer.timed("store get"):
            return self.store.get_many(list(user_ids))

    def _encode(self, users: list[Applied], extractor: Extractor) -> Changed:
        """Compute the capsules of users with new events."""
        with self.metrics.timed("encode"), self.observer.timed("encode"):
            capsules = encoded(extractor, users)
        return [(one, one.with_capsules(made)) for one, made in zip(users, capsules, strict=True)]

    def write(self, changed: Changed) -> set[str]:
        """Write states; return the users whose states are refused.

        Others have written them since they were read.
        """
        read = {one.user_id: one.read for one, _ in changed}
        with self.metrics.timed("put"), self.observer.timed("store put"):
            refused = self.store.put_many((state for _, state in changed), read)
        self.metrics.refused(len(refused))
        return refused

    def latest(self, user_ids: Collection[str], written: Mapping[str, UserState]) -> dict[str, UserState | None]:
        """Return the states of users: as just written, or else as stored.

        Who cannot be read is left out.

        Parameters
        ----------
        written : user_id -> state, of those of whom that is known to be the latest.
        """
        others = [user_id for user_id in user_ids if user_id not in written]
        with self.metrics.timed("get"), self.observer.timed("store get"):
            found, unreadable = read_readable(self.store, others) if others else ([], {})
        latest = {**written, **dict(zip(others, found, strict=True))}
        return {user_id: latest[user_id] for user_id in user_ids if user_id not in unreadable}
