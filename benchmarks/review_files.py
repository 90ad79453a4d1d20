"""Reviews and word vectors as the files a user has: an archive in aclImdb's layout, vectors in word2vec's.

Made once of the bench's texts and kept in its scratch folder; knows nothing of who reads them.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np

from benchmarks.reviews import ARCHIVE, SCRATCH, source, texts, with_vector
from gatelight.files import file_written_aside
from gatelight.text.vectors import WordVectors
from gatelight.text.vocabulary import Vocabulary

DIM = 300


def archive(count: int) -> Path:
    """A .tar.gz with the first `count` texts under train/pos and train/neg."""
    path = SCRATCH / f"{source()}-{count}.tar.gz"
    if not path.exists():
        with file_written_aside(path) as aside, tarfile.open(aside, "w:gz", compresslevel=6) as tar:
            for number, text in enumerate(texts()[:count]):
                part, stars = ("pos", 9) if number % 2 else ("neg", 2)
                content = text.encode("utf-8")
                entry = tarfile.TarInfo(f"aclImdb/train/{part}/{number // 2}_{stars}.txt")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return path


def whole_archive() -> Path:
    """The data set's own archive, or one of all texts where that is absent."""
    return ARCHIVE if ARCHIVE.exists() else archive(len(texts()))


def vectors() -> Path:
    """Random vectors for all words that the usual pretrained ones know, in word2vec's binary format."""
    path = SCRATCH / f"{source()}-vectors.bin"
    if not path.exists():
        words = Vocabulary.build(map(with_vector, texts())).tokens[2:]
        matrix = np.random.default_rng(0).standard_normal((len(words), DIM), np.float32)
        SCRATCH.mkdir(exist_ok=True)
        WordVectors(words, 0.15 * matrix).save(path)
    return path
