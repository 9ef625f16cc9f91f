"""A server that speaks S3, of the package moto: one for the session, and an empty bucket for each test."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from testbed.system_packages import PartMissing

__all__ = ["S3_KEYS", "new_bucket", "s3_server"]

S3_KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@contextmanager
def s3_server() -> Iterator[str]:
    """Start a server, and say where it is; the test is skipped where moto or s3fs is not installed."""
    try:
        import s3fs  # noqa: F401
        from moto.moto_server.threaded_moto_server import ThreadedMotoServer
    except ImportError as error:
        raise PartMissing(f"a server that speaks S3 is made of the packages of the extra `test`: {error}") from error
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    finally:
        server.stop()


def new_bucket(address: str, patch: pytest.MonkeyPatch) -> str:
    """Make a bucket at a server, tell this process and its children of both, and return its url."""
    from s3fs import S3FileSystem

    for name, value in {**S3_KEYS, "AWS_ENDPOINT_URL": address}.items():
        patch.setenv(name, value)
    S3FileSystem.clear_instance_cache()  # made with another address
    name = f"shop-{uuid.uuid4().hex[:12]}"
    S3FileSystem().mkdir(name)
    return f"s3://{name}/bundles"
