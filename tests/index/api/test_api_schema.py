"""Whatever the HTTP API's schema allows, and what it does not: no answer is a fault, and each is as the schema says."""

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from stream.events.publisher import EventPublisher
from stream.kafka.embedded_broker import EmbeddedBroker
from stream.store.lmdb_store import LmdbStore
from tests.support.api_world import app_of, user

OPERATIONS = 15
EXAMPLES = 25  # of each operation and mode
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_the_api_keeps_to_its_schema(mode: GenerationMode, bundle: Bundle, tmp_path: Path) -> None:
    known = Settings(home=tmp_path, bootstrap_servers="")
    with (
        EmbeddedBroker(known.state),  # takes the events
        EventPublisher(known) as publisher,
        LmdbStore(tmp_path / "users") as store,
    ):
        store.put_many([user(bundle, "0", bundle.item_ids[:9])])  # a name that examples like
        app, _ = app_of(bundle, store, tmp_path, publisher)
        schema = schemathesis.openapi.from_asgi("/openapi.json", app)
        operations = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
        assert len(operations) == OPERATIONS
        tried = [ask(operation, mode) for operation in operations]
        assert sum(tried) >= EXAMPLES


def ask(operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode) -> int:
    """Ask for many things at one operation; how many."""
    tried = 0

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(mode))
    def one(case: Case[Any]) -> None:
        nonlocal tried
        case.call_and_validate(checks=CHECKS)
        tried += 1

    try:
        one()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # what takes nothing cannot be asked wrongly
    return tried
