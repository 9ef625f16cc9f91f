"""What GSSAPI (Kerberos) has to know of the brokers; whom we are is in the ticket cache or the keytab."""

from dataclasses import dataclass

__all__ = ["Kerberos"]

SERVICE_NAME = "kafka"


@dataclass(frozen=True)
class Kerberos:
    """The brokers' principal.

    Attributes
    ----------
    service_name : its first part; empty: kafka.
    domain_name : its host; empty: each broker's own.
    """

    service_name: str = ""
    domain_name: str = ""

    def options(self) -> dict[str, str | None]:
        """Return the options of kafka-python's clients."""
        return {
            "sasl_kerberos_service_name": self.service_name or SERVICE_NAME,
            "sasl_kerberos_domain_name": self.domain_name or None,
        }

    def variables(self) -> dict[str, object]:
        """Return variable -> what it says; empty where it is not set."""
        return {
            "KAFKA_SASL_KERBEROS_SERVICE_NAME": self.service_name,
            "KAFKA_SASL_KERBEROS_DOMAIN_NAME": self.domain_name,
        }
