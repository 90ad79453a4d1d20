"""A model's weights to and from one safetensors file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from gatelight.errors import DataError
from gatelight.files import file_written_aside
from gatelight.models.weight_files import finite, read_weights
from gatelight.nn.linear import array_of


def save_weights(model: nn.Module, path: Path) -> None:
    """Write all weights, the embedding too, to `path`, which is replaced only when they are wholly written.

    Raises DataError when a weight is not finite, OSError when the disk refuses.
    """
    weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    for name, tensor in weights.items():
        if not finite(array_of(tensor)):
            raise DataError(f"the weights {name} hold infinite or undefined numbers: training diverged")
    with file_written_aside(Path(path)) as aside:
        aside.touch()
        mode = aside.stat().st_mode  # as the umask has it; safetensors writes for the owner alone
        try:
            save_file(weights, aside, metadata={"format": "pt"})
            aside.chmod(mode)
        except SafetensorError as error:  # safetensors does not raise OSError for a full disk
            raise OSError(
                f"{path.name} could not be written ({error}); make room or choose another place (a file that "
                "was there before is as it was)"
            ) from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote into `model`, which is left as it was when the file does not fit.

    Raises ModelFileError for a file that is missing, damaged or of another model, or has infinite weights.
    """
    own = model.state_dict()
    kinds = {
        name: (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")) for name, tensor in own.items()
    }
    weights = read_weights(Path(path), kinds)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(torch.from_numpy(weights.pop(name)))
