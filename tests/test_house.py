"""The house rules, held by reading the source as a syntax tree: nothing of gatelight is imported here."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "gatelight"
SOURCE = ROOT / "src" / PACKAGE

CELLAR = {"compiled", "errors", "files", "lazily", "notices"}
BELOW: dict[str, set[str]] = {
    "compiled": {"notices"},
    "errors": set(),
    "files": {"errors"},
    "lazily": set(),
    "notices": set(),
    "text": CELLAR,
    "memory": CELLAR,
    "models": CELLAR | {"memory"},
    "estimators": CELLAR | {"text", "memory", "models"},
    "insight": CELLAR | {"text", "memory", "models", "estimators"},
    "interop": CELLAR | {"text", "memory", "models", "estimators"},
    "lab": CELLAR | {"text", "memory", "models", "estimators"},
    "app": CELLAR | {"text", "memory", "models", "estimators", "insight", "interop", "lab"},
    "__main__": {"app"},
    # The front door shows what a Python user wants; the command line is not among it.
    "__init__": CELLAR | {"text", "memory", "models", "estimators", "insight", "interop", "lab"},
}
TEXT_PACKAGES = {"ftfy", "gensim", "html", "nltk", "pyarrow", "regex", "unicodedata"}
FOREIGN: dict[str, set[str]] = {  # room -> packages that would bring in what the room must not know
    "text": {"torch", "safetensors"},
    "memory": TEXT_PACKAGES | {"sklearn"},
    "models": TEXT_PACKAGES,
}
RUNS_CODE_WHEN_READ = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {
    "torch.load": "unpickles",
    "torch.save": "pickles",
    "pandas.read_pickle": "unpickles",
    "eval": "runs text as code",
    "exec": "runs text as code",
    "__import__": "hides an import from this test",
    "os.system": "runs a shell",
}
NAMES_THAT_MEAN_NOTHING = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "base"}
LINES = {"src": 300, "tests": 400, "tools": 300, "benchmarks": 300}
PACKAGE_LINES = 41_825  # the whole of src; a room that needs more should first give something up


def room_of(module: str) -> str:
    """`gatelight.text.corpus` -> `text`; the package itself -> `__init__`."""
    return module.split(".")[1] if "." in module else "__init__"


def modules(source: Path) -> Iterator[tuple[str, Path, ast.Module]]:
    """Dotted name, path and syntax tree of every module under the package folder `source`."""
    for path in sorted(source.rglob("*.py")):
        parts = [PACKAGE, *path.relative_to(source).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield name, path, ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(name: str, path: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and dotted target of every import: at the top, in functions, for types only, by name."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            target = ".".join(part for part in (above, node.module) if part)
            yield from ((node.lineno, f"{target}.{alias.name}") for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and "import_module" in ast.unparse(node.func)
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, package * str(node.args[0].value).startswith(".") + str(node.args[0].value)


def imports_that_run_up(source: Path) -> list[str]:
    """Imports of a room that does not lie below, and of packages that bring in what a room must not know."""
    found = []
    for name, path, tree in modules(source):
        room = room_of(name)
        if room not in BELOW:
            found.append(f"{path}: the house has no room {room!r}: give it a place in BELOW")
            continue
        for line, target in imported(name, path, tree):
            if target.split(".")[0] in FOREIGN.get(room, set()):
                found.append(f"{path}:{line}: {room} must not know of {target.split('.')[0]}")
            if target.split(".")[0] != PACKAGE or target == f"{PACKAGE}.__version__":
                continue
            other = room_of(target)
            if other != room and other not in BELOW[room]:
                found.append(f"{path}:{line}: {room} must not import {other} ({target})")
    return found


def code_read_from_files(source: Path) -> list[str]:
    """Imports and calls by which a file that somebody sends could run code."""
    found = []
    for name, path, tree in modules(source):
        alias: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                alias |= {a.asname: a.name for a in node.names if a.asname}
            elif isinstance(node, ast.ImportFrom):
                alias |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        for line, target in imported(name, path, tree):
            if target.split(".")[0] in RUNS_CODE_WHEN_READ:
                found.append(f"{path}:{line}: {target} runs code when it reads")
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            first, dot, rest = ast.unparse(node.func).partition(".")
            called = alias.get(first, first) + dot + rest
            if called in FORBIDDEN_CALLS:
                found.append(f"{path}:{node.lineno}: {called} {FORBIDDEN_CALLS[called]}")
            for keyword in node.keywords:
                if keyword.arg in {"allow_pickle", "shell"} and ast.unparse(keyword.value) != "False":
                    found.append(f"{path}:{node.lineno}: {keyword.arg}={ast.unparse(keyword.value)}")
    return found


def errors_swallowed(source: Path) -> list[str]:
    """Handlers that catch everything and do nothing: the user would never learn what went wrong."""
    return [
        f"{path}:{node.lineno}: every error is caught and none is told"
        for _, path, tree in modules(source)
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and all(ast.unparse(statement) in {"pass", "continue", "..."} for statement in node.body)
    ]


def modules_without_a_boundary(source: Path) -> list[str]:
    """Modules whose docstring does not open with one full sentence; empty `__init__` files need none."""
    found = []
    for _, path, tree in modules(source):
        first = (ast.get_docstring(tree) or "").partition("\n\n")[0].rstrip()
        if tree.body and not first.endswith((".", ":", ")", "?")):
            found.append(f"{path}: the docstring must open with a sentence that says the module's boundary")
    return found


def python_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Top folder and path of every Python file of the checkout."""
    for top in LINES:
        yield from ((top, path) for path in sorted((root / top).rglob("*.py")))


