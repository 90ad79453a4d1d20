"""Sums, maxima and softmaxes over packed rows, compiled by Numba; knows arrays only, no torch and no model.

Legend: B sequences, T steps, N packed rows, F features of a row, O outputs. Rows are time-major and the
sequences sorted by falling length: step t owns rows `first[t] : first[t] + alive[t]`, and row k of a step
belongs to sequence k. Whatever is summed for a sequence is summed in the order of its steps, so its result
has the same bits in any batch. All arrays are C-contiguous, float32 or float64 throughout; outputs are
handed in by the caller and wholly overwritten unless it says "adds to".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.models.dropping import (
    add_products_of_dropped,
    drop_row,
    products_of_dropped_back,
    row_key,
    row_keys,
)
from gatelight.nn.kernels.simd import add_products, add_scaled_row, copy_row

Floats = NDArray[Any]
Ints = NDArray[np.int64]
Rows = NDArray[np.int32]

NOWHERE = -1  # the row number of a maximum that does not exist: the sequence is empty


@compiled
def max_forward(
    hidden: Floats, first: Ints, alive: Ints, pooled: Floats, where: Rows, begin: int, end: int
) -> None:
    """hidden[N, F] → rows begin to end of pooled[B, F] and where[B, F], the row of each maximum.

    Of equal ones it is the earliest.
    """
    features = pooled.shape[1]
    started = min(end, alive[0]) if alive.shape[0] > 0 else begin
    for k in range(begin, started):
        for j in range(features):
            pooled[k, j] = hidden[k, j]
            where[k, j] = k
    for k in range(max(begin, started), end):
        for j in range(features):
            pooled[k, j] = 0
            where[k, j] = NOWHERE
    for t in range(1, alive.shape[0]):
        for k in range(begin, min(end, alive[t])):
            row = first[t] + k
            number = np.int32(row)
            values, best, best_row = hidden[row], pooled[k], where[k]
            for j in range(features):
                value, so_far = values[j], best[j]
                # A NaN must be seen in the result, so it beats every number.
                better = (value > so_far) | (value != value)
                best[j] = value if better else so_far
                best_row[j] = number if better else best_row[j]


@compiled
def max_backward(d_pooled: Floats, where: Rows, d_hidden: Floats, begin: int, end: int) -> None:
    """Adds to rows begin to end of d_hidden[N, F] the gradient d_pooled[B, F], at the rows of the maxima."""
    sequences, features = d_pooled.shape
    for k in range(sequences):
        for j in range(features):
            row = where[k, j]
            if begin <= row and row < end:  # NOWHERE is before all of them
                d_hidden[row, j] += d_pooled[k, j]


@compiled
def mean_forward(hidden: Floats, first: Ints, alive: Ints, lengths: Ints, pooled: Floats) -> None:
    """hidden[N, F] and lengths[B] (packed order) → pooled[B, F]; zeros for an empty sequence."""
    sequences, features = pooled.shape
    pooled[:] = 0
    for t in range(alive.shape[0]):
        for k in range(alive[t]):
            values, sums = hidden[first[t] + k], pooled[k]
            for j in range(features):
                sums[j] += values[j]
    for k in range(sequences):
        if lengths[k] > 1:
            length = pooled.dtype.type(lengths[k])
            for j in range(features):
                pooled[k, j] /= length


@compiled
def mean_backward(d_pooled: Floats, first: Ints, alive: Ints, lengths: Ints, d_hidden: Floats) -> None:
    """d_pooled[B, F] → d_hidden[N, F]: each row gets its sequence's gradient over its length."""
    sequences, features = d_pooled.shape
    share = np.zeros_like(d_pooled)
    for k in range(sequences):
        if lengths[k] > 0:
            length = d_pooled.dtype.type(lengths[k])
            for j in range(features):
                share[k, j] = d_pooled[k, j] / length
    for t in range(alive.shape[0]):
        for k in range(alive[t]):
            d_row, given = d_hidden[first[t] + k], share[k]
            for j in range(features):
                d_row[j] = given[j]


@compiled(fastmath={"reassoc", "contract"})
def _dot(a: Floats, b: Floats) -> Any:
    # Freed to add in the order of the vector registers: which one depends on the length alone.
    total = a.dtype.type(0)
    for j in range(a.shape[0]):
        total += a[j] * b[j]
    return total


@compiled
def attention_forward(
    hidden: Floats, first: Ints, alive: Ints, query: Floats, pooled: Floats, weight: Floats
) -> None:
    """hidden[N, F], query[F] → weight[N], each sequence's softmax of hidden · query, and pooled[B, F]."""
    sequences, features = pooled.shape
    highest = np.full(sequences, -np.inf, pooled.dtype)
    total = np.zeros(sequences, pooled.dtype)
    for t in range(alive.shape[0]):
        for k in range(alive[t]):
            row = first[t] + k
            score = _dot(hidden[row], query)
            weight[row] = score
            if score > highest[k] or score != score:
                highest[k] = score
    for t in range(alive.shape[0]):
        for k in range(alive[t]):
            row = first[t] + k
            weight[row] = math.exp(weight[row] - highest[k])
            total[k] += weight[row]
    pooled[:] = 0
    for t in range(alive.shape[0]):
        for k in range(alive[t]):
            row = first[t] + k
            weight[row] /= total[k]
            share, values, sums = weight[row], hidden[row], pooled[k]
            for j in range(features):
                sums[j] += share * values[j]


