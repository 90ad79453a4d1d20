"""Heads turn the packed hidden states of a batch into one row per sequence: forward, backward, step by step.

Nothing of shape [B, T, F] is ever built. Results come in packed order (longest sequence first); an empty
sequence gives zeros and takes no gradient. Whatever is summed for a sequence is summed in the order of its
steps, so its result has the same bits in any batch. Knows arrays, and no torch. A new head is one class here
and one line in `HEADS`.
Legend: B sequences, N packed rows, F features of a row (directions × H), O outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.errors import DataError
from gatelight.nn import threads
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.parallel import parallel_for
from gatelight.nn.kernels.rows import copied_rows
from gatelight.nn.kernels.simd import add_products, add_scaled_row
from gatelight.nn.packing import Packing

Floats = NDArray[Any]
Ints = NDArray[np.int64]
Weights = Mapping[str, Floats]

FLATTEN_WORK = 4  # reading a row takes longer than multiplying it


class Rows(NamedTuple):
    """What a head reads: hidden states [N, F], where they lie, its own weights, and how many directions."""

    hidden: Floats
    packing: Packing
    weights: Weights
    directions: int = 1

    @property
    def sequence(self) -> Ints:
        """The packed place [N] of the sequence that each row belongs to."""
        return np.arange(self.packing.rows) - np.repeat(self.packing.first, self.packing.alive)

    @property
    def present(self) -> int:
        """How many sequences are not empty; they are the first."""
        return int(self.packing.alive[0]) if self.packing.steps else 0


class Head:
    """What all heads have; `weights` are their own by name."""

    gives_logits = False  # with a dense layer of its own
    causal = True  # whether `step` can: attention weighs every step by all others

    def width(self, features: int) -> int:
        """The width of what is pooled of rows of F features."""
        return features

    def shapes(self, features: int) -> dict[str, tuple[int, ...]]:
        """The shapes of the weights that the head learns itself, the dense layer's aside."""
        return {}

    def forward(self, rows: Rows) -> tuple[Floats, Any]:
        """Return what is pooled [B, width], and what `backward` wants to know of it."""
        raise NotImplementedError

    def backward(self, d_pooled: Floats, rows: Rows, saved: Any) -> tuple[Floats, dict[str, Floats]]:
        """Return the gradients of the hidden states [N, F] and of the head's own weights by name."""
        raise NotImplementedError

    def carried(self, features: int, outputs: int) -> int:
        """How many numbers `step` carries on."""
        return features

    def step(self, hidden: Floats, count: int, carried: Floats, weights: Weights) -> tuple[Floats, Floats]:
        """After `count` steps of one sequence its next ones [T, F] → what is pooled after each [T, ·].

        And what is carried on; zeros before the first step. The bits are those of `forward` for the steps so
        far.
        """
        raise NotImplementedError


class Last(Head):
    """The forward half of each last step, the backward half of each first: h_n."""

    def forward(self, rows: Rows) -> tuple[Floats, Any]:
        """Rows of the last steps."""
        hidden, half = rows.hidden, rows.hidden.shape[1] // rows.directions
        pooled = np.zeros((rows.packing.sequences, hidden.shape[1]), hidden.dtype)
        pooled[: rows.present, :half] = hidden[_ends(rows), :half]
        pooled[: rows.present, half:] = hidden[: rows.present, half:]
        return pooled, None

    def backward(self, d_pooled: Floats, rows: Rows, saved: Any) -> tuple[Floats, dict[str, Floats]]:
        """Zeros everywhere else."""
        half, d_hidden = rows.hidden.shape[1] // rows.directions, _zeros(rows)
        d_hidden[_ends(rows), :half] = d_pooled[: rows.present, :half]
        d_hidden[: rows.present, half:] = d_pooled[: rows.present, half:]
        return d_hidden, {}

    def step(self, hidden: Floats, count: int, carried: Floats, weights: Weights) -> tuple[Floats, Floats]:
        """The row itself."""
        return hidden, hidden[-1]


