"""The cost of capsules: a stopwatch read by hand, and that what is compared is the same work."""

import json

import numpy as np
import pytest
import torch

from benchmarks.harness.stopwatch import best_means
from benchmarks.speed import extractor as benchmark
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.models.checkpoint import Checkpoint


class Work:
    """Calls that take given times on a clock of their own, the last one for ever."""

    def __init__(self) -> None:
        self.now, self.called = 0.0, ""

    def clock(self) -> float:
        return self.now

    def call(self, name: str, *times: float) -> None:
        done = self.called.count(name)
        self.now += times[min(done, len(times) - 1)]
        self.called += name


def test_the_best_round_counts_and_the_first_only_warms_up() -> None:
    work = Work()
    calls = {
        "a": lambda: work.call("a", 1, 2, 8, 5),  # to warm up 1; then 2, 8, 5
        "b": lambda: work.call("b", 9, 7, 3, 4),
    }
    assert best_means(calls, rounds=3, seconds=0, clock=work.clock) == {"a": 2, "b": 3}
    assert work.called == "abababab"  # in turn


def test_a_round_goes_on_until_its_time_is_over_and_has_a_mean() -> None:
    work = Work()
    found = best_means({"a": lambda: work.call("a", 10, 1, 2, 6, 5, 5)}, rounds=2, seconds=8, clock=work.clock)
    assert work.called == "a" * 6  # 10 | 1 + 2 + 6 | 5 + 5
    assert found == {"a": 3}


def test_onnx_and_torch_are_given_the_same_full_histories(checkpoint: Checkpoint, bundle: Bundle) -> None:
    extractor = Extractor(bundle)
    inputs = benchmark.full_inputs(extractor, 3, seed=1)
    assert inputs["behaviours"].shape == (3, 20, 16)
    assert inputs["mask"].all()
    with torch.no_grad():
        by_torch = benchmark.torch_call(checkpoint, inputs)()
    for ours, theirs in zip(benchmark.onnx_call(extractor, inputs)(), by_torch, strict=True):  # type: ignore[call-overload]
        assert np.abs(ours.astype(float) - theirs.numpy().astype(float)).max() < 1e-5


def test_histories_are_cut_to_what_the_model_reads(bundle: Bundle) -> None:
    extractor = Extractor(bundle)
    histories = benchmark.long_histories(extractor, 4, seed=1)
    assert [len(history) for history in histories] == [30] * 4
    assert all(len(extractor.known_behaviours(history)[0]) == 20 for history in histories)


def test_times_are_microseconds_a_user(checkpoint: Checkpoint, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "best_means", lambda calls, *_: dict.fromkeys(calls, 64e-6))
    assert benchmark.measure(checkpoint, Extractor(bundle)) == pytest.approx(
        {
            "us_per_user_batch1": 64,
            "us_per_user_batch32": 2,
            "torch_us_per_user_batch1": 64,
            "us_per_user_encode_batch32": 2,
        }
    )


def test_the_command_ends_with_its_figures(
    checkpoint: Checkpoint, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "small_extractor", lambda name, seed: (checkpoint, Extractor(bundle)))
    monkeypatch.setattr(benchmark, "PRESETS", {"mind": None, "remi": None})
    monkeypatch.setattr(benchmark, "measure", lambda *_, seed: {"us_per_user_batch1": 3.0})
    benchmark.main("mind")
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"us_per_user_batch1": 3}
    benchmark.main("all")
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last == {"mind_us_per_user_batch1": 3, "remi_us_per_user_batch1": 3}


def test_the_small_model_outlives_its_folder() -> None:
    checkpoint, extractor = benchmark.small_extractor("steady", seed=1)
    assert not extractor.bundle.path.exists()
    assert checkpoint.model.config.name == "steady"
    times = benchmark.measure(checkpoint, extractor, rounds=1, seconds=0)
    assert all(0 < time < 1e6 for time in times.values())


def test_an_unknown_model_is_named_before_anything_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="there is no model 'mimd'"):
        benchmark.main("mimd")
    assert capsys.readouterr() == ("", "")
