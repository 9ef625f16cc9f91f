"""Listeners with TLS and SASL for the Java broker, and the certificates that they need."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["MECHANISMS", "PROTOCOLS", "USER", "Listeners"]

USER = "ann"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PROTOCOLS = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")
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


@dataclass(frozen=True)
class Listeners:
    """One listener for each of PROTOCOLS: SSL asks for a client's certificate, the SASL ones for USER's password.

    Attributes
    ----------
    ports : protocol -> port of 127.0.0.1.
    authority, server : PEM files of the certificate authority, and of the broker's key and certificate.
    """

    ports: dict[str, int]
    authority: Path
    server: Path
    password: str

    def address(self, protocol: str) -> str:
        """Return host:port of a listener."""
        return f"127.0.0.1:{self.ports[protocol]}"

    def added_to(self, properties: str) -> str:
        """Return a broker's properties with these listeners added."""
        more = "".join(f",{protocol}://{self.address(protocol)}" for protocol in self.ports)
        lines = [f"{line}{more}" if _is_listeners(line) else line for line in properties.splitlines()]
        return "\n".join([*lines, self.properties(), *self._logins()]) + "\n"

    def properties(self) -> str:
        """Return the properties of all listeners."""
        themselves = ",".join(f"{protocol}:{protocol}" for protocol in self.ports)
        return PROPERTIES.format(
            themselves=themselves, mechanisms=",".join(MECHANISMS), server=self.server, authority=self.authority
        )

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
            for protocol in self.ports
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
