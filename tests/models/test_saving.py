"""Weights through a file and back, and files that are not what they should be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gatelight.errors import DataError, ModelFileError
from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig
from gatelight.models.saving import load_weights, save_weights

CONFIG = ClassifierConfig(vocabulary_size=20, dim=4, hidden=3, layers=2, cell="peephole", pool="attention")


def some_model(seed: int, config: ClassifierConfig = CONFIG) -> Classifier:
    model = Classifier(config, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(generator=generator)
    return model


def same(one: Classifier, other: Classifier) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.mark.parametrize("train_embedding", [True, False])
def test_every_weight_survives_the_file(tmp_path: Path, train_embedding: bool) -> None:
    """Red when a weight, the frozen embedding included, is left out or comes back changed."""
    config = replace(CONFIG, train_embedding=train_embedding)
    model, other = some_model(1, config), some_model(2, config)
    save_weights(model, tmp_path / "model.safetensors")
    load_weights(other, tmp_path / "model.safetensors")
    assert same(model, other)
    stored = load_file(tmp_path / "model.safetensors")
    assert torch.equal(stored["embedding.weight"], model.embedding.weight)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_spoilt_file_leaves_the_model_alone(tmp_path: Path) -> None:
    """Red when a model would be half loaded; what else may be wrong with a file the folders' tests try."""
    path = tmp_path / "model.safetensors"
    save_weights(some_model(1), path)
    weights = load_file(path)
    weights[max(weights)][-1] = torch.nan
    save_file(weights, path)
    model = some_model(2)
    with pytest.raises(ModelFileError, match="holds infinite or undefined"):
        load_weights(model, path)
    assert same(model, some_model(2))


def test_diverged_weights_are_not_saved_over_good_ones(tmp_path: Path) -> None:
    """Red when a run that ended in NaN replaces a usable file."""
    path = tmp_path / "model.safetensors"
    save_weights(some_model(1), path)
    before = path.read_bytes()
    model = some_model(2)
    with torch.no_grad():
        model.head["bias"][0] = torch.inf
    with pytest.raises(DataError, match=r"head\.bias hold infinite"):
        save_weights(model, path)
    assert path.read_bytes() == before
