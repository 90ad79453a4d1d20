"""One stream drawn from a recurrent stack and an output layer, id after id, in one compiled loop.

Each id reads all weights, which are soon more than the nearer caches hold; threads that each read a part of
them take as much less time. They meet after each layer. What they compute does not depend on their number,
and the arithmetic of a step is that of `kernels.forward`, to the bit. Knows arrays and ids, no text.

Legend: L layers, H hidden size, G a layer's columns (gates times H), V vocabulary. The units of a layer stand
in b blocks of w, the last ones filled up with zeros; g is a block's columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.nn import threads
from gatelight.nn.buffers import aligned
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.recurrence_forward import cell_weights
from gatelight.nn.sampling import Drawing, choose
from gatelight.nn.signals import ALONE, LATE, LEFT, ROW, meet
from gatelight.nn.stepping import advance
from gatelight.nn.tiles import multiply

Floats = NDArray[Any]
Ids = NDArray[np.int32]

PANEL = 128
"""Columns of weights that lie together: one row's product then reads memory from end to end."""

PART = 1 << 18
"""Weights for which another thread is worth the meetings."""

DISTURBED = 3
"""Long waits after which threads part: somebody else wants their processors."""

FEW_APART, MOST_APART = 2, 256
"""Runs after which they try again; twice as many after each time that they are disturbed, up to the most."""


class Written(NamedTuple):
    """The ids drawn, and after the last of them scores [V] and states [L, H] and [L, C]."""

    ids: Ids
    scores: Floats
    h: Floats
    c: Floats


