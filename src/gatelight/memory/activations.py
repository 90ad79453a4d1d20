"""tanh and sigmoid in vector registers: rational in float32, libm's in float64.

Knows nothing of cells.
"""

from __future__ import annotations

from gatelight.memory.lanes import Lanes

# Odd rational function of degree 13/6 with Eigen's coefficients; beyond the clamp float32 tanh is 1.
CLAMP = 7.90531110763549805
ABOVE = (
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
    1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
)  # fmt: skip
BELOW = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)


def tanh(x: Lanes) -> Lanes:
    """Hyperbolic tangent, in float32 within 5 ulp."""
    if not x.vectors.single:
        return x.each("tanh")
    x = x.clamped(CLAMP)
    square = x * x
    return x * _polynomial(square, ABOVE) / _polynomial(square, BELOW)


def sigmoid(x: Lanes) -> Lanes:
    """1 / (1 + exp(-x))."""
    return 0.5 * tanh(0.5 * x) + 0.5


def _polynomial(x: Lanes, coefficients: tuple[float, ...]) -> Lanes:
    """From the highest power to the constant."""
    value: Lanes | float = coefficients[0]
    for coefficient in coefficients[1:]:
        value = x * value + coefficient
    return value  # type: ignore[return-value]
