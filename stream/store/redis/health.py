"""What is wrong with a store in Redis: settings that lose users, and users that were lost."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mindstream.counted import counted
from stream.store.redis.owner import StoreOwner

__all__ = ["StoreHealth", "bad_settings"]

log = logging.getLogger(__name__)

ASK_AGAIN_S = 10.0
NO_FILE = "appendonly is no, so a restart loses the latest users; right is yes, with appendfsync always"
# appendfsync -> what it may cost; offsets are committed once Redis has acknowledged.
LOSES = {
    "everysec": (
        "appendfsync is everysec, so a crash may take what it has acknowledged in the last two seconds, which is not "
        "read again; right is always"
    ),
    "no": (
        "appendfsync is no, so a crash of its host may take what it has acknowledged in the last half minute or so, "
        "which is not read again; right is always"
    ),
}


class StoreHealth:
    """Asks Redis now and then what is wrong.

    Where the link has a guard, that looks at every node; else only the entry of the store is read.
    """

    def __init__(self, store: StoreOwner) -> None:
        self.store = store
        self.asked = -ASK_AGAIN_S
        self.found: str | None = None

    def problem(self) -> str | None:
        """Return what is wrong, as found within the last 10 seconds; None if nothing is."""
        if time.monotonic() - self.asked >= ASK_AGAIN_S:
            found = self._ask()
            if found and found != self.found:
                log.error("%s", found)
            self.asked, self.found = time.monotonic(), found
        return self.found

    def _ask(self) -> str | None:
        """Ask what is wrong now."""
        try:
            if self.store.link.guard:
                self.store.link.ask([], "read")
                return None
            owner = self.store.read()
        except (OSError, ValueError) as error:
            return str(error)
        return self.store.loss_of(owner) if owner and owner.lost else None

    def warn_of_settings(self) -> None:
        """Log the settings of Redis by which it loses users, and keys that it has evicted.

        What we may not ask (INFO, CONFIG GET) is taken for right.
        """
        said: list[str] = []
        with _whatever_is_allowed():
            said += [one for info in self.store.link.infos() for one in bad_settings(info)]
        with _whatever_is_allowed():
            said += [LOSES[one] for one in self.store.link.configured("appendfsync") if one in LOSES]
        if NO_FILE in said:  # then it does not matter when that would be written
            said = [one for one in said if one not in LOSES.values()]
        for sentence in dict.fromkeys(said):
            log.warning("Redis %s: %s", self.store.link.address, sentence)


@contextmanager
def _whatever_is_allowed() -> Iterator[None]:
    """Let a question go unanswered."""
    try:
        yield
    except OSError as error:
        log.debug("%s", error)


def bad_settings(info: dict[str, Any]) -> list[str]:
    """Return a sentence for each setting by which a node may lose users.

    A setting that the node does not say is taken for right.

    Parameters
    ----------
    info : of redis-py, the reply to INFO.
    """
    found = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(f"maxmemory-policy is {policy}, by which users are removed to make room; right is noeviction")
    if evicted := int(info.get("evicted_keys", 0)):
        found.append(f"it has evicted {counted(evicted, 'key')} since it was started, among which may be users")
    if int(info.get("aof_enabled", 1)) == 0:
        found.append(NO_FILE)
    return found
