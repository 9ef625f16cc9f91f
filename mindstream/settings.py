"""Every environment variable Mindstream reads, in one place.

Command-line options override these; nothing else in the project looks at the environment.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mindstream.behaviour_rule import OTHERS, BehaviourRule

__all__ = ["PARTITIONERS", "Settings", "load", "misspelt", "shared_metrics"]

# Name -> whose default it is; what other clients call it.
PARTITIONERS = {
    "murmur2": "Java and kafka-python; librdkafka's murmur2, murmur2_random",
    "crc32": "librdkafka and confluent-kafka; consistent, consistent_random",
    "fnv1a": "Sarama; librdkafka's fnv1a, fnv1a_random",
}
NEARLY = 0.75  # by difflib's ratio: two letters that changed places in a name of four
_OF_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT)|_PORT_\d+_")
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?")


class Settings(BaseSettings):
    """Configuration of one process, read from the environment.

    A relative path is taken from the folder the process was started in.
    """

    model_config = SettingsConfigDict(
        env_prefix="MINDSTREAM_", frozen=True, populate_by_name=True, hide_input_in_errors=True
    )

    bootstrap_servers: str = Field(
        default="",
        validation_alias="KAFKA_BOOTSTRAP_SERVERS",
        description="Kafka's host:port list, comma separated; empty: the embedded broker",
    )
    security_protocol: str = Field(
        default="PLAINTEXT",
        validation_alias="KAFKA_SECURITY_PROTOCOL",
        description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    )
    sasl_mechanism: str = Field(
        default="",
        validation_alias="KAFKA_SASL_MECHANISM",
        description="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM or GSSAPI",
    )
    sasl_username: str = Field(default="", validation_alias="KAFKA_SASL_USERNAME", description="user that SASL names")
    sasl_password: SecretStr | None = Field(
        default=None, validation_alias="KAFKA_SASL_PASSWORD", description="that user's password"
    )
    sasl_password_file: Path | None = Field(
        default=None,
        validation_alias="KAFKA_SASL_PASSWORD_FILE",
        description="file with that password instead, read again at each authentication",
    )
    oauth_endpoint: str = Field(
        default="",
        validation_alias="KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL",
        description="url at which tokens are asked for, by the client credentials grant",
    )
    oauth_client_id: str = Field(
        default="", validation_alias="KAFKA_SASL_OAUTHBEARER_CLIENT_ID", description="client that the endpoint knows"
    )
    oauth_client_secret: SecretStr | None = Field(
        default=None, validation_alias="KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET", description="that client's secret"
    )
    oauth_client_secret_file: Path | None = Field(
        default=None,
        validation_alias="KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET_FILE",
        description="file with that secret instead, read again at each renewal",
    )
    oauth_scope: str = Field(
        default="", validation_alias="KAFKA_SASL_OAUTHBEARER_SCOPE", description="scope that tokens are asked for"
    )
    oauth_token: SecretStr | None = Field(
        default=None,
        validation_alias="KAFKA_SASL_OAUTHBEARER_TOKEN",
        description="token that is given, instead of an endpoint",
    )
    oauth_token_file: Path | None = Field(
        default=None,
        validation_alias="KAFKA_SASL_OAUTHBEARER_TOKEN_FILE",
        description="file with a token that others renew, read again at each authentication",
    )
    oauth_extensions: str = Field(
        default="",
        validation_alias="KAFKA_SASL_OAUTHBEARER_EXTENSIONS",
        description="name=value pairs, comma separated, that go to the broker beside the token",
    )
    kerberos_service_name: str = Field(
        default="",
        validation_alias="KAFKA_SASL_KERBEROS_SERVICE_NAME",
        description="name of the brokers' principal in GSSAPI; empty: kafka",
    )
    kerberos_domain_name: str = Field(
        default="",
        validation_alias="KAFKA_SASL_KERBEROS_DOMAIN_NAME",
        description="host in the brokers' principal; empty: each broker's own",
    )
    ssl_cafile: Path | None = Field(
        default=None,
        validation_alias="KAFKA_SSL_CAFILE",
        description="PEM file of the authorities that sign the brokers' certificates; unset: the system's",
    )
    ssl_certfile: Path | None = Field(
        default=None, validation_alias="KAFKA_SSL_CERTFILE", description="PEM file of our own certificate"
    )
    ssl_keyfile: Path | None = Field(
        default=None, validation_alias="KAFKA_SSL_KEYFILE", description="PEM file of that certificate's key"
    )
    ssl_key_password: SecretStr | None = Field(
        default=None, validation_alias="KAFKA_SSL_KEY_PASSWORD", description="password of that key, if it has one"
    )
    ssl_key_password_file: Path | None = Field(
        default=None,
        validation_alias="KAFKA_SSL_KEY_PASSWORD_FILE",
        description="file with that password instead, read again for each connection",
    )
    topic: str = Field(default="behaviour-events", description="topic of behaviour events, keyed by user_id")
    group: str = Field(default="mindstream-updater", min_length=1, description="consumer group of the updaters")
    instance: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
        description="name of this updater, if it is always the same: it keeps its partitions over a quick restart",
    )
    behaviours: str = Field(
        default="impression=0,dislike=-1",
        description="weights of event types: above 0 a behaviour, 0 none, below 0 the item is unwanted; *: all others",
    )
    partitioner: str = Field(
        default="murmur2",
        description="how keys are spread over partitions, as by your other producers: murmur2, crc32 or fnv1a",
    )
    mapping: Path | None = Field(
        default=None,
        description="TOML file that says what is what in the records of the topic; unset: they are in our own form",
    )
    dead_letters: str = Field(
        default="",
        validation_alias="MINDSTREAM_DEAD_LETTER_TOPIC",
        description="topic of the records that are no events; empty: that of the events with .dlq behind it",
    )
    dead_letter_bytes: int = Field(
        default=500_000,
        ge=0,
        le=10_000_000,
        description="most bytes of a key, and of a value, that a dead letter holds",
    )
    event_bytes: int = Field(default=100_000, ge=1_000, le=10_000_000, description="most bytes of an event's value")
    schema_registry: SecretStr = Field(
        default=SecretStr(""),
        description="schema registry of the events' values: url with user and password, or a folder; empty: none",
    )
    schema_registry_password_file: Path | None = Field(
        default=None, description="file with that user's password instead, read again at each look-up; unset: none"
    )
    schema_registry_token_file: Path | None = Field(
        default=None, description="file with a bearer token instead, read again at each look-up; unset: none"
    )
    schema_registry_cafile: Path | None = Field(
        default=None, description="PEM file of the authorities that sign its certificate; unset: the client's own"
    )
    updates_topic: str = Field(
        default="", description="compacted topic to which every new set of capsules is published; empty: none"
    )
    home: Path = Field(
        default=Path(".mindstream"), description="folder with models/ (bundles) and state/ (capsule store)"
    )
    bundles: str = Field(
        default="",
        description="folder of published bundles, or a url such as s3://shop/bundles; empty: models/ in the home",
    )
    cache_folder: Path | None = Field(
        default=None,
        validation_alias="MINDSTREAM_CACHE",
        description="folder of what can be fetched again, such as bundles of a url; unset: mindstream/ in the user's",
    )
    redis: SecretStr = Field(
        default=SecretStr(""),
        description="url of the Redis that holds the capsules, with its password; empty: LMDB in the home",
    )
    lmdb_gb: float = Field(
        default=64,
        ge=0.001,
        le=65_536,
        allow_inf_nan=False,
        description="gigabytes that LMDB's file may grow to; all processes of a store have the same",
    )
    redis_prefix: str = Field(
        default="mindstream", description="what all keys in Redis begin with; each shop in one Redis needs its own"
    )
    redis_password_file: Path | None = Field(
        default=None, description="file with Redis's password, read again for every new connection; unset: none"
    )
    redis_replicas: int = Field(
        default=0,
        ge=0,
        le=100,
        description="replicas of Redis that must acknowledge a write before offsets are committed",
    )
    idle_days: float | None = Field(
        default=None,
        gt=0,
        le=36_500,
        allow_inf_nan=False,
        description="days without a behaviour after which a user is removed; unset: never",
    )
    item_days: float | None = Field(
        default=None,
        gt=0,
        le=36_500,
        allow_inf_nan=False,
        description="days after which what was put of an item is dropped if nobody put it again; unset: never",
    )
    marker_days: float = Field(
        default=7,
        gt=0,
        le=36_500,
        allow_inf_nan=False,
        description="days for which it is remembered that a user was forgotten; no fewer than topics keep events",
    )
    archive_folder: Path | None = Field(
        default=None,
        validation_alias="MINDSTREAM_ARCHIVE",
        description="folder of the archive of events; unset: events/ in the home",
    )
    archivers: str = Field(
        default="",
        validation_alias="MINDSTREAM_ARCHIVE_GROUP",
        description="consumer group of the archivers; empty: that of the updaters with -archive behind it",
    )
    log: Path | None = Field(default=None, description="interaction log the demo shows; unset: the simulated shop")
    history_length: int = Field(default=100, ge=1, description="behaviours kept for each user, the most recent")
    partitions: int = Field(default=4, ge=1, description="partitions of topics that Mindstream creates")
    demo_updater: bool = Field(
        default=True, description="whether the demo runs an updater of its own; false where another one runs"
    )
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="port of /metrics, /livez, /readyz and /healthz; 0: none"
    )
    metrics_host: str = Field(default="127.0.0.1", description="address at which they are served")
    api_host: str = Field(default="127.0.0.1", description="address at which the HTTP API is served")
    api_port: int = Field(default=8000, ge=0, le=65535, description="its port; 0: any that is free")
    api_workers: int = Field(default=1, ge=1, le=256, description="processes that serve it, all at that port")
    api_key: SecretStr | None = Field(
        default=None, description="what clients of the HTTP API must name; unset: everybody may ask"
    )
    write_key: SecretStr | None = Field(
        default=None,
        description="what clients must name who post events; unset: only an API without a key on a loopback takes any",
    )
    cors_origins: str = Field(
        default="", description="origins, comma separated, whose pages may post events from browsers; empty: none"
    )
    api_keys_file: Path | None = Field(
        default=None,
        description="TOML file of keys with their scopes, read again when it changes; unset: only the two keys above",
    )
    api_work_s: float = Field(
        default=5.0,
        gt=0,
        allow_inf_nan=False,
        description="most seconds of one core's work that a request may need by its estimate",
    )
    api_deadline_s: float = Field(
        default=10.0, gt=0, allow_inf_nan=False, description="seconds after which a request is given up, with 503"
    )
    api_connections: int = Field(default=1_000, ge=10, le=1_000_000, description="connections that are open at once")
    api_transfer_s: float = Field(
        default=20.0,
        ge=1,
        allow_inf_nan=False,
        description="seconds in which headers and then the body must come, and an answer be taken",
    )
    api_keep_alive_s: int = Field(
        default=75, ge=1, description="seconds that a connection stays open between two requests"
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="text, or json: one JSON object a line, for programs that collect logs"
    )
    traces: str = Field(
        default="",
        description="url to which traces are sent by OTLP over HTTP, such as http://collector:4318; empty: none",
    )
    helm: Path | None = Field(default=None, description="helm that the chart's tests run; unset: the one on PATH")
    ci: bool = Field(
        default=False,
        validation_alias="CI",
        description="a test that lacks a part of the system fails, not skips",
    )
    cache_home: str = Field(
        default="", validation_alias="XDG_CACHE_HOME", description="folder of caches; empty: ~/.cache"
    )

    @field_validator("ci", mode="before")
    @classmethod
    def _any_value_is_true(cls, value: object) -> bool:
        """Read any value but an empty or negative one as true.

        Some CI services set CI to their own name; that must not stop a process that never asks for it.
        """
        return str(value).lower() not in ("", "0", "false", "no", "off")

    @field_validator("topic", "dead_letters", "updates_topic")
    @classmethod
    def _is_a_name_of_a_topic(cls, value: str, which: ValidationInfo) -> str:
        """Check a topic's name by Kafka's own rule, with room for .dlq."""
        empty = which.field_name != "topic" and not value
        if not empty and (not re.fullmatch(r"[A-Za-z0-9._-]{1,245}", value) or value in (".", "..")):
            raise ValueError("a topic's name has 1 to 245 letters, digits, '.', '_' and '-', and is not '.' or '..'")
        return value

    @field_validator("partitioner")
    @classmethod
    def _is_a_partitioner(cls, value: str) -> str:
        """Check the name, and say which names of other clients it stands for."""
        if value not in PARTITIONERS:
            raise ValueError(f"right is {'; '.join(f'{name} ({whose})' for name, whose in PARTITIONERS.items())}")
        return value

    @field_validator("dead_letters")
    @classmethod
    def _is_not_the_topic(cls, value: str, others: ValidationInfo) -> str:
        """Refuse the topic of the events for dead letters.

        Each would be read as an event that is none.
        """
        if value and value == others.data.get("topic", ""):
            raise ValueError(f"it must be another topic than that of the events ({value})")
        return value

    @field_validator("archivers")
    @classmethod
    def _is_not_the_updaters_group(cls, value: str, others: ValidationInfo) -> str:
        """Refuse the updaters' group for archivers.

        They would share the partitions, so each would lack events.
        """
        if value and value == others.data.get("group"):
            raise ValueError(f"it must be another group than that of the updaters ({value})")
        return value

    @field_validator("updates_topic")
    @classmethod
    def _has_a_topic_of_its_own(cls, value: str, others: ValidationInfo) -> str:
        """Refuse the topic of the events or dead letters for interest updates.

        Updates among the events would be read as events, and compaction would remove events.
        """
        topic = others.data.get("topic", "")
        if value and value in (topic, others.data.get("dead_letters") or f"{topic}.dlq"):
            raise ValueError(f"it must be another topic than that of the events ({topic}) and of the dead letters")
        return value

    @field_validator("redis_prefix")
    @classmethod
    def _is_a_prefix(cls, value: str) -> str:
        """Check that keys of two prefixes can never be the same.

        Braces would put all users on one node of a Redis Cluster.
        """
        if not re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", value) or "user" in value.split(":"):
            raise ValueError(
                "right are 1 to 100 letters, digits, '.', '_', '-' and ':', such as shop-a; no part is user"
            )
        return value

    @field_validator("api_key", "write_key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        """Check that the key can stand in an HTTP header.

        A line break, as files end with, would make a key that nobody can name.
        """
        if value is not None and not re.fullmatch(r"[!-~]+", value.get_secret_value()):
            raise ValueError("right are visible ASCII characters without spaces")
        return value

    @field_validator("write_key")
    @classmethod
    def _may_not_read(cls, value: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
        """Refuse the API's own key for events.

        A key for events lies on the pages of a shop, and whoever has it could read every user.
        """
        if value is not None and value == others.data.get("api_key"):
            raise ValueError("it must be another one than MINDSTREAM_API_KEY, with which every user can be read")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        """Check that each is an origin as browsers write it: lower case, without a path or slash."""
        for origin in value.split(",") if value else ():
            if origin != "*" and not _ORIGIN.fullmatch(origin.strip()):
                raise ValueError(
                    f"{origin.strip()!r} is no origin; right are *, or scheme and host as browsers write them, without "
                    "a path and with commas between them, such as https://shop.example,https://www.shop.example:8443"
                )
        return value

    @field_validator("behaviours")
    @classmethod
    def _is_a_rule(cls, value: str) -> str:
        """Check the rule now, so that no process starts with one that cannot be read."""
        BehaviourRule.parse(value)
        return value

    @field_validator(
        *("behaviours", "partitioner", "home", "redis_prefix", "redis_password_file", "api_key", "instance", "log"),
        *("archive_folder", "cache_folder"),
        *("write_key", "api_keys_file"),
        *("helm", "traces"),
        *("mapping", "ssl_cafile", "ssl_certfile", "ssl_keyfile"),
        *("schema_registry_password_file", "schema_registry_token_file", "schema_registry_cafile"),
        *("ssl_key_password_file", "sasl_password_file", "oauth_client_secret_file", "oauth_token_file"),
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object, which: ValidationInfo) -> object:
        """Read an empty value as unset.

        Compose passes an empty value on if there is none; a path would be the working folder.
        """
        return cls.model_fields[str(which.field_name)].default if value == "" else value

    @field_validator(
        *("sasl_username", "sasl_password", "ssl_key_password", "oauth_client_id", "oauth_client_secret"),
        *("oauth_scope", "oauth_token"),
    )
    @classmethod
    def _is_text(cls, value: str | SecretStr | None) -> str | SecretStr | None:
        """Refuse bytes that are not UTF-8.

        They would fail much later, while kafka-python connects.
        """
        text = value.get_secret_value() if isinstance(value, SecretStr) else value or ""
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError("it must be UTF-8")
        return value

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """Return the origins whose pages may post events; `*` stands for all."""
        return tuple(origin.strip() for origin in self.cors_origins.split(",") if origin.strip())

    @property
    def cache(self) -> Path:
        """Return the folder of what can be fetched again, such as bundles of a url."""
        return self.cache_folder or Path(self.cache_home or Path.home() / ".cache") / "mindstream"

    @property
    def models(self) -> Path:
        """Return the folder of published bundles in the home."""
        return self.home / "models"

    @property
    def published(self) -> str:
        """Return the folder or url of published bundles."""
        return self.bundles or str(self.models)

    @property
    def state(self) -> Path:
        """Return the folder of the capsule store and of the embedded broker's address."""
        return self.home / "state"

    @property
    def archive(self) -> Path:
        """Return the folder of the archive of events."""
        return self.archive_folder or self.home / "events"

    @property
    def archive_group(self) -> str:
        """Return the consumer group of the archivers."""
        return self.archivers or f"{self.group}-archive"

    @property
    def rule(self) -> BehaviourRule:
        """Return the rule for what counts as a behaviour."""
        return _parsed(self.behaviours)

    @property
    def dead_letter_topic(self) -> str:
        """Return the topic to which records go that cannot be applied."""
        return self.dead_letters or f"{self.topic}.dlq"


