"""Buckets: uploads that are cut off, objects that are damaged, copies on a host, and stores that do not answer."""

import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mindstream.objects.bucket import Bucket
from model_export.bundle.bundle import GOLDEN, ITEM_EMBEDDINGS, MANIFEST, Bundle, BundleError
from model_export.bundle.extractor import Extractor
from model_export.bundle.homes.open_registry import open_registry
from model_export.bundle.registry import POINTER, Registry
from model_export.bundle.serving import Serving
from testbed.bad_bundles import copy_bundle

Cache = Callable[[str], Path]


class Killed(BaseException):
    """What no `except Exception` catches."""


@pytest.fixture
def publisher(bucket: str, cache: Cache) -> Registry:
    return open_registry(bucket, cache("publisher"))


@pytest.fixture
def server(bucket: str, cache: Cache, publisher: Registry, bundle: Bundle, tmp_path: Path) -> Registry:
    """Another host, where "a" is published."""
    publisher.publish(copy_bundle(bundle, tmp_path / "a"))
    return open_registry(bucket, cache("server"))


class Uploads:
    """Counts what is put, and fails before, or after, the nth of them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.last, self.is_after = 0, False
        for method in ("upload", "write"):
            patch.setattr(Bucket, method, self.counted(getattr(Bucket, method)))

    def counted(self, put: Callable[..., None]) -> Callable[..., None]:
        def counting(bucket: Bucket, *arguments: object) -> None:
            named = next(one for one in arguments if isinstance(one, str))
            if len(self.names) + 1 == self.last and not self.is_after:
                raise Killed(named)
            put(bucket, *arguments)
            self.names.append(named)
            if len(self.names) == self.last:
                raise Killed(named)

        return counting


@pytest.mark.usefixtures("quick_check")
def test_an_upload_that_is_cut_off_anywhere_is_never_seen(
    publisher: Registry, server: Registry, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after each object in turn: until the last one, the pointer, every other host sees the old bundle."""
    serving, uploads = Serving(server, Extractor), Uploads(monkeypatch)
    uploads.is_after = True
    path, files = copy_bundle(bundle, tmp_path / "b"), len(bundle.manifest.files)
    for last in range(1, files + 2):
        uploads.last, uploads.names = last, []
        with pytest.raises(Killed):
            publisher.publish(path)
        assert server.pointer() == ["a"]
        assert not serving.look()
        assert (serving.version, serving.trouble) == ("a", None)
        assert server.versions() == (["a"] if last <= files else ["a", "b"])
        publisher.home.remove("b")
    uploads.last = 0
    publisher.publish(path)
    assert serving.look()
    assert serving.version == "b"


