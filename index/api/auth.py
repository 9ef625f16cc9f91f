"""Keys of the HTTP API: clients name the one that the settings hold; without one everybody may ask."""

import hmac
from typing import Annotated, Any

from fastapi import Depends, HTTPException
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from mindstream.settings import Settings

__all__ = ["KEY_HEADER", "LOOPBACK", "key_guard", "takes_events", "write_guard"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")
KEY_HEADER = "X-API-Key"
IN_HEADER = APIKeyHeader(name=KEY_HEADER, auto_error=False)
AS_BEARER = HTTPBearer(auto_error=False)


def key_guard(key: SecretStr | None, variable: str = "MINDSTREAM_API_KEY") -> list[Any]:
    """Return the dependencies of routes that need the key of a variable; none without a key."""
    if key is None:
        return []
    right = key.get_secret_value().encode()

    async def guard(
        header: Annotated[str | None, Depends(IN_HEADER)],
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(AS_BEARER)],
    ) -> None:
        given = header or (bearer.credentials if bearer else "")
        # Headers are bytes that Starlette read as latin-1. The time that it takes says nothing of the key.
        if not hmac.compare_digest(given.encode("latin-1"), right):
            raise HTTPException(
                401,
                f"this needs the key of {variable}, as {KEY_HEADER}: KEY or Authorization: Bearer KEY",
                {"WWW-Authenticate": "Bearer"},
            )

    return [Depends(guard)]


def takes_events(settings: Settings) -> bool:
    """Tell whether events can be posted.

    They can with a key of their own, or where no key is set and only this host can ask.
    """
    return settings.write_key is not None or (settings.api_key is None and settings.api_host in LOOPBACK)


def write_guard(settings: Settings) -> list[Any]:
    """Return the dependencies of the routes that write to the topic of the events."""
    if takes_events(settings):
        return key_guard(settings.write_key, "MINDSTREAM_WRITE_KEY")

    async def closed() -> None:
        raise HTTPException(403, "no events are taken here: MINDSTREAM_WRITE_KEY is not set where the API runs")

    return [Depends(closed)]
