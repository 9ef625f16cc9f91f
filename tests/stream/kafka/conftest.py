"""A broker with TLS and SASL, for all tests of this folder."""

from collections.abc import Iterator

import pytest

from testbed import system_packages
from testbed.access.listeners import Listeners
from tests.stream.kafka.secured import running_broker
from tests.support.certificates import Authority, new_authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    system_packages.provide("openssl")
    return new_authority(tmp_path_factory.mktemp("certificates") / "ours")


@pytest.fixture(scope="session")
def listeners(authority: Authority) -> Iterator[Listeners]:
    """Those of a running broker."""
    with running_broker(authority) as (_, found):
        yield found
