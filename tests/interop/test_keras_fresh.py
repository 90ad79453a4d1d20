"""Models written by real Keras 3, a fresh one for every layer and setting, read here; and written back.

Weights are random, biases too; ids have zeros in front, behind and between.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_cases import SAME, padded_ids, randomised, real_keras

from gatelight.interop import keras as ours
from gatelight.nn.status import calls

V, T, F = 12, 7, 3
Stack = Callable[[Any], list[Any]]

# Lists of layers; those of ids stand behind an embedding, which masks the id 0 where the name says so.
IDS: dict[str, Stack] = {
    "lstm": lambda L: [L.LSTM(5)],
    "lstm masked": lambda L: [L.LSTM(5)],
    "gru masked": lambda L: [L.GRU(5)],
    "gru before masked": lambda L: [L.GRU(5, reset_after=False)],
    "rnn masked": lambda L: [L.SimpleRNN(5)],
    "all steps masked": lambda L: [L.LSTM(5, return_sequences=True)],
    "zeros where masked": lambda L: [L.LSTM(5, return_sequences=True, zero_output_for_mask=True)],
    "both ways masked": lambda L: [L.Bidirectional(L.LSTM(5))],
    "both ways all steps masked": lambda L: [L.Bidirectional(L.GRU(5, return_sequences=True))],
    "stacked masked": lambda L: [
        L.LSTM(5, return_sequences=True), L.GRU(3, return_sequences=True), L.SimpleRNN(4),
    ],
    "flatten": lambda L: [L.LSTM(5, return_sequences=True), L.Flatten(), L.Dense(1)],
    "flatten masked": lambda L: [L.LSTM(5, return_sequences=True), L.Flatten(), L.Dense(1)],
    "max masked": lambda L: [L.LSTM(5, return_sequences=True), L.GlobalMaxPooling1D()],
    "mean masked": lambda L: [
        L.GRU(5, return_sequences=True), L.Dropout(0.3), L.GlobalAveragePooling1D(),
        L.Dense(2, activation="softmax"),
    ],
    "backwards masked": lambda L: [L.LSTM(5, return_sequences=True, go_backwards=True), L.LSTM(3)],
    "each step masked": lambda L: [
        L.SpatialDropout1D(0.2), L.LSTM(5, return_sequences=True),
        L.TimeDistributed(L.Dense(3, activation="relu")), L.Activation("softmax"), L.LSTM(2),
    ],
}  # fmt: skip
for _mode in ("concat", "sum", "ave", "mul"):
    IDS[f"merge {_mode} masked"] = lambda L, mode=_mode: [  # type: ignore[misc]
        L.Bidirectional(L.LSTM(5, return_sequences=True), merge_mode=mode),
        L.Bidirectional(L.SimpleRNN(3), merge_mode=mode),
    ]
ROWS: dict[str, Stack] = {
    "masking": lambda L: [L.Masking(0.0), L.LSTM(5, return_sequences=True), L.GRU(3)],
    "no bias": lambda L: [
        L.LSTM(5, use_bias=False, return_sequences=True), L.GRU(4, use_bias=False),
        L.Dense(2, use_bias=False),
    ],
    "relu": lambda L: [L.LSTM(5, activation="relu"), L.Dense(3, activation="softplus")],
    "hard sigmoid": lambda L: [
        L.LSTM(5, recurrent_activation="hard_sigmoid", return_sequences=True),
        L.GRU(4, recurrent_activation="hard_sigmoid", activation="softsign"),
    ],
    "relu rnn": lambda L: [L.SimpleRNN(5, activation="relu"), L.Dense(2, activation="hard_sigmoid")],
    "gru before": lambda L: [
        L.GRU(5, reset_after=False, return_sequences=True, activation="elu"), L.GlobalMaxPooling1D(),
    ],
    "repeat": lambda L: [L.LSTM(5), L.RepeatVector(4), L.GRU(3, return_sequences=True), L.ReLU()],
    "backwards": lambda L: [L.GRU(5, go_backwards=True), L.Dense(4), L.Softmax()],
}  # fmt: skip
NOT_FOR_BOTH = {"hard sigmoid", "relu rnn"}  # Keras 2 and 3 mean two things by hard_sigmoid


def built(real: Any, stack: Stack, name: str, graph: bool) -> tuple[Any, np.ndarray[Any, Any]]:
    """A model of Keras and an input for it."""
    ids = name in IDS
    seed = len(name)
    if ids:
        start, given = real.Input((T,), dtype="int32"), padded_ids(V, T, seed)
    else:
        start = real.Input((T, F))
        given = np.random.default_rng(seed).normal(size=(8, T, F)).astype(np.float32)
        given[0, :3] = given[1, 4:] = given[2, 2:4] = 0
    layers = stack(real.layers)
    if ids:
        layers.insert(0, real.layers.Embedding(V, 4, mask_zero="masked" in name))
    if not graph:
        return randomised(real.Sequential([start, *layers]), seed), given
    at = start
    for layer in layers:
        at = layer(at)
    return randomised(real.Model(start, at), seed), given


def outputs(model: Any, given: Any) -> np.ndarray[Any, Any]:
    """What Keras gives."""
    return np.asarray(model(given).detach())


@pytest.mark.parametrize("name", [*IDS, *ROWS])
def test_keras_3_in_and_out_again(name: str, tmp_path: Path) -> None:
    """From the archive, and, as a graph, from whole and from parted HDF5; and Keras reads what is written."""
    real = real_keras()
    stack = (IDS | ROWS)[name]
    model, given = built(real, stack, name, graph=True)
    model.save(tmp_path / "whole.h5")
    (tmp_path / "plan.json").write_text(model.to_json())
    model.save_weights(tmp_path / "parted.weights.h5")
    for files in (["whole.h5"], ["plan.json", "parted.weights.h5"]):
        found = ours.load(*(tmp_path / file for file in files)).predict(given)
        assert np.abs(found - outputs(model, given)).max() < SAME
    model, given = built(real, stack, name, graph=False)
    expected = outputs(model, given)
    model.save(tmp_path / "model.keras")
    imported = ours.load(tmp_path / "model.keras")
    assert np.abs(imported.predict(given) - expected).max() < SAME
    if name in NOT_FOR_BOTH:
        with pytest.raises(ValueError, match="different functions"):
            ours.to_json(imported, tmp_path / "again")
        assert not list(tmp_path.glob("again*"))
        return
    ours.to_keras(imported, tmp_path / "again.keras")
    again = real.models.load_model(tmp_path / "again.keras")
    ours.to_json(imported, tmp_path / "parts.json")
    parts = real.models.model_from_json((tmp_path / "parts.json").read_text())
    parts.load_weights(tmp_path / "parts.h5")
    for theirs in (again, parts):
        assert np.abs(outputs(theirs, given) - expected).max() < SAME


def test_the_fast_kernels_run_where_they_can(tmp_path: Path) -> None:
    """A silent fall back to the equations would only show as slowness."""
    real = real_keras()
    expected = {
        "gru masked": "kernels",
        "both ways masked": "kernels",
        "gru before masked": "equations",
        "relu": "equations",
    }
    for name, path in expected.items():
        model, given = built(real, (IDS | ROWS)[name], name, False)
        model.save(tmp_path / "model.keras")
        loaded = ours.load(tmp_path / "model.keras")
        before = calls()
        loaded.predict(given)
        taken = {kind: count - before[kind] for kind, count in calls().items() if count != before[kind]}
        assert list(taken) == [path], name
        assert {found for _, found, _ in loaded.paths()} == {path}
