"""Files that Keras 1 and 2 wrote: what was recorded beside them is what comes out here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from keras_cases import KERAS_2, KONDUIT, RECORDED, SAME, needs_recordings

from gatelight.interop import keras
from gatelight.interop.keras.blueprint import Blueprint
from gatelight.interop.keras.imported import ImportedModel

EXAMPLES = KONDUIT / "examples"


def whole_models() -> list[Path]:
    """Every file of the recordings that holds an architecture and weights."""
    found = []
    for path in sorted([*RECORDED.rglob("*.h5"), *RECORDED.rglob("*.keras")]):
        if path.suffix == ".keras":
            found.append(path)
            continue
        with h5py.File(path) as file:
            if "model_config" in file.attrs:
                found.append(path)
    return found


def some_input(model: ImportedModel, seed: int) -> np.ndarray[Any, Any]:
    """A random batch of three that the model takes."""
    form = model.blueprint.input
    draw = np.random.default_rng(seed)
    if form.features is None:
        return draw.integers(0, model.of_layer(0)["table"].shape[0], (3, form.steps or 7))
    shape = (3, form.steps or 7, form.features) if form.in_steps else (3, form.features)
    return draw.normal(size=shape).astype(np.float32)


@needs_recordings
@pytest.mark.parametrize(
    "name",
    [
        "simple_flatten_lstm_tf_keras_2",
        "simple_flatten_rnn_tf_keras_2",
        "simple_lstm_tf_keras_1",
        "simple_lstm_th_keras_1",
        "simple_rnn_tf_keras_2",
    ],
)
def test_a_recorded_prediction_comes_again(name: str) -> None:
    """Old files were written by programs that nobody can run any more: the recording is all there is."""
    stem = next(EXAMPLES.rglob(f"{name}_model.h5")).with_name(name)
    with h5py.File(f"{stem}_inputs_and_outputs.h5") as file:
        given = next(iter(file["inputs"].values()))[...]
        expected = next(iter(file["predictions"].values()))[...]
        steps = [values[...] for key, values in file["activations"].items() if "lstm" in key or "rnn" in key]
    whole = keras.load(f"{stem}_model.h5")
    apart = keras.load(f"{stem}_config.json", f"{stem}_weights.h5")
    assert np.abs(whole.predict(given) - expected).max() < SAME
    assert (apart.predict(given) == whole.predict(given)).all()
    first = {name: array for name, array in whole.weights.items() if name.startswith("0.")}
    recurrent = ImportedModel(Blueprint(whole.blueprint.input, whole.blueprint.layers[:1]), first)
    assert np.abs(recurrent.predict(given) - steps[0]).max() < SAME


@needs_recordings
@pytest.mark.slow
def test_every_recorded_model_loads_and_answers() -> None:
    """Files of four versions, of every layer and setting that is offered."""
    models = whole_models()
    for number, path in enumerate(models):
        ours = keras.load(path)
        assert np.isfinite(ours.predict(some_input(ours, number))).all(), path
    assert len(models) > 200


@needs_recordings
def test_weights_alone_load_onto_a_given_architecture(tmp_path: Path) -> None:
    """chars2vec keeps weights only; its architecture is in its code, where layers had other names."""
    for size in (50, 100):
        settings = {
            "units": size,
            "recurrent_activation": "hard_sigmoid",
            "batch_input_shape": [None, None, 59],
        }
        layers = [
            {"class_name": "LSTM", "config": {"name": name, "return_sequences": name == "one", **settings}}
            for name in ("one", "two")
        ]
        model = {"class_name": "Sequential", "config": layers, "keras_version": "2.2.0"}
        plan = tmp_path / f"{size}.json"
        plan.write_text(json.dumps(model))
        weights = RECORDED / f"IntuitionEngineeringTeam__chars2vec/eng_{size}/weights.h5"
        model = keras.load(plan, weights)
        word = np.eye(59, dtype=np.float32)[[[33, 34, 35]]]
        with h5py.File(weights) as file:
            names = [name.decode() for name in file.attrs["layer_names"]][1:]
            parts = ("kernel:0", "recurrent_kernel:0", "bias:0")
            arrays = [[file[name][name][part][...] for part in parts] for name in names]
        assert np.abs(model.predict(word) - by_hand(word[0], arrays)).max() < SAME


def by_hand(rows: np.ndarray[Any, Any], layers: list[Any]) -> np.ndarray[Any, Any]:
    """LSTM with the old hard_sigmoid, written out in NumPy in Keras's own order i, f, c, o."""

    def hard(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.clip(0.2 * x + 0.5, 0, 1)

    for kernel, recurrent, bias in layers:
        size = len(recurrent)
        h, c, out = np.zeros(size), np.zeros(size), []
        for row in rows:
            i, f, g, o = np.split(row @ kernel + h @ recurrent + bias, 4)
            c = hard(f) * c + hard(i) * np.tanh(g)
            h = hard(o) * np.tanh(c)
            out.append(h)
        rows = np.array(out)
    return rows[-1]


@needs_recordings
def test_an_architecture_without_weights_is_refused() -> None:
    """The four IMDB files are architectures only: a model of random weights would be worse than an error."""
    for path in sorted(KONDUIT.glob("imdb_lstm_configs/*.json")):
        with pytest.raises(ValueError, match="0 of the files hold weights"):
            keras.load(path)


def test_keras_2_with_masks_and_both_directions() -> None:
    """Padding in front and behind, GRU both ways, a dense layer at each step, hard_sigmoid of Keras 2."""
    recorded = np.load(KERAS_2 / "masked.npz")
    model = keras.load(KERAS_2 / "masked_weights.h5", KERAS_2 / "masked.json")  # in either order
    assert np.abs(model.predict(recorded["x"].astype(np.int64)) - recorded["y"]).max() < SAME
    assert [path for _, path, _ in model.paths()] == ["kernels", "equations"]


def test_the_archive_of_keras_2_and_its_graph() -> None:
    """Keras 2.15 already writes .keras, with a graph in the old form and weights in the new."""
    recorded = np.load(KERAS_2 / "graph.npz")
    model = keras.load(KERAS_2 / "graph.keras")
    assert np.abs(model.predict(recorded["x"].astype(np.int64)) - recorded["y"]).max() < SAME


@pytest.mark.parametrize(("kind", "plain"), [("CuDNNLSTM", "LSTM"), ("CuDNNGRU", "GRU")])
def test_weights_of_cudnn_layers(kind: str, plain: str, tmp_path: Path) -> None:
    """They lie in another order, with two biases; TensorFlow 2.15 converted these and predicted with them.

    Also onto the plain layer, which is how people move such a model to a machine without a GPU.
    """
    recorded = np.load(KERAS_2 / f"{kind}.npz")
    for of in (kind, plain):
        config = {"name": "m", "units": 3, "batch_input_shape": [None, None, 4]}
        config |= {} if of == kind else {"recurrent_activation": "sigmoid"}
        config |= {"reset_after": True} if of == "GRU" else {}
        model = {"class_name": "Sequential", "config": {"layers": [{"class_name": of, "config": config}]}}
        path = tmp_path / f"{of}.h5"
        with h5py.File(path, "w") as file:
            file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(model), "2.2.4"
            group = file.create_group("model_weights")
            group.attrs["layer_names"] = [b"m"]
            group.create_group("m").attrs["weight_names"] = [b"a", b"b", b"c"]
            for name in "abc":
                group["m"][name] = recorded[name]
        model = keras.load(path)
        assert np.abs(model.predict(recorded["x"]) - recorded["y"]).max() < SAME
        assert model.paths()[0][1] == "kernels"
