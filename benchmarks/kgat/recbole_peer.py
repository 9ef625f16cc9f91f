"""RecBole's KGAT on a split of ours, where recbole is installed.

RecBole 1.2.1 asks DGL for the graph before the first epoch: its adjacency, each relation normalised by rows. The same
is made by SciPy here, so DGL need not be there; and names of NumPy 1 that it asks for are given. It needs a pandas
below 3.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_matrix, csr_matrix

from benchmarks.kgat.graph_data import PARTS, GraphData

__all__ = ["recbole_epochs"]

NAME = "split"
NUMPY_1 = {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}


def recbole_epochs(known: GraphData, seed: int) -> Iterator[np.ndarray]:
    """Train RecBole's KGAT with its own settings, and yield all scores after each epoch.

    Yields
    ------
    float (users, items)
    """
    for old, new in NUMPY_1.items():
        if not hasattr(np, old):
            setattr(np, old, new)
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.trainer.trainer import KGATTrainer
    from recbole.utils import init_seed

    with tempfile.TemporaryDirectory() as folder, chdir(folder):  # it writes logs where it stands
        _write_split(known, Path(folder) / NAME)
        config = Config(model="KGAT", dataset=NAME, config_dict=_settings(folder, seed))
        init_seed(seed, True)
        dataset = create_dataset(config)
        batches, _, _ = data_preparation(config, dataset)
        model = _model(config, batches._dataset)
        trainer = KGATTrainer(config, model)
        users = torch.from_numpy(dataset.token2id("user_id", np.array(known.user_ids)))
        items = torch.from_numpy(dataset.token2id("item_id", np.array(known.item_ids)))
        epoch = 0
        while True:
            model.train()
            trainer._train_epoch(batches, epoch)
            model.eval()
            with torch.no_grad():
                of_users, of_entities = model.forward()
            yield (of_users[users] @ of_entities[items].T).numpy()
            epoch += 1


def _settings(folder: str, seed: int) -> dict[str, Any]:
    """Return what RecBole has to know; the rest are its defaults."""
    return {
        "data_path": folder,
        "benchmark_filename": list(PARTS),
        "load_col": {
            "inter": ["user_id", "item_id"],
            "kg": ["head_id", "relation_id", "tail_id"],
            "link": ["item_id", "entity_id"],
        },
        "seed": seed,
        "use_gpu": False,
        "state": "ERROR",
        "show_progress": False,
    }


def _write_split(known: GraphData, folder: Path) -> None:
    """Write the three parts and the knowledge graph as RecBole reads them."""
    folder.mkdir()
    for part in PARTS:
        lines = [f"{known.user_ids[user]}\t{known.item_ids[item]}" for user, item in known.pairs[part]]
        text = "\n".join(["user_id:token\titem_id:token", *lines])
        (folder / f"{NAME}.{part}.inter").write_text(text + "\n", encoding="utf-8")
    for file in known.files:
        shutil.copy(file, folder / f"{NAME}{file.suffix}")


def _model(config: Any, dataset: Any) -> Any:
    """Return RecBole's model, without its calls of DGL."""
    from recbole.model.knowledge_aware_recommender import KGAT

    class WithoutDgl(KGAT):  # type: ignore[misc]
        def init_graph(self) -> torch.Tensor:
            heads, kinds, tails = (part.numpy() for part in (self.all_hs, self.all_rs, self.all_ts))
            total = csr_matrix(tuple(self.matrix_size))
            for kind in range(1, self.n_relations):
                some = kinds == kind
                shares = 1 / np.bincount(heads[some], minlength=1)[heads[some]]
                total += coo_matrix((shares, (heads[some], tails[some])), shape=total.shape)
            found = total.tocoo()
            places = torch.from_numpy(np.stack([found.row, found.col]).astype(np.int64))
            return torch.sparse_coo_tensor(places, torch.from_numpy(found.data).float(), total.shape)

    return WithoutDgl(config, _NoDgl(dataset))


class _NoDgl:
    """A data set of RecBole's that gives its graph to SciPy alone."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def ckg_graph(self, form: str, value_field: str) -> Any:
        """Return the graph, or None where DGL is asked."""
        return None if form == "dgl" else self._dataset.ckg_graph(form=form, value_field=value_field)
