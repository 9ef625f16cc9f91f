"""The messages between a benchmark and its worker, JSON both ways: a task, and a report."""

import msgspec

__all__ = ["READ", "READ_MAPPED", "UPDATE", "Polled", "Report", "Stored", "Task"]

UPDATE, READ, READ_MAPPED = "update", "read", "read-mapped"


class Task(msgspec.Struct, frozen=True):
    """A topic to read.

    Attributes
    ----------
    what : UPDATE runs an updater; READ a plain consumer that decodes each event and drops it;
        READ_MAPPED the same of records in a shop's own shape, by a mapping.
    home : of the updater; its capsule store is below.
    bundle : folder of the model.
    noted : whether the worker notes when each event was polled and stored.
    """

    what: str
    bootstrap_servers: str
    topic: str
    home: str
    bundle: str
    noted: bool = False


class Polled(msgspec.Struct, frozen=True, array_like=True):
    """The time at which a record arrived.

    In nanoseconds of the host's monotonic clock, which all its processes share.
    """

    partition: int
    offset: int
    at_ns: int


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """The time at which a user's state was stored.

    It has all of the user's events up to an offset.
    """

    user_id: str
    offset: int
    at_ns: int


class Report(msgspec.Struct, frozen=True):
    """The account that a worker gives at its end.

    Attributes
    ----------
    began_ns, ended_ns : from the first poll after it was told to go until the last batch was done (committed, where it
        is an updater), by the monotonic clock.
    counts : of events and what else the updater counts.
    seconds : where the time went, see `Laps`.
    """

    began_ns: int
    ended_ns: int
    counts: dict[str, int]
    seconds: dict[str, float] = {}
    polled: list[Polled] = []
    stored: list[Stored] = []
