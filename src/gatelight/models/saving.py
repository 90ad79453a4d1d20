"""A model's weights to and from one safetensors file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from gatelight.errors import DataError
from gatelight.models.weight_files import finite, read_arrays, write_arrays
from gatelight.nn.linear import array_of


def save_weights(model: nn.Module, path: Path) -> None:
    """Write all weights, the embedding too, to `path`, which is replaced only when they are wholly written.

    Raises DataError when a weight is not finite, OSError when the disk refuses.
    """
    weights = {name: array_of(tensor) for name, tensor in model.state_dict().items()}
    for name, array in weights.items():
        if not finite(array):
            raise DataError(f"the weights {name} hold infinite or undefined numbers: training diverged")
    write_arrays(path, weights, {"format": "pt"})


def load_weights(model: nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote into `model`, which is left as it was when the file does not fit.

    Raises ModelFileError for a file that is missing, damaged or of another model, or has infinite weights.
    """
    own = model.state_dict()
    dtype = str(next(iter(own.values())).dtype).removeprefix("torch.")
    weights, _ = read_arrays(path, {name: tuple(one.shape) for name, one in own.items()}, dtype=dtype)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(torch.from_numpy(weights.pop(name)))
