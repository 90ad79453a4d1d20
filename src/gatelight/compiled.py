"""How a function is compiled by Numba and kept for the next process; knows nothing of what it computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

from numba import njit
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys

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
    # If Numba kept code otherwise than today, it would be loaded without the names that it calls (tiles.py).
    if type(made._cache) is not FunctionCache or not hasattr(FunctionCache, "_load_overload"):
        return njit(nogil=True, **options)(function)
    made._cache.__class__ = _Kept
    return made


def code_for(function: Any, kinds: tuple[Any, ...]) -> Any:
    """A compiled function's code for arguments of these of Numba's types: its `library` and `fndesc`."""
    function.compile(kinds)
    return function.overloads[kinds]


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
