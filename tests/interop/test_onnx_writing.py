"""Files that `interop.onnx.save` writes, run by ONNX Runtime, which shares no line with our kernels."""

from __future__ import annotations

import itertools
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from made_up_reviews import TINY, make_reviews
from onnx_cases import SAME, batch, network, run, session

import gatelight
from gatelight.errors import DataError, MissingExtraError
from gatelight.interop import onnx as interop
from gatelight.models.heads import HEADS
from gatelight.models.inference import predict
from gatelight.nn import CELLS


@pytest.mark.parametrize("pool", HEADS)
@pytest.mark.parametrize("cell", CELLS)
def test_onnx_runtime_agrees_for_every_shape_of_network(cell: str, pool: str, tmp_path: Path) -> None:
    """A gate, a peephole, a direction or a masked step in the wrong place shows: all weights are random."""
    ids, lengths, padded = batch()
    for bidirectional, layers in itertools.product((False, True), (1, 2)):
        model = network(cell=cell, pool=pool, bidirectional=bidirectional, layers=layers)
        interop.save(model, tmp_path / "model.onnx")
        found = run(tmp_path / "model.onnx", ids=padded, lengths=lengths.astype(np.int32))
        np.testing.assert_allclose(found["probabilities"], predict(model, ids, lengths), rtol=0, atol=SAME)


@pytest.mark.parametrize(("outputs", "multilabel"), [(1, False), (4, True), (4, False)])
def test_every_kind_of_output(outputs: int, multilabel: bool, tmp_path: Path) -> None:
    """One sigmoid, several of them, and a softmax are three different things."""
    ids, lengths, padded = batch()
    model = network(outputs=outputs, multilabel=multilabel, pool="attention")
    interop.save(model, tmp_path / "model.onnx")
    found = run(tmp_path / "model.onnx", ids=padded, lengths=lengths.astype(np.int32))["probabilities"]
    np.testing.assert_allclose(found, predict(model, ids, lengths), rtol=0, atol=SAME)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("cell", [*CELLS, "relu"])
def test_a_layer_alone_streams(cell: str, batch_first: bool, tmp_path: Path) -> None:
    """A long signal read in pieces, the state carried from one to the next, must give what one pass gives."""
    options: dict[str, Any] = {"nonlinearity": "relu"} if cell == "relu" else {}
    torch.manual_seed(2)
    layer = CELLS["rnn" if cell == "relu" else cell](4, 5, 2, batch_first=batch_first, **options)
    interop.save(layer, tmp_path / "layer.onnx")
    x = torch.randn(3, 8, 4) if batch_first else torch.randn(8, 3, 4)
    axis = 1 if batch_first else 0
    expected, end = layer(x)
    states: dict[str, Any] = {}
    pieces = []
    for piece in np.split(x.numpy(), [3, 4], axis=axis):
        found = run(
            tmp_path / "layer.onnx", x=piece, lengths=np.full(3, piece.shape[axis], np.int32), **states
        )
        pieces.append(found["output"])
        states = {name.replace("_n", "_0"): found[name] for name in found if name != "output"}
    np.testing.assert_allclose(np.concatenate(pieces, axis), expected.detach().numpy(), rtol=0, atol=SAME)
    for name, state in zip(("h_0", "c_0"), end if isinstance(end, tuple) else (end,), strict=False):
        np.testing.assert_allclose(states[name], state.detach().numpy(), rtol=0, atol=SAME)


@pytest.mark.parametrize("cell", CELLS)
def test_given_states_and_empty_sequences(cell: str, tmp_path: Path) -> None:
    """An empty sequence ends in the state in which it began; the others start from theirs, not from zeros."""
    torch.manual_seed(2)
    layer = CELLS[cell](4, 5, 2, bidirectional=True)
    interop.save(layer, tmp_path / "layer.onnx")
    lengths, x = [4, 0, 7, 1], torch.randn(7, 4, 4)
    state = tuple(torch.randn(4, 4, 5) for _ in range(2 if cell in ("lstm", "peephole") else 1))
    expected, end = layer(x, state if len(state) == 2 else state[0], lengths=lengths)
    given = dict(zip(("h_0", "c_0"), (part.numpy() for part in state), strict=False))
    found = run(tmp_path / "layer.onnx", x=x.numpy(), lengths=np.array(lengths, np.int32), **given)
    np.testing.assert_allclose(found["output"], expected.detach().numpy(), rtol=0, atol=SAME)
    for name, part in zip(("h_n", "c_n"), end if isinstance(end, tuple) else (end,), strict=False):
        np.testing.assert_allclose(found[name], part.detach().numpy(), rtol=0, atol=SAME)
        np.testing.assert_array_equal(found[name][:, 1], given[name.replace("_n", "_0")][:, 1])


def test_a_text_classifier_brings_its_words_along(tmp_path: Path) -> None:
    """Whoever has the file alone can read texts as the model was trained to, and name its answers."""
    reviews = make_reviews(80, 3)
    model = gatelight.TextClassifier(**{**TINY, "cell": "peephole", "epochs": 1, "hidden_size": 6})
    model.fit(reviews.texts, reviews.labels)
    path = tmp_path / "model.onnx"
    interop.save(model, path)
    notes = session(path).get_modelmeta().custom_metadata_map
    assert json.loads(notes["gatelight.classes"]) == ["negative", "positive"]
    words = [json.loads(line)[0] for line in notes["gatelight.vocabulary.jsonl"].splitlines()]
    assert words == model.vocabulary_.tokens
    assert json.loads(notes["gatelight.config.json"])["reading"] == model.reading_.settings()
    texts = reviews.texts[:9]
    numbers = {word: number for number, word in enumerate(words)}
    rows = [[numbers.get(token, 1) for token in model.tokenizer_.tokens(text)][:20] for text in texts]
    padded = np.zeros((9, max(map(len, rows))), np.int64)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    found = run(path, ids=padded, lengths=np.array([len(row) for row in rows], np.int32))
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(texts), rtol=0, atol=SAME)
    assert onnx.load(path).graph.node[2].op_type  # readable by the package alone


def test_what_onnx_cannot_hold_is_refused_and_leaves_the_old_file(tmp_path: Path) -> None:
    """A file half-written, or written with weights that are no numbers, would only fail where it is used."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"mine")
    spoilt = network()
    with torch.no_grad():
        spoilt.head["weight"][0, 0] = torch.nan
    for model, message in [
        (spoilt, "head.weight hold infinite or undefined"),
        (network().double(), "float64"),
        (network(buckets=8), "subword"),
        (torch.nn.LSTM(3, 4), "cannot be written as ONNX"),
    ]:
        with pytest.raises(DataError, match=message):
            interop.save(model, path)
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


def test_more_steps_than_flatten_has_weights_for(tmp_path: Path) -> None:
    """Steps beyond the last weights must not be dropped in silence: ours refuses them too."""
    interop.save(network(pool="flatten"), tmp_path / "model.onnx")
    with pytest.raises(Exception, match="MatMul"):
        run(tmp_path / "model.onnx", ids=np.ones((1, 12), np.int64), lengths=np.array([12], np.int32))


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most frequent mistake: an install without the extra."""
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "gatelight.interop.onnx")
    with pytest.raises(MissingExtraError, match=r"gatelight\[onnx\]"):
        import_module("gatelight.interop.onnx")
