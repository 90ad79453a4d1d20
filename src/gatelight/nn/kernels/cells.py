"""One time step of each cell, forward and backward, in vector registers: the equations, and where they are.

The readable equations are in equations.py; these are the same, from which compiled code is written. A cell is
a NamedTuple class: the kernels are compiled once for each, and kept in Numba's cache. Arrays are C-contiguous
and of one dtype, float32 or float64.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from numba.core import cgutils, types
from numba.extending import intrinsic

from gatelight.nn.equations import EQUATIONS
from gatelight.nn.kernels.simd import INDEX, Lanes, Vectors, fused, loop, over_parts, sigmoid, tanh

# What tells the kernels the cell: the peepholes i, f, o [directions, 3, H], or in other cells a placeholder.
RNNCell = namedtuple("RNNCell", "peephole")
LSTMCell = namedtuple("LSTMCell", "peephole")
PeepholeCell = namedtuple("PeepholeCell", "peephole")
GRUCell = namedtuple("GRUCell", "peephole")

Several = list[Lanes]

# Forward: x, u the blocks of the input and the recurrent product, state c (h where a cell has none), p the
# peepholes; returned are what is saved, the cell state and the hidden state.


def _rnn(x: Several, u: Several, h: Lanes, p: Several) -> tuple[Several, Lanes | None, Lanes]:
    return [], None, tanh(x[0] + u[0])


def _lstm(x: Several, u: Several, c: Lanes, p: Several) -> tuple[Several, Lanes | None, Lanes]:
    i = sigmoid(x[0] + u[0])
    f = sigmoid(x[1] + u[1])
    g = tanh(x[2] + u[2])
    o = sigmoid(x[3] + u[3])
    c = fused(i, g, f * c)
    return [i, f, g, o], c, o * tanh(c)


def _peephole(x: Several, u: Several, c: Lanes, p: Several) -> tuple[Several, Lanes | None, Lanes]:
    i = sigmoid(x[0] + u[0] + p[0] * c)
    f = sigmoid(x[1] + u[1] + p[1] * c)
    g = tanh(x[2] + u[2])
    c = fused(i, g, f * c)
    o = sigmoid(x[3] + u[3] + p[2] * c)
    return [i, f, g, o], c, o * tanh(c)


def _gru(x: Several, u: Several, h: Lanes, p: Several) -> tuple[Several, Lanes | None, Lanes]:
    r = sigmoid(x[0] + u[0])
    z = sigmoid(x[1] + u[1])
    n = tanh(x[2] + r * u[2])
    return [r, z, n, u[2]], None, fused(z, h, (1.0 - z) * n)


# Backward: what was saved, the state c (h) before the step, c and h after it, the gradients d_h of the hidden
# and d_c of the cell state; returned are the gradient's blocks of x and, where they are others, of u, then
# d_c and d_h before the step, less what passes through the recurrent product, and what is added to the
# peepholes' gradient.

Back = tuple[Several, Several | None, Lanes | None, Lanes | None, Several]


def _rnn_back(saved: Several, before: Lanes, c: Lanes, h: Lanes, d_h: Lanes, d_c: Lanes, p: Several) -> Back:
    return [d_h * (1.0 - h * h)], None, None, None, []


def _lstm_back(saved: Several, before: Lanes, c: Lanes, h: Lanes, d_h: Lanes, d_c: Lanes, p: Several) -> Back:
    i, f, g, o = saved
    squashed = tanh(c)
    d_c = d_c + d_h * o * (1.0 - squashed * squashed)
    d_i = d_c * g * i * (1.0 - i)
    d_f = d_c * before * f * (1.0 - f)
    d_g = d_c * i * (1.0 - g * g)
    d_o = d_h * squashed * o * (1.0 - o)
    return [d_i, d_f, d_g, d_o], None, d_c * f, None, []


def _peephole_back(
    saved: Several, before: Lanes, c: Lanes, h: Lanes, d_h: Lanes, d_c: Lanes, p: Several
) -> Back:
    i, f, g, o = saved
    squashed = tanh(c)
    d_o = d_h * squashed * o * (1.0 - o)
    d_c = d_c + d_h * o * (1.0 - squashed * squashed) + d_o * p[2]
    d_i = d_c * g * i * (1.0 - i)
    d_f = d_c * before * f * (1.0 - f)
    d_g = d_c * i * (1.0 - g * g)
    d_before = fused(d_c, f, d_i * p[0]) + d_f * p[1]
    return [d_i, d_f, d_g, d_o], None, d_before, None, [d_i * before, d_f * before, d_o * c]


def _gru_back(saved: Several, before: Lanes, c: Lanes, h: Lanes, d_h: Lanes, d_c: Lanes, p: Several) -> Back:
    r, z, n, recurrent = saved
    d_n = d_h * (1.0 - z) * (1.0 - n * n)
    d_r = d_n * recurrent * r * (1.0 - r)
    d_z = d_h * (before - n) * z * (1.0 - z)
    return [d_r, d_z, d_n], [d_r, d_z, d_n * r], None, d_h * z, []


class Step(NamedTuple):
    """A cell's step both ways."""

    weights: type  # the cell's class above
    forward: Callable[..., Any]
    backward: Callable[..., Back]
    one_gradient: bool = True  # whether the recurrent product's is that of the input projection


