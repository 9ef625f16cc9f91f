"""Time gaps: by hand, against a loop, and from the log to the served capsule."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model_export.bundle.extractor import Extractor
from model_export.bundle.time_gaps import BUCKETS, asked_gaps, time_gaps
from model_export.data.simulator import SimulatedShop
from model_export.export.bundle_writer import export
from model_export.export.parity import largest_difference, random_histories
from model_export.models.presets import preset
from model_export.models.steady import SteadyExtractor
from model_export.training.train import train
from tests.support.bundles.untrained import untrained

SECOND = 1_000
DAY = 86_400 * SECOND


def test_gaps_by_hand() -> None:
    times = np.array([[0, 10 * DAY, 10 * DAY + 60 * SECOND, 10 * DAY + 61 * SECOND, 10 * DAY + 61_999]])
    # 864,061 s, 61 s, 1 s, less than a second, and the last one
    assert time_gaps(times, times >= 0).tolist() == [[19, 5, 1, 0, 0]]


def test_gaps_are_to_the_last_behaviour_that_is_not_padding() -> None:
    times = np.array([[5 * DAY, 0, 3 * SECOND, 9 * DAY], [7 * DAY, 3, 4, 5]])
    mask = np.array([[False, True, True, False], [False, False, False, False]])
    assert time_gaps(times, mask).tolist() == [[0, 2, 0, 0], [0, 0, 0, 0]]


def test_asked_gaps_by_hand() -> None:
    """Of padding nothing is read, before the last behaviour is at it, and nobody's is now."""
    times = np.array([[9 * DAY, 5, DAY]] * 3 + [[DAY, DAY, DAY]])
    mask = np.array([[False, True, True]] * 3 + [[False] * 3])
    asked = np.array([DAY + 3 * SECOND, DAY - SECOND, 2**62, 5 * DAY])
    assert asked_gaps(times, mask, asked).tolist() == [2, 0, BUCKETS - 1, 0]


@given(seconds=st.integers(0, 2**40), start=st.integers(-(2**40), 2**40))
def test_gaps_are_floors_of_logarithms(seconds: int, start: int) -> None:
    times = np.array([[start, start + seconds * SECOND]])
    found = time_gaps(times, np.ones((1, 2), dtype=bool))[0, 0]
    assert found == min(BUCKETS - 1, (seconds + 1).bit_length() - 1)


def test_a_gap_weighs_its_behaviours_by_hand() -> None:
    """Two orthogonal behaviours of one slot without prior: the older one's gap counts three times."""
    model = SteadyExtractor(replace(preset("steady").model, dim=2, num_interests=1, history_length=3), [])
    with torch.no_grad():
        model.prior.zero_()
        assert model.gap_weights is not None
        model.gap_weights[0, 4] = math.log(3)
    e = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    mask, logits = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 1, 2)
    for gaps, expected in (([4, 0], [3, 1]), ([5, 0], [1, 1])):
        capsules, _, _ = model.eval()(e, mask, logits, gaps=torch.tensor([gaps]))
        assert capsules[0, 0].tolist() == pytest.approx((np.array(expected) / math.hypot(*expected)).tolist())


def with_gap_weights(extractor: torch.nn.Module) -> None:
    """Move the weights of the gaps away from their start."""
    with torch.no_grad():
        extractor.get_parameter("gap_weights").add_(torch.randn_like(extractor.get_parameter("gap_weights")))


def test_served_capsules_follow_the_times_as_torchs_do(tmp_path: Path) -> None:
    torch.manual_seed(1)
    checkpoint = untrained(replace(preset("steady").model, dim=16, history_length=20))
    with_gap_weights(checkpoint.model.extractor)
    extractor = Extractor(export(checkpoint, tmp_path, progress=False))
    assert extractor.reads_gaps
    assert largest_difference(checkpoint, extractor, random_histories(checkpoint, 500)) < 1e-5
    history = checkpoint.vocabulary.item_ids[:4]
    at_once, apart = [0, 0, 0, 0], [0, 90 * DAY, 90 * DAY, 90 * DAY]
    without, same, other = extractor.encode([history] * 3, times_ms=[[7, 8, 9, 10], at_once, apart])
    assert np.array_equal(without.vectors, same.vectors)  # within one second
    assert np.array_equal(extractor.encode([history])[0].vectors, same.vectors)
    assert np.abs(other.vectors - same.vectors).max() > 1e-3


def test_items_that_the_model_does_not_know_have_no_part_in_the_gaps(tmp_path: Path) -> None:
    torch.manual_seed(1)
    checkpoint = untrained(replace(preset("steady").model, dim=16, history_length=3))
    with_gap_weights(checkpoint.model.extractor)
    extractor = Extractor(export(checkpoint, tmp_path, progress=False))
    a, b, c, d = checkpoint.vocabulary.item_ids[:4]
    times_ms = [0, DAY, 2 * DAY, 3 * DAY]
    with_unknown = ["?", a, b, "?", c, "?"], [5, *times_ms[:2], 17, times_ms[2], 400 * DAY]
    too_long = [d, a, b, c], [-DAY, *times_ms[:3]]
    right, *found = extractor.encode(
        [[a, b, c], with_unknown[0], too_long[0]], times_ms=[times_ms[:3], with_unknown[1], too_long[1]]
    )
    for capsules in found:
        assert np.array_equal(capsules.vectors, right.vectors)


def test_a_log_without_times_trains_no_gaps(shop: SimulatedShop) -> None:
    chosen = preset("steady")
    config = replace(chosen.model, dim=8, history_length=10, hidden=8)
    training = replace(chosen.training, steps=4, batch_size=32, negatives=16, validate_every=2)
    logs = (replace(shop.log, timed=timed) for timed in (True, False))
    with_times, without = (train(log, config, training, progress=False) for log in logs)
    assert with_times.model.config.time_gaps
    assert with_times.model.extractor.get_parameter("gap_weights").abs().max() > 0
    assert not without.model.config.time_gaps
