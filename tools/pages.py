"""Run the code of documentation pages, in their order, and compare what it prints with what the page says.

    python tools/pages.py docs/tutorial/*.md            # fails where a block fails or prints something else
    python tools/pages.py docs/tutorial/*.md --write    # puts outputs and pictures into the pages

Blocks marked `python` of a page share one interpreter, those marked `sh` one folder; a block marked `text`
right behind one holds its output. Numbers may differ from machine to machine and are not compared. What a
page saves as an `.svg` file is its picture.
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

BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"[-+−]?\d[\d,.:]*(e-?\d+)?|\s+|[│█▏▎▍▌▋▊▉]")
MARK = "--- end of block {} ---"
STYLE = Path(__file__).parents[1] / "docs" / "picture.mplstyle"
SETTING_UP = f"""import subprocess, sys, matplotlib.pyplot
matplotlib.use("svg")
matplotlib.style.use({str(STYLE)!r})
"""


@dataclass
class Block:
    """A fenced block: its language, its code, and the output that the page shows, or None."""

    language: str
    code: str
    shown: str | None


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page that can be run."""
    return [Block(*found.groups()) for found in BLOCK.finditer(page)]


def run(page: Path, folder: Path) -> list[str]:
    """Run a page in a folder and return what each block printed; raises SystemExit where one fails."""
    code, there = [SETTING_UP], blocks(page.read_text(encoding="utf-8"))
    for number, block in enumerate(there):
        if block.language == "python":
            code.append(f"exec(compile({block.code!r}, {f'{page.name}, block {number + 1}'!r}, 'exec'))\n")
        else:
            code.append(f"subprocess.run(['bash', '-euo', 'pipefail', '-c', {block.code!r}], check=True)\n")
        code.append(f"sys.stdout.flush(); print({MARK.format(number)!r}, flush=True)\n")
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ended = subprocess.run(
        [sys.executable, "-c", "".join(code)],
        cwd=folder,
        env={**os.environ, "PATH": paths, "COLUMNS": "80", "SOURCE_DATE_EPOCH": "0"},  # pictures bear no date
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(f"{page}: failed\n{ended.stdout}")
    printed, rest = [], ended.stdout
    for number in range(len(there)):
        own, _, rest = rest.partition(MARK.format(number) + "\n")
        printed.append(own)
    return printed


def differences(page: Path, printed: list[str]) -> Iterator[str]:
    """Yield where a page shows something else than what was printed, numbers aside."""
    for number, (block, got) in enumerate(
        zip(blocks(page.read_text(encoding="utf-8")), printed, strict=True)
    ):
        if block.shown is not None and NUMBER.sub("", block.shown) != NUMBER.sub("", got):
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


def main() -> int:
    """Run the pages that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true", help="put outputs and pictures into the pages")
    asked = parser.parse_args()
    wrong = 0
    for page in asked.pages:
        if page.name.endswith(".zh.md"):  # has the same blocks: tests/test_docs.py
            continue
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            printed = run(page, Path(folder))
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
