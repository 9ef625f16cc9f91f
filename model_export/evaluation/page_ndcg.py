"""NDCG@10 of the page that a bundle serves: ranked where it has a ranker, in matching's order otherwise. No torch."""

from collections.abc import Sequence

import numpy as np

from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Capsules, Extractor
from model_export.bundle.ranking.bundle_features import ranked_user, tables_of
from model_export.bundle.ranking.ranker import Ranker, joined
from model_export.evaluation.rankers import top_columns

__all__ = ["PAGE", "PageOrder"]

PAGE = 10
RANKED = 200  # candidates at most that are ordered anew, whatever the manifest says: enough for a page


class PageOrder:
    """The order of a bundle's candidates as it serves them.

    Parameters
    ----------
    bundle : with a ranker or without.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.extractor = bundle, Extractor(bundle)
        self.ranker = Ranker(bundle) if bundle.manifest.ranker else None
        self.tables = tables_of(bundle) if self.ranker is not None else None

    def top(
        self,
        scores: np.ndarray,
        history: Sequence[str],
        times_ms: Sequence[int],
        types: Sequence[str],
        profile: dict[str, str],
        capsules: Capsules,
        asked_ms: int,
    ) -> np.ndarray:
        """Return the rows of the page, the best first: int64 (PAGE,), -1 for a missing candidate.

        Parameters
        ----------
        scores : float32 (items,), matching's; minus infinity where there is none.
        history, times_ms, types, profile, capsules, asked_ms : see `ranked_user`.
        """
        if self.ranker is None or self.tables is None:
            [page] = top_columns(scores[None], PAGE)
            return np.asarray(page)
        [brought] = top_columns(scores[None], min(RANKED, self.ranker.settings.candidates))
        brought = brought[brought >= 0]
        about = (history, times_ms, types, profile, capsules, asked_ms, brought)
        user = ranked_user(self.extractor, self.tables, self.bundle.item_embeddings, *about)
        [found] = self.ranker.score([user])
        order = np.argsort(-joined(found, self.ranker.settings.weights({})), kind="stable")
        page = np.full(PAGE, -1)
        page[: len(order[:PAGE])] = brought[order[:PAGE]]
        return page
