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
from gatelight.interop.keras.imported import ImportedModel
from gatelight.nn.status import calls

V, T, F = 12, 7, 3
Stack = Callable[[Any], list[Any]]

# Each is a list of layers; "ids" models begin with their own embedding.
IDS: dict[str, Stack] = {
    "lstm": lambda L: [L.Embedding(V, 4), L.LSTM(5)],
    "lstm masked": lambda L: [L.Embedding(V, 4, mask_zero=True), L.LSTM(5)],
    "gru masked": lambda L: [L.Embedding(V, 4, mask_zero=True), L.GRU(5)],
    "gru before masked": lambda L: [L.Embedding(V, 4, mask_zero=True), L.GRU(5, reset_after=False)],
    "rnn masked": lambda L: [L.Embedding(V, 4, mask_zero=True), L.SimpleRNN(5)],
    "all steps masked": lambda L: [L.Embedding(V, 4, mask_zero=True), L.LSTM(5, return_sequences=True)],
    "zeros where masked": lambda L: [
        L.Embedding(V, 4, mask_zero=True), L.LSTM(5, return_sequences=True, zero_output_for_mask=True),
    ],
    "both ways": lambda L: [L.Embedding(V, 4, mask_zero=True), L.Bidirectional(L.LSTM(5))],
    "both ways all steps": lambda L: [
        L.Embedding(V, 4, mask_zero=True), L.Bidirectional(L.GRU(5, return_sequences=True)),
    ],
    "stacked": lambda L: [
        L.Embedding(V, 4, mask_zero=True), L.LSTM(5, return_sequences=True), L.GRU(3, return_sequences=True),
        L.SimpleRNN(4),
    ],
    "flatten": lambda L: [L.Embedding(V, 4), L.LSTM(5, return_sequences=True), L.Flatten(), L.Dense(1)],
    "flatten masked": lambda L: [
        L.Embedding(V, 4, mask_zero=True), L.LSTM(5, return_sequences=True), L.Flatten(), L.Dense(1),
    ],
    "max masked": lambda L: [
        L.Embedding(V, 4, mask_zero=True), L.LSTM(5, return_sequences=True), L.GlobalMaxPooling1D(),
    ],
    "mean masked": lambda L: [
        L.Embedding(V, 4, mask_zero=True), L.GRU(5, return_sequences=True), L.Dropout(0.3),
        L.GlobalAveragePooling1D(), L.Dense(2, activation="softmax"),
    ],
    "backwards masked": lambda L: [
        L.Embedding(V, 4, mask_zero=True), L.LSTM(5, return_sequences=True, go_backwards=True), L.LSTM(3),
    ],
    "each step": lambda L: [
        L.Embedding(V, 4, mask_zero=True), L.SpatialDropout1D(0.2), L.LSTM(5, return_sequences=True),
        L.TimeDistributed(L.Dense(3, activation="relu")), L.Activation("softmax"), L.LSTM(2),
    ],
}  # fmt: skip
for _mode in ("concat", "sum", "ave", "mul"):
    IDS[f"merge {_mode}"] = lambda L, mode=_mode: [  # type: ignore[misc]
        L.Embedding(V, 4, mask_zero=True),
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
def test_what_keras_3_wrote_gives_the_same_here(name: str, tmp_path: Path) -> None:
    """Every layer, mask and merge, from the archive and, as a graph, from whole and from parted HDF5."""
    real = real_keras()
    stack = (IDS | ROWS)[name]
    for graph in (False, True):
        model, given = built(real, stack, name, graph)
        expected = outputs(model, given)
        if graph:
            model.save(tmp_path / "whole.h5")
            (tmp_path / "plan.json").write_text(model.to_json())
            model.save_weights(tmp_path / "parted.weights.h5")
            read = [
                ours.load(tmp_path / "whole.h5"),
                ours.load(tmp_path / "plan.json", tmp_path / "parted.weights.h5"),
            ]
        else:
            model.save(tmp_path / "model.keras")
            read = [ours.load(tmp_path / "model.keras")]
        for chain in read:
            assert np.abs(chain.run(given) - expected).max() < SAME
            # Through the model that is saved, where it may run as a classifier.
            assert np.abs(chain.predict(given) - expected).max() < SAME


@pytest.mark.parametrize("name", [name for name in (*IDS, *ROWS) if name not in NOT_FOR_BOTH])
def test_what_is_written_here_gives_the_same_in_keras_3(name: str, tmp_path: Path) -> None:
    """Reading alone could be wrong in a way that only agrees with itself."""
    real = real_keras()
    model, given = built(real, (IDS | ROWS)[name], name, False)
    model.save(tmp_path / "model.keras")
    imported = ours.load(tmp_path / "model.keras")
    assert isinstance(imported, ImportedModel)
    ours.to_keras(imported, tmp_path / "again.keras")
    assert (
        np.abs(outputs(real.models.load_model(tmp_path / "again.keras"), given) - outputs(model, given)).max()
        < SAME
    )
    ours.to_json(imported, tmp_path / "parts.json")
    parts = real.models.model_from_json((tmp_path / "parts.json").read_text())
    parts.load_weights(tmp_path / "parts.h5")
    assert np.abs(outputs(parts, given) - outputs(model, given)).max() < SAME


def test_the_fast_kernels_run_where_they_can(tmp_path: Path) -> None:
    """A silent fall back to the equations would only show as slowness."""
    real = real_keras()
    expected = {
        "gru masked": "kernels",
        "both ways": "kernels",
        "gru before masked": "equations",
        "relu": "equations",
    }
    for name, path in expected.items():
        model, given = built(real, (IDS | ROWS)[name], name, False)
        model.save(tmp_path / "model.keras")
        chain = ours.load(tmp_path / "model.keras")
        before = calls()
        chain.run(given)
        taken = {kind: count - before[kind] for kind, count in calls().items() if count != before[kind]}
        assert list(taken) == [path], name
        assert {found for _, found, _ in chain.paths()} == {path}


def test_a_hard_sigmoid_is_not_written_for_two_versions(tmp_path: Path) -> None:
    """The file would predict one thing in Keras 2 and another in Keras 3."""
    real = real_keras()
    model, _ = built(real, ROWS["hard sigmoid"], "hard sigmoid", False)
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="different functions"):
        ours.to_json(ours.load(tmp_path / "model.keras"), tmp_path / "again")
    assert not list(tmp_path.glob("again*"))
