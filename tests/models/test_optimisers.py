"""Every optimiser equals torch's, on dense parameters, on the rows of a table, and clipped together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from gatelight.errors import DataError
from gatelight.models.optim import RHO, RMSPROP_EPSILON, Optimiser, WeightAverage

RATE, STEPS, V, D = 0.03, 9, 37, 5
CLOSE = {"rtol": 2e-5, "atol": 2e-6}  # float32, after nine steps whose sums are in another order

Torch = Callable[[list[nn.Parameter], float], torch.optim.Optimizer]
TORCH: dict[str, Torch] = {
    "sgd": lambda p, decay: torch.optim.SGD(p, RATE, momentum=0.9, weight_decay=decay),
    "rmsprop": lambda p, decay: torch.optim.RMSprop(
        p, RATE, alpha=RHO, eps=RMSPROP_EPSILON, weight_decay=decay
    ),
    "adam": lambda p, decay: torch.optim.Adam(p, RATE, weight_decay=decay),
    "adamw": lambda p, decay: torch.optim.AdamW(p, RATE, weight_decay=decay),
    "lazyadam": lambda p, decay: torch.optim.Adam(p, RATE, weight_decay=decay),
}
# By rows; SparseAdam has epsilon at another place.
BY_ROWS: dict[str, tuple[Torch, float]] = {kind: (make, 1e-6) for kind, make in TORCH.items()}
BY_ROWS["lazyadam"] = (lambda p, decay: torch.optim.SparseAdam(p, RATE), 1e-5)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def parameters() -> dict[str, nn.Parameter]:
    return {"weight": nn.Parameter(normal(4, 3, seed=1)), "bias": nn.Parameter(normal(4, seed=2))}


def touch(rows: np.ndarray, step: int) -> tuple[np.ndarray, Tensor]:
    leaf = torch.zeros(len(rows), D, requires_grad=True)
    leaf.grad = normal(len(rows), D, seed=100 + step) * 10.0 ** (step % 4 - 2)
    return rows, leaf


@pytest.mark.parametrize("clip", [None, 0.7])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("kind", sorted(TORCH))
def test_equals_torch_when_every_row_is_touched(kind: str, decay: float, clip: float | None) -> None:
    """One sign, one place of epsilon or one bias correction amiss and published settings no longer hold."""
    dense, table = parameters(), nn.Parameter(normal(V, D, seed=3))
    other = [nn.Parameter(p.detach().clone()) for p in [*dense.values(), table]]
    theirs = TORCH[kind](other, decay)
    ours = Optimiser(kind, dense, table, weight_decay=decay, clip=clip)
    for step in range(STEPS):
        rows, leaf = touch(np.random.default_rng(step).permutation(V), step)
        for k, p in enumerate(dense.values()):
            p.grad = normal(*p.shape, seed=10 * step + k)
            other[k].grad = p.grad.clone()
        assert leaf.grad is not None
        other[2].grad = torch.empty(V, D)
        other[2].grad[rows] = leaf.grad
        norm = torch.linalg.vector_norm(torch.cat([p.grad.flatten() for p in other if p.grad is not None]))
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(other, clip)
        theirs.step()
        assert ours.gradient_norm((rows, leaf)) == pytest.approx(norm.item(), rel=1e-5)
        ours.step(RATE, (rows, leaf))
    for mine, yours in zip([*dense.values(), table], other, strict=True):
        torch.testing.assert_close(mine.detach(), yours.detach(), **CLOSE)
        assert mine.grad is None


@pytest.mark.parametrize("steps", [9, 400])
@pytest.mark.parametrize("kind", sorted(BY_ROWS))
def test_rows_touched_now_and_then_go_where_torchs_optimiser_leads_them(kind: str, steps: int) -> None:
    """A rare word that moves only when it occurs goes a tenth as far as momentum would take it."""
    table = nn.Parameter(normal(V, D, seed=3).double())
    other = nn.Parameter(table.detach().clone())
    make, tolerance = BY_ROWS[kind]
    theirs, ours = make([other], 0.0), Optimiser(kind, {}, table)
    for step in range(steps):
        rate = RATE * (1 + step % 7) / steps
        rows = np.random.default_rng(step).permutation(V)[: 1 + step % 6]
        leaf = torch.zeros(len(rows), D, dtype=torch.float64, requires_grad=True)
        leaf.grad = normal(len(rows), D, seed=step).double()
        other.grad = torch.zeros(V, D, dtype=torch.float64)
        other.grad[torch.from_numpy(rows)] = leaf.grad
        if kind == "lazyadam":
            other.grad = other.grad.to_sparse(1)
        theirs.param_groups[0]["lr"] = rate
        if kind == "adamw":
            theirs.param_groups[0]["weight_decay"] = 0.0
        theirs.step()
        ours.catch_up(rows)
        ours.step(rate, (rows, leaf))
    ours.catch_up()
    # Only Adam's epsilon of a missed step stands at another place.
    torch.testing.assert_close(table.detach(), other.detach(), rtol=tolerance, atol=tolerance / 10)
    before = table.detach().clone()
    ours.catch_up()
    assert torch.equal(before, table.detach())


@pytest.mark.parametrize("kind", sorted(TORCH))
def test_state_restored_goes_on_with_the_same_bits(kind: str) -> None:
    """Anything the next step needs and the state leaves out would make a resumed run another run."""

    def steps(optimiser: Optimiser, dense: dict[str, nn.Parameter], numbers: range) -> None:
        for step in numbers:
            for k, p in enumerate(dense.values()):
                p.grad = normal(*p.shape, seed=10 * step + k)
            rows, leaf = touch(np.random.default_rng(step).permutation(V)[:9], step)
            optimiser.catch_up(rows)
            optimiser.step(RATE, (rows, leaf))

    dense, table = parameters(), nn.Parameter(normal(V, D, seed=3))
    whole = Optimiser(kind, dense, table)
    steps(whole, dense, range(4))
    dense2 = {name: nn.Parameter(p.detach().clone()) for name, p in dense.items()}
    table2 = nn.Parameter(table.detach().clone())
    resumed = Optimiser(kind, dense2, table2)
    for name, tensor in resumed.state().items():
        tensor.copy_(whole.state()[name])
    resumed.go_on_from([RATE] * 4)
    steps(whole, dense, range(4, 8))
    steps(resumed, dense2, range(4, 8))
    for mine, yours in zip([*dense.values(), table], [*dense2.values(), table2], strict=True):
        assert torch.equal(mine, yours)


@pytest.mark.parametrize("clip", [None, 0.7, 1e6])
@pytest.mark.parametrize("kind", sorted(TORCH))
def test_any_gradients_are_taken_as_torch_takes_them(kind: str, clip: float | None) -> None:
    """Of two types, one not in a row, one missing at a step: each has its own address, type and count."""
    ours = {
        "single": nn.Parameter(normal(4, 3, seed=1)),
        "double": nn.Parameter(normal(5, seed=2).double()),
        "none": nn.Parameter(torch.empty(0)),
        "wide": nn.Parameter(normal(6, 4, seed=3)),
    }
    others = [nn.Parameter(p.detach().clone()) for p in ours.values()]
    optimiser, theirs = Optimiser(kind, ours, weight_decay=0.1, clip=clip), TORCH[kind](others, 0.1)
    for step in range(STEPS):
        given = [
            normal(4, 1, seed=step).expand(4, 3),
            normal(5, seed=step + 50).double(),
            torch.empty(0),
            normal(4, 6, seed=step + 90).t() if step != 2 else None,
        ]
        for mine, yours, gradient in zip(ours.values(), others, given, strict=True):
            mine.grad = gradient
            yours.grad = None if gradient is None else gradient.clone().contiguous()
        held = [p for p in others if p.grad is not None]
        expected = float(torch.nn.utils.get_total_norm([p.grad.double() for p in held if p.grad is not None]))
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(held, clip)
        assert optimiser.gradient_norm(None) == pytest.approx(expected, rel=1e-6)
        optimiser.step(RATE, None)
        theirs.step()
    for mine, yours in zip(ours.values(), others, strict=True):
        torch.testing.assert_close(mine.detach(), yours.detach(), **CLOSE)


def test_writes_are_noticed_by_torch() -> None:
    """Whoever keeps a product of the table (a prediction's token table) must see that it changed."""
    table = nn.Parameter(normal(V, D, seed=3))
    version = table._version
    Optimiser("adam", {}, table).step(RATE, touch(np.arange(3), 0))
    assert table._version > version


def test_unknown_optimiser_is_refused() -> None:
    """A misspelt name must not train with something else."""
    with pytest.raises(DataError, match="adagrad"):
        Optimiser("adagrad", parameters())


def test_average_equals_torch() -> None:
    """torch.optim.swa_utils is what people would use instead."""
    layer = nn.Linear(3, 2)
    average = WeightAverage(0.8, dict(layer.named_parameters()))
    count = [0]

    def mix(averaged: Tensor, weight: Tensor, number: Tensor | int) -> Tensor:
        now = min(0.8, (1 + count[0]) / (10 + count[0]))
        return now * averaged + (1 - now) * weight

    theirs = AveragedModel(layer, avg_fn=mix)
    theirs.update_parameters(layer)  # the first call copies
    for step in range(1, 30):
        with torch.no_grad():
            for p in layer.parameters():
                p += normal(*p.shape, seed=step)
        average.step()
        count[0] = step
        theirs.update_parameters(layer)
    for mine, yours in zip(average.means.values(), theirs.module.parameters(), strict=True):
        torch.testing.assert_close(mine, yours.detach(), rtol=1e-5, atol=1e-6)
