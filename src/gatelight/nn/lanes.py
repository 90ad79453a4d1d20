"""Numbers in all lanes of a vector register at once, while LLVM code for them is written; knows no cells.

Code around values of this type reads like the formula that it computes, sixteen elements at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils

INDEX = ir.IntType(64)
INT = ir.IntType(32)
FUSE = ("contract", "nsz")
"""Products may fuse with sums; no sum may change its order and NaN stays NaN, so that divergence shows."""


def _register_bytes() -> int:
    features = llvm.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx") else 16


VECTOR_BYTES = _register_bytes()
"""Width of a vector register of this machine."""

_NAME, _SHORT = llvm.get_host_cpu_name(), bool(llvm.get_host_cpu_features().get("avx512vl"))
QUICK_RECIPROCAL = "znver" not in _NAME and _SHORT
"""Whether an estimate, twice as exact after two products, is taken instead of a division.

It takes less time on Intel's processors and more on AMD's Zen 4: both were measured.
"""

HALF_IS_HALF = _NAME == "znver4" and _SHORT
"""Whether half a register takes half as long: on AMD's Zen 4, which multiplies 512 bits in two halves."""

MOST_ROWS = 8
"""Rows of which parts stand side by side in a register: a whole group's."""


class Vectors:
    """Vectors of `lanes` elements (None: a whole register); those of `only`, a mask, are read and written."""

    def __init__(self, builder: Any, element: ir.Type, lanes: int | None = None, only: Any = None) -> None:
        self.builder, self.element, self.only = builder, element, only
        self.single = isinstance(element, ir.FloatType)
        self.bytes = 4 if self.single else 8
        self.lanes = lanes or VECTOR_BYTES // self.bytes
        self.type = ir.VectorType(element, self.lanes)
        self._suffix = f"v{self.lanes}f{8 * self.bytes}"

    def call(self, name: str, result: ir.Type, arguments: list[Any]) -> Any:
        """Call a function by its name."""
        kind = ir.FunctionType(result, [a.type for a in arguments])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), arguments)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a * b + c, rounded once."""
        return self.call(f"llvm.fma.{self._suffix}", self.type, [a, b, c])

    def reciprocal(self, value: Any) -> Any:
        """1 / value to within 2^-14, in float32, where QUICK_RECIPROCAL says that the processor has it."""
        most = VECTOR_BYTES // self.bytes
        if self.lanes > most:
            part = Vectors(self.builder, self.element, most)
            parts = apart(self.builder, value, self.lanes // most)
            return joined(self.builder, [part.reciprocal(one) for one in parts])
        lanes = max(4, self.lanes)
        wide = value if self.lanes == lanes else chosen(self.builder, value, value, [0, self.lanes - 1] * 2)
        name, every = f"llvm.x86.avx512.rcp14.ps.{32 * lanes}", ir.IntType(max(8, lanes))
        found = self.call(name, wide.type, [wide, ir.Constant(wide.type, None), every(2**lanes - 1)])
        return found if self.lanes == lanes else chosen(self.builder, found, found, range(self.lanes))

    def repeat(self, value: Any) -> Any:
        """The scalar in every lane."""
        kind = ir.VectorType(value.type, self.lanes)
        unset = ir.Constant(kind, ir.Undefined)
        one = self.builder.insert_element(unset, value, INT(0))
        return chosen(self.builder, one, unset, [0] * self.lanes)

    def number(self, value: float) -> Any:
        """The constant in every lane."""
        return ir.Constant(self.type, [value] * self.lanes)

    def mask(self, left: Any) -> Any:
        """The first `left` lanes."""
        count = ir.Constant(ir.VectorType(INDEX, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", count, self.repeat(left))

    def load(self, where: Any, mask: Any = None) -> Any:
        """What stands at the address `where`; zeros outside of `mask`, which are not read."""
        where, mask = self.builder.bitcast(where, self.type.as_pointer()), mask or self.only
        if mask is None:
            return self.builder.load(where, align=self.bytes)
        return self.call(
            f"llvm.masked.load.{self._suffix}.p0{self._suffix}",
            self.type, [where, INT(self.bytes), mask, self.number(0.0)],
        )  # fmt: skip

    def store_past_caches(self, value: Any, where: Any) -> None:
        """Write a whole register to the address, a multiple of its size; the line is not read before."""
        where = self.builder.bitcast(where, self.type.as_pointer())
        made = self.builder.store(value, where, align=self.lanes * self.bytes)
        made.set_metadata("nontemporal", self.builder.module.add_metadata([INT(1)]))

    def store(self, value: Any, where: Any, mask: Any = None) -> None:
        """Write `value` to the address `where`; nothing outside of `mask`."""
        where, mask = self.builder.bitcast(where, self.type.as_pointer()), mask or self.only
        if mask is None:
            self.builder.store(value, where, align=self.bytes)
        else:
            self.call(
                f"llvm.masked.store.{self._suffix}.p0{self._suffix}",
                ir.VoidType(), [value, where, INT(self.bytes), mask],
            )  # fmt: skip


class Lanes:
    """A value in a vector register, with the arithmetic of its numbers."""

    def __init__(self, vectors: Vectors, value: Any) -> None:
        self.vectors, self.value = vectors, value

    def lift(self, other: Lanes | float) -> Any:
        """The register of another value or of a number."""
        return other.value if isinstance(other, Lanes) else self.vectors.number(other)

    def _by(self, name: str, a: Any, b: Any) -> Lanes:
        return Lanes(self.vectors, getattr(self.vectors.builder, name)(a, b, flags=FUSE))

    def __add__(self, other: Lanes | float) -> Lanes:
        return self._by("fadd", self.value, self.lift(other))

    def __sub__(self, other: Lanes | float) -> Lanes:
        return self._by("fsub", self.value, self.lift(other))

    def __rsub__(self, other: float) -> Lanes:
        return self._by("fsub", self.lift(other), self.value)

    def __mul__(self, other: Lanes | float) -> Lanes:
        return self._by("fmul", self.value, self.lift(other))

    def __truediv__(self, other: Lanes | float) -> Lanes:
        return self._by("fdiv", self.value, self.lift(other))

    def __rtruediv__(self, other: float) -> Lanes:
        return self._by("fdiv", self.lift(other), self.value)

    __radd__ = __add__
    __rmul__ = __mul__

    def clamped(self, bound: float) -> Lanes:
        """Cut to -bound … bound; NaN stays NaN."""
        builder, value = self.vectors.builder, self.value
        for sign, test in ((1.0, ">"), (-1.0, "<")):
            limit = self.vectors.number(sign * bound)
            value = builder.select(builder.fcmp_ordered(test, value, limit), limit, value)
        return Lanes(self.vectors, value)

    def each(self, name: str) -> Lanes:
        """A function of libm, called lane by lane."""
        vectors, result = self.vectors, self.value
        for lane in range(vectors.lanes):
            one = vectors.builder.extract_element(self.value, INT(lane))
            one = vectors.call(name, vectors.element, [one])
            result = vectors.builder.insert_element(result, one, INT(lane))
        return Lanes(vectors, result)


def fused(a: Lanes, b: Lanes, c: Lanes) -> Lanes:
    """a · b + c, rounded once: where c is a product too, the compiler could choose either of them."""
    return Lanes(a.vectors, a.vectors.fma(a.value, b.value, c.value))


def fetch_line(builder: Any, address: Any, level: int) -> None:
    """Begin to bring the line at the address, a number, into the first or second cache; there may be none."""
    where = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [where, INT, INT, INT])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    builder.call(prefetch, [builder.inttoptr(address, where), INT(0), INT(4 - level), INT(1)])


def opaque(builder: Any, value: Any) -> Any:
    """The value, of which the compiler does not know any more what it was made from."""
    return builder.asm(ir.FunctionType(value.type, [value.type]), "", "=r,0", [value], False)


def loop(builder: Any, end: Any, body: Callable[[Any], None], step: int = 1) -> None:
    """Write a loop of `body` over 0, step, 2·step, … as long as a whole step is left before `end`."""
    last = builder.sub(end, INDEX(step - 1))
    with cgutils.for_range_slice(builder, INDEX(0), last, INDEX(step)) as (place, _):
        body(place)


def going_round(
    builder: Any, depth: Any, start: Sequence[Any], more: Callable[[Any, list[Any]], list[Any]]
) -> list[Any]:
    """Write a loop over k = 0 … depth - 1 that replaces values by more(k, values), in registers."""
    entry = builder.block
    head, body, done = (builder.append_basic_block(f"round.{name}") for name in ("head", "body", "done"))
    builder.branch(head)
    builder.position_at_end(head)
    k, *values = (builder.phi(first.type) for first in (INDEX(0), *start))
    for value, first in zip((k, *values), (INDEX(0), *start), strict=True):
        value.add_incoming(first, entry)
    builder.cbranch(builder.icmp_signed("<", k, depth), body, done)
    builder.position_at_end(body)
    changed = more(k, values)
    for value, new in zip((k, *values), (builder.add(k, INDEX(1)), *changed), strict=True):
        value.add_incoming(new, builder.block)
    builder.branch(head)
    builder.position_at_end(done)
    return values


def halves(vectors: Vectors, left: Any, body: Callable[[Vectors, Any], None]) -> None:
    """Write `body(vectors, first)` for `left` elements, fewer than a register's, in halves, quarters … ofit.

    What is written like this can be read back at once; the processor lets a read wait that finds its elements
    in several writes or under a mask.
    """
    builder, n, first = vectors.builder, vectors.lanes // 2, INDEX(0)
    while n:
        part = builder.and_(left, INDEX(n))
        with builder.if_then(builder.icmp_signed("!=", part, INDEX(0))):
            body(Vectors(builder, vectors.element, n), first)
        first, n = builder.add(first, part), n // 2


def chosen(builder: Any, a: Any, b: Any, lanes: Iterable[int]) -> Any:
    """The lanes of these numbers; those of b are numbered on from those of a."""
    numbers = list(lanes)
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT, len(numbers)), numbers))


def joined(builder: Any, parts: list[Any]) -> Any:
    """Registers of equally many lanes side by side in one; as many as a power of two."""
    while len(parts) > 1:
        every = range(2 * parts[0].type.count)
        parts = [chosen(builder, a, b, every) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def apart(builder: Any, value: Any, count: int) -> list[Any]:
    """The register cut into `count` of equally many lanes."""
    if count == 1:
        return [value]
    lanes = value.type.count // count
    return [chosen(builder, value, value, range(k * lanes, (k + 1) * lanes)) for k in range(count)]


def over_lanes(vectors: Vectors, size: Any, body: Callable[[Vectors, Any], None]) -> None:
    """Write `body(vectors, first)` for all of 0 … size - 1, a register at a time."""
    builder = vectors.builder
    loop(builder, size, lambda first: body(vectors, first), vectors.lanes)
    left = builder.srem(size, INDEX(vectors.lanes))
    whole = builder.sub(size, left)
    halves(vectors, left, lambda part, first: body(part, builder.add(whole, first)))


def over_rows(
    vectors: Vectors, rows: Any, size: Any, body: Callable[[Vectors, list[Any], Any], None], side: int,
    short: bool,
) -> None:  # fmt: skip
    """Write `body(vectors, numbers, first)` for all of 0 … size - 1 of all rows, `side` registers at a time.

    What a row leaves beyond whole registers is done for several rows together, as many as fill these, if rows
    are `short`; else row by row under a mask, in one code instead of eight.
    """
    builder = vectors.builder
    left = builder.srem(size, INDEX(vectors.lanes))
    whole = builder.sub(size, left)

    def together(count: int, some: Callable[[list[Any]], None]) -> None:
        done = builder.sub(rows, builder.srem(rows, INDEX(count)))
        loop(builder, done, lambda row: some([builder.add(row, INDEX(k)) for k in range(count)]), count)
        if count > 1:
            loop(builder, builder.sub(rows, done), lambda row: some([builder.add(done, row)]))

    def in_whole(numbers: list[Any]) -> None:
        loop(builder, whole, lambda first: body(vectors, numbers, first), vectors.lanes)

    def rest(part: Vectors, first: Any) -> None:
        first = builder.add(whole, first)
        count = min(MOST_ROWS, side * vectors.lanes // part.lanes)
        count = count if count > 2 else 1  # two halves of a register take about as long as a whole one
        together(count, lambda numbers: body(part, numbers, first))

    together(side, in_whole)
    if short:
        halves(vectors, left, rest)
        return
    masked = Vectors(builder, vectors.element, only=vectors.mask(left))
    with builder.if_then(builder.icmp_signed("!=", left, INDEX(0))):
        loop(builder, rows, lambda row: body(masked, [row], whole))
