"""Heads that turn the packed rows of a batch into one row per sequence: forward, backward, and step by step.

Nothing of shape [B, T, F] is ever built. Results come in packed order (longest sequence first); an empty
sequence gives zeros and takes no gradient. Rows are time-major: step t owns rows first[t] : first[t] +
alive[t], and row k of a step belongs to sequence k. Whatever is summed for a sequence is summed in the order
of its steps, so its result has the same bits in any batch. Knows arrays, and no torch. Legend: B sequences,
T steps, N packed rows, F features of a row (directions × H), O outputs. A new head is one class here and one
line in `POOLS`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.errors import DataError
from gatelight.nn import threads
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.parallel import parallel_for
from gatelight.nn.kernels.simd import add_products, add_scaled_row
from gatelight.nn.packing import Packing

Floats = NDArray[Any]
Ints = NDArray[np.int64]
Rows = NDArray[np.int32]
Weights = Mapping[str, Floats]
Gradients = tuple[Floats, dict[str, Floats]]
"""Of the hidden states, [N, F], and of the head's own weights by name."""

FLATTEN_WORK = 4  # reading a row takes longer than multiplying it
NOWHERE = -1  # the row number of a maximum that does not exist: the sequence is empty
TASKS = 2  # for each thread, so that one that comes late finds some


class Pool:
    """A head: hidden [N, F] → [B, width], and its gradient from that of the result."""

    holds_dense: ClassVar[bool] = False  # the head already gives logits
    goes_on: ClassVar[bool] = True  # whether `step` can: attention weighs every step by all others

    @staticmethod
    def width(features: int) -> int:
        """The width of what is pooled of rows of F features."""
        return features

    @staticmethod
    def shapes(features: int) -> dict[str, tuple[int, ...]]:
        """The shapes of the weights that the head learns itself, the dense layer's aside."""
        return {}

    @staticmethod
    def forward(hidden: Floats, packing: Packing, weights: Weights, directions: int) -> tuple[Floats, Any]:
        """Return what is pooled [B, width], and what `backward` wants to know of it."""
        raise NotImplementedError

    @staticmethod
    def backward(
        d_pooled: Floats, hidden: Floats, packing: Packing, weights: Weights, directions: int, kept: Any
    ) -> Gradients:
        """Return the gradients of hidden and weights; arrays as `forward` had and left them."""
        raise NotImplementedError

    @staticmethod
    def carried(features: int, outputs: int) -> int:
        """How many numbers `step` carries on."""
        return features

    @staticmethod
    def step(hidden: Floats, count: int, carried: Floats, weights: Weights) -> tuple[Floats, Floats]:
        """After `count` steps of one sequence its next ones [T, F] → what is pooled after each [T, ·].

        And what is carried on; zeros before the first step. The bits are those of `forward` for the steps so
        far.
        """
        raise NotImplementedError


class Last(Pool):
    """The forward half of each last step, the backward half of each first: h_n."""

    @staticmethod
    def forward(hidden: Floats, packing: Packing, weights: Weights, directions: int) -> tuple[Floats, Any]:
        """Rows of the last steps."""
        present, ends, half = _ends(hidden, packing, directions)
        pooled = np.zeros((packing.sequences, hidden.shape[1]), hidden.dtype)
        pooled[:present, :half] = hidden[ends, :half]
        pooled[:present, half:] = hidden[:present, half:]
        return pooled, None

    @staticmethod
    def backward(
        d_pooled: Floats, hidden: Floats, packing: Packing, weights: Weights, directions: int, kept: Any
    ) -> Gradients:
        """Zeros everywhere else."""
        present, ends, half = _ends(hidden, packing, directions)
        d_hidden = buffers.zeros(hidden.shape, hidden.dtype)
        d_hidden[ends, :half] = d_pooled[:present, :half]
        d_hidden[:present, half:] = d_pooled[:present, half:]
        return d_hidden, {}

    @staticmethod
    def step(hidden: Floats, count: int, carried: Floats, weights: Weights) -> tuple[Floats, Floats]:
        """The row itself."""
        return hidden, hidden[-1]


class Maximum(Pool):
    """The largest value of each feature over the sequence's steps."""

    @staticmethod
    def forward(hidden: Floats, packing: Packing, weights: Weights, directions: int) -> tuple[Floats, Any]:
        """Keeps the rows of the maxima [B, F]."""
        pooled = np.empty((packing.sequences, hidden.shape[1]), hidden.dtype)
        where = np.empty(pooled.shape, np.int32)
        arrays = hidden, packing.first, packing.alive, packing.lengths, pooled, where
        threads.share(_all_max_forward, arrays, hidden.size)
        return pooled, where

    @staticmethod
    def backward(
        d_pooled: Floats, hidden: Floats, packing: Packing, weights: Weights, directions: int, kept: Any
    ) -> Gradients:
        """Each maximum's row takes all."""
        d_hidden = buffers.empty(hidden.shape, hidden.dtype)
        threads.share(_all_max_backward, (d_pooled, kept, d_hidden, True), hidden.size)
        return d_hidden, {}

    @staticmethod
    def step(hidden: Floats, count: int, carried: Floats, weights: Weights) -> tuple[Floats, Floats]:
        """Carries the maxima so far."""
        pooled = np.maximum.accumulate(np.concatenate([carried[None], hidden]) if count else hidden)
        return pooled[-len(hidden) :], pooled[-1]


