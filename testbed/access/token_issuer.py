"""An issuer of OAuth tokens for tests: a key of openssl's, its JWKS file, and a token endpoint over HTTP."""

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

__all__ = ["AUDIENCE", "ISSUER", "TokenEndpoint", "TokenIssuer", "unsecured"]

ISSUER, AUDIENCE = "https://login.example.com/", "kafka"
EXPONENT = "AQAB"  # 65537, as openssl takes it


@dataclass(frozen=True)
class TokenIssuer:
    """Signs tokens.

    Attributes
    ----------
    key, jwks : files of its private key, and of the public one as brokers read it.
    """

    key: Path
    jwks: Path

    @classmethod
    def made_in(cls, folder: Path) -> "TokenIssuer":
        """Make an issuer whose files lie in a folder."""
        made = cls(folder / "issuer.key", folder / "issuer.jwks")
        _openssl("genrsa", "-out", str(made.key), "2048")
        modulus = _openssl("rsa", "-in", str(made.key), "-noout", "-modulus").decode().strip().partition("=")[2]
        key = {"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig", "n": _url64(bytes.fromhex(modulus))}
        made.jwks.write_text(json.dumps({"keys": [{**key, "e": EXPONENT}]}))
        return made

    def sign(self, subject: str, life_s: float = 600, **claims: object) -> str:
        """Return a signed token that is good for so long from now on."""
        signed = f"{_part({'alg': 'RS256', 'kid': 'one', 'typ': 'JWT'})}.{_part(_claims(subject, life_s, claims))}"
        return f"{signed}.{_url64(_openssl('dgst', '-sha256', '-sign', str(self.key), said=signed.encode()))}"


def unsecured(subject: str, life_s: float = 600, **claims: object) -> str:
    """Return a token that nobody has signed."""
    return f"{_part({'alg': 'none'})}.{_part(_claims(subject, life_s, claims))}."


def _claims(subject: str, life_s: float, more: dict[str, object]) -> dict[str, object]:
    """Return what a token says."""
    now = time.time()
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": int(now), "exp": now + life_s, **more}


def _part(fields: dict[str, Any]) -> str:
    """Return one part of a token."""
    return _url64(json.dumps(fields).encode())


def _url64(raw: bytes) -> str:
    """Return bytes in base64 as tokens have it."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _openssl(*arguments: str, said: bytes = b"") -> bytes:
    """Run openssl."""
    return subprocess.run(["openssl", *arguments], input=said, capture_output=True, check=True).stdout


@dataclass
class TokenEndpoint:
    """A token endpoint that a test moves; every answer is of the moment in which it is asked.

    Attributes
    ----------
    issuer : None: tokens are unsecured.
    secret : what the client has to know.
    life_s : of the tokens.
    failures : statuses of the next answers, before there are tokens again; 0 hangs up.
    says : fields in place of those of an answer.
    asked : the forms that were sent, each with the client and the secret.
    """

    issuer: TokenIssuer | None = None
    client: str = "mindstream"
    secret: str = "secret"
    life_s: float = 600
    failures: list[int] = field(default_factory=list)
    says: dict[str, Any] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    url: str = ""

    @contextmanager
    def serving(self) -> Iterator["TokenEndpoint"]:
        """Serve while the block lasts."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"endpoint": self}))
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}/oauth2/token"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Return status and fields of the answer to a form; status 0 is none."""
        self.asked.append(form)
        if self.failures:
            return self.failures.pop(0), {}
        if (form["client"], form["secret"]) != (self.client, self.secret):
            return 401, {"error": "invalid_client", "error_description": f"not {form['secret']}"}
        token = self.issuer.sign(form["client"], self.life_s) if self.issuer else unsecured(self.client, self.life_s)
        self.tokens.append(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.life_s, **self.says}


class _Handler(BaseHTTPRequestHandler):
    """One request for a token."""

    endpoint: TokenEndpoint

    def do_POST(self) -> None:
        """Answer with a token, or as the test wants it."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        named = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        client, _, secret = named.partition(":")
        form = {name: values[0] for name, values in parse_qs(body).items()}
        status, fields = self.endpoint.answer({**form, "client": client, "secret": secret})
        if not status:
            return
        content = json.dumps(fields).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""
