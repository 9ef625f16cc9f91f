"""The full check of a bundle: its files are whole, its dimensions agree, its golden capsules come out."""

from collections.abc import Callable

from model_export.bundle.bundle import Bundle
from model_export.bundle.check.graph import check_finite, check_golden, check_graph
from model_export.bundle.check.index import check_index
from model_export.bundle.check.items import check_catalogue
from model_export.bundle.check.ranker import check_ranker
from model_export.bundle.check.tables import check_features, check_items, check_neighbours

__all__ = ["CHECKS", "check"]

# What is checked, in this order, and how.
CHECKS: tuple[tuple[str, Callable[[Bundle], None]], ...] = (
    ("files: all are there, with the sizes and SHA-256 that the manifest lists", Bundle.verify),
    ("items: every item once; embeddings and routing logits are finite float32 of the right shape", check_items),
    ("neighbours: rows of the item table, with finite similarities of at least 0", check_neighbours),
    ("features: a finite vector for every value of every side feature; price edges ascend", check_features),
    ("catalogue: title, category, price and popularity of every item; its attributes both ways", check_catalogue),
    ("index: the manifest and the file agree; it was built on these items, and finds them", check_index),
    ("graph: the inputs and outputs of the contract, by name, type and dimensions", check_graph),
    ("golden: the golden histories give the golden capsules", check_golden),
    ("ranker: its tables and graph; the golden candidates get the golden scores", check_ranker),
    ("random: histories of all lengths give finite capsules", check_finite),
)


def check(bundle: Bundle, passed: Callable[[str], object] = lambda name: None) -> None:
    """Raise BundleError, naming the file and the fault, unless the bundle may be served.

    Parameters
    ----------
    passed : told of each check that the bundle passed.

    Raises
    ------
    BundleError
        At the first check that fails.
    """
    for name, step in CHECKS:
        step(bundle)
        passed(name)