def test_a_retry_goes_on_where_the_upload_was_cut_off(
    publisher: Registry, server: Registry, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, files = copy_bundle(bundle, tmp_path / "b"), len(bundle.manifest.files)
    uploads = Uploads(monkeypatch)
    uploads.last = 4
    with pytest.raises(Killed):
        publisher.publish(path)
    assert len(publisher.home.sizes("b")) == 3
    bucket, sent = Bucket(publisher.home.name), uploads.names[0]
    uploads.last, uploads.names = 0, []
    bucket.write(sent, bucket.read(sent)[:-1] + b"?")  # of those that are there, one is not as it was sent
    bucket.write("b/of-another-attempt", b"x")
    uploads.names = []
    publisher.publish(path)
    assert len(uploads.names) == files - 3 + 1 + 2  # what is missing, what was spoilt, the manifest and the pointer
    assert uploads.names[-2:] == [f"b/{MANIFEST}", POINTER]
    assert set(server.home.sizes("b")) == {*bundle.manifest.files, MANIFEST}
    server.current()


def test_what_changes_on_its_way_is_never_current(
    publisher: Registry, server: Registry, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = Bucket.upload

    def spoil(self: Bucket, file: Path, name: str, moved: Callable[[int], object]) -> None:
        upload(self, file, name, moved)
        if file.name == ITEM_EMBEDDINGS:
            self.write(name, change_a_byte(file.read_bytes()))

    monkeypatch.setattr(Bucket, "upload", spoil)
    with pytest.raises(BundleError, match=r"/b/item_embeddings\.npy is not as it was sent: SHA-256"):
        publisher.publish(copy_bundle(bundle, tmp_path / "b"))
    assert (server.pointer(), server.versions()) == (["a"], ["a"])


def test_between_manifest_and_pointer_a_retry_points(
    publisher: Registry, server: Registry, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, uploads = copy_bundle(bundle, tmp_path / "b"), Uploads(monkeypatch)
    uploads.last = len(bundle.manifest.files) + 2
    with pytest.raises(Killed, match=POINTER):
        publisher.publish(path)
    assert (server.pointer(), server.versions()) == (["a"], ["a", "b"])
    uploads.last, uploads.names = 0, []
    publisher.publish(path)
    assert (server.pointer(), uploads.names[-1]) == (["b", "a"], POINTER)


def test_what_was_cut_off_is_named_and_pruned(
    publisher: Registry, server: Registry, bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = Bucket(publisher.home.name)
    bucket.write(f"b/{GOLDEN}", b"x")
    assert publisher.prune(1) == []
    assert f"{bucket.url}/b has no {MANIFEST}: it is being uploaded, or was cut off" in caplog.text
    publisher.publish(copy_bundle(bundle, tmp_path / "c"))
    assert publisher.prune(5) == ["b"]
    assert server.home.sizes("b") == {}
    with pytest.raises(BundleError, match=r"/b is not a bundle: it has no manifest\.json"):
        server.promote("b")


def lose_a_byte(content: bytes) -> bytes:
    return content[:-1]


def change_a_byte(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (None, r"/b/item_embeddings\.npy is missing; the manifest lists it"),
        (lose_a_byte, r"/b/item_embeddings\.npy has \d+ bytes; the manifest says \d+"),
        (change_a_byte, r"/b/item_embeddings\.npy was changed: SHA-256"),
    ],
)
@pytest.mark.usefixtures("quick_check")
def test_a_damaged_object_is_refused_by_name_until_it_is_whole(
    damage: Callable[[bytes], bytes] | None,
    said: str,
    publisher: Registry,
    server: Registry,
    bundle: Bundle,
    tmp_path: Path,
) -> None:
    refused: list[tuple[str, str]] = []
    serving = Serving(server, Extractor, lambda version, error: refused.append((version, str(error))))
    bucket, name = Bucket(publisher.home.name), f"b/{ITEM_EMBEDDINGS}"
    publisher.publish(copy_bundle(bundle, tmp_path / "b"))
    content = bucket.read(name)
    bucket.remove(name)
    if damage is not None:
        bucket.write(name, damage(content))
    assert [serving.look() for _ in range(3)] == [False] * 3
    [(version, fault)] = refused
    assert (serving.version, version) == ("a", "b")
    assert re.search(re.escape(bucket.url) + said, fault)
    assert serving.trouble is not None
    assert fault in serving.trouble
    assert {file.name for file in server.folder.iterdir() if file.is_dir()} == {"a"}  # nothing half-fetched stays
    bucket.write(name, content)
    assert [serving.look() for _ in range(3)] == [False, True, False]  # first it is seen to have changed
    assert serving.version == "b"
    assert serving.trouble is None


def test_copies_on_a_host_are_the_current_one_and_the_one_before(
    publisher: Registry, server: Registry, bundle: Bundle, tmp_path: Path
) -> None:
    for version in "abcd":
        if version != "a":
            publisher.publish(copy_bundle(bundle, tmp_path / version))
        server.current()
    assert {file.name for file in server.folder.iterdir() if file.is_dir()} == {"c", "d"}


def test_a_copy_is_used_again_and_one_that_was_damaged_is_fetched_again(
    bucket: str, server: Registry, cache: Cache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    download = Bucket.download

    def counting(self: Bucket, name: str, *rest: object) -> None:
        fetched.append(name)
        download(self, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Bucket, "download", counting)
    copy = server.current()
    files = len(copy.manifest.files)
    server.current()
    open_registry(bucket, cache("server")).current()  # another process of the host
    assert len(fetched) == files
    content = (copy.path / GOLDEN).read_bytes()
    (copy.path / GOLDEN).write_bytes(change_a_byte(content))
    assert (server.current().path / GOLDEN).read_bytes() == content
    assert len(fetched) == 2 * files
    assert f"{GOLDEN} was changed" in caplog.text


def test_a_version_that_was_made_anew_is_fetched_anew(
    publisher: Registry, server: Registry, bundle: Bundle, other_bundle: Bundle, tmp_path: Path
) -> None:
    assert server.current().manifest.items == bundle.manifest.items
    publisher.home.remove("a")
    publisher.write_pointer([])
    publisher.publish(copy_bundle(other_bundle, tmp_path / "anew" / "a"))
    assert server.current().manifest.items == other_bundle.manifest.items


@pytest.mark.usefixtures("quick_check")
def test_while_the_store_does_not_answer_the_old_one_goes_on(
    server: Registry, publisher: Registry, bundle: Bundle, tmp_path: Path, bucket: str, cache: Cache,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def fail(self: Bucket, name: str) -> bytes:
        raise OSError(f"{self.at(name)} cannot be read: nobody answers")

    serving = Serving(server, Extractor)
    publisher.publish(copy_bundle(bundle, tmp_path / "b"))
    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "read", fail)
        assert not serving.look()
        assert serving.version == "a"
        assert serving.trouble is not None
        assert f"{bucket}/CURRENT cannot be read: nobody answers" in serving.trouble
        with pytest.raises(OSError, match="nobody answers"):
            server.home.pointer_seen()
        # Who starts now begins with what was current here before; a host that knows nothing cannot.
        assert Serving(open_registry(bucket, cache("server")), Extractor).version == "a"
        assert "this begins with a, which was current here before" in caplog.text
        with pytest.raises(OSError, match="nobody answers"):
            Serving(open_registry(bucket, cache("new")), Extractor)
    assert serving.look()
    assert serving.version == "b"
    assert serving.trouble is None


def test_fetching_ends_where_somebody_wants_to_stop(server: Registry) -> None:
    with pytest.raises(BundleError, match="was not fetched to the end: this process stops"):
        server.open("a", lambda: True)
    assert server.open("a").version == "a"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "ftp://host/bundles",
            "ftp://host/bundles is no url of an object store; right is a folder, or a bucket of",
        ),
        ("s3://", "s3:// is no url of an object store"),
    ],
)
def test_urls_that_are_refused(url: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        open_registry(url, tmp_path)


def test_a_file_url_is_a_folder(bundle: Bundle, tmp_path: Path) -> None:
    open_registry(f"file://{tmp_path}/mo%20dels", tmp_path / "cache").publish(copy_bundle(bundle, tmp_path / "a"))
    assert Registry(tmp_path / "mo dels").current().version == "a"
    assert not (tmp_path / "cache").exists()


def test_what_speaks_to_a_store_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec.core.url_to_fs", lambda *_, **__: (_ for _ in ()).throw(ImportError("Install s3fs")))
    with pytest.raises(ValueError, match=r"s3://shop needs a package .*Install s3fs.*; right is mindstream\[s3\]"):
        open_registry("s3://shop", tmp_path)


def test_a_bucket_that_is_not_there_is_said(s3: str, tmp_path: Path) -> None:
    registry = open_registry(s3.replace("shop-", "no-such-"), tmp_path)
    with pytest.raises(OSError, match=r"s3://no-such-.*/CURRENT cannot be read: The specified bucket does not exist"):
        registry.current()


def test_nobody_at_the_address_is_said(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from s3fs import S3FileSystem

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(OSError, match=r"CURRENT cannot be read: Could not connect to the endpoint URL"):
        open_registry(s3, tmp_path).pointer()
    S3FileSystem.clear_instance_cache()


def test_without_free_disk_the_cache_is_said(server: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Bucket, name: str, file: Path, _: object) -> None:
        raise OSError(28, os.strerror(28), str(file))

    monkeypatch.setattr(Bucket, "download", full)
    with pytest.raises(OSError, match="No space left on device"):
        server.current()
    assert not [file for file in server.folder.iterdir() if file.name.startswith(".copying-")]


def test_the_publisher_keeps_a_copy_and_needs_no_download(
    publisher: Registry, bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "model_export")
    path = copy_bundle(bundle, tmp_path / "a")
    published = publisher.publish(path)
    shutil.rmtree(path)  # as a retrain does
    assert published.path == publisher.folder / "a"
    published.verify()
    assert caplog.text == ""


def test_a_registry_of_a_url_is_opened_by_open_registry(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"s3://shop/bundles is a url; right is a folder, or open_registry"):
        Registry("s3://shop/bundles")
    assert open_registry("memory://shop/bundles", tmp_path).home.name == "memory://shop/bundles"
    assert open_registry(tmp_path, tmp_path).folder == tmp_path
    with pytest.raises(ValueError, match=r"s3:/shop is no url, and an odd folder; right is s3://shop"):
        open_registry("s3:/shop", tmp_path)
