"""A model's weights in one safetensors file, read without executing any of it; knows no vocabulary."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from gatelight.errors import DataError, ModelFileError
from gatelight.files import file_written_aside

DTYPES = {"F32": torch.float32, "F64": torch.float64}
CHECKED = 1 << 22  # elements looked at together, so that a check needs little memory


def save_weights(model: nn.Module, path: Path) -> None:
    """Write all weights, the embedding too, to `path`, which is replaced only when they are wholly written.

    Raises DataError when a weight is not finite, OSError when the disk refuses.
    """
    weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    for name, tensor in weights.items():
        if not _finite(tensor):
            raise DataError(f"the weights {name} hold infinite or undefined numbers: training diverged")
    with file_written_aside(Path(path)) as aside:
        try:
            save_file(weights, aside, metadata={"format": "pt"})
        except SafetensorError as error:  # safetensors does not raise OSError for a full disk
            raise OSError(
                f"{path.name} could not be written ({error}); make room or choose another place (a file that "
                "was there before is as it was)"
            ) from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote into `model`, which is left as it was when the file does not fit.

    Raises ModelFileError for a file that is missing, damaged or of another model, or has infinite weights.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"{path} is missing; expected the model's weights there")
    own = model.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            _check_names(path, set(own), set(file.keys()))
            for name, tensor in own.items():
                found = file.get_slice(name)
                _check_kind(path, name, tensor, found.get_dtype(), tuple(found.get_shape()))
            for name in own:
                if not _finite(file.get_tensor(name)):
                    raise ModelFileError(f"{path}: the weights {name} hold infinite or undefined numbers")
            with torch.no_grad():
                for name, tensor in own.items():
                    tensor.copy_(file.get_tensor(name))
    except SafetensorError as error:
        raise ModelFileError(f"{path} is no readable safetensors file ({error}); is it complete?") from error


def _check_names(path: Path, expected: set[str], found: set[str]) -> None:
    for what, names in (("misses", expected - found), ("has unexpected", found - expected)):
        if names:
            shown = ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
            raise ModelFileError(f"{path} {what} weights ({shown}): it belongs to another model")


def _check_kind(path: Path, name: str, tensor: Tensor, dtype: str, shape: tuple[int, ...]) -> None:
    if shape != tuple(tensor.shape):
        raise ModelFileError(f"{path}: the weights {name} have shape {shape}; expected {tuple(tensor.shape)}")
    if DTYPES.get(dtype) != tensor.dtype:
        raise ModelFileError(f"{path}: the weights {name} are of type {dtype}; expected {tensor.dtype}")


def _finite(tensor: Tensor) -> bool:
    return all(bool(part.isfinite().all()) for part in torch.split(tensor.flatten(), CHECKED))
