"""Small logs with invented ids in the forms of publishers and trackers, and what must come out of them."""

from testbed.look_alikes.expected import Expected, LookAlike
from testbed.look_alikes.films import FILMS
from testbed.look_alikes.lines import LINES
from testbed.look_alikes.listens import LISTENS
from testbed.look_alikes.reviews import REVIEWS
from testbed.look_alikes.sessions import SESSIONS
from testbed.look_alikes.shops import SHOPS
from testbed.look_alikes.trackers import TRACKERS

__all__ = ["LOOK_ALIKES", "Expected", "LookAlike"]

LOOK_ALIKES: tuple[LookAlike, ...] = (*FILMS, *REVIEWS, *SESSIONS, *SHOPS, *LINES, *LISTENS, *TRACKERS)
