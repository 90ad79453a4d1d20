"""A model's weights in one safetensors file, read as arrays without executing any of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from gatelight.errors import ModelFileError

DTYPES = {"F32": "float32", "F64": "float64"}
CHECKED = 1 << 22  # elements looked at together, so that a check needs little memory

Expected = Mapping[str, tuple[tuple[int, ...], str]]
"""Shape and type, "float32" or "float64", of each weight by name."""


def read_weights(path: Path, expected: Expected, *, mapped: bool = False) -> dict[str, NDArray[Any]]:
    """Read the weights that are expected, in their order: C-contiguous arrays that nobody else has.

    With `mapped` they lie in the file, so that processes share them until one writes; the file must stay.
    Raises ModelFileError for a file that is missing, damaged or of another model, or has infinite weights.
    """
    if not path.is_file():
        raise ModelFileError(f"{path} is missing; expected the model's weights there")
    weights: dict[str, NDArray[Any]] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            _check_names(path, set(expected), set(file.keys()))
            for name, kind in expected.items():
                found = file.get_slice(name)
                _check_kind(path, name, kind, found.get_dtype(), tuple(found.get_shape()))
            for name in expected:
                weights[name] = file.get_tensor(name) if not mapped else mapped_array(path, name)
                if not finite(weights[name]):
                    raise ModelFileError(f"{path}: the weights {name} hold infinite or undefined numbers")
    except SafetensorError as error:
        raise ModelFileError(f"{path} is no readable safetensors file ({error}); is it complete?") from error
    return weights


def mapped_array(path: Path, name: str) -> NDArray[Any]:
    """Map one array of a whole safetensors file, copy on write."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        about = json.loads(file.read(size))[name]
    return np.asarray(
        np.memmap(
            path, DTYPES[about["dtype"]], "c", 8 + size + about["data_offsets"][0], tuple(about["shape"])
        )
    )


def finite(array: NDArray[Any]) -> bool:
    """Whether no number of a C-contiguous array is infinite or undefined."""
    flat = array.reshape(-1)
    return all(np.isfinite(flat[at : at + CHECKED]).all() for at in range(0, len(flat), CHECKED))


def _check_names(path: Path, expected: set[str], found: set[str]) -> None:
    for what, names in (("misses", expected - found), ("has unexpected", found - expected)):
        if names:
            shown = ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
            raise ModelFileError(f"{path} {what} weights ({shown}): it belongs to another model")


def _check_kind(
    path: Path, name: str, kind: tuple[tuple[int, ...], str], dtype: str, shape: tuple[int, ...]
) -> None:
    if shape != kind[0]:
        raise ModelFileError(f"{path}: the weights {name} have shape {shape}; expected {kind[0]}")
    if DTYPES.get(dtype) != kind[1]:
        raise ModelFileError(f"{path}: the weights {name} are of type {dtype}; expected {kind[1]}")
