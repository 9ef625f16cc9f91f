"""Real parts as fixtures: one Kafka and one browser for the session, fresh topics and pages for each test."""

import gc
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, Page, expect, sync_playwright

from model_export.bundle.bundle import Bundle
from model_export.data.simulator import SimulatedShop, simulate
from model_export.export.bundle_writer import export
from model_export.models.checkpoint import Checkpoint
from testbed import java_broker, system_packages
from testbed.real_kafka import RealKafka, needed_commands
from testbed.real_redis import RealRedis, RealRedisCluster
from testbed.small_model import small_checkpoint
from tests.support.bundles.quick_export import parse_operators_once
from tests.support.made_once import made_once
from tests.support.missing_parts import pytest_runtest_call, pytest_runtest_setup
from tests.support.updater_world import PARTITIONS

__all__ = ["pytest_runtest_call", "pytest_runtest_setup"]  # hooks, as those below

# Marker -> the fixtures that start what it names. A test that starts its own is marked where it stands.
STARTED_BY = {
    "kafka": {"real_kafka", "listeners"},
    "redis": {"shared_redis", "shared_redis_cluster"},
    "browser": {"browser"},
}
PAGE_MS = 120_000  # for whatever a page has to do, on a busy machine
CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    # A test's browser talks to the page under test and to nobody else.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_configure(config: pytest.Config) -> None:
    """Give each process one thread for computing, and ports that no other worker takes.

    And have it and what it starts hear Ctrl-C.
    """
    torch.set_num_threads(1)  # for small models one is enough, and several wait for each other on a busy machine
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the same for the processes that tests start
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's background jobs do, and whatever they start
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")  # else hypothesis fails a test whose examples take long on a busy one
    parse_operators_once()
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        share = len(java_broker.PORTS) // worker["workercount"]
        number = int(worker["workerid"].removeprefix("gw"))
        java_broker.PORTS = java_broker.PORTS[number * share : (number + 1) * share]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the services that its fixtures start, and mix the files."""
    for item in items:
        for marker, fixtures in STARTED_BY.items():
            if not fixtures.isdisjoint(getattr(item, "fixturenames", ())):
                item.add_marker(marker)
    slow = {item.path for item in items if any(map(item.get_closest_marker, (*STARTED_BY, "slow")))}
    files = dict.fromkeys(item.path for item in items)
    kinds = (0.8, [file for file in files if file in slow]), (1.0, [file for file in files if file not in slow])
    places = {file: share * turn / len(kind) for share, kind in kinds for turn, file in enumerate(kind)}
    # Those with a service mostly wait, and leave the processor to the others. They begin in the first four fifths, so
    # that in the end no worker waits for another's long file.
    items.sort(key=lambda item: places[item.path])


def pytest_collection_finish() -> None:
    """Leave what is imported by now out of every garbage collection: it stays, and is a million objects."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let the interpreter end as it does elsewhere: libraries look for leaks there."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def real_kafka() -> Iterator[RealKafka]:
    """A real Kafka that all tests of the session share."""
    system_packages.provide(*needed_commands())
    with RealKafka(low_cpu=True) as kafka:
        yield kafka


@pytest.fixture
def topic(real_kafka: RealKafka) -> Iterator[str]:
    """Name of a new topic of 4 partitions; its dead letter topic, `<name>.dlq`, is there too."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    both = [name, f"{name}.dlq"]
    with real_kafka.admin() as admin:
        shape = {"num_partitions": PARTITIONS, "replication_factor": 1}
        admin.create_topics(dict.fromkeys(both, shape), wait_for_metadata=True)
    yield name
    with real_kafka.admin() as admin:
        admin.delete_topics([one for one in both if one in admin.list_topics()])  # a test may have deleted it


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RealRedis]:
    """The Redis behind `real_redis`."""
    with RealRedis() as redis:
        yield redis


@pytest.fixture
def real_redis(shared_redis: RealRedis) -> RealRedis:
    """A real Redis that all tests of the session share, empty. A test that stops it has one of its own."""
    shared_redis.flush()
    return shared_redis


@pytest.fixture(scope="session")
def shared_redis_cluster() -> Iterator[RealRedisCluster]:
    """The Redis Cluster behind `real_redis_cluster`."""
    with RealRedisCluster() as cluster:
        yield cluster


@pytest.fixture
def real_redis_cluster(shared_redis_cluster: RealRedisCluster) -> RealRedisCluster:
    """A real Redis Cluster of three nodes that all tests of the session share, empty."""
    shared_redis_cluster.flush()
    return shared_redis_cluster


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless."""
    [chromium] = system_packages.provide("chromium")
    expect.set_options(timeout=PAGE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of 1400 x 1000 pixels with cookies and storage of its own."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(PAGE_MS)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def shop() -> SimulatedShop:
    """A small simulated shop: 300 users with known interests, 600 items."""
    return simulate(users=300, seed=1)


@pytest.fixture(scope="session")
def checkpoint(shop: SimulatedShop) -> Checkpoint:
    """The default model, small, trained for a moment on the small shop with profile fields and side features."""
    return small_checkpoint(shop)


@pytest.fixture(scope="session")
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of that model. Shared: a test that changes one works on a copy."""

    def make(folder: Path) -> Bundle:
        return export(request.getfixturevalue("checkpoint"), folder, progress=False)

    return made_once(tmp_path_factory, "bundle", make)


@pytest.fixture(scope="session")
def other_bundle(shop: SimulatedShop, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of the same shop with three interests, which does not know the first hundred items."""

    def make(folder: Path) -> Bundle:
        checkpoint = small_checkpoint(shop, num_interests=3, without=bundle.item_ids[:100])
        return export(checkpoint, folder, progress=False)

    return made_once(tmp_path_factory, "other-bundle", make)
