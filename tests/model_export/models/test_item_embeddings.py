"""Item embeddings by hand: means of ids and side features."""

import torch

from model_export.models.item_embeddings import ItemEmbedding


def test_an_item_is_the_mean_of_its_id_and_the_values_that_it_has() -> None:
    items = ItemEmbedding(3, 4, 2)
    assert items.features is not None
    assert items.features.weight[0].tolist() == [0, 0]
    assert items.features.weight[1:].count_nonzero() == 8
    with torch.no_grad():
        items.ids.weight.copy_(torch.tensor([[3.0, 0], [6, 3], [1, 2]]))
        items.features.weight.copy_(torch.tensor([[0.0, 0], [3, 9], [0, 6], [12, 0], [5, 5]]))
    features = torch.tensor([[1, 2, 3, 1], [0, 2, 0, 0], [0, 0, 0, 0]])
    # (3+3+0+12+3, 0+9+6+0+9)/5, (6+0, 3+6)/2, and without a value the id's vector alone
    expected = torch.tensor([[21 / 5, 24 / 5], [3, 4.5], [1, 2]])
    torch.testing.assert_close(items(torch.arange(3), features), expected)
    rows = torch.tensor([[2, 1], [0, 2]])  # any shape
    torch.testing.assert_close(items(rows, features[rows]), expected[rows])


def test_padding_stays_zero_and_learns_nothing() -> None:
    items = ItemEmbedding(2, 2, 3)
    assert items.features is not None
    items(torch.tensor([0, 1]), torch.tensor([[1, 0], [0, 0]])).sum().backward()
    gradient = items.features.weight.grad
    assert gradient is not None
    assert gradient.tolist() == [[0.0] * 3, [0.5] * 3, [0.0] * 3]


def test_items_without_side_features_are_their_ids() -> None:
    items = ItemEmbedding(2, 0, 3)
    assert [name for name, _ in items.named_parameters()] == ["ids.weight"]
    assert torch.equal(items(torch.tensor([1, 0]), torch.zeros(2, 0, dtype=torch.int64)), items.ids.weight[[1, 0]])


def test_a_dense_vector_is_one_more_value_by_its_map() -> None:
    items = ItemEmbedding(3, 2, 2, vector_size=3)
    assert items.features is not None
    assert items.vector_map is not None
    with torch.no_grad():
        items.ids.weight.copy_(torch.tensor([[3.0, 0], [6, 3], [1, 2]]))
        items.features.weight.copy_(torch.tensor([[0.0, 0], [3, 9], [0, 6]]))
        items.vector_map.weight.copy_(torch.tensor([[1.0, 10, 100], [2, 20, 200]]))
    features = torch.tensor([[1, 2], [2, 0], [0, 0]])
    dense = torch.tensor([[0.0, 1, 0], [0, 0, 0], [0.6, 0, 0.8]])  # the second item has none
    # (3+3+0+10, 0+9+6+20)/4, (6+0, 3+6)/2, (1+80.6, 2+161.2)/2
    expected = torch.tensor([[4, 35 / 4], [3, 4.5], [40.8, 81.6]])
    torch.testing.assert_close(items(torch.arange(3), features, dense), expected)
    new = torch.tensor([[13 / 4, 35 / 4], [0, 3], [40.3, 80.6]])  # likewise, with zeros for the ids
    torch.testing.assert_close(items.embed_features(features, dense), new)
    alone = ItemEmbedding(1, 0, 2, vector_size=1)
    assert alone.embed_features(torch.zeros(1, 0, dtype=torch.int64), torch.zeros(1, 1)).tolist() == [[0, 0]]
