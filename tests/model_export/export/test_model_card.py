"""The model card: what it says is what the checkpoint holds."""

from dataclasses import replace

from model_export.bundle.bundle import MODEL_CARD, Bundle
from model_export.data.simulator import SimulatedShop
from model_export.evaluation.evaluate import with_test_metrics
from model_export.export.model_card import model_card
from model_export.models.checkpoint import Checkpoint
from model_export.models.presets import PRESETS
from model_export.rankers.ranked_checkpoint import RankedCheckpoint, new_ranker
from model_export.rankers.ranker_config import RANKERS
from tests.support.bundles.untrained import untrained

METRICS = ("recall@10", "recall@20", "recall@50", "hr@50", "ndcg@10", "ndcg@50")


def test_data_settings_and_versions() -> None:
    card = model_card(untrained(replace(PRESETS["mind"].model, dim=8)), "v1")
    assert card.startswith("# mind, version v1\n\nLi et al.")
    assert "60 events of 6 users with 30 items from nowhere, from 1970-01-01 00:00 to 1970-01-01 00:00 (UTC)" in card
    assert "Side features of items: category. Profile fields of users: field-0, field-1." in card
    assert "\n- dim: 8\n" in card
    assert "\n- seed: 7\n" in card
    assert "\n- torch: " in card
    assert "It was not evaluated: no user with two behaviours or more was held out for a test." in card


def test_the_rule_for_what_counted_is_named() -> None:
    checkpoint = untrained(PRESETS["steady"].model)
    ruled = replace(checkpoint, data=checkpoint.data | {"behaviours": "dislike=-1,impression=0"})
    assert "field-1. Weights of event types: dislike=-1,impression=0.\n" in model_card(ruled, "v1")
    assert "Weights of event types" not in model_card(checkpoint, "v1")


def test_figures_stand_beside_the_baselines_with_their_intervals() -> None:
    figures = [
        {"name": name, "users": 50, **dict.fromkeys(METRICS, mean), "intervals": {key: [1.0, 9.5] for key in METRICS}}
        for name, mean in (("steady", 5.25), ("item-kNN", 4.0))
    ]
    card = model_card(replace(untrained(PRESETS["steady"].model), figures=figures), "v1")
    [mine] = [line.split() for line in card.splitlines() if line.startswith("    steady ")]
    assert mine == ["steady", *["5.25", "[1.00,", "9.50]"] * len(METRICS)]
    assert "50 users." in card


def test_figures_of_an_older_checkpoint_lack_what_was_not_measured() -> None:
    older = {"name": "steady", "users": 50, "recall@20": 5.25, "intervals": {"recall@20": [1.0, 9.5]}}
    card = model_card(replace(untrained(PRESETS["steady"].model), figures=[older]), "v1")
    [mine] = [line.split() for line in card.splitlines() if line.startswith("    steady ")]
    assert mine == ["steady", "-", "5.25", "[1.00,", "9.50]", "-", "-", "-", "-"]


def test_judged_on_the_test_users(checkpoint: Checkpoint, shop: SimulatedShop) -> None:
    found = with_test_metrics(checkpoint, shop.log, progress=False).figures
    assert [one["name"] for one in found[::2]] == ["steady", "item-kNN", "most popular"]
    assert all(one["users"] == found[0]["users"] > 10 for one in found)
    everybody = replace(checkpoint, training=replace(checkpoint.training, test_share=0))
    few = with_test_metrics(checkpoint, shop.log, progress=False, most_cases=3).figures
    assert [one["users"] for one in few] == [3] * 6
    assert found[0]["users"] > 3
    assert with_test_metrics(everybody, shop.log, progress=False).figures == []


def test_every_bundle_has_one(bundle: Bundle) -> None:
    assert (bundle.path / MODEL_CARD).read_text().startswith(f"# steady, version {bundle.version}\n")
    assert MODEL_CARD in bundle.manifest.files


def test_the_ranker_stands_beside_the_orders_without_it() -> None:
    """Gains with their intervals, in points; without a ranker there is no word of one."""
    checkpoint = untrained(PRESETS["steady"].model)
    figures = dict.fromkeys(("ndcg@10", "hr@10", "mrr", "auc", "gauc"), 0.25)
    found = {
        "lists": 40,
        "orders": {"linear": figures, "max-sim": figures},
        "gains": {"max-sim": [0.02, 0.01, 0.03]},
        "tasks": {"view": {"linear": 0.3, "max-sim": 0.1}, "buy": {"linear": 0.4, "max-sim": 0.2}},
    }
    model = new_ranker(RANKERS["linear"].config, checkpoint.vocabulary)
    ranker = RankedCheckpoint(model, [1.0], checkpoint.popularity, 1_000, {"test": {"ahead": found}})
    card = model_card(replace(checkpoint, ranker=ranker), "v1")
    line, by_task = (line.split() for line in card.splitlines() if line.startswith("    max-sim "))
    assert by_task == ["max-sim", "10.00", "20.00"]
    assert line == ["max-sim", *["25.00"] * 5, "+2.00", "[+1.00,", "+3.00]"]
    assert "Tasks and what they weigh: click 1." in card
    assert "40 lists of test users" in card
    assert "The ranker" not in model_card(checkpoint, "v1")
