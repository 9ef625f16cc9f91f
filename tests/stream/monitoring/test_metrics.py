"""What an updater's metrics say after it did something."""

from collections.abc import Callable

import pytest

from stream.monitoring.health import Health
from stream.monitoring.metrics import AGES_S, RESULTS, Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"mindstream_{name}", labels)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_what_has_not_happened_is_zero(metrics: Metrics) -> None:
    assert [value(metrics, "events_total", result=result) for result in RESULTS] == [0] * len(RESULTS)
    assert [value(metrics, "stalls_total", of=of) for of in ("store", "dead_letters", "updates")] == [0, 0, 0]
    for name in ("batches_total", "writes_refused_total", "rebalances_total", "event_to_stored_seconds_count"):
        assert value(metrics, name) == 0, name
    assert metrics.counts == {}


def test_events_by_what_became_of_them(metrics: Metrics) -> None:
    metrics.count("applied", 25_000)
    metrics.count("applied", 3)
    metrics.count("replayed")
    metrics.dead_letter("json", 2)
    metrics.dead_letter("key")
    assert metrics.counts == {"applied": 25_003, "replayed": 1, "dead_letter": 3}
    assert value(metrics, "events_total", result="applied") == 25_003
    assert value(metrics, "dead_letters_total", reason="json") == 2
    assert value(metrics, "dead_letters_total", reason="key") == 1


def test_two_updaters_count_for_themselves(metrics: Metrics) -> None:
    other = Metrics()
    other.count("applied", 5)
    assert metrics.counts == {}
    assert other.counts == {"applied": 5}


@pytest.mark.parametrize(
    "misspelt",
    [lambda metrics: metrics.count("aplied"), lambda metrics: metrics.stalled("stor"), lambda m: m.timed("encoding")],
)
def test_a_misspelt_name_is_refused(metrics: Metrics, misspelt: Callable[[Metrics], object]) -> None:
    with pytest.raises(ValueError, match="is not counted; right is one of"):
        misspelt(metrics)


def test_batches_refusals_rebalances_and_stalls(metrics: Metrics) -> None:
    metrics.batch(2_000)
    metrics.batch(10)
    metrics.refused(7)
    metrics.rebalanced()
    metrics.stalled("store")
    assert value(metrics, "batches_total") == 2
    assert value(metrics, "batch_events_sum") == 2_010
    assert value(metrics, "batch_events_bucket", le="10.0") == 1
    assert value(metrics, "batch_events_bucket", le="3000.0") == 2
    assert value(metrics, "writes_refused_total") == 7
    assert value(metrics, "rebalances_total") == 1
    assert value(metrics, "stalls_total", of="store") == 1


def test_blocks_are_timed(metrics: Metrics) -> None:
    with metrics.timed("encode"):
        pass
    for _ in range(2):
        with metrics.timed("get"):
            pass
    with pytest.raises(OSError, match="store is away"), metrics.timed("put"):
        raise OSError("store is away")  # it took its time all the same
    assert value(metrics, "encode_seconds_count") == 1
    assert value(metrics, "store_seconds_count", operation="get") == 2
    assert value(metrics, "store_seconds_count", operation="put") == 1


def test_ages_of_a_whole_batch(metrics: Metrics) -> None:
    metrics.stored([0.001, 0.002, 0.5])
    metrics.stored([])
    metrics.stored(age for age in (-4.0, 5_000.0))  # a clock that is ahead; older than the last bucket
    buckets = {edge: value(metrics, "event_to_stored_seconds_bucket", le=str(float(edge))) for edge in AGES_S}
    assert (buckets[0.001], buckets[0.003], buckets[0.3], buckets[1], buckets[3_000]) == (2, 3, 3, 4, 4)
    assert value(metrics, "event_to_stored_seconds_bucket", le="+Inf") == 5
    assert value(metrics, "event_to_stored_seconds_count") == 5
    assert value(metrics, "event_to_stored_seconds_sum") == pytest.approx(5_000.503)


def test_lag_of_the_partitions_that_are_ours(metrics: Metrics) -> None:
    metrics.progress({0: (5, 0), 1: (7, 2)})
    metrics.progress({1: (3, 3), 2: (0, 0)})
    assert [value(metrics, "lag_events", partition=partition) for partition in "012"] == [None, 3, 0]
    assert [value(metrics, "open_transaction_events", partition=partition) for partition in "012"] == [None, 3, 0]


def test_the_model_in_use(metrics: Metrics) -> None:
    metrics.bundle("first")
    metrics.bundle("second")
    assert value(metrics, "bundle_info", version="first") is None
    assert value(metrics, "bundle_info", version="second") == 1


def test_swaps_refusals_and_the_sweep(metrics: Metrics) -> None:
    metrics.bundle("first")
    metrics.swapped("second")
    metrics.bundle_refused()
    metrics.sweeping(True)
    metrics.swept(looked_at=128, made_anew=100)
    assert value(metrics, "bundle_info", version="first") is None
    assert value(metrics, "bundle_info", version="second") == 1
    assert value(metrics, "sweep_looked_at_total") == 128
    assert value(metrics, "sweeping") == 1
    metrics.sweeping(False)
    assert value(metrics, "sweeping") == 0
    assert metrics.counts == {"swaps": 1, "bundles_refused": 1, "swept": 100}


def test_health_is_asked_each_time(metrics: Metrics) -> None:
    health = Health()
    metrics.watch(health)
    assert value(metrics, "healthy") == 1
    health.stuck("the store is away")
    assert value(metrics, "healthy") == 0
