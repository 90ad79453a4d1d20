"""torch's own threads as a crew: those of OpenMP, which else turn in circles beside ours; knows no tasks.

After an operator of torch's its threads watch for the next one, and whoever works beside them has half a
processor. So while a layer is one of torch's operators, they are let help it.
"""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import carray
from numba.core import types
from numba.extending import intrinsic

from gatelight.compiled import code_for, compiled
from gatelight.nn import calling, crew
from gatelight.nn.calling import CALLED, GO
from gatelight.nn.crew import OWNED, SIZE, Crew, help_crew, new_crew
from gatelight.nn.lanes import INDEX
from gatelight.nn.signals import breathe, look


@compiled
def _stand_by(address: Any) -> None:
    ours, vain = carray(address, SIZE), 0
    while look(ours[GO:]) == 0:
        if help_crew(ours):
            vain = 0
        else:
            vain += 1
            breathe(vain)


@intrinsic  # type: ignore[untyped-decorator]
def _address(typingctx: Any) -> Any:
    """The address of `_stand_by` in C's form of a function."""
    given = (types.CPointer(types.int64),)  # type: ignore[attr-defined]

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        made = code_for(_stand_by, given)
        kind = ir.FunctionType(ir.VoidType(), [INDEX.as_pointer()])
        member = ir.Function(builder.module, kind, builder.module.get_unique_name("gatelight.member"))
        member.linkage = "internal"
        written = ir.IRBuilder(member.append_basic_block("entry"))
        standing_by = context.declare_function(builder.module, made.fndesc)
        context.call_conv.call_function(written, standing_by, types.none, given, member.args)
        context.add_linking_libs([made.library])
        written.ret_void()
        return builder.ptrtoint(member, INDEX)

    return types.int64(), codegen


@compiled
def _member() -> int:
    return int(_address())


class _Here(threading.local):
    crew: Crew | None = None  # that the threads are which torch has for this one
    helps = False
    threads = 0  # that may be used, as far as it has been asked
    # A job that is not done yet: its crew, what it was given, and of a crew that others may own an array that
    # is 1 as long as the job is open.
    begun: tuple[Crew, Any, Crew | None] | None = None


here = _Here()
_lost = False


@cache
def _openmp() -> Any:
    """The library whose threads torch's operators run on; None where it is not GCC's."""
    import torch

    for path in (Path(torch.__file__).parent / "lib").glob("libgomp*.so*"):
        with suppress(OSError, AttributeError):  # it is not loaded, so torch runs on another one
            library = ctypes.CDLL(str(path), mode=os.RTLD_NOLOAD)
            return library.GOMP_parallel_start and library
    return None


def may_help(count: int) -> bool:
    """Whether torch's operators run on so many threads, and these can be called; more or fewer could not."""
    import torch

    return count > 1 and torch.get_num_threads() == count and not _lost and _openmp() is not None


def present(call: bool) -> Crew | None:
    """The crew that comes with its first job and stays until `dismiss`; None where it may not be called.

    Without `call` it is None, too, before that job.
    """
    if not here.helps:
        return None
    if here.crew is None:
        start, end = (
            ctypes.cast(function, ctypes.c_void_p).value or 0
            for function in (_openmp().GOMP_parallel_start, _openmp().GOMP_parallel_end)
        )
        here.crew = new_crew(start, _member(), end)
    return here.crew if call or here.crew[CALLED] else None


def call() -> None:
    """Let the crew come now, if it may be called: threads that sleep need as long as a small product does."""
    ours = present(True)
    if ours is not None and not ours[CALLED]:
        calling.call_together(ours, here.threads)


@compiled
def _finish(whose: Any, opened: Any) -> int:
    failed = crew.finish(whose)
    opened[0] = 0  # here, where no interrupt can come between: it must not be finished twice
    return int(failed)


def finish() -> None:
    """Bring the job to its end that has begun, if there is one."""
    if here.begun is None:
        return
    whose, _, opened = here.begun
    try:
        if crew.finish(whose) if opened is None else opened[0] and _finish(whose, opened):
            raise MemoryError(crew.NO_MEMORY)
    finally:
        here.begun = None


def dismiss() -> None:
    """Let all go who were called, and wait until they are gone; what has begun is done first."""
    ours = here.crew
    if ours is None or not ours[CALLED]:
        return
    try:
        if ours[OWNED]:  # even if an interrupt came before anybody noted it
            here.begun = ours, here.begun, None
            finish()
    finally:
        calling.see_off(ours)


def _forget_torch() -> None:
    # A forked child has none of the threads, and their library does not know.
    global _lost
    _lost, here.begun = True, None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_torch)
