"""One conversation with one broker, to hear whether and why it refuses us.

kafka-python's clients (3.0.12) try again until their time is over and then say that it is over, not why; where the
refusal and the end of the connection arrive together, they do not read the refusal at all.
"""

import logging
import socket
from typing import Any

from kafka.cluster import collect_hosts
from kafka.errors import KafkaError, SaslAuthenticationFailedError, UnsupportedSaslMechanismError, for_code
from kafka.net.sasl import get_sasl_mechanism
from kafka.protocol.metadata import MetadataRequest
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from stream.kafka.credentials.mechanisms import NoCredentialsError
from stream.kafka.security import Security

__all__ = ["Conversation", "shake_hands"]

ANSWERED_WITHIN_S = 10.0
# With DEBUG the first logs its configuration, the next two each request as sent: the password is in both. The last
# logs what a broker says of a token.
TELL_PASSWORDS = ("kafka.admin.client", "kafka.net.connection", "kafka.protocol.parser", "kafka.net.sasl.oauth")


def shake_hands(address: str, security: Security) -> None:
    """Return once the broker at `address` (host:port) has accepted us.

    Raises
    ------
    OSError
        Names the broker and why it did not. What a broker says of a failed authentication is left out: it may
        repeat what it was sent.
    """
    _keep_passwords_to_ourselves()
    try:
        _talk(address, security)
    except SaslAuthenticationFailedError:
        raise OSError(
            f"the Kafka broker at {address} does not accept {security.who}: authentication failed "
            f"({security.mechanism}); {_question(security)}"
        ) from None
    except NoCredentialsError as error:
        raise OSError(f"the Kafka broker at {address} cannot be told who we are: {error}") from None
    except (KafkaError, OSError, ValueError) as error:
        spoken = f"{security.protocol} with {security.mechanism}" if security.sasl else security.protocol
        raise OSError(
            f"the Kafka broker at {address} does not get on with {spoken} ({error}); "
            "are KAFKA_SECURITY_PROTOCOL and what belongs to it right?"
        ) from error


def _question(security: Security) -> str:
    """Return what may be wrong where a broker does not accept us."""
    if security.mechanism == "OAUTHBEARER":
        return "is the token meant for this cluster (issuer, audience, scope), and has it not ended?"
    if security.username:
        return "are KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD right?"
    return "are our credentials those of somebody whom it knows?"


def _talk(address: str, security: Security) -> None:
    """Connect and say who we are, by TLS, SASL or both."""
    [(host, port, _)] = collect_hosts(address)
    with socket.create_connection((host, port), ANSWERED_WITHIN_S) as plain:
        if not security.tls:
            _authenticate(Conversation(plain), security, host)
            return
        with security.context().wrap_socket(plain, server_hostname=host) as encrypted:
            conversation = Conversation(encrypted)
            if security.sasl:
                _authenticate(conversation, security, host)
            else:  # a broker may refuse our certificate, or the lack of one, after the handshake of TLS 1.3
                conversation.ask(MetadataRequest(topics=[], allow_auto_topic_creation=False, version=4))


def _authenticate(conversation: "Conversation", security: Security, host: str) -> None:
    """Authenticate by SASL.

    With the newest versions of the requests that every broker knows.
    """
    chosen = conversation.ask(SaslHandshakeRequest(mechanism=security.mechanism, version=1))
    if for_code(chosen.error_code) is UnsupportedSaslMechanismError:
        raise ValueError(f"it knows {', '.join(chosen.mechanisms)}")
    _raise_for(chosen.error_code)
    mechanism = _begun(security, host)
    while not mechanism.is_done():
        answer = conversation.ask(SaslAuthenticateRequest(mechanism.auth_bytes(), version=0))
        _raise_for(answer.error_code)
        mechanism.receive(answer.auth_bytes)
    if not mechanism.is_authenticated():
        raise SaslAuthenticationFailedError


def _begun(security: Security, host: str) -> Any:
    """Return kafka-python's side of the mechanism, for a broker of this name."""
    options = {name: value for name, value in security.options().items() if name.startswith("sasl_")}
    encrypted = (
        {"security_protocol": security.protocol} if security.tls else {}
    )  # without TLS it warns of that each time
    return get_sasl_mechanism(security.mechanism)(host=host, **encrypted, **options)


def _raise_for(error_code: int) -> None:
    """Raise Kafka's error of that number; 0 is none."""
    if error_code:
        raise for_code(error_code)


class Conversation:
    """Requests and their responses, one after the other."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream, self.protocol = stream, KafkaProtocol(client_id="mindstream")

    def ask(self, request: Any) -> Any:
        """Send a request and wait for its response."""
        self.protocol.send_request(request)
        self.stream.sendall(self.protocol.send_bytes())
        while data := self.stream.recv(65_536):
            for _, response in self.protocol.receive_bytes(data):
                return response
        raise ConnectionError("it closed the connection without an answer")


def _keep_passwords_to_ourselves() -> None:
    """Keep kafka-python's loggers from logging passwords, whatever level they have."""
    for name in TELL_PASSWORDS:
        logging.getLogger(name).addFilter(_above_debug)


def _above_debug(record: logging.LogRecord) -> bool:
    """Tell whether a record says more than the bytes of a request."""
    return record.levelno > logging.DEBUG
