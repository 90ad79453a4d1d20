"""Word vectors: words and their rows, and a vocabulary's embedding table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gatelight.errors import DataError
from gatelight.text import datasets, vector_files
from gatelight.text.vocabulary import PAD_ID, SPECIALS, Vocabulary


@dataclass(frozen=True)
class Coverage:
    """How much of a vocabulary has a vector of its own.

    `types` is the fraction of its real tokens, `tokens` that of their occurrences in the counted text
    (those that found no place in the vocabulary have none), `missing` the most frequent words without one.
    """

    types: float
    tokens: float
    known: int
    missing: tuple[str, ...]


class WordVectors:
    """`words`, n of them, and `matrix` float32 [n, D], row by row; `dim` is D, `origin` says whence.

    `rows` int64 [n] are the words' places in the file they were read from: files of word vectors begin with
    what is most frequent in the corpus that they were made of.
    """

    def __init__(
        self,
        words: Sequence[str],
        matrix: npt.NDArray[np.float32],
        origin: str = "",
        rows: Sequence[int] | None = None,
    ) -> None:
        """Take words and their rows; raises DataError when they do not fit, repeat or are not finite."""
        self.words = list(words)
        self.matrix = np.ascontiguousarray(matrix, dtype=np.float32)
        self.origin = origin
        if self.matrix.ndim != 2 or len(self.words) != len(self.matrix):
            raise DataError(f"{len(self.words)} words came with vectors of shape {self.matrix.shape}")
        self.rows = np.arange(len(self.words)) if rows is None else np.array(rows, np.int64)
        self._rows = dict(zip(self.words, range(len(self.words)), strict=True))
        if len(self._rows) != len(self.words):
            raise DataError("a word has two vectors")
        finite = np.isfinite(self.matrix).all(axis=1)
        if not finite.all():
            word = self.words[int(np.argmin(finite))]
            raise DataError(
                f"{origin or 'word vectors'}: the vector of {word!r} holds NaN or infinity; "
                "expected finite numbers: the file is damaged, or its training went wrong"
            )

    @property
    def dim(self) -> int:
        """D, the length of a vector."""
        return int(self.matrix.shape[1])

    def __len__(self) -> int:
        """Return n."""
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._rows

    def __getitem__(self, word: str) -> npt.NDArray[np.float32]:
        """Return the vector of `word`, float32 [D], a view; raises KeyError when it has none."""
        vector: npt.NDArray[np.float32] = self.matrix[self._rows[word]]
        return vector

    @classmethod
    def read(
        cls, path: str | Path, words: Iterable[str] | None = None, *, word_list: str | Path | None = None
    ) -> WordVectors:
        """Read the vectors of `words` (all of them when None) in the file's order; the rest costs no memory.

        word2vec `.bin` and `.txt`, GloVe `.txt`, fastText `.vec`, each also as `.gz`, and `.npy` with a word
        list (`.txt`, one a line, or Parquet) given as `word_list` or lying beside it; told apart by content.
        `path` may also be the name of a data set. Of a word that comes twice the first row counts.
        Raises DataError for what cannot be read.
        """
        path = datasets.resolve(path)
        wanted = None if words is None else frozenset(words).difference(SPECIALS)
        found, matrix, rows = vector_files.read(path, wanted, None if word_list is None else Path(word_list))
        return cls(found, matrix, origin=path.name, rows=rows)

    def save(self, path: str | Path) -> None:
        """Write word2vec `.bin` or `.txt` (`.vec`), or `.npy` with the words in a `.words.txt` beside it.

        Raises DataError for another ending, or a word that the format cannot hold.
        """
        vector_files.write(Path(path), self.words, self.matrix)

    def table(self, vocabulary: Vocabulary, seed: int = 0) -> tuple[npt.NDArray[np.float32], Coverage]:
        """Return the embedding table of `vocabulary`, float32 [V, D], and how much of it the vectors cover.

        PAD's row is zero. Words without a vector, UNK among them, get normal random rows with mean 0 and the
        standard deviation of the known rows' entries: as long as a known one, in no direction that means
        anything. The random row of an id depends on `seed` and V only. Raises DataError when no word has a
        vector.
        """
        rows = np.array([self._rows.get(token, -1) for token in vocabulary.tokens[2:]], dtype=np.int64)
        ids = np.flatnonzero(rows >= 0) + 2
        if len(ids) == 0:
            some = ", ".join(map(repr, vocabulary.tokens[2:7])) or "no words"
            raise DataError(
                f"{self.origin or 'the word vectors'} have no vector for any of the vocabulary's {len(rows)} "
                f"words ({some}, …): expected the same language, tokenizer and casing"
            )
        known = self.matrix[rows[ids - 2]]
        table = np.random.default_rng(seed).standard_normal((len(vocabulary), self.dim), dtype=np.float32)
        table *= np.float32(known.std(dtype=np.float64))
        table[PAD_ID] = 0
        table[ids] = known
        absent = np.flatnonzero(rows < 0) + 2
        return table, Coverage(
            types=len(ids) / len(rows),
            tokens=float(vocabulary.counts[ids].sum() / max(vocabulary.counts.sum(), 1)),
            known=len(ids),
            missing=tuple(vocabulary.tokens[i] for i in absent[:20]),
        )
