"""tanh, sigmoid and exp in vector registers: rational or polynomial in float32, libm's in float64.

Knows nothing of cells.
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from gatelight.nn.lanes import INT, QUICK_RECIPROCAL, Lanes, fused

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
    half = above * _inverse(below) if QUICK_RECIPROCAL else above / below
    return half + half


def sigmoid(x: Lanes) -> Lanes:
    """1 / (1 + exp(-x)), which is (1 + tanh(x / 2)) / 2."""
    half = Lanes(x.vectors, x.vectors.number(0.5))
    if not x.vectors.single:
        return fused(half, tanh(0.5 * x), half)
    above, below = _ratio(x)
    return fused(above, _inverse(below), half) if QUICK_RECIPROCAL else above / below + 0.5


def _ratio(x: Lanes) -> tuple[Lanes, Lanes]:
    """tanh(x / 2) / 2 as a fraction.

    Powers of 2 change no bit of a coefficient. tanh and sigmoid share these, so that all stay in registers.
    """
    x = x.clamped(2.0 * CLAMP)
    square = x * x
    above = [value * 0.25 ** (len(ABOVE) - k) for k, value in enumerate(ABOVE)]
    below = [value * 0.25 ** (len(BELOW) - 1 - k) for k, value in enumerate(BELOW)]
    return x * _polynomial(square, above), _polynomial(square, below)


def _inverse(x: Lanes) -> Lanes:
    """1 / x within an ulp: an estimate, and a step of Newton's."""
    first = Lanes(x.vectors, x.vectors.reciprocal(x.value))
    return fused(first, 1.0 - x * first, first)


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
