"""Reviews as ids, with IMDB's real lengths and word frequencies; knows nothing of models or of time.

The archive's own texts where it lies in ../shared/data beside the checkout. Elsewhere sentences of
rotten-tomatoes, put together to IMDB's lengths, which are kept here as a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatelight.files import file_written_aside
from gatelight.text import datasets
from gatelight.text.corpus import Corpus
from gatelight.text.encoding import encode_tokens
from gatelight.text.tokens import tokenizer
from gatelight.text.vocabulary import Vocabulary

ROOT = Path(__file__).parents[1]
ARCHIVE = ROOT.parent / "shared" / "data" / "aclImdb_v1.tar.gz"
SCRATCH = Path(__file__).parent / ".scratch"
# What the usual pretrained vectors (Google's word2vec) have no row for: these words, and all that is no word.
WITHOUT_VECTOR = frozenset({"a", "and", "of", "to"})
# Tokens with a vector of an IMDB training review: its 0, 5, 10 … 100 % quantiles.
LENGTHS = (
    9, 58, 82, 99, 108, 115, 121, 129, 137, 146, 157, 170, 185, 204, 226, 255, 292, 338, 411, 539, 2203,
)  # fmt: skip


@dataclass(frozen=True)
class Reviews:
    """B reviews: flat ids int32 [N] from 2 to V − 1, lengths int64 [B] (none empty), targets float32 [B]."""

    ids: NDArray[np.int32]
    lengths: NDArray[np.int64]
    targets: NDArray[np.float32]
    vocabulary_size: int
    origin: str

    def __len__(self) -> int:
        return len(self.lengths)

    def select(self, index: NDArray[np.int64]) -> Reviews:
        """The reviews numbered `index`, in that order."""
        starts = np.cumsum(self.lengths) - self.lengths
        parts = [self.ids[starts[k] : starts[k] + self.lengths[k]] for k in index]
        return Reviews(
            np.concatenate(parts), self.lengths[index], self.targets[index], self.vocabulary_size, self.origin
        )

    def cut(self, steps: int) -> Reviews:
        """The first `steps` tokens of each review."""
        kept = np.minimum(self.lengths, steps)
        place = np.arange(len(self.ids)) - np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)
        return Reviews(self.ids[place < steps], kept, self.targets, self.vocabulary_size, self.origin)

    def padded(self, steps: int) -> NDArray[np.int32]:
        """The ids as int32 [B, steps], zeros after the end."""
        full = np.zeros((len(self), steps), np.int32)
        full[np.arange(steps) < self.lengths[:, None]] = self.ids
        return full

    def spread(self, count: int) -> NDArray[np.int64]:
        """Numbers of `count` reviews that stand for all: evenly spaced by length, in a shuffled order."""
        places = ((np.arange(count) + 0.5) * len(self) / count).astype(np.int64)
        chosen = np.argsort(self.lengths, kind="stable")[places]
        return np.random.default_rng(0).permutation(chosen)


def load_reviews(count: int, steps: int) -> Reviews:
    """`count` reviews cut to their first `steps` tokens, the same ones each time; encoded once, then kept."""
    name = "imdb" if ARCHIVE.exists() else "rotten-tomatoes"
    kept = SCRATCH / f"{name}.npz"
    if not kept.exists():
        made = _imdb() if name == "imdb" else _assembled()
        with file_written_aside(kept) as aside, aside.open("wb") as file:
            np.savez(
                file, ids=made.ids, lengths=made.lengths, targets=made.targets,
                vocabulary_size=made.vocabulary_size, origin=made.origin,
            )  # fmt: skip
    with np.load(kept, allow_pickle=False) as arrays:
        every = Reviews(
            arrays["ids"], arrays["lengths"], arrays["targets"],
            int(arrays["vocabulary_size"]), str(arrays["origin"]),
        )  # fmt: skip
    if len(every) < count:
        raise ValueError(
            f"{kept} holds {len(every)} reviews, {count} were asked for; delete it to encode anew"
        )
    return every.select(np.random.default_rng(0).permutation(len(every))[:count]).cut(steps)


def _imdb() -> Reviews:
    corpus = Corpus.read(ARCHIVE, parts=("train",))
    positive = [label == "pos" for label in corpus.labels or ()]
    return encoded(_with_vector(corpus.texts), positive, "IMDB training reviews, Treebank tokens")


def _assembled(count: int = 25_000) -> Reviews:
    corpus = datasets.load("rotten-tomatoes")
    sentences = list(_with_vector(corpus.texts))
    return encoded(
        assemble(sentences, count),
        [k % 2 == 0 for k in range(count)],
        "rotten-tomatoes sentences put together to IMDB's lengths, Treebank tokens",
    )


def assemble(sentences: Sequence[list[str]], count: int) -> Iterator[list[str]]:
    """Reviews of lengths drawn from `LENGTHS`, made of sentences drawn at random."""
    random = np.random.default_rng(0)
    grid = np.linspace(0.0, 1.0, len(LENGTHS))
    for length in np.interp(random.random(count), grid, LENGTHS).astype(np.int64):
        review: list[str] = []
        while len(review) < length:
            review += sentences[random.integers(len(sentences))]
        yield review[:length]


def encoded(token_lists: Iterable[list[str]], positive: Sequence[bool], origin: str) -> Reviews:
    """Ids of token lists by their own vocabulary; empty ones are left out, torch cannot pack them."""
    lists = list(token_lists)
    vocabulary = Vocabulary.build(lists)
    ids = encode_tokens(lists, vocabulary, unknown="drop")
    present = ids.lengths > 0
    targets = np.array(positive, np.float32)[present]
    return Reviews(ids.ids, ids.lengths[present], targets, len(vocabulary), origin)


def _with_vector(texts: Iterable[str]) -> Iterator[list[str]]:
    treebank = tokenizer("treebank")
    for text in texts:
        tokens = (token.rstrip(".") for token in treebank.tokens(text))
        yield [t for t in tokens if t not in WITHOUT_VECTOR and any(map(str.isalpha, t))]
