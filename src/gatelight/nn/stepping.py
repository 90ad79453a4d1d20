"""A step of several sequences, forward or backward, as LLVM code that Numba compiles; knows no equations.

The equations are in steps.py; here is where their numbers stand in arrays. Arrays are C-contiguous and of one
dtype, float32 or float64.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic

from gatelight.nn.equations import EQUATIONS
from gatelight.nn.lanes import INDEX, VECTOR_BYTES, Lanes, Vectors, apart, joined, over_rows
from gatelight.nn.steps import BLOCKS, STEPS

TOGETHER = 2 if VECTOR_BYTES == 64 else 1
"""Registers computed side by side on the way forward, where one alone waits for its own tanh."""


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
    """Loads and stores blocks of H that stand one after the other, at the same lanes of each.

    Addresses come as lists, one for each row of which these lanes are computed side by side.
    """

    def __init__(self, part: Vectors, rows: int, size: Any, first: Any) -> None:
        self.part, self.rows, self.size, self.first = part, rows, size, first
        self.builder = part.builder
        self.vectors = part if rows == 1 else Vectors(part.builder, part.element, rows * part.lanes)

    def _place(self, where: Any, block: int) -> Any:
        builder = self.builder
        return builder.gep(where, [builder.add(self.first, builder.mul(self.size, INDEX(block)))])

    def load(self, where: list[Any], blocks: int) -> list[Lanes]:
        """The blocks from the addresses `where` on."""
        return [
            Lanes(self.vectors, joined(self.builder, [self.part.load(self._place(row, k)) for row in where]))
            for k in range(blocks)
        ]

    def store(self, values: list[Lanes], where: list[Any], past_caches: bool = False) -> None:
        """Write the blocks from the addresses `where` on."""
        write = self.part.store_past_caches if past_caches else self.part.store
        for block, value in enumerate(values):
            for row, lanes in zip(where, apart(self.builder, value.value, self.rows), strict=True):
                write(lanes, self._place(row, block))

    def add(self, values: list[Lanes], where: list[Any]) -> None:
        """Add to the blocks from the addresses `where` on, row by row: each row's own, or one for all."""
        for block, value in enumerate(values):
            rows = apart(self.builder, value.value, self.rows)
            for k, row in enumerate(where):
                place = self._place(row, block)
                total = self.part.load(place)
                for lanes in rows if len(where) == 1 else rows[k : k + 1]:
                    total = self.builder.fadd(total, lanes)
                self.part.store(total, place)


def _arguments(context: Any, builder: Any, names: str, signature: Any, values: Any) -> dict[str, Any]:
    def given(kind: Any, value: Any) -> Any:
        if isinstance(kind, types.Array):
            return _Array(context, builder, kind, value)
        return INDEX(0) if kind is types.none else value

    return dict(zip(names.split(), map(given, signature.args, values), strict=True))


def _signature(given: tuple[Any, ...]) -> Any:
    cell, *rest = given
    return types.void(cell, *(types.int64 if isinstance(g, types.Integer) else g for g in rest))


def _peepholes(context: Any, builder: Any, kind: Any, cell: Any, name: str) -> tuple[_Array, int]:
    array = _Array(context, builder, kind.types[0], builder.extract_value(cell, 0))
    return array, len(EQUATIONS[name].peepholes)


ADVANCE = "cell which d n table token row u of_u h c state saved cells past hidden out after begin end"


