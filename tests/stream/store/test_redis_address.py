"""The url of a Redis: what is right is read, what is wrong is said without a piece of the password."""

from pathlib import Path

import pytest

from stream.store.redis.address import RedisAddress, parse


def test_a_url_with_everything(tmp_path: Path) -> None:
    (tmp_path / "ca one.pem").touch()
    end = f"ssl_ca_certs={tmp_path}/ca%20one.pem&ssl_check_hostname=false"
    found = parse(f"rediss://ann:p%40ss%2Fw@redis.shop:6380/2?{end}")
    options = {"ssl_ca_certs": f"{tmp_path}/ca one.pem", "ssl_check_hostname": "false"}
    hosts = (("redis.shop", 6380),)
    assert found == RedisAddress("single", hosts, 2, True, username="ann", password="p@ss/w", options=options)


def test_a_sentinel_with_everything() -> None:
    url = "rediss+sentinel://ann:p%40ss@10.0.0.1,[::2]:7001/the%20shop/3?sentinel_password=s%26t&sentinel_tls=false"
    found = parse(url)
    assert (found.kind, found.hosts) == ("sentinel", (("10.0.0.1", 26379), ("::2", 7001)))
    assert (found.service, found.database, found.tls) == ("the shop", 3, True)
    assert (found.username, found.password) == ("ann", "p@ss")
    assert found.sentinel_options == {"sentinel_password": "s&t", "sentinel_tls": "false"}


def test_a_socket_with_everything() -> None:
    found = parse("unix://:p%40ss@/run/redis%20one.sock?db=2")
    assert found == RedisAddress("socket", (), 2, path="/run/redis one.sock", password="p@ss")


@pytest.mark.parametrize(
    ("url", "said", "tls", "kind"),
    [
        ("redis://localhost", "localhost:6379", False, "single"),
        ("rediss://localhost/", "localhost:6379", True, "single"),
        ("redis+cluster://10.0.0.1:7000/0", "10.0.0.1:7000", False, "cluster"),
        ("rediss+cluster://:secret@10.0.0.1", "10.0.0.1:6379", True, "cluster"),
        ("redis+cluster://:secret@a:7000,b,[::1]:7002", "a:7000,b:6379,[::1]:7002", False, "cluster"),
        ("redis+sentinel://a,b:7/shop", "shop of Sentinel a:26379,b:7", False, "sentinel"),
        ("unix:///run/redis.sock", "/run/redis.sock", False, "socket"),
        ("redis://[::1]:7000", "[::1]:7000", False, "single"),
    ],
)
def test_where_and_how(url: str, said: str, tls: bool, kind: str) -> None:
    found = parse(url)
    assert (str(found), found.tls, found.kind) == (said, tls, kind)
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
        ("redis://a:1,b:2", "names several hosts, which only Redis Cluster and Redis Sentinel have"),
        ("redis+cluster://a:1,b:s3cret", "has no number from 1 to 65535 as its port"),
        ("redis+cluster://a:1,,b", "names no host"),
        ("redis+sentinel://:s3cret@a:1", "names no service, by which the sentinels know the primary"),
        ("redis+sentinel://a:1/shop/s3cret", "has no number as its database"),
        ("unix://:s3cret@localhost/run/redis.sock", "names a host, or no socket behind unix://"),
        ("unix://", "names a host, or no socket behind unix://"),
        ("unix:///run/redis.sock?db=s3cret", "has no number as its database"),
        ("redis://localhost?db=1", "has the option db, which is for unix:// only"),
        ("redis://localhost?sentinel_password=s3cret", "has options of Redis Sentinel, but begins with redis://"),
        ("redis+sentinel://a/shop?sentinel_tls=s3cret", "sentinel_tls that is none of true, false"),
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


def test_the_password_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    found = parse("redis://ann@localhost", file)
    assert (found.username, found.password, found.password_file) == ("ann", None, file)
    with pytest.raises(ValueError, match=f"has a password, and MINDSTREAM_REDIS_PASSWORD_FILE names '{file}'.*one of"):
        parse("redis://:s3cret@localhost", file)
    file.write_text("\n")
    with pytest.raises(ValueError, match=f"MINDSTREAM_REDIS_PASSWORD_FILE is '{file}'.*it is empty.*right is a file"):
        parse("redis://localhost", file)
    with pytest.raises(ValueError, match=r"MINDSTREAM_REDIS_PASSWORD_FILE is '/nope'.*No such file"):
        parse("redis://localhost", Path("/nope"))
