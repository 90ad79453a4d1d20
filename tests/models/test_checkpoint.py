"""A checkpoint is one whole file or none, gives back every bit, and runs nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gatelight.errors import ModelFileError
from gatelight.models.checkpoint import (
    fingerprint,
    read_checkpoint,
    read_record,
    remove_leftovers,
    restore,
    write_checkpoint,
)

TENSORS = {
    "weights/a": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
    "seen": torch.linspace(0, 1, 5, dtype=torch.float64),
    "count": torch.tensor(7.0),
    "none": torch.empty(0, 3),
}


def test_every_bit_comes_back(tmp_path: Path) -> None:
    """A float that loses its last bit on the way makes the resumed run another run."""
    path = tmp_path / "run.checkpoint"
    record = {"sums": 0.1 + 0.2, "epoch": 3, "words": "ä\n☃", "none": None}
    write_checkpoint(path, TENSORS, record)
    found, tensors = read_checkpoint(path)
    assert {name: found[name] for name in record} == record
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)
    assert read_record(path) == found
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_leftovers_of_killed_runs_are_removed(tmp_path: Path) -> None:
    """Each kill while writing would leave a file of the model's size behind; other files are not ours."""
    path = tmp_path / "run.checkpoint"
    for name in (".run.checkpoint.abc.partial", ".other.checkpoint.abc.partial", "mine.partial"):
        (tmp_path / name).write_text("x")
    remove_leftovers(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".other.checkpoint.abc.partial", "mine.partial"]


def written(path: Path, header: dict[str, str] | None) -> Path:
    save_file({"a": torch.zeros(2)}, path, metadata=header)
    return path


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    """Each of these must be one clear sentence, never a traceback from inside a reader."""
    key = "gatelight-checkpoint"
    whole = written(tmp_path / "whole", {key: json.dumps({"format": 1})})
    cases = {
        "there is no checkpoint": tmp_path / "absent",
        "not a checkpoint of gatelight": written(tmp_path / "foreign", None),
        "newer gatelight": written(tmp_path / "newer", {key: json.dumps({"format": 99})}),
        "record that cannot be read": written(tmp_path / "odd", {key: "[1]"}),
    }
    for size in (0, 4, 20, whole.stat().st_size - 1):
        cut = tmp_path / f"cut{size}"
        cut.write_bytes(whole.read_bytes()[:size])
        with pytest.raises(ModelFileError, match=r"cut short.*; delete it and begin"):
            read_checkpoint(cut)
    for word, path in cases.items():
        with pytest.raises(ModelFileError, match=word):
            read_checkpoint(path)


def test_restore_writes_in_place_and_names_what_differs(tmp_path: Path) -> None:
    """The optimiser and the model keep their tensors; another shape must not be broadcast into them."""
    mine = torch.zeros(3, 4)
    restore({"a": mine}, TENSORS, "weights/", tmp_path)
    assert torch.equal(mine, TENSORS["weights/a"])
    for wrong in (torch.zeros(4), torch.zeros(3, 4, dtype=torch.float64), torch.zeros(1, 4)):
        with pytest.raises(ModelFileError, match=r"weights/a is torch\.float32"):
            restore({"a": wrong}, TENSORS, "weights/", tmp_path)
    with pytest.raises(ModelFileError, match="weights/b is missing"):
        restore({"b": mine}, TENSORS, "weights/", tmp_path)


def test_fingerprint_sees_values_types_shapes_and_order() -> None:
    """Resuming with other labels, or with the same numbers cut into other texts, must be noticed."""
    a, b = np.arange(6, dtype=np.int32), np.array([2, 4], dtype=np.int64)
    variants = [
        [a, b, None],
        [b, a, None],
        [a, None, b],
        [a.astype(np.int64), b, None],
        [a.reshape(2, 3), b, None],
        [a, b[::-1], None],
        [a, b],
    ]
    assert len({fingerprint(variant) for variant in variants}) == len(variants)
    assert fingerprint([torch.from_numpy(a), b, None]) == fingerprint(variants[0])
    assert fingerprint([a[::2].copy()]) == fingerprint([a[::2]])
