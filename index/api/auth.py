"""The API key: clients name the one that the settings hold; without one everybody may ask."""

import hmac
from typing import Annotated, Any

from fastapi import Depends, HTTPException
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

__all__ = ["key_guard"]

IN_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False)
AS_BEARER = HTTPBearer(auto_error=False)


def key_guard(key: SecretStr | None) -> list[Any]:
    """Return the dependencies of the routes that need the key; none if no key is set."""
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
                "this needs the key of MINDSTREAM_API_KEY, as X-API-Key: KEY or Authorization: Bearer KEY",
                {"WWW-Authenticate": "Bearer"},
            )

    return [Depends(guard)]
