"""The compiled operators against the equations, by derivative checks, and bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gatelight.nn import operators, reference, threads
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.packing import Packing, pack

CELLS = tuple(EQUATIONS)
RAGGED = (5, 1, 9, 0, 5, 2, 7, 9, 3, 4, 1)

FLOAT32 = 2e-5
"""Sums of some tens of float32 products, and a rational tanh right to a few units in the last place."""

FLOAT64 = 1e-11
"""The same arithmetic in float64, with libm's tanh on both sides."""

Case = tuple[Tensor, Tensor | None, Packing, Tensor, Tensor, Tensor | None, Tensor, Tensor]


def case(
    cell: str,
    lengths: tuple[int, ...],
    hidden: int,
    directions: int,
    dtype: torch.dtype,
    distinct: int | None = None,
    seed: int = 0,
) -> Case:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return (
            torch.randn(*shape, generator=generator, dtype=torch.float64).mul(0.5).to(dtype).requires_grad_()
        )

    packing = pack(np.array(lengths))
    gates = len(EQUATIONS[cell].gates) * hidden
    token = None
    if distinct is not None:
        token = torch.randint(distinct, (packing.rows,), generator=generator, dtype=torch.int32)
    return (
        random(packing.rows if distinct is None else distinct, directions * gates),
        token,
        packing,
        random(directions, gates, hidden)
        .detach()
        .div(hidden**0.5)
        .requires_grad_(),  # larger ones are chaotic
        random(directions, gates),
        random(directions, 3, hidden) if EQUATIONS[cell].peepholes else None,
        random(directions, len(lengths), hidden),
        random(directions, len(lengths), hidden),
    )


def gradients(results: tuple[Tensor, ...], inputs: Case) -> list[Tensor]:
    """Gradients of a random weighting of every output in every floating input."""
    generator = torch.Generator().manual_seed(7)
    loss = sum(
        (r * torch.randn(r.shape, generator=generator, dtype=torch.float64).to(r.dtype)).sum()
        for r in results[:3]
    )
    wanted = [t for t in inputs if isinstance(t, Tensor) and t.requires_grad]
    return list(torch.autograd.grad(loss, wanted, allow_unused=True))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("directions", [1, 2])
def test_gradcheck_in_float64(cell: str, directions: int) -> None:
    """The gradient is that of the function itself, by finite differences."""
    inputs = case(cell, (4, 1, 3, 0), 3, directions, torch.float64, distinct=3)
    packing, token = inputs[2], inputs[1]
    tensors = [t for t in inputs if isinstance(t, Tensor) and t.requires_grad]
    has_peephole = inputs[5] is not None

    def run(*values: Tensor) -> tuple[Tensor, ...]:
        table, weight, bias, *rest = values
        peephole = rest.pop(0) if has_peephole else None
        hidden, h_n, c_n, *_ = operators.recurrence(
            cell, table, token, packing, weight, bias, peephole, *rest
        )
        return (hidden, h_n, c_n) if EQUATIONS[cell].has_cell_state else (hidden, h_n)

    used = tensors if EQUATIONS[cell].has_cell_state else tensors[:-1]
    assert torch.autograd.gradcheck(lambda *v: run(*v, *tensors[len(used) :]), used)


def test_gradcheck_of_linear() -> None:
    generator = torch.Generator().manual_seed(3)
    shapes = ((5, 3), (4, 3), (4,))
    x, weight, bias = (
        torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_() for s in shapes
    )
    assert torch.autograd.gradcheck(operators.linear, (x, weight, bias))
    assert torch.autograd.gradcheck(lambda a, b: operators.linear(a, b), (x, weight))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("distinct", [None, 3])
def test_opcheck_of_the_recurrence(cell: str, distinct: int | None) -> None:
    """Schema, fake tensors and autograd registration are what torch.compile and torch.export rely on."""
    table, token, packing, weight, bias, peephole, h_0, c_0 = case(
        cell, RAGGED, 5, 2, torch.float64, distinct
    )
    if not EQUATIONS[cell].has_cell_state:
        c_0 = torch.zeros(2, len(RAGGED), 0, dtype=torch.float64)
    first, lengths = torch.from_numpy(packing.first), torch.from_numpy(packing.lengths)
    arguments = (cell, table, token, first, lengths, weight, bias, peephole, h_0, c_0, True)
    torch.library.opcheck(torch.ops.gatelight.recurrence.default, arguments)


