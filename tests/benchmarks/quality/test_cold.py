"""Items held out of the training: what is asked of whom, and how their embeddings and rivals come about."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.quality import cold
from benchmarks.quality.cold import ColdItems, cold_cases, cold_items, hold_out, rank_by_features, rank_by_popularity
from benchmarks.quality.title_vectors import title_vectors, with_title_vectors
from mindstream.parsing.unit_rows import unit_rows
from model_export.data.dataset import Vocabulary, build_vocabulary, new_features
from model_export.data.dense_features import DenseFeatures
from model_export.data.interactions import InteractionLog
from model_export.data.simulator import simulate
from model_export.evaluation.cases import Cases
from model_export.models.checkpoint import Checkpoint, new_model
from model_export.models.interest_model import InterestModel
from model_export.models.item_embeddings import ItemEmbedding
from model_export.models.model_config import ModelConfig
from model_export.models.training_config import TrainingConfig
from model_export.readers import write_table

NAN = float("nan")


def log_of(
    events: str, items: list[tuple[str, str, float, str]], sides: dict[str, str] | None = None
) -> InteractionLog:
    """Events such as "ann:cup bob:mug", in time order; items as (id, category, price, colours)."""
    pairs = [event.split(":") for event in events.split()]
    frame = pd.DataFrame({"user_id": [u for u, _ in pairs], "item_id": [i for _, i in pairs]}, dtype="str")
    frame["event_type"], frame["event_time_ms"] = "click", np.arange(len(pairs), dtype="int64")
    known = pd.DataFrame(items, columns=["item_id", "category", "price", "colour"]).sort_values("item_id")
    known["title"] = known.item_id
    users = pd.DataFrame({"user_id": sorted({u for u, _ in pairs})}, dtype="str")
    return InteractionLog(frame, known.reset_index(drop=True), users, "a log", sides=sides or {})


WARM = [
    ("cup", "china", 1.0, "red|blue"),
    ("hat", "cloth", 9.0, "red"),
    ("mug", "china", 2.0, ""),
    ("rug", "cloth", 8.0, "blue"),
]
NEW = [
    ("jug", "china", 2.0, "red|green|red"),
    ("toy", "wood", NAN, "green"),
    ("vase", "china", 99.0, ""),
]
WARM_EVENTS = "eve:cup eve:hat eve:mug eve:rug eve:mug"


def vocabulary() -> Vocabulary:
    return build_vocabulary(log_of(WARM_EVENTS, WARM))


def checkpoint_of(log: InteractionLog, warm: Vocabulary, config: ModelConfig) -> Checkpoint:
    torch.manual_seed(1)
    model = new_model(config, warm)
    return Checkpoint(model, warm, np.ones(len(warm.item_ids)), {}, {}, TrainingConfig())


def test_what_a_vocabulary_knows_of_new_items() -> None:
    known = vocabulary()
    log = log_of("eve:jug", NEW)
    features = new_features(log.items, log.side_features, known)
    slices = known.feature_slices()

    def row(field: str, value: str) -> int:
        start: int = slices[field].start
        return start + known.feature_fields[field].index(value)

    dearest = known.feature_fields["price_band"][-1]
    assert features.shape[0] == 3
    jug, toy, vase = (set(row_[row_ > 0].tolist()) for row_ in features)
    assert {row("category", "china"), row("colour", "red")} < jug
    assert len(jug) == 3  # its price is mug's; green is unknown, and red counts once
    assert toy == set()  # neither wood nor green nor its price
    assert vase == {row("category", "china"), row("price_band", dearest)}
    assert (features > 0).sum() == 5


def test_items_of_the_vocabulary_have_the_same_features_as_new() -> None:
    known, log = vocabulary(), log_of(WARM_EVENTS, WARM)
    again = new_features(log.items, log.side_features, known)
    assert [sorted(row) for row in again.tolist()] == [sorted(row) for row in known.item_features.tolist()]


def test_an_item_of_features_alone_is_their_mean() -> None:
    items = ItemEmbedding(2, 3, 4)
    assert items.features is not None
    one, two, three = items.features.weight[1:].detach()
    found = items.embed_features(torch.tensor([[1, 3, 0], [0, 0, 0], [2, 0, 0], [1, 2, 3]])).detach()
    expected = torch.stack([(one + three) / 3, torch.zeros(4), two / 2, (one + two + three) / 4])  # the id is zeros
    assert torch.allclose(found, expected, atol=1e-6)


def test_without_features_new_items_are_zeros() -> None:
    nothing = torch.zeros(5, 0, dtype=torch.int64)
    assert ItemEmbedding(2, 0, 4).embed_features(nothing).tolist() == [[0] * 4] * 5
    assert ItemEmbedding(2, 3, 4).embed_features(nothing).tolist() == [[0] * 4] * 5


@pytest.mark.parametrize("unit", [True, False])
def test_new_items_have_unit_length_where_the_settings_say_so(unit: bool) -> None:
    logits = torch.zeros(2, 5)
    model = InterestModel(ModelConfig(dim=4, unit_length=unit), torch.tensor([[1], [2]]), 2, [], logits)
    features = torch.tensor([[1, 2], [0, 0]])
    plain = model.items.embed_features(features)
    expected = plain / plain[0].norm() if unit else plain
    assert torch.allclose(model.embed_new(features), expected)
    assert model.embed_new(features)[1].tolist() == [0] * 4


def test_holding_out_divides_items_and_their_events() -> None:
    log = simulate(users=30, seed=2).log
    warm, apart = hold_out(log, 0.2, seed=1)
    assert set(warm.items.item_id) | set(apart.items.item_id) == set(log.items.item_id)
    assert 0.1 < len(apart.items) / len(log.items) < 0.3
    assert set(warm.events.item_id) == set(warm.items.item_id)
    assert set(apart.events.item_id) == set(apart.items.item_id)
    assert len(warm.events) + len(apart.events) == len(log.events)
    again, _ = hold_out(log.between(0, 0.5), 0.2, seed=1)
    assert set(again.items.item_id) <= set(warm.items.item_id)  # the same in every part of the log
    assert set(hold_out(log, 0.2, seed=2)[1].items.item_id) != set(apart.items.item_id)


def test_who_is_asked_for_what() -> None:
    events = "bob:cup ann:jug ann:cup bob:jug ann:mug ann:toy ann:cup ann:jug ann:toy ann:hat cat:jug cat:rug bob:rug"
    sides = {"ann": "test", "bob": "train", "cat": "test"}
    log, warm = log_of(events, WARM + NEW[:2], sides), vocabulary()
    checkpoint = checkpoint_of(log, warm, ModelConfig(dim=4, history_length=2))
    new = ColdItems(["jug", "toy"], np.zeros((2, 0), dtype=np.int64), np.array([4, 2]))
    cases = cold_cases(log, checkpoint, new)
    # Not ann's jug, the first time of which has nothing before it; toy once; bob trains; cat has no history.
    assert cases.labels.tolist() == [[1]]
    assert [warm.item_ids[row] for row in cases.history[0]] == ["cup", "mug"]
    assert cases.mask.tolist() == [[True, True]]


def test_a_history_is_the_last_20_of_the_other_items() -> None:
    events = " ".join(["ann:cup", *["ann:mug"] * 18, "ann:jug", "ann:rug", "ann:hat", "ann:toy"])
    log, warm = log_of(events, WARM + NEW[:2], {"ann": "test"}), vocabulary()
    new = ColdItems(["jug", "toy"], np.zeros((2, 0), dtype=np.int64), np.array([1, 1]))
    jug, toy = cold_cases(log, checkpoint_of(log, warm, ModelConfig(dim=4)), new).take(slice(0, 2)).history
    assert [warm.item_ids[row] for row in jug[1:]] == ["cup", *["mug"] * 18]
    assert [warm.item_ids[row] for row in toy] == [*["mug"] * 18, "rug", "hat"]


def case_of(*history: int) -> Cases:
    rows = np.array([history])
    nobody, label = np.zeros((1, 0), dtype=np.int64), np.array([[0]])
    return Cases(rows, np.ones(rows.shape, dtype=bool), nobody, label, np.zeros_like(rows))


def test_the_model_ranks_the_held_out_items_by_max_sim() -> None:
    warm = vocabulary()
    log = log_of("eve:jug eve:toy eve:vase", NEW)
    model = checkpoint_of(log, warm, ModelConfig(extractor="mean", num_interests=1, dim=8)).model.eval()
    held = cold_items(log, warm)
    top = rank_by_features(model, held, case_of(0, 2))
    rows = torch.tensor([[0, 2]])
    with torch.no_grad():
        capsules, _, _ = model.extractor(model.item_table()[rows], rows >= 0, torch.zeros(1, 1, 2), None)
        scores = (capsules[0, 0] @ model.embed_new(torch.from_numpy(held.features)).T).tolist()
    assert top.shape == (1, 50)
    assert top[0, :3].tolist() == sorted(range(3), key=lambda item: -scores[item])
    assert set(top[0, 3:].tolist()) == {-1}


def test_most_popular_in_the_category_then_the_rest() -> None:
    warm = vocabulary()
    log = log_of("a:toy b:toy c:toy d:toy a:jug a:vase b:vase", NEW)
    held = cold_items(log, warm)
    assert held.item_ids == ["jug", "toy", "vase"]
    assert held.counts.tolist() == [1, 4, 2]
    hat, mug = warm.item_ids.index("hat"), warm.item_ids.index("mug")
    assert rank_by_popularity(warm, held, case_of(hat, mug))[0, :3].tolist() == [2, 0, 1]  # china: vase, jug; then toy
    # red, which jug has as well, is no category
    assert rank_by_popularity(warm, held, case_of(mug, hat))[0, :3].tolist() == [1, 2, 0]


def test_without_categories_any_shared_value_counts() -> None:
    warm = build_vocabulary(log_of(WARM_EVENTS, [(item, "", NAN, colours) for item, _, _, colours in WARM]))
    held = cold_items(log_of("a:toy b:toy a:jug", [(item, "", NAN, colours) for item, _, _, colours in NEW]), warm)
    assert held.counts.tolist() == [1, 2, 0]
    assert rank_by_popularity(warm, held, case_of(warm.item_ids.index("hat")))[0, :3].tolist() == [0, 1, 2]  # red: jug
    assert rank_by_popularity(warm, held, case_of(warm.item_ids.index("mug")))[0, :3].tolist() == [1, 0, 2]


def test_the_command_ends_with_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(simulate(users=60, seed=1).log, tmp_path / "log.parquet")
    cold.main(tmp_path / "log.parquet", model="youtube-dnn", share=0.2, steps=2, seed=1)
    *_, last = capsys.readouterr().out.strip().splitlines()
    figures = json.loads(last)
    assert figures["hr50_chance"] == pytest.approx(100 * 50 / figures["cold_items"], abs=1e-3)
    assert figures["cold_items_with_features"] == figures["cold_items"]
    assert figures["cases"] > 10
    assert {"hr50_cold", "hr50_popular_in_category"} < set(figures)


def test_a_log_without_cases_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = simulate(users=60, seed=1).log
    everyone = dict.fromkeys(log.profiles.user_id, "train")
    monkeypatch.setattr(cold, "read_behaviours", lambda path, mapping: replace(log, sides=everyone))
    with pytest.raises(ValueError, match=r"simulated shop.*no test user took one of the \d+ items.*--share 0.2"):
        cold.main(tmp_path, model="youtube-dnn", share=0.2, steps=1, seed=1)


def test_dense_vectors_rank_alone_and_beside_side_features() -> None:
    warm = vocabulary()
    given = np.eye(4, dtype=np.float32)
    warm = replace(warm, item_vectors=given)
    model = checkpoint_of(log_of(WARM_EVENTS, WARM), warm, ModelConfig(extractor="mean", num_interests=1, dim=8)).model
    log = replace(log_of("eve:jug eve:toy eve:vase", NEW), item_vectors=DenseFeatures(["vase", "toy"], 5 * given[2:]))
    held = cold_items(log, warm)
    assert held.dense is not None
    assert held.dense.tolist() == [[0] * 4, given[3].tolist(), given[2].tolist()]  # jug has none
    nothing = replace(held, features=np.zeros((3, 0), dtype=np.int64))
    assert model.items.vector_map is not None
    with torch.no_grad():
        image = model.items.vector_map.weight.T / 2  # each of unit length and an id of zeros
        new = model.eval().embed_new(torch.from_numpy(nothing.features), torch.from_numpy(held.dense))
        torch.testing.assert_close(new, torch.stack([torch.zeros(8), image[3], image[2]]))
        scores = (capsule_of(model, 0, 2) @ new.T).tolist()
    top = rank_by_features(model, nothing, case_of(0, 2))
    assert top[0, :3].tolist() == sorted(range(3), key=lambda item: -scores[item])


def capsule_of(model: InterestModel, *history: int) -> torch.Tensor:
    """The only capsule of a model that averages."""
    rows = torch.tensor([history])
    capsules: torch.Tensor = model.extractor(model.item_table()[rows], rows >= 0, torch.zeros(1, 1, 2), None)[0]
    return capsules[0, 0]


def test_titles_that_share_words_have_alike_vectors() -> None:
    titles = ["red oak lamp", "red oak lamps", "blue china teapot", "", "blue china teapots"]
    vectors = title_vectors(titles)
    assert vectors.shape == (5, 64)
    assert not vectors[3].any()
    assert np.array_equal(title_vectors(titles), vectors)
    units = unit_rows(vectors)
    cosines = units @ units.T
    assert min(cosines[0, 1], cosines[2, 4]) > 0.1 + cosines[np.ix_([0, 1], [2, 4])].max()


def test_a_log_without_titles_has_no_vectors_of_them() -> None:
    with pytest.raises(ValueError, match=r"a log has no titles .* right is a log that has, or --item-vectors"):
        with_title_vectors(log_of(WARM_EVENTS, WARM))
    described = log_of(WARM_EVENTS, WARM)
    items = described.items.assign(item_id=["red cup", "hat", "mug", "rug"], title=["red cup", "A hat", "mug", "rug"])
    found = with_title_vectors(replace(described, items=items)).item_vectors
    assert found is not None
    assert found.vectors.any(axis=1).tolist() == [True, True, False, False]


def test_the_command_has_a_row_for_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(simulate(users=60, seed=1).log, tmp_path / "log.parquet")
    cold.main(tmp_path / "log.parquet", model="youtube-dnn", share=0.2, steps=2, seed=1, title_vectors=True)
    *_, last = capsys.readouterr().out.strip().splitlines()
    figures = json.loads(last)
    assert figures["cold_items_with_vectors"] == figures["cold_items"]
    assert {"hr20_cold", "hr20_vectors", "hr20_both", "hr50_vectors"} <= figures.keys()