@compiled
def attention_backward(
    d_pooled: Floats,
    hidden: Floats,
    first: Ints,
    alive: Ints,
    query: Floats,
    weight: Floats,
    d_hidden: Floats,
    d_query: Floats,
) -> None:
    """d_pooled[B, F] and forward's weight[N] → d_hidden[N, F], d_query[F]."""
    sequences, features = d_pooled.shape
    d_weight = np.empty_like(weight)
    expected = np.zeros(sequences, d_pooled.dtype)
    for t in range(alive.shape[0]):
        for k in range(alive[t]):
            row = first[t] + k
            d_weight[row] = _dot(d_pooled[k], hidden[row])
            expected[k] += weight[row] * d_weight[row]
    d_query[:] = 0
    for t in range(alive.shape[0]):
        for k in range(alive[t]):
            row = first[t] + k
            share = weight[row]
            d_score = share * (d_weight[row] - expected[k])
            d_row, given, values = d_hidden[row], d_pooled[k], hidden[row]
            for j in range(features):
                d_row[j] = share * given[j] + d_score * query[j]
                d_query[j] += d_score * values[j]


@compiled
def flatten_forward(
    hidden: Floats,
    first: Ints,
    alive: Ints,
    weight: Floats,
    bias: Floats,
    logits: Floats,
    seed: int,
    limit: Any,
    scale: Any,
    begin: int,
    end: int,
) -> None:
    """hidden[N, F], weight[O, T_max · F] (columns step after step), bias[O] → rows of logits[B, O].

    With a `limit` above 0 hidden states are dropped first, as `dropping.drop_values` does.
    """
    outputs = logits.shape[1]
    features = hidden.shape[1]
    width = weight.shape[1]
    left, keys = np.empty(features, hidden.dtype), np.empty(max(0, end - begin), np.uint32)
    # One partial sum per feature keeps the order fixed and the loop free of a chain of additions.
    sums = np.zeros((end - begin, outputs, features), hidden.dtype)
    for t in range(alive.shape[0]):
        stop = min(end, alive[t])
        if limit == 0:
            for o in range(outputs):
                add_products(
                    hidden, (first[t] + begin) * features, weight, o * width + t * features,
                    sums, o * features, outputs * features, features, stop - begin,
                )  # fmt: skip
            continue
        if outputs == 1:
            row_keys(seed, first[t] + begin, keys, stop - begin)
            add_products_of_dropped(
                hidden, (first[t] + begin) * features, keys, 0, limit, scale, weight, t * features,
                sums, 0, features, stop - begin,
            )  # fmt: skip
            continue
        for k in range(begin, stop):
            row = first[t] + k
            drop_row(hidden, row * features, row_key(seed, row), limit, scale, left, 0, features)
            for o in range(outputs):
                partial = ((k - begin) * outputs + o) * features
                add_products(left, 0, weight, o * width + t * features, sums, partial, 0, features, 1)
    for k in range(begin, end):
        for o in range(outputs):
            total = bias[o]
            for j in range(features):
                total += sums[k - begin, o, j]
            logits[k, o] = total


@compiled
def flatten_backward(
    d_logits: Floats,
    hidden: Floats,
    first: Ints,
    alive: Ints,
    weight: Floats,
    d_hidden: Floats,
    d_weight: Floats,
    seed: int,
    limit: Any,
    scale: Any,
    begin: int,
    end: int,
) -> None:
    """d_logits[B, O] → steps begin to end of d_hidden[N, F] and of d_weight[O, T_max · F]."""
    outputs = d_logits.shape[1]
    features = hidden.shape[1]
    width = weight.shape[1]
    left, keys = np.empty(features, hidden.dtype), np.empty(len(d_logits), np.uint32)
    d_weight[:, begin * features : end * features] = 0
    for t in range(begin, min(end, alive.shape[0])):
        if outputs == 1:
            row_keys(seed, first[t], keys, alive[t])
            products_of_dropped_back(
                hidden, first[t] * features, keys, 0, limit, scale, weight, t * features, d_logits, 0,
                d_hidden, first[t] * features, d_weight, t * features, features, alive[t],
            )  # fmt: skip
            continue
        for k in range(alive[t]):
            row = first[t] + k
            at, key = row * features, row_key(seed, row)
            if limit > 0:
                drop_row(hidden, at, key, limit, scale, left, 0, features)
            else:
                copy_row(hidden, at, left, 0, features)
            d_hidden[row] = 0
            for o in range(outputs):
                columns = o * width + t * features
                add_scaled_row(weight, columns, d_logits[k, o], d_hidden, at, features)
                add_scaled_row(left, 0, d_logits[k, o], d_weight, columns, features)
            if limit > 0:
                drop_row(d_hidden, at, key, limit, scale, d_hidden, at, features)
