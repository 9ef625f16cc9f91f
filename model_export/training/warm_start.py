"""A warm start: a new model begins with the items of the current bundle."""

import logging

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from model_export.bundle.bundle import FEATURES, Bundle
from model_export.data.dataset import Vocabulary, rows_of
from model_export.models.interest_model import InterestModel

__all__ = ["procrustes_rotation", "warm_start"]

log = logging.getLogger(__name__)


@torch.no_grad()
def warm_start(model: InterestModel, vocabulary: Vocabulary, bundle: Bundle) -> int:
    """Start a model's items from a bundle's, and return the number of items taken over.

    A bundle has each item's embedding, pooled of its id's vector and those of its side features. The vectors of the
    features are taken over, and the id's is what then gives the bundle's embedding. The other items begin as they
    would have, turned to where the known ones lie now: what goes together stays together. The extractor's own
    weights are in the graph, and begin anew.
    """
    rows = np.array([bundle.rows.get(item_id, -1) for item_id in vocabulary.item_ids])
    known = torch.from_numpy(np.flatnonzero(rows >= 0))
    dim = bundle.manifest.dim
    if dim != model.config.dim or not len(known):
        why = "knows none of these items" if dim == model.config.dim else f"has d = {dim}, not {model.config.dim}"
        log.info("cold start: bundle %s %s", bundle.version, why)
        return 0
    bundle_rows = rows[known.numpy()]
    baked = torch.from_numpy(bundle.item_embeddings[bundle_rows])
    ids = model.items.id_vectors()
    ids = ids @ procrustes_rotation(ids[known], baked)
    _restore_features(model, vocabulary, bundle)
    ids[known] = _id_vectors(model, known, baked)
    model.items.set_id_vectors(ids)
    if model.config.learned_logits and bundle.manifest.num_interests == model.config.num_interests:
        model.routing_logits[known] = torch.from_numpy(bundle.routing_logits[bundle_rows])
    log.info("warm start: %s of %s items begin as in bundle %s", f"{len(known):,}", f"{len(rows):,}", bundle.version)
    return len(known)


def procrustes_rotation(vectors: Tensor, aims: Tensor) -> Tensor:
    """Return the rotation that brings vectors nearest to others (orthogonal Procrustes).

    Parameters
    ----------
    vectors : (n, d), those to rotate.
    aims : (n, d), where they should come to lie.

    Returns
    -------
    (d, d)
    """
    left, _, right = torch.linalg.svd(vectors.T @ aims)
    turn: Tensor = left @ right
    return turn


def _restore_features(model: InterestModel, vocabulary: Vocabulary, bundle: Bundle) -> None:
    """Copy the vectors of values that the bundle has too, and the map of dense vectors.

    The map is taken over where vectors have as many numbers, as those of the same source have. If they are of another,
    the id vectors make up for it, and training finds another map.
    """
    found, own = bundle.vector_map, model.items.vector_map
    if own is not None and found is not None and found.T.shape == own.weight.shape:
        own.weight.copy_(torch.from_numpy(found.T))
    if model.items.features is None:
        return
    with np.load(bundle.path / FEATURES) as arrays:
        for name, table in vocabulary.feature_slices().items():
            before = rows_of(pd.Series(vocabulary.feature_fields[name]), bundle.manifest.feature_fields.get(name, []))
            known = torch.from_numpy(np.flatnonzero(before))
            if len(known):
                model.items.features.weight[table.start + known] = torch.from_numpy(arrays[name][before[before > 0]])


def _id_vectors(model: InterestModel, rows: Tensor, embeddings: Tensor) -> Tensor:
    """Return the id vectors (n, d) with which items come out with these embeddings.

    Of unit-length items only the direction is known; their mean of m random unit vectors would have a length of about
    1 / sqrt(m).
    """
    if model.items.features is None and model.items.vector_map is None:
        return embeddings
    dense = None if model.item_vectors is None else model.item_vectors[rows]
    total, count = model.items.sum_known(model.item_features[rows], dense)
    parts = 1 + count  # (n, 1)
    length = parts.rsqrt() if model.config.unit_length else 1.0
    return parts * length * embeddings - total
