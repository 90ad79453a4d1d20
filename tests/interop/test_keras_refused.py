"""What cannot be read is named in one error, nothing of it runs, and nothing half-read stays behind."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from keras_cases import KERAS_2

from gatelight.errors import DataError, GatelightError, ModelFileError
from gatelight.interop import keras

UNITS = 3


def entry(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, **config}}


def plan(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"layers": list(layers)}, "keras_version": "2.9.0", **more}


EMBEDDING = entry("Embedding", "e", input_dim=5, output_dim=2)
LSTM = entry("LSTM", "m", units=UNITS, recurrent_activation="sigmoid")
GOOD = plan(EMBEDDING, LSTM)


def arrays() -> dict[str, list[np.ndarray[Any, Any]]]:
    draw = np.random.default_rng(0)
    shapes = {"e": [(5, 2)], "m": [(2, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)]}
    return {name: [draw.normal(size=shape).astype("f4") for shape in own] for name, own in shapes.items()}


def write(path: Path, model: Any = GOOD, weights: dict[str, Any] | None = None) -> Path:
    """A whole model in the layout of Keras 2."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(model), "2.9.0"
        group = file.create_group("model_weights")
        held = arrays() if weights is None else weights
        group.attrs["layer_names"] = [name.encode() for name in held]
        for name, own in held.items():
            layer = group.create_group(name)
            layer.attrs["weight_names"] = [f"w{number}".encode() for number in range(len(own))]
            for number, array in enumerate(own):
                layer[f"w{number}"] = array
    return path


