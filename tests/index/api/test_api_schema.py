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

from index.api.auth import KEY_HEADER
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from stream.events.publisher import EventPublisher
from stream.kafka.embedded_broker import EmbeddedBroker
from stream.store.lmdb_store import LmdbStore
from tests.support.api_world import app_of, user

OPERATIONS = 15
KEY = "canary-of-the-schema"
KEYS = f"""
[all]
key = "{KEY}"
scopes = ["read", "items", "events"]
"""
OPEN = {"/livez", "/readyz", "/healthz", "/metrics"}
EXAMPLES = 25  # of each operation and mode
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("keyed", "sent", "examples"), [(False, "", 20), (True, KEY, 10), (True, "", 3)])
def test_the_api_keeps_to_its_schema(
    keyed: bool, sent: str, examples: int, mode: GenerationMode, bundle: Bundle, tmp_path: Path
) -> None:
    """Where no key is asked for, with a key that opens all, and without the key that is asked for."""
    if keyed:
        (tmp_path / "keys.toml").write_text(KEYS)
    known = Settings(home=tmp_path, bootstrap_servers="")
    with (
        EmbeddedBroker(known.state),  # takes the events
        EventPublisher(known) as publisher,
        LmdbStore(tmp_path / "users") as store,
    ):
        store.put_many([user(bundle, "0", bundle.item_ids[:9])])  # a name that examples like
        app, _ = app_of(
            bundle, store, tmp_path, publisher, **({"api_keys_file": tmp_path / "keys.toml"} if keyed else {})
        )
        schema = schemathesis.openapi.from_asgi("/openapi.json", app)
        operations = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
        assert len(operations) == OPERATIONS
        answered = {operation.label: ask(operation, mode, sent, examples) for operation in operations}
    every = [status for some in answered.values() for status in some]
    assert len(every) >= examples
    assert max(every) < 500
    shut = {status for name, some in answered.items() if name.split()[1] not in OPEN for status in some}
    assert shut == {401} if keyed and not sent else 401 not in shut


def ask(operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode, key: str, examples: int) -> list[int]:
    """Ask for many things at one operation; the statuses of the answers."""
    answered: list[int] = []
    headers = {KEY_HEADER: key} if key else {}  # in place of one that is made up, which is asked first

    @seed(1)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(mode))
    def one(case: Case[Any]) -> None:
        answered.append(case.call_and_validate(checks=CHECKS, headers=headers).status_code)

    try:
        one()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # what takes nothing cannot be asked wrongly
    return answered
