"""`embed` against what the models' own heads make of the same states, and the files of vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from made_up_reviews import TINY, Reviews
from sklearn.exceptions import NotFittedError

from gatelight import LanguageModel, TextClassifier
from gatelight.errors import DataError
from gatelight.estimators.embeddings import vectors_written

TOLERANCE = 1e-6  # one dense layer and a squashing, in float32 here and float64 there


@pytest.mark.parametrize("unknown", ["unk", "drop", "subword", "ngrams"])
def test_the_head_makes_the_probability_of_them(unknown: str, reviews: Reviews) -> None:
    """Vectors that are not what the head sees would say nothing of the model."""
    model = TextClassifier(**TINY, unknown=unknown, pool="max").fit(reviews.texts, reviews.labels)
    texts = ["its plot is not graet", "", "a delight", *reviews.texts[:5]]
    vectors = model.embed(texts, pool="max")
    weight, bias = (model.model_.head[name].detach().double().numpy() for name in ("weight", "bias"))
    probability = 1 / (1 + np.exp(-(vectors @ weight.T + bias)[:, 0]))
    np.testing.assert_allclose(model.predict_proba(texts)[:, 1], probability, atol=TOLERANCE)
    alone = np.concatenate([model.embed([text], pool="max") for text in texts])
    assert (alone == vectors).all()
    assert vectors.shape == (8, 16)


def test_a_language_model_predicts_from_them(reviews: Reviews) -> None:
    """Its vector is the state before the next token: the output layer must give the session's chances."""
    model = LanguageModel(hidden_size=12, embedding_dim=6, epochs=1, batch_size=4, steps=16).fit(
        reviews.texts
    )
    texts = ["the film", "", "a delight!"]
    weight, bias = (part.detach().double().numpy() for part in model.model_.output_layer())
    scores = model.embed(texts) @ weight.T + bias
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    for text, row in zip(texts, chances, strict=True):
        np.testing.assert_allclose(model.session().feed(text), row, atol=TOLERANCE)


def test_before_fit_and_of_one_string_they_are_refused(fitted: TextClassifier) -> None:
    """The letters of a text are not texts."""
    with pytest.raises(NotFittedError):
        TextClassifier().embed(["a"])
    with pytest.raises(DataError, match="list of texts"):
        fitted.embed("a text")
    with pytest.raises(DataError, match="expected one of last, max, mean, cell"):
        fitted.embed([], pool="attention")


VECTORS = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
NAMED = ["1", "2", "3", "4", "5"], ["a", None, "b", "a", "b"], ["x", "", "é\n", "\ud83d", "<b>"]


@pytest.mark.parametrize("ending", ["npy", "parquet"])
@pytest.mark.parametrize("block", [1, 2, 5])
def test_blocks_make_one_file(ending: str, block: int, tmp_path: Path) -> None:
    """What is read block by block must be one table for whoever opens it with NumPy or anything else."""
    path = tmp_path / f"v.{ending}"
    with vectors_written(path, 3) as write:
        for begin in range(0, 5, block):
            part = slice(begin, begin + block)
            write(VECTORS[part], *(column[part] for column in NAMED))
    if ending == "npy":
        assert (np.load(path, allow_pickle=False) == VECTORS).all()
        return
    table = pyarrow.parquet.read_table(path)
    assert (np.array(table["vector"].to_pylist(), np.float32) == VECTORS).all()
    assert table["label"].to_pylist() == NAMED[1]
    assert table["id"].to_pylist() == NAMED[0]
    assert table["text"].to_pylist() == ["x", "", "é\n", "\\ud83d", "<b>"]


@pytest.mark.parametrize("ending", ["npy", "parquet"])
def test_an_older_file_stays_until_the_new_one_is_whole(ending: str, tmp_path: Path) -> None:
    """Half a file of vectors looks like a whole one of fewer texts."""
    path = tmp_path / f"v.{ending}"
    path.write_bytes(b"older")
    with pytest.raises(ZeroDivisionError), vectors_written(path, 3) as write:
        1 / (write(VECTORS, *NAMED) or 0)
    assert path.read_bytes() == b"older"
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    with (
        pytest.raises(DataError, match=r"must end in one of \.npy, \.parquet"),
        vectors_written(Path("v"), 3),
    ):
        pass
    with vectors_written(path, 3):
        pass
    if ending == "npy":
        assert np.load(path).shape == (0, 3)
    else:
        assert pyarrow.parquet.read_table(path).num_rows == 0
