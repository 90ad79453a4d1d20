"""A classifier whose weights do not change, as arrays ready to judge; knows ids and lengths, and no torch.

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
from gatelight.models.ahead import judged
from gatelight.models.batches import Sequences
from gatelight.models.classifier_config import ClassifierConfig, layer_shapes
from gatelight.models.dropping import Drop
from gatelight.models.judging_abreast import all_judged_abreast, go_abreast
from gatelight.models.judging_parts import HEADS, all_judged
from gatelight.models.pieces import Pieces, list_means
from gatelight.models.pools import POOLS, check_steps
from gatelight.models.rows import DistinctIds, Ids, lists_of_rows
from gatelight.nn import buffers, threads
from gatelight.nn.abreast import LANES, SLIM
from gatelight.nn.buffers import in_lines
from gatelight.nn.copying import copied_rows
from gatelight.nn.fixed_layer import FixedLayer
from gatelight.nn.kernels import GROUP, SPREAD
from gatelight.nn.packing import Packing
from gatelight.nn.product import rows_times
from gatelight.nn.recurrence_forward import kept_shapes
from gatelight.nn.status import count

AT_ONCE = 4 * GROUP  # sequences from which on there are groups for every thread
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
        self.layers = [
            FixedLayer(config.cell, {name: weights[f"memory.{number}.{name}"] for name in shapes})
            for number, shapes in enumerate(layer_shapes(config))
        ]
        self._head = {
            name.removeprefix("head."): weight for name, weight in weights.items() if name.startswith("head.")
        }
        self._row_bytes = max(layer.row_bytes for layer in self.layers)
        self._pool = POOLS[config.pool]
        self._dense = None if self._pool.holds_dense else in_lines(self._head["weight"].T)
        # A larger weight needs the cache for itself.
        small = self.layers[0].prepared()[1][0].size <= SPREAD
        self._head_at_once = small and len(self.layers) == 1 and config.pool in HEADS
        self._for_groups = self._given_to_groups() if self._head_at_once else ()
        size = len(self._embedding) - config.buckets
        self._distinct, self._distinct_pieces = DistinctIds(size), DistinctIds(config.buckets)
        shape = size, self.layers[0].columns
        # Ids made of pieces mean something else in every call.
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
        pieces: Pieces | None = None,
        batch_size: int = batches.BATCH,
    ) -> Probabilities:
        """ids int32 [sum of lengths], sequence after sequence, lengths int64 [B] → float32 [B, O].

        O is 1 for two classes: the probability of the second one. Rows of several classes add up to 1,
        unless multilabel. `pieces` as in `Classifier.forward`. Raises DataError for ids or lengths that the
        model cannot take.
        """
        if self._head_at_once and min(batch_size, len(lengths)) >= AT_ONCE:
            return self._by_groups(Sequences.of(ids, lengths), pieces, batch_size)
        rows = batches.rows_at_once(self._row_bytes)
        if len(lengths) <= batch_size and len(ids) <= rows:
            if self._head_at_once and not self.config.bidirectional and _alone(ids, lengths):
                # It should not wait for a plan.
                return self._shares(self._pooled(*self.inputs(ids, pieces), _FIRST, lengths), _FIRST)
            flat, packing = batches.packed(ids, lengths)
            one = packing.sequences == 1 and flat.flags.writeable
            return self._batch(flat if one else packing.gathered(flat), packing, pieces)
        return judged(
            ids,
            lengths,
            batch_size,
            self.config.outputs,
            lambda some, packing: self._batch(some, packing, pieces),
            rows,
        )

    def inputs(self, packed: Ids, pieces: Pieces | None = None) -> tuple[Floats, Ids]:
        """The first layer's input products, and the row of them for each packed id."""
        if self._table is not None:
            self._fill(packed)
            return self._table, packed
        if not self.config.buckets:
            distinct, number = self._distinct(packed)
            return self.layers[0].input_table(copied_rows(self._embedding, distinct)), number
        distinct, number = self._distinct(packed, None if pieces is None else pieces.stop)
        known, parts, counts, numbers = lists_of_rows(
            distinct, pieces, self._distinct.vocabulary_size, self._distinct_pieces
        )
        rows = copied_rows(self._embedding, np.concatenate([known, parts]))
        return self.layers[0].input_table(list_means(rows, counts, numbers)), number

    def _batch(self, packed: Ids, packing: Packing, pieces: Pieces | None) -> Probabilities:
        table, token = self.inputs(packed, pieces)
        hidden = self.layers[0].hidden(table, packing, token)
        for layer in self.layers[1:]:
            hidden = layer.hidden(layer.input_table(hidden), packing)
        directions = 1 + self.config.bidirectional
        pooled, _ = self._pool.forward(hidden, packing, self._head, directions)
        return self._shares(pooled, packing.order)

    def _shares(
        self, pooled: Floats, order: NDArray[np.int64], out: Probabilities | None = None
    ) -> Probabilities:
        logits = pooled if self._dense is None else rows_times(pooled, self._dense, self._head["bias"])
        return shares(logits, order, self.config, out)

    def _by_groups(self, sequences: Sequences, pieces: Pieces | None, batch_size: int) -> Probabilities:
        """As `probabilities`, of one layer and one of HEADS: a group passes through both while cached."""
        ids, starts = np.require(sequences.ids, requirements="W"), sequences.starts
        result = np.empty((len(sequences), self.config.outputs), np.float32)
        if self._table is not None:
            self._fill(ids)
        # Hidden states do not leave the cache; only ids and their plan grow with a batch.
        for some in batches.like_lengths(sequences.lengths, batch_size, batches.rows_at_once(ids.itemsize)):
            lengths = sequences.lengths[some]
            if self._table is not None:
                pooled = self._pooled(self._table, ids, starts[some], lengths)
            else:
                own, _ = sequences.take(some)
                pooled = self._pooled(*self.inputs(own, pieces), np.cumsum(lengths) - lengths, lengths)
            self._shares(pooled, some, result)
        return result

    def _pooled(
        self, table: Floats, flat: Ids, starts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> Floats:
        """What the head makes of sequences that begin at flat[starts[k]] and whose `lengths` fall."""
        own, weight_hh, bias_hh, zeros, *others = self._for_groups
        directions, _, size = zeros.shape
        if self._pool.holds_dense:
            check_steps(int(lengths[0]), directions * size, self._head["weight"])
        count("kernels")
        width = self.config.outputs if self._pool.holds_dense else directions * size
        out = np.empty((len(lengths), width), table.dtype)

        def judge(region: Any, starts: NDArray[np.int64], lengths: NDArray[np.int64], out: Floats) -> Floats:
            given = own, table, flat, starts, lengths, weight_hh, bias_hh, zeros, *others, out
            work = int(lengths.sum()) * weight_hh.size if len(lengths) > GROUP else 0  # a group is one task
            threads.share(region, given, work)
            return out

        slim = directions == 1 and size <= SLIM and table.dtype == np.float32
        if not slim or len(lengths) < LANES or not (abreast := go_abreast(lengths)).any():
            return judge(all_judged, starts, lengths, out)
        for some, region in ((abreast, all_judged_abreast), (~abreast, all_judged)):
            if some.any():
                out[some] = judge(region, starts[some], lengths[some], np.empty_like(out[some]))
        return out

    def _given_to_groups(self) -> tuple[Any, ...]:
        """What `all_judged` takes for any batch."""
        own, weight_hh, bias_hh, (directions, size, cell_size) = self.layers[0].prepared()
        dtype, head = self.layers[0].dtype, HEADS.index(self.config.pool)
        zeros = np.zeros((directions, GROUP, size), dtype)
        no_cells = zeros if cell_size else np.empty((directions, GROUP, 0), dtype)
        shapes = kept_shapes(self.config.cell, directions, size, cell_size, 0, False)[1:]
        kept = (np.empty(shape, dtype) for shape in shapes)
        _, limit, scale = Drop.nothing(dtype)
        # Only a flattened layer's weights are read there; others are multiplied afterwards.
        weight, bias = self._head["weight"], self._head["bias"]
        return own, weight_hh, bias_hh, zeros, no_cells, *kept, head, weight, bias, limit, scale

    def _fill(self, ids: Ids) -> None:
        assert self._table is not None
        new = np.empty(min(len(ids), len(self._filled)), np.int64)
        with self._lock:
            found = not_yet(ids, self._filled, new)
            if found > 0:
                rows = new[:found]
                self._table[rows] = self.layers[0].input_table(copied_rows(self._embedding, rows))
            elif found < 0:  # those before the wrong one are marked, but nothing was computed for them
                self._filled[:] = False
        if found < 0:
            self._distinct(ids)  # raises, naming the id


_FIRST = np.zeros(1, np.int64)  # where a text alone begins, and its place among the results


def _alone(ids: Ids, lengths: NDArray[np.int64]) -> bool:
    """Whether it is one sequence, given in a form that compiled code may take as it is."""
    if len(lengths) != 1 or not type(ids) is type(lengths) is np.ndarray:
        return False
    fit = ids.dtype == np.int32 and ids.ndim == 1 and ids.flags.carray
    return fit and lengths.dtype == np.int64 and lengths.flags.carray and len(ids) == lengths[0]


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
    """Mark ids[N] in filled[V], list in `new` those not marked before, return how many; -1 for a wrong id."""
    found = 0
    for place in range(ids.shape[0]):
        token = ids[place]
        if token < 0 or token >= filled.shape[0]:
            return -1
        if not filled[token]:
            filled[token] = True
            new[found] = token
            found += 1
    return found


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
