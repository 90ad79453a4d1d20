"""A classifier whose weights do not change, as arrays ready to predict; knows ids and lengths, and no torch.

Sequences run in batches of like length and come back in their order. Nothing that is computed for a
sequence depends on the others, so its probability has the same bits alone and in any batch; they are those
of `Classifier`, which computes by the same functions.
Legend: B sequences, N packed rows, V vocabulary, D embedding size, F = directions × H, O outputs.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.models import batches
from gatelight.models.batches import Sequences
from gatelight.models.classifier_config import ClassifierConfig, layer_shapes
from gatelight.models.heads import HEADS, Rows
from gatelight.models.rows import DistinctIds, Ids, lists_of_rows
from gatelight.models.subwords import Subwords, list_means
from gatelight.nn import threads
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.buffers import in_lines
from gatelight.nn.kernels.gemm import rows_times
from gatelight.nn.kernels.rows import copied_rows
from gatelight.nn.packing import Packing
from gatelight.nn.recurrent import RecurrentLayers, State, layer_weights

TABLE_BYTES = 1 << 29  # a token table that could grow beyond this is not kept

Floats = NDArray[Any]
Probabilities = NDArray[np.float32]


class FixedNetwork:
    """Weights and, per token met so far, its ready input product.

    The table [V, directions × G] is filled only for tokens that were asked for. May be used by several
    threads.
    """

    def __init__(
        self, config: ClassifierConfig, weights: Mapping[str, Floats], *, table_bytes: int = TABLE_BYTES
    ) -> None:
        """`weights` as `classifier_config.weight_shapes` names them, of one dtype, float32 or float64.

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
        self._pool = HEADS[config.pool]
        self._dense = None if self._pool.gives_logits else in_lines(self._head["weight"].T)
        size = len(self._embedding) - config.buckets
        self._distinct, self._distinct_subwords = DistinctIds(size), DistinctIds(config.buckets)
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
        unless multilabel. `subwords` as in `Classifier.forward`. Raises DataError for ids or lengths that the
        model cannot take.
        """
        sequences = Sequences.of(ids, lengths)
        result = np.empty((len(sequences), self.config.outputs), np.float32)
        most = batches.rows_at_once(self.layers.row_bytes)
        for some in batches.like_lengths(sequences.lengths, batch_size, most):
            packed, packing = sequences.packed(some)
            hidden, _ = self.hidden(packed, packing, subwords)
            rows = Rows(hidden, packing, self._head, 1 + self.config.bidirectional)
            self.shares(self._pool.forward(rows)[0], some[packing.order], result)
        return result

    def hidden(
        self, packed: Ids, packing: Packing, subwords: Subwords | None = None, state: State | None = None
    ) -> tuple[Floats, State]:
        """Packed ids int32 [N] → the last layer's hidden states [N, F], and each layer's state after them.

        A layer's state is (h [directions, B, H],) or (h, c), in packed order; None: zeros before the first.
        """
        done = self.layers.forward(*self.inputs(packed, subwords), packing, state, table=True)
        return done.hidden, done.state

    def inputs(self, packed: Ids, subwords: Subwords | None = None) -> tuple[Floats, Ids]:
        """The first layer's input products, and the row of them for each packed id."""
        if self._table is not None:
            self._fill(packed)
            return self._table, packed
        if not self.config.buckets:
            distinct, number = self._distinct(packed)
            return self.layers.input_table(copied_rows(self._embedding, distinct)), number
        distinct, number = self._distinct(packed, None if subwords is None else subwords.stop)
        known, parts, counts, numbers = lists_of_rows(
            distinct, subwords, self._distinct.vocabulary_size, self._distinct_subwords
        )
        rows = copied_rows(self._embedding, np.concatenate([known, parts]))
        return self.layers.input_table(list_means(rows, counts, numbers)), number

    def shares(
        self, pooled: Floats, order: NDArray[np.int64], out: Probabilities | None = None
    ) -> Probabilities:
        """What the pool gave [B, width] → probabilities float32 [B, O], or in `out`, row k at order[k]."""
        logits = pooled if self._dense is None else rows_times(pooled, self._dense, self._head["bias"])
        return shares(logits, order, self.config, out)

    def _fill(self, ids: Ids) -> None:
        assert self._table is not None
        new = np.empty(min(len(ids), len(self._filled)), np.int64)
        with self._lock:
            found = not_yet(ids, self._filled, new)
            if found > 0:
                rows = new[:found]
                self._table[rows] = self.layers.input_table(copied_rows(self._embedding, rows))
                self._filled[rows] = True  # last: an interrupt or want of memory leaves them to be computed
        if found < 0:
            self._distinct(ids)  # raises, naming the id


def shares(
    logits: Floats, order: NDArray[np.int64], config: ClassifierConfig, out: Probabilities | None = None
) -> Probabilities:
    """logits [B, O] → probabilities float32 [B, O], or in `out`, row k at the place order[k]."""
    result = np.empty(logits.shape, np.float32) if out is None else out
    several = logits.shape[1] > 1 and not config.multilabel
    (softmax if several else sigmoid)(logits, order, result)
    return result


@compiled
def not_yet(ids: Ids, filled: NDArray[np.bool_], new: NDArray[np.int64]) -> int:
    """List the distinct ids[N] that are not in filled[V] in `new`; return how many, -1 for a wrong id."""
    found, wrong = 0, False
    for place in range(ids.shape[0]):
        token = ids[place]
        if token < 0 or token >= filled.shape[0]:
            wrong = True
            break
        if not filled[token]:
            filled[token] = True
            new[found] = token
            found += 1
    for place in range(found):
        filled[new[place]] = False
    return -1 if wrong else found


# torch computes the last elements of an array with other instructions, and so other bits, than the rest.


@compiled
def sigmoid(logits: NDArray[Any], order: NDArray[np.int64], out: Probabilities) -> None:
    """logits[B, O] in packed order → out[B, O] at the places `order`, each computed in float64."""
    for k in range(logits.shape[0]):
        for o in range(logits.shape[1]):
            logit = np.float64(logits[k, o])
            small = math.exp(-abs(logit))
            out[order[k], o] = (1.0 if logit >= 0 else small) / (1.0 + small)


@compiled
def softmax(logits: NDArray[Any], order: NDArray[np.int64], out: Probabilities) -> None:
    """logits[B, O] in packed order → out[B, O] at the places `order`, each row computed in float64."""
    for k in range(logits.shape[0]):
        highest = logits[k, 0]
        for o in range(logits.shape[1]):
            if logits[k, o] > highest:
                highest = logits[k, o]
        total = 0.0
        for o in range(logits.shape[1]):
            total += math.exp(np.float64(logits[k, o]) - highest)
        for o in range(logits.shape[1]):
            out[order[k], o] = math.exp(np.float64(logits[k, o]) - highest) / total
