"""One class of NLTK's without the rest of it; knows how modules are imported, not what is in them.

`import nltk.tokenize` runs all of NLTK, which imports scipy.stats and scikit-learn: seconds, and most of what
judging one text in a new process takes. The files that the class needs are run by themselves instead, as
modules that nobody else sees, so that whoever imports NLTK elsewhere, in another thread too, gets all of it.
"""

from __future__ import annotations

import builtins
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from types import ModuleType, SimpleNamespace
from typing import Any

PACKAGE = "nltk"


def class_of(module: str, name: str) -> Any:
    """Return a class of one of NLTK's modules; ImportError without NLTK."""
    if PACKAGE in sys.modules:
        return getattr(import_module(module), name)
    try:
        return getattr(_Alone().module(module), name)
    except Exception:  # whatever it is that another version needs, an ordinary import gives it
        return getattr(import_module(module), name)


class _Alone:
    """Modules of the package by name, each run once; no package's `__init__` is."""

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}

    def module(self, name: str) -> ModuleType:
        if name not in self._modules:
            spec = _found(name)
            assert spec.loader is not None
            module = self._modules[name] = module_from_spec(spec)
            vars(module)["__builtins__"] = {**vars(builtins), "__import__": self._import}
            spec.loader.exec_module(module)
        return self._modules[name]

    def _import(self, name: str, *rest: Any) -> Any:
        if name.partition(".")[0] != PACKAGE:
            return builtins.__import__(name, *rest)
        fromlist = rest[2]  # an import statement always gives it
        if not fromlist:
            raise ImportError(name)
        if _found(name).submodule_search_locations is None:
            return self.module(name)
        return SimpleNamespace(**{part: self.module(f"{name}.{part}") for part in fromlist})


def _found(name: str) -> ModuleSpec:
    parent = name.rpartition(".")[0]
    spec = PathFinder.find_spec(name, _found(parent).submodule_search_locations if parent else None)
    if spec is None:
        raise ImportError(name)
    return spec
