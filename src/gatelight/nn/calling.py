"""A crew of threads that are not there until it has a job: what calls them together and sees them off."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from gatelight.compiled import compiled
from gatelight.nn.lanes import INDEX, INT
from gatelight.nn.signals import put

# Places of a crew's array (crew.py) that is called together when it has a job (team.py), else 0: whether it
# may go again, whether it has been called, the addresses of what calls it, of what its members then do, and
# of what sees them off.
GO, CALLED, CALL, MEMBER, END = 72, 80, 81, 82, 83


@intrinsic  # type: ignore[untyped-decorator]
def _call_together(typingctx: Any, crew: Any, members: Any) -> Any:
    """CALL(MEMBER, the crew's address, members), where this thread counts as one."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, value=values[0]).data
        member, call = (builder.load(builder.gep(data, [INDEX(place)])) for place in (MEMBER, CALL))
        kind = ir.FunctionType(ir.VoidType(), [INDEX, data.type, INT])
        builder.call(builder.inttoptr(call, kind.as_pointer()), [member, data, builder.trunc(values[1], INT)])
        return context.get_dummy_value()

    return types.void(crew, types.int64), codegen


@compiled
def call_together(crew: Any, members: int) -> None:
    """Call so many threads, this one among them, to a crew that is to be called."""
    crew[CALLED] = 1
    _call_together(crew, members)


@intrinsic  # type: ignore[untyped-decorator]
def _see_off(typingctx: Any, crew: Any) -> Any:
    """END()."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, value=values[0]).data
        end = builder.load(builder.gep(data, [INDEX(END)]))
        builder.call(builder.inttoptr(end, ir.FunctionType(ir.VoidType(), []).as_pointer()), [])
        return context.get_dummy_value()

    return types.void(crew), codegen


@compiled
def see_off(crew: Any) -> None:
    """Let all go who were called together, and wait until they are gone."""
    put(crew[GO:], 1)
    _see_off(crew)
    crew[CALLED] = crew[GO] = 0
