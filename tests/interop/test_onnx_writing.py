"""Files that `interop.onnx.to_onnx` writes, run by ONNX Runtime, which shares no line with our kernels."""

from __future__ import annotations

import itertools
import json
import sys
from importlib import import_module
from pathlib import Path

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
        interop.to_onnx(model, tmp_path / "model.onnx")
        found = run(tmp_path / "model.onnx", ids=padded, lengths=lengths.astype(np.int32))
        np.testing.assert_allclose(found["probabilities"], predict(model, ids, lengths), rtol=0, atol=SAME)


@pytest.mark.parametrize(("outputs", "multilabel"), [(1, False), (4, True), (4, False)])
def test_every_kind_of_output(outputs: int, multilabel: bool, tmp_path: Path) -> None:
    """One sigmoid, several of them, and a softmax are three different things."""
    ids, lengths, padded = batch()
    model = network(outputs=outputs, multilabel=multilabel, pool="attention")
    interop.to_onnx(model, tmp_path / "model.onnx")
    found = run(tmp_path / "model.onnx", ids=padded, lengths=lengths.astype(np.int32))["probabilities"]
    np.testing.assert_allclose(found, predict(model, ids, lengths), rtol=0, atol=SAME)


def test_a_text_classifier_brings_its_words_along(tmp_path: Path) -> None:
    """Whoever has the file alone can read texts as the model was trained to, and name its answers."""
    reviews = make_reviews(80, 3)
    model = gatelight.TextClassifier(**{**TINY, "cell": "peephole", "epochs": 1, "hidden_size": 6})
    model.fit(reviews.texts, reviews.labels)
    path = tmp_path / "model.onnx"
    interop.to_onnx(model, path)
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
            interop.to_onnx(model, path)
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


def test_more_steps_than_flatten_has_weights_for(tmp_path: Path) -> None:
    """Steps beyond the last weights must not be dropped in silence: ours refuses them too."""
    interop.to_onnx(network(pool="flatten"), tmp_path / "model.onnx")
    with pytest.raises(Exception, match="MatMul"):
        run(tmp_path / "model.onnx", ids=np.ones((1, 12), np.int64), lengths=np.array([12], np.int32))


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most frequent mistake: an install without the extra."""
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "gatelight.interop.onnx")
    with pytest.raises(MissingExtraError, match=r"gatelight\[onnx\]"):
        import_module("gatelight.interop.onnx")
