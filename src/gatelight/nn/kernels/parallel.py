"""Tasks of compiled code shared among threads without the interpreter; knows nothing of what they compute.

A thread that needs the interpreter's lock to begin is woken by the system, which takes longer than many a
task does. So compiled code names its tasks in an array, the pool, that idle threads look at for a moment
before they sleep: `parallel_for` is called inside a compiled function and returns when all is done, so that
no interrupt can come between. (Numba's own pool aborts when two threads call it.)
"""

from __future__ import annotations

import os
import sys
import threading
from queue import SimpleQueue
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from gatelight.compiled import called_by_name, compiled
from gatelight.nn.kernels.simd import INDEX, INT
from gatelight.nn.processors import available

Pool = np.ndarray[Any, np.dtype[np.int64]]
"""What the threads know of the one job that is open; its places are below, those that change far apart."""

# Written before a job is opened; then that it is open, its next task, who is inside, and who watches.
CODE, FRAME, COUNT, PLACES, FAILED, OWNED, OPEN, NEXT, INSIDE, AWAKE = 8, 9, 10, 16, 24, 32, 40, 48, 56, 64
SIZE = 72

LOOKS = 24_000
"""Looks for work before a thread sleeps: about a millisecond, longer than torch is busy in between."""

YIELDING = 512
"""Looks after which who waits lets the system run another thread here: it may be the one that is waited for,
or one that was woken and put behind this one while another processor is idle."""

NO_MEMORY = "a part of the work found no memory"
_X86 = llvm.get_process_triple().startswith(("x86_64", "i386", "i686"))


def new_pool() -> Pool:
    """An array for one job at a time, which nobody works at."""
    return np.zeros(SIZE, np.int64)


@intrinsic  # type: ignore[untyped-decorator]
def load(typingctx: Any, pool: Any, place: Any) -> Any:
    """Read a number anew from memory, and let the processor's other thread go on."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, value=values[0]).data
        if _X86:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        return builder.load_atomic(builder.gep(data, [values[1]]), "acquire", 8)

    return types.int64(pool, types.int64), codegen


def _changed(operation: str) -> Any:
    """A function of pool, place and value that changes a number of several threads and gives the old one."""

    @intrinsic  # type: ignore[untyped-decorator]
    def change(typingctx: Any, pool: Any, place: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, value=values[0]).data
            return builder.atomic_rmw(operation, builder.gep(data, [values[1]]), values[2], "seq_cst")

        return types.int64(pool, types.int64, types.int64), codegen

    return change


add, exchange = _changed("add"), _changed("xchg")


@intrinsic  # type: ignore[untyped-decorator]
def _sched_yield(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if sys.platform != "win32":
            kind = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic  # type: ignore[untyped-decorator]
def _run(typingctx: Any, code: Any, frame: Any, task: Any) -> Any:
    """Run a task of the code and frame at these addresses; 0 where all is well."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = _task_type(context)
        result, error = (cgutils.alloca_once(builder, of.pointee) for of in kind.args[:2])
        function = builder.inttoptr(values[0], kind.as_pointer())
        frame = builder.inttoptr(values[1], kind.args[2])
        return builder.sext(builder.call(function, [result, error, frame, values[2]]), INDEX)

    return types.int64(types.int64, types.int64, types.int64), codegen


def _task_type(context: Any) -> Any:
    """A task's code, in Numba's own form of a function of an address and a number."""
    return context.call_conv.get_function_type(types.none, (types.voidptr, types.int64))


@intrinsic  # type: ignore[untyped-decorator]
def parallel_for(typingctx: Any, kernel: Any, given: Any, pool: Any, helpers: Any, count: Any) -> Any:
    """Run kernel(*given, k) for k = 0 … count - 1 on this thread and up to `helpers` others; 0: all is well.

    For compiled callers. `given` is a tuple; tasks may run in any order and at the same time.
    """
    inner = kernel.get_call_type(typingctx, (*given, types.int64), {})

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kernel_type, given_type, *_ = signature.args
        _, tasks, pool_value, helpers, count = values
        code = ir.Function(
            builder.module, _task_type(context), builder.module.get_unique_name("gatelight.task")
        )
        code.linkage = "internal"
        written = ir.IRBuilder(code.append_basic_block("entry"))
        frame = written.load(written.bitcast(code.args[2], tasks.type.as_pointer()))
        arguments = [*cgutils.unpack_tuple(written, frame, len(given_type)), code.args[3]]
        called = called_by_name(context, written, kernel_type.dispatcher, inner.args)
        convention = context.call_conv
        status, _ = convention.call_function(written, called, inner.return_type, inner.args, arguments)
        with cgutils.if_unlikely(written, status.is_error):
            convention.return_status_propagate(written, status)
        written.ret(INT(0))
        address, place = builder.ptrtoint(code, INDEX), cgutils.alloca_once_value(builder, tasks)
        outer = types.Dispatcher(_take_turns)  # type: ignore[type-var]
        typed = outer.get_call_type(typingctx, (pool, *(types.int64,) * 4), {})
        found = context.get_function(outer, typed)
        context.add_linking_libs(getattr(found, "libs", ()))
        return found(builder, [pool_value, helpers, count, address, builder.ptrtoint(place, INDEX)])

    return types.int64(kernel, given, pool, types.int64, types.int64), codegen


