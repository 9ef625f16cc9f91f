"""Checks of a bundle's ONNX graph: its inputs and outputs, and the capsules it gives."""

import json
from itertools import product
from typing import Any

import numpy as np

from model_export.bundle.bundle import EXTRACTOR, GOLDEN, ITEM_EMBEDDINGS, Bundle, BundleError
from model_export.bundle.check.numbers import row_lengths
from model_export.bundle.errors import bundle_errors
from model_export.bundle.extractor import OUTPUTS, Extractor
from model_export.bundle.manifest_schema import is_texts

__all__ = ["check_finite", "check_golden", "check_graph"]

TOLERANCE = 1e-4  # golden capsules come from another machine, whose arithmetic may round otherwise
HISTORIES = 32  # random ones
MOST_SCORE = 1e36  # float32 ends at 3.4e38; as much again is left for what is added up on the way
TYPES = {
    "behaviours": "tensor(float)",
    "mask": "tensor(bool)",
    "routing_logits": "tensor(float)",
    "profile": "tensor(int64)",
    "gaps": "tensor(int64)",
    "types": "tensor(int64)",
    "asked_gap": "tensor(int64)",
    "capsules": "tensor(float)",
    "interest_mask": "tensor(bool)",
    "routing_weights": "tensor(float)",
}


def check_graph(bundle: Bundle) -> None:
    """Check that the graph has the contract's inputs and outputs in the manifest's dimensions.

    Raises
    ------
    BundleError
        If a name, a type or a dimension differs, or the graph cannot be loaded or run.
    """
    session, manifest, file = Extractor(bundle).session, bundle.manifest, bundle.path / EXTRACTOR
    inputs, outputs = ({node.name: node for node in nodes} for nodes in (session.get_inputs(), session.get_outputs()))
    listed = {"profile": manifest.profile_fields, "types": manifest.event_types}
    expected = {"behaviours", "mask", "routing_logits", *(name for name, values in listed.items() if values)}
    if set(inputs) - {"gaps", "asked_gap"} != expected or not set(outputs) >= set(OUTPUTS):
        raise BundleError(
            f"{file} has inputs {sorted(inputs)} and outputs {sorted(outputs)}; "
            f"right are {sorted(expected)}, also gaps and asked_gap if it reads them, and {sorted(OUTPUTS)}"
        )
    for name, node in (inputs | {name: outputs[name] for name in OUTPUTS}).items():
        if node.type != TYPES[name]:
            raise BundleError(f"{file}: {name} is a {node.type}; right is {TYPES[name]}")
    _check_dimensions(bundle, inputs)
    _check_shapes(bundle)


def _check_dimensions(bundle: Bundle, inputs: dict[str, Any]) -> None:
    """Check that the dimensions fixed in the graph are the manifest's."""
    with bundle_errors(bundle.path / EXTRACTOR, "run"):
        found = inputs["behaviours"].shape[2], inputs["routing_logits"].shape[1]
    right = bundle.manifest.dim, bundle.manifest.num_interests
    if any(isinstance(fixed, int) and fixed != listed for fixed, listed in zip(found, right, strict=True)):
        raise BundleError(
            f"{bundle.path / EXTRACTOR} is made for dim {found[0]} and num_interests {found[1]}; "
            f"the manifest says {right[0]} and {right[1]}"
        )


def _check_shapes(bundle: Bundle) -> None:
    """Check that the graph takes any number of users and every length of padding."""
    manifest, extractor = bundle.manifest, Extractor(bundle)
    for users, length in product((1, 3), extractor.lengths):
        mask = np.ones((users, length), dtype=bool)
        profile = np.zeros((users, len(manifest.profile_fields)), dtype=np.int64)
        with bundle_errors(bundle.path / EXTRACTOR, "run"):
            rows = gaps = np.zeros(mask.shape, dtype=np.int64)
            types = np.full(mask.shape, len(manifest.event_types))  # the last row: the graph's table must have it
            found = extractor.run(rows, mask, profile, gaps, types, gaps[:, 0])
        interests = (users, manifest.num_interests)
        right = ((*interests, manifest.dim), interests, (*interests, length))
        for name, array, shape in zip(OUTPUTS, found, right, strict=True):
            if array.shape != shape:
                raise BundleError(f"{bundle.path / EXTRACTOR} gives {name} of shape {array.shape}; right is {shape}")