class StreamLoop:
    """Fixed weights, in the order in which the loop reads them."""

    def __init__(
        self,
        cell: str,
        table: Floats,  # [V, G] the first layer's input products with bias
        upper: Sequence[tuple[Floats, Floats]],  # input weight [G, H] and bias [G] of each other layer
        recurrent: Sequence[tuple[Floats, Floats]],  # the same of each layer's recurrent product
        peephole: Sequence[Floats],  # [3, H] of each layer, if the cell has them
        output: tuple[Floats, Floats],  # [V, H] and [V]
    ) -> None:
        equation = EQUATIONS[cell]
        gates, size = len(equation.gates), recurrent[0][0].shape[1]
        blocks = -(-size // max(1, PANEL // gates))
        width = -(-size // blocks)
        self._shape, self._saved, self._cell_state = (
            (blocks, width),
            len(equation.saved),
            equation.has_cell_state,
        )

        def of(columns: Floats, parts: int = gates) -> Floats:  # [..., parts·H] → [..., b, parts·w]
            front = columns.shape[:-1]
            whole = np.zeros((*front, parts, blocks * width), columns.dtype)
            whole[..., :size] = columns.reshape(*front, parts, size)
            apart = whole.reshape(*front, parts, blocks, width).swapaxes(-2, -3)
            return apart.reshape(*front, blocks, parts * width)

        def matrices(weights: Sequence[Floats]) -> Floats:  # each [G, H] → all [·b, H, g]
            every = [np.moveaxis(of(weight.T), 1, 0) for weight in weights]
            return (
                aligned(np.concatenate(every)) if every else np.zeros((0, size, gates * width), table.dtype)
            )

        def rows(biases: Sequence[Floats]) -> Floats:  # each [G] → all [·b, g]
            every = [of(bias) for bias in biases]
            return np.concatenate(every) if every else np.zeros((0, gates * width), table.dtype)

        peepholes = [of(weight.reshape(-1), 3).reshape(blocks, 3, width) for weight in peephole]
        ids = len(output[0])
        wide = min(PANEL, 16 * -(-ids // 32))
        panels = -(-ids // wide)
        output_weight = np.zeros((panels * wide, size), table.dtype)
        output_weight[:ids] = output[0]
        self._weights = (
            cell_weights(cell, np.concatenate(peepholes) if peepholes else None, table.dtype),
            of(table).reshape(-1, gates * width),
            matrices([weight for weight, _ in upper]),
            rows([bias for _, bias in upper]),
            matrices([weight for weight, _ in recurrent]),
            rows([bias for _, bias in recurrent]),
            aligned(output_weight.reshape(panels, wide, size).swapaxes(1, 2)),
            np.ascontiguousarray(output[1]),
        )
        self._read = sum(weights.size for weights in self._weights[2::2])
        self._alone, self._apart = 0, FEW_APART

    def write(
        self, h: Floats, c: Floats, scores: Floats, allowed: NDArray[np.bool_], how: Drawing,
        draws: NDArray[np.float64], stop: int,
    ) -> Written:  # fmt: skip
        """Draw an id for each number of `draws` [n] in [0, 1), up to and with the id `stop` (or -1).

        Each is read before the next is drawn. States h [L, H] and c [L, H], or [L, 0], are those before the
        first, and so are `scores` [V]; nothing is written to.
        """
        (blocks, width), (layers, size) = self._shape, h.shape
        hidden = np.zeros((2, layers, blocks * width), h.dtype)
        hidden[0, :, :size] = h
        cells = np.zeros((layers, blocks * width), h.dtype)
        cells[:, : c.shape[1]] = c
        own = hidden[0].reshape(-1, width).copy()
        c = cells.reshape(-1, width) if self._cell_state else np.zeros((layers * blocks, 0), h.dtype)
        scores, out, done = scores.copy(), np.empty(len(draws), np.int32), 0
        while done < len(draws) and not (done and out[done - 1] == stop):
            state = own, c, hidden.reshape(-1, width), scores
            done += self._run(state, allowed, how, draws[done:], stop, out[done:])
            hidden[0] = own.reshape(layers, -1)
        after = cells[:, :size] if self._cell_state else cells[:, :0]
        return Written(out[:done], scores, hidden[0, :, :size].copy(), after)

    def _run(
        self, state: tuple[Floats, ...], allowed: NDArray[np.bool_], how: Drawing,
        draws: NDArray[np.float64], stop: int, out: Ids,
    ) -> int:  # fmt: skip
        """Draw until the end or the id `stop`, or until threads are disturbed; how many."""
        scores = state[-1]
        parts = min(threads.threads(), threads.available(), self._shape[0], 1 + self._read // PART)
        if self._alone:
            parts, self._alone = 1, self._alone - 1

        drawn = np.zeros(1, np.int64)
        how_drawn = how.temperature, how.top_k, how.top_p

        def tasks(signals: NDArray[np.int64]) -> list[threads.Task]:
            return [
                partial(
                    _draw, *self._weights, *state, np.empty((0, self._saved * self._shape[1]), scores.dtype),
                    allowed, *how_drawn, draws, stop, out, drawn, signals, part, DISTURBED,
                )
                for part in range(len(signals))
            ]  # fmt: skip

        signals = np.zeros((parts, ROW), np.int64)

        def leave() -> None:
            signals[0, LEFT] = 1

        if parts == 1 or not threads.together(tasks(signals), leave):
            tasks(np.zeros((1, ROW), np.int64))[0]()
        elif drawn[0] < len(draws) and out[drawn[0] - 1] != stop:
            self._alone, self._apart = self._apart, min(2 * self._apart, MOST_APART)
        else:
            self._apart = FEW_APART
        return int(drawn[0])


@compiled
def _draw(
    cell: Any,  # peephole weights, if any, are [L·b, 3, w]
    table: Floats,  # [V·b, g]
    input_weight: Floats,  # [(L - 1)·b, H, g]
    input_bias: Floats,  # [(L - 1)·b, g]
    weight: Floats,  # [L·b, H, g]
    bias: Floats,  # [L·b, g]
    output_weight: Floats,  # [panels, H, columns]
    output_bias: Floats,  # [V]
    h: Floats,  # [L·b, w] state, replaced
    c: Floats,  # as h, or [L·b, 0] for cells without a cell state; replaced
    hidden: Floats,  # [2·L·b, w]: the state once more, for all to read, then written to by turns
    scores: Floats,  # [V] replaced
    saved: Floats,  # [0, S·w]: nothing is kept
    allowed: NDArray[np.bool_],  # [V]
    temperature: float,
    top_k: int,
    top_p: float,
    draws: NDArray[np.float64],  # [n]
    stop: int,
    out: Ids,  # [n] out
    drawn: NDArray[np.int64],  # [1] out: how many
    signals: NDArray[np.int64],  # [parts, ROW]: how far each is, and whether it has been disturbed
    part: int,
    patience: int,  # long waits after which it is disturbed
) -> None:
    """Compute one part's blocks of each layer, and its panels of scores; the others must run beside it."""
    H, g = weight.shape[1:]
    V, w = allowed.shape[0], h.shape[1]
    b = table.shape[0] // V
    L, parts = h.shape[0] // b, signals.shape[0]
    begin, end = b * part // parts, b * (part + 1) // parts
    panels, _, wide = output_weight.shape
    x, u = np.empty((1, g), table.dtype), np.empty((b, g), table.dtype)
    row = np.zeros(1, np.int32)
    meetings, waits, half = 0, 0, L * b
    for n in range(draws.shape[0]):
        token = choose(scores, allowed, temperature, top_k, top_p, draws[n])  # each finds the same
        out[n] = token
        old, new = (0, half) if n % 2 == 0 else (half, 0)
        for layer in range(L):
            first = layer * b
            for k in range(first + begin, first + end):
                multiply(
                    hidden, (old + first) * w, H, 1, weight, k * H * g, g, bias, k * g, 0,
                    u, (k - first) * g, g, 1, H, g,
                )  # fmt: skip
            if layer > 0:
                meetings += 1
                met = meet(signals, part, meetings)
                if met == ALONE:
                    return
                waits += met == LATE
            for k in range(begin, end):
                own = first + k
                if layer == 0:
                    row[0] = token * b + k
                    advance(
                        cell, own, 0, 1, table, row, 0, u, k, h, c, own, saved, c, 0,
                        hidden, new + own, h, None, w,
                    )  # fmt: skip
                else:
                    row[0] = 0
                    multiply(
                        hidden, (new + first - b) * w, H, 1, input_weight, (own - b) * H * g, g,
                        input_bias, (own - b) * g, 0, x, 0, g, 1, H, g,
                    )  # fmt: skip
                    advance(
                        cell, own, 0, 1, x, row, 0, u, k, h, c, own, saved, c, 0,
                        hidden, new + own, h, None, w,
                    )  # fmt: skip
        meetings += 1
        met = meet(signals, part, meetings)
        if met == ALONE:
            return
        waits += met == LATE
        for panel in range(panels * part // parts, panels * (part + 1) // parts):
            at = panel * wide
            multiply(
                hidden, (new + half - b) * w, H, 1, output_weight, at * H, wide, output_bias, at, 0,
                scores, at, V, 1, H, min(wide, V - at),
            )  # fmt: skip
        signals[part, 1] = waits >= patience and parts > 1
        meetings += 1
        met = meet(signals, part, meetings)
        if met == ALONE:
            return
        waits += met == LATE
        disturbed = False
        for other in range(parts):
            disturbed |= signals[other, 1] > 0
        if token == stop or disturbed or n + 1 == draws.shape[0]:
            drawn[0] = n + 1
            return
