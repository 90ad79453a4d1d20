"""Numbers by which threads wake each other without the system's help; knows nothing of what they work at.

A thread that sleeps takes longer to wake than many a task takes. So who waits watches for a moment first.
"""

from __future__ import annotations

import sys
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from gatelight.compiled import compiled

Signal = np.ndarray[Any, np.dtype[np.int64]]
"""An array of one number, which whoever is waited for changes."""

LOOKS = 8000
"""Looks after which who waits for another thread's number is late: about 0.2 ms of one core."""

BREATHS = 512
"""Looks after which who waits lets the system run another thread here: it may be the one that is waited for,
or one that was woken and put behind this one while another processor is idle."""

_X86 = llvm.get_process_triple().startswith(("x86_64", "i386", "i686"))


def new_signal() -> Signal:
    """A signal at 0, on a cache line of its own."""
    return np.zeros(24, np.int64)[8:9]


@intrinsic  # type: ignore[untyped-decorator]
def look(typingctx: Any, signal: Any) -> Any:
    """Read the signal anew from memory, and let the processor breathe."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        where = context.make_array(signature.args[0])(context, builder, value=values[0]).data
        if _X86:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        return builder.load_atomic(where, "acquire", 8)

    return types.int64(signal), codegen


@intrinsic  # type: ignore[untyped-decorator]
def put(typingctx: Any, signal: Any, value: Any) -> Any:
    """Write the signal so that all that was written before can be read by who sees it."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        where = context.make_array(signature.args[0])(context, builder, value=values[0]).data
        builder.store_atomic(values[1], where, "release", 8)
        return context.get_dummy_value()

    return types.void(signal, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def give_way(typingctx: Any) -> Any:
    """Let the system run another thread here, as far as it can be asked to."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if sys.platform != "win32":
            kind = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), codegen


@compiled
def breathe(looks: int) -> None:
    """Give way once in so many of the `looks` that a waiting thread has taken."""
    if looks % BREATHS == 0:
        give_way()


ROW, LEFT = 16, 2
"""Numbers of a row of signals for `meet`; where the first row's, if it is not 0, says that somebody left."""

ON_TIME, LATE, ALONE = 0, 1, 2


@compiled
def meet(signals: Any, part: int, count: int) -> int:
    """Say that `part` has come to its meeting number `count`, and wait for all: ON_TIME, LATE or ALONE.

    signals int64 [parts, ROW], zeros before the first meeting; a part's own number stands in its row's first
    element. All that the others wrote before they came can then be read. ALONE: somebody will never come.
    For compiled callers, which must run at the same time.
    """
    put(signals[part], count)
    found = ON_TIME
    for other in range(signals.shape[0]):
        theirs, looks = signals[other], 0
        while look(theirs) < count:
            looks += 1
            breathe(looks)
            if looks > LOOKS:
                if signals[0, LEFT]:
                    return ALONE
                found = LATE
    return found


@compiled
def _tell_and_watch(told: Signal, value: int, watched: Signal, seen: int, looks: int) -> bool:
    put(told, value)
    while looks > 0 and look(watched) == seen:
        looks -= 1
        breathe(looks)
    return looks > 0


def tell_and_watch(told: Signal, value: int, watched: Signal, seen: int, looks: int) -> bool:
    """Set `told` to `value`, then look up to so many times whether `watched` is no longer `seen`.

    Both happen without the interpreter's lock, so that who is told can take it at once.
    """
    return bool(_tell_and_watch(told, value, watched, seen, looks))
