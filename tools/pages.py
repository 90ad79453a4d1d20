"""Run the code of documentation pages, in their order, and compare what it prints with what the page says.

    python tools/pages.py docs/tutorial/*.md            # fails where a block fails or prints something else
    python tools/pages.py docs/tutorial/*.md --write    # puts outputs and pictures into the pages
    python tools/pages.py docs/tutorial/*.md --empty    # where only that is installed which the pages install

Blocks marked `python` of a page share one interpreter, those marked `sh` one folder; a block marked `text`
right behind one holds its output. Numbers may differ between machines and are not compared, nor is what
the code says VARIES. What a page saves as an `.svg` file is its picture.

With --empty a clone is installed by the README's words, and each page gets an environment that has this and
what its own `pip install` lines bring; the pages of a folder also have what its `index.md` installs.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"[-+−]?\d[\d,.:]*(e-?\d+)?|\s+|[│█▏▎▍▌▋▊▉]")
VARIES = "differs from processor to processor"
INSTALL = "python3 -m venv .venv"
# Every block that is not run with the others, by the words with which it begins, and why.
NOT_RUN = {
    "make test": "takes minutes; `make test` and `make demo` are jobs of CI by themselves",
    INSTALL: "makes the environment: --empty runs it, from the README",
    "docker ": "needs Docker",
    "FROM python": "needs Docker; its commands are read by a test",
    "[Unit]": "needs systemd; its command is read by a test",
    "torchrun --nnodes": "needs four machines",
    "gatelight predict model 's3:": "needs a cluster and a bucket",
}
MARK = "--- end of block {} ---"
STYLE = ROOT / "src/gatelight/estimators/picture.mplstyle"
SETTING_UP = """import doctest, subprocess, sys

def run_examples(code, name):
    test = doctest.DocTestParser().get_doctest(code, globals(), name, None, 0)
    failed = doctest.DocTestRunner().run(test, clear_globs=False).failed
    globals().update(test.globs)
    if failed:
        sys.exit(f"{failed} examples failed")

"""


@dataclass
class Block:
    """A fenced block: its language, its code, and the output that the page shows, or None."""

    language: str
    code: str
    shown: str | None

    @property
    def run(self) -> bool:
        """Whether it is run with the others of its page."""
        return not self.code.startswith(tuple(NOT_RUN))


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that have code."""
    return [Block(*found.groups()) for found in BLOCK.finditer(page.read_text(encoding="utf-8"))]


def run(page: Path, folder: Path, python: Path) -> list[str]:
    """Run a page in a folder and return what each block printed; or raise CalledProcessError."""
    code, there = [SETTING_UP], blocks(page)
    for number, block in enumerate(there):
        name = f"{page.name}, block {number + 1}"
        if not block.run:
            pass
        elif block.language == "sh":
            code.append(f"subprocess.run(['bash', '-euc', {block.code!r}], check=True)\n")
        elif block.code.startswith(">>> "):
            code.append(f"run_examples({block.code!r}, {name!r})\n")
        else:
            code.append(f"exec(compile({block.code!r}, {name!r}, 'exec'))\n")
        code.append(f"sys.stdout.flush(); print({MARK.format(number)!r}, flush=True)\n")
    settings = {
        "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]]),
        "COLUMNS": "80",
        "PIP_QUIET": "1",
        "MPLBACKEND": "svg",
        "MATPLOTLIBRC": str(STYLE),
        "SOURCE_DATE_EPOCH": "0",  # pictures bear no date
    }
    ended = subprocess.run(
        [python, "-c", "".join(code)],
        cwd=folder,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    printed, rest = [], ended.stdout
    for number in range(len(there)):
        own, _, rest = rest.partition(MARK.format(number) + "\n")
        printed.append(own)
    return printed


def differences(page: Path, printed: list[str]) -> Iterator[str]:
    """Yield where a page shows something else than what was printed, numbers aside."""
    for number, (block, got) in enumerate(zip(blocks(page), printed, strict=True)):
        if block.shown is None or VARIES in block.code:
            continue
        if NUMBER.sub("", block.shown) != NUMBER.sub("", got):
            lines = difflib.unified_diff(
                block.shown.splitlines(), got.splitlines(), "shown", "printed", lineterm="", n=1
            )
            yield f"{page}, block {number + 1}:\n" + "\n".join(lines)


def write(page: Path, printed: list[str]) -> None:
    """Put what was printed into a page and its translation, behind the blocks that show output."""
    outputs: Iterator[str]

    def shown(found: re.Match[str]) -> str:
        output = next(outputs)
        if found[3] is None:
            return found[0]
        return f"```{found[1]}\n{found[2]}```\n\n```text\n{output.rstrip()}\n```\n"

    for file in (page, page.with_suffix(".zh.md")):
        if file.exists():
            outputs = iter(printed)
            file.write_text(BLOCK.sub(shown, file.read_text(encoding="utf-8")), encoding="utf-8")


def installed(folder: Path) -> Path:
    """Install a clone into an empty environment, as the README says, and return its Python."""
    clone = folder / "gatelight"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    (block,) = (block for block in blocks(ROOT / "README.md") if block.code.startswith(INSTALL))
    subprocess.run(["bash", "-euc", block.code], cwd=clone, check=True, stdout=sys.stderr)
    return clone / ".venv" / "bin" / "python"


def environment(folder: Path, base: Path) -> Path:
    """Make an environment that sees what another one has, and return its Python.

    Its own `gatelight` command runs the other one's modules, whose compiled kernels are there already.
    """
    subprocess.run([base, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    (packages,) = (base.parents[1] / "lib").glob("python*/site-packages")
    (own,) = (folder / "lib").glob("python*/site-packages")
    (own / "base.pth").write_text(f"{packages}\n", encoding="utf-8")
    for name, module in (("gatelight", "gatelight"), ("torchrun", "torch.distributed.run")):
        command = folder / "bin" / name
        command.write_text(f'#!/bin/sh\nexec {python} -m {module} "$@"\n', encoding="utf-8")
        command.chmod(0o755)
    return python


def main() -> int:
    """Run the pages that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true", help="put outputs and pictures into the pages")
    parser.add_argument("--empty", action="store_true", help="in environments that begin empty")
    asked = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        if asked.empty:
            os.environ.pop("PYTHONPATH", None)
            began = time.perf_counter()
            base = installed(Path(place))
            print(f"README.md, install: {time.perf_counter() - began:.0f} s", flush=True)
        for page in asked.pages:
            if page.name.endswith(".zh.md") or not blocks(page):  # has the same blocks: tests/test_docs.py
                continue
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                python = Path(sys.executable)
                if asked.empty:
                    python = environment(Path(folder) / ".venv", base)
                    index = page.with_name("index.md")
                    if index.exists() and index != page:
                        run(index, Path(folder), python)
                try:
                    printed = run(page, Path(folder), python)
                except subprocess.CalledProcessError as error:
                    wrong += 1
                    print(f"{page}: failed\n{error.stdout}", flush=True)
                    continue
                if asked.write:
                    write(page, printed)
                    for picture in Path(folder).glob("*.svg"):
                        shutil.copy(picture, page.parent / picture.name)
                for difference in differences(page, printed):
                    wrong += 1
                    print(difference)
                print(f"{page}: {len(printed)} blocks, {time.perf_counter() - began:.0f} s", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
