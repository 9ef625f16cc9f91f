"""Tokens of OAUTHBEARER: where they come from, when they are renewed, and what is said where there is none."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from mindstream.settings import Settings
from stream.kafka.cluster import Cluster
from stream.kafka.credentials import sasl_faults
from stream.kafka.credentials.kerberos import Kerberos
from stream.kafka.credentials.oauth import OAuth
from stream.kafka.credentials.tokens import Tokens
from stream.kafka.security import Security
from testbed.access.token_issuer import TokenEndpoint, unsecured
from tests.stream.kafka.secured import CANARY

NOW = 2_000_000_000.0


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    """One whose tokens say nothing of their end: that is in the answer alone."""
    with TokenEndpoint(secret=CANARY, life_s=100).serving() as serving:
        serving.says = {"access_token": f"{CANARY}-token"}
        yield serving


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(endpoint: TokenEndpoint, clock: Clock) -> Tokens:
    return Tokens(oauth_of(endpoint), clock)


def oauth_of(endpoint: TokenEndpoint, **more: Any) -> OAuth:
    return OAuth(endpoint.url, endpoint.client, SecretStr(CANARY), **more)


def test_what_the_endpoint_is_asked(endpoint: TokenEndpoint) -> None:
    assert Tokens(oauth_of(endpoint, scope="kafka:read kafka:write")).token() == f"{CANARY}-token"
    [form] = endpoint.asked
    assert form == {
        "grant_type": "client_credentials",
        "scope": "kafka:read kafka:write",
        "client": "mindstream",
        "secret": CANARY,
    }


def test_a_token_is_used_again_and_renewed_before_it_ends(
    endpoint: TokenEndpoint, tokens: Tokens, clock: Clock
) -> None:
    asked = []
    for second in (0, 40, 79, 80, 159, 160):
        clock.now = NOW + second
        tokens.token()
        asked.append(len(endpoint.asked))
    assert asked == [1, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("failures", [[503], [0], [429, 502]])
def test_an_endpoint_that_fails_once_is_asked_again_at_once(
    endpoint: TokenEndpoint, tokens: Tokens, failures: list[int]
) -> None:
    number, endpoint.failures = len(failures), failures
    assert tokens.token() == f"{CANARY}-token"
    assert len(endpoint.asked) == number + 1


def test_a_token_that_is_still_good_outlives_its_endpoint(
    endpoint: TokenEndpoint, tokens: Tokens, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    tokens.token()
    endpoint.failures, clock.now = [500] * 3, NOW + 90
    assert tokens.token() == f"{CANARY}-token"
    assert "answers 500, and not with a token" in caplog.text
    assert "good for another 10 s" in caplog.text
    endpoint.failures, clock.now = [500] * 3, NOW + 100
    with pytest.raises(OSError, match="answers 500, and not with a token"):
        tokens.token()
    clock.now += 1
    assert tokens.token() == f"{CANARY}-token"
    assert CANARY not in caplog.text


def test_an_endpoint_that_gives_nothing_is_asked_once_a_second(
    endpoint: TokenEndpoint, tokens: Tokens, clock: Clock
) -> None:
    """A client that has no token connects again at once, thirty times a second."""
    endpoint.secret = "another"
    for later in (0, 0.1, 0.9, 1.1, 1.2):
        clock.now = NOW + later
        with pytest.raises(OSError, match="refuses client 'mindstream'"):
            tokens.token()
    assert len(endpoint.asked) == 2


def test_a_token_that_the_broker_refuses_is_not_sent_again(
    endpoint: TokenEndpoint, tokens: Tokens, clock: Clock
) -> None:
    tokens.token()
    clock.now = NOW + 10
    tokens.refused()
    endpoint.says = {"access_token": "another"}
    assert tokens.token() == "another"


@pytest.mark.parametrize(("says", "asked"), [({}, 1), ({"expires_in": "600"}, 1), ({"access_token": "opaque"}, 2)])
def test_a_life_that_the_answer_does_not_say(
    endpoint: TokenEndpoint, clock: Clock, says: dict[str, Any], asked: int
) -> None:
    """The token itself may say it; where nothing does, each connection gets its own."""
    endpoint.says = {"access_token": unsecured("ann", exp=NOW + 600), "expires_in": None, **says}
    tokens = Tokens(oauth_of(endpoint), clock)
    for later in (0, 1):
        clock.now = NOW + later
        tokens.token()
    assert len(endpoint.asked) == asked


def test_a_secret_in_a_file_is_read_at_each_renewal(endpoint: TokenEndpoint, tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{CANARY}\n")
    tokens = Tokens(replace(oauth_of(endpoint), client_secret=None, client_secret_file=file), clock)
    tokens.token()
    endpoint.secret = "rotated"
    file.write_text("rotated")
    clock.now += 80
    tokens.token()
    assert [form["secret"] for form in endpoint.asked] == [CANARY, "rotated"]


def test_a_token_in_a_file_is_read_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    tokens = Tokens(OAuth(token_file=file))
    for text in ("one\n", "two", " three \r\n"):
        file.write_text(text)
        assert tokens.token() == text.strip()


@pytest.mark.parametrize(
    ("moved", "sentence"),
    [
        ({"secret": "another"}, r"refuses client 'mindstream' \(401 invalid_client\); are KAFKA_SASL_OAUTHBEARER_CLIE"),
        ({"failures": [403]}, r"refuses client 'mindstream' \(403\); are"),
        ({"failures": [404]}, "answers 404, and not with a token; is KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL right"),
        ({"failures": [302]}, "answers 302, and not with a token"),
        (
            {"failures": [0, 0]},
            "does not answer .*; is KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL right and the endpoin",
        ),
        ({"says": {"access_token": None}}, "with no access_token of type Bearer in JSON"),
        ({"says": {"token_type": "mac"}}, "with no access_token of type Bearer in JSON"),
        ({"says": {"access_token": f"{CANARY} \x01"}}, "the access_token of http.* is no token: right are letters"),
        ({"says": {"access_token": unsecured("ann", exp=NOW - 7)}}, "ended 7 s ago, by its claim exp"),
    ],
)
def test_what_is_said_where_there_is_no_token(
    endpoint: TokenEndpoint, tokens: Tokens, moved: dict[str, Any], sentence: str
) -> None:
    for name, value in moved.items():
        setattr(endpoint, name, value)
    with pytest.raises((OSError, ValueError), match=sentence) as wrong:
        tokens.token()
    assert CANARY not in str(wrong.value)
    assert wrong.value.__cause__ is None, "what requests says may hold the form"


def test_an_endpoint_that_is_not_there() -> None:
    tokens = Tokens(OAuth("http://127.0.0.1:1/token", "mindstream", SecretStr(CANARY)))
    with pytest.raises(
        OSError, match=r"the token endpoint http://127.0.0.1:1/token does not answer \(Connection refused"
    ):
        tokens.token()


ENDPOINT = {
    "oauth_endpoint": "https://login.example.com/token",
    "oauth_client_id": "mindstream",
    "oauth_client_secret": SecretStr(CANARY),
}
P = "KAFKA_SASL_OAUTHBEARER"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, f"none of {P}_TOKEN_ENDPOINT_URL, _TOKEN and _TOKEN_FILE is set; KAFKA_SASL_MECHANISM OAUTHBEARER needs"),
        ({**ENDPOINT, "oauth_token": SecretStr("t")}, f"{P}_TOKEN_ENDPOINT_URL and {P}_TOKEN are set; right is one of"),
        ({"oauth_token": SecretStr(CANARY), "oauth_token_file": "f"}, f"{P}_TOKEN and {P}_TOKEN_FILE are set"),
        ({"oauth_token_file": "nowhere"}, f"{P}_TOKEN_FILE is nowhere, which cannot be read .No such file"),
        ({"oauth_token": SecretStr("t"), "oauth_scope": "s"}, f"{P}_SCOPE is set, but {P}_TOKEN_ENDPOINT_URL is not"),
        ({**ENDPOINT, "oauth_client_id": ""}, f"{P}_CLIENT_ID is not set"),
        ({**ENDPOINT, "oauth_client_secret": None}, f"neither {P}_CLIENT_SECRET nor {P}_CLIENT_SECRET_FILE is set"),
        ({**ENDPOINT, "oauth_client_secret_file": "f"}, f"{P}_CLIENT_SECRET and {P}_CLIENT_SECRET_FILE are both set"),
        ({**ENDPOINT, "oauth_endpoint": "login.example.com"}, f"{P}_TOKEN_ENDPOINT_URL is 'login.example.com'; right"),
        ({**ENDPOINT, "oauth_endpoint": "file:///token"}, f"{P}_TOKEN_ENDPOINT_URL is 'file:///token'; right is a url"),
        ({**ENDPOINT, "oauth_endpoint": "https://a:b/t"}, f"{P}_TOKEN_ENDPOINT_URL is no url; right is"),
        (
            {**ENDPOINT, "oauth_endpoint": f"https://mindstream:{CANARY}@login.example.com/t"},
            f"{P}_TOKEN_ENDPOINT_URL names a user or a password .of login.example.com.",
        ),
        ({**ENDPOINT, "oauth_extensions": "pool"}, f"{P}_EXTENSIONS is 'pool'; right are pairs"),
        ({**ENDPOINT, "oauth_extensions": "auth=x"}, f"{P}_EXTENSIONS is 'auth=x'; right are pairs"),
        ({**ENDPOINT, "sasl_username": "ann"}, "KAFKA_SASL_USERNAME is set, but KAFKA_SASL_MECHANISM is OAUTHBEARER"),
        (
            {**ENDPOINT, "kerberos_service_name": "k"},
            "KAFKA_SASL_KERBEROS_SERVICE_NAME is set, but .*; right is GSSAPI",
        ),
    ],
)
def test_what_is_set_wrong_is_said_before_connecting(given: dict[str, Any], sentence: str) -> None:
    settings = Settings(
        bootstrap_servers="a:1", security_protocol="SASL_PLAINTEXT", sasl_mechanism="OAUTHBEARER", **given
    )
    with pytest.raises(ValueError, match=sentence) as wrong:
        Cluster.configured(settings)
    assert CANARY not in str(wrong.value)


@pytest.mark.parametrize(("mechanism", "package"), [("AWS_MSK_IAM", "botocore"), ("GSSAPI", "gssapi")])
def test_a_missing_package_is_named(mechanism: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sasl_faults, "find_spec", lambda _: None)
    with pytest.raises(
        ValueError, match=f"is {mechanism}, which needs the package {package}; `pip install {package}`$"
    ):
        Security("SASL_SSL", mechanism)


def test_what_kafka_python_is_told_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sasl_faults, "find_spec", lambda _: "there")
    with pytest.raises(
        ValueError, match="AWS_MSK_IAM, but KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT; right is SASL_SSL"
    ):
        Security("SASL_PLAINTEXT", "AWS_MSK_IAM")
    options = Security("SASL_SSL", "AWS_MSK_IAM").options()
    assert options.keys() == {"security_protocol", "ssl_context", "sasl_mechanism"}
    given = Security("SASL_PLAINTEXT", "GSSAPI", kerberos=Kerberos(domain_name="example.com"))
    assert given.options() == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "GSSAPI",
        "sasl_kerberos_service_name": "kafka",
        "sasl_kerberos_domain_name": "example.com",
    }


def test_no_secret_is_printed(endpoint: TokenEndpoint, tokens: Tokens, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens.token()
    settings = Settings(bootstrap_servers="a:1", security_protocol="SASL_PLAINTEXT", sasl_mechanism="OAUTHBEARER",
                        oauth_endpoint=endpoint.url, oauth_client_id="mindstream",
                        oauth_client_secret=SecretStr(CANARY))  # fmt: skip
    cluster = Cluster.configured(settings)
    assert cluster is not None
    for shown in (settings, cluster, cluster.security.options(), tokens):
        assert "mindstream" in repr(shown)
        assert CANARY not in repr(shown) + str(shown)
    assert "urllib3" in caplog.text
    assert CANARY not in caplog.text
