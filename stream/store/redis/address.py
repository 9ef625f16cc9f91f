"""The address of a Redis, read from a url whose password nothing here ever says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from mindstream.files import why_unreadable

__all__ = ["Kind", "RedisAddress", "parse"]

Kind = Literal["single", "cluster", "sentinel", "socket"]

PORT, SENTINEL_PORT = 6379, 26379
RIGHT = (
    "right is redis://[[user]:password@]host[:port][/database], rediss:// for TLS, "
    "redis+cluster:// or rediss+cluster:// for Redis Cluster with host[:port] of one or several nodes, "
    "redis+sentinel:// or rediss+sentinel:// for Redis Sentinel with host[:port] of the sentinels and /service, "
    "unix:// and the path of a socket, and %XX for special characters in a password"
)


class _Scheme(NamedTuple):
    tls: bool
    kind: Kind


SCHEMES = {
    "redis": _Scheme(False, "single"),
    "rediss": _Scheme(True, "single"),
    "redis+cluster": _Scheme(False, "cluster"),
    "rediss+cluster": _Scheme(True, "cluster"),
    "redis+sentinel": _Scheme(False, "sentinel"),
    "rediss+sentinel": _Scheme(True, "sentinel"),
    "unix": _Scheme(False, "socket"),
}
TLS_OPTIONS = (
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "ssl_cert_reqs",
    "ssl_check_hostname",
)
SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password", "sentinel_tls")
SOCKET_OPTIONS = ("db",)
OPTIONS = (*TLS_OPTIONS, *SENTINEL_OPTIONS, *SOCKET_OPTIONS)
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
VALUES: dict[str, tuple[str, ...]] = {
    "ssl_cert_reqs": ("required", "optional", "none"),
    "ssl_check_hostname": ("true", "false"),
    "sentinel_tls": ("true", "false"),
}
HOST = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]*)(?::(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """The address of a Redis, and what it is entered with.

    Attributes
    ----------
    kind : "single"; "cluster", whose nodes name the others; "sentinel", which names the primary; "socket" of this host.
    hosts : (host, port) of the Redis, of nodes of the cluster, or of the sentinels; none of a socket.
    service : the name by which the sentinels know the primary.
    path : of the socket.
    password_file : read for every new connection, so that a password that was changed is taken up.
    options : redis-py's names of what TLS needs -> value.
    sentinel_options : what the sentinels themselves are entered with: sentinel_username, -_password and -_tls.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...]
    database: int = 0
    tls: bool = False
    service: str = ""
    path: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    sentinel_options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return self.path or (f"{self.service} of Sentinel {hosts}" if self.service else hosts)


def parse(url: str, password_file: Path | None = None) -> RedisAddress:
    """Read a url such as rediss://:password@host:6380/0?ssl_ca_certs=ca.pem.

    Parameters
    ----------
    password_file : holds the password, instead of the url.

    Raises
    ------
    ValueError
        Says what is wrong and what would be right, and nothing of the url: any part may be a piece of a password
        whose special characters were not escaped. Of a file that cannot be read it says the path.
    """
    split = _split(url)
    if split.scheme not in SCHEMES:
        raise _wrong(f"begins with none of {', '.join(f'{scheme}://' for scheme in SCHEMES)}")
    tls, kind = SCHEMES[split.scheme]
    username, password, hosts = _netloc(split, kind)
    options = _options(split, tls, kind)
    service, database = _path(split, kind, options.pop("db", ""))
    if password_file is not None:
        _check_password_file(password_file, password)
    return RedisAddress(
        kind,
        hosts,
        database,
        tls,
        service,
        unquote(split.path) if kind == "socket" else "",
        username,
        password,
        password_file,
        {name: value for name, value in options.items() if name in TLS_OPTIONS},
        {name: value for name, value in options.items() if name in SENTINEL_OPTIONS},
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


def _netloc(split: SplitResult, kind: Kind) -> tuple[str | None, str | None, tuple[tuple[str, int], ...]]:
    """Return user, password and hosts of the url."""
    login, _, listed = split.netloc.rpartition("@")
    username, _, password = login.partition(":")
    names = listed.split(",") if listed or kind != "socket" else []
    hosts = tuple(_host(name, SENTINEL_PORT if kind == "sentinel" else PORT) for name in names)
    if split.fragment or not all(host for host, _ in hosts):
        raise _wrong("names no host" if kind != "socket" else "is no path of a socket")
    if kind == "socket" and (hosts or not split.path.strip("/")):
        raise _wrong("names a host, or no socket behind unix://")
    if kind == "single" and len(hosts) > 1:
        raise _wrong("names several hosts, which only Redis Cluster and Redis Sentinel have")
    return unquote(username) or None, unquote(password) or None, hosts


def _host(text: str, default: int) -> tuple[str, int]:
    """Return host and port of host[:port]; an empty host if there is none."""
    found = HOST.fullmatch(text)
    if not found:
        raise _wrong("is no url")
    host, port = found[1].strip("[]"), found[2]
    if host and port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise _wrong("has no number from 1 to 65535 as its port")
    return unquote(host), int(port) if host and port else default


def _path(split: SplitResult, kind: Kind, db: str) -> tuple[str, int]:
    """Return the service that the sentinels know, and the number of the database."""
    parts = split.path.strip("/")
    service = ""
    if kind == "socket":
        parts = db
    elif kind == "sentinel":
        service, _, parts = parts.partition("/")
        if not service:
            raise _wrong("names no service, by which the sentinels know the primary")
    if parts and not (parts.isascii() and parts.isdigit()):
        raise _wrong("has no number as its database")
    if kind == "cluster" and int(parts or 0):
        raise _wrong("names a database, of which Redis Cluster has only 0")
    return unquote(service), int(parts or 0)


def _options(split: SplitResult, tls: bool, kind: Kind) -> dict[str, str]:
    """Return the options that stand behind the question mark."""
    options = dict(parse_qsl(split.query, keep_blank_values=True))
    if not set(options) <= set(OPTIONS):
        raise _wrong(f"has an option other than {', '.join(OPTIONS)}")
    if kind != "sentinel" and set(options) & set(SENTINEL_OPTIONS):
        raise _wrong(f"has options of Redis Sentinel, but begins with {split.scheme}://")
    if kind != "socket" and set(options) & set(SOCKET_OPTIONS):
        raise _wrong("has the option db, which is for unix:// only")
    if set(options) & set(TLS_OPTIONS) and not (tls or options.get("sentinel_tls") == "true"):
        raise _wrong(f"has options of TLS, but begins with {split.scheme}://")
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


def _check_password_file(file: Path, password: str | None) -> None:
    """Raise ValueError if a file holds no password, or the url has one too."""
    if password:
        raise ValueError(
            f"the url of Redis (MINDSTREAM_REDIS) has a password, and MINDSTREAM_REDIS_PASSWORD_FILE names "
            f"{str(file)!r} for one; right is one of the two"
        )
    reason = why_unreadable(file) or ("" if file.read_bytes().strip() else "it is empty")
    if reason:
        raise ValueError(
            f"MINDSTREAM_REDIS_PASSWORD_FILE is {str(file)!r}, which cannot be read ({reason}); "
            "right is a file with the password of Redis and nothing else"
        )
