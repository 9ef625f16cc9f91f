"""The url of a Redis: what is right is read, what is wrong is said without a piece of the password."""

from pathlib import Path

import pytest

from stream.store.redis_address import RedisAddress, parse


def test_a_url_with_everything(tmp_path: Path) -> None:
    (tmp_path / "ca one.pem").touch()
    end = f"ssl_ca_certs={tmp_path}/ca%20one.pem&ssl_check_hostname=false"
    found = parse(f"rediss://ann:p%40ss%2Fw@redis.shop:6380/2?{end}")
    options = {"ssl_ca_certs": f"{tmp_path}/ca one.pem", "ssl_check_hostname": "false"}
    assert found == RedisAddress("redis.shop", 6380, 2, True, False, "ann", "p@ss/w", options)


@pytest.mark.parametrize(
    ("url", "said", "tls", "cluster"),
    [
        ("redis://localhost", "localhost:6379", False, False),
        ("rediss://localhost/", "localhost:6379", True, False),
        ("redis+cluster://10.0.0.1:7000/0", "10.0.0.1:7000", False, True),
        ("rediss+cluster://:secret@10.0.0.1", "10.0.0.1:6379", True, True),
        ("redis://[::1]:7000", "[::1]:7000", False, False),
    ],
)
def test_where_and_how(url: str, said: str, tls: bool, cluster: bool) -> None:
    found = parse(url)
    assert (str(found), found.tls, found.cluster) == (said, tls, cluster)
    assert (found.database, found.username) == (0, None)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3cret", "begins with none of redis://, rediss://, redis.cluster://, rediss.cluster://"),
        ("http://:s3cret@localhost", "begins with none of"),
        ("redis://", "names no host"),
        ("redis://:s3cret@", "names no host"),
        ("redis://:x#s3cret@localhost", "names no host"),
        ("redis://localhost:6379#s3cret", "names no host"),
        ("redis://:s3cret/x@localhost", "names no host"),
        ("redis://ann:s3cret/x@localhost", "has no number from 1 to 65535 as its port"),
        ("redis://ann:s3cret?x@localhost", "has no number from 1 to 65535 as its port"),
        ("redis://localhost:0", "has no number from 1 to 65535 as its port"),
        ("redis://localhost:65536", "has no number from 1 to 65535 as its port"),
        ("redis://[s3cret", "is no url"),
        ("redis://:s3cret\N{FULLWIDTH SOLIDUS}@localhost", "is no url"),
        ("redis://ann:12/s3cret@localhost", "has no number as its database"),
        ("redis://localhost/-1", "has no number as its database"),
        ("redis+cluster://localhost/1", "names a database, of which Redis Cluster has only 0"),
        ("redis://localhost?s3cret=1", "has an option other than ssl_ca_certs"),
        ("redis://localhost?ssl_ca_certs=s3cret", "has options of TLS, but begins with redis://"),
        ("rediss://localhost?ssl_cert_reqs=s3cret", "ssl_cert_reqs that is none of required, optional, none"),
        ("rediss://localhost?ssl_check_hostname=s3cret", "ssl_check_hostname that is none of true, false"),
    ],
)
def test_what_is_wrong_is_said_without_the_password(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as failure:
        parse(url)
    assert "MINDSTREAM_REDIS" in str(failure.value)
    assert "right is redis://" in str(failure.value)
    assert "s3cret" not in str(failure.value)
    assert failure.value.__suppress_context__ or failure.value.__context__ is None


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
def test_a_file_that_cannot_be_read_is_named(option: str, tmp_path: Path) -> None:
    for path, reason in (("/nope/ca.pem", "No such file or directory"), (str(tmp_path), "Is a directory")):
        with pytest.raises(ValueError, match=f"MINDSTREAM_REDIS.* {option} .*'{path}'.*{reason}.* PEM") as failure:
            parse(f"rediss://ann:s3cret@localhost?ssl_password=s3cret&{option}={path}")
        assert "s3cret" not in str(failure.value)
    assert parse(f"rediss://localhost?{option}=").options == {option: ""}


def test_the_password_is_never_shown() -> None:
    assert "s3cret" not in repr(parse("rediss://ann:s3cret@localhost?ssl_password=s3cret"))
