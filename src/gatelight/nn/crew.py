"""Tasks of compiled code shared among threads without the interpreter; knows nothing of what they compute.

A thread that needs the interpreter's lock to begin is woken by the system, which takes longer than many a
task does. So compiled code names its tasks in an array that idle threads watch, and they run them as machine
code: `share` is called inside a compiled function, `serve` is what an idle thread does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.types import BaseTuple, MemInfoPointer  # type: ignore[attr-defined]
from numba.extending import intrinsic

from gatelight.compiled import called_by_name, compiled
from gatelight.nn.calling import CALL, CALLED, END, MEMBER, call_together
from gatelight.nn.lanes import INDEX, INT
from gatelight.nn.signals import Signal, breathe, look, put

Crew = np.ndarray[Any, np.dtype[np.int64]]
"""What the threads know of the one job that is open; its places are below, those that change far apart."""

# Written before a job is opened; then that it is open, its next task, who is inside, and who watches.
CODE, FRAME, COUNT, PLACES, FAILED, OWNED, OPEN, NEXT, INSIDE, AWAKE = 8, 9, 10, 16, 24, 32, 40, 48, 56, 64
# Whether a job's owner takes tasks from the last one on, others from the first; then how many others took.
ENDS, FRONT = 11, 49
ROOM = 88  # after those of calling.py: where what is given to a job that is begun stands until it is finished
SIZE = ROOM + 256

BEGUN = -1
NO_MEMORY = "a part of the work found no memory"


def new_crew(call: int = 0, member: int = 0, end: int = 0) -> Crew:
    """An array for one job at a time, which nobody works at; with addresses it is called when it has one."""
    crew = np.zeros(SIZE, np.int64)
    crew[CALL], crew[MEMBER], crew[END] = call, member, end
    return crew


def _changed(operation: str) -> Any:
    """A function of crew, place and value that changes a number of several threads and gives the old one."""

    @intrinsic  # type: ignore[untyped-decorator]
    def change(typingctx: Any, crew: Any, place: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, value=values[0]).data
            return builder.atomic_rmw(operation, builder.gep(data, [values[1]]), values[2], "seq_cst")

        return types.int64(crew, types.int64, types.int64), codegen

    return change


_add, _set = _changed("add"), _changed("xchg")


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


def _borrowed(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """The value without its arrays' owners: Numba's are gone when the caller returns, their memory is not."""
    if isinstance(kind, types.Array):
        owner = context.get_value_type(MemInfoPointer(kind.dtype))
        return builder.insert_value(value, owner(None), 0)
    if isinstance(kind, BaseTuple):
        for k, one in enumerate(kind):
            part = _borrowed(context, builder, one, builder.extract_value(value, k))
            value = builder.insert_value(value, part, k)
    return value


def _turns(typingctx: Any, kernel: Any, given: Any, crew: Any, lasts: bool, ends: bool = False) -> Any:
    """What `share` and, with a frame that `lasts`, `begin` are made of; `ends` as in `share_ends`."""
    inner = kernel.get_call_type(typingctx, (*given, types.int64), {})

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kernel_type, given_type, *_ = signature.args
        _, tasks, crew_value, helpers, count = values

        def call(function: Any, *numbers: Any) -> Any:
            outer = types.Dispatcher(function)
            typed = outer.get_call_type(typingctx, (crew, *(types.int64,) * len(numbers)), {})
            found = context.get_function(outer, typed)
            context.add_linking_libs(getattr(found, "libs", ()))
            return found(builder, [crew_value, *numbers])

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
        here = builder.ptrtoint(place, INDEX)
        if not lasts:
            return call(_take_turns, helpers, count, address, here, INDEX(int(ends)))

        if context.get_abi_sizeof(tasks.type) > 8 * (SIZE - ROOM):
            raise TypeError("more is given than a crew has room for")
        result = cgutils.alloca_once(builder, INDEX)
        owned = builder.icmp_signed("!=", call(_own, helpers, count, INDEX(1)), INDEX(0))
        with builder.if_else(owned) as (some, alone):
            with some:
                data = context.make_array(crew)(context, builder, value=crew_value).data
                room = builder.gep(data, [INDEX(ROOM)])
                kept = _borrowed(context, builder, given_type, tasks)
                builder.store(kept, builder.bitcast(room, tasks.type.as_pointer()), align=8)
                there = builder.ptrtoint(room, INDEX)
                opened = call(_open, helpers, count, address, there, INDEX(int(ends)))
                builder.store(opened, result)
            with alone:
                builder.store(call(_alone, count, address, here), result)
        return builder.load(result)

    return types.int64(kernel, given, crew, types.int64, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def share(typingctx: Any, kernel: Any, given: Any, crew: Any, helpers: Any, count: Any) -> Any:
    """Run kernel(*given, k) for k = 0 … count - 1 on this thread and up to `helpers` others; 0: all is well.

    For compiled callers. `given` is a tuple; tasks may run in any order and at the same time.
    """
    return _turns(typingctx, kernel, given, crew, False)


@intrinsic  # type: ignore[untyped-decorator]
def begin(typingctx: Any, kernel: Any, given: Any, crew: Any, helpers: Any, count: Any) -> Any:
    """As `share`, but others may run tasks until this thread calls `finish`, which it has to: BEGUN.

    What is given must live so long, so it is none of the caller's own arrays. Where nobody could help all is
    done at once, and the result is that of `share`.
    """
    return _turns(typingctx, kernel, given, crew, True)


@intrinsic  # type: ignore[untyped-decorator]
def share_ends(typingctx: Any, kernel: Any, given: Any, crew: Any, helpers: Any, count: Any) -> Any:
    """As `share`; but this thread takes tasks from the last one on, and others from the first.

    So in jobs that follow each other a thread finds what it wrote itself, where tasks are in such an order
    that the first half is as much work as the second and the middle the least.
    """
    return _turns(typingctx, kernel, given, crew, False, True)


@intrinsic  # type: ignore[untyped-decorator]
def begin_ends(typingctx: Any, kernel: Any, given: Any, crew: Any, helpers: Any, count: Any) -> Any:
    """As `begin`, with tasks taken as by `share_ends`."""
    return _turns(typingctx, kernel, given, crew, True, True)


@compiled
def even_part(size: int, helpers: int, multiple: int) -> int:
    """How much of `size` each thread takes where all have one task: a multiple of this, one at least."""
    each = max(1, (size + helpers) // (helpers + 1))
    return int(each + -each % multiple)


@compiled
def _claim(crew: Any, count: int, code: int, frame: int, owner: bool) -> int:
    """Run tasks of the open job as long as there are any; 0 where all is well."""
    failed, taken, ends = 0, 0, crew[ENDS]
    task = _add(crew, NEXT, 1)
    while task < count:
        if ends:  # who comes from one end cannot meet the other: NEXT counts what either took
            task = count - 1 - taken if owner else _add(crew, FRONT, 1)
            taken += 1
        failed |= _run(code, frame, task)
        task = _add(crew, NEXT, 1)
    return int(failed)


@compiled
def _own(crew: Any, helpers: int, count: int, begins: int) -> int:
    """Whether the job may be opened to others: 1; 0 where it is for nobody, or somebody else's is open."""
    least = 1 if begins and crew[CALL] == 0 else 2  # a layer's only one is shorter than the way
    return int(helpers > 0 and count >= least and _set(crew, OWNED, 1) == 0)


