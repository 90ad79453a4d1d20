"""tanh of many numbers by our registers' code alone: what a memory's gates take if nothing else is done."""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic

from gatelight.compiled import compiled
from gatelight.nn.activations import tanh
from gatelight.nn.lanes import Lanes, Vectors, over_lanes


@intrinsic  # type: ignore[untyped-decorator]
def _squash(typingctx: Any, source: Any, target: Any, size: Any) -> Any:
    """Write tanh of source [size] into target [size]."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        begin, end = (
            context.make_array(kind)(context, builder, value=array).data
            for kind, array in zip(signature.args[:2], values[:2], strict=True)
        )

        def some(vectors: Vectors, first: Any) -> None:
            value = Lanes(vectors, vectors.load(builder.gep(begin, [first])))
            vectors.store(tanh(value).value, builder.gep(end, [first]))

        over_lanes(Vectors(builder, context.get_data_type(source.dtype)), values[2], some)
        return context.get_dummy_value()

    return types.void(source, target, types.int64), codegen


@compiled
def squash_again(source: Any, target: Any, times: int) -> None:
    """source [N] → its tanh in target [N], so many times."""
    for _ in range(times):
        _squash(source, target, source.shape[0])