class Maximum(Head):
    """The largest value of each feature over the sequence's steps; saves the rows of the maxima [B, F]."""

    def forward(self, rows: Rows) -> tuple[Floats, Any]:
        """Of equal values the earliest counts."""
        pooled = np.zeros((rows.packing.sequences, rows.hidden.shape[1]), rows.hidden.dtype)
        where = np.zeros(pooled.shape, np.int32)
        _by_sequence(_maxima, rows, pooled, where)
        return pooled, where

    def backward(self, d_pooled: Floats, rows: Rows, saved: Any) -> tuple[Floats, dict[str, Floats]]:
        """Each maximum's row takes all."""
        return _add_to_maxima(_zeros(rows), d_pooled, rows, saved), {}

    def step(self, hidden: Floats, count: int, carried: Floats, weights: Weights) -> tuple[Floats, Floats]:
        """Carries the maxima so far."""
        pooled = np.maximum.accumulate(np.concatenate([carried[None], hidden]) if count else hidden)
        return pooled[-len(hidden) :], pooled[-1]


class Mean(Head):
    """The mean of each feature over the sequence's own steps."""

    def forward(self, rows: Rows) -> tuple[Floats, Any]:
        """The sum of its rows over its length."""
        sums = _weighted_sums(rows, np.ones(len(rows.hidden), rows.hidden.dtype))
        return sums / _lengths(rows), None

    def backward(self, d_pooled: Floats, rows: Rows, saved: Any) -> tuple[Floats, dict[str, Floats]]:
        """Every row takes as much."""
        return copied_rows(d_pooled / _lengths(rows), rows.sequence), {}

    def step(self, hidden: Floats, count: int, carried: Floats, weights: Weights) -> tuple[Floats, Floats]:
        """Carries the sums so far."""
        sums = np.add.accumulate(np.concatenate([carried[None], hidden]))[1:]
        steps = np.arange(count + 1, count + 1 + len(hidden)).astype(hidden.dtype)
        return np.divide(sums, steps[:, None], dtype=hidden.dtype), sums[-1]


class MaximumAndMean(Head):
    """Maxima, then means: [B, 2F]."""

    def width(self, features: int) -> int:
        """Both."""
        return 2 * features

    def forward(self, rows: Rows) -> tuple[Floats, Any]:
        """Saves what the maximum does."""
        highest, where = HEADS["max"].forward(rows)
        return np.concatenate([highest, HEADS["mean"].forward(rows)[0]], axis=1), where

    def backward(self, d_pooled: Floats, rows: Rows, saved: Any) -> tuple[Floats, dict[str, Floats]]:
        """The sum of both."""
        highest, mean = np.split(d_pooled, 2, axis=1)
        d_hidden, _ = HEADS["mean"].backward(mean, rows, None)
        return _add_to_maxima(d_hidden, highest, rows, saved), {}

    def carried(self, features: int, outputs: int) -> int:
        """Maxima and sums."""
        return 2 * features

    def step(self, hidden: Floats, count: int, carried: Floats, weights: Weights) -> tuple[Floats, Floats]:
        """Both."""
        most, sums = np.split(carried, 2)
        highest, most = HEADS["max"].step(hidden, count, most, weights)
        mean, sums = HEADS["mean"].step(hidden, count, sums, weights)
        return np.concatenate([highest, mean], axis=1), np.concatenate([most, sums])


class Attention(Head):
    """Rows weighted by softmax(hidden · query / √F) over the sequence's own steps; saves these weights [N].

    One learned query [F] stands for "what is telling?" (Yang et al. 2016, eq. 6, with scaled dot products for
    scores); at zero it is the mean.
    """

    causal = False

    def shapes(self, features: int) -> dict[str, tuple[int, ...]]:
        """The query."""
        return {"query": (features,)}

    def forward(self, rows: Rows) -> tuple[Floats, Any]:
        """Each sequence's largest score is taken off first, so that no exponential overflows."""
        scores = (rows.hidden * _scaled_query(rows)).sum(1)
        weight = np.exp(scores - _of_sequence(np.maximum, scores, rows))
        weight /= _of_sequence(np.add, weight, rows)
        return _weighted_sums(rows, weight), weight

    def backward(self, d_pooled: Floats, rows: Rows, saved: Any) -> tuple[Floats, dict[str, Floats]]:
        """The query's too."""
        query, given = _scaled_query(rows), copied_rows(d_pooled, rows.sequence)
        d_weight = (given * rows.hidden).sum(1)
        d_score = saved * (d_weight - _of_sequence(np.add, saved * d_weight, rows))
        d_query = (d_score[:, None] * rows.hidden).sum(0) * rows.hidden.dtype.type(len(query) ** -0.5)
        return saved[:, None] * given + d_score[:, None] * query, {"query": d_query}


