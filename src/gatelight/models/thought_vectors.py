"""What a memory keeps of a whole sequence, as one vector; knows ids and lengths, no text and no head.

Legend: B sequences, N packed rows, F features (directions × H). Sequences run in batches of like length and
come back in their order; no row is padding, and nothing that is computed for a sequence depends on others.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatelight.errors import DataError
from gatelight.models.batches import BATCH, Sequences, like_lengths
from gatelight.models.classifier import Classifier
from gatelight.models.language_model import LanguageModel
from gatelight.models.pooling import pooled
from gatelight.models.predicting import evaluating
from gatelight.models.subwords import Subwords
from gatelight.nn import Packing, pack
from gatelight.nn.equations import EQUATIONS

SUMMARIES = ("last", "max", "mean", "cell")

Network = Classifier | LanguageModel


def features(model: Network) -> int:
    """F, the width of a thought vector."""
    return model.config.features if isinstance(model, Classifier) else model.config.hidden


def check_summary(model: Network, pool: str) -> None:
    """Raise DataError for a summary that there is not, or not of this model's cell."""
    if pool not in SUMMARIES:
        raise DataError(f"pool is {pool!r}; expected one of {', '.join(SUMMARIES)}")
    if pool == "cell" and not EQUATIONS[model.config.cell].has_cell_state:
        raise DataError(f"the cell {model.config.cell!r} has no cell state: expected pool last, max or mean")


def thought_vectors(
    model: Network,
    sequences: Sequences,
    pool: str = "last",
    subwords: Subwords | None = None,
    batch_size: int = BATCH,
) -> NDArray[np.float32]:
    """Return what the last layer keeps of each sequence, float32 [B, F]; zeros of an empty one.

    "last": the hidden state after reading, forward half after the last step and backward half after the
    first; "cell": the cell state there; "max", "mean": over the steps. `subwords` as in `Classifier.forward`.
    Raises DataError for a pool that there is not, and for ids outside of the vocabulary.
    """
    check_summary(model, pool)
    result = np.zeros((len(sequences), features(model)), np.float32)
    with evaluating(model):
        for batch in like_lengths(sequences.lengths, batch_size):
            ids, lengths = sequences.take(batch)
            if len(ids):
                packing = pack(lengths)
                result[batch[packing.order]] = _summaries(model, ids, packing, pool, subwords).numpy()
    return result


def _summaries(
    model: Network, ids: NDArray[np.int32], packing: Packing, pool: str, subwords: Subwords | None
) -> Tensor:
    """Flat ids [N] → [B, F] in packed order."""
    packed = packing.gathered(ids)
    if isinstance(model, LanguageModel):
        hidden, states = model.hidden(packed, packing)
        after, directions = states[-1], 1
    else:
        hidden, number = model.embedding(packed, None, subwords)
        token: Tensor | None = torch.from_numpy(number)
        for layer in model.memory:
            hidden, state = layer.packed(hidden, packing, token)  # type: ignore[operator]
            token = None
        after, directions = state, 2 if model.config.bidirectional else 1
    if pool == "cell":
        return after[1].transpose(0, 1).reshape(packing.sequences, -1)
    return pooled(pool, hidden, packing, {}, directions)
