"""Arrays and short notes in one safetensors file: the one writer and the one reader. Reading runs no code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from gatelight.errors import ModelFileError
from gatelight.files import file_written_aside

DTYPES = {"F32": "float32", "F64": "float64"}
CHECKED = 1 << 22  # elements looked at together, so that a check needs little memory
ADVICE = "copy or train the model again"

Arrays = Mapping[str, NDArray[Any]]
Shapes = Mapping[str, tuple[int, ...]]


def write_arrays(path: Path, arrays: Arrays, notes: Mapping[str, str] | None = None) -> None:
    """Write arrays of any shape and notes to `path`, which is replaced only when they are wholly written.

    Raises OSError when the disk refuses.
    """
    plain = {name: np.require(array, requirements="C") for name, array in arrays.items()}
    with file_written_aside(path) as aside:
        mode = aside.stat().st_mode  # as the umask has it; safetensors writes for the owner alone
        try:
            save_file(plain, aside, metadata=dict(notes or {}))
        except SafetensorError as error:  # it does not raise OSError for a full disk
            raise OSError(
                f"{path.name} could not be written ({error}); make room or choose another place (a file that "
                "was there before is as it was)"
            ) from error
        aside.chmod(mode)


@contextmanager
def opened(path: Path, advice: str = ADVICE) -> Iterator[Any]:
    """A safetensors file; ModelFileError when it is missing, cut or damaged, with what to do about it."""
    if not path.is_file():
        raise ModelFileError(f"{path} is missing; {advice}")
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, TypeError) as error:
        raise ModelFileError(f"{path} is cut short, damaged or of another kind ({error}); {advice}") from None


def read_arrays(
    path: Path, expected: Shapes | None = None, *, dtype: str = "float32", mapped: bool = False
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read arrays of this type, those expected in their order (None: all), and the notes.

    They are C-contiguous and nobody else has them. With `mapped` they lie in the file, so that processes
    share them until one writes; the file must stay. Raises ModelFileError for a file that is missing, damaged
    or of another model, or holds infinite numbers; shapes are compared before anything is allocated.
    """
    arrays: dict[str, NDArray[Any]] = {}
    with opened(path) as file:
        found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        if expected is not None:
            _check_shapes(path, {name: tuple(one.get_shape()) for name, one in found.items()}, expected)
        for name in found if expected is None else expected:
            kind = found[name].get_dtype()
            if DTYPES.get(kind) != dtype:
                raise ModelFileError(f"{path}: {name} is of type {kind}; expected {dtype}")
            arrays[name] = _mapped(path, name) if mapped else file.get_tensor(name)
            if not finite(arrays[name]):
                raise ModelFileError(f"{path}: {name} holds infinite or undefined numbers; {ADVICE}")
        notes = file.metadata() or {}
    return arrays, notes


def check_sizes(path: Path, config: Any, names: Iterable[str]) -> None:
    """Raise ModelFileError where a size that the config names exceeds the number of weights in the file.

    So nothing larger than the file is ever allocated, whatever the configuration says.
    """
    with opened(path) as file:
        sizes = [prod(file.get_slice(name).get_shape()) for name in file.keys()]  # noqa: SIM118
    for name in names:
        if (getattr(config, name) or 0) > (len(sizes) if name == "layers" else sum(sizes)):
            raise ModelFileError(
                f"{path} holds {sum(sizes)} weights, too few for {name} {getattr(config, name)}: the folder "
                "is incomplete or mixed from two models; copy or train it again"
            )


def finite(array: NDArray[Any]) -> bool:
    """Whether no number of a C-contiguous array is infinite or undefined."""
    flat = array.reshape(-1)
    return all(np.isfinite(flat[at : at + CHECKED]).all() for at in range(0, len(flat), CHECKED))


def _mapped(path: Path, name: str) -> NDArray[Any]:
    """One array of a whole file, copy on write."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        about = json.loads(file.read(size))[name]
    begin = 8 + size + about["data_offsets"][0]
    return np.asarray(np.memmap(path, DTYPES[about["dtype"]], "c", begin, tuple(about["shape"])))


def _check_shapes(path: Path, found: Shapes, expected: Shapes) -> None:
    name = next((name for name in {**expected, **found} if found.get(name) != expected.get(name)), None)
    if name is not None:
        what = f"has the shape {found.get(name)}, expected {expected.get(name)}"
        what = "is missing" if name not in found else "is unexpected" if name not in expected else what
        raise ModelFileError(
            f"{path}: {name} {what}: the file is of another model, or the folder mixed from two; {ADVICE}"
        )
