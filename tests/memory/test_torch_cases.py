"""The cases of PyTorch's own tests of its recurrent layers, put to ours: shapes, packing, dropout, mistakes.

Where PyTorch's tests expect an error, the type that torch.nn raises here is the one that ours must raise.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from memory_cases import TORCH, parts
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

from gatelight.memory import CELLS, GRU, LSTM, RNN, PeepholeLSTM

# float64 on both sides, with other sums and another tanh.
SAME = 1e-10
# The same in float32.
SAME_IN_FLOAT32 = 5e-6

OURS: dict[str, Any] = {name: CELLS[name] for name in TORCH}


def pair(cell: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """Ours and torch's with the same weights."""
    options = {"dtype": torch.float64, **options}
    theirs = TORCH[cell](*args, **options)
    ours = OURS[cell](*args, **options)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def state_of(cell: str, *shape: int, **options: Any) -> Any:
    h = torch.randn(*shape, dtype=torch.float64, **options)
    return (h, torch.randn(*shape, dtype=torch.float64, **options)) if cell == "lstm" else h


def same(found: Any, expected: Any, atol: float = SAME) -> None:
    if isinstance(expected, PackedSequence):
        assert isinstance(found, PackedSequence)
        assert torch.equal(found.batch_sizes, expected.batch_sizes)
        for ours, theirs in (
            (found.sorted_indices, expected.sorted_indices),
            (found.unsorted_indices, expected.unsorted_indices),
        ):
            assert (ours is None) == (theirs is None)
            assert ours is None or torch.equal(ours, theirs)
        found, expected = found.data, expected.data
    for a, b in zip(parts(found), parts(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=atol)


# --- shapes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", TORCH)
def test_every_combination_of_options(cell: str) -> None:
    """Outputs, states and every gradient, for each form that the constructor and the call can take."""
    torch.manual_seed(0)
    for bias, batch_first, bidirectional, given, layers in itertools.product(
        (True, False), (True, False), (True, False), (True, False), (1, 2)
    ):
        ours, theirs = pair(
            cell, 4, 3, layers, bias=bias, batch_first=batch_first, bidirectional=bidirectional
        )
        directions = 2 if bidirectional else 1
        x = torch.randn(6, 5, 4, dtype=torch.float64)
        state = state_of(cell, layers * directions, 6 if batch_first else 5, 3) if given else None
        gradients = []
        for layer in (ours, theirs):
            inputs = x.clone().requires_grad_()
            begin = None if state is None else tuple(s.clone().requires_grad_() for s in parts(state))
            output, end = layer(inputs, begin if begin is None or cell == "lstm" else begin[0])
            torch.manual_seed(7)  # the same random sum of everything that came out
            loss = sum((part * torch.randn_like(part)).sum() for part in (output, *parts(end)))
            loss.backward()
            gradients.append(
                [output, *parts(end), inputs.grad, *(s.grad for s in begin or ())]
                + [parameter.grad for parameter in layer.parameters()]
            )
        for found, expected in zip(*gradients, strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=SAME)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("cell", TORCH)
def test_unbatched_input_is_a_batch_of_one(cell: str, batch_first: bool) -> None:
    """batch_first says nothing about input without a batch."""
    ours, theirs = pair(cell, 4, 3, 2, batch_first=batch_first, bidirectional=True)
    x, state = torch.randn(5, 4, dtype=torch.float64), state_of(cell, 4, 3)
    for found, expected in zip(ours(x, state), theirs(x, state), strict=True):
        same(found, expected)
    assert ours(x)[0].shape == (5, 6)
    one = x.unsqueeze(0 if batch_first else 1)
    same(ours(one)[0].squeeze(0 if batch_first else 1), ours(x)[0])


@pytest.mark.parametrize("cell", TORCH)
def test_an_empty_batch(cell: str) -> None:
    """No sequence at all is a batch too: shapes come out, and gradients are zeros."""
    ours, theirs = pair(cell, 4, 3, 2, bidirectional=True)
    x = torch.zeros(5, 0, 4, dtype=torch.float64)
    for found, expected in zip(ours(x), theirs(x), strict=True):
        assert [part.shape for part in parts(found)] == [part.shape for part in parts(expected)]
    ours(x)[0].sum().backward()
    assert all(not parameter.grad.any() for parameter in ours.parameters())


@pytest.mark.parametrize("cell", TORCH)
def test_one_step_and_one_feature(cell: str) -> None:
    """The smallest sizes, where a stride or a broadcast that is wrong does not show as an error."""
    for input_size, hidden_size, steps, sequences in ((1, 1, 1, 1), (1, 3, 1, 2), (3, 1, 4, 1), (1, 1, 7, 9)):
        ours, theirs = pair(cell, input_size, hidden_size, 2, bidirectional=True)
        x = torch.randn(steps, sequences, input_size, dtype=torch.float64)
        for found, expected in zip(ours(x), theirs(x), strict=True):
            same(found, expected)


@pytest.mark.parametrize("cell", TORCH)
def test_input_that_is_not_contiguous(cell: str) -> None:
    """Views, transposes and expanded states are read by their strides."""
    ours, theirs = pair(cell, 4, 3)
    x = torch.randn(4, 10, 12, dtype=torch.float64).permute(2, 1, 0)[::2, 1::3]
    h = torch.randn(1, 1, 3, dtype=torch.float64).expand(1, 3, 3)
    state = (h, h) if cell == "lstm" else h
    for found, expected in zip(ours(x, state), theirs(x, state), strict=True):
        same(found, expected)


@pytest.mark.parametrize("cell", TORCH)
def test_the_states_gradient_flows_through_several_calls(cell: str) -> None:
    """Truncated backpropagation feeds states back in; retain_graph asks for the gradient a second time."""
    ours, theirs = pair(cell, 4, 3)
    x = torch.randn(6, 2, 4, dtype=torch.float64)
    found = []
    for layer in (ours, theirs):
        first, state = layer(x[:3])
        second, _ = layer(x[3:], state)
        loss = (first.sum() + second).square().sum()
        loss.backward(retain_graph=True)
        once = [parameter.grad.clone() for parameter in layer.parameters()]
        loss.backward()
        for before, parameter in zip(once, layer.parameters(), strict=True):
            torch.testing.assert_close(parameter.grad, 2 * before)
        found.append(once)
    same(tuple(found[0]), tuple(found[1]))


@pytest.mark.parametrize("cell", TORCH)
def test_weights_changed_in_place_after_forward_are_noticed(cell: str) -> None:
    """A gradient from weights that are no longer those of the forward pass would be silently wrong."""
    for layer in pair(cell, 4, 3):
        output, _ = layer(torch.randn(5, 2, 4, dtype=torch.float64))
        with torch.no_grad():
            layer.weight_hh_l0.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            output.sum().backward()


# --- packed sequences -------------------------------------------------------------------------------------


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("cell", TORCH)
def test_variable_sequences(cell: str, batch_first: bool, enforce_sorted: bool) -> None:
    """As each sequence alone, states and gradients in the caller's order, sorted or not."""
    lengths = [7, 5, 5, 2, 1, 1] if enforce_sorted else [1, 5, 2, 7, 5, 1]
    ours, theirs = pair(cell, 4, 3, 2, bidirectional=True, batch_first=batch_first)
    padded = torch.randn(6, 7, 4, dtype=torch.float64)
    padded = padded if batch_first else padded.transpose(0, 1)
    state = state_of(cell, 4, 6, 3)
    results = []
    for layer in (ours, theirs):
        inputs = padded.clone().requires_grad_()
        packed = pack_padded_sequence(
            inputs, torch.tensor(lengths), batch_first=batch_first, enforce_sorted=enforce_sorted
        )
        output, end = layer(packed, state)
        steps, found = pad_packed_sequence(output, batch_first=batch_first)
        assert found.tolist() == lengths
        (steps.square().sum() + sum(part.square().sum() for part in parts(end))).backward()
        results.append((steps, end, inputs.grad))
        layer_lengths = lengths
    for found_part, expected in zip(*results, strict=True):
        same(found_part, expected)
    for place, length in enumerate(layer_lengths):
        alone = padded[place, :length] if batch_first else padded[:length, place]
        begin = tuple(part[:, place].contiguous() for part in parts(state))
        steps, _ = ours(alone, begin if cell == "lstm" else begin[0])
        together = results[0][0][place, :length] if batch_first else results[0][0][:length, place]
        same(steps, together)


@pytest.mark.parametrize("cell", TORCH)
def test_what_pack_sequence_makes(cell: str) -> None:
    """A packed sequence built by hand keeps its form: batch sizes, order, type."""
    ours, theirs = pair(cell, 4, 3)
    pieces = [torch.randn(length, 4, dtype=torch.float64) for length in (2, 5, 3)]
    for packed in (pack_sequence(pieces, enforce_sorted=False), pack_sequence(sorted(pieces, key=len)[::-1])):
        for found, expected in zip(ours(packed), theirs(packed), strict=True):
            same(found, expected)
    by_hand = PackedSequence(torch.randn(5, 4, dtype=torch.float64), torch.tensor([3, 2]))
    for found, expected in zip(ours(by_hand), theirs(by_hand), strict=True):
        same(found, expected)


# --- dropout ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", TORCH)
@pytest.mark.parametrize("share", [0.0, 0.276, 1.0])
def test_dropout_between_layers(cell: str, share: float) -> None:
    """The same seed drops the same values as in torch; 1 drops all, 0 none, evaluation none."""
    ours, theirs = pair(cell, 10, 40, 3, dropout=share)
    x = torch.randn(4, 5, 10, dtype=torch.float64)
    for train in (True, False):
        for packed in (False, True):
            given = pack_padded_sequence(x, torch.tensor([4, 4, 3, 2, 1])) if packed else x
            outputs = []
            for layer in (ours.train(train), theirs.train(train)):
                torch.manual_seed(5)
                outputs.append(layer(given))
            for found, expected in zip(*outputs, strict=True):
                same(found, expected)


@pytest.mark.parametrize("cell", TORCH)
def test_dropout_may_be_changed_later(cell: str) -> None:
    """People set `layer.dropout`; the next call must go by it."""
    ours, _ = pair(cell, 4, 30, 2, dropout=0.5)
    x = torch.randn(3, 2, 4, dtype=torch.float64)
    plain = ours.eval()(x)[0]
    assert not torch.equal(ours.train()(x)[0], plain)
    ours.dropout = 0.0
    same(ours(x)[0], plain)


@pytest.mark.parametrize("cell", [*TORCH, "peephole"])
def test_dropout_warnings_and_mistakes(cell: str) -> None:
    """One layer has nothing to drop between; a share must be a number from 0 to 1."""
    make: Any = CELLS[cell]
    theirs: Any = TORCH.get(cell, nn.LSTM)
    for kind in (make, theirs):
        with pytest.warns(UserWarning, match="num_layers greater than 1"):
            kind(3, 4, dropout=0.2)
        for share in (-0.1, 1.1, "x", None, True):
            for call in (lambda k=kind, s=share: k(3, 4, 2, dropout=s),):
                assert raised(call) == raised(lambda s=share: theirs(3, 4, 2, dropout=s))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(3, 4, 2, dropout=0.2)


# --- mistakes ---------------------------------------------------------------------------------------------


def raised(call: Callable[[], object]) -> type[BaseException] | None:
    """The type that a call raises; of our own errors the built-in one that they are."""
    try:
        call()
    except Exception as error:
        kinds = [kind for kind in type(error).__mro__ if kind.__module__ == "builtins"]
        return kinds[0] if kinds else type(error)
    return None


def calls(cell: str, x: Tensor, state: Any) -> list[type[BaseException] | None]:
    """What ours and torch's raise when a layer of 3 inputs, 5 hidden and 2 layers is called so."""
    return [raised(lambda layer=layer: layer(x, state)) for layer in pair(cell, 3, 5, 2, dtype=torch.float32)]


WRONG: list[tuple[str, tuple[int, ...], tuple[int, ...] | None]] = [
    ("a state of another batch", (6, 4, 3), (2, 7, 5)),
    ("an input of another batch", (6, 7, 3), (2, 4, 5)),
    ("another input size", (6, 4, 7), (2, 4, 5)),
    ("another input size without state", (6, 4, 7), None),
    ("another hidden size", (6, 4, 3), (2, 4, 7)),
    ("another number of layers", (6, 4, 3), (7, 4, 5)),
    ("a state without batch", (6, 4, 3), (2, 5)),
    ("an input without batch", (6, 3), (2, 4, 5)),
    ("a state of one dimension", (6, 4, 3), (5,)),
    ("an input of four dimensions", (6, 4, 3, 1), None),
    ("an input of one dimension", (3,), None),
    ("no step", (0, 4, 3), None),
    ("no step, with a state", (0, 4, 3), (2, 4, 5)),
]


@pytest.mark.parametrize(("what", "x", "state"), WRONG, ids=[what for what, *_ in WRONG])
@pytest.mark.parametrize("cell", TORCH)
def test_wrong_sizes(cell: str, what: str, x: tuple[int, ...], state: tuple[int, ...] | None) -> None:
    """A size that slips through broadcasts, and the numbers are those of nobody's model."""
    hx: Any = None if state is None else torch.zeros(state)
    if hx is not None and cell == "lstm":
        hx = (hx, hx)
    ours, theirs = calls(cell, torch.zeros(x), hx)
    assert theirs is not None
    assert ours is theirs


def test_wrong_states_of_an_lstm() -> None:
    """Its two states are told apart, and neither may be missing or of another size."""
    x, good, bad = torch.zeros(6, 4, 3), torch.zeros(2, 4, 5), torch.zeros(2, 4, 7)
    for state in ((good, bad), (bad, good), (good, torch.zeros(2, 5)), (torch.zeros(2, 5), good)):
        ours, theirs = calls("lstm", x, state)
        assert theirs is not None
        assert ours is theirs
    for state in (good, (good,), (good, good, good), [good, bad]):
        assert raised(lambda state=state: pair("lstm", 3, 5, 2, dtype=torch.float32)[0](x, state)) is not None
    for cell in ("rnn", "gru"):
        # torch.nn stumbles over it with an AttributeError.
        assert calls(cell, x, (good, good)) == [TypeError, AttributeError]


@pytest.mark.parametrize("cell", TORCH)
def test_wrong_types(cell: str) -> None:
    """float64 data for float32 weights is told, not converted; integers are no rows."""
    state: Any = (torch.zeros(2, 4, 5).double(),) * 2 if cell == "lstm" else torch.zeros(2, 4, 5).double()
    for x, hx in (
        (torch.zeros(6, 4, 3).double(), None),
        (torch.zeros(6, 4, 3).long(), None),
        (torch.zeros(6, 4, 3), state),
    ):
        ours, theirs = calls(cell, x, hx)
        assert theirs is not None
        assert ours is theirs
    for x in (None, [[1.0]], 3):
        ours, theirs = calls(cell, x, None)  # type: ignore[arg-type]
        assert ours is theirs is not None


@pytest.mark.parametrize("cell", TORCH)
def test_wrong_packed_input(cell: str) -> None:
    """Packed rows of another width, and states of another batch: torch.nn.LSTM lets some of them through."""
    ours, theirs = pair(cell, 3, 5, 2, dtype=torch.float32)
    packed = pack_sequence([torch.zeros(4, 3), torch.zeros(2, 3)])
    wide = pack_sequence([torch.zeros(4, 7)])
    state: Any = torch.zeros(2, 3, 5)
    state = (state, state) if cell == "lstm" else state
    for given in ((wide,), (packed, state)):
        assert raised(lambda given=given: theirs(*given)) in (RuntimeError, *[None] * (cell == "lstm"))
        assert raised(lambda given=given: ours(*given)) is RuntimeError


@pytest.mark.parametrize("cell", TORCH)
@pytest.mark.parametrize(
    "args",
    [(3, 0), (3, -1), (3, 4, 0), (3, 4, -1), (3, 4.5), ("3", 4), (-1, 4), (3.5, 4), (), (3,)],
    ids=str,
)
def test_wrong_constructor_arguments(cell: str, args: tuple[Any, ...]) -> None:
    """A layer that cannot be is refused where it is made, by the same error."""
    expected = raised(lambda: TORCH[cell](*args))
    assert raised(lambda: OURS[cell](*args)) is expected
    assert expected is not None


def test_options_that_others_do_not_have() -> None:
    """Projections are refused (see docs/memory.md), unknown nonlinearities by the same error as in torch."""
    assert raised(lambda: RNN(3, 4, nonlinearity="garbage")) is raised(
        lambda: nn.RNN(3, 4, nonlinearity="garbage")
    )
    for kind in (LSTM, GRU, RNN, PeepholeLSTM):
        assert raised(lambda kind=kind: kind(3, 4, proj_size=2)) is ValueError
        assert raised(lambda kind=kind: kind(3, 4, nonsense=1)) is TypeError


# --- modules ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", TORCH)
def test_state_dicts_go_both_ways(cell: str) -> None:
    """What torch saved ours load, and the other way round, with the same names and shapes."""
    for options in ({}, {"bias": False}, {"bidirectional": True, "num_layers": 3}):
        ours, theirs = OURS[cell](4, 3, **options), TORCH[cell](4, 3, **options)
        theirs.load_state_dict(ours.state_dict())
        x = torch.randn(5, 2, 4)
        same(ours(x), theirs(x), SAME_IN_FLOAT32)
        fresh = TORCH[cell](4, 3, **options)
        assert not ours.load_state_dict(fresh.state_dict()).missing_keys
        same(ours(x), fresh(x), SAME_IN_FLOAT32)
    with pytest.raises(RuntimeError, match="size mismatch"):
        OURS[cell](4, 3).load_state_dict(TORCH[cell](4, 5).state_dict())


@pytest.mark.parametrize("cell", TORCH)
def test_replaced_and_converted_parameters(cell: str) -> None:
    """A parameter set anew, another type and back: the layer must read what is there now."""
    ours, theirs = pair(cell, 4, 3, dtype=torch.float32)
    x = torch.randn(5, 2, 4)
    for layer in (ours, theirs):
        torch.manual_seed(9)
        layer.weight_ih_l0 = nn.Parameter(torch.randn_like(layer.weight_ih_l0))
        layer.flatten_parameters()
    same(ours(x), theirs(x), SAME_IN_FLOAT32)
    ours.double()
    theirs.double()
    same(ours(x.double()), theirs(x.double()))
    ours.float()
    theirs.float()
    same(ours(x), theirs(x), SAME_IN_FLOAT32)
    ours.reset_parameters()
    assert not torch.equal(ours(x)[0], theirs(x)[0])
    assert len(ours.all_weights[0]) == 4


@pytest.mark.parametrize("cell", TORCH)
def test_frozen_parts(cell: str) -> None:
    """Any subset of weights, input and state may want gradients; the others get none."""
    for frozen in ("weight_hh_l0", "weight_ih_l0", "bias_ih_l0", "bias_hh_l0"):
        ours, theirs = pair(cell, 4, 3)
        for layer in (ours, theirs):
            layer.get_parameter(frozen).requires_grad_(False)
            torch.manual_seed(2)
            layer(torch.randn(5, 2, 4, dtype=torch.float64))[0].square().sum().backward()
        for (name, found), expected in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            assert (found.grad is None) == (expected.grad is None) == (name == frozen)
            if found.grad is not None:
                torch.testing.assert_close(found.grad, expected.grad, rtol=0, atol=SAME)
