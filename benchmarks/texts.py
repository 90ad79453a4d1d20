"""Film reviews as ids, with IMDB's real lengths and word frequencies.

The archive's own texts where it lies in ../shared/data beside the checkout. Elsewhere sentences of
rotten-tomatoes, put together to IMDB's lengths, which are kept here as a table.
"""

from __future__ import annotations

import html
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.models import Texts
from benchmarks.worker import ROOT

ARCHIVE = ROOT.parent / "shared" / "data" / "aclImdb_v1.tar.gz"
SCRATCH = Path(__file__).parent / ".scratch"
COUNT = 25_000
# Words of an IMDB training review: its 0, 5, 10 … 100 % quantiles.
LENGTHS = (
    9, 57, 81, 98, 107, 113, 120, 127, 135, 145, 155, 168, 183, 202, 224, 252, 288, 334, 406, 532, 2180,
)  # fmt: skip
SYMBOLS = "abcdefghijklmnopqrstuvwxyz0123456789 .,!?'\"-"
ALPHABET = len(SYMBOLS) + 2  # 0 stands for no character, 1 for any other
WITHOUT_VECTOR = frozenset({"a", "and", "of", "to"})  # as in the usual pretrained vectors
SAME_TOKENS = 0.9  # fraction of the texts that two tokenizers must cut alike


def source() -> str:
    """Name of the data set that the texts are of."""
    return "imdb" if ARCHIVE.exists() else "rotten-tomatoes"


@cache
def reviews() -> list[str]:
    """25,000 texts in random order; read once, then kept."""
    kept = SCRATCH / f"{source()}.json"
    if not kept.exists():
        found = read_archive(ARCHIVE)[0] if source() == "imdb" else list(assemble(snippets(), COUNT))
        order = np.random.default_rng(0).permutation(len(found))
        SCRATCH.mkdir(exist_ok=True)
        kept.write_text(json.dumps([found[k] for k in order]), encoding="utf-8")
    return list(json.loads(kept.read_text(encoding="utf-8")))


def read_archive(path: Path) -> tuple[list[str], list[int]]:
    """Texts and labels of the training part of an archive in aclImdb's layout."""
    texts, labels = [], []
    name = re.compile(r".*/train/(pos|neg)/\d+_\d+\.txt")
    with tarfile.open(path) as tar:
        for entry in tar:
            found = name.fullmatch(entry.name)
            file = tar.extractfile(entry) if found else None
            if found and file:
                texts.append(file.read().decode("utf-8"))
                labels.append(int(found[1] == "pos"))
    return texts, labels


def snippets() -> list[list[str]]:
    """Sentences of rotten-tomatoes as words."""
    from ftfy import fix_text

    from gatelight.text.datasets import load_dataset

    # Entities and curly quotes resolved: of the tokenizers that are compared only one does that.
    return [fix_text(html.unescape(text)).split() for text in load_dataset("rotten-tomatoes").texts]


def assemble(sentences: Sequence[list[str]], count: int) -> Iterator[str]:
    """Texts of sentences drawn at random, cut at lengths that are spread as `LENGTHS`."""
    random = np.random.default_rng(0)
    grid = np.linspace(0.0, 1.0, len(LENGTHS))
    for length in np.interp(random.random(count), grid, LENGTHS).astype(np.int64):
        text: list[str] = []
        while len(text) < length:
            text += sentences[random.integers(len(sentences))]
        yield " ".join(text[:length])


def words(text: str) -> list[str]:
    """Words that have a vector, in small letters."""
    cleaned = html.unescape(text).replace("<br />", " ").lower()
    return [word for word in re.findall(r"[a-z']*[a-z][a-z']*", cleaned) if word not in WITHOUT_VECTOR]


@cache
def as_words(count: int, steps: int, most: int | None = None) -> tuple[Texts, int]:
    """`count` reviews as ids of words by their frequency, from 2 on, and V; rarer than `most` are 1."""
    counts = Counter(word for text in reviews() for word in words(text))
    vocabulary = [word for word, _ in counts.most_common(None if most is None else most - 2)]
    number = {word: k for k, word in enumerate(vocabulary, 2)}
    return _texts([[number.get(w, 1) for w in words(text)] for text in reviews()[:count]], steps), len(
        number
    ) + 2


@cache
def as_characters(count: int, steps: int) -> Texts:
    """`count` reviews as ids of `SYMBOLS`, from 2 on, and 1 for any other character."""
    number = np.ones(128, np.int32)
    number[[ord(symbol) for symbol in SYMBOLS]] = np.arange(2, ALPHABET)
    rows = []
    for text in reviews()[:count]:
        codes = np.frombuffer(text.replace("<br />", " ").lower().encode("utf-32-le"), np.uint32)
        rows.append(number[np.where(codes < 128, codes, 0)])
    return _texts(rows, steps)


def _texts(rows: Sequence[Sequence[int]], steps: int) -> Texts:
    kept = [np.asarray(row[:steps], np.int32) for row in rows if len(row)]  # torch packs no empty one
    targets = (np.arange(len(kept)) % 2).astype(np.float32)  # speed does not depend on them
    return Texts(np.concatenate(kept), np.array([len(row) for row in kept]), targets)


def archive(count: int) -> Path:
    """A .tar.gz in aclImdb's layout with the first `count` reviews."""
    path = SCRATCH / f"{source()}-{count}.tar.gz"
    if not path.exists():
        with tarfile.open(path, "w:gz", compresslevel=6) as tar:
            for number, text in enumerate(reviews()[:count]):
                part, stars = ("pos", 9) if number % 2 else ("neg", 2)
                content = text.encode("utf-8")
                entry = tarfile.TarInfo(f"aclImdb/train/{part}/{number // 2}_{stars}.txt")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return path


def vectors(dim: int) -> Path:
    """Random vectors for all words of the reviews, in word2vec's binary format."""
    path = SCRATCH / f"{source()}-{dim}.bin"
    if not path.exists():
        known = sorted({word for text in reviews() for word in words(text)})
        matrix = 0.15 * np.random.default_rng(0).standard_normal((len(known), dim), np.float32)
        lines = (
            word.encode() + b" " + row.tobytes() + b"\n" for word, row in zip(known, matrix, strict=True)
        )
        path.write_bytes(b"%d %d\n" % matrix.shape + b"".join(lines))
    return path


def cut_alike(ours: Sequence[list[str]], theirs: Sequence[list[str]]) -> str:
    """Say how many texts two tokenizers cut alike, text by text; ValueError where it is too few.

    A few differ: whoever wrote the one also turns entities such as &amp; into what they stand for.
    """
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    if same < SAME_TOKENS * len(ours):
        raise ValueError(f"{same} of {len(ours)} texts are cut into the same tokens; the work would differ")
    return f"{same} of {len(ours)} texts are cut into the same tokens"