class Mean(Pool):
    """The mean of each feature over the sequence's own steps."""

    @staticmethod
    def forward(hidden: Floats, packing: Packing, weights: Weights, directions: int) -> tuple[Floats, Any]:
        """Keeps nothing."""
        pooled = np.empty((packing.sequences, hidden.shape[1]), hidden.dtype)
        _mean_forward(hidden, packing.first, packing.alive, packing.lengths, pooled)
        return pooled, None

    @staticmethod
    def backward(
        d_pooled: Floats, hidden: Floats, packing: Packing, weights: Weights, directions: int, kept: Any
    ) -> Gradients:
        """Every row takes as much."""
        d_hidden = buffers.empty(hidden.shape, hidden.dtype)
        _mean_backward(d_pooled, packing.first, packing.alive, packing.lengths, d_hidden)
        return d_hidden, {}

    @staticmethod
    def step(hidden: Floats, count: int, carried: Floats, weights: Weights) -> tuple[Floats, Floats]:
        """Carries the sums so far."""
        sums = np.add.accumulate(np.concatenate([carried[None], hidden]))[1:]
        steps = np.arange(count + 1, count + 1 + len(hidden)).astype(hidden.dtype)
        return np.divide(sums, steps[:, None], dtype=hidden.dtype), sums[-1]


class MaximumAndMean(Pool):
    """Maxima, then means: [B, 2F]."""

    @staticmethod
    def width(features: int) -> int:
        """Both."""
        return 2 * features

    @staticmethod
    def forward(hidden: Floats, packing: Packing, weights: Weights, directions: int) -> tuple[Floats, Any]:
        """Keeps what the maximum does."""
        highest, where = Maximum.forward(hidden, packing, weights, directions)
        return np.concatenate([highest, Mean.forward(hidden, packing, weights, directions)[0]], axis=1), where

    @staticmethod
    def backward(
        d_pooled: Floats, hidden: Floats, packing: Packing, weights: Weights, directions: int, kept: Any
    ) -> Gradients:
        """The sum of both."""
        features = hidden.shape[1]
        highest, mean = (np.ascontiguousarray(d) for d in (d_pooled[:, :features], d_pooled[:, features:]))
        d_hidden, _ = Mean.backward(mean, hidden, packing, weights, directions, None)
        threads.share(_all_max_backward, (highest, kept, d_hidden, False), hidden.size)
        return d_hidden, {}

    @staticmethod
    def carried(features: int, outputs: int) -> int:
        """Maxima and sums."""
        return 2 * features

    @staticmethod
    def step(hidden: Floats, count: int, carried: Floats, weights: Weights) -> tuple[Floats, Floats]:
        """Both."""
        features = hidden.shape[1]
        highest, most = Maximum.step(hidden, count, carried[:features], weights)
        mean, sums = Mean.step(hidden, count, carried[features:], weights)
        return np.concatenate([highest, mean], axis=1), np.concatenate([most, sums])


class Attention(Pool):
    """Rows weighted by softmax(hidden · query / √F) over the sequence's own steps.

    One learned query [F] stands for "what is telling?" (Yang et al. 2016, eq. 6, with scaled dot products for
    scores); at zero it is the mean.
    """

    goes_on = False

    @staticmethod
    def shapes(features: int) -> dict[str, tuple[int, ...]]:
        """The query."""
        return {"query": (features,)}

    @staticmethod
    def forward(hidden: Floats, packing: Packing, weights: Weights, directions: int) -> tuple[Floats, Any]:
        """Keeps each row's weight [N]."""
        pooled = np.empty((packing.sequences, hidden.shape[1]), hidden.dtype)
        share = np.empty(len(hidden), hidden.dtype)
        query = weights["query"] * _scale(hidden)
        _attention_forward(hidden, packing.first, packing.alive, query, pooled, share)
        return pooled, share

    @staticmethod
    def backward(
        d_pooled: Floats, hidden: Floats, packing: Packing, weights: Weights, directions: int, kept: Any
    ) -> Gradients:
        """The query's too."""
        d_hidden, query = buffers.empty(hidden.shape, hidden.dtype), weights["query"] * _scale(hidden)
        d_query = np.empty_like(query)
        _attention_backward(d_pooled, hidden, packing.first, packing.alive, query, kept, d_hidden, d_query)
        return d_hidden, {"query": d_query * _scale(hidden)}