def check_golden(bundle: Bundle) -> None:
    """Check that the golden histories give the golden capsules.

    Raises
    ------
    BundleError
        If the file cannot be read, or capsules differ by more than rounding explains.
    """
    file = bundle.path / GOLDEN
    with bundle_errors(file):
        cases = json.loads(file.read_text(encoding="utf-8"))
        if not all(is_texts(case["history"]) for case in cases) or not any(case["history"] for case in cases):
            raise BundleError(f"{file} is no list of histories with their capsules, at least one with behaviours")
    with bundle_errors(bundle.path / EXTRACTOR, "run"):
        histories, times = [case["history"] for case in cases], [_case_times(case) for case in cases]
        types = [case.get("event_types") or [""] * len(case["history"]) for case in cases]
        served = Extractor(bundle).encode(histories, times_ms=times, types=types)
    for case, capsules in zip(cases, served, strict=True):
        with bundle_errors(file):
            golden, found = np.array(case["capsules"], dtype=np.float32), capsules.vectors
        if golden.size != found.size or not np.allclose(golden.reshape(found.shape), found, atol=TOLERANCE):
            raise BundleError(
                f"{bundle.path}: a golden history of {len(case['history'])} behaviours gives other capsules "
                f"than {GOLDEN} says; the graph, the item table and the golden file do not belong together"
            )


def _case_times(case: dict[str, Any]) -> list[int]:
    """Return the event times of a golden history; zeros for older bundles, which have none."""
    return case.get("event_times_ms") or [0] * len(case["history"])


def check_finite(bundle: Bundle) -> None:
    """Check that histories of all lengths give finite capsules, and these finite scores.

    They have none to more than L behaviours, with random items, and two of the items with the longest rows.

    Raises
    ------
    BundleError
        If a history gives NaN or infinite numbers, or capsules so long that scores overflow.
    """
    manifest, rng = bundle.manifest, np.random.default_rng(0)
    lengths = np.linspace(0, manifest.history_length * 1.2, HISTORIES).astype(int)
    rows = [rng.integers(manifest.items, size=length) for length in lengths]
    item_lengths = row_lengths(bundle.item_embeddings)
    rows += [
        _longest(all_lengths, manifest.history_length)
        for all_lengths in (item_lengths, row_lengths(bundle.routing_logits))
    ]
    lengths, histories = np.array(list(map(len, rows))), [[bundle.item_ids[row] for row in some] for some in rows]
    values = {name: ["", *values] for name, values in manifest.profile_fields.items()}
    profiles = [{name: some[rng.integers(len(some))] for name, some in values.items()} for _ in lengths]
    times = [np.cumsum(rng.integers(10**10, size=length)).tolist() for length in lengths]  # up to months apart
    names = ["", *manifest.event_types]
    types = [[names[row] for row in rng.integers(len(names), size=length)] for length in lengths]
    with bundle_errors(bundle.path / EXTRACTOR, "run"):
        extractor = Extractor(bundle)
        asked = rng.integers(10**12, size=len(times)).tolist()
        served = extractor.encode(histories, profiles, times, types=types, asked_ms=asked)
        routed = extractor.routing_weights(histories, profiles, times, types)
    for history, capsules, weights in zip(histories, served, routed, strict=True):
        if not (np.isfinite(capsules.vectors).all() and np.isfinite(weights).all()):
            raise BundleError(
                f"{bundle.path / EXTRACTOR}: a history of {len(history)} behaviours gives NaN or infinite numbers"
            )
    capsule = max(float(row_lengths(one.vectors).max(initial=0)) for one in served)
    _check_scores(bundle, capsule, float(item_lengths.max()))


def _longest(lengths: np.ndarray, count: int) -> np.ndarray:
    """Return the rows of the largest lengths, the largest last, int (count,)."""
    most = min(count, len(lengths))
    rows = np.argpartition(lengths, len(lengths) - most)[-most:]
    return np.asarray(rows[np.argsort(lengths[rows])])


def _check_scores(bundle: Bundle, capsule: float, item: float) -> None:
    """Check that the longest capsule and the longest item have a finite score.

    Parameters
    ----------
    capsule : length of the longest one that was met; those of MIND are shorter than 1.
    item : length of the longest row of the item table.
    """
    if not capsule * item <= MOST_SCORE:
        raise BundleError(
            f"{bundle.path / EXTRACTOR} gives capsules {capsule:.3g} long, and an item of {ITEM_EMBEDDINGS} is "
            f"{item:.3g} long: right is a product of at most {MOST_SCORE:.0e}, so that no score overflows"
        )