@compiled
def _alone(crew: Any, count: int, code: int, frame: int) -> int:
    """Run all tasks; 0 where all is well."""
    failed = 0
    for task in range(count):
        failed |= _run(code, frame, task)
    return int(failed)


@compiled
def _open(crew: Any, helpers: int, count: int, code: int, frame: int, ends: int) -> int:
    """Let others take turns at the job of who owns the crew; BEGUN."""
    if crew[CALL] != 0 and crew[CALLED] == 0:
        call_together(crew, helpers + 1)
    crew[CODE], crew[FRAME], crew[COUNT] = code, frame, count
    crew[PLACES], crew[FAILED], crew[NEXT] = helpers, 0, 0
    crew[ENDS], crew[FRONT] = ends, 0
    _set(crew, OPEN, 1)
    return BEGUN


@compiled
def finish(crew: Any) -> int:
    """Take turns at the job that this thread has opened, and wait for its end; 0 where all is well."""
    failed = _claim(crew, crew[COUNT], crew[CODE], crew[FRAME], True)
    _set(crew, OPEN, 0)
    looks = 0
    while look(crew[INSIDE:]) > 0:  # who came before it was closed, and may still be at a task
        looks += 1
        breathe(looks)
    failed |= crew[FAILED]
    put(crew[OWNED:], 0)
    return int(failed)


@compiled
def _take_turns(crew: Any, helpers: int, count: int, code: int, frame: int, ends: int) -> int:
    if _own(crew, helpers, count, 0) == 0:
        return int(_alone(crew, count, code, frame))
    _open(crew, helpers, count, code, frame, ends)
    return int(finish(crew))


@compiled
def help_crew(crew: Any) -> bool:
    """Take turns at the job that is open; whether there was one."""
    if look(crew[OPEN:]) == 0 or look(crew[NEXT:]) >= crew[COUNT]:
        return False
    _add(crew, INSIDE, 1)
    # It stays the same job while one is inside.
    mine = _add(crew, OPEN, 0) != 0 and _add(crew, PLACES, -1) > 0
    if mine and _claim(crew, crew[COUNT], crew[CODE], crew[FRAME], False) != 0:
        _set(crew, FAILED, 1)
    _add(crew, INSIDE, -1)
    return True


@compiled
def serve(crew: Crew, told: Signal, value: int, watched: Signal, seen: int, looks: int) -> None:
    """Set `told` to `value`; then help the crew, until `watched` is no longer `seen` or `looks` were in vain.

    It happens without the interpreter's lock.
    """
    put(told, value)
    _add(crew, AWAKE, 1)
    left = looks
    while left > 0 and look(watched) == seen:
        if help_crew(crew):
            left = looks
        left -= 1
        breathe(left)
    _add(crew, AWAKE, -1)
