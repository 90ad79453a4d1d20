"""Unknown words through the whole estimator: every policy learns, saves, loads and explains itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_reviews import TINY, Reviews

import gatelight
from gatelight import TextClassifier
from gatelight.errors import DataError, ModelFileError
from gatelight.text.oov import UNKNOWN_POLICIES

SETTINGS: dict[str, Any] = {**TINY, "min_count": 3, "random_state": 5}
BAD, GOOD = "I dont like this movie", "I like this movie"


@pytest.fixture(scope="module", params=list(UNKNOWN_POLICIES))
def model(request: pytest.FixtureRequest, reviews: Reviews) -> TextClassifier:
    """One tiny model for each policy."""
    likes = [("I like this movie", "positive"), ("I don't like this movie", "negative")] * 4
    texts, labels = reviews.texts + [t for t, _ in likes], reviews.labels + [label for _, label in likes]
    return TextClassifier(**SETTINGS, unknown=request.param).fit(texts, labels)


ODD = ["", "zzz qqq", BAD, GOOD, "wonderfull and clevr but dul", "\ud800 \N{PILE OF POO}", "x" * 100_000]


def test_a_text_is_predicted_alike_alone_in_a_batch_and_after_loading(
    model: TextClassifier, tmp_path: Path
) -> None:
    """Numbers, draws or n-grams that depended on the batch, or were not saved, would change the answer."""
    model.save(tmp_path / "model")
    again = gatelight.load(tmp_path / "model")
    together = model.predict_proba(ODD)
    assert np.array_equal(again.predict_proba(ODD), together)
    for text, row in zip(ODD, together, strict=True):
        assert np.array_equal(again.predict_proba([text])[0], row)
    assert again.understand(ODD) == model.understand(ODD)
    assert [u.unknown_fraction for u in model.understand(ODD)] == model.unknown_fraction(ODD).tolist()


def test_an_unknown_negation_is_told_and_dropping_it_makes_the_text_its_opposite(
    model: TextClassifier,
) -> None:
    """The note's damage, seen: whoever asks must be told that `dont` was not read, and what was."""
    (understood,) = model.understand([BAD])
    (opposite,) = model.understand([GOOD])
    if model.unknown == "ngrams":
        assert understood.unknown == opposite.unknown == []
        assert not np.array_equal(model.predict_proba([BAD]), model.predict_proba([GOOD]))
        return
    (unknown,) = understood.unknown
    assert (unknown[0], len(understood.tokens), opposite.unknown) == ("dont", 5, [])
    alike = np.array_equal(model.predict_proba([BAD]), model.predict_proba([GOOD]))
    assert alike == (understood.read == opposite.read) == (model.unknown == "drop")
    expected = {"drop": None, "unk": "<unk>", "nearest": "don't", "subword": "dont"}
    if model.unknown in expected:
        assert unknown[1] == expected[model.unknown]
    else:
        assert unknown[1] in model.vocabulary_


def test_misspellings_of_subwords_are_read_by_their_letters(reviews: Reviews) -> None:
    """A vector that did not depend on the word's letters would be no better than one for all."""
    model = TextClassifier(**SETTINGS, unknown="subword").fit(reviews.texts, reviews.labels)
    predicted = model.predict_proba(["the film is wonderfull", "the film is borring", "the film is zzqqx"])
    assert len(np.unique(predicted[:, 0])) == 3
    assert model.model_.embedding.weight.shape == (
        len(model.vocabulary_) + model.model_.config.buckets,
        TINY["embedding_dim"],
    )
    assert "Subword n-grams" in str(model.summary())
    assert str(TextClassifier(**SETTINGS, unknown="subword").summary()).count("Subword") == 1


def test_n_grams_are_trained_beside_frozen_vectors(reviews: Reviews) -> None:
    """Vectors that are kept as they are must be, though the n-grams in the same table are not."""
    from gatelight.text.vectors import WordVectors

    words = sorted({word for text in reviews.texts for word in text.lower().split()})
    given = np.random.default_rng(0).standard_normal((len(words), 8)).astype(np.float32)
    frozen = WordVectors(words, given)
    model = TextClassifier(
        **{**SETTINGS, "min_count": 1, "vectors": frozen}, unknown="subword", train_vectors=False
    ).fit(reviews.texts, reviews.labels)
    table = model.model_.embedding.weight.detach().numpy()
    for word in model.vocabulary_.tokens[2:]:
        assert np.array_equal(table[model.vocabulary_.id(word)], given[words.index(word)])
    assert np.abs(table[len(model.vocabulary_) :]).max() > 0.05  # where they start


def test_strange_policies_and_damaged_folders_are_refused(model: TextClassifier, tmp_path: Path) -> None:
    """A folder whose reading and weights are of two models must not be used."""
    with pytest.raises(DataError, match="unknown is 'guess'; expected one of unk, drop, random"):
        TextClassifier(unknown="guess").fit(["a", "b"], [0, 1])
    model.save(tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    text = config.read_text()
    other = {"subword": "ngrams", "ngrams": "unk"}.get(model.unknown, "subword")
    reading = text.index('"reading"')
    swapped = text[reading:].replace(f'"unknown": "{model.unknown}"', f'"unknown": "{other}"', 1)
    config.write_text(text[:reading] + swapped)
    with pytest.raises(ModelFileError, match="n-grams"):
        gatelight.load(tmp_path / "model")
    config.write_text(text[:reading] + text[reading:].replace('"seed": 5', '"seed": -1', 1))
    with pytest.raises(ModelFileError, match="seed"):
        gatelight.load(tmp_path / "model")
