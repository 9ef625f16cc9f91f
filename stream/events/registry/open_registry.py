"""The schema registry that the settings name."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import SecretStr

from mindstream.files import why_unreadable
from mindstream.settings import Settings
from stream.events.registry.folder import SchemaFolder
from stream.kafka.credentials.secret import Secret

if TYPE_CHECKING:
    from stream.events.registry.client import RegistryClient
    from stream.events.registry.reader import RegistryReader

__all__ = ["open_registry"]

# Module that is looked for -> what brings it.
PACKAGES = {
    "authlib": "confluent-kafka[schemaregistry]",
    "cachetools": "confluent-kafka[schemaregistry]",
    "httpx2": "confluent-kafka[schemaregistry]",
    "fastavro": "fastavro",
    "google.type": "googleapis-common-protos",
    "grpc_tools": "grpcio-tools",
}
VARIABLE = "MINDSTREAM_SCHEMA_REGISTRY"


def open_registry(settings: Settings) -> "RegistryReader | None":
    """Return a reader of values by the schema registry that is set; None if none is.

    Nothing is asked yet: a registry that is away is waited for when the first value of a schema comes.

    Raises
    ------
    ValueError
        If a package is missing, the URL is none, the folder is not there, or a secret's file cannot be read.
    """
    given = settings.schema_registry.get_secret_value()
    if not given:
        return None
    _check_packages()
    source = _client(settings, given) if "://" in given else _folder(given)
    from stream.events.registry.reader import RegistryReader  # here, because it needs the extra

    return RegistryReader(source)


def _check_packages() -> None:
    """Raise ValueError if a package of the extra is missing."""
    missing = dict.fromkeys(package for module, package in PACKAGES.items() if not _is_there(module))
    if missing:
        command = " ".join(f"'{package}'" for package in missing)
        raise ValueError(f"{VARIABLE} is set, which needs the extra `registry`: `pip install {command}`")


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False


def _folder(given: str) -> SchemaFolder:
    folder = Path(given)
    if not folder.is_dir():
        raise ValueError(
            f"{VARIABLE} is {given.rpartition('@')[2]!r}, which is no folder and no URL; right is a URL such as "
            "http://registry:8081, or a folder with files such as 7.avsc, 7.json or 7.proto"
        )
    return SchemaFolder(folder)


def _client(settings: Settings, given: str) -> "RegistryClient":
    """Return a client of the registry at a URL.

    Of several it is the first that answers; the first one says who we are.
    """
    from stream.events.registry.client import RegistryClient

    urls = [_split(one.strip()) for one in given.split(",")]
    url, name = urls[0], ",".join(one._replace(netloc=one.netloc.rpartition("@")[2]).geturl() for one in urls)
    in_url = None if settings.schema_registry_password_file else SecretStr(unquote(url.password or ""))
    password = Secret(f"{VARIABLE}_PASSWORD", in_url, settings.schema_registry_password_file)
    token = Secret(f"{VARIABLE}_TOKEN", None, settings.schema_registry_token_file)
    client = RegistryClient(name, unquote(url.username or ""), password, token, settings.schema_registry_cafile)
    for fault in _faults(url, client):
        raise ValueError(fault)
    return client


def _split(given: str) -> SplitResult:
    """Split a URL; raise ValueError if it is none of a registry.

    The message shows no password.
    """
    try:
        url = urlsplit(given)
        right = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        right = False
    if not right:
        raise ValueError(
            f"{VARIABLE} is {given.rpartition('@')[2]!r}, which is no URL of a schema registry; right is "
            "http://registry:8081, or https://user:password@registry"
        )
    return url


def _faults(url: SplitResult, client: "RegistryClient") -> Iterator[str]:
    """Yield what is wrong with who we are to the registry, and whom we believe."""
    if url.password and client.password.file:
        yield f"{VARIABLE} has a password, and {VARIABLE}_PASSWORD_FILE is set; right is one of them"
    if client.password.file and not client.user:
        yield f"{VARIABLE}_PASSWORD_FILE is set, but {VARIABLE} names no user; right is https://user@registry"
    if client.token.file and client.user:
        yield f"{VARIABLE} names a user, and {VARIABLE}_TOKEN_FILE is set; right is one of them"
    for secret in (client.password, client.token):
        yield from secret.faults()
    if client.cafile and (reason := why_unreadable(client.cafile)):
        yield f"{VARIABLE}_CAFILE is {client.cafile}, which cannot be read ({reason}); right is a file in PEM"
