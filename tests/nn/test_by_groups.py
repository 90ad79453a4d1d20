"""Small layers, computed group by group: what they give is what torch.nn and the other way give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from memory_cases import CELL_NAMES, TORCH, parts, random, random_layer, random_state
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gatelight.nn import CELLS, group_arrays, layer_function
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.group_arrays import PARTS, by_groups
from gatelight.nn.kernels import GROUP
from gatelight.nn.panels import CHUNK
from gatelight.nn.threads import using

RAGGED = [23, 22, 9, 22, 21, 23, 20, 23, 22, 23, 1, 22, 22, 23]
EQUAL = [9] * 16
WITH_EMPTY = [*RAGGED, *([0] * 20)]
LONG = [CHUNK // 3 + k % 3 for k in range(4 * GROUP)]  # a group has several chunks
MANY = [1 + k % 2 for k in range(GROUP * (2 * PARTS + 1))]  # a part has several groups
LENGTHS = {"ragged": RAGGED, "equal": EQUAL, "with empty": WITH_EMPTY, "long": LONG, "many": MANY}

# Both sides compute in float64 and differ only in the order of sums: about 1e-16 each, some thousand terms.
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture(params=["in parts", "at once"])
def groups(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was computed group by group; at the end there must be something.

    Input weights' gradients are summed group by group, or over all rows after that, as those of few rows are.
    """
    ran: list[str] = []
    monkeypatch.setattr(group_arrays, "PER_ROW", 0 if request.param == "at once" else 1 << 30)
    for name in ("groups_forward", "groups_backward"):
        kept = getattr(layer_function, name)

        def noted(*args: Any, kept: Any = kept, name: str = name) -> Any:
            ran.append(name)
            return kept(*args)

        monkeypatch.setattr(layer_function, name, noted)
    yield ran
    assert {"groups_forward", "groups_backward"} <= set(ran)


def case(
    cell: str, lengths: list[int], batch_first: bool, layers: int = 1, **options: Any
) -> tuple[Any, ...]:
    """A layer, its input, a state before the first step, and gradients for all that it gives."""
    layer = random_layer(CELLS[cell], 5, 7, layers, batch_first=batch_first, **options)
    size = (len(lengths), max(lengths)) if batch_first else (max(lengths), len(lengths))
    state = random_state(layer, len(lengths), pair=EQUATIONS[cell].has_cell_state, grad=True)
    asked = [
        random(*size, 7, seed=3),
        *(random(*one.shape, seed=4 + k) for k, one in enumerate(parts(state))),
    ]
    return layer, random(*size, 5, seed=2, grad=True), state, asked


def everything(layer: nn.Module, x: Tensor, state: Any, asked: list[Tensor], **given: Any) -> list[Tensor]:
    """Output, last states and every gradient."""
    output, last = layer(x, state, **given) if given else layer(x, state)
    return [output, *parts(last), *all_gradients(layer, x, state, [output, *parts(last)], asked)]


