"""Random layers, states and ragged batches for the tests here; runs that yield every output and gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gatelight.nn import CELLS

CELL_NAMES = list(CELLS)
TORCH: dict[str, type[nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
LENGTHS = {
    "one step": [1],
    "alone": [6],
    "two steps": [2, 2, 2],
    "all equal": [5, 5, 5, 5],
    "ragged": [4, 1, 7, 3, 7, 2, 1, 1, 6, 3],
    "with empty": [0, 3, 0, 5, 1],
    "only empty": [0, 0],
}

# Both sides compute in float64 and differ only in the order of sums: about 1e-16 each, some hundred terms.
SAME_EQUATION = 1e-12

Named = dict[str, Tensor]


def random_layer(
    kind: Any, *args: Any, seed: int = 1, dtype: torch.dtype = torch.float64, **options: Any
) -> Any:
    """A layer with every weight drawn anew: torch's own small start would leave all gates near one half."""
    layer = kind(*args, dtype=dtype, **options)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters():
            scale = 1.0 if parameter.dim() == 1 else 1.5 / parameter.shape[1] ** 0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * scale)
    return layer


def random(*shape: int, seed: int, dtype: torch.dtype = torch.float64, grad: bool = False) -> Tensor:
    """Standard normal numbers; the same for every type, up to rounding."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_(grad)


def random_state(layer: Any, sequences: int, *, pair: bool, seed: int = 50, grad: bool = False) -> Any:
    """A non-zero initial state, h different from c, so that swapped or forgotten states show."""
    shape = (layer.num_layers * (2 if layer.bidirectional else 1), sequences, layer.hidden_size)
    dtype = layer.weight_hh_l0.dtype
    h = random(*shape, seed=seed, dtype=dtype, grad=grad)
    return (h, random(*shape, seed=seed + 1, dtype=dtype, grad=grad)) if pair else h


def parts(state: Any) -> tuple[Tensor, ...]:
    """(h, c) or (h,)."""
    return state if isinstance(state, tuple) else (state,)


def everything(
    layer: Any, call: Callable[[Tensor, Any], tuple[Tensor, Any]], x: Tensor, state: Any, seed: int = 9
) -> Named:
    """Run `call(x, state)`; its outputs, and the gradient of a random sum of them by everything."""
    x = x.detach().clone().requires_grad_()
    begin = tuple(part.detach().clone().requires_grad_() for part in parts(state))
    output, end = call(x, begin if isinstance(state, tuple) else begin[0])
    found: Named = {"output": output}
    found.update(zip(("h_n", "c_n"), parts(end), strict=False))
    total = sum(
        (value * random(*value.shape, seed=seed + k, dtype=value.dtype)).sum()
        for k, value in enumerate(found.values())
    )
    inputs = {"x": x, **dict(zip(("h_0", "c_0"), begin, strict=False)), **dict(layer.named_parameters())}
    gradients = torch.autograd.grad(total, list(inputs.values()), allow_unused=True)
    for (name, value), gradient in zip(inputs.items(), gradients, strict=True):
        found["d " + name] = torch.zeros_like(value) if gradient is None else gradient
    return {name: value.detach() for name, value in found.items()}


def assert_same(found: Named, expected: Named, tolerance: float) -> None:
    """Same names, shapes and values, within `tolerance` of the largest expected value (at least 1)."""
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        if value.numel():
            error = (found[name].double() - value.double()).abs().max().item()
            assert error <= tolerance * max(1.0, value.abs().max().item()), f"{name} is off by {error:.3g}"


def one_by_one(layer: nn.Module, x: Tensor, lengths: list[int], state: Any) -> tuple[Tensor, Any]:
    """torch.nn's layer on each padded sequence of x [T, B, D] alone: ragged lengths without any packing."""
    outputs, ends = [], []
    for b, length in enumerate(lengths):
        begin = tuple(part[:, b : b + 1].contiguous() for part in parts(state))
        output, end = x.new_zeros(0, 1, 1), begin
        if length:
            output, end = layer(x[:length, b : b + 1], begin if len(begin) == 2 else begin[0])
        width = layer.hidden_size * (2 if layer.bidirectional else 1)
        rest = x.new_zeros(len(x) - length, 1, width)
        outputs.append(torch.cat((output, rest)) if length else rest)
        ends.append(parts(end))
    last = tuple(torch.cat(pieces, dim=1) for pieces in zip(*ends, strict=True))
    return torch.cat(outputs, dim=1), last if len(last) == 2 else last[0]
