"""Real parts as fixtures: one Kafka and one browser for the session, fresh topics and pages for each test."""

import uuid
from collections.abc import Iterator

import pytest
import torch
from playwright.sync_api import Browser, Page, sync_playwright

from model_export.bundle.format import Bundle
from model_export.data.simulator import SimulatedShop, simulate
from model_export.export.bundle_writer import export
from model_export.models.checkpoint import Checkpoint
from testbed import system
from testbed.real_kafka import KafkaUnavailable, RealKafka, needed_commands
from testbed.real_redis import RealRedis, RealRedisCluster
from testbed.small_model import small_checkpoint
from tests.support.updater_world import PARTITIONS

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
    """One thread for torch."""
    torch.set_num_threads(1)  # for small models one is enough, and several wait for each other on a busy machine


@pytest.fixture(scope="session")
def real_kafka() -> Iterator[RealKafka]:
    """A real Kafka that all tests of the session share; the test is skipped (under CI: fails) without one."""
    system.provide(*needed_commands())
    try:
        with RealKafka() as kafka:
            yield kafka
    except KafkaUnavailable as error:
        system.lacking(str(error))


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
        admin.delete_topics(both)


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
    [chromium] = system.provide("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of 1400 x 1000 pixels with cookies and storage of its own."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
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
def bundle(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of that model. Shared: a test that changes one works on a copy."""
    return export(checkpoint, tmp_path_factory.mktemp("bundles"), progress=False)


@pytest.fixture(scope="session")
def other_bundle(shop: SimulatedShop, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of the same shop with three interests, which does not know the first hundred items."""
    checkpoint = small_checkpoint(shop, num_interests=3, without=bundle.item_ids[:100])
    return export(checkpoint, tmp_path_factory.mktemp("bundles"), progress=False)