@intrinsic  # type: ignore[untyped-decorator]
def advance(
    typingctx: Any, cell: Any, which: Any, d: Any, n: Any, table: Any, token: Any, row: Any,
    u: Any, of_u: Any, h: Any, c: Any, state: Any, saved: Any, cells: Any, past: Any, hidden: Any, out: Any,
    after: Any, begin: Any, end: Any,
) -> Any:  # fmt: skip
    """Advance units begin to end of n sequences by one step in direction d, for compiled callers; unchecked.

    Where `begin` is None it is the first, and rows may be short (`over_rows`). The k-th reads its input
    product from row token[row + k] of table [U, directions·(≥ G)], its recurrent product with bias, of these
    units alone, from row of_u + k of u, its state from row state + k of h and c, and replaces it in c and in
    `after`, which may be h. It writes row out + k of hidden [·, directions·H] and, if saved has rows, of
    saved [·, directions·S·H] and of cells [·, directions·C], past the caches if `past` is not 0. `which` is
    the row of the cell's own weights.
    """
    given = (
        cell, which, d, n, table, token, row, u, of_u, h, c, state, saved, cells, past, hidden, out, after,
        begin, end,
    )  # fmt: skip
    name, forward, _ = STEPS[cell.instance_class]
    equation, short = EQUATIONS[name], begin is types.none

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        a = _arguments(context, builder, ADVANCE, signature, values)
        vectors = Vectors(builder, context.get_data_type(h.dtype))
        size, d = a["h"].shape[-1], a["d"]
        own, peepholes = _peepholes(context, builder, cell, a["cell"], name)
        weights = own.at(builder.mul(a["which"], INDEX(3)), INDEX(0))
        keeps = builder.icmp_signed(">", a["saved"].shape[0], INDEX(0))
        directions = builder.sdiv(a["hidden"].shape[-1], size)
        products = builder.mul(d, builder.sdiv(a["table"].shape[-1], directions))
        units = builder.sub(a["end"], a["begin"])

        def block(count: int) -> Any:
            return builder.mul(d, builder.mul(size, INDEX(count)))

        def several(part: Vectors, rows: list[Any], first: Any) -> None:
            blocks = _Blocks(part, len(rows), size, builder.add(a["begin"], first))
            products_of, gates = _Blocks(part, len(rows), units, first), len(equation.gates)
            at = [builder.add(a["out"], k) for k in rows]
            tokens = [
                builder.sext(builder.load(a["token"].at(INDEX(0), builder.add(a["row"], k))), INDEX)
                for k in rows
            ]
            states = [builder.add(a["state"], k) for k in rows]
            h, c, next_h = ([a[name].at(k, INDEX(0)) for k in states] for name in ("h", "c", "after"))
            [state] = blocks.load(c if equation.has_cell_state else h, 1)
            kept, after, value = forward(
                blocks.load([a["table"].at(token, products) for token in tokens], gates),
                products_of.load([a["u"].at(builder.add(a["of_u"], k), INDEX(0)) for k in rows], gates),
                state,
                blocks.load([weights] * len(rows), peepholes),
            )
            if after is not None:
                blocks.store([after], c)
            blocks.store([value], next_h)
            blocks.store([value], [a["hidden"].at(k, block(1)) for k in at])

            def keep(past_caches: bool) -> None:
                saved = [a["saved"].at(k, block(len(equation.saved))) for k in at]
                blocks.store(kept, saved, past_caches)
                if after is not None:
                    blocks.store([after], [a["cells"].at(k, block(1)) for k in at], past_caches)

            with builder.if_then(keeps):
                if part is not vectors:  # not a whole register
                    keep(False)
                else:
                    with builder.if_else(builder.icmp_signed("!=", a["past"], INDEX(0))) as (past, near):
                        with past:
                            keep(True)
                        with near:
                            keep(False)

        over_rows(vectors, a["n"], units, several, TOGETHER if vectors.single else 1, short)
        return context.get_dummy_value()

    return _signature(given), codegen


RETREAT = (
    "cell d n row known before sequence h_0 c_0 saved cells hidden d_hidden d_h d_c state d_gates out "
    "token by_token sums of_cell begin end"
)


