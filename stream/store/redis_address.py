"""The address of a Redis, read from a url whose password nothing here ever says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from mindstream.files import why_unreadable

__all__ = ["RedisAddress", "parse"]

PORT = 6379
RIGHT = (
    "right is redis://[[user]:password@]host[:port][/database], rediss:// for TLS, "
    "redis+cluster:// or rediss+cluster:// for Redis Cluster, and %XX for special characters in a password"
)
# Scheme -> by TLS, a Redis Cluster.
SCHEMES = {
    "redis": (False, False),
    "rediss": (True, False),
    "redis+cluster": (False, True),
    "rediss+cluster": (True, True),
}
OPTIONS = (
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "ssl_cert_reqs",
    "ssl_check_hostname",
)
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
VALUES: dict[str, tuple[str, ...]] = {
    "ssl_cert_reqs": ("required", "optional", "none"),
    "ssl_check_hostname": ("true", "false"),
}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """The address of a Redis, and what it is entered with.

    Attributes
    ----------
    cluster : whether it is a node of a Redis Cluster, which names the others.
    options : redis-py's names of what TLS needs -> value.
    """

    host: str
    port: int
    database: int
    tls: bool
    cluster: bool
    username: str | None
    password: str | None = field(repr=False)
    options: Mapping[str, str] = field(repr=False)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(url: str) -> RedisAddress:
    """Read a url such as rediss://:password@host:6380/0?ssl_ca_certs=ca.pem.

    Raises
    ------
    ValueError
        Says what is wrong and what would be right, and nothing of the url: any part may be a piece of a password
        whose special characters were not escaped. Of a file of TLS that cannot be read it says the path.
    """
    split = _split(url)
    if split.scheme not in SCHEMES:
        raise _wrong(f"begins with none of {', '.join(f'{scheme}://' for scheme in SCHEMES)}")
    tls, cluster = SCHEMES[split.scheme]
    if not split.hostname or split.fragment:
        raise _wrong("names no host")
    return RedisAddress(
        unquote(split.hostname),
        _port(split),
        _database(split, cluster),
        tls,
        cluster,
        unquote(split.username) if split.username else None,
        unquote(split.password) if split.password else None,
        _options(split, tls),
    )


def _wrong(what: str) -> ValueError:
    """Return the error that says what is wrong with the url."""
    return ValueError(f"the url of Redis (MINDSTREAM_REDIS) {what}; {RIGHT}")


def _split(url: str) -> SplitResult:
    """Split a url into its parts."""
    try:
        return urlsplit(url)
    except ValueError:  # whose message may hold the password
        raise _wrong("is no url") from None


def _port(split: SplitResult) -> int:
    """Return the port, by default Redis's."""
    try:
        port = PORT if split.port is None else split.port
    except ValueError:  # whose message may hold the password
        port = 0
    if port == 0:
        raise _wrong("has no number from 1 to 65535 as its port")
    return port


def _database(split: SplitResult, cluster: bool) -> int:
    """Return the number of the database."""
    name = split.path.strip("/")
    if not name:
        return 0
    if not (name.isascii() and name.isdigit()):
        raise _wrong("has no number as its database")
    if cluster and int(name):
        raise _wrong("names a database, of which Redis Cluster has only 0")
    return int(name)


def _options(split: SplitResult, tls: bool) -> dict[str, str]:
    """Return the options of TLS."""
    options = dict(parse_qsl(split.query, keep_blank_values=True))
    if not set(options) <= set(OPTIONS):
        raise _wrong(f"has an option other than {', '.join(OPTIONS)}")
    if options and not tls:
        raise _wrong("has options of TLS, but begins with redis://")
    for name, values in VALUES.items():
        if options.get(name, values[0]) not in values:
            raise _wrong(f"has an option {name} that is none of {', '.join(values)}")
    for name in FILES:
        if (file := options.get(name)) and (reason := why_unreadable(Path(file))):
            raise ValueError(
                f"the url of Redis (MINDSTREAM_REDIS) has the option {name} with {file!r}, which cannot be read "
                f"({reason}); right is a file in PEM"
            )
    return options