@cache
def _parsed(behaviours: str) -> BehaviourRule:
    """Read a rule once; it is asked at every event."""
    return BehaviourRule.parse(behaviours)


@contextmanager
def shared_metrics(folder: str) -> Iterator[None]:
    """Let the processes that are begun meanwhile write their metrics into one folder.

    prometheus_client knows it by a variable, at which it looks when it is imported.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        yield
    finally:
        del os.environ["PROMETHEUS_MULTIPROC_DIR"]


@cache
def load() -> Settings:
    """Read the environment once; later calls return the same object.

    Raises
    ------
    ValueError
        Names the variable, its value and what would be right.
    """
    _refuse_former_variables(os.environ)
    try:
        found = Settings()
    except ValidationError as error:
        raise ValueError(_sentence(dict(error.errors()[0]))) from None
    _refuse_in_vain(found)
    return found


# What has no effect while another variable is not set -> that one, and what is used then instead.
_USELESS_WITHOUT = {
    "redis_": ("redis", "users are kept in LMDB"),
    **dict.fromkeys(
        ("security_", "sasl_", "oauth_", "kerberos_", "ssl_"), ("bootstrap_servers", "the embedded broker is used")
    ),
}


def _refuse_in_vain(found: Settings) -> None:
    """Raise ValueError for what has no effect, as what it belongs to is not set.

    Someone believes that users are in Redis, or that Kafka asks for a password.
    """
    for name, field in Settings.model_fields.items():
        value = getattr(found, name)
        given = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not given or value == field.default:
            continue
        for beginning, (needed, instead) in _USELESS_WITHOUT.items():
            if name.startswith(beginning) and getattr(found, needed) == Settings.model_fields[needed].default:
                raise ValueError(
                    f"{_variable_of(name)} is set, but {_variable_of(needed)} is not, so it has no effect and "
                    f"{instead}; set {_variable_of(needed)} too, or unset {_variable_of(name)}"
                )


def _variable_of(name: str) -> str:
    """Return the variable that a field is read from."""
    return str(Settings.model_fields[name].validation_alias or f"MINDSTREAM_{name.upper()}")


def _refuse_former_variables(environment: Mapping[str, str]) -> None:
    """Raise ValueError if a variable is set that MINDSTREAM_BEHAVIOURS has replaced.

    The message says the new form of its value. The variable would do nothing, and events would count that did not, or
    the other way round.
    """
    given = {name.upper(): value for name, value in environment.items()}  # pydantic takes either case
    counted, ignored = (given.get(name) for name in _FORMER)
    if not _names_in(counted or "") and ignored is None:
        return  # an empty list of counted types meant all but the ignored ones
    variables = " and ".join(f"{name}={given[name]!r}" for name in _FORMER if name in given)
    new = _rule_of(_names_in(counted or ""), _names_in(ignored or ""))
    raise ValueError(
        f"{variables} is no setting any more: MINDSTREAM_BEHAVIOURS has replaced it; unset it, and for the same "
        f"meaning set MINDSTREAM_BEHAVIOURS={new!r}"
    )


def misspelt() -> list[str]:
    """Say of each variable that is nearly a setting's which one it may be meant for.

    Others with the prefix are left alone: Kubernetes sets MINDSTREAM_API_SERVICE_HOST where a service is called
    mindstream-api.
    """
    known = [_variable_of(name) for name in Settings.model_fields]
    found = []
    for name in sorted({name.upper() for name in os.environ}.difference(known, _FORMER)):
        prefix = name[: name.find("_") + 1]
        rests = [right.removeprefix(prefix) for right in known if prefix and right.startswith(prefix)]
        meant = get_close_matches(name.removeprefix(prefix), rests, 1, NEARLY)
        if meant and not _OF_KUBERNETES.search(name):
            found.append(f"{name} is no setting and has no effect; did you mean {prefix}{meant[0]}?")
    return found


_FORMER = ("MINDSTREAM_BEHAVIOUR_TYPES", "MINDSTREAM_IGNORED_TYPES")


def _names_in(listed: str) -> list[str]:
    """Split a comma-separated list of event types, each once."""
    return list(dict.fromkeys(name for one in listed.split(",") if (name := one.strip().lower())))


def _rule_of(counted: list[str], ignored: list[str]) -> str:
    """Write the rule by which these types count, or else all but the ignored ones."""
    if counted:
        return ",".join([*(f"{name}=1" for name in counted), f"{OTHERS}=0"])
    return ",".join(f"{name}=0" for name in ignored) or f"{OTHERS}=1"


def _sentence(wrong: dict[str, Any]) -> str:
    """Say what is wrong with a variable, and its value unless that is a secret."""
    name = str(wrong["loc"][0])
    variable = _variable_of(name) if name in Settings.model_fields else name
    given = "not right (its value is a secret)" if _is_secret(name) else repr(wrong["input"])
    return f"{variable} is {given}: {wrong['msg'].removeprefix('Value error, ')}"


def _is_secret(name: str) -> bool:
    """Tell whether a field, or the field of a variable, must not be shown."""
    [field] = [field for own, field in Settings.model_fields.items() if name in (own, field.validation_alias)]
    return SecretStr in (field.annotation, *get_args(field.annotation))