def empty_names(root: Path) -> list[str]:
    """Folders, files and classes named after nothing in the field."""
    found = []
    for top, path in python_files(root):
        for part in path.relative_to(root / top).with_suffix("").parts:
            if NAMES_THAT_MEAN_NOTHING & set(part.lower().split("_")):
                found.append(f"{path}: {part!r} names no concept")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name.lower().endswith(("manager", "helper", "utils")):
                found.append(f"{path}:{node.lineno}: {node.name!r} names no concept")
    return found


def files_too_long(root: Path) -> list[str]:
    """Files over their folder's budget, and the package over its own."""
    lengths = [
        (top, path, len(path.read_text(encoding="utf-8").splitlines())) for top, path in python_files(root)
    ]
    found = [f"{path}: {n} lines, the budget is {LINES[top]}" for top, path, n in lengths if n > LINES[top]]
    total = sum(n for top, _, n in lengths if top == "src")
    if total > PACKAGE_LINES:
        found.append(f"{root / 'src'}: {total} lines in all, the budget is {PACKAGE_LINES}")
    return found


# The house as it stands.

PACKAGE_RULES = [imports_that_run_up, code_read_from_files, errors_swallowed, modules_without_a_boundary]
CHECKOUT_RULES = [empty_names, files_too_long]
Rule = Callable[[Path], list[str]]


