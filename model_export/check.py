"""Whether a bundle may be served: its files are whole, its dimensions agree, its golden capsules come out."""

import json

import numpy as np

from model_export.bundle import (
    EXTRACTOR,
    GOLDEN,
    ITEM_EMBEDDINGS,
    ITEM_IDS,
    ROUTING_LOGITS,
    Bundle,
    BundleError,
)
from model_export.extractor import OUTPUTS, Extractor

TOLERANCE = 1e-4  # golden capsules come from another machine, whose arithmetic may round otherwise


def check(bundle: Bundle) -> None:
    """Raise BundleError, naming the file and the fault, unless the bundle may be served."""
    bundle.verify()
    check_shapes(bundle)
    check_graph(bundle)
    check_golden(bundle)


def check_shapes(bundle: Bundle) -> None:
    """Every array has the dimensions in the manifest and only finite numbers; every item is there once."""
    manifest = bundle.manifest
    if len(bundle.item_ids) != manifest.items or len(bundle.rows) != manifest.items:
        raise BundleError(
            f"{bundle.path / ITEM_IDS} has {len(bundle.item_ids)} items, {len(bundle.rows)} of them distinct; "
            f"the manifest says {manifest.items}"
        )
    for name, array, columns in (
        (ITEM_EMBEDDINGS, bundle.item_embeddings, manifest.dim),
        (ROUTING_LOGITS, bundle.routing_logits, manifest.num_interests),
    ):
        if array.shape != (manifest.items, columns):
            raise BundleError(f"{bundle.path / name} has shape {array.shape}; right is ({manifest.items}, {columns})")
        if not np.isfinite(array).all():
            raise BundleError(f"{bundle.path / name} holds NaN or infinite numbers")


def check_graph(bundle: Bundle) -> None:
    """The ONNX graph has the inputs and outputs of the contract, and the manifest's dimensions."""
    session, manifest = Extractor(bundle).session, bundle.manifest
    inputs = {node.name: node.shape for node in session.get_inputs()}
    outputs = {node.name for node in session.get_outputs()}
    expected = {"behaviours", "mask", "routing_logits"} | ({"profile"} if manifest.profile_fields else set())
    if set(inputs) != expected or not outputs >= set(OUTPUTS):
        raise BundleError(
            f"{bundle.path / EXTRACTOR} has inputs {sorted(inputs)} and outputs {sorted(outputs)}; "
            f"right are {sorted(expected)} and {sorted(OUTPUTS)}"
        )
    dim, num_interests = inputs["behaviours"][2], inputs["routing_logits"][1]
    if (dim, num_interests) != (manifest.dim, manifest.num_interests):
        raise BundleError(
            f"{bundle.path / EXTRACTOR} is made for dim {dim} and num_interests {num_interests}; "
            f"the manifest says {manifest.dim} and {manifest.num_interests}"
        )


def check_golden(bundle: Bundle) -> None:
    """The golden histories give the golden capsules."""
    cases = json.loads((bundle.path / GOLDEN).read_text(encoding="utf-8"))
    served = Extractor(bundle).encode([case["history"] for case in cases])
    for case, capsules in zip(cases, served, strict=True):
        golden, found = np.array(case["capsules"], dtype=np.float32), capsules.vectors
        if golden.size != found.size or not np.allclose(golden.reshape(found.shape), found, atol=TOLERANCE):
            raise BundleError(
                f"{bundle.path}: a golden history of {len(case['history'])} behaviours gives other capsules "
                f"than {GOLDEN} says; the graph, the item table and the golden file do not belong together"
            )
