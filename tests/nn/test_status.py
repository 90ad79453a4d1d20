"""status(): which path runs and why; and that the fast path really is the one that ran."""

from __future__ import annotations

import pytest
import torch
from layer_cases import CELL_NAMES

from gatelight.nn import CELLS, RNN, autograd, pack, reference, status
from gatelight.nn.status import calls, path_of


def taken(before: dict[str, int]) -> dict[str, int]:
    return {path: number - before[path] for path, number in calls().items() if number != before[path]}


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_the_fast_path_really_ran(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent fallback would only show as slowness; here it is a count, and a call of the equations."""
    monkeypatch.setattr(reference, "recurrent", None)
    for dtype in (torch.float32, torch.float64):
        layer = CELLS[cell](2, 3, dtype=dtype)
        x = torch.zeros(4, 2, 2, dtype=dtype, requires_grad=True)
        before = calls()
        layer(x)[0].sum().backward()
        layer.packed(x.view(8, 2), pack([3, 5]))
        layer.trace(x)
        assert taken(before) == {"kernels": 3}


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_each_other_path_is_counted_as_itself(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """backend="reference" must not run the kernels it is meant to check, and no type be cast in silence."""
    monkeypatch.setattr(autograd, "recurrent", None)
    before = calls()
    CELLS[cell](2, 3, backend="reference")(torch.zeros(4, 2, 2))
    assert taken(before) == {"equations": 1}
    before = calls()
    layer = CELLS[cell](2, 3, dtype=torch.bfloat16)
    output, _ = layer(torch.zeros(4, 2, 2, dtype=torch.bfloat16))
    assert output.dtype == torch.bfloat16
    assert taken(before) == {"equations" if cell == "peephole" else "torch": 1}
    before = calls()
    layer(torch.zeros(4, 2, 2, dtype=torch.bfloat16), lengths=[4, 1])
    assert taken(before) == {"equations" if cell == "peephole" else "torch": 1}


def test_relu_runs_in_torch() -> None:
    """There is no kernel for it, and status says so."""
    before = calls()
    RNN(2, 3, nonlinearity="relu")(torch.zeros(4, 2, 2))
    assert taken(before) == {"torch": 1}
    assert path_of("rnn_relu", "cpu", torch.float32)[0] == "torch"


def test_paths_are_chosen_by_device_type_and_wish() -> None:
    """On a device that Numba does not serve: torch's kernels, and for peepholes the equations."""
    assert path_of("lstm", "cuda", torch.float32)[0] == "torch"
    assert path_of("peephole", "cuda", torch.float32)[0] == "equations"
    assert path_of("gru", "cpu", torch.float64) == ("kernels", "Numba serves float32 and float64 on the CPU")
    assert path_of("gru", "cpu", torch.float32, "reference")[0] == "equations"


def test_status_can_be_printed() -> None:
    """A user who wonders why it is slow reads this."""
    now = status()
    text = str(now)
    for word in (*CELL_NAMES, "kernels", "numba", "torch", "threads", now.processor):
        assert word in text
    assert now.threads >= 1
    assert now.calls == calls()
