"""How a function is compiled by Numba and kept for the next process."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, overload

import llvmlite.binding as llvm
from numba import njit
from numba.core import cgutils, event
from numba.core.caching import FunctionCache
from numba.core.errors import NumbaError
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
    # Nobody takes it for a C function, the code for which takes as long to compile as a short function.
    options = {"nogil": True, "no_cfunc_wrapper": True, **options}
    made = _dispatcher(function, options, _Kept)
    if hasattr(made, "get_call_template"):  # else Numba is switched off
        bare = {**options, "no_cpython_wrapper": True}
        _serve_compiled_callers(made, cache(lambda: _dispatcher(function, bare, _KeptWithin)))
    return made


def _dispatcher(function: Function, options: dict[str, Any], kept: type) -> Any:
    made = njit(cache=True, **options)(function)
    own = getattr(made, "_cache", None)
    # If Numba kept code otherwise than today, it would be loaded without the names that it calls.
    known = type(own) is FunctionCache and hasattr(FunctionCache, "_load_overload")
    if not (known and hasattr(getattr(own, "_cache_file", None), "_source_stamp")):
        return njit(**options)(function)
    own.__class__ = kept
    return made


def _serve_compiled_callers(made: Any, within: Callable[[], Any]) -> None:
    """Give them the code of `within`, which Python could not call: to compile how it would takes a quarter.

    They share code: Numba compiles it anew for an argument that is a constant there.
    """

    def get_call_template(args: Any, kws: Any) -> Any:
        plain = {name: unliteral(kind) for name, kind in kws.items()}
        return within().get_call_template(tuple(unliteral(kind) for kind in args), plain)

    def get_overload(sig: Any) -> Any:
        return within().get_overload(sig)

    made.get_call_template, made.get_overload, made.within = get_call_template, get_overload, within


def code_for(function: Any, kinds: tuple[Any, ...]) -> Any:
    """A compiled function's code for arguments of these of Numba's types: its `library` and `fndesc`."""
    function.within().compile(kinds)
    return function.within().overloads[kinds]


def called_by_name(context: Any, builder: Any, function: Any, kinds: tuple[Any, ...]) -> Any:
    """The LLVM function that this one's code for such arguments is, which stays out of the caller's code.

    Numba takes what a function calls into its code, and optimises it once more for each caller. The function
    is to be found in its module under its own name.
    """
    where = function.py_func.__module__, function.py_func.__name__, kinds
    # A name must be known wherever code that calls it is loaded: this Numba keeps beside it, and calls first.
    context.active_code_library._reload_init.add(partial(_named, *where))
    form = context.call_conv.get_function_type(code_for(function, kinds).signature.return_type, kinds)
    return cgutils.get_or_insert_function(builder.module, form, _named(*where))


@cache
def _named(module: str, function: str, kinds: tuple[Any, ...]) -> str:
    made = code_for(getattr(import_module(module), function), kinds)
    name = f"{module}.{function}({', '.join(map(str, kinds))})"
    llvm.add_symbol(name, made.library.get_pointer_to_function(made.fndesc.llvm_func_name))
    return name


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


_IMPORT = re.compile(rb"^ *from gatelight\.?([\w.]*) import ([^(\n]+|\([^)]*\))", re.MULTILINE)


@cache
def _read(path: Path) -> tuple[bytes, list[Path]]:
    """A source file's digest, and where what it imports of the package would be."""
    text, imported = path.read_bytes(), []
    for module, names in _IMPORT.findall(text):
        place = Path(__file__).parent.joinpath(*module.decode().split("."))
        each = re.findall(r"\w+", names.decode()) if place.is_dir() else []
        imported += [place / f"{name}.py" for name in each] or [place.with_suffix(".py")]
    return hashlib.sha256(text).digest(), imported


@cache
def _sources(path: Path) -> str:
    """A digest of a file and all that it imports: code holds what it calls, but Numba looks at one file."""
    found, left = {}, [path]
    while left:
        one = left.pop()
        if one not in found and one.is_file():  # a package has none of its name; nor has a frozen program
            found[one], imported = _read(one)
            left += imported
    return hashlib.sha256(b"".join(found[one] for one in sorted(found))).hexdigest()


class _Kept(FunctionCache):  # type: ignore[misc]
    """Finds compiled code without loading the compiler.

    Numba's own way first imports all that it can compile, scipy's linear algebra too: that took a third of a
    second, more than all else that predicting one text asks of a process.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        file = self._cache_file
        if not isinstance(file._source_stamp, tuple):
            file._source_stamp = file._source_stamp, _sources(Path(self._py_func.__code__.co_filename))
        rtsys.initialize(target_context)  # arrays that compiled code makes
        with self._guard_against_spurious_io_errors():
            try:
                found = self._load_overload(sig, target_context)
            except (AttributeError, ImportError, NumbaError):
                return None  # it calls what another version of the package had
            if found is not None:
                found.library._reload_init.update(found.reload_init)  # for what will be compiled with it
                return found
        return super().load_overload(sig, target_context)


class _KeptWithin(_Kept):
    """The same for code that only compiled code calls: beside the other, under a name of its own."""

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return (*super()._index_key(sig, codegen), "within")