@compiled
def _claim(pool: Any, count: int, code: int, frame: int) -> int:
    """Run tasks of the open job as long as there are any; 0 where all is well."""
    failed = 0
    task = add(pool, NEXT, 1)
    while task < count:
        failed |= _run(code, frame, task)
        task = add(pool, NEXT, 1)
    return int(failed)


@compiled
def _take_turns(pool: Any, helpers: int, count: int, code: int, frame: int) -> int:
    if helpers == 0 or count < 2 or exchange(pool, OWNED, 1) != 0:  # nobody could help, or all help others
        failed = 0
        for task in range(count):
            failed |= _run(code, frame, task)
        return int(failed)
    pool[CODE], pool[FRAME], pool[COUNT] = code, frame, count
    pool[PLACES], pool[FAILED], pool[NEXT] = helpers, 0, 0
    exchange(pool, OPEN, 1)
    failed = _claim(pool, count, code, frame)
    exchange(pool, OPEN, 0)
    looks = 0
    while load(pool, INSIDE) > 0:  # who came before it was closed, and may still be at a task
        looks += 1
        if looks % YIELDING == 0:
            _sched_yield()
    failed |= pool[FAILED]
    exchange(pool, OWNED, 0)
    return int(failed)


@compiled
def _help(pool: Any) -> bool:
    """Take turns at the job that is open; whether there was one."""
    if load(pool, OPEN) == 0 or load(pool, NEXT) >= pool[COUNT]:
        return False
    add(pool, INSIDE, 1)
    # It stays the same job while one is inside.
    mine = add(pool, OPEN, 0) != 0 and add(pool, PLACES, -1) > 0
    if mine and _claim(pool, pool[COUNT], pool[CODE], pool[FRAME]) != 0:
        exchange(pool, FAILED, 1)
    add(pool, INSIDE, -1)
    return True


@compiled
def _serve(pool: Pool, looks: int) -> None:
    """Help until so many looks were in vain."""
    add(pool, AWAKE, 1)
    left = looks
    while left > 0:
        left = looks if _help(pool) else left - 1
        if left % YIELDING == 0:
            _sched_yield()
    add(pool, AWAKE, -1)


class _Workers:
    """The threads of a process, which are started when there is work for them, and live as long."""

    def __init__(self) -> None:
        self.pool, self.calls = new_pool(), SimpleQueue[None]()
        self.lock, self.started = threading.Lock(), 0

    def start(self, count: int) -> int:
        """Have so many threads, if the system gives them; how many there are."""
        with self.lock:
            while self.started < count:
                thread = threading.Thread(target=self._live, name="gatelight", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the system's bound is reached: go on with those that are there
                    break
                self.started += 1
            return self.started

    def wake(self, helpers: int) -> None:
        """Let so many threads look at the pool, or come to do so soon."""
        missing = min(helpers, self.start(helpers)) - int(self.pool[AWAKE])
        for _ in range(missing - self.calls.qsize()):
            self.calls.put(None)

    def _live(self) -> None:
        while True:
            # Where there are more threads than processors, who looks takes one from those that work.
            _serve(self.pool, LOOKS if self.started < available() else LOOKS // 16)
            self.calls.get()


_workers = _Workers()


def woken_pool(helpers: int, wake: bool) -> Pool:
    """The array in which a region names its tasks; with `wake` so many threads look at it, or will soon."""
    if wake and helpers > _workers.pool[AWAKE]:
        _workers.wake(helpers)
    return _workers.pool


def _renew() -> None:
    # A forked child has none of the threads, and a lock may be held by one that it has not.
    global _workers
    _workers = _Workers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