def test_opcheck_of_linear() -> None:
    x, weight, bias = (torch.randn(s).requires_grad_() for s in ((6, 3), (4, 3), (4,)))
    torch.library.opcheck(torch.ops.gatelight.linear.default, (x, weight, bias))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("hidden", [20, 50, 128, 150])
def test_a_sequence_alone_has_the_bits_that_it_has_in_any_batch(cell: str, hidden: int) -> None:
    """Rung 5 of the numeric ladder: neither the company nor the order of a batch changes a bit."""
    lengths = (40, 3, 17, 60, 1, 33, 33, 8, 25, 59, 2, 14, 40, 21)
    table, token, packing, weight, bias, peephole, h_0, c_0 = case(
        cell, lengths, hidden, 2, torch.float32, 30
    )
    assert token is not None
    with torch.no_grad():
        hidden_rows, h_n, *_ = operators.recurrence(
            cell, table, token, packing, weight, bias, peephole, h_0, c_0
        )
        for sequence in range(len(lengths)):
            rows = torch.from_numpy(packing.sequence(sequence))
            position = int(packing.positions[sequence])
            alone = pack(np.array([lengths[sequence]]))
            h_alone, h_n_alone, *_ = operators.recurrence(
                cell,
                table,
                token[rows],
                alone,
                weight,
                bias,
                peephole,
                h_0[:, position : position + 1],
                c_0[:, position : position + 1],
            )
            assert torch.equal(h_alone, hidden_rows[rows])
            assert torch.equal(h_n_alone[:, 0], h_n[:, position])


@pytest.mark.parametrize("cell", CELLS)
def test_the_number_of_threads_changes_no_bit(cell: str) -> None:
    """Rung 7: outputs and all gradients at 1, 2 and 5 threads, on work large enough to be shared out."""
    lengths = tuple(int(n) for n in np.random.default_rng(0).integers(1, 90, 40))
    inputs = case(cell, lengths, 64, 2, torch.float32, 100)
    weight = torch.randn(300, 64).requires_grad_()
    seen = []
    for count in (1, 2, 5):
        threads.set_threads(count)
        try:
            results = operators.recurrence(cell, *inputs)
            projected = operators.linear(results[0][:, :64], weight)
            seen.append([*results, projected, *gradients((*results[:2], projected), inputs)])
        finally:
            threads.set_threads(None)
    for others in seen[1:]:
        for one, other in zip(seen[0], others, strict=True):
            assert one is other is None or torch.equal(one, other)


def test_a_row_of_linear_has_its_bits_in_any_company() -> None:
    generator = torch.Generator().manual_seed(5)
    x, weight = torch.randn(37, 45, generator=generator), torch.randn(101, 45, generator=generator)
    together = operators.linear(x, weight)
    torch.testing.assert_close(together, torch.nn.functional.linear(x, weight), atol=FLOAT32, rtol=FLOAT32)
    for row in range(len(x)):
        assert torch.equal(operators.linear(x[row : row + 1], weight)[0], together[row])


def test_a_second_derivative_is_refused_and_the_equations_have_one() -> None:
    """torch would only warn, and give a wrong number."""
    inputs = case("lstm", (3, 1), 4, 1, torch.float64)
    for run, refused in ((operators.recurrence, True), (reference.recurrence, False)):
        (first,) = torch.autograd.grad(run("lstm", *inputs)[0].square().sum(), inputs[0], create_graph=True)
        if refused:
            with pytest.raises(RuntimeError, match="reference"):
                torch.autograd.grad(first.sum(), inputs[0])
        else:
            torch.autograd.grad(first.sum(), inputs[0])
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(operators.linear(x, weight).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="second derivative"):
        torch.autograd.grad(first.sum(), x)


def test_errors_inside_a_task_reach_the_caller() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    threads.set_threads(2)
    try:
        with pytest.raises(ZeroDivisionError):
            threads.run([fail] * 5, work=threads.SHARED_WORK)
    finally:
        threads.set_threads(None)


def test_other_dtypes_are_refused() -> None:
    x = torch.zeros(2, 3, dtype=torch.float16)
    with pytest.raises(TypeError, match="float16"):
        operators.linear(x, x)
    with pytest.raises(TypeError, match="float32"):
        operators.linear(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.float64))


def test_nan_is_not_hidden_by_the_clamp_of_tanh() -> None:
    """A diverged training must show as NaN, not as a saturated gate."""
    inputs = case("lstm", (3, 2), 20, 1, torch.float32)
    table = inputs[0].detach().clone()
    table[0, :20] = float("nan")
    hidden, *_ = operators.recurrence("lstm", table, *inputs[1:])
    assert hidden[0, :20].isnan().all()
