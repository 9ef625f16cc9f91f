"""Timing that neighbours on the machine disturb little: the best of several rounds, the ways to compare in turn."""

import time
from collections.abc import Callable, Mapping

__all__ = ["best_means"]


def best_means(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the seconds of each call: the least of the means of several rounds.

    Parameters
    ----------
    calls : what is timed; in each round one after the other, so that what disturbs one disturbs the others as well.
    rounds : at least 1, after one that only warms up.
    seconds : that a call's part of a round takes at least; it is called once in any case.
    """
    best = dict.fromkeys(calls, float("inf"))
    for turn in range(rounds + 1):
        for name, call in calls.items():
            mean = _mean_of(call, seconds, clock)
            if turn:
                best[name] = min(best[name], mean)
    return best


def _mean_of(call: Callable[[], object], seconds: float, clock: Callable[[], float]) -> float:
    """Return the mean duration of a call, called again until the time is over."""
    started, times = clock(), 0
    while True:
        call()
        times += 1
        passed = clock() - started
        if passed >= seconds:
            return passed / times
