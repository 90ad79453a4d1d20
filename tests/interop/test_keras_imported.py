"""`ImportedModel`: any form of sequence in, outputs out, and the folder in which it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatelight
from gatelight.errors import DataError, ModelFileError
from gatelight.interop.keras.blueprint import Blueprint
from gatelight.interop.keras.imported import ImportedModel
from gatelight.interop.keras.layers import Dense, Embedding, Form, Layer, Pool
from gatelight.interop.keras.recurrent import Recurrent

# float32 sums in another order.
SAME = 1e-6


def made(form: Form, *layers: Layer, seed: int = 0, **how: Any) -> ImportedModel:
    """A model of random weights."""
    plan = Blueprint(form, layers)
    draw = np.random.default_rng(seed)
    weights = {name: draw.normal(0, 0.5, shape).astype("f4") for name, shape in plan.shapes().items()}
    return ImportedModel(plan, weights, **how)


def of_ids(masks: bool = False, **how: Any) -> ImportedModel:
    memory, dense = Recurrent("m", "gru", 4, all_steps=True), Dense("d", 1, "sigmoid")
    return made(Form(), Embedding("e", 9, 3, masks), memory, Pool("p", "mean"), dense, **how)


def of_rows(features: int, all_steps: bool = False) -> ImportedModel:
    return made(Form(None, features), Recurrent("m", "lstm", 4, state="relu", all_steps=all_steps))


def test_sequences_of_unequal_length_are_each_computed_as_if_alone() -> None:
    """Padding them to the longest would change what a model without a mask answers."""
    model = of_ids()
    sequences = [[1, 2, 3], [4], [5, 0, 0, 6], [7, 8, 1]]
    together = model.predict(sequences)
    assert together.shape == (4, 1)
    for sequence, row in zip(sequences, together, strict=True):
        assert (model.predict([sequence])[0] == row).all()
    masked = of_ids(masks=True)
    assert (masked.predict([[0, 0, 1, 2]]) == masked.predict([[1, 2]])).all()


def test_rows_one_hot_rows_and_series() -> None:
    """What a list of numbers means depends on what the model takes; each must be read the one way."""
    model = of_rows(5)
    hot = np.eye(5, dtype="f4")[[4, 0, 2]]
    assert (model.predict([[4, 0, 2]]) == model.predict([hot])).all()
    series = of_rows(1)
    assert (series.predict([[1, 2, 3]]) == series.predict(np.array([[[1.0], [2.0], [3.0]]]))).all()
    steps = of_rows(5, all_steps=True)
    ragged = steps.predict([hot, hot[:2]])
    assert [row.shape for row in ragged] == [(3, 4), (2, 4)]
    assert np.abs(ragged[0][:2] - ragged[1]).max() < SAME
    assert steps.predict([]).shape == (0, 4)


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        (of_ids, ["a text"], "vocabulary is not known"),
        (of_ids, [[1, 9]], "the id 9 is outside"),
        (of_ids, [[]], "sequence 1 has the shape"),
        (of_ids, [[1, [2]]], "no list of ids"),
        (of_ids, [None], "no list of ids"),
        (lambda: of_rows(5), [[4, 5]], "ids from 4 to 5"),
        (lambda: of_rows(5), [[0.5, 0.1]], "not made of rows of 5 numbers"),
        (lambda: of_rows(5), [[[1.0] * 4]], "sequence 1 has the shape"),
        (lambda: of_rows(1), [[1.0, float("nan")]], "infinite or undefined"),
    ],
)
def test_what_it_cannot_take_is_named(model: Any, given: Any, said: str) -> None:
    """Numbers that are not what the model means would be answered all the same."""
    with pytest.raises(DataError, match=said):
        model().predict(given)


def test_saved_and_loaded_it_has_the_same_bits(tmp_path: Path) -> None:
    """Also its classes, by which one sigmoid means the second."""
    model = of_ids(classes=["bad", "good"])
    model.save(tmp_path / "model")
    model.save(tmp_path / "model")  # an older one is replaced
    again = gatelight.load(tmp_path / "model")
    assert isinstance(again, ImportedModel)
    ids = [[1, 2], [3, 4, 5]]
    assert (again.predict(ids) == model.predict(ids)).all()
    assert again.labels_of(np.array([[0.4], [0.6]], "f4")) == ["bad", "good"]
    assert str(again.summary()) == str(model.summary())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("mine")
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        model.save(tmp_path / "mine")
    with pytest.raises(DataError, match="3 classes came for 1 outputs"):
        of_ids(classes=["a", "b", "c"])


def test_a_damaged_folder_is_one_error(tmp_path: Path) -> None:
    """Each field is changed to what it cannot be; none may end in another error, or in gigabytes."""
    of_ids().save(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    good = json.loads(path.read_text())
    first, *rest = good["blueprint"]["layers"]

    def with_layers(*layers: Any) -> dict[str, Any]:
        return {"blueprint": {**good["blueprint"], "layers": list(layers)}}

    changes: list[dict[str, Any]] = [
        {"format": 2}, {"blueprint": None}, {"blueprint": {"input": {}, "layers": []}}, {"classes": ["a"]},
        {"reading": {}}, {"reading": {"tokens": {"a": -1}}}, {"reading": {"tokens": ["a"], "length": 0}},
        with_layers({**first, "vocabulary": 10**9}, *rest),
        with_layers({**first, "vocabulary": 10**7}, *rest),
        with_layers({**first, "kind": "lambda"}), with_layers({**first, "extra": 1}), with_layers(7),
    ]  # fmt: skip
    for change in changes:
        path.write_text(json.dumps({**good, **change}))
        with pytest.raises(ModelFileError) as raised:
            gatelight.load(tmp_path / "model")
        assert "\n" not in str(raised.value)
    path.write_text(json.dumps(good))
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(ModelFileError, match="cut short"):
        gatelight.load(tmp_path / "model")