@intrinsic  # type: ignore[untyped-decorator]
def retreat(
    typingctx: Any, cell: Any, d: Any, n: Any, row: Any, known: Any, before: Any, sequence: Any,
    h_0: Any, c_0: Any, saved: Any, cells: Any, hidden: Any, d_hidden: Any, d_h: Any, d_c: Any, state: Any,
    d_gates: Any, out: Any, token: Any, by_token: Any, sums: Any, of_cell: Any, begin: Any, end: Any,
) -> Any:  # fmt: skip
    """Take units begin to end of n sequences back by one step, as `advance` takes them forward.

    The k-th reads row `row` + k of all that has packed rows and writes row `out` + k of d_gates. The state
    before it is in row `before` + k for the first `known` of them, and for the others the initial one of
    sequence `sequence` + k. Rows `state` + k of d_h and d_c are the gradients of the state after the step,
    replaced by those of the state before it, less what passes through the recurrent product (d_h is left as
    it is where nothing else passes); to by_token [U, ·], where it has rows, and to rows of_cell, + 1 and + 2
    of sums [·, H] is added.
    """
    given = (
        cell, d, n, row, known, before, sequence, h_0, c_0, saved, cells, hidden,
        d_hidden, d_h, d_c, state, d_gates, out, token, by_token, sums, of_cell, begin, end,
    )  # fmt: skip
    name, _, back = STEPS[cell.instance_class]
    equation, short = EQUATIONS[name], begin is types.none

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        a = _arguments(context, builder, RETREAT, signature, values)
        vectors = Vectors(builder, context.get_data_type(d_h.dtype))
        size, d, n = a["d_h"].shape[-1], a["d"], a["n"]
        own, peepholes = _peepholes(context, builder, cell, a["cell"], name)
        weights = own.at(builder.mul(d, INDEX(3)), INDEX(0))
        cell_state = equation.has_cell_state
        sums_tokens = builder.icmp_signed(">", a["by_token"].shape[0], INDEX(0))
        states, initial = (a["cells"], a["c_0"]) if cell_state else (a["hidden"], a["h_0"])

        def block(count: int) -> Any:
            return builder.mul(d, builder.mul(size, INDEX(count)))

        def several(part: Vectors, numbers: list[Any], first: Any) -> None:
            blocks = _Blocks(part, len(numbers), size, builder.add(a["begin"], first))
            zero = Lanes(blocks.vectors, blocks.vectors.number(0.0))
            rows = [builder.add(a["row"], k) for k in numbers]

            def one(where: list[Any]) -> Lanes:
                return blocks.load(where, 1)[0]

            def of_rows(name: str, count: int = 1) -> list[Any]:
                return [a[name].at(row, block(count)) for row in rows]

            def before(k: Any) -> Any:
                first_state = builder.add(builder.mul(d, initial.shape[1]), builder.add(a["sequence"], k))
                return builder.select(
                    builder.icmp_signed("<", k, a["known"]),
                    states.at(builder.add(a["before"], k), block(1)),
                    initial.at(first_state, INDEX(0)),
                )

            of_state = [builder.add(a["state"], k) for k in numbers]
            d_h, d_c = ([a[name].at(k, INDEX(0)) for k in of_state] for name in ("d_h", "d_c"))
            gradients, d_before, passed, added = back(
                blocks.load(of_rows("saved", len(equation.saved)), len(equation.saved)),
                one([before(k) for k in numbers]),
                one(of_rows("cells")) if cell_state else zero,
                one(of_rows("hidden")),
                one(d_h) + one(of_rows("d_hidden")),
                one(d_c) if cell_state else zero,
                blocks.load([weights] * len(rows), peepholes),
            )
            blocks.store(
                gradients, [a["d_gates"].at(builder.add(a["out"], k), block(BLOCKS[name])) for k in numbers]
            )
            with builder.if_then(sums_tokens):
                tokens = [builder.sext(builder.load(a["token"].at(INDEX(0), row)), INDEX) for row in rows]
                blocks.add(
                    gradients[: len(equation.gates)],
                    [a["by_token"].at(token, block(len(equation.gates))) for token in tokens],
                )
            if d_before is not None:
                blocks.store([d_before], d_c)
            if passed is not None:
                blocks.store([passed], d_h)
            blocks.add(added, [a["sums"].at(a["of_cell"], INDEX(0))])

        over_rows(vectors, n, builder.sub(a["end"], a["begin"]), several, 1, short)
        return context.get_dummy_value()

    return _signature(given), codegen
