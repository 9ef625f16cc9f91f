"""Listeners with TLS and SASL for the Java broker, and the certificates that they need."""

from dataclasses import dataclass
from pathlib import Path

from testbed.access.token_issuer import AUDIENCE, ISSUER, TokenIssuer

__all__ = ["MECHANISMS", "NAMES", "OAUTH", "PROTOCOLS", "USER", "Listeners"]

USER = "ann"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PROTOCOLS = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")
# Listeners for OAUTHBEARER alone: SIGNED takes the issuer's tokens, UNSECURED any that says who it is for.
OAUTH = {"SIGNED": "SASL_SSL", "UNSECURED": "SASL_PLAINTEXT"}
NAMES = (*PROTOCOLS, *OAUTH)
LOGIN = "org.apache.kafka.common.security"

PROPERTIES = """\
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,{themselves}
sasl.enabled.mechanisms={mechanisms}
ssl.keystore.type=PEM
ssl.keystore.location={server}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.ssl.ssl.client.auth=required
"""
# A session is as long as the token is good: then the broker asks for another one.
OAUTH_PROPERTIES = """\
listener.name.{name}.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.{name}.oauthbearer.connections.max.reauth.ms=3600000
listener.name.{name}.oauthbearer.sasl.jaas.config={login}.oauthbearer.OAuthBearerLoginModule required \
unsecuredLoginStringClaim_sub="broker";
"""
# By default Kafka 4.1 reads a token without looking at its signature, whatever keys it is given.
SIGNED_PROPERTIES = """\
listener.name.signed.oauthbearer.sasl.server.callback.handler.class={login}.oauthbearer.\
OAuthBearerValidatorCallbackHandler
listener.name.signed.sasl.oauthbearer.jwt.validator.class={login}.oauthbearer.BrokerJwtValidator
listener.name.signed.sasl.oauthbearer.jwks.endpoint.url={jwks}
listener.name.signed.sasl.oauthbearer.expected.audience={audience}
listener.name.signed.sasl.oauthbearer.expected.issuer={issuer}
listener.name.signed.sasl.oauthbearer.clock.skew.seconds=0
"""


@dataclass(frozen=True)
class Listeners:
    """One listener for each of NAMES.

    SSL asks for a client's certificate, those of SASL_ for USER's password.

    Attributes
    ----------
    ports : name -> port of 127.0.0.1.
    authority, server : PEM files of the certificate authority, and of the broker's key and certificate.
    issuer : whose tokens SIGNED takes.
    """

    ports: dict[str, int]
    authority: Path
    server: Path
    password: str
    issuer: TokenIssuer

    def address(self, name: str) -> str:
        """Return host:port of a listener."""
        return f"127.0.0.1:{self.ports[name]}"

    def added_to(self, properties: str) -> str:
        """Return a broker's properties with these listeners added."""
        more = "".join(f",{name}://{self.address(name)}" for name in self.ports)
        lines = [f"{line}{more}" if _is_listeners(line) else line for line in properties.splitlines()]
        return "\n".join([*lines, self.properties(), *self._logins()]) + "\n"

    def properties(self) -> str:
        """Return the properties of all listeners."""
        themselves = ",".join(f"{name}:{OAUTH.get(name, name)}" for name in self.ports)
        of_all = PROPERTIES.format(
            themselves=themselves, mechanisms=",".join(MECHANISMS), server=self.server, authority=self.authority
        )
        signed = SIGNED_PROPERTIES.format(login=LOGIN, jwks=self.issuer.jwks.as_uri(), audience=AUDIENCE, issuer=ISSUER)
        return "".join([of_all, *(OAUTH_PROPERTIES.format(name=one.lower(), login=LOGIN) for one in OAUTH), signed])

    def java_options(self) -> list[str]:
        """Return the options of Java by which Kafka may read the issuer's keys from a file."""
        return [f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.issuer.jwks.as_uri()}"]

    def _logins(self) -> list[str]:
        """List the properties that say who may log in.

        SCRAM's users are in the cluster's metadata instead, see `scram_options`.
        """
        plain = f'{LOGIN}.plain.PlainLoginModule required user_{USER}="{self.password}";'
        modules = {"plain": plain} | dict.fromkeys(
            ("scram-sha-256", "scram-sha-512"), f"{LOGIN}.scram.ScramLoginModule required;"
        )
        return [
            f"listener.name.{protocol.lower()}.{mechanism}.sasl.jaas.config={module}"
            for protocol in PROTOCOLS
            if protocol.startswith("SASL")
            for mechanism, module in modules.items()
        ]

    def scram_options(self) -> list[str]:
        """Return the options of Kafka's StorageTool that make USER known to SCRAM."""
        scram = [mechanism for mechanism in MECHANISMS if mechanism.startswith("SCRAM")]
        pairs = [("--add-scram", f"{one}=[name={USER},password={self.password}]") for one in scram]
        return [word for pair in pairs for word in pair]


def _is_listeners(line: str) -> bool:
    """Tell whether a property names the broker's listeners."""
    return line.startswith(("listeners=", "advertised.listeners="))
