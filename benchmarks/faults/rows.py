"""The rows of the table: each a fault, and what is compared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.faults.found import Found
from benchmarks.faults.kills import sigkill, sigterm
from benchmarks.faults.letters import malformed
from benchmarks.faults.outages import broker, dead_letters_refused, redis_down
from benchmarks.faults.traffic import burst, churn, duplicates
from benchmarks.faults.zombie import zombie


@dataclass(frozen=True)
class Row:
    """A fault.

    Attributes
    ----------
    what : a few words for the table.
    quick : the parameters of the short form.
    """

    what: str
    run: Callable[..., Found]
    quick: Mapping[str, float]


ROWS = {
    "sigkill": Row("updater killed at random points", sigkill, {"kills": 5}),
    "sigterm": Row("updater stopped under load", sigterm, {"times": 2}),
    "broker": Row("broker killed and restarted", broker, {"times": 1}),
    "zombie": Row("updater stopped past its session, then continued", zombie, {"times": 1}),
    "churn": Row("second updater joins and leaves every 5 s", churn, {"seconds": 30}),
    "malformed": Row("1 % of the records are no events", malformed, {"events": 5_000}),
    "dlq": Row("dead letter topic takes nothing for a while", dead_letters_refused, {"seconds": 5}),
    "redis-down": Row("Redis killed, later slow by 500 ms", redis_down, {"seconds": 5}),
    "duplicates": Row("every event twice, shuffled within 60 s", duplicates, {"events": 10_000}),
    "burst": Row("ten times the normal load", burst, {"seconds": 10}),
}
