"""A classifier whose weights do not change, as arrays ready to predict; knows ids and lengths, and no torch.

Sequences run in batches of like length and come back in their order. Nothing that is computed for a
sequence depends on the others, so its probability has the same bits alone and in any batch; they are those
of `Classifier`, which computes by the same functions.
Legend: B sequences, N packed rows, V vocabulary, F = directions × H, O outputs.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.models import batches
from gatelight.models.batches import Sequences
from gatelight.models.config import ClassifierConfig, layer_shapes
from gatelight.models.heads import HEADS, Rows
from gatelight.models.subwords import Ids, Subwords, check_ids, distinct_ids, lists_of_rows
from gatelight.nn import threads
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.gemm import panels, rows_times
from gatelight.nn.kernels.rows import copied_rows
from gatelight.nn.packing import Packing
from gatelight.nn.recurrent import RecurrentLayers, layer_weights

TABLE_BYTES = 1 << 29  # input products of all tokens are not kept where they could take more

Floats = NDArray[Any]
Probabilities = NDArray[np.float32]


class FixedNetwork:
    """Weights and, per token met so far, its ready input product.

    The table [V, directions × G] of these is filled only for tokens that were asked for. May be used by
    several threads.
    """

    def __init__(
        self, config: ClassifierConfig, weights: Mapping[str, Floats], *, table_bytes: int = TABLE_BYTES
    ) -> None:
        """`weights` as `config.weight_shapes` names them, of one dtype, float32 or float64.

        They are shared where they can be, and never written to.
        """
        # Compiled code tells arrays apart by whether they may be written to; another process's may not.
        weights = {
            name: np.require(np.asarray(w), requirements=("C", "A", "W")) for name, w in weights.items()
        }
        self.config, self.weights, self.table_bytes = config, weights, table_bytes
        self._embedding = weights["embedding.weight"]
        named = [
            {name: weights[f"memory.{number}.{name}"] for name in shapes}
            for number, shapes in enumerate(layer_shapes(config))
        ]
        self.layers = RecurrentLayers(config.cell, [layer_weights(config.cell, one) for one in named])
        self._head = {
            name.removeprefix("head."): weight for name, weight in weights.items() if name.startswith("head.")
        }
        self._dense = None if HEADS[config.pool].gives_logits else panels(self._head["weight"].T)
        size = len(self._embedding) - config.buckets
        shape = size, self.layers.columns
        # Ids made of subwords mean something else in every call.
        keeps = math.prod(shape) * self._embedding.itemsize <= table_bytes and not config.buckets
        self._table = buffers.sparse(shape, self._embedding.dtype) if keeps else None
        self._filled = np.zeros(size if keeps else 0, np.bool_)
        self._lock = threading.Lock()
        threads.threads()  # a wrong number is told now, not when a text is long enough for two

    def __getstate__(self) -> dict[str, Any]:
        # Neither a lock nor a table that is quickly filled again is copied or pickled.
        return {"config": self.config, "weights": self.weights, "table_bytes": self.table_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        FixedNetwork.__init__(self, **state)

    def probabilities(
        self,
        ids: Ids,
        lengths: NDArray[np.int64],
        subwords: Subwords | None = None,
        batch_size: int = batches.BATCH,
    ) -> Probabilities:
        """ids int32 [sum of lengths], sequence after sequence, lengths int64 [B] → float32 [B, O].

        O is 1 for two classes: the probability of the second one. Rows of several classes add up to 1,
        unless multilabel. `subwords` as in `Classifier.hidden`. Raises DataError for ids or lengths that the
        model cannot take.
        """
        sequences, config = Sequences.of(ids, lengths), self.config
        result = np.empty((len(sequences), config.outputs), np.float32)
        most = batches.rows_at_once(self.layers.row_bytes)
        for some in batches.like_lengths(sequences.lengths, batch_size, most):
            packed, packing = sequences.packed(some)
            rows = Rows(self.hidden(packed, packing, subwords), packing, self._head, config.directions)
            logits, _ = HEADS[config.pool].forward(rows)
            if self._dense is not None:
                logits = rows_times(logits, self._dense, self._head["bias"])
            result[some[packing.order]] = probabilities_of(logits, config)
        return result

    def hidden(self, packed: Ids, packing: Packing, subwords: Subwords | None = None) -> Floats:
        """Packed ids int32 [N] → the last layer's hidden states [N, F]."""
        return self.layers.forward(*self._input_products(packed, subwords), packing, table=True).hidden

    def _input_products(self, packed: Ids, subwords: Subwords | None) -> tuple[Floats, Ids]:
        """The first layer's input products, and the row of them for each packed id."""
        buckets = self.config.buckets
        size = len(self._embedding) - buckets
        stop = subwords.stop if buckets and subwords is not None else size
        products = self.layers.input_table
        if self._table is not None:
            check_ids(packed, stop)
            if not self._filled[packed].all():
                with self._lock:
                    new, _ = distinct_ids(packed[~self._filled[packed]], stop)
                    self._table[new] = products(copied_rows(self._embedding, new))
                    self._filled[new] = True  # last: an interrupt leaves them to be computed
            return self._table, packed
        distinct, number = distinct_ids(packed, stop)
        if not buckets:
            return products(copied_rows(self._embedding, distinct)), number
        known, parts, lists = lists_of_rows(distinct, subwords, size, buckets)
        rows = copied_rows(self._embedding, np.concatenate([known, parts]))
        return products(lists.means(rows)), number


def probabilities_of(logits: Floats, config: ClassifierConfig) -> Probabilities:
    """logits [B, O] → probabilities float32 [B, O], computed in float64: softmax, or of each a sigmoid."""
    values = logits.astype(np.float64)
    if config.outputs > 1 and not config.multilabel:
        found = np.exp(values - values.max(axis=1, keepdims=True))
        found /= found.sum(axis=1, keepdims=True)
    else:
        small = np.exp(-np.abs(values))
        found = np.where(values >= 0, 1.0, small) / (1.0 + small)
    result: Probabilities = found.astype(np.float32)
    return result