class Flatten(Head):
    """Logits [B, O]: a dense layer on all steps side by side, absent steps counting as zeros.

    weights: "weight" [O, max_length · F], columns step after step, and "bias" [O]. The same numbers as
    flattening a zero-padded [B, max_length, F] array, which is never built.
    """

    gives_logits = True

    def forward(self, rows: Rows) -> tuple[Floats, Any]:
        """Raises DataError for a sequence longer than max_length."""
        (hidden, packing, weights, _), weight = rows, rows.weights["weight"]
        if packing.steps * hidden.shape[1] > weight.shape[1]:
            raise DataError(
                f"a sequence has {packing.steps} steps and the dense layer has weights for "
                f"{weight.shape[1] // hidden.shape[1]}; cut the sequences to that length"
            )
        logits = np.empty((packing.sequences, len(weight)), hidden.dtype)
        _by_sequence(_flatten, rows, weight, weights["bias"], logits, work=len(weight) * FLATTEN_WORK)
        return logits, None

    def backward(self, d_pooled: Floats, rows: Rows, saved: Any) -> tuple[Floats, dict[str, Floats]]:
        """Those of the dense layer too."""
        hidden, packing, weights, _ = rows
        d_hidden = buffers.empty(hidden.shape, hidden.dtype)
        d_weight = np.zeros_like(weights["weight"])
        given = d_pooled, hidden, packing.first, packing.alive, weights["weight"], d_hidden, d_weight
        threads.run_compiled(_flatten_backward, given, hidden.size * len(d_weight) * FLATTEN_WORK)
        return d_hidden, {"weight": d_weight, "bias": d_pooled.sum(0)}

    def carried(self, features: int, outputs: int) -> int:
        """A sum for each feature and output."""
        return features * outputs

    def step(self, hidden: Floats, count: int, carried: Floats, weights: Weights) -> tuple[Floats, Floats]:
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


HEADS: dict[str, Head] = {
    "last": Last(),
    "max": Maximum(),
    "mean": Mean(),
    "max+mean": MaximumAndMean(),
    "attention": Attention(),
    "flatten": Flatten(),
}


def contributions(name: str, weight: Floats, rows: Rows) -> Floats:
    """What each hidden row adds to `weight` · pooled, exactly: [N]; attention's weights count as given.

    `weight` [B, width], or for "flatten" [B, O] of its logits.
    """
    head = HEADS[name]
    if name == "attention":  # without a query the weights' own gradient is nothing
        _, saved = head.forward(rows)
        rows = rows._replace(weights={"query": np.zeros_like(rows.weights["query"])})
    else:
        _, saved = head.forward(rows)
    d_hidden, _ = head.backward(weight, rows, saved)
    found: Floats = (rows.hidden * d_hidden).sum(1)
    return found


def _ends(rows: Rows) -> Ints:
    """The row of each last step, of the sequences that are not empty."""
    ends: Ints = rows.packing.first[rows.packing.lengths[: rows.present] - 1] + np.arange(rows.present)
    return ends


def _zeros(rows: Rows) -> Floats:
    return buffers.zeros(rows.hidden.shape, rows.hidden.dtype)


def _lengths(rows: Rows) -> Floats:
    """[B, 1], at least 1."""
    return np.maximum(rows.packing.lengths, 1).astype(rows.hidden.dtype)[:, None]


def _scaled_query(rows: Rows) -> Floats:
    query: Floats = rows.weights["query"] * rows.hidden.dtype.type(rows.hidden.shape[1] ** -0.5)
    return query


def _of_sequence(reduce: np.ufunc, values: Floats, rows: Rows) -> Floats:
    """values [N] → what `reduce` makes of each row's whole sequence [N]."""
    if not len(values):
        return values
    sequence = rows.sequence
    lengths = rows.packing.lengths[: rows.present]
    found = reduce.reduceat(values[np.argsort(sequence, kind="stable")], np.cumsum(lengths) - lengths)
    result: Floats = found[sequence]
    return result


def _weighted_sums(rows: Rows, weight: Floats) -> Floats:
    """The sum [B, F] of each sequence's rows times weight [N]."""
    sums = np.zeros((rows.packing.sequences, rows.hidden.shape[1]), rows.hidden.dtype)
    _by_sequence(_add_weighted, rows, weight, sums)
    return sums


def _add_to_maxima(d_hidden: Floats, d_pooled: Floats, rows: Rows, where: Any) -> Floats:
    present = rows.present
    d_hidden[where[:present], np.arange(d_pooled.shape[1])] += d_pooled[:present]
    return d_hidden


