"""Schemas from a registry's REST API, by confluent-kafka's client."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.schema_registry import Schema as TheirSchema
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError
from httpx2 import HTTPError

from stream.events.registry.schema import AVRO, Schema, SchemaError
from stream.kafka.credentials.secret import Secret

__all__ = ["RegistryClient"]

ANSWERED_WITHIN_S = 10
NO_SUCH = (40401, 40402, 40403)  # subject, version, schema; a 404 without one of these comes from somebody else


@dataclass(frozen=True)
class RegistryClient:
    """A registry that speaks Confluent's REST API: Confluent's own, Karapace, Redpanda, Apicurio's ccompat.

    Each look-up is a conversation of its own: schemas never change, so there are few, and what files hold may change.

    Attributes
    ----------
    name : its URL without user and password.
    user, password : for basic authentication; an empty user: none.
    token : a bearer token instead, if it is given.
    cafile : PEM file of the authorities that sign its certificate; None: those that the client brings.
    """

    name: str
    user: str
    password: Secret
    token: Secret
    cafile: Path | None = None

    def get(self, schema_id: int) -> Schema:
        """Ask for a schema, and for all that it refers to.

        Raises
        ------
        SchemaError
            If the registry knows no schema of this id.
        OSError
            If it does not answer, does not let us in, or answers as no registry does.
        """
        options = self._options()
        try:
            with SchemaRegistryClient(options) as client:
                found = client.get_schema(schema_id)
                references: dict[str, str] = {}
                _collect(client, found, references)
        except SchemaRegistryError as error:
            raise self._refusal(error, schema_id) from None
        except HTTPError as error:
            raise OSError(f"the schema registry at {self.name} does not answer: {error}") from None
        except OSError as error:  # of the network they are HTTPErrors
            raise OSError(f"MINDSTREAM_SCHEMA_REGISTRY_CAFILE ({self.cafile}) cannot be used: {error}") from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise OSError(self._no_registry(f"{type(error).__name__}: {error}")) from None
        return Schema(found.schema_type or AVRO, found.schema_str or "", references)

    def _options(self) -> dict[str, Any]:
        """Return the options of the client, as the files are now.

        It tries once: who asks is told, and asks again.
        """
        options: dict[str, Any] = {"url": self.name, "timeout": ANSWERED_WITHIN_S, "max.retries": 0}
        try:
            if self.user:
                options["basic.auth.user.info"] = f"{self.user}:{self.password.reveal()}"
            if self.token.is_given():  # what Confluent Cloud asks for beside it has no value elsewhere
                options |= {"bearer.auth.credentials.source": "STATIC_TOKEN", "bearer.auth.token": self.token.reveal()}
                options |= {"bearer.auth.logical.cluster": ""}
        except ValueError as error:
            raise OSError(str(error)) from None
        if self.cafile:
            options["ssl.ca.location"] = str(self.cafile)
        return options

    def _refusal(self, error: SchemaRegistryError, schema_id: int) -> Exception:
        """Return the error for an answer that is not a schema."""
        if error.http_status_code == 404 and error.error_code in NO_SUCH:
            return SchemaError(f"no schema {schema_id} ({error.error_message})")
        if error.http_status_code in (401, 403):
            return OSError(
                f"the schema registry at {self.name} does not let us in (HTTP {error.http_status_code}); are user and "
                "password, or the token, right?"
            )
        if error.http_status_code >= 500 or error.http_status_code == 429:
            return OSError(f"the schema registry at {self.name} answers HTTP {error.http_status_code}")
        return OSError(self._no_registry(f"HTTP {error.http_status_code}"))

    def _no_registry(self, answer: str) -> str:
        """Say that the answer is not one of a registry."""
        return f"{self.name} does not answer as a schema registry does ({answer}); is MINDSTREAM_SCHEMA_REGISTRY right?"


def _collect(client: SchemaRegistryClient, schema: TheirSchema, into: dict[str, str]) -> None:
    """Add name -> text of what a schema refers to, what others refer to first."""
    for one in schema.references or []:
        if not one.name or not one.subject or not one.version:
            raise ValueError(f"a reference without name, subject or version: {one}")
        if one.name not in into:
            found = client.get_version(one.subject, one.version, deleted=True).schema
            _collect(client, found, into)
            into[one.name] = found.schema_str or ""
