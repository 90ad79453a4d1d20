"""`accelerate`: the recurrent layers inside of somebody's PyTorch model run on our kernels, and back again.

A layer is not replaced by another object: it changes its class. So its parameters, hooks, device and mode,
and whoever holds it (an optimiser, another module), stay as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gatelight.nn import GRU, LSTM, RNN
from gatelight.nn.status import path_of

OURS: dict[type[nn.Module], type[nn.Module]] = {nn.RNN: RNN, nn.LSTM: LSTM, nn.GRU: GRU}
THEIRS = {ours: theirs for theirs, ours in OURS.items()}
CELLS = (nn.RNNCell, nn.LSTMCell, nn.GRUCell)


@dataclass(frozen=True)
class Report:
    """What `accelerate` did, by the layers' names."""

    swapped: tuple[str, ...]
    left: tuple[tuple[str, str], ...]  # name and reason

    def __str__(self) -> str:
        lines = [f"{name or '(the module itself)'}: runs on gatelight's kernels" for name in self.swapped]
        lines += [f"{name or '(the module itself)'}: left as it is, {reason}" for name, reason in self.left]
        return "\n".join(lines) or "there is no recurrent layer"


def accelerate(module: nn.Module) -> Report:
    """Let every torch.nn.LSTM, GRU and RNN in `module` (itself included) compute by our kernels, in place.

    Layers that these do not serve are left, and the report says why. Parameters stay the same objects.
    `restore(module)` takes it back.
    """
    swapped: list[tuple[str, nn.Module]] = []
    left: list[tuple[str, str]] = []
    for name, layer in module.named_modules():
        if type(layer) in OURS:
            reason = _why_not(layer)
            if reason is None:
                swapped.append((name, layer))
            else:
                left.append((name, reason))
        elif type(layer) not in THEIRS:
            left += [(name, reason) for reason in _not_meant(layer)]
    for _, layer in swapped:
        layer.__class__ = OURS[type(layer)]
    return Report(tuple(name for name, _ in swapped), tuple(left))


def restore(module: nn.Module) -> tuple[str, ...]:
    """Turn every gatelight LSTM, GRU and RNN in `module` into torch.nn's, in place; returns their names."""
    ours = [(name, layer) for name, layer in module.named_modules() if type(layer) in THEIRS]
    for _, layer in ours:
        layer.__class__ = THEIRS[type(layer)]
    return tuple(name for name, _ in ours)


def _why_not(layer: Any) -> str | None:
    if layer.proj_size:
        return f"projections (proj_size={layer.proj_size}) are not offered"
    weight = layer.weight_hh_l0
    kind = "rnn_relu" if layer.mode == "RNN_RELU" else layer.mode.removesuffix("_TANH").lower()
    path, reason = path_of(kind, weight.device.type, weight.dtype)
    return None if path == "kernels" else reason


def _not_meant(layer: nn.Module) -> Iterator[str]:
    name = type(layer).__name__
    if isinstance(layer, torch.jit.ScriptModule):
        if layer.original_name in {kind.__name__ for kind in OURS}:
            yield "it is compiled by TorchScript; accelerate the module first and use torch.export"
    elif isinstance(layer, CELLS):
        yield f"a {name} is given one step at a time, so there is no loop to take over"
    elif isinstance(layer, nn.RNNBase) and not hasattr(layer, "backend"):
        yield f"{name} is a class of its own and may compute something else than torch.nn's"
