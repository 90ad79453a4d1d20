"""The words that people marked as reasons, in ERASER's format; knows no model.

A folder with `docs/`, one file of tokens divided by white space for each document, and `train.jsonl`,
`val.jsonl`, `test.jsonl`, whose lines name a document and the spans of its tokens (DeYoung et al. 2020).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError

DOCUMENTS = "docs"
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Marked:
    """A text's words, which of them people marked (bool [words]), and its class."""

    words: list[str]
    marked: Mask
    label: str

    @property
    def text(self) -> str:
        """The words with spaces between."""
        return " ".join(self.words)

    def by_token(self, tokens: Callable[[str], list[str]]) -> Mask | None:
        """Which of the tokens of `text` are marked; None where words and text are not cut alike."""
        pieces = [tokens(word) for word in self.words]
        if [token for piece in pieces for token in piece] != tokens(self.text):
            return None
        return np.repeat(self.marked, [len(piece) for piece in pieces])


def is_eraser(folder: Path) -> bool:
    """Whether a folder looks like such a data set."""
    return (folder / DOCUMENTS).is_dir() and any(folder.glob("*.jsonl"))


def read_eraser(folder: Path, part: str = "test") -> list[Marked]:
    """Read a part; raises DataError, naming the line, for what is missing, damaged or of many documents."""
    path = folder / f"{part}.jsonl"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in folder.glob("*.jsonl")))
        raise DataError(f"{folder}: no part {part!r}; there are {there}")
    found = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                found.append(_marked(folder, line, f"{path}, line {number}"))
    if not found:
        raise DataError(f"{path}: holds no text; expected a JSON object on each line")
    return found


def _marked(folder: Path, line: str, place: str) -> Marked:
    try:
        record = json.loads(line)
        evidence: list[Any] = [span for group in record["evidences"] for span in group]
        spans = [(str(s["docid"]), int(s["start_token"]), int(s["end_token"])) for s in evidence]
        name, label = str(record["annotation_id"]), str(record["classification"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{place}: not a line of ERASER ({type(error).__name__}: {error})") from None
    documents = {docid for docid, _, _ in spans} or {name}
    if len(documents) > 1:
        raise DataError(f"{place}: reasons in {len(documents)} documents; only texts of one are measured")
    document = documents.pop()
    path = folder / DOCUMENTS / document
    if Path(document).name != document or not path.is_file():
        raise DataError(f"{place}: there is no document {document!r} in {folder / DOCUMENTS}")
    try:
        words = path.read_text(encoding="utf-8").split()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from None
    marked = np.zeros(len(words), np.bool_)
    for _, start, end in spans:
        if not 0 <= start <= end <= len(words):
            raise DataError(f"{place}: tokens {start} to {end} of a document of {len(words)}")
        marked[start:end] = True
    return Marked(words, marked, label)
