"""Numbers in all lanes of a vector register at once, as LLVM code that Numba compiles; knows no cells.

Code around values of this type reads like the formula that it computes, sixteen elements at a time. Then
tanh, sigmoid and exp of such values, and work on whole rows for compiled callers: arrays are C-contiguous and
of one dtype, float32 or float64, and x_at is the index of the first element in the flat array x. Nothing is
checked. (Loops over slices of arrays would spend more on looking whether they overlap than on a short row.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

INDEX = ir.IntType(64)
INT = ir.IntType(32)
FUSE = ("contract", "nsz")
"""Products may fuse with sums; no sum may change its order and NaN stays NaN, so that divergence shows."""


def _register_bytes() -> int:
    features = llvm.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx") else 16


VECTOR_BYTES = _register_bytes()
"""Width of a vector register of this machine."""


class Vectors:
    """Vector registers of elements of this type, or parts of `lanes` elements."""

    def __init__(self, builder: Any, element: ir.Type, lanes: int | None = None) -> None:
        self.builder, self.element = builder, element
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

    def repeat(self, value: Any) -> Any:
        """The scalar in every lane."""
        unset = ir.Constant(ir.VectorType(value.type, self.lanes), ir.Undefined)
        one = self.builder.insert_element(unset, value, INT(0))
        return chosen(self.builder, one, one, [0] * self.lanes)

    def number(self, value: float) -> Any:
        """The constant in every lane."""
        return ir.Constant(self.type, [value] * self.lanes)

    def mask(self, left: Any) -> Any:
        """The first `left` lanes."""
        count = ir.Constant(ir.VectorType(INDEX, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", count, self.repeat(left))

    def load(self, where: Any, mask: Any = None, outside: float = 0.0) -> Any:
        """What stands at the address `where`; a number `outside` of the mask, where nothing is read."""
        where = self.builder.bitcast(where, self.type.as_pointer())
        if mask is None:
            return self.builder.load(where, align=self.bytes)
        return self.call(
            f"llvm.masked.load.{self._suffix}.p0{self._suffix}",
            self.type, [where, INT(self.bytes), mask, self.number(outside)],
        )  # fmt: skip

    def store(self, value: Any, where: Any, mask: Any = None) -> None:
        """Write `value` to the address `where`; nothing outside of `mask`."""
        where = self.builder.bitcast(where, self.type.as_pointer())
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


def chosen(builder: Any, a: Any, b: Any, lanes: Iterable[int]) -> Any:
    """The lanes of these numbers; those of b are numbered on from those of a."""
    numbers = list(lanes)
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT, len(numbers)), numbers))


def over_lanes(vectors: Vectors, size: Any, body: Callable[[Any, Any], None]) -> None:
    """Write `body(first, mask)` for all of 0 … size - 1, a register at a time; whole ones have no mask."""
    builder = vectors.builder
    loop(builder, size, lambda first: body(first, None), vectors.lanes)
    left = builder.srem(size, INDEX(vectors.lanes))
    with builder.if_then(builder.icmp_signed("!=", left, INDEX(0))):
        body(builder.sub(size, left), vectors.mask(left))


def over_parts(vectors: Vectors, size: Any, body: Callable[[Vectors, Any], None]) -> None:
    """Write `body(vectors, first)` for all of 0 … size - 1, at last in halves, quarters … of a register.

    A processor divides four numbers several times faster than sixteen, of which twelve are masked.
    """
    builder, n = vectors.builder, vectors.lanes // 2
    loop(builder, size, lambda first: body(vectors, first), vectors.lanes)
    first = builder.and_(size, INDEX(-vectors.lanes))
    while n:
        part = builder.and_(size, INDEX(n))
        with builder.if_then(builder.icmp_signed("!=", part, INDEX(0))):
            body(Vectors(builder, vectors.element, n), first)
        first, n = builder.add(first, part), n // 2


# Odd rational function of degree 13/6 with Eigen's coefficients; beyond the clamp float32 tanh is 1.
CLAMP = 7.90531110763549805
ABOVE = (
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
    1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
)  # fmt: skip
BELOW = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)

# exp(x) = 2^n exp(r) with |r| ≤ ln 2 / 2; ln 2 in two parts, so that n times the first one is exact; the
# coefficients are those of the Cephes library. A sum with ROUND has n in the low bits of its fraction.
FARTHEST = 86.0
LOG2_E, LN_2 = 1.44269504088896341, (0.693359375, -2.12194440e-4)
ROUND = 1.5 * 2**23
EXP = (
    1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
)  # fmt: skip


def tanh(x: Lanes) -> Lanes:
    """Hyperbolic tangent, in float32 within 5 ulp."""
    if not x.vectors.single:
        return x.each("tanh")
    above, below = _ratio(x + x)
    half = above / below
    return half + half


def sigmoid(x: Lanes) -> Lanes:
    """1 / (1 + exp(-x)), which is (1 + tanh(x / 2)) / 2."""
    half = Lanes(x.vectors, x.vectors.number(0.5))
    if not x.vectors.single:
        return fused(half, tanh(0.5 * x), half)
    above, below = _ratio(x)
    return above / below + 0.5


def _ratio(x: Lanes) -> tuple[Lanes, Lanes]:
    """tanh(x / 2) / 2 as a fraction.

    Powers of 2 change no bit of a coefficient. tanh and sigmoid share these, so that all stay in registers.
    """
    x = x.clamped(2.0 * CLAMP)
    square = x * x
    above = [value * 0.25 ** (len(ABOVE) - k) for k, value in enumerate(ABOVE)]
    below = [value * 0.25 ** (len(BELOW) - 1 - k) for k, value in enumerate(BELOW)]
    return x * _polynomial(square, above), _polynomial(square, below)


def exp(x: Lanes) -> Lanes:
    """Exponential, in float32 within 2 ulp from -86 to 86 and beyond them the value there; NaN stays NaN."""
    if not x.vectors.single:
        return x.each("exp")
    builder, lanes = x.vectors.builder, x.vectors.lanes
    x = x.clamped(FARTHEST)
    rounded = x * LOG2_E + ROUND
    n = rounded - ROUND
    r = x - n * LN_2[0] - n * LN_2[1]
    whole = ir.VectorType(INT, lanes)
    exponent = builder.shl(builder.bitcast(rounded.value, whole), ir.Constant(whole, [23] * lanes))
    one = builder.bitcast(x.vectors.number(1.0), whole)
    power = Lanes(x.vectors, builder.bitcast(builder.add(exponent, one), x.vectors.type))
    return (_polynomial(r, EXP) * r * r + r + 1.0) * power


def _polynomial(x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """From the highest power to the constant."""
    value: Lanes | float = coefficients[0]
    for coefficient in coefficients[1:]:
        value = x * value + coefficient
    return value  # type: ignore[return-value]


@intrinsic  # type: ignore[untyped-decorator]
def copy_row(typingctx: Any, source: Any, source_at: Any, target: Any, target_at: Any, size: Any) -> Any:
    """target = source, for `size` elements."""
    return _writes(lambda vectors, old, new: new, source, target)


@intrinsic  # type: ignore[untyped-decorator]
def add_row(typingctx: Any, source: Any, source_at: Any, target: Any, target_at: Any, size: Any) -> Any:
    """target += source, for `size` elements."""
    return _writes(lambda vectors, old, new: vectors.builder.fadd(old, new), source, target)


@intrinsic  # type: ignore[untyped-decorator]
def add_scaled_row(
    typingctx: Any, source: Any, source_at: Any, factor: Any, target: Any, target_at: Any, size: Any
) -> Any:
    """target += factor · source, for `size` elements, each rounded once."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        factor = values[2]

        def added(vectors: Vectors, old: Any, new: Any) -> Any:
            return vectors.fma(vectors.repeat(factor), new, old)

        _write(context, builder, signature, values, added)
        return context.get_dummy_value()

    return types.void(source, types.int64, source.dtype, target, types.int64, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def add_products(
    typingctx: Any, source: Any, source_at: Any, factors: Any, at: Any, target: Any, target_at: Any,
    apart: Any, size: Any, rows: Any,
) -> Any:  # fmt: skip
    """target += source · factors for rows of `size` elements end to end, and targets `apart` elements.

    Products are rounded too, as NumPy's are.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        given, factor, result = begins(context, builder, signature, values)
        apart, size, rows = values[-3:]

        vectors = Vectors(builder, context.get_data_type(source.dtype))

        def some(first: Any, mask: Any) -> None:
            by = vectors.load(builder.gep(factor, [first]), mask)

            def of_row(k: Any) -> None:
                one = vectors.load(builder.gep(given, [builder.add(builder.mul(k, size), first)]), mask)
                place = builder.gep(result, [builder.add(builder.mul(k, apart), first)])
                vectors.store(builder.fadd(vectors.load(place, mask), builder.fmul(one, by)), place, mask)

            loop(builder, rows, of_row)

        over_lanes(vectors, size, some)
        return context.get_dummy_value()

    n = types.int64
    return types.void(source, n, factors, n, target, n, n, n, n), codegen


@intrinsic  # type: ignore[untyped-decorator]
def highest(typingctx: Any, source: Any, source_at: Any, size: Any) -> Any:
    """The largest of `size` elements, 1 or more; what is not a number is passed over."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array, at, size = values
        data = builder.gep(context.make_array(source)(context, builder, value=array).data, [at])

        def larger(one: Any, other: Any) -> Any:
            return builder.select(builder.fcmp_ordered(">", one, other), one, other)

        vectors, least = Vectors(builder, context.get_data_type(source.dtype)), float("-inf")

        def value(first: Any, mask: Any) -> Any:
            return vectors.load(builder.gep(data, [first]), mask, least)

        return _folded(vectors, size, least, value, larger)

    return source.dtype(source, types.int64, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def exp_row(typingctx: Any, row: Any, at: Any, less: Any, size: Any) -> Any:
    """row = exp(row - less), for `size` elements; their sum."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array, at, less, size = values
        data = builder.gep(context.make_array(row)(context, builder, value=array).data, [at])

        vectors = Vectors(builder, context.get_data_type(row.dtype))

        def value(first: Any, mask: Any) -> Any:
            place = builder.gep(data, [first])
            given = vectors.load(place, mask, float("-inf"))
            found = exp(Lanes(vectors, given) - Lanes(vectors, vectors.repeat(less))).value
            vectors.store(found, place, mask)
            return found if mask is None else builder.select(mask, found, vectors.number(0.0))

        return _folded(vectors, size, 0.0, value, builder.fadd)

    return row.dtype(row, types.int64, row.dtype, types.int64), codegen


def begins(context: Any, builder: Any, signature: Any, values: Any) -> list[Any]:
    """Addresses in the arrays among the values, each of which is followed by its place in them."""
    return [
        builder.gep(context.make_array(kind)(context, builder, value=values[k]).data, [values[k + 1]])
        for k, kind in enumerate(signature.args)
        if isinstance(kind, types.Array)
    ]


def _folded(vectors: Vectors, size: Any, start: float, value: Any, combine: Any) -> Any:
    """`value(first, mask)` over all of 0 … size - 1, combined lane by lane, then the lanes in halves."""
    builder, count = vectors.builder, vectors.lanes
    several = cgutils.alloca_once_value(builder, vectors.number(start))

    def some(first: Any, mask: Any) -> None:
        builder.store(combine(value(first, mask), builder.load(several)), several)

    over_lanes(vectors, size, some)
    found = builder.load(several)
    while count > 1:
        count //= 2
        low, high = (chosen(builder, found, found, range(k * count, (k + 1) * count)) for k in (0, 1))
        found = combine(high, low)
    return builder.extract_element(found, INT(0))


def _writes(formula: Any, *arrays: Any) -> Any:
    """An intrinsic that writes the formula of these arrays into the last one, as `_write` does."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _write(context, builder, signature, values, formula)
        return context.get_dummy_value()

    placed = (kind for array in arrays for kind in (array, types.int64))
    return types.void(*placed, types.int64), codegen


def _write(context: Any, builder: Any, signature: Any, values: Any, formula: Any) -> None:
    """Write `formula(vectors, old, …)` of the last array's and the others' elements into the last array.

    Each array among the values is followed by where it is read from; the last value is how many elements.
    """
    places = begins(context, builder, signature, values)
    vectors = Vectors(builder, context.get_data_type(signature.args[0].dtype))

    def some(first: Any, mask: Any) -> None:
        *given, old = (builder.gep(place, [first]) for place in places)
        read = (vectors.load(place, mask) for place in (old, *given))
        vectors.store(formula(vectors, *read), old, mask)

    over_lanes(vectors, values[-1], some)
