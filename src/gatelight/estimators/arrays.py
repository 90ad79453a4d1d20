"""Named arrays in a safetensors file, checked before a byte is allocated; knows nothing of what they mean."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from gatelight.errors import ModelFileError

ITEM_BYTES = {"F32": 4, "F64": 8}
MOST_HEADER_BYTES = 100_000_000  # the format's own limit


def write_arrays(
    path: Path, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, str] | None = None
) -> None:
    """Write arrays (any shape) and short notes; a full disk raises OSError."""
    path.write_bytes(
        save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, dict(notes or {}))
    )


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a safetensors file's arrays by name; ModelFileError when it is cut or damaged.

    Shapes, offsets and the file's size must agree: a header that promises more than is there costs nothing.
    """
    return {name: tuple(entry["shape"]) for name, entry in _header(path)[0].items()}


def read_arrays(path: Path) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """Read arrays and notes; ModelFileError when missing, cut, damaged, not float32 or not finite."""
    _, notes = _header(path)
    try:
        arrays = load_file(path)
    except SafetensorError as error:
        raise ModelFileError(f"{path} is damaged ({error}); copy or train the model again") from None
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ModelFileError(
                f"{path} must hold finite float32 numbers, {name} does not; copy or train the model again"
            )
    return arrays, notes


def _header(path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
            if not 2 <= length <= min(size - 8, MOST_HEADER_BYTES):
                raise ValueError("the header does not fit the file")
            header = json.loads(file.read(length))
        notes = header.pop("__metadata__", {})
        end = 0
        for entry in sorted(header.values(), key=lambda entry: entry["data_offsets"]):
            shape, (begin, stop) = entry["shape"], entry["data_offsets"]
            if not all(type(side) is int and side >= 0 for side in shape) or begin != end:
                raise ValueError("the arrays do not lie end to end")
            end = begin + prod(shape) * ITEM_BYTES[entry["dtype"]]
            if stop != end:
                raise ValueError("an array's shape does not fit its place")
        if end != size - 8 - length:
            raise ValueError(f"there are {size - 8 - length} bytes of {end}")
    except FileNotFoundError:
        raise ModelFileError(
            f"{path} is missing: the model folder is incomplete; copy or train it again"
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelFileError(
            f"{path} is cut short, damaged or of another kind ({error}); copy or train the model again"
        ) from None
    return header, notes