@pytest.mark.parametrize("rule", PACKAGE_RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    """A room that reaches up, or a file that can run code, makes the house unreadable or unsafe."""
    assert any(True for _ in modules(SOURCE)), f"no module under {SOURCE}: the rule looked at nothing"
    assert rule(SOURCE) == []


@pytest.mark.parametrize("rule", CHECKOUT_RULES, ids=lambda rule: rule.__name__)
def test_the_checkout_keeps_the_rule(rule: Rule) -> None:
    """A file that grew too long, or that is named after nothing, hides what it is about."""
    assert rule(ROOT) == []


# The rules themselves can see: each is shown a house with one fault, and the same house without.

FAULTS = [
    (imports_that_run_up, "text/a.py", "from gatelight.memory import LSTM", "text must not import memory"),
    (imports_that_run_up, "text/a.py", "from ..memory.layers import LSTM", "text must not import memory"),
    (imports_that_run_up, "text/__init__.py", "from .. import models", "text must not import models"),
    (imports_that_run_up, "text/a.py", "def f():\n    import torch.nn", "text must not know of torch"),
    (imports_that_run_up, "memory/a.py", "import gatelight.text.corpus", "memory must not import text"),
    (imports_that_run_up, "memory/a.py", "from gatelight.models import x", "memory must not import models"),
    (imports_that_run_up, "memory/a.py", "import ftfy", "memory must not know of ftfy"),
    (imports_that_run_up, "models/a.py", "from gatelight.text import tokens", "models must not import text"),
    (imports_that_run_up, "models/a.py", "from html import unescape", "models must not know of html"),
    (imports_that_run_up, "estimators/a.py", "from gatelight.app import main", "must not import app"),
    (imports_that_run_up, "estimators/a.py", "from gatelight import insight", "must not import insight"),
    (imports_that_run_up, "insight/a.py", "from gatelight.interop import onnx", "must not import interop"),
    (imports_that_run_up, "interop/a.py", "from gatelight.lab import copying", "must not import lab"),
    (imports_that_run_up, "lab/a.py", "from gatelight.insight import traces", "must not import insight"),
    (imports_that_run_up, "files.py", "from gatelight.text import corpus", "files must not import text"),
    (imports_that_run_up, "text/a.py", "import_module('gatelight.app.main')", "text must not import app"),
    (imports_that_run_up, "text/a.py", "from gatelight import LSTM", "text must not import LSTM"),
    (imports_that_run_up, "__init__.py", "from gatelight.app import main", "must not import app"),
    (imports_that_run_up, "attic/a.py", "", "the house has no room 'attic'"),
    (code_read_from_files, "text/a.py", "import pickle", "pickle"),
    (code_read_from_files, "text/a.py", "from joblib import load", "joblib"),
    (code_read_from_files, "memory/a.py", "import torch\ntorch.load('x')", "torch.load unpickles"),
    (code_read_from_files, "memory/a.py", "import torch as t\nt.load('x')", "torch.load unpickles"),
    (code_read_from_files, "memory/a.py", "from torch import load as l\nl('x')", "torch.load unpickles"),
    (code_read_from_files, "text/a.py", "np.load('x', allow_pickle=True)", "allow_pickle=True"),
    (code_read_from_files, "text/a.py", "eval('1')", "eval runs text as code"),
    (code_read_from_files, "text/a.py", "exec('1')", "exec runs text as code"),
    (code_read_from_files, "text/a.py", "subprocess.run('ls', shell=True)", "shell=True"),
    (errors_swallowed, "text/a.py", "try:\n    f()\nexcept Exception:\n    pass", "none is told"),
    (errors_swallowed, "text/a.py", "try:\n    f()\nexcept:\n    pass", "none is told"),
    (modules_without_a_boundary, "text/a.py", "x = 1", "must open with a sentence"),
]
SOUND = {
    "__init__.py": '"""The front door."""\nfrom gatelight.memory import LSTM',
    "errors.py": '"""Errors."""',
    "files.py": '"""Files."""\nfrom gatelight.errors import DataError',
    "text/__init__.py": "",
    "text/tokens.py": '"""Tokens."""\nimport numpy\nfrom ..errors import DataError\nfrom . import corpus',
    "memory/layers.py": '"""Layers."""\nimport torch\nmodel.eval()\nnumpy.load("x", allow_pickle=False)',
    "models/a.py": '"""Ids."""\nfrom ..memory.layers import LSTM\nfrom gatelight import __version__',
    "estimators/a.py": '"""Both."""\nfrom ..text import tokens\nfrom .. import memory, models',
    "insight/a.py": '"""Insight."""\nfrom gatelight.estimators import a\nfrom .b import c',
    "app/main.py": '"""Roof."""\nfrom gatelight.lab import x\ntry:\n    f()\nexcept OSError:\n    pass',
}


def build(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("rule", PACKAGE_RULES, ids=lambda rule: rule.__name__)
def test_a_sound_package_is_left_in_peace(rule: Rule, tmp_path: Path) -> None:
    """A rule that complains of everything would be switched off."""
    assert rule(build(tmp_path, SOUND)) == []


@pytest.mark.parametrize(
    ("rule", "file", "code", "complaint"), FAULTS, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_fault_in_the_package_is_seen(
    rule: Rule, file: str, code: str, complaint: str, tmp_path: Path
) -> None:
    """Without this, a rule that finds nothing, ever, would look like a house in order."""
    found = rule(build(tmp_path, SOUND | {file: code}))
    assert len(found) == 1
    assert complaint in found[0]
    assert file in found[0]


@pytest.mark.parametrize(
    ("rule", "file", "code", "complaint"),
    [
        (empty_names, "src/gatelight/text/utils.py", "", "names no concept"),
        (empty_names, "src/gatelight/common/a.py", "", "names no concept"),
        (empty_names, "tests/text_helpers.py", "", "names no concept"),
        (empty_names, "src/gatelight/text/a.py", "class RunManager: ...", "names no concept"),
        (files_too_long, "src/gatelight/text/a.py", "x = 1\n" * 301, "301 lines, the budget is 300"),
        (files_too_long, "tests/test_a.py", "x = 1\n" * 401, "401 lines, the budget is 400"),
    ],
)
def test_a_fault_in_the_checkout_is_seen(
    rule: Rule, file: str, code: str, complaint: str, tmp_path: Path
) -> None:
    """The same for names and sizes; a file at its budget and `baseline.py` are allowed."""
    sound = {"src/gatelight/a.py": "x = 1\n" * 300, "src/gatelight/estimators/baseline.py": ""}
    assert rule(build(tmp_path, sound)) == []
    found = rule(build(tmp_path, {file: code}))
    assert len(found) == 1
    assert complaint in found[0]


def test_a_package_too_large_in_all_is_seen(tmp_path: Path) -> None:
    """Many files within their budget can still make a package that nobody reads."""
    many = {f"src/gatelight/a{k}.py": "x = 1\n" * 300 for k in range(PACKAGE_LINES // 300 + 1)}
    assert files_too_long(build(tmp_path, many)) == [
        f"{tmp_path / 'src'}: {300 * len(many)} lines in all, the budget is {PACKAGE_LINES}"
    ]
