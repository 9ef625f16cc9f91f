"""Certificates of TLS: checked before anything is connected, and read again for each connection."""

import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mindstream.files import why_unreadable
from stream.kafka.credentials.secret import Secret

__all__ = ["Certificates", "FreshContext"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Certificates:
    """Whom we believe, and who we are.

    Attributes
    ----------
    cafile : PEM file of the authorities that sign the brokers' certificates; None: those the system trusts.
    certfile, keyfile, password : our own certificate, its key and that key's password, where brokers ask for one.
    """

    cafile: Path | None
    certfile: Path | None
    keyfile: Path | None
    password: Secret

    def variables(self) -> dict[str, object]:
        """Return variable -> what it says; empty or None where it is not set."""
        return {
            "KAFKA_SSL_CAFILE": self.cafile,
            "KAFKA_SSL_CERTFILE": self.certfile,
            "KAFKA_SSL_KEYFILE": self.keyfile,
            **self.password.variables(),
        }

    def faults(self) -> Iterator[str]:
        """Yield a fault for half of a pair, and for files that cannot be read."""
        given = self.variables()
        pairs = [("CERTFILE", "KEYFILE"), ("KEYFILE", "CERTFILE"), ("KEY_PASSWORD", "KEYFILE")]
        for one, other in [*pairs, ("KEY_PASSWORD_FILE", "KEYFILE")]:
            if given[f"KAFKA_SSL_{one}"] and not given[f"KAFKA_SSL_{other}"]:
                yield f"KAFKA_SSL_{one} is set, but KAFKA_SSL_{other} is not; they go together"
        for name in ("CAFILE", "CERTFILE", "KEYFILE"):
            file = given[f"KAFKA_SSL_{name}"]
            if isinstance(file, Path) and (reason := why_unreadable(file)):
                yield f"KAFKA_SSL_{name} is {file}, which cannot be read ({reason}); right is a file in PEM"
        yield from self.password.faults()

    def context(self) -> ssl.SSLContext:
        """Make the TLS context, as the files are now.

        Our own rather than file names, so that a wrong file is found here and not in kafka-python's thread.

        Raises
        ------
        ValueError
            If a file cannot be read or holds something else, or the key's password is wrong.
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
        except OSError as error:  # an SSLError is one
            raise ValueError(f"KAFKA_SSL_CAFILE is {self.cafile}, which holds no certificate in PEM: {error}") from None

    def _identify(self, context: ssl.SSLContext, certfile: Path) -> None:
        """Load our own certificate and its key."""
        password = self.password.reveal()
        try:  # OpenSSL asks on the terminal for a password that it is not given, so it always gets one
            context.load_cert_chain(certfile, self.keyfile, password=password)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"KAFKA_SSL_CERTFILE ({certfile}) and KAFKA_SSL_KEYFILE ({self.keyfile}) are not a certificate and its "
                f"key in PEM, or {self.password.source} is not the key's: {error}"
            ) from None


class FreshContext:
    """What kafka-python takes for an `ssl.SSLContext`: it only asks it to wrap sockets.

    Parameters
    ----------
    make : reads the files and makes a context of them; a ValueError says what is wrong with them.
    """

    def __init__(self, make: Callable[[], ssl.SSLContext]) -> None:
        self.make, self.last = make, make()
        self.trouble = ""

    def wrap_socket(self, sock: socket.socket, **options: Any) -> ssl.SSLSocket:
        """Wrap a socket by the certificates that the files hold now."""
        self._read_again()
        return self.last.wrap_socket(sock, **options)

    def _read_again(self) -> None:
        """Make the context anew; keep the last one while the files do not fit together.

        Whoever rotates them writes one after the other.
        """
        try:
            self.last, trouble = self.make(), ""
        except ValueError as error:
            trouble = str(error)
        if trouble and trouble != self.trouble:
            log.warning("%s; what was read before is used until that is right", trouble)
        self.trouble = trouble