class Flatten(Pool):
    """Logits [B, O]: a dense layer on all steps side by side, absent steps counting as zeros.

    weights: "weight" [O, max_length · F], columns step after step, and "bias" [O]. The same numbers as
    flattening a zero-padded [B, max_length, F] array, which is never built.
    """

    holds_dense = True

    @staticmethod
    def forward(hidden: Floats, packing: Packing, weights: Weights, directions: int) -> tuple[Floats, Any]:
        """Raises DataError for a sequence longer than max_length."""
        weight, bias = weights["weight"], weights["bias"]
        if packing.steps * hidden.shape[1] > weight.shape[1]:
            raise DataError(
                f"a sequence has {packing.steps} steps and the dense layer has weights for "
                f"{weight.shape[1] // hidden.shape[1]}; cut the sequences to that length"
            )
        logits = np.empty((packing.sequences, len(bias)), hidden.dtype)
        arrays = hidden, packing.first, packing.alive, packing.lengths, weight, bias, logits
        threads.share(_all_flatten_forward, arrays, hidden.size * len(bias) * FLATTEN_WORK)
        return logits, None

    @staticmethod
    def backward(
        d_pooled: Floats, hidden: Floats, packing: Packing, weights: Weights, directions: int, kept: Any
    ) -> Gradients:
        """Those of the dense layer too."""
        weight = weights["weight"]
        d_hidden, d_weight = buffers.empty(hidden.shape, hidden.dtype), np.empty(weight.shape, weight.dtype)
        arrays = d_pooled, hidden, packing.first, packing.alive, weight, d_hidden, d_weight
        threads.share(_all_flatten_backward, arrays, hidden.size * len(weight) * FLATTEN_WORK)
        return d_hidden, {"weight": d_weight, "bias": d_pooled.sum(0)}

    @staticmethod
    def carried(features: int, outputs: int) -> int:
        """A sum for each feature and output."""
        return features * outputs

    @staticmethod
    def step(hidden: Floats, count: int, carried: Floats, weights: Weights) -> tuple[Floats, Floats]:
        """Logits; the steps must not become more than max_length."""
        steps, features = hidden.shape
        weight, bias = weights["weight"], weights["bias"]
        columns = weight[:, count * features : (count + steps) * features]
        factors = columns.reshape(len(weight), steps, features).transpose(1, 0, 2)
        before = carried.reshape(1, len(weight), features)
        sums = np.add.accumulate(np.concatenate([before, hidden[:, None] * factors]))[1:]
        start = np.broadcast_to(bias[None, :, None], (steps, len(bias), 1))
        logits = np.add.accumulate(np.concatenate([start, sums], axis=2), axis=2)[:, :, -1]
        return logits, sums[-1].ravel()


POOLS: dict[str, type[Pool]] = {
    "last": Last,
    "max": Maximum,
    "mean": Mean,
    "max+mean": MaximumAndMean,
    "attention": Attention,
    "flatten": Flatten,
}


def _ends(hidden: Floats, packing: Packing, directions: int) -> tuple[int, NDArray[np.int64], int]:
    """How many sequences are not empty, the row of each one's last step, the width of the forward half."""
    present = int(packing.alive[0]) if len(packing.alive) else 0
    ends = packing.first[packing.lengths[:present] - 1] + np.arange(present)
    return present, ends, hidden.shape[1] // directions


def _scale(hidden: Floats) -> float:
    return float(hidden.shape[1] ** -0.5)


@compiled
def _cuts(rows: Any, end: int, helpers: int) -> Any:
    """Cut 0 … end - 1 into parts with about as many rows each; `rows`: how many each of them has."""
    parts = TASKS * (helpers + 1) if helpers > 0 and end > 1 else 1
    cuts, total = np.empty(parts + 1, np.int64), 0
    for part in range(parts + 1):
        cuts[part] = end if part else 0
    for k in range(len(rows)):
        total += rows[k]
    part, so_far = 1, 0
    for k in range(len(rows)):
        so_far += rows[k]
        while part < parts and so_far >= total * part // parts:
            cuts[part] = k
            part += 1
    return cuts


