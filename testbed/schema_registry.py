"""A schema registry with Confluent's REST API, as far as readers use it."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["RegistryServer", "prefixed"]


def prefixed(schema_id: int, data: bytes) -> bytes:
    """Return the value of a record: a zero, the schema's id in four bytes, and the data."""
    return bytes([0]) + schema_id.to_bytes(4, "big") + data


@dataclass
class RegistryServer:
    """A registry that a test moves.

    Attributes
    ----------
    schemas : id -> what the registry answers: schema, and schemaType and references where they are not Avro and none.
    versions : (subject, version) -> id, of those that others refer to.
    user : "user:password" that is asked for; empty: none.
    failures : statuses and bodies of the next answers, before there are schemas again.
    asked : paths that were asked for, each with the header that says by whom.
    """

    schemas: dict[int, dict[str, Any]] = field(default_factory=dict)
    versions: dict[tuple[str, int], int] = field(default_factory=dict)
    user: str = ""
    failures: list[tuple[int, str]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    @contextmanager
    def serving(self, port: int = 0, certificate: tuple[str, str] | None = None) -> Iterator["RegistryServer"]:
        """Serve while the block lasts.

        Parameters
        ----------
        port : 0: any that is free.
        certificate : files of a certificate and its key, for TLS.
        """
        server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"registry": self}))
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        self.url = f"http{'s' * bool(certificate)}://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, path: str, authorization: str) -> tuple[int, str]:
        """Return status and body of the answer to a question."""
        self.asked.append((path, authorization))
        if self.failures:
            return self.failures.pop(0)
        if self.user and authorization != f"Basic {base64.b64encode(self.user.encode()).decode()}":
            return 401, json.dumps({"error_code": 401, "message": "Unauthorized"})
        match path.strip("/").split("/"):
            case ["schemas", "ids", number]:
                return self._found(int(number))
            case ["subjects", subject, "versions", version]:
                return self._found(self.versions[subject, int(version)], subject, int(version))
        return 404, json.dumps({"error_code": 404, "message": "HTTP 404 Not Found"})

    def _found(self, schema_id: int, subject: str = "", version: int = 0) -> tuple[int, str]:
        """Return the answer that holds a schema."""
        if schema_id not in self.schemas:
            return 404, json.dumps({"error_code": 40403, "message": "Schema not found"})
        of_a_version = {"subject": subject, "version": version, "id": schema_id} if subject else {}
        return 200, json.dumps({**of_a_version, **self.schemas[schema_id]})


class _Handler(BaseHTTPRequestHandler):
    """One question."""

    registry: RegistryServer

    def do_GET(self) -> None:
        """Answer with a schema, or as the test wants it."""
        status, body = self.registry.answer(self.path.partition("?")[0], self.headers.get("Authorization", ""))
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""
