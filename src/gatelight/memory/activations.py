"""tanh and sigmoid for compiled kernels: rational in float32, so that loops around them become vector code.

Knows nothing of cells. `np.exp` in a loop would keep LLVM from vectorising it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

F = np.float32

JIT: dict[str, Any] = {"fastmath": {"contract", "nsz"}, "error_model": "numpy"}
"""Products may fuse with sums; no sum may change its order and NaN stays NaN, so that divergence shows.

With Python's error model every division could raise, and no loop around one would become vector code.
"""


def tanh(x: Any) -> Any:
    """Hyperbolic tangent of a float32 (within 5 ulp) or float64 (libm's) inside compiled code."""
    return type(x)(math.tanh(x))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) of a float32 or float64 inside compiled code."""
    return type(x)(0.5) * tanh(type(x)(0.5) * x) + type(x)(0.5)


@overload(tanh, jit_options=JIT)
def _tanh(x):  # type: ignore[no-untyped-def]
    if x == types.float64:
        return lambda x: math.tanh(x)
    if x != types.float32:
        return None

    # Odd rational function of degree 13/6 with Eigen's coefficients; beyond the clamp float32 tanh is 1.
    def rational(x):  # type: ignore[no-untyped-def]
        x = F(7.90531110763549805) if x > F(7.90531110763549805) else x
        x = F(-7.90531110763549805) if x < F(-7.90531110763549805) else x
        s = x * x
        p = F(-2.76076847742355e-16)
        p = p * s + F(2.00018790482477e-13)
        p = p * s + F(-8.60467152213735e-11)
        p = p * s + F(5.12229709037114e-08)
        p = p * s + F(1.48572235717979e-05)
        p = p * s + F(6.37261928875436e-04)
        p = p * s + F(4.89352455891786e-03)
        q = F(1.19825839466702e-06)
        q = q * s + F(1.18534705686654e-04)
        q = q * s + F(2.26843463243900e-03)
        q = q * s + F(4.89352518554385e-03)
        return x * p / q

    return rational


@overload(sigmoid, jit_options=JIT)
def _sigmoid(x):  # type: ignore[no-untyped-def]
    if x == types.float64:
        return lambda x: 0.5 * tanh(0.5 * x) + 0.5
    if x != types.float32:
        return None
    return lambda x: F(0.5) * tanh(F(0.5) * x) + F(0.5)
