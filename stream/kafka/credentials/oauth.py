"""Where the tokens of OAUTHBEARER come from: a token endpoint (client credentials), a file or a variable."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from mindstream.settings import Settings
from stream.kafka.credentials.secret import Secret

__all__ = ["OAuth"]

PREFIX = "KAFKA_SASL_OAUTHBEARER"
# Of RFC 7628; "auth" is the token itself.
EXTENSION = re.compile(r"(?!auth=)([A-Za-z]+)=([!-+\--~]+)")


@dataclass(frozen=True)
class OAuth:
    """The source of tokens. Nothing that prints it shows a secret.

    Attributes
    ----------
    endpoint : url of the token endpoint; the secret of `client_id` opens it (RFC 6749, 4.4), and `scope` is asked for.
    token, token_file : a token that somebody else renews, instead of an endpoint.
    extensions : what goes to the broker beside the token, as name=value pairs with commas between them.
    """

    endpoint: str = ""
    client_id: str = ""
    client_secret: SecretStr | None = field(default=None, repr=False)
    client_secret_file: Path | None = None
    scope: str = ""
    token: SecretStr | None = field(default=None, repr=False)
    token_file: Path | None = None
    extensions: str = ""

    @classmethod
    def configured(cls, settings: Settings) -> "OAuth":
        """Return what the environment says."""
        return cls(
            endpoint=settings.oauth_endpoint,
            client_id=settings.oauth_client_id,
            client_secret=settings.oauth_client_secret,
            client_secret_file=settings.oauth_client_secret_file,
            scope=settings.oauth_scope,
            token=settings.oauth_token,
            token_file=settings.oauth_token_file,
            extensions=settings.oauth_extensions,
        )

    @property
    def secret(self) -> Secret:
        """Return the client's secret."""
        return Secret(f"{PREFIX}_CLIENT_SECRET", self.client_secret, self.client_secret_file)

    @property
    def given_token(self) -> Secret:
        """Return the token that somebody else renews."""
        return Secret(f"{PREFIX}_TOKEN", self.token, self.token_file)

    @property
    def who(self) -> str:
        """Return whom a token speaks for, in words."""
        return f"client {self.client_id!r}" if self.endpoint else self.given_token.source

    def variables(self) -> dict[str, object]:
        """Return variable -> what it says; empty or None where it is not set."""
        return {
            f"{PREFIX}_TOKEN_ENDPOINT_URL": self.endpoint,
            f"{PREFIX}_CLIENT_ID": self.client_id,
            **self.secret.variables(),
            f"{PREFIX}_SCOPE": self.scope,
            **self.given_token.variables(),
            f"{PREFIX}_EXTENSIONS": self.extensions,
        }

    def pairs(self) -> dict[str, str]:
        """Return the extensions by name."""
        return dict(pair.split("=", 1) for pair in self.extensions.split(",")) if self.extensions else {}

    def faults(self) -> Iterator[str]:
        """Yield what is wrong, the worst first."""
        given, sources = self.variables(), ("TOKEN_ENDPOINT_URL", "TOKEN", "TOKEN_FILE")
        named = [f"{PREFIX}_{one}" for one in sources if given[f"{PREFIX}_{one}"]]
        all_sources = f"{PREFIX}_TOKEN_ENDPOINT_URL, _TOKEN and _TOKEN_FILE"
        if not named:
            yield f"none of {all_sources} is set; KAFKA_SASL_MECHANISM OAUTHBEARER needs one of them"
        if len(named) > 1:
            yield f"{' and '.join(named)} are set; right is one of {all_sources}"
        yield from self._faults_of_endpoint() if self.endpoint else self._faults_of_token()
        for pair in self.extensions.split(",") if self.extensions else ():
            if not EXTENSION.fullmatch(pair):
                yield f"{PREFIX}_EXTENSIONS is {self.extensions!r}; right are pairs such as logicalCluster=lkc-1,pool=a"

    def _faults_of_endpoint(self) -> Iterator[str]:
        """Yield a fault for a url that is none, and for a missing client or secret."""
        url = f"{PREFIX}_TOKEN_ENDPOINT_URL"
        if fault := _fault_of_url(self.endpoint):
            yield f"{url} {fault}; right is a url such as https://login.example.com/oauth2/token"
        if not self.client_id:
            yield f"{PREFIX}_CLIENT_ID is not set; {url} needs a client and its secret"
        if not self.secret.is_given():
            yield f"neither {PREFIX}_CLIENT_SECRET nor {PREFIX}_CLIENT_SECRET_FILE is set; {url} needs one of them"
        yield from self.secret.faults()

    def _faults_of_token(self) -> Iterator[str]:
        """Yield a fault for what is set in vain where no endpoint is asked."""
        for one in ("CLIENT_ID", "CLIENT_SECRET", "CLIENT_SECRET_FILE", "SCOPE"):
            if self.variables()[f"{PREFIX}_{one}"]:
                yield f"{PREFIX}_{one} is set, but {PREFIX}_TOKEN_ENDPOINT_URL is not; they go together"
        yield from self.given_token.faults()


def _fault_of_url(url: str) -> str:
    """Return why no token can be asked for at a url, without its secrets; empty where it can."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is no url"
    if parts.username is not None or parts.password is not None:
        return f"names a user or a password (of {parts.hostname}), which belong into _CLIENT_ID and _CLIENT_SECRET"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"is {url!r}"
    return ""
