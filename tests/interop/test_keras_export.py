"""Our models as Keras's files: real Keras 3 predicts the same; what it lacks is refused with the reason."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from keras_cases import SAME, real_keras

from gatelight import TextClassifier, load
from gatelight.interop import keras
from gatelight.interop.keras.as_classifier import imported_of
from gatelight.interop.keras.imported import ImportedModel
from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig
from gatelight.models.inference import predict

LENGTHS, STEPS, V = np.array([7, 3, 1, 5]), 7, 30
COMBINATIONS = list(
    itertools.product(("lstm", "gru", "rnn"), ("last", "max", "mean", "flatten"), (False, True))
)

TEXTS = [
    "a fine and moving film",
    "dull and badly made",
    "not dull at all",
    "a moving mess",
    "fine music",
] * 6
LABELS = ["pos", "neg", "pos", "neg", "pos"] * 6
# The note's word model in small: LSTM over all steps, flattened into one dense layer, two classes.
NOTE: dict[str, Any] = {
    "cell": "lstm", "hidden_size": 6, "embedding_dim": 5, "pool": "flatten", "max_length": 8, "wide": False,
    "truncation": "head",
    "bidirectional": False, "min_count": 1, "epochs": 2, "validation_fraction": 0.0, "best_by": "last",
}  # fmt: skip


def random_classifier(number: int) -> Classifier:
    """One of the combinations, with random weights."""
    cell, pool, both = COMBINATIONS[number]
    several = number % 3 + 1
    config = ClassifierConfig(
        vocabulary_size=V, dim=4, cell=cell, hidden=5, layers=1 + number % 2, bidirectional=both, pool=pool,
        max_length=STEPS if pool == "flatten" else None, outputs=several, multilabel=several == 2,
        dropout=0.2, layer_dropout=0.1 * (number % 2),
    )  # fmt: skip
    model = Classifier(config)
    generator = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            fixed = "bias_hh" in name and cell != "gru"
            parameter.copy_(0 * parameter if fixed else torch.randn(parameter.shape, generator=generator) / 2)
    return model.eval()


@pytest.mark.parametrize(
    "number", range(len(COMBINATIONS)), ids=["-".join(map(str, c)) for c in COMBINATIONS]
)
def test_keras_predicts_the_same(number: int, tmp_path: Path) -> None:
    """Every cell, head and direction, texts of unequal length, one of the three formats each."""
    real = real_keras()
    model = random_classifier(number)
    ids = np.random.default_rng(number).integers(1, V, LENGTHS.sum()).astype(np.int32)
    expected = predict(model, ids, LENGTHS)
    padded = np.zeros((len(LENGTHS), STEPS), np.int64)
    padded[np.arange(STEPS) < LENGTHS[:, None]] = ids
    imported = imported_of(model)
    out = tmp_path / "model"
    if number % 3 == 0:
        paths = keras.to_json(imported, out)
        theirs = real.models.model_from_json(paths[0].read_text())
        theirs.load_weights(paths[1])
    else:
        paths = (keras.to_h5 if number % 3 == 1 else keras.to_keras)(imported, out)
        theirs = real.models.load_model(paths[0], compile=False)
    assert np.abs(np.asarray(theirs(padded).detach()) - expected).max() < SAME
    again = keras.load(*paths)
    assert np.abs(again.predict(padded) - expected).max() < SAME


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cell": "peephole"}, "peepholes"),
        ({"pool": "attention"}, "'attention'"),
        ({"pool": "max+mean"}, "'max"),
        ({"buckets": 5}, "n-grams"),
    ],
)
def test_what_keras_lacks_is_refused_with_the_reason(change: dict[str, Any], said: str) -> None:
    """Leaving the peepholes behind would give a model that predicts something else."""
    with pytest.raises(ValueError, match=said):
        imported_of(Classifier(ClassifierConfig(vocabulary_size=9, dim=2, hidden=2, **change)))


@pytest.fixture(scope="module")
def note() -> TextClassifier:
    return TextClassifier(**NOTE).fit(TEXTS, LABELS)


def test_the_last_cell_of_the_note(note: TextClassifier, tmp_path: Path) -> None:
    """Train, to_json and .h5, load: the same prediction here; and in Keras, fed by the vocabulary file."""
    real = real_keras()
    plan, weights, words = keras.to_json(note, tmp_path / "note")
    texts = ["a fine mess", "not badly made", "", "music"]
    expected = note.predict_proba(texts)
    again = keras.load(plan, weights, vocabulary=words)
    assert np.abs(again.predict(texts)[:, 0] - expected[:, 1]).max() < SAME
    assert again.labels_of(again.predict(texts)) == note.predict(texts).tolist()
    told = json.loads(words.read_text())
    assert (told["length"], told["padding"], told["classes"]) == (8, "post", ["neg", "pos"])
    number = {token: place for place, token in enumerate(told["tokens"])}
    ids = [[number.get(word, told["unknown"]) for word in text.split()] for text in texts]
    padded = np.array([row + [0] * (told["length"] - len(row)) for row in ids])
    theirs = real.models.model_from_json(plan.read_text())
    theirs.load_weights(weights)
    assert np.abs(theirs.predict(padded, verbose=0)[:, 0] - expected[:, 1]).max() < SAME


def test_a_damaged_vocabulary_is_refused(note: TextClassifier, tmp_path: Path) -> None:
    """The words of one model with the ids of another would answer nonsense with confidence."""
    path, words = keras.to_keras(note, tmp_path / "b")
    told = json.loads(words.read_text())
    for damage in (
        {"tokens": 7},
        {"tokens": {"a": -1}},
        {"length": 0},
        {"classes": ["one"]},
        {"tokenizer": 3},
    ):
        words.write_text(json.dumps({**told, **damage}))
        with pytest.raises(ValueError, match=r"b\.vocabulary\.json"):
            keras.load(path, vocabulary=words)


def test_a_model_from_elsewhere_reads_with_the_tokenizer_of_keras(tmp_path: Path) -> None:
    """Old models come with Tokenizer.to_json(): its words, num_words and padding in front are theirs."""
    config = ClassifierConfig(vocabulary_size=6, dim=3, hidden=4, pool="last")
    imported = imported_of(Classifier(config, seed=3))
    (path,) = keras.to_keras(imported, tmp_path / "model")
    ids = {"<oov>": 1, "the": 2, "film": 3, "fine": 4, "rare": 5, "rarer": 6}
    config = {"num_words": 6, "filters": "!.,", "lower": True, "split": " ", "oov_token": "<oov>"}
    words = tmp_path / "tokenizer.json"
    words.write_text(
        json.dumps({"class_name": "Tokenizer", "config": {**config, "word_index": json.dumps(ids)}})
    )
    model = keras.load(path, vocabulary=words)
    assert isinstance(model, ImportedModel)
    assert model.reading is not None
    assert model.reading.encode(["The film!, FINE", "rarer rare"]) == [[2, 3, 4], [1, 5]]
    assert (model.predict(["the Film."])[0] == model.predict([[2, 3]])[0]).all()
    words.write_text(json.dumps(ids))
    model = keras.load(path, vocabulary=words)
    assert isinstance(model, ImportedModel)
    assert (model.predict(["the rare unknown film"])[0] == model.predict([[2, 5, 3]])[0]).all()
    model.save(tmp_path / "saved")
    again = load(tmp_path / "saved")
    assert (again.predict(["the film"]) == model.predict(["the film"])).all()
