"""Asking a token endpoint for a token, by the client credentials grant of OAuth 2.0."""

import math
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from stream.kafka.credentials.oauth import PREFIX, OAuth

__all__ = ["Issued", "ask_for_token"]

CONNECTED_WITHIN_S, ANSWERED_WITHIN_S = 2.0, 3.0  # the connections of a client wait meanwhile, its heartbeats too
# An endpoint that fails once is asked again at once. A POST, too: it only makes another token.
TRIES = Retry(
    total=2, read=1, backoff_factor=0.1, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None,
    raise_on_status=False, respect_retry_after_header=False,
)  # fmt: skip
REFUSED = (400, 401, 403)
ERRORS = ("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
          "invalid_scope")  # fmt: skip


@dataclass(frozen=True)
class Issued:
    """A token of the endpoint, and for how many seconds it is good, where the answer says it."""

    token: str
    expires_in_s: float | None


def ask_for_token(oauth: OAuth) -> Issued:
    """Ask the endpoint for a token. Errors show neither the secret nor what the endpoint said.

    Raises
    ------
    OSError
        If the endpoint does not answer, refuses the client, or gives something else than a token.
    ValueError
        If the file of the secret cannot be read.
    """
    form = {"grant_type": "client_credentials"} | ({"scope": oauth.scope} if oauth.scope else {})
    client = (oauth.client_id.encode(), oauth.secret.reveal().encode())
    try:
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=TRIES))
            answer = session.post(
                oauth.endpoint,
                data=form,
                auth=client,  # type: ignore[arg-type]  # bytes too; of text it would take Latin-1 alone
                headers={"Accept": "application/json"},
                timeout=(CONNECTED_WITHIN_S, ANSWERED_WITHIN_S),
                allow_redirects=False,  # the secret goes nowhere else
            )
    except requests.RequestException as error:
        raise OSError(
            f"the token endpoint {oauth.endpoint} does not answer ({_cause(error)}); "
            f"is {PREFIX}_TOKEN_ENDPOINT_URL right and the endpoint up?"
        ) from None
    return _read(answer, oauth)


def _read(answer: requests.Response, oauth: OAuth) -> Issued:
    """Read the endpoint's answer."""
    found = _fields(answer)
    if answer.status_code in REFUSED:
        said = found.get("error") if found.get("error") in ERRORS else ""
        raise OSError(
            f"the token endpoint {oauth.endpoint} refuses client {oauth.client_id!r} ({answer.status_code}"
            f"{f' {said}' if said else ''}); are {PREFIX}_CLIENT_ID, _CLIENT_SECRET and _SCOPE right?"
        )
    if answer.status_code != requests.codes.ok:
        raise OSError(
            f"the token endpoint {oauth.endpoint} answers {answer.status_code}, and not with a token; "
            f"is {PREFIX}_TOKEN_ENDPOINT_URL right and the endpoint well?"
        )
    token, kind = found.get("access_token"), found.get("token_type", "bearer")
    if not isinstance(token, str) or str(kind).lower() != "bearer":
        raise OSError(
            f"the token endpoint {oauth.endpoint} answers, but with no access_token of type Bearer in JSON; "
            f"is {PREFIX}_TOKEN_ENDPOINT_URL right?"
        )
    return Issued(token, _seconds(found.get("expires_in")))


def _fields(answer: requests.Response) -> dict[str, Any]:
    """Return the fields of an answer in JSON; none where it is something else."""
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(given: object) -> float | None:
    """Return expires_in as a number; some endpoints write it as text."""
    try:
        seconds = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _cause(error: BaseException) -> str:
    """Return what the operating system or TLS said first, without urllib3's wrapping."""
    while inner := getattr(error, "reason", None) or error.__cause__ or error.__context__:
        if not isinstance(inner, BaseException):
            break
        error = inner
    return getattr(error, "strerror", None) or getattr(error, "verify_message", "") or type(error).__name__
