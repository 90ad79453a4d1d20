"""Weights through a file and back, and files that are not what they should be."""

from __future__ import annotations

import json
import resource
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


def test_a_full_disk_is_an_error_of_the_system_and_leaves_the_older_file(tmp_path: Path) -> None:
    """Red when safetensors' own error, which no caller expects, comes out, or the older weights are lost."""
    path = tmp_path / "model.safetensors"
    save_weights(some_model(1), path)
    before = path.read_bytes()
    # The operating system itself refuses to let a file grow beyond the limit, as a full disk does.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(OSError, match=r"model\.safetensors could not be written"):
            save_weights(some_model(2), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def spoil(path: Path, how: str) -> None:
    weights = load_file(path)
    if how == "misses":
        del weights["head.query"]
    elif how == "unexpected":
        weights["memory.9.weight_ih_l0"] = torch.zeros(1)
    elif how == "shape":
        weights["head.weight"] = torch.zeros(2, 3)
    elif how == "type":
        weights["head.weight"] = weights["head.weight"].double()
    elif how == "infinite":
        weights["embedding.weight"][7, 2] = torch.nan
    save_file(weights, path)
    if how == "complete":
        path.write_bytes(path.read_bytes()[:-20])
    elif how == "safetensors":
        path.write_bytes(b"PK\x03\x04 not weights at all")
    elif how == "missing":
        path.unlink()
    elif how == "huge":
        header = json.dumps(
            {"head.bias": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}
        )
        path.write_bytes(len(header).to_bytes(8, "little") + header.encode())


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("misses", r"misses weights \(head.query\)"),
        ("unexpected", r"has unexpected weights \(memory.9.weight_ih_l0\)"),
        ("shape", r"head.weight have shape \(2, 3\); expected \(1, 3\)"),
        ("type", "head.weight are of type F64; expected float32"),
        ("infinite", "embedding.weight hold infinite or undefined"),
        ("complete", "is it complete"),
        ("safetensors", "no readable safetensors file"),
        ("missing", "is missing"),
        ("huge", "is it complete"),
    ],
)
def test_spoilt_file_is_refused_and_leaves_the_model_alone(tmp_path: Path, how: str, said: str) -> None:
    """Red when a model would be half loaded, or the error is not one that the user can act upon."""
    path = tmp_path / "model.safetensors"
    save_weights(some_model(1), path)
    spoil(path, how)
    model = some_model(2)
    with pytest.raises(ModelFileError, match=said):
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
