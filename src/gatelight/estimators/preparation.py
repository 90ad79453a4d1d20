"""Training texts → the vocabulary and the word vectors that a model starts from.

Only the training part and texts given as unlabelled are counted or learned from: never validation or test
texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.rules import CORPUS
from gatelight.estimators.settings import IN_MEMORY, ONE_HOT, alphabet_of
from gatelight.files import folder_written_aside
from gatelight.models.weight_files import read_arrays, write_arrays
from gatelight.nn.threads import threads
from gatelight.text.datasets import resolve
from gatelight.text.encoding import NumberedTexts
from gatelight.text.vectors import WordVectors
from gatelight.text.vocabulary import PAD_ID, SPECIALS, Vocabulary
from gatelight.text.word2vec import train_word2vec

VECTORS_FILE = "vectors.safetensors"
CORPUS_ORIGIN = "word2vec"
WORD2VEC_MIN_COUNT = 5
MOST_ONE_HOT = 4_096  # tokens; their table takes 64 MB
SMALL_CORPUS = 100_000  # tokens; below, word2vec keeps the words that the vocabulary keeps


@dataclass(frozen=True)
class Start:
    """What a model starts from: a vocabulary, float32 vectors [V, D] (None: random ones), their origin."""

    vocabulary: Vocabulary
    dim: int
    vectors: NDArray[np.float32] | None = None
    origin: str | None = None
    coverage: float | None = None  # fraction of the training tokens whose word has a vector


def start(
    settings: Mapping[str, Any],
    texts: NumberedTexts,
    *,
    kept: Path | None = None,
    resume: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Start:
    """Count the vocabulary and read or train the vectors that the settings ask for.

    Where vectors stay as they are, words without one are left out of the vocabulary: they are unknown.
    Vectors trained here are kept in the folder `kept` and taken from there on `resume`, so that a run that
    was stopped goes on with the very same ones. Raises DataError for vectors that cannot be used,
    MissingExtraError without gensim.
    """
    if settings["vectors"] == CORPUS and kept is not None and resume:
        return _read_kept(kept)
    counts = texts.counts()
    one_hot = isinstance(settings["vectors"], str) and settings["vectors"] == ONE_HOT
    vectors = None if one_hot else vectors_for(settings, texts, counts, on_progress)
    known = counts
    if settings["unknown"] == "ngrams":
        known = {}
    elif vectors is not None and not settings["train_vectors"]:
        known = {word: count for word, count in counts.items() if word in vectors}
    alphabet = alphabet_of(settings)
    if alphabet is not None:
        vocabulary = Vocabulary([*SPECIALS, *alphabet], [0, 0, *(counts.get(sign, 0) for sign in alphabet)])
    else:
        vocabulary = Vocabulary.from_counts(
            known, min_count=settings["min_count"], max_size=settings["max_words"]
        )
    lost = sum(counts.values()) - int(vocabulary.counts[2:].sum())
    vocabulary = Vocabulary(vocabulary.tokens, [0, lost, *vocabulary.counts[2:].tolist()])
    if one_hot:
        known_fraction = 1 - lost / max(sum(counts.values()), 1)
        return Start(vocabulary, len(vocabulary), one_hot_table(len(vocabulary)), ONE_HOT, known_fraction)
    if vectors is None:
        return Start(vocabulary, settings["embedding_dim"])
    table, coverage = vectors.table(vocabulary, seed=settings["random_state"])
    found = Start(vocabulary, vectors.dim, table, vectors.origin or "given in memory", coverage.tokens)
    if settings["vectors"] == CORPUS and kept is not None:
        _keep(found, kept)
    return found


def one_hot_table(size: int) -> NDArray[np.float32]:
    """Return a row for each of `size` tokens, float32 [V, V]: a single one, in PAD's row none.

    Ids look their rows up in it, so that nothing of the size of texts is one-hot. Raises DataError when V is
    above MOST_ONE_HOT.
    """
    if size > MOST_ONE_HOT:
        raise DataError(
            f"one-hot vectors of {size} tokens would take {4 * size**2 / 1e9:.1f} GB; give max_words="
            f"{MOST_ONE_HOT - 2} or less, or other vectors"
        )
    table = np.eye(size, dtype=np.float32)
    table[PAD_ID] = 0
    return table


def vectors_for(
    settings: Mapping[str, Any],
    token_lists: Iterable[list[str]],
    counts: Mapping[str, int],
    on_progress: Callable[[int, int], None] | None = None,
) -> WordVectors | None:
    """Read or train the vectors of the tokens counted that the settings ask for; None where for none.

    "corpus" trains word2vec on the token lists; where they are few, of all words that the vocabulary keeps.
    Raises as `start` does.
    """
    wanted = settings["vectors"]
    if wanted is None or isinstance(wanted, WordVectors):
        return wanted
    if not isinstance(wanted, str | Path):
        raise DataError(
            f"vectors is of type {type(wanted).__name__}; expected None, 'corpus', a name, a file or "
            "WordVectors"
        )
    if wanted == IN_MEMORY:
        raise DataError(
            "the word vectors were given in memory and not saved: set vectors again before fitting"
        )
    if wanted != CORPUS:
        return WordVectors.read(resolve(wanted), counts)
    return train_word2vec(
        token_lists,
        dim=settings["embedding_dim"],
        min_count=WORD2VEC_MIN_COUNT if sum(counts.values()) >= SMALL_CORPUS else settings["min_count"],
        seed=settings["random_state"],
        workers=settings["threads"] or threads(),
        on_progress=on_progress,
    )


def _keep(start: Start, folder: Path) -> None:
    with folder_written_aside(folder, lambda old: (old / VECTORS_FILE).is_file()) as aside:
        start.vocabulary.save(aside)
        assert start.vectors is not None
        write_arrays(
            aside / VECTORS_FILE, {"vectors": start.vectors}, {"coverage": json.dumps(start.coverage)}
        )


def _read_kept(folder: Path) -> Start:
    vocabulary = Vocabulary.load(folder)
    arrays, notes = read_arrays(folder / VECTORS_FILE)
    vectors = arrays.get("vectors", np.zeros(0, np.float32))
    if vectors.ndim != 2 or len(vectors) != len(vocabulary):
        raise ModelFileError(f"{folder} does not hold one vector per word: begin anew without resuming")
    coverage = float(notes.get("coverage", "nan"))
    return Start(vocabulary, vectors.shape[1], vectors, CORPUS_ORIGIN, coverage)


def kept_beside(checkpoint: Path) -> Path:
    """Return the folder beside a checkpoint in which vectors trained for its run are kept."""
    return checkpoint.with_name(f"{checkpoint.name}.vectors")
