"""Training word vectors: related words come close, odd tokens survive, one thread repeats itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from gatelight.errors import DataError, MissingExtraError
from gatelight.text.vectors import WordVectors
from gatelight.text.word2vec import train_word2vec

SEA = ["ship", "wave", "sailor\u2028mate", "harbour", "two words"]
LAND = ["farm", "field", "cow\ud800", "barn", ""]


def _two_topics(seed: int = 0) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [[str(word) for word in rng.choice(topic, 12)] for _ in range(400) for topic in (SEA, LAND)]


def _cosine(vectors: WordVectors, one: str, other: str) -> float:
    return float(
        vectors[one] @ vectors[other] / np.linalg.norm(vectors[one]) / np.linalg.norm(vectors[other])
    )


@pytest.mark.parametrize("sg", [0, 1])
def test_words_of_one_topic_come_close(sg: int) -> None:
    """Vectors handed to the wrong words, or not trained at all, would not tell sea from land."""
    lists = _two_topics()
    vectors = train_word2vec(lists, dim=16, epochs=5, workers=1, sg=sg, sample=0, seed=3)
    assert sorted(vectors.words) == sorted(SEA + LAND)
    assert (vectors.dim, vectors.matrix.dtype) == (16, np.float32)
    for own, foreign in ((SEA, LAND), (LAND, SEA)):
        near = min(_cosine(vectors, own[0], word) for word in own[1:])
        far = max(_cosine(vectors, own[0], word) for word in foreign)
        assert near > far + 0.3


def test_one_worker_repeats_itself_and_the_seed_counts() -> None:
    """`workers=1` is the way to a model that can be made again bit for bit."""
    first, again, other = (
        train_word2vec(iter(_two_topics()), dim=8, epochs=2, workers=1, seed=seed) for seed in (1, 1, 2)
    )
    assert first.words == again.words
    np.testing.assert_array_equal(first.matrix, again.matrix)
    assert not np.array_equal(first.matrix, other.matrix)


def test_nothing_of_a_long_text_is_left_out() -> None:
    """gensim trains on 10,000 words of a sentence: a long text must equal its pieces."""
    tokens = [word for words in _two_topics()[:2400] for word in words] * 3
    assert len(tokens) > 20_000
    pieces = [tokens[start : start + 10_000] for start in range(0, len(tokens), 10_000)]
    whole, cut = (train_word2vec(lists, dim=8, epochs=1, workers=1) for lists in ([tokens], pieces))
    np.testing.assert_array_equal(whole.matrix, cut.matrix)


def test_rare_words_are_left_out_and_progress_is_told() -> None:
    """Words seen once have no vector worth having; a silent hour makes users stop the run."""
    told: list[tuple[int, int]] = []
    lists = [*_two_topics(), ["once"], ["twice", "twice"]]
    vectors = train_word2vec(
        lists, dim=4, epochs=3, min_count=2, workers=2, on_progress=lambda done, of: told.append((done, of))
    )
    assert "twice" in vectors
    assert "once" not in vectors
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_bad_options_and_too_little_text_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """gensim's own answers are tracebacks, or vectors of noise."""
    with pytest.raises(DataError, match="dim must be at least 1, not 0"):
        train_word2vec([["a"] * 9], dim=0)
    with pytest.raises(DataError, match=r"no word comes 5 times \(the most frequent comes 2 times\)"):
        train_word2vec([["a", "b"], ["a"]])
    with pytest.raises(DataError, match="comes 0 times"):
        train_word2vec([])
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(MissingExtraError, match=r"gatelight\[word2vec\]"):
        train_word2vec([["a"] * 9])
