"""A classifier that starts from a language model: what it takes over, what it refuses, what it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up_reviews import Reviews

import gatelight
from gatelight import LanguageModel, TextClassifier
from gatelight.errors import DataError, ModelFileError

WRITER: dict[str, Any] = {
    "tokenizer": "word", "lowercase": True, "hidden_size": 6, "embedding_dim": 6, "layers": 2,
    "batch_size": 4, "steps": 8, "epochs": 1, "learning_rate": 2e-3, "dropout": 0.0, "embedding_dropout": 0.0,
    "min_count": 1, "cell": "gru", "validation_fraction": 0.0,
}  # fmt: skip
# So small a step that no weight of float32 moves: what is learned is where it started.
STILL: dict[str, Any] = {
    "optimizer": "sgd", "learning_rate": 1e-30, "clip": None, "epochs": 1, "batch_size": 64,
    "validation_fraction": 0.0, "max_length": 30,
}  # fmt: skip


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def writer(request: pytest.FixtureRequest, reviews: Reviews) -> LanguageModel:
    return LanguageModel(**WRITER, tied=request.param).fit(reviews.texts)


def test_weights_tokens_and_words_are_the_language_models(
    writer: LanguageModel, reviews: Reviews, tmp_path: Path
) -> None:
    """A start from elsewhere would go unnoticed: the model would only learn worse."""
    writer.save(tmp_path / "lm")
    for given in (writer, tmp_path / "lm", str(tmp_path / "lm")):
        found = TextClassifier(from_lm=given, **STILL).fit(reviews.texts, reviews.labels)
        assert found.vocabulary_.tokens == writer.vocabulary_.tokens
        assert found.tokenizer_.settings() == writer.tokenizer_.settings()
        own, other = found.model_, writer.model_
        assert (own.config.cell, own.config.layers, own.config.bidirectional) == ("gru", 2, False)
        assert torch.equal(own.embedding.weight[1:], other.embedding.weight[1:])  # type: ignore[index]
        for name, weight in other.memory.state_dict().items():
            assert torch.equal(own.memory.state_dict()[name], weight), name
        assert not torch.equal(own.head["weight"], torch.zeros_like(own.head["weight"]))
    assert found.training_["vectors"] == "a language model's"
    assert found.training_["vector_coverage"] == 1.0


def test_it_learns_and_is_saved(writer: LanguageModel, reviews: Reviews, tmp_path: Path) -> None:
    """A model whose folder needs the language model's would be lost with it."""
    how: dict[str, Any] = {"epochs": 25, "learning_rate": 0.03, "embedding_dropout": 0.0, "word_dropout": 0.0}
    found = TextClassifier(from_lm=writer, batch_size=16, max_length=30, **how).fit(
        reviews.texts, reviews.labels
    )
    assert found.score(reviews.texts, reviews.labels) > 0.8
    found.save(tmp_path / "model")
    again = gatelight.load(tmp_path / "model")
    assert isinstance(again, TextClassifier)
    np.testing.assert_array_equal(again.predict_proba(reviews.texts), found.predict_proba(reviews.texts))
    assert again.gradual_unfreezing
    with pytest.raises(DataError, match="given in memory"):
        again.fit(reviews.texts, reviews.labels)


def test_presets_leave_to_the_model_what_it_decides(writer: LanguageModel) -> None:
    """The preset's own size or direction is no wish of the user's; a summary must show what will be."""
    found = TextClassifier.from_preset("char", from_lm=writer, pool="mean")
    assert (found.hidden_size, found.bidirectional, found.unknown, found.pool) == (6, False, "unk", "mean")
    assert "GRU" in str(TextClassifier(from_lm=writer).summary())


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"hidden_size": 7}, "hidden_size is 7, but the language model decides it: 6"),
        ({"tokenizer": "char"}, "tokenizer is 'char'"),
        ({"cell": "rnn"}, "cell is 'rnn'"),
        ({"vectors": "one-hot"}, "vectors is 'one-hot'"),
        ({"unknown": "subword"}, "unknown is 'subword'"),
        ({"gradual_unfreezing": "yes"}, "gradual_unfreezing is 'yes'"),
    ],
)
def test_contradictions_are_refused(
    writer: LanguageModel, reviews: Reviews, wish: dict[str, Any], said: str
) -> None:
    """A wish that is dropped in silence gives another model than was asked for."""
    with pytest.raises(DataError, match=said):
        TextClassifier(from_lm=writer, **wish).fit(reviews.texts, reviews.labels)


def test_a_direction_that_was_asked_for_is_refused(writer: LanguageModel) -> None:
    """Typed, both directions are a wish, though they are the preset's too."""
    with pytest.raises(DataError, match="bidirectional is True"):
        TextClassifier.from_preset("default", from_lm=writer, bidirectional=True)


def test_what_is_no_language_model_is_refused(
    reviews: Reviews, fitted: TextClassifier, tmp_path: Path
) -> None:
    """A classifier's memory or nothing at all in its place."""
    fitted.save(tmp_path / "classifier")
    for given, error, said in (
        (tmp_path / "classifier", ModelFileError, "not of a gatelight language model"),
        (tmp_path / "nothing", ModelFileError, "does not exist"),
        (LanguageModel(), DataError, "not fitted"),
        (fitted, DataError, "of type TextClassifier"),
    ):
        with pytest.raises(error, match=said):
            TextClassifier(from_lm=given, **STILL).fit(reviews.texts, reviews.labels)  # type: ignore[arg-type]