@compiled
def _max_forward(
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
def _max_backward(d_pooled: Floats, where: Rows, d_hidden: Floats, begin: int, end: int) -> None:
    """Adds to rows begin to end of d_hidden[N, F] the gradient d_pooled[B, F], at the rows of the maxima."""
    sequences, features = d_pooled.shape
    for k in range(sequences):
        for j in range(features):
            row = where[k, j]
            if begin <= row and row < end:  # NOWHERE is before all of them
                d_hidden[row, j] += d_pooled[k, j]


@compiled
def _mean_forward(hidden: Floats, first: Ints, alive: Ints, lengths: Ints, pooled: Floats) -> None:
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
def _mean_backward(d_pooled: Floats, first: Ints, alive: Ints, lengths: Ints, d_hidden: Floats) -> None:
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
def _attention_forward(
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
def _attention_backward(
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
def _max_part(hidden: Any, first: Any, alive: Any, pooled: Any, where: Any, cuts: Any, k: int) -> None:
    _max_forward(hidden, first, alive, pooled, where, cuts[k], cuts[k + 1])


@compiled
def _all_max_forward(
    hidden: Any, first: Any, alive: Any, lengths: Any, pooled: Any, where: Any, pool: Any, helpers: int
) -> int:  # fmt: skip
    cuts = _cuts(lengths, len(lengths), helpers)
    given = hidden, first, alive, pooled, where, cuts
    return int(parallel_for(_max_part, given, pool, helpers, len(cuts) - 1))


@compiled
def _max_back_part(d_pooled: Any, where: Any, d_hidden: Any, clear: bool, parts: int, k: int) -> None:
    rows = d_hidden.shape[0]
    begin, end = rows * k // parts, rows * (k + 1) // parts
    if clear:
        d_hidden[begin:end] = 0
    _max_backward(d_pooled, where, d_hidden, begin, end)


@compiled
def _all_max_backward(d_pooled: Any, where: Any, d_hidden: Any, clear: bool, pool: Any, helpers: int) -> int:
    """With `clear` nothing else is in the rows."""
    parts = helpers + 1
    return int(parallel_for(_max_back_part, (d_pooled, where, d_hidden, clear, parts), pool, helpers, parts))


@compiled
def _flatten_part(
    hidden: Any, first: Any, alive: Any, weight: Any, bias: Any, logits: Any, cuts: Any, part: int
) -> None:
    """hidden[N, F], weight[O, T_max · F] (columns step after step), bias[O] → rows of logits[B, O]."""
    begin, end = cuts[part], cuts[part + 1]
    outputs, features, width = logits.shape[1], hidden.shape[1], weight.shape[1]
    # One partial sum per feature keeps the order fixed and the loop free of a chain of additions.
    sums = np.zeros((end - begin, outputs, features), hidden.dtype)
    for t in range(alive.shape[0]):
        for o in range(outputs):
            add_products(
                hidden, (first[t] + begin) * features, weight, o * width + t * features,
                sums, o * features, outputs * features, features, min(end, alive[t]) - begin,
            )  # fmt: skip
    for k in range(begin, end):
        for o in range(outputs):
            total = bias[o]
            for j in range(features):
                total += sums[k - begin, o, j]
            logits[k, o] = total


@compiled
def _all_flatten_forward(
    hidden: Any, first: Any, alive: Any, lengths: Any, weight: Any, bias: Any, logits: Any, pool: Any,
    helpers: int,
) -> int:  # fmt: skip
    cuts = _cuts(lengths, len(lengths), helpers)
    given = hidden, first, alive, weight, bias, logits, cuts
    return int(parallel_for(_flatten_part, given, pool, helpers, len(cuts) - 1))


@compiled
def _flatten_back_part(
    d_logits: Any, hidden: Any, first: Any, alive: Any, weight: Any, d_hidden: Any, d_weight: Any, cuts: Any,
    part: int,
) -> None:  # fmt: skip
    """d_logits[B, O] → a part's steps of d_hidden[N, F] and of d_weight[O, T_max · F]."""
    begin, end = cuts[part], cuts[part + 1]
    outputs, features, width = d_logits.shape[1], hidden.shape[1], weight.shape[1]
    d_weight[:, begin * features : end * features] = 0
    for t in range(begin, min(end, alive.shape[0])):
        d_hidden[first[t] : first[t] + alive[t]] = 0
        for o in range(outputs):
            columns = o * width + t * features
            for k in range(alive[t]):
                at = (first[t] + k) * features
                add_scaled_row(weight, columns, d_logits[k, o], d_hidden, at, features)
                add_scaled_row(hidden, at, d_logits[k, o], d_weight, columns, features)


@compiled
def _all_flatten_backward(
    d_logits: Any, hidden: Any, first: Any, alive: Any, weight: Any, d_hidden: Any, d_weight: Any, pool: Any,
    helpers: int,
) -> int:  # fmt: skip
    # The last part also clears the weights of steps that no sequence has.
    cuts = _cuts(alive, weight.shape[1] // hidden.shape[1], helpers)
    given = d_logits, hidden, first, alive, weight, d_hidden, d_weight, cuts
    return int(parallel_for(_flatten_back_part, given, pool, helpers, len(cuts) - 1))
