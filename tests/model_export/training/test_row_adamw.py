"""AdamW by rows, and the running average by rows, beside the same over whole tables."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model_export.data.interactions import InteractionLog
from model_export.data.simulator import SimulatedShop, simulate
from model_export.models import item_embeddings
from model_export.models.checkpoint import Checkpoint
from model_export.models.presets import preset
from model_export.models.switches import apply_settings
from model_export.training.row_adamw import RowAdamW
from model_export.training.train import train

ROWS, DIM, STEPS = 40, 4, 500


def batches() -> list[tuple[Tensor, Tensor]]:
    """Rows, some of which are not touched for long, and where each is drawn to."""
    drawn = torch.Generator().manual_seed(2)
    return [
        (
            torch.randint(0, ROWS if at % 50 == 0 else 10, (5,), generator=drawn),
            torch.randn(5, DIM, generator=drawn),
        )
        for at in range(STEPS)
    ]


def rate(at: int) -> float:
    return 0.01 * (1 + math.cos(math.pi * at / STEPS)) / 2


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_rows_end_where_torch_has_them(weight_decay: float) -> None:
    start = torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(1))
    whole, table = start.clone().requires_grad_(), start.clone().requires_grad_()
    adamw = torch.optim.AdamW([whole], weight_decay=weight_decay)
    by_row = RowAdamW(table, weight_decay, STEPS)
    for at, (rows, aims) in enumerate(batches()):
        adamw.zero_grad()
        (F.embedding(rows, whole) - aims).square().sum().backward()
        adamw.param_groups[0]["lr"] = rate(at)
        adamw.step()
        by_row.catch_up(rows.unique())
        (F.embedding(rows, table, sparse=True) - aims).square().sum().backward()
        assert by_row.step(rate(at)).tolist() == rows.unique().tolist()
    by_row.catch_up_all()
    torch.testing.assert_close(table, whole, atol=2e-5, rtol=0)
    assert (whole - start).abs().max() > 0.5  # they did move


def test_a_row_that_is_not_touched_moves_when_it_is_asked_for() -> None:
    """One step of rate 1 on row 0, one on row 1: row 0 goes on by 0.9 / sqrt(0.999) of the first, as biases are."""
    table = torch.zeros(2, 1, requires_grad=True)
    by_row = RowAdamW(table, 0.0, 2)
    for row in (0, 1):
        F.embedding(torch.tensor([row]), table, sparse=True).sum().backward()
        by_row.step(1.0)
    assert table.tolist() == [
        [pytest.approx(-1.0)],
        [pytest.approx(-0.1 / 0.19 / math.sqrt(0.001 / 0.001999), rel=1e-4)],
    ]
    by_row.catch_up_all()
    again = 0.09 / 0.19 / math.sqrt(0.000999 / 0.001999)
    assert table[0].item() == pytest.approx(-1 - again, rel=1e-4)


@pytest.fixture(scope="module")
def shop() -> SimulatedShop:
    return simulate(users=80, seed=3)


def trained(log: InteractionLog, monkeypatch: pytest.MonkeyPatch, sparse_from: int) -> Checkpoint:
    monkeypatch.setattr(item_embeddings, "SPARSE_FROM", sparse_from)
    settings = apply_settings(preset("steady"), ["steps=40", "batch_size=64", "negatives=16", "dim=8"])
    return train(log, settings.model, settings.training, progress=False)


def test_a_training_by_rows_is_the_training(shop: SimulatedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the averages of rows that were not touched, which take what a row moved as moved at once."""
    whole, by_row = (trained(shop.log, monkeypatch, rows).model for rows in (10**9, 0))
    assert by_row.items.ids.sparse
    assert not whole.items.ids.sparse
    for name, weight in whole.named_parameters():
        np.testing.assert_allclose(by_row.get_parameter(name).detach(), weight.detach(), atol=0.02, err_msg=name)
