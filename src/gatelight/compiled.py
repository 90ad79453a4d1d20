"""How a function is compiled by Numba and kept for the next process; knows nothing of what it computes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, overload

from numba import njit
from numba.core import event
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys
from numba.core.types.misc import unliteral

from gatelight import notices

Function = Callable[..., Any]


@overload
def compiled(function: Function, /) -> Function: ...
@overload
def compiled(**options: Any) -> Callable[[Function], Function]: ...
def compiled(function: Function | None = None, /, **options: Any) -> Any:
    """Compile a function when it is first called, without the GIL, and keep the code in Numba's cache.

    `options` are further ones of `numba.njit`.
    """
    return _compiled(function, options) if function is not None else lambda given: _compiled(given, options)


def _compiled(function: Function, options: dict[str, Any]) -> Any:
    made = njit(cache=True, nogil=True, **options)(function)
    if not hasattr(made, "_cache"):  # Numba is switched off
        return made
    _without_literals(made)
    # If Numba kept code otherwise than today, it would be loaded without the names that it calls (tiles.py).
    if type(made._cache) is not FunctionCache or not hasattr(FunctionCache, "_load_overload"):
        return njit(nogil=True, **options)(function)
    made._cache.__class__ = _Kept
    return made


def _without_literals(made: Any) -> None:
    """Let compiled callers share code; Numba compiles it anew for an argument that is a constant there."""
    template = made.get_call_template

    def get_call_template(args: Any, kws: Any) -> Any:
        plain = {name: unliteral(kind) for name, kind in kws.items()}
        return template(tuple(unliteral(kind) for kind in args), plain)

    made.get_call_template = get_call_template


def code_for(function: Any, kinds: tuple[Any, ...]) -> Any:
    """A compiled function's code for arguments of these of Numba's types: its `library` and `fndesc`."""
    function.compile(kinds)
    return function.overloads[kinds]


def seconds_compiling() -> float:
    """Seconds that this process has spent compiling so far."""
    return _watch.seconds


def clock() -> float:
    """`time.perf_counter` without what this process has spent compiling: how long work itself takes."""
    return time.perf_counter() - _watch.seconds


class _Watch(event.Listener):  # type: ignore[misc]
    """Measures how long functions compile, those they call included, and announces a long wait once."""

    LONG = 1.0  # seconds
    NOTICE = "compiling for this processor, which takes up to a minute; the next time it is there"

    def __init__(self) -> None:
        self._before, self._depth, self._since, self._told = 0.0, 0, 0.0, False

    @property
    def seconds(self) -> float:
        return self._before + (time.perf_counter() - self._since if self._depth else 0.0)

    def on_start(self, event: Any) -> None:
        if self._depth == 0:
            self._since = time.perf_counter()
        self._depth += 1
        self._announce()

    def on_end(self, event: Any) -> None:
        self._announce()
        if self._depth == 1:
            self._before = self.seconds
        self._depth -= 1

    def _announce(self) -> None:
        if not self._told and self.seconds > self.LONG:
            self._told = True
            notices.tell(self.NOTICE)


_watch = _Watch()
event.register("numba:compile", _watch)


class _Kept(FunctionCache):  # type: ignore[misc]
    """Finds compiled code without loading the compiler.

    Numba's own way first imports all that it can compile, scipy's linear algebra too: that took a third of a
    second, more than all else that judging one text asks of a process.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        rtsys.initialize(target_context)  # arrays that compiled code makes
        with self._guard_against_spurious_io_errors():
            found = self._load_overload(sig, target_context)
            if found is not None:
                found.library._reload_init.update(found.reload_init)  # for what will be compiled with it
                return found
        return super().load_overload(sig, target_context)
