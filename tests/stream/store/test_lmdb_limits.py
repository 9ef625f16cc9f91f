"""What LMDB takes and what it refuses: its size, a full disk, other containers and hosts, folders of the network."""

import subprocess
import sys
from pathlib import Path

import pytest

from mindstream import files, host_lock
from mindstream.host_lock import HostLock
from mindstream.settings import Settings
from stream.store.lmdb_store import GB, LmdbStore
from stream.store.open_store import open_store
from tests.support.stores import item_of, state

ROOT = Path(__file__).parents[3]
MB = 2**20

# Writes users until the store takes no more, or 20 MB are written.
WRITING_PROCESS = """
import sys
from pathlib import Path
from stream.store.lmdb_store import LmdbStore
from tests.support.stores import state
with LmdbStore(Path(sys.argv[1])) as store:
    for number in range(100):
        store.put_many(state(f"user-{number}-{one}", "x" * 500) for one in range(200))
"""


def fill(store: LmdbStore) -> int:
    """Write batches of users until the store takes no more; how many it took."""
    for number in range(1_000):
        try:
            store.put_many(state(f"user-{number:04}-{one:02}", "mug" * 100) for one in range(20))
        except OSError:
            return number
    raise AssertionError("it took everything")


def test_a_store_that_may_grow_no_further_says_by_which_setting_and_goes_on_with_more(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, lmdb_gb=2 * MB / GB)
    with open_store(settings) as store:
        assert isinstance(store, LmdbStore)
        taken = fill(store)
        assert taken > 10
        with pytest.raises(OSError, match=r"cannot be written: .*MAP_FULL.* 0.00195312 GB that MINDSTREAM_LMDB_GB"):
            fill_once(store)
        assert len(list(store.users())) == 20 * taken  # nothing of a batch that was refused
    assert (settings.state / "data.mdb").stat().st_size <= 2 * MB
    with open_store(settings.model_copy(update={"lmdb_gb": 1})) as store:
        assert isinstance(store, LmdbStore)
        fill_once(store)
        assert len(list(store.users())) == 20 * taken + 20


def fill_once(store: LmdbStore) -> None:
    store.put_many(state(f"more-{one:02}", "mug" * 100) for one in range(20))


# Lets no file grow beyond 1 MB, as a full disk does; then lifts that.
FULL_DISK_PROCESS = """
import resource, signal, sys
from tests.support.stores import open_lmdb, state
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
users = [state(f"user-{number}", "x" * 500) for number in range(3000)]
with open_lmdb(sys.argv[1]) as store:
    store.put_many([state("anna")])
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    try:
        store.put_many(users)
    except OSError as error:
        print(error)
    print(len(list(store.users())))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.put_many(users)
    print(len(list(store.users())))
"""


def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    """Nothing of the batch is there, and the same process writes it once there is room."""
    command = [sys.executable, "-c", FULL_DISK_PROCESS, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    said, before, after = done.stdout.splitlines()
    assert f"the capsule store {tmp_path} cannot be written: " in said
    assert said.endswith(" MB free")
    assert (before, after) == ("1", "3001")


def test_one_with_less_than_others_says_so_and_a_reader_reads_all(tmp_path: Path) -> None:
    with LmdbStore(tmp_path, size_gb=2 * MB / GB) as store:
        store.put_many([state("anna")])
        subprocess.run([sys.executable, "-c", WRITING_PROCESS, str(tmp_path)], cwd=ROOT, check=True)
        with pytest.raises(OSError, match=r"MINDSTREAM_LMDB_GB is larger than 0.00195312, which is this one's"):
            store.get_many(["anna"])
    with LmdbStore(tmp_path, size_gb=2 * MB / GB, read_only=True) as store:
        assert item_of(store, "anna") == "mug"
        assert len(list(store.users())) == 20_001


def test_who_only_reads_can_change_nothing_and_sees_what_others_write(tmp_path: Path) -> None:
    with LmdbStore(tmp_path, read_only=True) as reader:  # also where it comes first
        assert list(reader.users()) == []
        code = (
            "import sys; from tests.support.stores import open_lmdb, state\n"
            "with open_lmdb(sys.argv[1]) as store: store.put_many([state('anna')])"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True)
        assert item_of(reader, "anna") == "mug"
        for change in (
            lambda: reader.put_many([state("ben")]),
            lambda: reader.replace_many([(state("anna"), state("anna", "bowl"))]),
        ):
            with pytest.raises(OSError, match=r"cannot be written: .*it was opened to read only"):
                change()
        assert list(reader.users()) == ["anna"]


def test_another_container_is_refused_and_told_of_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another pid namespace, where LMDB would take two processes of the same id for one."""
    with LmdbStore(tmp_path) as store:
        store.put_many([state("anna")])
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(host_lock, "here", lambda: "boot 1, pid:[2]")
            with pytest.raises(OSError, match=r"another host or container use it \(boot .*MINDSTREAM_REDIS"):
                LmdbStore(tmp_path)
        assert item_of(store, "anna") == "mug"
    monkeypatch.setattr(host_lock, "here", lambda: "boot 1, pid:[2]")
    with LmdbStore(tmp_path) as store:  # the first one has ended
        assert item_of(store, "anna") == "mug"


def test_a_lock_is_shared_here_and_free_again_when_its_last_holder_has_gone(tmp_path: Path) -> None:
    first, second = HostLock(tmp_path / "lock"), HostLock(tmp_path / "lock")
    first.close()
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setattr(host_lock, "here", lambda: "elsewhere")
        with pytest.raises(BlockingIOError, match=r"this one is elsewhere"):
            HostLock(tmp_path / "lock")
        second.close()
        HostLock(tmp_path / "lock").close()
    HostLock(tmp_path / "lock").close()


MOUNTS = """\
22 27 0:21 / / rw,relatime - ext4 /dev/sda rw
23 22 0:22 / /srv rw,relatime shared:7 - nfs4 files.shop:/srv rw,vers=4.2
24 23 0:23 / /srv/this\\040disk rw,relatime - xfs /dev/sdb rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/srv/state", "nfs4"), ("/srv", "nfs4"), ("/srvs", "ext4"), ("/srv/this disk/a", "xfs"), ("/var", "ext4")],
)
def test_the_file_system_of_a_folder(folder: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: MOUNTS)
    assert files.file_system_of(Path(folder)) == kind


def test_a_folder_of_the_network_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("stream.store.lmdb_store.file_system_of", lambda _: "nfs4")
    LmdbStore(tmp_path).close()
    [said] = caplog.messages
    assert f"{tmp_path} lies on nfs4, a file system of the network" in said
    assert "MINDSTREAM_REDIS" in said
