"""The capsule store that the settings name."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from mindstream.settings import Settings
from stream.store.lmdb_store import LmdbStore
from stream.store.open_store import open_store
from stream.store.redis_store import RedisStore
from testbed.real_redis import RealRedis
from tests.support.stores import item_of, state


def test_without_redis_it_is_lmdb_in_the_home(tmp_path: Path) -> None:
    with open_store(Settings(home=tmp_path, redis=SecretStr(""), idle_days=2.5, marker_days=9)) as store:
        assert isinstance(store, LmdbStore)
        assert (store.folder, store.idle_days, store.marker_days) == (tmp_path / "state", 2.5, 9.0)


def test_with_redis_it_is_that(real_redis: RealRedis, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, redis=SecretStr(real_redis.url), idle_days=2.5, marker_days=9)
    with open_store(settings) as store:
        assert isinstance(store, RedisStore)
        assert (store.idle_days, store.marker_days) == (2.5, 9.0)
        store.put_many([state("anna")])
    with RedisStore(real_redis.url) as store:
        assert item_of(store, "anna") == "mug"
    with real_redis.client() as client:
        [key] = client.keys()
        assert 86_000 < client.ttl(key) <= 86_400  # its time was over long ago, but for the day after a write
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_url_names_the_variable_and_not_the_password(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, redis=SecretStr("redis://:s3cret/x@localhost"))
    with pytest.raises(ValueError, match=r"MINDSTREAM_REDIS.* names no host; right is redis://") as failure:
        open_store(settings)
    assert "s3cret" not in str(failure.value) + repr(settings)
