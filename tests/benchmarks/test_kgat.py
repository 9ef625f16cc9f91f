"""The benchmark of KGAT: the split of a data set with a knowledge graph, and how a ranking is judged."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.kgat.graph_data import read_graph_data

INTER = "user_id:token\titem_id:token\trating:float\n" + "".join(
    f"u{user}\ti{item}\t5\n" for user in range(3) for item in range(user, user + 10)
)
KG = "head_id:token\trelation_id:token\ttail_id:token\n"
KG += "m.a\tfilm.genre\tm.g\nm.b\tfilm.genre\tm.g\nm.p\tactor.film\tm.a\n"
LINK = "item_id:token\tentity_id:token\ni0\tm.a\ni3\tm.b\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for ending, text in (("inter", INTER), ("kg", KG), ("link", LINK)):
        (tmp_path / f"tiny.{ending}").write_text(text)
    return tmp_path


def test_every_user_is_split_and_facts_know_the_items(folder: Path) -> None:
    known = read_graph_data(folder, 7)
    assert (known.users, known.items, known.entities) == (3, 12, 14)  # and m.g and m.p
    assert {part: len(pairs) for part, pairs in known.pairs.items()} == {"train": 24, "valid": 3, "test": 3}
    assert sorted(known.pairs["test"][:, 0]) == [0, 1, 2]
    together = np.concatenate([*known.pairs.values()])
    assert {(user, known.item_ids[item]) for user, item in together.tolist()} == {
        (user, f"i{item}") for user in range(3) for item in range(user, user + 10)
    }
    first, fourth = known.item_ids.index("i0"), known.item_ids.index("i3")
    genre, person = 12, 13
    assert known.facts.tolist() == [[first, 1, genre], [fourth, 1, genre], [person, 0, first]]
    again = read_graph_data(folder, 7)
    assert all((known.pairs[part] == again.pairs[part]).all() for part in known.pairs)


def test_the_graph_has_the_pairs_to_learn_from_alone(folder: Path) -> None:
    known = read_graph_data(folder, 7)
    graph = known.graph()
    assert len(graph.heads) == 2 * (24 + 3)
    assert not graph.has_pairs(*known.pairs["test"].T).any()
    assert len(known.graph(with_facts=False).heads) == 2 * 24


def test_a_folder_without_a_graph(folder: Path) -> None:
    (folder / "tiny.kg").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no \.kg; right is a folder with NAME\.inter"):
        read_graph_data(folder, 7)
