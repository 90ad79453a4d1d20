"""Results are made of what was written: what stands in memory that is used again is not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import gatelight
from gatelight.nn import recurrent
from gatelight.nn.kernels import buffers, gemm, recurrence

CELLS = [gatelight.RNN, gatelight.LSTM, gatelight.PeepholeLSTM, gatelight.GRU]
LENGTHS = {
    "none has a step": [0] * 3,
    "a group without a step": [5] * 8 + [0] * 9,
    "equal": [4] * 9,
    "one step": [1] * 4,
    "unequal": [9, 2, 0, 7, 9, 1, 4, 3, 8, 6, 2, 5],
    "many rows": [200, 170, 60],
}


class _Full:
    """numpy, whose fresh arrays hold what no result may be made of."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, shape: Any, dtype: Any = float) -> Any:
        return np.full(shape, np.nan if np.issubdtype(dtype, np.floating) else -1, dtype)


def _results(layer: Any, lengths: list[int]) -> list[torch.Tensor]:
    torch.manual_seed(3)
    x = torch.randn(len(lengths), max(1, *lengths), layer.input_size, requires_grad=True)
    output, last = layer(x, lengths=lengths)
    states = last if isinstance(last, tuple) else (last,)
    loss = sum((one * torch.randn(one.shape)).sum() for one in (output, *states))
    found = torch.autograd.grad(loss, [x, *layer.parameters()])
    return [output.detach(), *(state.detach() for state in states), *found]


@pytest.mark.parametrize("hidden", [5, 40, 136], ids="hidden {}".format)
@pytest.mark.parametrize("both", [False, True], ids=["one direction", "both"])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.__name__)
def test_nothing_is_made_of_memory_that_nobody_wrote(
    cell: Any, both: bool, hidden: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bits in memory full of NaN; also where weights are summed over no rows."""
    torch.manual_seed(0)
    layer = cell(600 if hidden == 136 else 7, hidden, bidirectional=both, batch_first=True)
    clean = {name: _results(layer, lengths) for name, lengths in LENGTHS.items()}
    for module in (recurrent, gemm, recurrence):
        monkeypatch.setattr(module, "np", _Full())
    monkeypatch.setattr(buffers, "empty", _Full().empty)
    for name, lengths in LENGTHS.items():
        for found, expected in zip(_results(layer, lengths), clean[name], strict=True):
            assert torch.equal(found, expected), name
