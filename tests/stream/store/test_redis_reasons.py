"""What is said where Redis refuses something or does not answer: what to do, and Redis's own words."""

import contextlib
import re
from collections.abc import Iterator

import pytest
from redis import Redis
from redis._parsers import _RESP2Parser

from stream.store.redis.address import parse
from stream.store.redis.command import Command
from stream.store.redis.link import RedisLink
from stream.store.redis.reasons import reason_of
from testbed.real_redis import RealRedis

KEY = b"mindstream:user:anna"
WRITE, SCRIPT = ("SET", KEY, "x"), ("EVAL", f"return redis.call('SET', '{KEY.decode()}', 'x')", 1, KEY)


@contextlib.contextmanager
def configured(client: Redis, name: str, value: str, before: str) -> Iterator[None]:
    """Another setting for a while."""
    client.config_set(name, value)
    try:
        yield
    finally:
        client.config_set(name, before)


def fails(url: str, words: tuple[str | bytes | int, ...] = WRITE) -> str:
    """The sentence with which a write fails."""
    with pytest.raises(OSError, match=r"^the capsule store at Redis .* cannot be (opened|written): ") as failure:
        RedisLink(parse(url)).ask([Command(KEY, words)], "written")
    return str(failure.value)


@pytest.mark.redis
def test_what_a_real_redis_refuses_is_said_with_what_to_do(real_redis: RealRedis) -> None:
    url, at = real_redis.url, real_redis.address
    with real_redis.client() as client:
        for words in (WRITE, SCRIPT):
            with configured(client, "maxmemory", "1", "0"):
                assert re.search("memory is full: raise its maxmemory.*[(]OOM command not allowed", fails(url, words))
            with configured(client, "min-replicas-to-write", "1", "0"):
                assert re.search("min-replicas-to-write [(]NOREPLICAS Not enough good", fails(url, words))
        client.acl_setuser("ann", enabled=True, passwords=["+pw"], keys=["mindstream:*"], commands=["+@read", "+ping"])
        said = fails(f"redis://ann:pw@{at}")
        client.acl_deluser("ann")
        assert re.search(
            "allow it [(]ACL SETUSER[)] the keys that begin with MINDSTREAM_REDIS_PREFIX.*'set' comm", said
        )
        with configured(client, "requirepass", "s3cret", ""):
            assert re.search("asks for a password.*MINDSTREAM_REDIS_PASSWORD_FILE [(]NOAUTH Auth", fails(url))
            said = fails(f"redis://:wr0ng@{at}")
            assert re.search("does not know this user or password: look at MINDSTREAM_REDIS .*[(]WRONGPASS", said)
            assert "wr0ng" not in said
    assert "it was given a password and has none: take it out of MINDSTREAM_REDIS" in fails(f"redis://:pw@{at}")
    assert "it is no Redis Cluster: begin MINDSTREAM_REDIS with redis:// (" in fails(f"redis+cluster://{at}")
    assert "it has no database of that number" in fails(f"redis://{at}/99")
    assert "it is no sentinel: begin MINDSTREAM_REDIS with redis://" in fails(f"redis+sentinel://{at}/shop")


@pytest.mark.parametrize(
    ("url", "meaning", "words"),
    [
        ("redis://127.0.0.1:1", "nothing listens there", "Connection refused"),
        ("redis+cluster://127.0.0.1:1", "nothing listens there", "Connection refused"),
        ("redis+sentinel://127.0.0.1:1/shop", "no sentinel that answers names a primary", "No master found for 'shop'"),
        ("unix:///nowhere.sock", "there is no such socket", "No such file"),
        ("redis://host.invalid", "the name of its host is not known", "host.invalid"),
    ],
)
def test_who_does_not_answer_is_said_with_what_to_look_at(url: str, meaning: str, words: str) -> None:
    said = fails(url)
    assert re.search(f": {meaning}.*[(].*{words}.*[)]$", said), said
    assert "redis.client" not in said  # as the client shows itself


# As Redis writes them; a test server is not brought there in a moment.
REPLIES = {
    "MISCONF Redis is configured to save RDB snapshots, but it cannot": "look at the room",
    "READONLY You can't write against a read only replica.": "let MINDSTREAM_REDIS name the primary",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": "has lost its primary",
    "LOADING Redis is loading the dataset in memory": "reads its data from disk: it goes on by itself",
    "CLUSTERDOWN The cluster is down": "`redis-cli cluster info`",
    "MOVED 3999 127.0.0.1:6381": "begin MINDSTREAM_REDIS with redis+cluster://",
    "ERR max number of clients reached": "raise its maxclients",
    "DENIED Redis is running in protected mode because protected mode is enabled": "give it a password",
}


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_of_redis_is_said_with_what_to_do(reply: str) -> None:
    said = reason_of(_RESP2Parser.parse_error(reply))
    assert REPLIES[reply] in said
    assert said.endswith(")")


def test_what_is_not_known_stays_in_its_own_words() -> None:
    assert reason_of(_RESP2Parser.parse_error("ERR something new.")) == "something new"