def all_gradients(
    layer: nn.Module, x: Tensor, state: Any, given: list[Tensor], asked: list[Tensor]
) -> list[Tensor]:
    """The gradients of x, of the states before and of each parameter."""
    wanted = [x, *parts(state), *layer.parameters()]
    return list(torch.autograd.grad(given, wanted, asked))


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_outputs_have_the_bits_of_the_other_way_and_gradients_its_values(
    cell: str, lengths: list[int], batch_first: bool, groups: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, *given = case(cell, lengths, batch_first, 2)
    found = everything(layer, *given, lengths=lengths)
    monkeypatch.setattr(layer_function, "by_groups", lambda *_: False)
    known = everything(layer, *given, lengths=lengths)
    results = 1 + len(parts(given[1]))
    for k, (one, other) in enumerate(zip(found, known, strict=True)):
        if k < results:
            assert torch.equal(one, other), k
        torch.testing.assert_close(one, other, **CLOSE)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("lengths", [RAGGED, EQUAL, LONG], ids=["ragged", "equal", "long"])
@pytest.mark.parametrize("cell", TORCH)
def test_it_is_what_torch_computes(
    cell: str, lengths: list[int], batch_first: bool, groups: list[str]
) -> None:
    layer, x, state, asked = case(cell, lengths, batch_first)
    found = everything(layer, x, state, asked, lengths=lengths)
    theirs = TORCH[cell](5, 7, batch_first=batch_first, dtype=torch.float64)
    theirs.load_state_dict(layer.state_dict())
    packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first, enforce_sorted=False)
    steps, last = theirs(packed, state)
    output, _ = pad_packed_sequence(steps, batch_first, total_length=max(lengths))
    known = [output, *parts(last), *all_gradients(theirs, x, state, [output, *parts(last)], asked)]
    for one, other in zip(found, known, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_the_bits_do_not_depend_on_threads_or_on_another_run(cell: str, groups: list[str]) -> None:
    layer, *given = case(cell, LONG, True, dtype=torch.float32)
    given = [g.float().detach().requires_grad_() if isinstance(g, Tensor) else g for g in given]
    state = tuple(part.float().detach().requires_grad_() for part in parts(given[1]))
    given = [given[0], state if len(state) > 1 else state[0], [one.float() for one in given[2]]]
    runs = []
    for threads in (1, 2, 3, 2):
        with using(threads):
            runs.append(everything(layer, *given, lengths=LONG))
    for run in runs[1:]:
        assert all(map(torch.equal, run, runs[0]))


def test_packed_rows_come_and_go_as_they_are(groups: list[str]) -> None:
    layer, x, state, _ = case("lstm", RAGGED, True)
    lengths = torch.tensor(RAGGED)
    packed = pack_padded_sequence(x, lengths, True, enforce_sorted=False)
    steps, last = layer(packed, state)
    output, _ = pad_packed_sequence(steps, True)
    known, others = layer(x, state, lengths=RAGGED)
    for one, other in zip([output, *last], [known, *others], strict=True):
        assert torch.equal(one, other)
    found = all_gradients(layer, x, state, [output], [torch.ones_like(output)])
    also = all_gradients(layer, x, state, [known], [torch.ones_like(known)])
    for one, other in zip(found, also, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


def test_what_is_not_wanted_is_not_computed_and_changes_nothing_else(groups: list[str]) -> None:
    layer, x, state, asked = case("gru", RAGGED, True)
    known = everything(layer, x, state, asked, lengths=RAGGED)
    names = [name for name, _ in layer.named_parameters()]
    for name, parameter in layer.named_parameters():
        parameter.requires_grad_(False)
        output, last = layer(x.detach(), state, lengths=RAGGED)
        (output * asked[0]).sum().add((last * asked[1]).sum()).backward()
        for k, other in enumerate(names):
            gradient = layer.get_parameter(other).grad
            assert (gradient is None) == (other == name)
            if gradient is not None:
                torch.testing.assert_close(gradient, known[4 + k], **CLOSE)
        parameter.requires_grad_(True)
        layer.zero_grad()


def test_the_way_back_can_be_gone_twice_and_input_may_lie_anyhow(groups: list[str]) -> None:
    layer, x, state, asked = case("lstm", RAGGED, True)
    known = everything(layer, x, state, asked, lengths=RAGGED)
    lying = x.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
    output, last = layer(lying, state, lengths=RAGGED)
    wanted = [lying, *state, *layer.parameters()]
    for _ in range(2):
        found = torch.autograd.grad([output, *last], wanted, asked, retain_graph=True)
        assert all(map(torch.equal, found, known[3:]))
    assert torch.equal(output, known[0])


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_gradients_are_those_of_the_equations(cell: str, groups: list[str]) -> None:
    lengths = [2, 2, 1, *([2] * 10)]
    layer = random_layer(CELLS[cell], 2, 3, batch_first=True)
    x, state = random(13, 2, 2, seed=1, grad=True), random_state(layer, 13, pair=False)
    weights = [name for name, _ in layer.named_parameters()]
    initial = (state, state + 1) if EQUATIONS[cell].has_cell_state else state

    def run(x: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(weights, values, strict=True))
        output, last = torch.func.functional_call(layer, given, (x, initial), {"lengths": lengths})
        return (output, *parts(last))

    assert torch.autograd.gradcheck(run, (x, *(layer.get_parameter(name) for name in weights)))


def test_it_is_for_small_weights_and_groups_that_give_two_threads_equal_work() -> None:
    equal = np.full(16, 200)
    assert by_groups(80 * 46, 80 * 20, equal)
    assert by_groups(200 * 300, 200 * 50, equal)
    assert by_groups(200 * 300, 200 * 50, equal // 100)
    assert not by_groups(512 * 128, 512 * 128, equal)
    assert not by_groups(80 * 46, 80 * 20, equal[:8])  # there is one group
    assert not by_groups(80 * 46, 80 * 20, np.array([200] * 8 + [1] * 8))
    assert GROUP == 8


def test_large_or_bidirectional_layers_and_tables_go_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> Any:
        raise AssertionError("computed group by group")

    monkeypatch.setattr(layer_function, "groups_forward", refused)
    x = torch.randn(16, 4, 5)
    for layer in (
        CELLS["lstm"](5, 7, bidirectional=True, batch_first=True),
        CELLS["lstm"](5, 80, batch_first=True),
    ):
        layer(x)
    with pytest.raises(AssertionError, match="group by group"):
        CELLS["lstm"](5, 7, batch_first=True)(x)
