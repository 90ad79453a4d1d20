"""torch's tracers, compilers and transforms on our layers: right, or one error that names the cure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from gatelight.errors import DataError
from gatelight.nn import CELLS, GRU, LSTM, pack

TOOLS: dict[str, Callable[[nn.Module, Tensor], object]] = {
    "jit.trace": lambda model, x: torch.jit.trace(model, x, check_trace=False),
    "jit.script": lambda model, x: torch.jit.script(model),
    "fx": lambda model, x: torch.fx.symbolic_trace(model),
}


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a model"])
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tools_are_told_the_cure(tool: str, inside: bool) -> None:
    """torch.jit.trace kept the lengths of its example: longer inputs gave uninitialised memory."""
    layer = LSTM(3, 4)
    model = nn.Sequential(layer) if inside else layer
    with pytest.raises(DataError, match=r"restore\(model\)"):
        TOOLS[tool](model, torch.randn(5, 2, 3))


@pytest.mark.parametrize("cell", CELLS)
def test_transforms_of_functions(cell: str) -> None:
    """torch.func's derivatives are autograd's; those taken forward, which came as zeros, are theirs."""
    layer: Any = CELLS[cell](3, 4, dtype=torch.float64)
    x = torch.randn(5, 2, 3, dtype=torch.float64)

    def loss(x: Tensor) -> Tensor:
        return layer(x)[0].square().sum()

    asked = x.clone().requires_grad_()
    [expected] = torch.autograd.grad(loss(asked), asked)
    torch.testing.assert_close(torch.func.grad(loss)(x), expected)
    torch.testing.assert_close(torch.func.vjp(loss, x)[1](torch.ones((), dtype=x.dtype))[0], expected)
    torch.testing.assert_close(torch.func.jacrev(loss)(x), expected)
    along = torch.randn_like(x)
    torch.testing.assert_close(torch.func.jvp(loss, (x,), (along,))[1], (expected * along).sum())
    with forward_ad.dual_level():
        dual = loss(forward_ad.make_dual(x, along))
        torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent, (expected * along).sum())

    def of_weights(given: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(layer, given, (x,))[0].square().sum()  # type: ignore[no-any-return]

    found = torch.func.grad(of_weights)(dict(layer.named_parameters()))
    of_weights(dict(layer.named_parameters())).backward()
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)


@pytest.mark.parametrize("bad", [-1, 7, 2**31 - 1])
@pytest.mark.parametrize("call", ["packed", "trace"])
def test_row_numbers_beyond_the_table(bad: int, call: str) -> None:
    """A row number that there is not ended the process."""
    layer = GRU(3, 4)
    packing = pack([2, 1])
    index = torch.tensor([0, bad, 1], dtype=torch.int32)
    x = torch.randn(7, 3)
    calls: dict[str, Callable[[], object]] = {
        "packed": lambda: layer.packed(x, packing, index),
        "trace": lambda: layer.trace_packed(x, packing, index),
    }
    with pytest.raises(IndexError, match="row numbers"):
        calls[call]()


def test_row_numbers_written_over_before_the_backward_pass() -> None:
    """The gradient would be written beyond the table."""
    layer = GRU(3, 4)
    index = torch.tensor([0, 1, 1], dtype=torch.int32)
    hidden, _ = layer.packed(torch.randn(2, 3, requires_grad=True), pack([2, 1]), index)
    index.numpy()[1] = 2**30  # of which torch knows nothing
    with pytest.raises(IndexError, match="row numbers"):
        hidden.sum().backward()
