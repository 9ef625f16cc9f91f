"""Every environment variable Mindstream reads, in one place.

Command-line options override these; nothing else in the project looks at the environment.
"""

from functools import cache
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Configuration of one process, read from the environment.

    A relative path is taken from the folder the process was started in.
    """

    model_config = SettingsConfigDict(env_prefix="MINDSTREAM_", frozen=True, populate_by_name=True)

    bootstrap_servers: str = Field(
        default="",
        validation_alias="KAFKA_BOOTSTRAP_SERVERS",
        description="Kafka's host:port list, comma separated; empty: the embedded broker",
    )
    topic: str = Field(default="behaviour-events", description="topic of behaviour events, keyed by user_id")
    group: str = Field(default="mindstream-updater", description="consumer group of the updaters")
    instance: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
        description="name of this updater, if it is always the same: it keeps its partitions over a quick restart",
    )
    behaviour_types: str = Field(
        default="", description="event types that count as behaviours, comma separated; empty: all but the ignored ones"
    )
    ignored_types: str = Field(default="impression", description="event types that are no behaviours, comma separated")
    updates_topic: str = Field(
        default="", description="compacted topic to which every new set of capsules is published; empty: none"
    )
    home: Path = Field(
        default=Path(".mindstream"), description="folder with models/ (bundles) and state/ (capsule store)"
    )
    redis: SecretStr = Field(
        default=SecretStr(""),
        description="url of the Redis that holds the capsules, with its password; empty: LMDB in the home",
    )
    idle_days: float | None = Field(
        default=None,
        gt=0,
        le=36_500,
        allow_inf_nan=False,
        description="days without a behaviour after which a user is removed; unset: never",
    )
    log: Path | None = Field(default=None, description="interaction log the demo shows; unset: the simulated shop")
    history_length: int = Field(default=100, ge=1, description="behaviours kept for each user, the most recent")
    partitions: int = Field(default=4, ge=1, description="partitions of topics that Mindstream creates")
    demo_updater: bool = Field(
        default=True, description="whether the demo runs an updater of its own; false where another one runs"
    )
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
        """Some CI services set CI to their own name; that must not stop a process that never asks for it."""
        return str(value).lower() not in ("", "0", "false", "no", "off")

    @property
    def cache(self) -> Path:
        """The folder of what can be fetched again, such as the tests' Kafka."""
        return Path(self.cache_home or Path.home() / ".cache") / "mindstream"

    @property
    def models(self) -> Path:
        """The folder of published bundles."""
        return self.home / "models"

    @property
    def state(self) -> Path:
        """The folder of the capsule store and of the embedded broker's address."""
        return self.home / "state"

    def is_behaviour(self, event_type: str) -> bool:
        """Whether events of this type count."""
        wanted, ignored = names_in(self.behaviour_types), names_in(self.ignored_types)
        return event_type not in ignored and (not wanted or event_type in wanted)

    @property
    def dead_letter_topic(self) -> str:
        """Where events that cannot be applied go."""
        return f"{self.topic}.dlq"


@cache
def names_in(listed: str) -> frozenset[str]:
    """The names in a comma-separated list."""
    return frozenset(name for one in listed.split(",") if (name := one.strip()))


@cache
def load() -> Settings:
    """Read the environment once; later calls return the same object.

    Raises
    ------
    ValueError
        Names the variable, its value and what would be right.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = error.errors()[0]
        field = str(wrong["loc"][0])
        variable = f"MINDSTREAM_{field.upper()}" if field in Settings.model_fields else field
        raise ValueError(f"{variable} is {wrong['input']!r}: {wrong['msg']}") from None
