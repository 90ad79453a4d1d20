"""Probabilities of many sequences with fixed weights; knows ids and lengths only, no text and no training.

Sequences run in batches of like length and come back in their order. Nothing that is computed for a
sequence depends on the others, so its probability has the same bits alone and in any batch.
Legend: B sequences, N packed rows, V vocabulary, G gates × H.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from gatelight.errors import DataError
from gatelight.memory import Packing, pack
from gatelight.memory.padding import State
from gatelight.models.batches import Sequences
from gatelight.models.classifier import Classifier
from gatelight.models.pieces import Pieces
from gatelight.models.predicting import judging

BATCH = 256  # sequences
BATCH_ROWS = 1 << 15  # rows: what bounds the memory of a batch, a single longer sequence aside
TABLE_BYTES = 1 << 29  # a token table that could grow beyond this is not kept

Ids = NDArray[np.int32]
Probabilities = NDArray[np.float32]


class Predictor:
    """A classifier with fixed weights and, per token met so far, its ready input product.

    The table [V, directions × G] is filled only for tokens that were asked for. It starts anew when torch
    changed the weights; after changes that go around torch (compiled optimisers) call `refresh`. May be used
    by several threads while the model is in evaluation mode.
    """

    def __init__(self, model: Classifier, *, batch_size: int = BATCH, table_bytes: int = TABLE_BYTES) -> None:
        if batch_size < 1:
            raise DataError(f"batch_size is {batch_size}; expected at least 1")
        self.model = model
        self.batch_size = batch_size
        self.table_bytes = table_bytes
        self._lock = threading.Lock()
        self._first = model.memory[0]
        columns = sum(len(p) for name, p in self._first.named_parameters() if name.startswith("weight_ih"))
        self._shape = (model.embedding.weight.shape[0], columns)
        # Ids made of pieces mean something else in every call.
        fits = math.prod(self._shape) * model.embedding.weight.element_size() <= table_bytes
        self._keeps_table = fits and not model.config.buckets
        self.refresh()

    def refresh(self) -> None:
        """Forget what was computed from the weights."""
        with self._lock:
            self._forget()

    def probabilities(
        self, ids: Ids, lengths: NDArray[np.int64], pieces: Pieces | None = None
    ) -> Probabilities:
        """ids int32 [sum of lengths], sequence after sequence, lengths int64 [B] → float32 [B, outputs].

        outputs is 1 for two classes: the probability of the second one. Rows of several classes add up to 1,
        unless multilabel. `pieces` as in `Classifier.forward`. Raises DataError for ids or lengths that the
        model cannot take.
        """
        with self.fixed():
            if len(lengths) <= self.batch_size and len(ids) <= BATCH_ROWS:
                return self._batch(*self.model.pack(ids, lengths), pieces)
            sequences = Sequences.of(ids, lengths)
            result = np.empty((len(lengths), self.model.config.outputs), np.float32)
            for batch in like_lengths(sequences.lengths, self.batch_size):
                part, part_lengths = sequences.take(batch)
                result[batch] = self._batch(part, pack(part_lengths), pieces)
            return result

    def __getstate__(self) -> dict[str, Any]:
        # Neither a lock nor a table that is quickly filled again is copied or pickled.
        return {"model": self.model, "batch_size": self.batch_size, "table_bytes": self.table_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Predictor.__init__(self, **state)

    @contextmanager
    def fixed(self) -> Iterator[None]:
        """Inside the block the model is in evaluation mode and what is kept fits its weights."""
        with judging(self.model):
            if self._keeps_table and self._weights_now() != self._weights:
                self.refresh()
            yield

    def first_layer(
        self, packed: Ids, packing: Packing, initial: State | None = None, pieces: Pieces | None = None
    ) -> tuple[Tensor, State]:
        """Packed ids int32 [N] → the first layer's rows [N, F] and its state after them."""
        table, token = self._inputs(packed, pieces)
        return self._first.packed_from_table(table, packing, token, initial)  # type: ignore[no-any-return, operator]

    def _inputs(self, packed: Ids, pieces: Pieces | None) -> tuple[Tensor, Tensor]:
        """The first layer's input products, and the row of them for each packed id."""
        if self._keeps_table:
            self._fill(packed)
            return self._table, torch.from_numpy(packed)
        rows, number = self.model.embedding(packed, None, pieces)
        return self._first.input_table(rows), torch.from_numpy(number)  # type: ignore[operator]

    def shares(self, logits: NDArray[Any], order: NDArray[np.int64]) -> Probabilities:
        """logits [B, outputs] → probabilities float32 [B, outputs], row k at the place order[k]."""
        result = np.empty(logits.shape, np.float32)
        several = logits.shape[1] > 1 and not self.model.config.multilabel
        (softmax if several else sigmoid)(logits, order, result)
        return result

    def _batch(self, ids: Ids, packing: Packing, pieces: Pieces | None) -> Probabilities:
        hidden, _ = self.first_layer(ids[packing.sequence_rows], packing, None, pieces)
        hidden = self.model.upper_rows(hidden, packing)
        return self.shares(self.model.logits(hidden, packing).numpy(), packing.order)

    def _fill(self, ids: Ids) -> None:
        new = np.empty(min(len(ids), len(self._filled)), np.int64)
        with self._lock:
            found = not_yet(ids, self._filled, new)
            if found < 0:
                self._forget()
                self.model.embedding.distinct(ids)  # raises, naming the id
            if found:
                rows = self.model.embedding.weight[torch.from_numpy(new[:found])]
                table = self._first.input_table(rows)  # type: ignore[operator]
                self._table[torch.from_numpy(new[:found])] = table

    def _forget(self) -> None:
        self._weights = self._weights_now()
        self._filled = np.zeros(self._shape[0] if self._keeps_table else 0, np.bool_)
        # Pages of an empty array cost nothing until a row in them is written.
        shape = self._shape if self._keeps_table else (0, self._shape[1])
        self._table = torch.empty(shape, dtype=self.model.embedding.weight.dtype)

    def _weights_now(self) -> list[tuple[int, int]]:
        weights = (self.model.embedding.weight, *self._first.parameters())
        return [(weight.data_ptr(), weight._version) for weight in weights]


def predict(
    model: Classifier,
    ids: Ids,
    lengths: NDArray[np.int64],
    batch_size: int = BATCH,
    pieces: Pieces | None = None,
) -> Probabilities:
    """Probabilities float32 [B, outputs] as `Predictor.probabilities`, with the weights as they are now."""
    return Predictor(model, batch_size=batch_size).probabilities(ids, lengths, pieces)


def like_lengths(lengths: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Numbers of the sequences, longest first, at most `batch_size` and about BATCH_ROWS rows at a time."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = max(int(lengths[order[start]]), 1)
        stop = start + max(1, min(batch_size, BATCH_ROWS // longest))
        yield order[start:stop]
        start = stop


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
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


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sigmoid(logits: NDArray[Any], order: NDArray[np.int64], out: Probabilities) -> None:
    """logits[B, O] in packed order → out[B, O] at the places `order`, each computed in float64."""
    for k in range(logits.shape[0]):
        for o in range(logits.shape[1]):
            logit = np.float64(logits[k, o])
            small = math.exp(-abs(logit))
            out[order[k], o] = (1.0 if logit >= 0 else small) / (1.0 + small)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
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
