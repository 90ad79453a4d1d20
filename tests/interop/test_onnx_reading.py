"""ONNX files that gatelight wrote become what they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_reviews import TINY, make_reviews
from onnx_cases import network

import gatelight
from gatelight.errors import DataError, ModelFileError
from gatelight.interop import onnx as interop
from gatelight.interop.onnx.accuracy import accuracy_change
from gatelight.models.heads import HEADS
from gatelight.nn import CELLS


@pytest.mark.parametrize("cell", CELLS)
def test_networks_and_layers_come_back_to_the_bit(cell: str, tmp_path: Path) -> None:
    """Written and read a model must be the very same, not only about the same."""
    for pool in HEADS:
        model = network(cell=cell, pool=pool, bidirectional=True, layers=2)
        interop.save(model, tmp_path / "model.onnx")
        again = interop.load(tmp_path / "model.onnx")
        assert again.config == model.config
        assert not again.training
        state = again.state_dict()
        assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    layer = CELLS[cell](3, 4, 2, bias=False, batch_first=True, bidirectional=True)
    interop.save(layer, tmp_path / "layer.onnx")
    again = interop.load(tmp_path / "layer.onnx")
    assert repr(again) == repr(layer)
    assert all(torch.equal(again.get_parameter(name), value) for name, value in layer.named_parameters())


def test_a_text_classifier_comes_back(tmp_path: Path) -> None:
    """Vocabulary, reading, classes and card figures travel in the file, so the same bits come out."""
    reviews = make_reviews(80, 3)
    model = gatelight.TextClassifier(**{**TINY, "cell": "peephole", "epochs": 1})
    model.fit(reviews.texts, reviews.labels, baseline=True)
    interop.save(model, tmp_path / "model.onnx")
    again = interop.load(tmp_path / "model.onnx")
    assert np.array_equal(again.predict_proba(reviews.texts), model.predict_proba(reviews.texts))
    assert again.get_params() == model.get_params()
    assert again.validation_ == model.validation_ or again.validation_ is not None
    assert again.baseline_ is None
    again.save(tmp_path / "folder")
    assert np.array_equal(
        gatelight.load(tmp_path / "folder").predict_proba(reviews.texts), model.predict_proba(reviews.texts)
    )


def test_the_accuracy_change_of_int8_weights(tmp_path: Path) -> None:
    """Smaller weights that cost accuracy in silence would be a bad bargain."""
    reviews, more = make_reviews(120, 3), make_reviews(50, 4)
    model = gatelight.TextClassifier(**{**TINY, "epochs": 3}).fit(reviews.texts, reviews.labels)
    plain, small = tmp_path / "plain.onnx", tmp_path / "small.onnx"
    interop.save(model, plain)
    interop.save(model, small, quantize=True)
    nothing = accuracy_change(model, plain, more.texts, more.labels)
    assert (nothing.same, nothing.moved, nothing.before) == (1.0, 0.0, nothing.after)
    change = accuracy_change(model, small, more.texts, more.labels)
    assert 0 < change.moved < 0.05
    assert change.after.n == 50
    assert change.to_dict()["same"] == change.same > 0.9
    assert f"accuracy {change.before.accuracy:.2%} -> {change.after.accuracy:.2%}" in str(change)
    interop.save(network(), tmp_path / "network.onnx")
    with pytest.raises(DataError, match="not of a text classifier"):
        accuracy_change(model, tmp_path / "network.onnx", more.texts, more.labels)


@pytest.mark.filterwarnings("ignore")
def test_a_file_of_another_maker_is_left_to_onnx_runtime(tmp_path: Path) -> None:
    """Ours are known by their notes, not by their shape."""
    path = tmp_path / "torch.onnx"
    torch.onnx.export(torch.nn.LSTM(2, 3), (torch.randn(4, 1, 2),), str(path), dynamo=False)
    with pytest.raises(ModelFileError, match=r"not written by gatelight.*ONNX Runtime"):
        interop.load(path)
