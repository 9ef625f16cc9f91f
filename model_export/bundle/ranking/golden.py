"""Golden ranked lists: candidates of golden histories, and the scores that the ranker must give them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.ranking.bundle_features import ranked_user, tables_of
from model_export.bundle.ranking.ranker import Ranker

__all__ = ["RANKED", "golden_scores", "with_golden_lists"]

RANKED = "ranked"  # the key of a golden case
CANDIDATES = 20  # of each list
AFTER_MS = 3_600_000  # how long after the last behaviour somebody asks


def with_golden_lists(bundle: Bundle, cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return golden cases, those with behaviours with a ranked list.

    Parameters
    ----------
    bundle : with a ranker, all but golden.json written.
    cases : as golden.json has them.
    """
    rng, found = np.random.default_rng(0), []
    for case in cases:
        rows = rng.choice(bundle.manifest.items, min(CANDIDATES, bundle.manifest.items), replace=False)
        asked_ms = max(case.get("event_times_ms") or [0], default=0) + AFTER_MS
        its_list = {"candidates": [bundle.item_ids[row] for row in rows.tolist()], "asked_ms": asked_ms}
        found.append({**case, RANKED: its_list} if case["history"] else case)
    for case, scores in zip([one for one in found if RANKED in one], golden_scores(bundle, found), strict=True):
        case[RANKED]["scores"] = scores.tolist()
    return found


def golden_scores(bundle: Bundle, cases: Sequence[dict[str, Any]]) -> list[np.ndarray]:
    """Score the candidates of the cases that have a ranked list: float32 (N, T) of each."""
    listed = [case for case in cases if RANKED in case]
    if not listed:
        return []
    extractor, tables = Extractor(bundle), tables_of(bundle)
    histories = [case["history"] for case in listed]
    times = [case.get("event_times_ms") or [0] * len(case["history"]) for case in listed]
    types = [case.get("event_types") or [""] * len(case["history"]) for case in listed]
    capsules = extractor.encode(histories, times_ms=times, types=types)
    users = [
        ranked_user(
            *(extractor, tables, bundle.item_embeddings, case["history"], its_times, its_types, {}, its_capsules),
            asked_ms=int(case[RANKED]["asked_ms"]),
            candidates=np.array([bundle.rows[item_id] for item_id in case[RANKED]["candidates"]], dtype=np.int64),
        )
        for case, its_times, its_types, its_capsules in zip(listed, times, types, capsules, strict=True)
    ]
    return Ranker(bundle).score(users)