def _by_sequence(kernel: Any, rows: Rows, *given: Any, work: int = 1) -> None:
    """Call kernel(hidden, first, alive, *given), which shares the sequences among threads."""
    whole = rows.hidden, rows.packing.first, rows.packing.alive, *given
    threads.run_compiled(kernel, whole, rows.hidden.size * work)


@compiled
def _part_of(count: int, parts: int, k: int) -> tuple[int, int]:
    """Begin and end of the k-th of so many parts."""
    return count * k // parts, count * (k + 1) // parts


@compiled
def _maxima_part(
    hidden: Any, first: Ints, alive: Ints, pooled: Any, where: Any, parts: int, part: int
) -> None:
    """The maxima pooled[B, F] of a part of the sequences, and where[B, F], their rows."""
    begin, end = _part_of(len(pooled), parts, part)
    for t in range(alive.shape[0]):
        for k in range(begin, min(end, alive[t])):
            row = first[t] + k
            number = np.int32(row)
            values, best, best_row = hidden[row], pooled[k], where[k]
            for j in range(pooled.shape[1]):
                value, so_far = values[j], best[j]
                # A NaN must be seen in the result, so it beats every number.
                better = (t == 0) | (value > so_far) | (value != value)
                best[j] = value if better else so_far
                best_row[j] = number if better else best_row[j]


@compiled
def _maxima(hidden: Any, first: Any, alive: Any, pooled: Any, where: Any, pool: Any, helpers: int) -> int:
    given = hidden, first, alive, pooled, where, helpers + 1
    return int(parallel_for(_maxima_part, given, pool, helpers, helpers + 1))


@compiled
def _weighted_part(
    hidden: Any, first: Ints, alive: Ints, weight: Any, sums: Any, parts: int, part: int
) -> None:  # fmt: skip
    """Add to sums[B, F] of a part of the sequences their rows times weight[N]."""
    begin, end = _part_of(len(sums), parts, part)
    for t in range(alive.shape[0]):
        for k in range(begin, min(end, alive[t])):
            row = first[t] + k
            factor, values, total = weight[row], hidden[row], sums[k]
            for j in range(sums.shape[1]):
                total[j] += factor * values[j]


@compiled
def _add_weighted(
    hidden: Any, first: Any, alive: Any, weight: Any, sums: Any, pool: Any, helpers: int
) -> int:  # fmt: skip
    given = hidden, first, alive, weight, sums, helpers + 1
    return int(parallel_for(_weighted_part, given, pool, helpers, helpers + 1))


@compiled
def _flatten_part(
    hidden: Any, first: Ints, alive: Ints, weight: Any, bias: Any, logits: Any, parts: int, part: int
) -> None:  # fmt: skip
    """hidden[N, F], weight[O, T_max · F] (columns step after step), bias[O] → some rows of logits[B, O]."""
    begin, end = _part_of(len(logits), parts, part)
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
def _flatten(
    hidden: Any, first: Any, alive: Any, weight: Any, bias: Any, logits: Any, pool: Any, helpers: int
) -> int:  # fmt: skip
    given = hidden, first, alive, weight, bias, logits, helpers + 1
    return int(parallel_for(_flatten_part, given, pool, helpers, helpers + 1))


@compiled
def _flatten_back_part(
    d_logits: Any, hidden: Any, first: Ints, alive: Ints, weight: Any, d_hidden: Any, d_weight: Any,
    parts: int, part: int,
) -> None:  # fmt: skip
    """d_logits[B, O] → some steps of d_hidden[N, F], and of d_weight[O, T_max · F], where they are added."""
    begin, end = _part_of(len(alive), parts, part)
    outputs, features, width = d_logits.shape[1], hidden.shape[1], weight.shape[1]
    for t in range(begin, end):
        d_hidden[first[t] : first[t] + alive[t]] = 0
        for o in range(outputs):
            columns = o * width + t * features
            for k in range(alive[t]):
                at = (first[t] + k) * features
                add_scaled_row(weight, columns, d_logits[k, o], d_hidden, at, features)
                add_scaled_row(hidden, at, d_logits[k, o], d_weight, columns, features)


@compiled
def _flatten_backward(
    d_logits: Any, hidden: Any, first: Any, alive: Any, weight: Any, d_hidden: Any, d_weight: Any, pool: Any,
    helpers: int,
) -> int:  # fmt: skip
    given = d_logits, hidden, first, alive, weight, d_hidden, d_weight, helpers + 1
    return int(parallel_for(_flatten_back_part, given, pool, helpers, helpers + 1))
