"""Mistakes that PyTorch's own tests expect an error for, put to our layers: the same type must be raised.

A wrong size that slips through broadcasts, and the numbers are those of nobody's model.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from layer_cases import TORCH
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from gatelight.nn import CELLS, LSTM

OURS: dict[str, Any] = {name: CELLS[name] for name in TORCH}


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
    return [
        raised(lambda layer=layer: layer(x, state)) for layer in (OURS[cell](3, 5, 2), TORCH[cell](3, 5, 2))
    ]


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
        assert raised(lambda state=state: LSTM(3, 5, 2)(x, state)) is not None
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
    ours, theirs = (OURS[cell](3, 5, 2), TORCH[cell](3, 5, 2))
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


@pytest.mark.parametrize("cell", [*TORCH, "peephole"])
def test_dropout_warnings_and_mistakes(cell: str) -> None:
    """One layer has nothing to drop between; a fraction must be a number from 0 to 1."""
    make: Any = CELLS[cell]
    theirs: Any = TORCH.get(cell, nn.LSTM)
    for kind in (make, theirs):
        with pytest.warns(UserWarning, match="num_layers greater than 1"):
            kind(3, 4, dropout=0.2)
        for fraction in (-0.1, 1.1, "x", None, True):
            for call in (lambda k=kind, s=fraction: k(3, 4, 2, dropout=s),):
                assert raised(call) == raised(lambda s=fraction: theirs(3, 4, 2, dropout=s))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(3, 4, 2, dropout=0.2)
