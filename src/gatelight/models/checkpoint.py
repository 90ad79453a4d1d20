"""A training run as one file that is never half-written: named tensors and a JSON record of where it stands.

Knows tensors and plain records only: nothing of models, optimisers or the loop. The file is safetensors
with the record in its header; reading it runs no code. Renaming one file is atomic, so a run that is
killed at any moment, or whose disk is full, keeps its last checkpoint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatelight.errors import ModelFileError
from gatelight.models.weight_files import opened, write_arrays

FORMAT = 1
ADVICE = "delete it and begin without resuming"
_KEY = "gatelight-checkpoint"


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Put tensors and a JSON-able record into `path`, in one rename; raises OSError when the disk refuses."""
    notes = {_KEY: json.dumps({"format": FORMAT, **record}, allow_nan=False)}
    write_arrays(path, {name: tensor.detach().numpy() for name, tensor in tensors.items()}, notes)


def read_record(path: Path) -> dict[str, Any]:
    """The JSON record of the checkpoint at `path`, without its tensors; raises ModelFileError."""
    return _read(path, with_tensors=False)[0]


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The record and the tensors of the checkpoint at `path`; raises ModelFileError."""
    return _read(path, with_tensors=True)


def remove_leftovers(path: Path) -> None:
    """Remove what killed runs left behind while writing `path` (files beside it that were never renamed)."""
    for leftover in path.parent.glob(f".{path.name}.*.partial"):
        leftover.unlink(missing_ok=True)


def restore(into: Mapping[str, Tensor], tensors: Mapping[str, Tensor], prefix: str, path: Path) -> None:
    """Copy every tensor prefix + name into `into[name]`, in place; raises ModelFileError if one differs."""
    for name, tensor in into.items():
        found = tensors.get(prefix + name)
        if found is None or found.shape != tensor.shape or found.dtype != tensor.dtype:
            what = "missing" if found is None else f"{found.dtype} {tuple(found.shape)}"
            raise ModelFileError(
                f"{path}: {prefix + name} is {what}; expected {tensor.dtype} {tuple(tensor.shape)}; the "
                "checkpoint is of another model or damaged: begin anew without resuming"
            )
        with torch.no_grad():
            tensor.copy_(found)


def fingerprint(parts: Iterable[NDArray[Any] | Tensor | None]) -> str:
    """A 128-bit hash, in hexadecimal, of arrays: their types, shapes and every byte, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        array = part.detach().cpu().numpy() if isinstance(part, Tensor) else part
        if array is None:
            digest.update(b"none;")
            continue
        digest.update(f"{array.dtype.str}{array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _read(path: Path, *, with_tensors: bool) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise ModelFileError(
            f"there is no checkpoint at {path}; begin without resuming, or name the right file"
        )
    with opened(path, ADVICE) as file:
        written = (file.metadata() or {}).get(_KEY)
        names = file.keys() if with_tensors else ()
        tensors = {name: torch.from_numpy(file.get_tensor(name)) for name in names}
    if written is None:
        raise ModelFileError(f"{path} is not a checkpoint of gatelight; name another file")
    try:
        record = json.loads(written)
    except ValueError:
        record = None
    if not isinstance(record, dict) or not isinstance(record.get("format"), int):
        raise ModelFileError(f"{path} has a record that cannot be read; {ADVICE}")
    if record["format"] > FORMAT:
        raise ModelFileError(
            f"{path} has format {record['format']}, newer than {FORMAT}: a newer gatelight wrote it; "
            "update gatelight to go on with it"
        )
    return record, tensors
