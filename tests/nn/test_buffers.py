"""Memory that is used again: never while anything still reads it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import gatelight
from gatelight.nn.kernels import buffers

LARGE = (buffers.SMALLEST,)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "_free", [])
    monkeypatch.setattr(buffers, "_kept", 0)


def test_memory_that_was_let_go_is_used_again() -> None:
    first = buffers.empty(LARGE, np.float32)
    address = first.ctypes.data
    del first
    assert buffers.empty(LARGE, np.float32).ctypes.data == address
    assert buffers.empty((LARGE[0] // 2,), np.float64).ctypes.data == address


@pytest.mark.parametrize(
    "hold", [lambda a: a, lambda a: a[10:20], torch.from_numpy, lambda a: a.reshape(2, -1).T]
)
def test_memory_that_is_still_read_is_not(hold: object) -> None:
    """Arrays, views, transposes and tensors keep their block, or training would overwrite its own states."""
    first = buffers.empty(LARGE, np.float32)
    address = first.ctypes.data
    held = hold(first)  # type: ignore[operator]
    del first
    other = buffers.empty(LARGE, np.float32)
    assert other.ctypes.data != address
    del held
    assert buffers.empty(LARGE, np.float32).ctypes.data == address


def test_zeros_are_zeros_in_used_memory() -> None:
    first = buffers.empty(LARGE, np.float32)
    first.fill(7)
    del first
    assert not buffers.zeros(LARGE, np.float32).any()


@pytest.mark.parametrize("layer", [gatelight.LSTM(4, 16), gatelight.PeepholeLSTM(4, 5), gatelight.GRU(4, 16)])
def test_zeros_that_all_share_stay_zeros(layer: torch.nn.Module) -> None:
    """Red when a pass writes to states or gradients that nobody gave: the next one would begin with them."""
    buffers.nothing.cache_clear()
    for sequences, steps in ((3, 7), (70, 9)):
        x = torch.randn(steps, sequences, 4, requires_grad=True)
        lengths = torch.randint(1, steps + 1, (sequences,))
        for given in ({}, {"lengths": lengths}):
            hidden, _ = layer(x, **given)
            hidden.square().sum().backward()
            shapes = [(1, sequences, layer.hidden_size), (1, sequences, 0), (4,), (1, 3 * layer.hidden_size)]
            assert buffers.nothing.cache_info().currsize > 0
            for shape in shapes:
                assert not buffers.nothing(shape, np.dtype(np.float32)).any()


def test_garbage_collected_while_a_block_is_looked_for_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a collection lets go shifted the list: the block taken was another, smaller one."""
    small, large = (buffers.empty((k * buffers.SMALLEST,), np.uint8) for k in (1, 4))
    address, held = large.ctypes.data, [small]
    del small, large
    look = buffers.bisect_left

    def collected(*given: Any) -> int:
        place = look(*given)
        held.clear()
        return place

    monkeypatch.setattr(buffers, "bisect_left", collected)
    again = buffers.empty((4 * buffers.SMALLEST,), np.uint8)
    assert again.ctypes.data == address
