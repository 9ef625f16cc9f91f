"""TLS and SASL of a Kafka cluster, checked before anything is connected."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from mindstream.files import why_unreadable
from mindstream.settings import Settings

__all__ = ["PLAINTEXT", "Security"]

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True)
class Security:
    """TLS and SASL of one cluster. Nothing that prints it shows a password.

    Attributes
    ----------
    protocol, mechanism : of PROTOCOLS and MECHANISMS; the mechanism is empty where the protocol has no SASL.
    username, password : whom SASL names.
    cafile : PEM file of the authorities that sign the brokers' certificates; None: those the system trusts.
    certfile, keyfile, key_password : our own certificate, where brokers ask for one.

    Raises
    ------
    ValueError
        Names the variable that is wrong, missing, or set for a protocol that has no use for it.
    """

    protocol: str = "PLAINTEXT"
    mechanism: str = ""
    username: str = ""
    password: SecretStr | None = field(default=None, repr=False)
    cafile: Path | None = None
    certfile: Path | None = None
    keyfile: Path | None = None
    key_password: SecretStr | None = field(default=None, repr=False)

    @classmethod
    def configured(cls, settings: Settings) -> "Security":
        """Return what the environment says."""
        return cls(
            protocol=settings.security_protocol,
            mechanism=settings.sasl_mechanism,
            username=settings.sasl_username,
            password=settings.sasl_password,
            cafile=settings.ssl_cafile,
            certfile=settings.ssl_certfile,
            keyfile=settings.ssl_keyfile,
            key_password=settings.ssl_key_password,
        )

    def __post_init__(self) -> None:
        fault = next(self.faults(), None)
        if fault:
            raise ValueError(fault)
        if self.tls:
            self.context()

    @property
    def tls(self) -> bool:
        """Return whether connections are encrypted."""
        return self.protocol.endswith("SSL")

    @property
    def sasl(self) -> bool:
        """Return whether we say who we are."""
        return self.protocol.startswith("SASL_")

    def options(self) -> dict[str, Any]:
        """Return the options of kafka-python's clients."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.tls:
            options["ssl_context"] = self.context()
        if self.sasl:
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self._sent_username
            options["sasl_plain_password"] = _revealed(self.password)
        return options

    @property
    def _sent_username(self) -> str:
        """Return the user as SCRAM writes it (RFC 5802), which kafka-python leaves to us.

        As of its version 3.0.12.
        """
        if self.mechanism == "PLAIN":
            return self.username
        return self.username.replace("=", "=3D").replace(",", "=2C")

    def context(self) -> ssl.SSLContext:
        """Make the TLS context of our certificates.

        Our own rather than file names, so that a wrong file is found here and not in kafka-python's thread.

        Raises
        ------
        ValueError
            If a file holds something else, or the key's password is wrong.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._trust(context)
        if self.certfile:
            self._identify(context, self.certfile)
        return context

    def _trust(self, context: ssl.SSLContext) -> None:
        """Load the authorities that we believe."""
        if self.cafile is None:
            context.load_default_certs()
            return
        try:
            context.load_verify_locations(self.cafile)
        except ssl.SSLError as error:
            raise ValueError(f"KAFKA_SSL_CAFILE is {self.cafile}, which holds no certificate in PEM: {error}") from None

    def _identify(self, context: ssl.SSLContext, certfile: Path) -> None:
        """Load our own certificate and its key."""
        try:  # OpenSSL asks on the terminal for a password that it is not given, so it always gets one
            context.load_cert_chain(certfile, self.keyfile, password=_revealed(self.key_password))
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(
                f"KAFKA_SSL_CERTFILE ({certfile}) and KAFKA_SSL_KEYFILE ({self.keyfile}) are not a certificate and its "
                f"key in PEM, or KAFKA_SSL_KEY_PASSWORD is not the key's: {error}"
            ) from None

    def faults(self) -> Iterator[str]:
        """Yield what is wrong, the worst first."""
        if self.protocol not in PROTOCOLS:
            yield f"KAFKA_SECURITY_PROTOCOL is {self.protocol!r}; right is one of {', '.join(PROTOCOLS)}"
        yield from self._faults_of_sasl() if self.sasl else self._set_in_vain("SASL")
        yield from self._faults_of_tls() if self.tls else self._set_in_vain("SSL")

    def _set_in_vain(self, kind: str) -> Iterator[str]:
        """Yield a fault for each variable of a kind that has no use.

        Someone believes that it protects something.
        """
        for variable, value in self.variables().items():
            if variable.startswith(f"KAFKA_{kind}_") and value:
                right = ", ".join(one for one in PROTOCOLS if kind in one)
                yield f"{variable} is set, but KAFKA_SECURITY_PROTOCOL is {self.protocol}; right is one of {right}"

    def _faults_of_sasl(self) -> Iterator[str]:
        """Yield a fault for a mechanism that is not ours, and for a missing name or password."""
        if self.mechanism not in MECHANISMS:
            yield f"KAFKA_SASL_MECHANISM is {self.mechanism!r}; right is one of {', '.join(MECHANISMS)}"
        for variable in ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"):
            if not self.variables()[variable]:
                yield f"{variable} is not set; KAFKA_SECURITY_PROTOCOL {self.protocol} needs a user and a password"

    def _faults_of_tls(self) -> Iterator[str]:
        """Yield a fault for half of a pair, and for files that cannot be read."""
        given = self.variables()
        pairs = [("CERTFILE", "KEYFILE"), ("KEYFILE", "CERTFILE"), ("KEY_PASSWORD", "KEYFILE")]
        for one, other in pairs:
            if given[f"KAFKA_SSL_{one}"] and not given[f"KAFKA_SSL_{other}"]:
                yield f"KAFKA_SSL_{one} is set, but KAFKA_SSL_{other} is not; they go together"
        for variable, value in given.items():
            if isinstance(value, Path) and (reason := why_unreadable(value)):
                yield f"{variable} is {value}, which cannot be read ({reason}); right is a file in PEM"

    def variables(self) -> dict[str, str | Path | None]:
        """Return variable -> what it says."""
        return {
            "KAFKA_SASL_MECHANISM": self.mechanism,
            "KAFKA_SASL_USERNAME": self.username,
            "KAFKA_SASL_PASSWORD": _revealed(self.password),
            "KAFKA_SSL_CAFILE": self.cafile,
            "KAFKA_SSL_CERTFILE": self.certfile,
            "KAFKA_SSL_KEYFILE": self.keyfile,
            "KAFKA_SSL_KEY_PASSWORD": _revealed(self.key_password),
        }


def _revealed(secret: SecretStr | None) -> str:
    """Return a secret in the clear; empty if there is none."""
    return secret.get_secret_value() if secret else ""


PLAINTEXT = Security()
