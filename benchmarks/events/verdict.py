"""A comparison of what was posted with what is on the topic."""

from collections import Counter
from collections.abc import Iterable

from benchmarks.events.clients import ACCEPTED, IN_DOUBT, Posted

__all__ = ["FAULTS", "verdict"]

FAULTS = ("acknowledged_lost", "acknowledged_twice", "written_though_refused", "never_sent", "doubtful_twice")


def verdict(posted: Iterable[Posted], records: Iterable[tuple[bytes, bytes]]) -> dict[str, int]:
    """Count what is not as the answers say; each event is another one.

    Parameters
    ----------
    posted : all requests.
    records : (key, value) of all that is on the topic.

    Returns
    -------
    FAULTS, which must be 0, and `in_doubt_written`: events of requests in doubt that are on the topic.
    """
    sent = {(one.key, value): one.result for one in posted for value in one.values}
    found = Counter(records)
    accepted = [event for event, result in sent.items() if result == ACCEPTED]
    doubtful = [event for event, result in sent.items() if result == IN_DOUBT]
    others = [event for event, result in sent.items() if result not in (ACCEPTED, IN_DOUBT)]
    return {
        "acknowledged_lost": sum(event not in found for event in accepted),
        "acknowledged_twice": sum(found[event] > 1 for event in accepted),
        "written_though_refused": sum(event in found for event in others),
        "never_sent": sum(count for event, count in found.items() if event not in sent),
        "doubtful_twice": sum(found[event] > 1 for event in doubtful),
        "in_doubt_written": sum(event in found for event in doubtful),
    }
