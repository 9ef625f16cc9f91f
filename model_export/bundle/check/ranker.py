"""Checks of a bundle's second stage: its tables, its graph, and the golden ranked lists."""

import json
from itertools import product

import numpy as np

from model_export.bundle.bundle import GOLDEN, MANIFEST, RANKER, RANKER_ITEMS, TREND, Bundle, BundleError
from model_export.bundle.check.numbers import check_array, check_file_end
from model_export.bundle.errors import bundle_errors
from model_export.bundle.ranking.feature_names import FEATURES
from model_export.bundle.ranking.ranker import OUTPUT, RankedUser, Ranker
from model_export.bundle.ranking.ranker_settings import RankerSettings

__all__ = ["check_ranker"]

TOLERANCE = 1e-3  # of golden scores, relative to the largest, which another machine may have rounded otherwise
TYPES = {"mask": "tensor(bool)", "gaps": "tensor(int64)", "types": "tensor(int64)", "profile": "tensor(int64)"}
FLOAT = "tensor(float)"


def check_ranker(bundle: Bundle) -> None:
    """Check the ranker, where the bundle has one.

    Raises
    ------
    BundleError
        If ranker_items.npy, trend.npy, ranker.onnx or a golden ranked list is at fault.
    """
    if bundle.manifest.ranker:
        settings = RankerSettings(**bundle.manifest.ranker)
        _check_tables(bundle, settings)
        _check_graph(bundle, settings)
        _check_golden(bundle)


def _check_tables(bundle: Bundle, settings: RankerSettings) -> None:
    """Check the item table and the trends."""
    items = bundle.manifest.items
    with bundle_errors(bundle.path / RANKER_ITEMS):
        check_array(bundle.path / RANKER_ITEMS, bundle.ranker_items, (items, settings.dim))
        check_file_end(bundle.path / RANKER_ITEMS)
    with bundle_errors(bundle.path / TREND):
        trend = bundle.trend
        if trend.dtype != np.float32 or trend.shape != (items,) or not np.isfinite(trend).all():
            raise BundleError(
                f"{bundle.path / TREND} is {trend.dtype} {trend.shape}; right is finite float32 ({items},)"
            )
        check_file_end(bundle.path / TREND)


def _check_graph(bundle: Bundle, settings: RankerSettings) -> None:
    """Check the graph's names and types, and that it takes any number of users and candidates."""
    file, ranker = bundle.path / RANKER, Ranker(bundle)
    outputs = [node.name for node in ranker.session.get_outputs()]
    if set(ranker.reads) != set(settings.reads) or OUTPUT not in outputs:
        raise BundleError(
            f"{file} has inputs {sorted(ranker.reads)} and outputs {outputs}; {MANIFEST} says that it reads "
            f"{sorted(settings.reads)}, and right is the output {OUTPUT}"
        )
    for node in ranker.session.get_inputs():
        if node.type != TYPES.get(node.name, FLOAT):
            raise BundleError(f"{file}: {node.name} is a {node.type}; right is {TYPES.get(node.name, FLOAT)}")
    for users, number, length in product((1, 3), (1, 7), ranker.lengths):
        right = users, number, len(settings.tasks)
        with bundle_errors(file, "run"):
            inputs = ranker.inputs([_random_user(bundle, number, length)] * users, length)
            [found] = ranker.session.run([OUTPUT], inputs)
        if found.shape != right:
            raise BundleError(f"{file} gives {OUTPUT} of shape {found.shape}; right is {right}")
        if not np.isfinite(found).all():
            raise BundleError(f"{file} gives NaN or infinite scores for a history of {length} behaviours")


def _random_user(bundle: Bundle, number: int, length: int) -> RankedUser:
    """Return somebody with so many candidates and behaviours."""
    rng, manifest = np.random.default_rng(0), bundle.manifest
    return RankedUser(
        history_rows=rng.integers(manifest.items, size=length),
        times_ms=np.sort(rng.integers(10**12, size=length)),
        types=[*manifest.event_types[-1:]] * length,  # the last row: the graph's table must have it
        profile={},
        capsules=rng.normal(size=(manifest.num_interests, manifest.dim)).astype(np.float32),
        importance=np.full(manifest.num_interests, 1 / manifest.num_interests, dtype=np.float32),
        asked_ms=10**12,
        candidates=rng.integers(manifest.items, size=number),
        features=rng.normal(size=(number, len(FEATURES))).astype(np.float32),
    )


def _check_golden(bundle: Bundle) -> None:
    """Check that the golden ranked lists come out."""
    from model_export.bundle.ranking.golden import RANKED, golden_scores  # compiles; not for who has no ranker

    file = bundle.path / GOLDEN
    with bundle_errors(file):
        cases = json.loads(file.read_text(encoding="utf-8"))
        listed = [case for case in cases if RANKED in case]
        golden = [np.array(case[RANKED]["scores"], dtype=np.float32) for case in listed]
        found = golden_scores(bundle, cases)
    if not listed:
        raise BundleError(f"{file} has no ranked list; a bundle with a ranker has one at least, under {RANKED!r}")
    for case, its, scores in zip(listed, golden, found, strict=True):
        atol = TOLERANCE * max(1.0, float(np.abs(scores).max(initial=0)))
        if its.shape != scores.shape or not np.allclose(its, scores, rtol=0, atol=atol):
            raise BundleError(
                f"{bundle.path}: a golden list of {len(case[RANKED]['candidates'])} candidates gets other scores than "
                f"{GOLDEN} says; {RANKER}, {RANKER_ITEMS}, {TREND} and the golden file do not belong together"
            )
