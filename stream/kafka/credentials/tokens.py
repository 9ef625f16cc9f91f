"""Tokens of OAUTHBEARER: asked for before they end, and used by all connections of the process."""

import base64
import binascii
import json
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from kafka.net.sasl.oauth import AbstractTokenProvider

from stream.kafka.credentials.oauth import OAuth
from stream.kafka.credentials.token_endpoint import Issued, ask_for_token

__all__ = ["Tokens", "ends_of"]

log = logging.getLogger(__name__)

RENEWED_AFTER = 0.8  # of a token's life, as Kafka's own client does
AGAIN_S = 5.0  # between two tries to renew a token that is still good
LEAST_S = 1.0  # between two askings, also where none gives a token, or the broker takes none of them
TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # of RFC 6750


@dataclass(frozen=True)
class _Kept:
    """A token, and when it is to be renewed and ends, in seconds of the clock."""

    token: str
    renew_at: float
    ends_at: float


class Tokens(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python has no types
    """What kafka-python asks for a token at each authentication.

    Parameters
    ----------
    clock : seconds since 1970.
    """

    def __init__(self, oauth: OAuth, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.oauth, self.clock = oauth, clock
        self.lock = threading.Lock()
        self.kept: _Kept | None = None
        self.asked_at = float("-inf")
        self.failure: OSError | ValueError | None = None  # of the last asking

    def __repr__(self) -> str:
        return f"Tokens({self.oauth!r})"

    def extensions(self) -> dict[str, str]:
        """Return what goes to the broker beside the token."""
        return self.oauth.pairs()

    def token(self) -> str:
        """Return a token that has not ended.

        Raises
        ------
        OSError
            If the endpoint gives none.
        ValueError
            If a file cannot be read, or what it holds is no token.
        """
        if not self.oauth.endpoint:
            return _checked(self.oauth.given_token.reveal().strip(), self.oauth.given_token.source, self.clock())
        with self.lock:
            if self.kept is None or self.clock() >= self.kept.renew_at:
                self.kept = self._renewed(self.kept)
            return self.kept.token

    def refused(self) -> None:
        """Note that the broker did not take the token: the next one is asked for anew.

        A token may end before its time, when keys are rotated or clocks differ.
        """
        with self.lock:
            if self.kept:
                at = max(self.clock(), self.asked_at + LEAST_S)
                self.kept = _Kept(self.kept.token, at, at)

    def _renewed(self, old: _Kept | None) -> _Kept:
        """Return a new token; the old one if none comes and it still is good."""
        now = self.clock()
        try:
            return self._asked(now)
        except (OSError, ValueError) as error:
            if old is None or now >= old.ends_at:
                raise
            log.warning("%s; the token before is good for another %.0f s", error, old.ends_at - now)
            return _Kept(old.token, now + AGAIN_S, old.ends_at)

    def _asked(self, now: float) -> _Kept:
        """Ask the endpoint for a token, unless it has just failed."""
        if self.failure and now - self.asked_at < LEAST_S:  # a client without a token connects again at once
            raise self.failure
        self.asked_at = now
        try:
            issued = ask_for_token(self.oauth)
            token = _checked(issued.token, f"the access_token of {self.oauth.endpoint}", now)
        except (OSError, ValueError) as error:
            self.failure = error
            raise
        self.failure = None
        life = _life_of(issued, now)
        return _Kept(token, now + life * RENEWED_AFTER, now + life)


def _life_of(issued: Issued, now: float) -> float:
    """Return how many seconds a token lives.

    0 if nothing says it, so that each connection gets its own.
    """
    if issued.expires_in_s is not None:
        return issued.expires_in_s
    ends = ends_of(issued.token)
    return max(0.0, ends - now) if ends is not None else 0.0


def ends_of(token: str) -> float | None:
    """Return when a token ends by its claim exp (of a JWT), in seconds since 1970."""
    try:
        _, claims, _ = token.split(".")
        ends = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None
    return float(ends) if isinstance(ends, int | float) else None


def _checked(token: str, source: str, now: float) -> str:
    """Return a token that may be sent; raise ValueError without showing it where it may not."""
    if not TOKEN.fullmatch(token):
        raise ValueError(f"{source} is no token: right are letters, digits and -._~+/ alone (RFC 6750)")
    ends = ends_of(token)
    if ends is not None and ends <= now:
        raise ValueError(
            f"{source} ended {now - ends:.0f} s ago, by its claim exp; right is a token that is still good"
        )
    return token
