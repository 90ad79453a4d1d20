"""Sequences computed together owe each other nothing, whichever group or thread they fall to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from memory_cases import TORCH
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gatelight.nn import CELLS, kernels
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.packing import pack
from gatelight.nn.recurrence_forward import recurrence_forward
from gatelight.nn.threads import using

LARGE = 224
"""A hidden size from which on the product of a step is shared among threads that would have nothing to do."""


def padded(
    sequences: int, steps: int, size: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(sequences, steps, size, generator=generator, dtype=dtype)
    return x, torch.randint(1, steps + 1, (sequences,), generator=generator)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_has_the_same_bits_alone_and_in_any_group(cell: str, dtype: torch.dtype) -> None:
    """Lanes beyond whole registers are computed for several rows at once: they must round as those of one."""
    for hidden in (1, 2, 5, 18, 20, 31):
        torch.manual_seed(hidden)
        layer: Any = CELLS[cell](3, hidden, batch_first=True, bidirectional=True, dtype=dtype)
        x, lengths = padded(19, 7, 3, dtype)
        with torch.no_grad():
            together, _ = layer(x, lengths=lengths)
            for k in range(19):
                alone, _ = layer(x[k : k + 1], lengths=lengths[k : k + 1])
                assert torch.equal(alone[0], together[k]), (hidden, k)


def gradients(layer: Any, x: Tensor, lengths: Tensor, weight: Tensor) -> list[Tensor]:
    x = x.clone().requires_grad_()
    layer.zero_grad()
    if isinstance(layer, tuple(CELLS.values())):
        output, _ = layer(x, lengths=lengths)
    else:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        output, _ = pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=x.shape[1])
    (output * weight).sum().backward()
    return [output.detach(), x.grad, *(parameter.grad for parameter in layer.parameters())]  # type: ignore[list-item]


SHAPES = [(1, False), (16, True), (20, False), (20, True)]
"""Sequences and whether lengths differ: one group; two, unlike; three, of which one thread has two."""


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(("sequences", "ragged"), SHAPES)
def test_threads_that_share_steps_change_no_bit(sequences: int, ragged: bool, cell: str, both: bool) -> None:
    """Where large weights meet few sequences; against torch.nn, and at any number of threads."""
    torch.manual_seed(0)
    theirs: Any = TORCH[cell](5, LARGE, batch_first=True, bidirectional=both)
    ours: Any = CELLS[cell](5, LARGE, batch_first=True, bidirectional=both)
    ours.load_state_dict(theirs.state_dict())
    x, lengths = padded(sequences, 6, 5)
    lengths[0] = 6
    if not ragged:
        lengths[:] = 6
    weight = torch.randn(sequences, 6, LARGE * (1 + both), generator=torch.Generator().manual_seed(1))
    found = []
    for count in (1, 2, 3):
        with using(count):
            found.append(gradients(ours, x, lengths, weight))
    for one, two, three, expected in zip(*found, gradients(theirs, x, lengths, weight), strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)
        torch.testing.assert_close(one, expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", ["lstm", "peephole", "gru", "rnn"])
def test_what_is_kept_is_the_same_past_the_caches(cell: str, dtype: type) -> None:
    """Gates of many sequences are written past the caches, those of a fifth of them are not."""
    equation, size, sequences = EQUATIONS[cell], 32, 80
    numbers = np.random.default_rng(5)
    G, C = len(equation.gates) * size, size * equation.has_cell_state
    lengths = np.sort(numbers.integers(60, 101, sequences))[::-1]

    def drawn(*shape: int) -> Any:
        return numbers.standard_normal(shape).astype(dtype)

    table, weight, bias, h, c = (
        drawn(9, 2 * G),
        drawn(2, size, G),
        drawn(2, G),
        drawn(2, sequences, size),
        drawn(2, sequences, C),
    )
    peephole = drawn(2, 3, size) if equation.peepholes else None
    token = numbers.integers(0, 9, (sequences, 100)).astype(np.int32)

    def kept(some: slice) -> tuple[Any, ...]:
        packing = pack(lengths[some])
        tokens = np.concatenate([token[some][:alive, t] for t, alive in enumerate(packing.alive)])
        return packing, recurrence_forward(
            cell, table, tokens, packing.first, packing.lengths, weight, bias, peephole,
            *(np.ascontiguousarray(state[:, some]) for state in (h, c)), True,
        )  # fmt: skip

    whole, (hidden, _, _, gates, cells) = kept(slice(None))
    assert cell == "rnn" or kernels.goes_past(gates, cells, table, size)
    for begin in range(0, sequences, 16):
        _, found = kept(slice(begin, begin + 16))
        assert not kernels.goes_past(found[3], found[4], table, size)
        rows = np.concatenate(
            [
                np.arange(first + begin, first + min(begin + 16, alive))
                for first, alive in zip(whole.first, whole.alive, strict=True)
                if alive > begin
            ]
        )
        for all_rows, own in ((hidden, found[0]), (gates, found[3]), (cells, found[4])):
            np.testing.assert_array_equal(all_rows[rows], own)
