"""From the topic to the next day's model, by the commands that people have, each a process of its own."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from confluent_kafka import Producer

from benchmarks.night.calls import MAPPING, Call, calls_of, records_of
from benchmarks.night.days import DAY_MS, Days
from benchmarks.scenario.comparison import states_of
from benchmarks.scenario.home import Home, counted
from benchmarks.scenario.world import World
from model_export.bundle.bundle import Bundle
from model_export.bundle.registry import Registry
from model_export.data.interactions import InteractionLog
from model_export.readers import write_table
from model_export.readers.names import FEATURE_PREFIX
from testbed.real_kafka import RealKafka
from testbed.stream_process import StreamProcess, wait_until

__all__ = ["Night", "first_model", "night_of"]

KNOWN, CATALOGUE, ARCHIVE = "known.parquet", "catalogue.parquet", "events"
WINDOW_DAYS = 90  # that the retrain learns from
ACKNOWLEDGED_WITHIN_S = 120.0
RETRAINED_WITHIN_S = 3_600.0


@dataclass
class Night:
    """What became of a night.

    Attributes
    ----------
    home : where it was; closed when the block of `night_of` ends.
    calls : what was published in the shop's own shape.
    seconds : step -> how long it took.
    after : the new bundle, current or refused.
    said : by the retrain, in its summary and objections.
    applied : events that the updater has applied.
    of_old_model : users whose stored capsules are of another model than the one that is current.
    """

    home: Home
    calls: list[Call]
    seconds: dict[str, float] = field(default_factory=dict)
    after: Bundle | None = None
    published: bool = False
    said: str = ""
    applied: int = 0
    of_old_model: int = 0

    @property
    def archive(self) -> Path:
        """Return the folder of the archive."""
        return self.home.settings.home / ARCHIVE

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note how long the block takes."""
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started


def first_model(log: InteractionLog, folder: Path, options: Sequence[str]) -> Bundle:
    """Train a model on a log, by the command, in a home of its own."""
    folder.mkdir(parents=True)
    write_table(log, folder / KNOWN)
    arguments = ["retrain", "--log", str(folder / KNOWN), *options]
    with StreamProcess(folder / "home", *arguments, room="model_export") as command:
        assert command.ends(RETRAINED_WITHIN_S) == 0, command.said
    return Registry(folder / "home" / "models").current()


@contextmanager
def night_of(kafka: RealKafka, bundle: Bundle, days: Days, folder: Path, options: Sequence[str]) -> Iterator[Night]:
    """Live through the first day and the night, and give what came of it.

    First the log that was there before goes onto the topic and from there into the archive, as docs/archive.md says.

    Parameters
    ----------
    bundle : the model that is served.
    folder : for everything that is written.
    options : of the retrain.
    """
    mapping = folder / "segment.toml"
    mapping.write_text(MAPPING, encoding="utf-8")
    with World(kafka, bundle, folder).home(MINDSTREAM_MAPPING=str(mapping)) as home:
        night = Night(home, calls_of(days.published))
        write_table(days.known, folder / KNOWN)
        _write_catalogue(days, folder / CATALOGUE)
        with home.run() as updater:
            with night.step("replay_s"):
                _does(home, "replay", str(folder / KNOWN))
                home.catches_up()
            _archive(night, "first_archive_s")
            with night.step("publish_s"):
                _publish(home, night.calls)
            with night.step("update_s"):
                home.catches_up()
            _archive(night, "archive_s")
            with night.step("retrain_s"):
                _retrain(night, days, folder / CATALOGUE, options)
            if night.published:
                with night.step("swap_s"):
                    _wait_for_swap(night, updater)
            assert updater.end() == 0, updater.said
            night.applied = counted(updater)["applied"]
        current = Registry(home.settings.models).current_version()
        night.of_old_model = sum(one.capsules.model_version != current for one in states_of(home.store))
        yield night


def _does(home: Home, *arguments: str) -> None:
    """Run a command of the stream to its end, which must be a good one."""
    command = home.does(*arguments)
    assert command.ends() == 0, command.said


def _archive(night: Night, step: str) -> None:
    """Archive what is on the topic."""
    with night.step(step):
        _does(night.home, "archive", str(night.archive), "--once")


def _publish(home: Home, calls: Sequence[Call]) -> None:
    """Publish calls without keys, as fast as the broker takes them."""
    refused: list[object] = []
    producer = Producer({"bootstrap.servers": home.kafka.bootstrap_servers})
    for value in records_of(calls):
        producer.produce(
            home.settings.topic, value, on_delivery=lambda error, _: refused.append(error) if error else None
        )
        producer.poll(0)
    left = producer.flush(ACKNOWLEDGED_WITHIN_S)
    assert not left, f"{left} records were not acknowledged"
    assert not refused, f"{len(refused)} records were refused: {refused[0]}"


def _write_catalogue(days: Days, file: Path) -> None:
    """Write what a shop knows of its items, which no event says, to a file beside the events."""
    items = pd.concat([days.known.items, days.published.items]).drop_duplicates("item_id")
    items.rename(columns={name: FEATURE_PREFIX + name for name in days.known.side_features}).to_parquet(file)


def _retrain(night: Night, days: Days, catalogue: Path, options: Sequence[str]) -> None:
    """Retrain on the archive; note whether the gate lets the new bundle through."""
    since = datetime.fromtimestamp((days.following_ms - WINDOW_DAYS * DAY_MS) / 1_000, UTC).strftime("%Y-%m-%d")
    arguments = ["retrain", "--log", str(night.archive), "--items", str(catalogue), "--since", since, *options]
    command = night.home.does(*arguments, room="model_export", within_s=RETRAINED_WITHIN_S)
    found = re.search(r"^(published|refused) (\S+): .*$", command.said, flags=re.MULTILINE)
    assert found is not None, command.said
    night.published = found[1] == "published"
    objections = re.findall(r"^refused: .*$", command.said, flags=re.MULTILINE)
    night.said = "\n".join([found[0], *objections])
    night.after = Bundle(night.home.settings.models / found[2] if night.published else Path(found[2]))


def _wait_for_swap(night: Night, updater: StreamProcess) -> None:
    """Wait until the updater serves the new bundle and has computed all users' capsules by it."""
    assert night.after is not None
    version, store = night.after.version, night.home.store
    updater.says(f"are of model {version} now")
    wait_until(
        lambda: all(one.capsules.model_version == version for one in states_of(store)),
        f"the capsules of all users are of model {version}",
    )
