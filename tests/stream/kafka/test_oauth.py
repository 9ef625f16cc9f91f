"""OAUTHBEARER at a real Kafka, whose own validators look at the tokens."""

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from testbed.access.listeners import Listeners
from testbed.access.token_issuer import TokenEndpoint, TokenIssuer, unsecured
from testbed.stream_process import wait_until
from tests.stream.kafka.secured import CANARY, Traffic, configured, goes_through, refusal, settings_for


@pytest.fixture
def endpoint(listeners: Listeners) -> Iterator[TokenEndpoint]:
    with TokenEndpoint(listeners.issuer, secret=CANARY).serving() as serving:
        yield serving


def by_endpoint(listeners: Listeners, endpoint: TokenEndpoint) -> dict[str, Any]:
    return {
        "ssl_cafile": listeners.authority,
        "sasl_mechanism": "OAUTHBEARER",
        "oauth_endpoint": endpoint.url,
        "oauth_client_id": endpoint.client,
        "oauth_client_secret": SecretStr(CANARY),
    }


def by_token(token: str) -> dict[str, Any]:
    return {"sasl_mechanism": "OAUTHBEARER", "oauth_token": SecretStr(token)}


def test_one_token_of_an_endpoint_serves_all_clients(listeners: Listeners, endpoint: TokenEndpoint) -> None:
    endpoint.failures = [503]
    assert goes_through(configured(listeners, "SIGNED", **by_endpoint(listeners, endpoint)), "by-endpoint")
    assert len(endpoint.asked) == 2, "one that failed, and one for an admin client, a producer and a consumer"


def test_a_token_that_nobody_has_signed(listeners: Listeners) -> None:
    given = by_token(unsecured("ann")) | {"oauth_extensions": "logicalCluster=lkc-1"}
    assert goes_through(configured(listeners, "UNSECURED", **given), "unsecured")


def test_a_token_in_a_file(listeners: Listeners, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{listeners.issuer.sign('ann')}\n")
    given = {"sasl_mechanism": "OAUTHBEARER", "oauth_token_file": tmp_path / "token"}
    assert goes_through(configured(listeners, "SIGNED", ssl_cafile=listeners.authority, **given), "by-file")


@pytest.mark.parametrize("wrong", ["another issuer's", "for another audience", "unsecured"])
def test_a_token_that_the_broker_refuses(listeners: Listeners, wrong: str, tmp_path: Path) -> None:
    tokens = {
        "another issuer's": lambda: TokenIssuer.made_in(tmp_path).sign("ann"),
        "for another audience": lambda: listeners.issuer.sign("ann", aud="another"),
        "unsecured": lambda: unsecured("ann"),
    }
    token = tokens[wrong]()
    said = refusal(configured(listeners, "SIGNED", ssl_cafile=listeners.authority, **by_token(token)))
    assert said == (
        f"the Kafka broker at {listeners.address('SIGNED')} does not accept the token of KAFKA_SASL_OAUTHBEARER_TOKEN: "
        "authentication failed (OAUTHBEARER); is the token meant for this cluster (issuer, audience, scope), and has it"
        " not ended?"
    )


def test_an_endpoint_that_refuses_us(listeners: Listeners, endpoint: TokenEndpoint) -> None:
    endpoint.secret = "another"
    said = refusal(configured(listeners, "SIGNED", **by_endpoint(listeners, endpoint)))
    assert f"the Kafka broker at {listeners.address('SIGNED')} cannot be told who we are: the token endpoint " in said
    assert "refuses client 'mindstream' (401 invalid_client)" in said
    assert CANARY not in said


def test_the_most_talkative_log_tells_neither_token_nor_secret(
    listeners: Listeners, endpoint: TokenEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("kafka").setLevel(logging.DEBUG)
    try:
        assert goes_through(configured(listeners, "SIGNED", **by_endpoint(listeners, endpoint)), "talkative-tokens")
        refusal(configured(listeners, "SIGNED", ssl_cafile=listeners.authority, **by_token(unsecured(CANARY))))
    finally:
        logging.getLogger("kafka").setLevel(logging.NOTSET)
    assert any(record.name.startswith("kafka.") and record.levelno == logging.DEBUG for record in caplog.records)
    assert [
        secret for secret in (CANARY, *endpoint.tokens, unsecured(CANARY).split(".")[1][:40]) if secret in caplog.text
    ] == []


@pytest.mark.slow
def test_a_stream_outlives_its_tokens_and_its_endpoint(listeners: Listeners, endpoint: TokenEndpoint) -> None:
    """The broker ends each session with its token: that of a client which has no other one is cut."""
    endpoint.life_s = 3
    settings = settings_for(listeners, "SIGNED", topic="outlives", group="outlives", **by_endpoint(listeners, endpoint))
    with closing(Traffic(settings)) as traffic:
        wait_until(lambda: traffic.goes_on() and len(endpoint.tokens) > 3, "events go through with the fourth token")
        endpoint.secret = "rotated"
        refused = len(endpoint.asked) + 4  # what was still good has ended
        wait_until(lambda: not traffic.goes_on() and len(endpoint.asked) > refused, "the endpoint refuses us")
        endpoint.secret, known = CANARY, len(endpoint.tokens)
        wait_until(lambda: traffic.goes_on() and len(endpoint.tokens) > known, "events go through again")