def test_the_good_model_is_good(tmp_path: Path) -> None:
    """Else every test below would pass for another reason than its own."""
    model = keras.load(write(tmp_path / "good.h5"))
    assert model.predict(np.array([[1, 2, 0]])).shape == (1, UNITS)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (entry("Lambda", "x", function=["4wEAAAA=", None, None]), "the layer 'x' is 'Lambda'"),
        (entry("Attention", "x"), "the layer 'x' is 'Attention'"),
        (entry("Sequential", "x", layers=[]), "the layer 'x' is 'Sequential'"),
        ({**entry("Mine", "x"), "registered_name": "my_package>Mine"}, "somebody's own class"),
        ({**entry("LSTM", "x"), "module": "os"}, "somebody's own class"),
        (entry("LSTM", "x", units=2, return_state=True), "return_state"),
        (entry("LSTM", "x", units=2, time_major=True), "time_major"),
        (entry("LSTM", "x", units=2, stateful=True), "stateful"),
        (entry("LSTM", "x", units=2, activation="my_function"), "'my_function'"),
        (entry("LSTM", "x", units=2, proj=7), "proj = 7"),
        (entry("LSTM", "x", units=0), "units|hidden"),
        (entry("LSTM", "x", units=10**9), "hidden 1000000000"),
        (entry("LSTM", "x", units="many"), "hidden 'many'"),
        (entry("LSTM", "x"), "hidden None"),
        (entry("Bidirectional", "x"), "wraps nothing"),
        (entry("Bidirectional", "x", layer=entry("Dense", "d", units=2)), "wraps 'Dense'"),
        (entry("Bidirectional", "x", merge_mode=None, layer=entry("LSTM", "l", units=2)), "two outputs"),
        (entry("TimeDistributed", "x", layer=entry("LSTM", "l", units=2)), "wraps 'LSTM'"),
        (entry("Conv1D", "x", filters=2, kernel_size=[3]), "the layer 'x' is 'Conv1D'"),
        (entry("GlobalMaxPooling1D", "x", data_format="channels_first"), "data_format"),
        (entry("RepeatVector", "x", n=10**9), "times 1000000000"),
        (entry("Embedding", "x", input_dim=5, output_dim=2), "takes ids"),
    ],
)  # fmt: skip
def test_a_layer_that_is_not_supported_is_named(layer: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Anything else would be a model that loads and predicts something else."""
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan(EMBEDDING, layer)))
    with pytest.raises(GatelightError, match=said):
        keras.load(path, KERAS_2 / "masked_weights.h5")


def test_a_graph_that_branches_is_refused(tmp_path: Path) -> None:
    """Following one branch and forgetting the other would load half a model."""

    def node(kind: str, name: str, *before: str, **config: Any) -> dict[str, Any]:
        inbound = [[[other, 0, 0, {}] for other in before]] if before else []
        return {**entry(kind, name, **config), "name": name, "inbound_nodes": inbound}

    nodes = [
        node("InputLayer", "i", batch_input_shape=[None, 4, 2]),
        node("LSTM", "a", "i", units=2),
        node("LSTM", "b", "i", units=2),
        node("Add", "s", "a", "b"),
    ]
    ends = {"input_layers": [["i", 0, 0]], "output_layers": [["s", 0, 0]]}
    for listed, out in ((nodes, "s"), (nodes[:3], "a")):
        ends["output_layers"] = [[out, 0, 0]]
        model = {"class_name": "Model", "config": {"layers": listed, **ends}, "keras_version": "2.2.0"}
        with pytest.raises(DataError, match=r"joins 2 others|branches off"):
            keras.load(write(tmp_path / "graph.h5", model))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda own: own["m"][0].__setitem__((0, 0), np.nan), "infinite or undefined"),
        (lambda own: own.pop("m"), "different models|no weights"),
        (lambda own: own["m"].pop(0), "do not fit"),
        (lambda own: own["m"].__setitem__(0, own["m"][0].T), "shape"),
        (lambda own: own["e"].__setitem__(0, own["e"][0][:, :1]), "shape"),
        (lambda own: own["e"].__setitem__(0, own["e"][0].astype("i4")), "expected floats"),
        (lambda own: own["e"].__setitem__(0, np.zeros((0, 2), "f4")), "expected numbers"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change: Any, said: str, tmp_path: Path) -> None:
    """A model of half its weights, or of NaN, answers all the same."""
    own = arrays()
    change(own)
    with pytest.raises(GatelightError, match=said):
        keras.load(write(tmp_path / "model.h5", GOOD, own))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"{}", b"null", b'{"class_name": "Sequential"', b"\xff\xfe", b"[" * 100_000,
        b'{"class_name": "Sequential", "config": ' + b'{"layers": [' * 3000 + b"]}" * 3000 + b"}",
        b'{"class_name": "Sequential", "config": []}',
        b'{"class_name": "Sequential", "config": {"layers": 7}}',
        b'{"class_name": ["a"], "config": {}}', b'{"class_name": "Model", "config": {"layers": [{}]}}',
        b'{"class_name": "Sequential", "config": [{"class_name": "LSTM", "config": {"units": 1'
        + b"0" * 5000 + b"}}]}",
        b'{"class_name": "Sequential", "config": [' + b"7," * 2_000_000 + b"7]}", b" " * (17 << 20),
    ],
    ids=range(15),
)  # fmt: skip
def test_json_that_is_no_architecture_is_refused(text: bytes, tmp_path: Path) -> None:
    """Deep, endless, huge or of another kind: one error, no recursion, no gigabytes."""
    path = tmp_path / "plan.json"
    path.write_bytes(text)
    with pytest.raises(GatelightError) as raised:
        keras.load(path, write(tmp_path / "weights.h5"))
    assert "\n" not in str(raised.value)


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_an_archive_that_is_not_made_in_good_faith_is_refused(tmp_path: Path) -> None:
    """A member that leads outside, one that swells, one that is missing, and an archive cut short."""
    with zipfile.ZipFile(KERAS_2 / "graph.keras") as file:
        good = {name: file.read(name) for name in file.namelist()}
    assert keras.load(archive(tmp_path / "good.keras", good))
    for name in ("../evil.py", "/etc/evil", "a/../../evil", "..\\\\evil", "C:/evil"):
        with pytest.raises(ModelFileError, match="points outside"):
            keras.load(archive(tmp_path / "bad.keras", {**good, name: b""}))
    for name in ("config.json", "model.weights.h5"):
        with pytest.raises(ModelFileError, match=f"no {name}"):
            keras.load(archive(tmp_path / "bad.keras", {k: v for k, v in good.items() if k != name}))
    for name in ("config.json", "metadata.json", "model.weights.h5"):
        with pytest.raises(ModelFileError, match="claims 17,"):
            keras.load(archive(tmp_path / "bad.keras", {**good, name: bytes(17 << 20)}))
    whole = (tmp_path / "good.keras").read_bytes()
    for length in (5, 100, len(whole) // 2, len(whole) - 10):
        (tmp_path / "cut.keras").write_bytes(whole[:length])
        with pytest.raises(ModelFileError):
            keras.load(tmp_path / "cut.keras")
    assert not (tmp_path.parent / "evil.py").exists()


def test_hdf5_that_promises_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    """A dimension of 10⁹ is never written, so such a file is small; read, it would take terabytes."""
    for how in ({}, {"chunks": (1024, 1024)}, {"chunks": (1024, 1024), "compression": "gzip"}):
        path = write(tmp_path / "model.h5")
        with h5py.File(path, "a") as file:
            del file["model_weights/e/w0"]
            file["model_weights/e"].create_dataset("w0", (10**9, 10**5), "f4", **how)
        with pytest.raises(ModelFileError, match="the file"):
            keras.load(path)
    path = write(tmp_path / "model.h5")
    with h5py.File(path, "a") as file:
        del file["model_weights/e/w0"]
        zeros = file["model_weights/e"].create_dataset(
            "w0", (1000, 1000), "f4", chunks=(1000, 1000), compression="gzip"
        )
        zeros[...] = 0
    with pytest.raises(ModelFileError, match="more than the file can hold"):
        keras.load(path)


def test_hdf5_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    """Links and outer storage would read any file that the user can read."""
    secret = tmp_path / "secret"
    secret.write_bytes(np.arange(10, dtype="f4").tobytes())
    other = write(tmp_path / "other.h5")

    def outer(group: Any) -> None:
        group.create_dataset("w0", (5, 2), "f4", external=[(str(secret), 0, 40)])

    def virtual(group: Any) -> None:
        layout = h5py.VirtualLayout((5, 2), "f4")
        layout[...] = h5py.VirtualSource(str(other), "model_weights/e/w0", (5, 2))
        group.create_virtual_dataset("w0", layout)

    def linked(group: Any) -> None:
        group["w0"] = h5py.ExternalLink(str(other), "model_weights/e/w0")

    for number, change in enumerate((outer, virtual, linked)):
        path = write(tmp_path / f"{number}.h5")
        with h5py.File(path, "a") as file:
            del file["model_weights/e/w0"]
            change(file["model_weights/e"])
        with pytest.raises(ModelFileError, match="not followed"):
            keras.load(path)


def test_a_circle_of_groups_ends(tmp_path: Path) -> None:
    """A hard link to a group above makes a tree without an end."""
    path = write(tmp_path / "model.h5")
    with h5py.File(path, "a") as file:
        file["model_weights/e/again"] = file["model_weights"]
    with pytest.raises(ModelFileError, match="more groups"):
        keras.load(path)


def test_what_is_no_model_file_is_refused(tmp_path: Path) -> None:
    """Folders, missing files, HDF5 without weights, and a file that is HDF5 by its first bytes only."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "short.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    for name, said in (("folder", "is a folder"), ("gone.h5", "does not exist"), ("short.h5", "damaged")):
        with pytest.raises(ModelFileError, match=said):
            keras.load(tmp_path / name)
    with pytest.raises(DataError, match="weights only"):
        keras.load(tmp_path / "empty.h5")
    for files in ([], [tmp_path / "empty.h5"] * 3):
        with pytest.raises(DataError, match="files came"):
            keras.load(*files)


@pytest.mark.parametrize("empty", [np.zeros(0, "S1"), h5py.Empty("S1"), ""])
@pytest.mark.parametrize("name", ["model_config", "keras_version"])
def test_an_attribute_of_no_words_is_no_index_error(empty: Any, name: str, tmp_path: Path) -> None:
    """HDF5 knows an attribute of no elements and one of no value, beside the empty string."""
    path = write(tmp_path / "model.h5")
    with h5py.File(path, "a") as file:
        file.attrs[name] = empty
    if name == "keras_version":
        assert keras.load(path)  # the settings tell the version too
    else:
        with pytest.raises(GatelightError, match=r"model_config|model\.to_json"):
            keras.load(path)
