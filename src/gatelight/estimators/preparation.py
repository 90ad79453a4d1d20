"""Training texts → vocabulary and word vectors, each text cut into tokens once; a language model of them.

Only the training part and texts given as unlabelled are counted or learned from: never validation or test
texts.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.saving import read_arrays, write_arrays
from gatelight.estimators.settings import CORPUS, IN_MEMORY, ONE_HOT, language_model_config
from gatelight.estimators.texts import checked_texts, group_names
from gatelight.files import folder_written_aside
from gatelight.models.language_model import LanguageModel
from gatelight.nn.threads import threads
from gatelight.text.datasets import resolve
from gatelight.text.encoding import NumberedTexts
from gatelight.text.splits import held_out
from gatelight.text.tokenizers import SymbolTokenizer, Tokenizer, code_points
from gatelight.text.vectors import WordVectors
from gatelight.text.vocabulary import PAD_ID, SPECIALS, Vocabulary
from gatelight.text.word2vec import train_word2vec

VECTORS_FILE = "vectors.safetensors"
CORPUS_ORIGIN = "word2vec"
WORD2VEC_MIN_COUNT = 5
TEXTS_COUNTED = 1_000  # at a time: what bounds the memory of counting characters
MOST_ONE_HOT = 4_096  # tokens; their table takes 64 MB
SMALL_CORPUS = 100_000  # tokens; below, word2vec keeps the words that the vocabulary keeps


class SpelledTexts:
    """Texts every code point of which is a token; nothing is kept beside them, they are read again."""

    def __init__(self, texts: Sequence[str], tokenizer: SymbolTokenizer) -> None:
        self._texts, self._spelled, self.alphabet = texts, tokenizer.symbols, tokenizer.alphabet
        self._times = np.zeros(0, np.int64)
        lengths = array("q")
        for begin in range(0, len(texts), TEXTS_COUNTED):
            part = [tokenizer.symbols(text) for text in texts[begin : begin + TEXTS_COUNTED]]
            lengths.extend(map(len, part))
            times = np.bincount(code_points("".join(part)), minlength=len(self._times))
            times[: len(self._times)] += self._times
            self._times = times
        self.lengths = np.frombuffer(lengths, np.int64)

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[list[str]]:
        return (list(self._spelled(text)) for text in self._texts)

    def counts(self) -> dict[str, int]:
        """Return how often each code point occurs."""
        seen = np.flatnonzero(self._times)
        return dict(zip(map(chr, seen.tolist()), self._times[seen].tolist(), strict=True))


@dataclass(frozen=True)
class Start:
    """What a model starts from: a vocabulary, float32 vectors [V, D] (None: random ones), their origin."""

    vocabulary: Vocabulary
    dim: int
    vectors: NDArray[np.float32] | None = None
    origin: str | None = None
    coverage: float | None = None  # share of the training tokens whose word has a vector


def start(
    settings: Mapping[str, Any],
    texts: NumberedTexts | SpelledTexts,
    unlabelled: Iterable[list[str]] = (),
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
    vectors = None
    if not one_hot:
        vectors = vectors_for(
            settings["vectors"], chain(texts, unlabelled), counts, dim=settings["embedding_dim"],
            min_count=settings["min_count"], seed=settings["random_state"], workers=settings["threads"],
            on_progress=on_progress,
        )  # fmt: skip
    known = counts
    if settings["unknown"] == "ngrams":
        known = {}
    elif vectors is not None and not settings["train_vectors"]:
        known = {word: count for word, count in counts.items() if word in vectors}
    if isinstance(texts, SpelledTexts) and texts.alphabet is not None:
        vocabulary = Vocabulary(
            [*SPECIALS, *texts.alphabet], [0, 0, *(counts.get(symbol, 0) for symbol in texts.alphabet)]
        )
    else:
        vocabulary = Vocabulary.from_counts(
            known, min_count=settings["min_count"], max_size=settings["max_words"]
        )
    lost = sum(counts.values()) - int(vocabulary.counts[2:].sum())
    vocabulary = Vocabulary(vocabulary.tokens, [0, lost, *vocabulary.counts[2:].tolist()])
    if one_hot:
        known_share = 1 - lost / max(sum(counts.values()), 1)
        return Start(vocabulary, len(vocabulary), one_hot_table(len(vocabulary)), ONE_HOT, known_share)
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
    wanted: Any,
    token_lists: Iterable[list[str]],
    counts: Mapping[str, int],
    *,
    dim: int,
    min_count: int,
    seed: int,
    workers: int | None,
    on_progress: Callable[[int, int], None] | None = None,
) -> WordVectors | None:
    """Read or train the vectors that a setting asks for, of the tokens counted; None where it asks for none.

    "corpus" trains word2vec of size `dim` on the token lists; where they are few, of all words that a
    vocabulary of `min_count` keeps. Raises as `start` does.
    """
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
        dim=dim,
        min_count=WORD2VEC_MIN_COUNT if sum(counts.values()) >= SMALL_CORPUS else min_count,
        seed=seed,
        workers=workers or threads(),
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


def divided(
    texts: list[str],
    groups: Iterable[Any] | None,
    validation: Iterable[str] | None,
    fraction: float,
    seed: int,
) -> tuple[list[str], list[str]]:
    """Texts to learn from, shuffled, and those held out: `validation`, or a fraction of whole groups."""
    if not any(texts):
        raise DataError(f"there are {len(texts)} texts, none of which holds anything; give texts")
    names = None if groups is None else group_names(groups)
    if names is not None and len(names) != len(texts):
        raise DataError(f"there are {len(texts)} texts and {len(names)} groups; give one per text")
    if validation is not None:
        return texts, checked_texts(validation, "validation texts")
    held = np.zeros(len(texts), np.bool_)
    if round(len(texts) * fraction) >= 1 and len(texts) > 1:
        held = held_out(len(texts), fraction, seed, names, None)
    order = np.random.default_rng(seed).permutation(len(texts))
    return [texts[k] for k in order[~held[order]]], [texts[k] for k in order[held[order]]]


def network_for(
    settings: Mapping[str, Any],
    texts: list[str],
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    *,
    resume: bool,
    on_progress: Callable[[int, int], None] | None,
) -> LanguageModel:
    """Make the network that the settings ask for.

    Vectors other than "corpus" decide its `dim`. A run that is to go on has its own weights: nothing is
    trained
    again for it. Raises DataError for vectors that cannot be used, MissingExtraError without gensim.
    """
    wanted = settings["vectors"]
    if isinstance(wanted, str) and wanted == ONE_HOT:
        raise DataError("a language model learns its vectors: one-hot ones would stay as they are")
    if wanted is None or (resume and isinstance(wanted, str) and wanted == CORPUS):
        return LanguageModel(language_model_config(settings, len(vocabulary)), settings["random_state"])
    counts = dict(zip(vocabulary.tokens[2:], vocabulary.counts[2:].tolist(), strict=True))
    vectors = vectors_for(
        wanted, map(tokenizer.tokens, texts), counts, dim=settings["embedding_dim"],
        min_count=settings["min_count"],
        seed=settings["random_state"], workers=settings["threads"], on_progress=on_progress,
    )  # fmt: skip
    assert vectors is not None
    table, _ = vectors.table(vocabulary, seed=settings["random_state"])
    network = LanguageModel(
        language_model_config(settings, len(vocabulary), vectors.dim), settings["random_state"]
    )
    with torch.no_grad():
        network.embedding.weight.copy_(torch.from_numpy(table))  # type: ignore[operator]
    return network