STEPS = {
    "rnn": Step(RNNCell, _rnn, _rnn_back),
    "lstm": Step(LSTMCell, _lstm, _lstm_back),
    "peephole": Step(PeepholeCell, _peephole, _peephole_back),
    "gru": Step(GRUCell, _gru, _gru_back, one_gradient=False),
}


def _step_of(weights: type) -> tuple[str, Step]:
    return next((name, step) for name, step in STEPS.items() if step.weights is weights)


class _Array:
    """Address and sizes of an array argument."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        self.builder, self.array = builder, context.make_array(kind)(context, builder, value=value)
        self.shape = cgutils.unpack_tuple(builder, self.array.shape, kind.ndim)

    def at(self, row: Any, column: Any) -> Any:
        """Address of an element of an array taken as rows of its last size."""
        return self.builder.gep(
            self.array.data, [self.builder.add(self.builder.mul(row, self.shape[-1]), column)]
        )


class _Blocks:
    """Loads and stores blocks of H that stand one after the other, at the same lanes of each."""

    def __init__(self, vectors: Vectors, size: Any, first: Any) -> None:
        self.vectors, self.size, self.first = vectors, size, first

    def _place(self, where: Any, block: int) -> Any:
        builder = self.vectors.builder
        return builder.gep(where, [builder.add(self.first, builder.mul(self.size, INDEX(block)))])

    def load(self, where: Any, blocks: int) -> list[Lanes]:
        """The blocks from the address `where` on."""
        places = (self._place(where, k) for k in range(blocks))
        return [Lanes(self.vectors, self.vectors.load(place)) for place in places]

    def store(self, values: list[Lanes], where: Any) -> None:
        """Write the blocks from the address `where` on."""
        for block, value in enumerate(values):
            self.vectors.store(value.value, self._place(where, block))

    def add(self, values: list[Lanes], where: Any) -> None:
        """Add to the blocks from the address `where` on."""
        before = self.load(where, len(values))
        self.store([one + value for one, value in zip(before, values, strict=True)], where)


def _arguments(context: Any, builder: Any, names: str, signature: Any, values: Any) -> dict[str, Any]:
    def given(kind: Any, value: Any) -> Any:
        return _Array(context, builder, kind, value) if isinstance(kind, types.Array) else value

    return dict(zip(names.split(), map(given, signature.args, values), strict=True))


def _signature(given: tuple[Any, ...]) -> Any:
    cell, *rest = given
    return types.void(cell, *(types.int64 if isinstance(g, types.Integer) else g for g in rest))


def _peepholes(context: Any, builder: Any, kind: Any, cell: Any, name: str) -> tuple[_Array, int]:
    array = _Array(context, builder, kind.types[0], builder.extract_value(cell, 0))
    return array, len(EQUATIONS[name].peepholes)


FORWARD = "cell which d n table token row u h c state saved cells hidden out"


@intrinsic  # type: ignore[untyped-decorator]
def step_forward(
    typingctx: Any, cell: Any, which: Any, d: Any, n: Any, table: Any, token: Any, row: Any, u: Any, h: Any,
    c: Any, state: Any, saved: Any, cells: Any, hidden: Any, out: Any,
) -> Any:  # fmt: skip
    """Take n sequences one step forward in direction d, for compiled callers; unchecked.

    The k-th reads its input projection from row token[row + k] of table [U, directions·(≥ G)], its recurrent
    product with bias from row k of u, and its state from row state + k of h and c, which it replaces. It
    writes row out + k of hidden [·, directions·H] and, if saved has rows, of saved [·, directions·S·H] and of
    cells [·, directions·C]. `which` is the row of the cell's own weights.
    """
    given = cell, which, d, n, table, token, row, u, h, c, state, saved, cells, hidden, out
    name, step = _step_of(cell.instance_class)
    equation = EQUATIONS[name]

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        a = _arguments(context, builder, FORWARD, signature, values)
        vectors = Vectors(builder, context.get_data_type(h.dtype))
        size, d, gates = a["h"].shape[-1], a["d"], len(equation.gates)
        own, peepholes = _peepholes(context, builder, cell, a["cell"], name)
        weights = own.at(builder.mul(a["which"], INDEX(3)), INDEX(0))
        keeps = builder.icmp_signed(">", a["saved"].shape[0], INDEX(0))
        directions = builder.sdiv(a["hidden"].shape[-1], size)
        products = builder.mul(d, builder.sdiv(a["table"].shape[-1], directions))

        def block(count: int) -> Any:
            return builder.mul(d, builder.mul(size, INDEX(count)))

        def some(k: Any, part: Vectors, first: Any) -> None:
            blocks, at = _Blocks(part, size, first), builder.add(a["out"], k)
            row = builder.load(a["token"].at(INDEX(0), builder.add(a["row"], k)))
            h, c = (a[name].at(builder.add(a["state"], k), INDEX(0)) for name in ("h", "c"))
            kept, after, value = step.forward(
                blocks.load(a["table"].at(builder.sext(row, INDEX), products), gates),
                blocks.load(a["u"].at(k, INDEX(0)), gates),
                blocks.load(c if equation.has_cell_state else h, 1)[0],
                blocks.load(weights, peepholes),
            )
            if after is not None:
                blocks.store([after], c)
            blocks.store([value], h)
            blocks.store([value], a["hidden"].at(at, block(1)))
            with builder.if_then(keeps):
                blocks.store(kept, a["saved"].at(at, block(len(equation.saved))))
                if after is not None:
                    blocks.store([after], a["cells"].at(at, block(1)))

        loop(builder, a["n"], lambda k: over_parts(vectors, size, partial(some, k)))
        return context.get_dummy_value()

    return _signature(given), codegen


BACKWARD = (
    "cell d n row known before sequence h_0 c_0 saved cells hidden d_hidden d_h d_c d_x d_u out sums of_cell"
)


@intrinsic  # type: ignore[untyped-decorator]
def step_backward(
    typingctx: Any, cell: Any, d: Any, n: Any, row: Any, known: Any, before: Any, sequence: Any, h_0: Any,
    c_0: Any, saved: Any, cells: Any, hidden: Any, d_hidden: Any, d_h: Any, d_c: Any, d_x: Any, d_u: Any,
    out: Any, sums: Any, of_cell: Any,
) -> Any:  # fmt: skip
    """Take n sequences one step back, as `step_forward` takes them forward.

    The k-th reads and writes row `row` + k of all that has packed rows. The state before it is in row
    `before` + k for the first `known` of them, and for the others the initial one of sequence `sequence` + k.
    Rows k of d_h and d_c are the gradients of the state after the step, replaced by those of the state before
    it, less what passes through the recurrent product. The gradients of the input projection are written to
    row `out` + k of d_x and those of the recurrent product to that of d_u [·, ≥ G], which may be d_x where a
    cell's are the same; to rows of_cell, + 1 and + 2 of sums [·, H] is added.
    """
    given = (
        cell, d, n, row, known, before, sequence, h_0, c_0, saved, cells, hidden, d_hidden, d_h, d_c, d_x,
        d_u, out, sums, of_cell,
    )  # fmt: skip
    name, step = _step_of(cell.instance_class)
    equation = EQUATIONS[name]

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        a = _arguments(context, builder, BACKWARD, signature, values)
        vectors = Vectors(builder, context.get_data_type(d_h.dtype))
        size, d = a["d_h"].shape[-1], a["d"]
        own, peepholes = _peepholes(context, builder, cell, a["cell"], name)
        weights = own.at(builder.mul(d, INDEX(3)), INDEX(0))
        cell_state = equation.has_cell_state
        states, initial = (a["cells"], a["c_0"]) if cell_state else (a["hidden"], a["h_0"])

        def block(count: int) -> Any:
            return builder.mul(d, builder.mul(size, INDEX(count)))

        def some(k: Any, part: Vectors, first: Any) -> None:
            blocks, row = _Blocks(part, size, first), builder.add(a["row"], k)
            zero = Lanes(part, part.number(0.0))

            def at(name: str, count: int) -> Any:
                return a[name].at(row, block(count))

            first_state = builder.add(builder.mul(d, initial.shape[1]), builder.add(a["sequence"], k))
            before = builder.select(
                builder.icmp_signed("<", k, a["known"]),
                states.at(builder.add(a["before"], k), block(1)),
                initial.at(first_state, INDEX(0)),
            )
            d_h, d_c = (a[name].at(k, INDEX(0)) for name in ("d_h", "d_c"))
            of_x, of_u, d_before, passed, added = step.backward(
                blocks.load(at("saved", len(equation.saved)), len(equation.saved)),
                blocks.load(before, 1)[0],
                blocks.load(at("cells", 1), 1)[0] if cell_state else zero,
                blocks.load(at("hidden", 1), 1)[0],
                blocks.load(d_h, 1)[0] + blocks.load(at("d_hidden", 1), 1)[0],
                blocks.load(d_c, 1)[0] if cell_state else zero,
                blocks.load(weights, peepholes),
            )
            blocks.store(of_x, a["d_x"].at(builder.add(a["out"], k), INDEX(0)))
            if of_u is not None:
                blocks.store(of_u, a["d_u"].at(builder.add(a["out"], k), INDEX(0)))
            if d_before is not None:
                blocks.store([d_before], d_c)
            blocks.store([zero if passed is None else passed], d_h)
            blocks.add(added, a["sums"].at(a["of_cell"], INDEX(0)))

        loop(builder, a["n"], lambda k: over_parts(vectors, size, partial(some, k)))
        return context.get_dummy_value()

    return _signature(given), codegen
