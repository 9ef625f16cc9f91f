"""The rows of the table: each a fault, and what is compared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.faults.forgetting import other_partitioner
from benchmarks.faults.found import Found
from benchmarks.faults.kills import archive_kills, sigkill, sigterm
from benchmarks.faults.letters import malformed
from benchmarks.faults.outages import broker, dead_letters_refused, redis_down
from benchmarks.faults.records import codecs, unparsable
from benchmarks.faults.redis import redis_failover, shared_redis
from benchmarks.faults.stores import unreadable_user
from benchmarks.faults.topics import deleted_topic, open_transaction
from benchmarks.faults.traffic import burst, churn, duplicates
from benchmarks.faults.upgrade import upgrade
from benchmarks.faults.zombie import zombie

__all__ = ["ROWS", "SAME", "Row"]

SAME = frozenset({"lost", "applied_twice"})
ALIKE = SAME | {"users_differing"}
LETTERS = {"dead_letters_missing", "dead_letters_too_many"}


@dataclass(frozen=True)
class Row:
    """A fault.

    Attributes
    ----------
    what : a few words for the table.
    quick : the parameters of the short form.
    looks_for : the faults that it counts where it comes to its end.
    """

    what: str
    run: Callable[..., Found]
    quick: Mapping[str, float]
    looks_for: frozenset[str]


ROWS = {
    "sigkill": Row(
        "updater killed at random points",
        sigkill,
        {"kills": 5, "least_between": 0},
        ALIKE | LETTERS | {"kills_between_too_few"},
    ),
    "sigterm": Row(
        "updater stopped under load",
        sigterm,
        {"times": 2},
        ALIKE | {"reprocessed_after_sigterm", "members_left_behind"},
    ),
    "archive-kills": Row(
        "archiver killed at random points",
        archive_kills,
        {"kills": 5, "least_amid": 0},
        SAME | {"forgotten_left", "invented", "ended_badly", "kills_amid_too_few"},
    ),
    "broker": Row("broker killed and restarted", broker, {"times": 1}, ALIKE | {"lost_by_the_broker"}),
    "zombie": Row(
        "updater stopped past its session, then continued",
        zombie,
        {"times": 1},
        ALIKE | {"zombie_writes_accepted", "without_late_writes"},
    ),
    "churn": Row(
        "second updater joins and leaves every 5 s", churn, {"seconds": 30}, ALIKE | LETTERS | {"stuck_partitions"}
    ),
    "malformed": Row("1 % of the records are no events", malformed, {"events": 5_000}, ALIKE | LETTERS),
    "codecs": Row("batches of each codec, from two clients", codecs, {"events": 4_000}, ALIKE | LETTERS),
    "unparsable": Row("damaged batches, headers that are no text", unparsable, {"rounds": 4}, ALIKE | LETTERS),
    "dlq": Row(
        "dead letter topic takes nothing for a while",
        dead_letters_refused,
        {"seconds": 5},
        ALIKE | LETTERS | {"evictions"},
    ),
    "redis-down": Row("Redis killed, later slow by 500 ms", redis_down, {"seconds": 5}, ALIKE | {"evictions"}),
    "shared-redis": Row(
        "two shops on one Redis, which is then emptied", shared_redis, {"seconds": 3}, ALIKE | {"merged", "unnoticed"}
    ),
    "redis-failover": Row(
        "primaries of a Redis Cluster killed under load",
        redis_failover,
        {"times": 1},
        ALIKE | {"lost_without_a_word"},
    ),
    "duplicates": Row("every event twice, shuffled within 60 s", duplicates, {"events": 10_000}, ALIKE),
    "other-partitioner": Row(
        "users forgotten whose events lie elsewhere", other_partitioner, {"events": 3_000}, SAME | {"users_came_back"}
    ),
    "upgrade": Row("a store that versions before have written", upgrade, {"events": 4_000}, ALIKE),
    "burst": Row("ten times the usual load", burst, {"seconds": 10}, SAME | {"mb_too_many", "without_backlog"}),
    "unreadable-user": Row(
        "stored users who cannot be read, then repaired",
        unreadable_user,
        {"events": 2_000},
        ALIKE | LETTERS | {"still_unreadable"},
    ),
    "open-transaction": Row(
        "a transaction stays open, others are taken back",
        open_transaction,
        {"transactions": 20, "open_s": 1},
        ALIKE | {"lag_not_said", "stuck_partitions", "not_caught_up", "lost_by_the_broker"},
    ),
    "deleted-topic": Row(
        "topic deleted, later made again",
        deleted_topic,
        {"events": 500, "gone_s": 2},
        SAME | {"made_again_by_updaters", "gone_not_said", "not_ready_again", "lost_by_the_broker"},
    ),
}
