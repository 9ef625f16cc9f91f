"""The connection to a Redis or a Redis Cluster: a batch of commands a round trip, every failure one sentence."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from stream.store.redis.address import RedisAddress
from stream.store.redis.client import ELSEWHERE, FAILURES, Along, Client, connect, understood
from stream.store.redis.command import Command
from stream.store.redis.reasons import reason_of

__all__ = ["Guard", "RedisLink"]


class Guard(Protocol):
    """A guard that looks at every batch, see `redis.guard`."""

    def along(self, doing: str) -> AbstractContextManager[Along]:
        """Return what goes along with a batch that is "read" or "written"."""
        ...


class RedisLink:
    """Connections to a Redis, shared by threads; a lost one is made anew by the next call.

    Parameters
    ----------
    holding : what is kept there, for the sentences.

    Attributes
    ----------
    guard : sends commands of its own along with each batch, where there is one.

    Raises
    ------
    OSError
        From every method, and on opening: where Redis is, and why it cannot be used. Never the password.
    """

    def __init__(self, address: RedisAddress, holding: str = "capsule store") -> None:
        self.address, self.holding = address, holding
        self.guard: Guard | None = None
        with self._explained("opened"):
            self.client: Client = connect(address)

    def ask(self, commands: Sequence[Command], doing: str) -> list[Any]:
        """Return the replies in order; among them may be Foreign and UnknownScript.

        Parameters
        ----------
        doing : "read" or "written", for the sentence where it fails.
        """
        with self._explained(doing), self.guard.along(doing) if self.guard else nullcontext() as along:
            return [understood(reply) for reply in self.client.ask(commands, along)]

    def ask_unguarded(self, commands: Sequence[Command], doing: str) -> list[Any]:
        """Return the replies as `ask` does, past the guard."""
        with self._explained(doing):
            return [understood(reply) for reply in self.client.ask(commands)]

    def keys(self, pattern: bytes) -> Iterator[bytes]:
        """Yield keys that match, in no order.

        A key that is there all the time comes at least once.
        """
        with self._explained("read"):
            yield from self.client.scan(pattern)

    def infos(self) -> list[dict[str, Any]]:
        """Return what each node that holds keys says of itself (INFO)."""
        with self._explained("read"):
            return self.client.infos()

    def configured(self, name: str) -> list[str]:
        """Return what each node that holds keys has for a setting of its own."""
        with self._explained("read"):
            return self.client.configured(name)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Raise an error of Redis as an OSError that says where it is, never the password."""
        try:
            yield
        except FAILURES as error:
            if isinstance(error, ELSEWHERE) and doing != "opened":
                self.client.look_again()
            where = f"the {self.holding} at Redis {self.address}"
            raise OSError(f"{where} cannot be {doing}: {reason_of(error)}") from error
