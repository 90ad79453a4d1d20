"""What a network keeps of a whole sequence, as one vector; knows ids and lengths, no text and no head.

Sequences run in batches of like length and come back in their order; no row is padding, and nothing that is
computed for a sequence depends on others. Legend: B sequences, F features (directions × H).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.models.batches import BATCH, Sequences, like_lengths
from gatelight.models.config import check_choice
from gatelight.models.network import RecurrentNetwork, evaluating
from gatelight.models.pooling import pooled
from gatelight.models.subwords import Subwords
from gatelight.nn.equations import EQUATIONS

SUMMARIES = ("last", "max", "mean", "cell")


def check_summary(model: RecurrentNetwork, pool: str) -> None:
    """Raise DataError for a summary that there is not, or not of this model's cell."""
    check_choice("pool", pool, SUMMARIES)
    if pool == "cell" and not EQUATIONS[model.config.cell].has_cell_state:
        raise DataError(f"the cell {model.config.cell!r} has no cell state: expected pool last, max or mean")


def thought_vectors(
    model: RecurrentNetwork,
    sequences: Sequences,
    pool: str = "last",
    subwords: Subwords | None = None,
    batch_size: int = BATCH,
) -> NDArray[np.float32]:
    """Return what the last layer keeps of each sequence, float32 [B, F]; zeros of an empty one.

    "last": the hidden state after reading, forward half after the last step and backward half after the
    first; "cell": the cell state there; "max", "mean": over the steps. `subwords` as in `hidden`. Raises
    DataError for a pool that there is not, and for ids outside of the vocabulary.
    """
    check_summary(model, pool)
    config = model.config
    result = np.zeros((len(sequences), config.features), np.float32)
    with evaluating(model):
        for batch in like_lengths(sequences.lengths, batch_size):
            packed, packing = sequences.packed(batch)
            if not len(packed):
                continue
            hidden, state = model.hidden(packed, packing, subwords=subwords)
            if pool == "cell":
                found = state[-1][1].transpose(0, 1).reshape(packing.sequences, -1)
            else:
                found = pooled(pool, hidden, packing, {}, config.directions)
            result[batch[packing.order]] = found.numpy()
    return result
