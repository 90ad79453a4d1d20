"""Word vectors trained on the user's own tokens by gensim's word2vec."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from gatelight.errors import DataError, MissingExtraError
from gatelight.text.vectors import WordVectors

LONGEST_SENTENCE = 10_000  # words; gensim silently leaves out what is beyond


def train_word2vec(
    token_lists: Iterable[Sequence[str]],
    *,
    dim: int = 256,
    min_count: int = 5,
    epochs: int = 5,
    seed: int = 0,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> WordVectors:
    """Train word2vec (Mikolov et al. 2013) and return the vectors of words seen `min_count` times or more.

    CBOW with negative sampling; `options` are further ones of gensim's Word2Vec (`sg=1` is skip-gram). The
    token lists are read once, into a temporary file: memory grows with distinct words only.
    `on_progress(done, epochs)` is called after each epoch. **Only `workers=1` gives the same vectors for the
    same seed**; more threads (default: one per core) write into one table without waiting for each other.
    Raises DataError when an option is out of range or no word is frequent enough, MissingExtraError without
    gensim.
    """
    try:
        from gensim.models import Word2Vec
    except ImportError as error:
        raise MissingExtraError("gensim", "word2vec", "training word vectors") from error
    for name, value in {"dim": dim, "min_count": min_count, "epochs": epochs}.items():
        if value < 1:
            raise DataError(f"{name} must be at least 1, not {value}")
    with tempfile.TemporaryDirectory(prefix="gatelight-word2vec-") as folder:
        corpus = Path(folder) / "corpus.txt"
        words, most = _write_numbered(token_lists, corpus)
        if most < min_count:
            raise DataError(
                f"no word comes {min_count} times (the most frequent comes {most} times): "
                "give more text or a smaller min_count"
            )
        # From a file, gensim's threads hold no Python lock: on two cores 1.5 times as fast as from lists.
        model = Word2Vec(
            corpus_file=str(corpus),
            vector_size=dim,
            min_count=min_count,
            epochs=epochs,
            seed=seed,
            workers=workers or os.cpu_count() or 1,
            callbacks=[_epoch_counter(on_progress, epochs)] if on_progress else [],
            **options,
        )
    vectors = model.wv
    return WordVectors([words[int(key)] for key in vectors.index_to_key], vectors.vectors, origin="word2vec")


def _write_numbered(token_lists: Iterable[Sequence[str]], path: Path) -> tuple[list[str], int]:
    """Write each token as its number, a list to a line; return the words by number and the highest count.

    Numbers, because gensim cuts lines at any white space and refuses lone surrogates: so any token survives.
    """
    numbers: dict[str, int] = {}
    counts: list[int] = []
    with path.open("w", encoding="ascii", newline="\n") as file:
        for tokens in token_lists:
            line = []
            for token in tokens:
                number = numbers.setdefault(token, len(counts))
                if number == len(counts):
                    counts.append(0)
                counts[number] += 1
                line.append(str(number))
            for start in range(0, len(line), LONGEST_SENTENCE):
                file.write(" ".join(line[start : start + LONGEST_SENTENCE]) + "\n")
    return list(numbers), max(counts, default=0)


def _epoch_counter(on_progress: Callable[[int, int], None], epochs: int) -> Any:
    from gensim.models.callbacks import CallbackAny2Vec

    class EpochCounter(CallbackAny2Vec):  # type: ignore[misc]
        done = 0

        def on_epoch_end(self, model: Any) -> None:
            self.done += 1
            on_progress(self.done, epochs)

    return EpochCounter()
