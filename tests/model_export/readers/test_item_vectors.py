"""Vectors of items beside a log: --item-vectors."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model_export.readers import Mapping, load_mapping, read_log
from tests.support.logs import cells, json_lines, put, text

IDS = [f"lamp-{n}" for n in range(8)]
VECTORS = [[3.0, 4.0 * n] for n in range(8)]
RIGHT = [[3 / np.hypot(3, 4 * n), 4 * n / np.hypot(3, 4 * n)] for n in range(8)]


def bare(folder: Path) -> Path:
    """A log of 20 events with the items lamp-0 to lamp-7."""
    return put(folder / "log.csv", text([row[:3] for row in cells()], header=["user_id", "item_id", "timestamp"]))


def as_parquet(path: Path, ids: list[str], vectors: list[list[float]]) -> Path:
    pd.DataFrame({"sku": ids, "embedding": vectors, "weight": 1.0}).to_parquet(path)
    return path


def as_csv(path: Path, ids: list[str], vectors: list[list[float]]) -> Path:
    lines = "".join(f'{item_id},7,"{vector}"\n' for item_id, vector in zip(ids, vectors, strict=True))
    return put(path, "id,weight,vector\n" + lines)


def as_json(path: Path, ids: list[str], vectors: list[list[float]]) -> Path:
    return put(path, json_lines([{"item": one, "v": vector} for one, vector in zip(ids, vectors, strict=True)]))


def as_npz(path: Path, ids: list[str], vectors: list[list[float]]) -> Path:
    np.savez(path, item_ids=np.array(ids), vectors=np.array(vectors))
    return path


FORMS = {"vectors.parquet": as_parquet, "vectors.csv": as_csv, "vectors.jsonl": as_json, "vectors.npz": as_npz}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same(tmp_path: Path, name: str) -> None:
    others = [[9.0, 9.0], [8.0, 8.0]]  # of lamp-1 the last counts
    path = FORMS[name](tmp_path / name, ["stranger", "lamp-1", *IDS], [*others, *VECTORS])
    log = read_log(bare(tmp_path), Mapping(item_vectors=path))
    assert log.item_vectors is not None
    assert log.item_vectors.vectors.dtype == np.float32
    assert sorted(log.item_vectors.item_ids) == IDS  # those of others take no memory
    np.testing.assert_allclose(log.item_vectors.of(IDS), RIGHT, atol=1e-6)
    assert any(note.startswith("item vectors: 8 of 8 items found, 2 numbers each") for note in log.notes)


def test_items_without_a_vector_are_counted_and_have_zeros(tmp_path: Path) -> None:
    path = as_parquet(tmp_path / "v.parquet", IDS[:3], [[0.0, 0.0], [0.0, 2.0], [1e-30, 0.0]])
    log = read_log(bare(tmp_path), Mapping(item_vectors=path))
    assert (
        "item vectors: 2 of 8 items found, 2 numbers each; 6 have none, or all zeros; item from sku, "
        "vector from embedding"
    ) in log.notes
    assert log.item_vectors is not None
    assert log.item_vectors.of(IDS[:4]).tolist() == [[0, 0], [0, 1], [1, 0], [0, 0]]


def test_a_path_in_a_mapping_is_relative_to_it(tmp_path: Path) -> None:
    as_npz(tmp_path / "v.npz", IDS, VECTORS)
    mapping = load_mapping(put(tmp_path / "shop.toml", 'item_vectors = "v.npz"\n'))
    assert read_log(bare(tmp_path), mapping).item_vectors is not None


def test_they_stay_with_a_part_of_the_log(tmp_path: Path) -> None:
    log = read_log(bare(tmp_path), Mapping(item_vectors=as_npz(tmp_path / "v.npz", IDS, VECTORS)))
    assert log.between(0, 0.5).item_vectors is log.item_vectors
    assert log.without_side_features().item_vectors is None


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    ("ids", "vectors", "said"),
    [
        pytest.param(IDS, [[float("nan"), 1.0], *VECTORS[1:]], "item 'lamp-0' holds NaN or an infinite", id="nan"),
        pytest.param(IDS, [*VECTORS[:7], [1e39, 1.0]], "item 'lamp-7' holds NaN or an infinite number", id="infinite"),
        pytest.param(["a", "b"], VECTORS[:2], "a vector of none of the 8 items of the log, such as 'lamp-0'", id="ids"),
    ],
)
def test_wrong_vectors(tmp_path: Path, name: str, ids: list[str], vectors: list[list[float]], said: str) -> None:
    path = FORMS[name](tmp_path / name, ids, vectors)
    with pytest.raises(ValueError, match=said) as error:
        read_log(bare(tmp_path), Mapping(item_vectors=path))
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", ["vectors.parquet", "vectors.csv", "vectors.jsonl"])
def test_another_length_of_some_vector(tmp_path: Path, name: str) -> None:
    path = FORMS[name](tmp_path / name, IDS, [*VECTORS[:4], [1.0], *VECTORS[5:]])
    with pytest.raises(ValueError, match=r"item 'lamp-4' has 1 numbers, .* 1 of the .*right is 2 numbers"):
        read_log(bare(tmp_path), Mapping(item_vectors=path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(
            "item_id,weight\nlamp-0,7\n",
            r"item_id has 'lamp-0', weight has '7'; right is one",
            id="no vectors",
        ),
        pytest.param('item_id,a,b\nlamp-0,"[1]","[2]"\n', r"v.csv has several .* .a, b.; right", id="two columns"),
        pytest.param("item_id,text\nlamp-0,warm\n", r"item_id has 'lamp-0', text has 'warm'; right is one", id="text"),
        pytest.param("item_id,vector\n", r"v.csv has a header .item_id, vector. and no rows; right", id="header"),
        pytest.param('item_id,a\nlamp-0,"[1]"\nlamp-1,one\n', "item 'lamp-1' is no list of numbers", id="no list"),
    ],
)
def test_wrong_tables(tmp_path: Path, content: str, said: str) -> None:
    path = put(tmp_path / "v.csv", content)
    with pytest.raises(ValueError, match=said):
        read_log(bare(tmp_path), Mapping(item_vectors=path))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        pytest.param({"item_ids": IDS}, "vectors missing, it has item_ids.; right is an", id="no vectors"),
        pytest.param({"vectors": VECTORS, "ids": IDS}, r"v\.npz .*item_ids missing, it has vectors, ids", id="no ids"),
        pytest.param({"arr_0": VECTORS}, "item_ids and vectors missing, it has arr_0", id="no names"),
        pytest.param({"item_ids": IDS, "vectors": VECTORS[:7]}, r"vectors float64 \(7, 2\); right is", id="shapes"),
        pytest.param({"item_ids": IDS, "vectors": [["a"]] * 8}, r"vectors <U1 \(8, 1\); right is", id="text"),
        pytest.param({"item_ids": IDS, "vectors": np.zeros((8, 0))}, "vectors have 0 numbers", id="empty"),
    ],
)
def test_wrong_arrays(tmp_path: Path, arrays: dict[str, object], said: str) -> None:
    with zipfile.ZipFile(tmp_path / "v.npz", "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, np.array(array))
    with pytest.raises(ValueError, match=said):
        read_log(bare(tmp_path), Mapping(item_vectors=tmp_path / "v.npz"))


def test_files_of_other_forms(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.zeros((8, 2)))
    with pytest.raises(ValueError, match=r"v\.npy is no text, and of no kind that is read"):
        read_log(bare(tmp_path), Mapping(item_vectors=tmp_path / "v.npy"))
    put(tmp_path / "v.npz", "no zip at all")
    with pytest.raises(ValueError, match=r"v\.npz cannot be read .*right is an \.npz with item_ids"):
        read_log(bare(tmp_path), Mapping(item_vectors=tmp_path / "v.npz"))
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        read_log(bare(tmp_path), Mapping(item_vectors=tmp_path / "nowhere.npz"))
