"""TLS and SASL of a Kafka cluster, checked before anything is connected."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from mindstream.settings import Settings
from stream.kafka.credentials import sasl_faults
from stream.kafka.credentials.certificates import Certificates, FreshContext
from stream.kafka.credentials.kerberos import Kerberos
from stream.kafka.credentials.mechanisms import register
from stream.kafka.credentials.oauth import OAuth
from stream.kafka.credentials.secret import Secret
from stream.kafka.credentials.tokens import Tokens

__all__ = ["PLAINTEXT", "Security"]

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


@dataclass(frozen=True)
class Security:
    """TLS and SASL of one cluster. Nothing that prints it shows a secret.

    Attributes
    ----------
    protocol, mechanism : of PROTOCOLS and MECHANISMS; the mechanism is empty where the protocol has no SASL.
    username, password, password_file : whom SASL names, for mechanisms with passwords.
    cafile : PEM file of the authorities that sign the brokers' certificates; None: those the system trusts.
    certfile, keyfile, key_password, key_password_file : our own certificate, where brokers ask for one.
    oauth, kerberos : what OAUTHBEARER and GSSAPI need.

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
    password_file: Path | None = None
    key_password_file: Path | None = None
    oauth: OAuth = field(default_factory=OAuth)
    kerberos: Kerberos = field(default_factory=Kerberos)

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
            password_file=settings.sasl_password_file,
            key_password_file=settings.ssl_key_password_file,
            oauth=OAuth.configured(settings),
            kerberos=Kerberos(settings.kerberos_service_name, settings.kerberos_domain_name),
        )

    def __post_init__(self) -> None:
        fault = next(self.faults(), None)
        if fault:
            raise ValueError(fault)
        if self.tls:
            self.context()
        if self.sasl:
            register()

    @property
    def tls(self) -> bool:
        """Return whether connections are encrypted."""
        return self.protocol.endswith("SSL")

    @property
    def sasl(self) -> bool:
        """Return whether we say who we are."""
        return self.protocol.startswith("SASL_")

    @property
    def who(self) -> str:
        """Return whom we say we are, in words."""
        if self.mechanism == "OAUTHBEARER":
            return f"the token of {self.oauth.who}"
        return f"user {self.username!r}" if self.username else "us"

    @cached_property
    def tokens(self) -> Tokens:
        """Return the source of tokens, one for all connections."""
        return Tokens(self.oauth)

    @property
    def certificates(self) -> Certificates:
        """Return the certificates of TLS."""
        password = Secret("KAFKA_SSL_KEY_PASSWORD", self.key_password, self.key_password_file)
        return Certificates(self.cafile, self.certfile, self.keyfile, password)

    def context(self) -> ssl.SSLContext:
        """Make the TLS context of our certificates, as their files are now.

        Raises
        ------
        ValueError
            If a file cannot be read or holds something else, or the key's password is wrong.
        """
        return self.certificates.context()

    @property
    def _password(self) -> Secret:
        """Return the password of SASL."""
        return Secret("KAFKA_SASL_PASSWORD", self.password, self.password_file)

    def options(self) -> dict[str, Any]:
        """Return the options of kafka-python's clients."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.tls:
            options["ssl_context"] = FreshContext(self.context)
        if self.sasl:
            options["sasl_mechanism"] = self.mechanism
            options |= self._credentials()
        return options

    def _credentials(self) -> dict[str, Any]:
        """Return the options by which the mechanism says who we are."""
        if self.mechanism == "OAUTHBEARER":
            return {"sasl_oauth_token_provider": self.tokens}
        if self.mechanism == "GSSAPI":
            return self.kerberos.options()
        if self.mechanism == "AWS_MSK_IAM":
            return {}
        return {"sasl_plain_username": self._sent_username, "sasl_plain_password": self._password}

    @property
    def _sent_username(self) -> str:
        """Return the user as SCRAM writes it (RFC 5802), which kafka-python leaves to us.

        As of its version 3.0.12.
        """
        if self.mechanism == "PLAIN":
            return self.username
        return self.username.replace("=", "=3D").replace(",", "=2C")

    def faults(self) -> Iterator[str]:
        """Yield what is wrong, the worst first."""
        if self.protocol not in PROTOCOLS:
            yield f"KAFKA_SECURITY_PROTOCOL is {self.protocol!r}; right is one of {', '.join(PROTOCOLS)}"
        yield from self._faults_of_sasl() if self.sasl else self._set_in_vain("SASL")
        yield from self.certificates.faults() if self.tls else self._set_in_vain("SSL")

    def _faults_of_sasl(self) -> Iterator[str]:
        """Yield a fault for a mechanism that is not ours, and for what it lacks or has no use for."""
        yield from sasl_faults.faults(self.protocol, self.mechanism, self.variables())
        if self.mechanism == "OAUTHBEARER":
            yield from self.oauth.faults()
        yield from self._password.faults()

    def _set_in_vain(self, kind: str) -> Iterator[str]:
        """Yield a fault for each variable of a kind that has no use.

        Someone believes that it protects something.
        """
        for variable, value in self.variables().items():
            if variable.startswith(f"KAFKA_{kind}_") and value:
                right = ", ".join(one for one in PROTOCOLS if kind in one)
                yield f"{variable} is set, but KAFKA_SECURITY_PROTOCOL is {self.protocol}; right is one of {right}"

    def variables(self) -> dict[str, object]:
        """Return variable -> what it says; empty or None where it is not set."""
        return {
            "KAFKA_SASL_MECHANISM": self.mechanism,
            "KAFKA_SASL_USERNAME": self.username,
            **self._password.variables(),
            **self.oauth.variables(),
            **self.kerberos.variables(),
            **self.certificates.variables(),
        }


PLAINTEXT = Security()
