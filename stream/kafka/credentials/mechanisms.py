"""SASL mechanisms of kafka-python that take the password or token anew at each authentication."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka.errors import KafkaConnectionError, KafkaError
from kafka.net.sasl import get_sasl_mechanism, register_sasl_mechanism
from kafka.net.sasl.msk import SaslMechanismAwsMskIam
from kafka.net.sasl.oauth import SaslMechanismOAuth
from kafka.net.sasl.plain import SaslMechanismPlain
from kafka.net.sasl.scram import SaslMechanismScram

from stream.kafka.credentials.secret import Secret
from stream.kafka.credentials.tokens import Tokens

__all__ = ["NoCredentialsError", "register"]


class NoCredentialsError(KafkaConnectionError):  # type: ignore[misc]  # kafka-python has no types
    """There is nothing to authenticate with now; a client tries again."""

    def __str__(self) -> str:
        return str(self.args[0])


@contextmanager
def _or_no_credentials(mechanism: str = "") -> Iterator[None]:
    """Raise NoCredentialsError, upon which a client tries again, whatever a library raises."""
    try:
        yield
    except KafkaError:
        raise
    except Exception as error:
        raise NoCredentialsError(f"{mechanism}: {error}" if mechanism else str(error)) from None


def _with_fresh_password(config: dict[str, Any]) -> dict[str, Any]:
    """Return a client's configuration with the password itself in place of where it is found."""
    password = config.get("sasl_plain_password")
    if not isinstance(password, Secret):
        return config
    with _or_no_credentials():
        return {**config, "sasl_plain_password": password.reveal()}


class _Plain(SaslMechanismPlain):  # type: ignore[misc]
    """PLAIN."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**_with_fresh_password(config))


class _Scram(SaslMechanismScram):  # type: ignore[misc]
    """SCRAM."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**_with_fresh_password(config))


class _OAuth(SaslMechanismOAuth):  # type: ignore[misc]
    """OAUTHBEARER, which tells the source of tokens of one that was refused."""

    def auth_bytes(self) -> bytes:
        """Return the token in the form of RFC 7628."""
        with _or_no_credentials():
            return bytes(super().auth_bytes())

    def receive(self, auth_bytes: bytes) -> None:
        """Take the broker's answer, which is empty where it takes the token."""
        if auth_bytes and isinstance(self.token_provider, Tokens):
            self.token_provider.refused()
        super().receive(auth_bytes)


class _MskIam(SaslMechanismAwsMskIam):  # type: ignore[misc]
    """AWS_MSK_IAM, whose credentials botocore finds."""

    def auth_bytes(self) -> bytes:
        """Return the signed request."""
        with _or_no_credentials("AWS_MSK_IAM finds no credentials or no region"):
            return bytes(super().auth_bytes())


class _Gssapi(get_sasl_mechanism("GSSAPI")):  # type: ignore[misc]
    """GSSAPI, by the library of the operating system."""

    def __init__(self, **config: Any) -> None:
        with _or_no_credentials("GSSAPI"):
            super().__init__(**config)

    def receive(self, auth_bytes: bytes) -> None:
        """Take the broker's answer."""
        with _or_no_credentials("GSSAPI"):
            super().receive(auth_bytes)


MECHANISMS = {
    "PLAIN": _Plain,
    "SCRAM-SHA-256": _Scram,
    "SCRAM-SHA-512": _Scram,
    "OAUTHBEARER": _OAuth,
    "AWS_MSK_IAM": _MskIam,
    "GSSAPI": _Gssapi,
}


def register() -> None:
    """Make all clients of this process use these mechanisms."""
    for name, mechanism in MECHANISMS.items():
        register_sasl_mechanism(name, mechanism, overwrite=True)
