"""Reviews as ids, with IMDB's real lengths and word frequencies; knows nothing of models or of time.

The archive's own texts where it lies in ../shared/data beside the checkout. Elsewhere sentences of
rotten-tomatoes, put together to IMDB's lengths, which are kept here as a table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatelight.files import file_written_aside
from gatelight.text import datasets
from gatelight.text.corpus import Corpus
from gatelight.text.encoding import Encoded, encode_tokens
from gatelight.text.tokenizers import clean_text, tokenizer
from gatelight.text.vocabulary import Vocabulary

ROOT = Path(__file__).parents[1]
ARCHIVE = ROOT.parent / "shared" / "data" / "aclImdb_v1.tar.gz"
SCRATCH = Path(__file__).parent / ".scratch"
# What the usual pretrained vectors (Google's word2vec) have no row for: these words, and all that is no word.
WITHOUT_VECTOR = frozenset({"a", "and", "of", "to"})
# Tokens with a vector of an IMDB training review: its 0, 5, 10 … 100 % quantiles.
LENGTHS = (
    9, 57, 81, 98, 107, 113, 120, 127, 135, 145, 155, 168, 183, 202, 224, 252, 288, 334, 406, 532, 2180,
)  # fmt: skip
# The note's characters. With PAD and UNK, which are ids 0 and 1, there are 46 symbols.
SYMBOLS = "abcdefghijklmnopqrstuvwxyz0123456789 .,!?'\"-"
ALPHABET = len(SYMBOLS) + 2


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

    def spread(self, count: int, shuffled: bool = True) -> NDArray[np.int64]:
        """Numbers of `count` reviews that stand for all, evenly spaced by length; else the shortest first."""
        places = ((np.arange(count) + 0.5) * len(self) / count).astype(np.int64)
        chosen = np.argsort(self.lengths, kind="stable")[places]
        return np.random.default_rng(0).permutation(chosen) if shuffled else chosen


def one_review(read: Encoded, vocabulary_size: int) -> Reviews:
    """A text that was encoded by itself, as a positive review."""
    return Reviews(read.ids, read.lengths, np.ones(1, np.float32), vocabulary_size, "one review")


def word_reviews(count: int, steps: int) -> Reviews:
    """`count` reviews as ids of words, cut to their first `steps`; the same ones each time, V words."""
    return _chosen("words", lambda: encoded(map(with_vector, texts()), positive(), _origin()), count, steps)


def character_reviews(count: int, steps: int) -> Reviews:
    """`count` reviews as ids of the 46 symbols, cut to their first `steps`; the same ones each time."""
    return _chosen("characters", lambda: spelled(texts(), positive(), _origin()), count, steps)


def _chosen(kind: str, make: Callable[[], Reviews], count: int, steps: int) -> Reviews:
    kept = SCRATCH / f"{source()}-{kind}.npz"
    if not kept.exists():
        made = make()
        with file_written_aside(kept) as aside, aside.open("wb") as file:
            np.savez(
                file, ids=made.ids.astype(np.min_scalar_type(made.vocabulary_size)), lengths=made.lengths,
                targets=made.targets, vocabulary_size=made.vocabulary_size, origin=made.origin,
            )  # fmt: skip
    with np.load(kept, allow_pickle=False) as arrays:
        every = Reviews(
            arrays["ids"].astype(np.int32), arrays["lengths"], arrays["targets"],
            int(arrays["vocabulary_size"]), str(arrays["origin"]),
        )  # fmt: skip
    if len(every) < count:
        raise ValueError(
            f"{kept} holds {len(every)} reviews, {count} were asked for; delete it to encode anew"
        )
    return every.select(np.random.default_rng(0).permutation(len(every))[:count]).cut(steps)


def source() -> str:
    """Name of the data set that the texts are of."""
    return "imdb" if ARCHIVE.exists() else "rotten-tomatoes"


@cache
def texts() -> list[str]:
    """25,000 texts: the archive's training reviews, or what stands for them; read once, then kept."""
    kept = SCRATCH / f"{source()}-texts.json"
    if not kept.exists():
        if source() == "imdb":
            found = Corpus.read(ARCHIVE, splits=("train",)).texts
        else:
            sentences = [text.split() for text in datasets.load("rotten-tomatoes").texts]
            found = [" ".join(words) for words in assemble(sentences, 25_000)]
        shuffled = np.random.default_rng(0).permutation(len(found))
        with file_written_aside(kept) as aside:
            aside.write_text(json.dumps([found[k] for k in shuffled]), encoding="utf-8")
    return list(json.loads(kept.read_text(encoding="utf-8")))


def positive() -> list[bool]:
    """Which of the texts are to count as positive; every second one, for speed does not depend on it."""
    return [k % 2 == 0 for k in range(len(texts()))]


def _origin() -> str:
    if source() == "imdb":
        return "IMDB training reviews"
    return "rotten-tomatoes sentences put together to IMDB's lengths"


def assemble(sentences: Sequence[list[str]], count: int) -> Iterator[list[str]]:
    """Texts as words, of sentences drawn at random until as many words with a vector as `LENGTHS` has."""
    random = np.random.default_rng(0)
    grid = np.linspace(0.0, 1.0, len(LENGTHS))
    counts = {word: bool(with_vector(word)) for sentence in sentences for word in sentence}
    for length in np.interp(random.random(count), grid, LENGTHS).astype(np.int64):
        text: list[str] = []
        left = int(length)
        while left > 0:
            for word in sentences[random.integers(len(sentences))]:
                text.append(word)
                left -= counts[word]
                if not left:
                    break
        yield text


def encoded(token_lists: Iterable[list[str]], targets: Sequence[bool], origin: str) -> Reviews:
    """Ids of token lists by their own vocabulary; empty ones are left out, torch cannot pack them."""
    lists = list(token_lists)
    vocabulary = Vocabulary.build(lists)
    ids = encode_tokens(lists, vocabulary, unknown="drop")
    present = ids.lengths > 0
    chosen = np.array(targets, np.float32)[present]
    return Reviews(ids.ids, ids.lengths[present], chosen, len(vocabulary), origin)


def with_vector(text: str) -> list[str]:
    """The words of a text that the usual pretrained vectors have a row for."""
    tokens = tokenizer("word").tokens(text)
    return [t for t in tokens if t not in WITHOUT_VECTOR and any(map(str.isalpha, t))]


def spelled(given: Sequence[str], targets: Sequence[bool], origin: str) -> Reviews:
    """Ids of the characters of texts, in small letters and without tags: 0 PAD, 1 UNK, then `SYMBOLS`."""
    number = np.ones(128, np.int32)
    number[[ord(symbol) for symbol in SYMBOLS]] = np.arange(2, ALPHABET)
    parts = []
    for text in given:
        codes = np.frombuffer(clean_text(text).lower().encode("utf-32-le", "surrogatepass"), np.uint32)
        parts.append(number[np.where(codes < 128, codes, 0)])
    lengths = np.array([len(part) for part in parts], np.int64)
    present = lengths > 0
    return Reviews(
        np.concatenate(parts), lengths[present], np.array(targets, np.float32)[present], ALPHABET, origin
    )
