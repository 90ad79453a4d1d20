"""Any maker's LSTM, GRU or RNN operator as a module: on our kernels where its functions are theirs.

Knows one operator, not the graph around it. Legend: T steps, B sequences, D input size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatelight.errors import DataError, ModelFileError
from gatelight.interop.onnx.operators import OPERATORS, layer_weights
from gatelight.nn import CELLS, reference
from gatelight.nn.equations import EQUATIONS, Cell
from gatelight.nn.padding import packed_rows, packing_of, padded_steps, reordered
from gatelight.nn.variants import GATE, STATE, variant, why_not_kernels

FUNCTIONS = {
    "Sigmoid": "sigmoid", "Tanh": "tanh", "Relu": "relu", "Softsign": "softsign", "Softplus": "softplus",
    "Elu": "elu", "HardSigmoid": "hard_sigmoid_fifth",
}  # fmt: skip
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
PLAIN = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}

Array = NDArray[Any]


class Recurrent(nn.Module):
    """One operator with its weights; `path` and `reason` say who computes it, and why."""

    def __init__(self, operator: str, attributes: Mapping[str, Any], inputs: Mapping[str, Array]) -> None:
        """`inputs` W, R, B, P by name. Raises ModelFileError for what is not offered or does not fit."""
        super().__init__()
        direction = attributes.get("direction", "forward")
        if direction not in DIRECTIONS:
            raise ModelFileError(f"the direction {direction!r} is not known")
        for name in ("clip", "input_forget"):
            if attributes.get(name):
                raise ModelFileError(f"{name}={attributes[name]} is not offered")
        self.directions = DIRECTIONS[direction]
        self.backwards = direction == "reverse"
        self.batch_first = bool(attributes.get("layout", 0))
        cell = "peephole" if "P" in inputs else {kind: name for name, kind in OPERATORS.items()}[operator]
        if operator == "LSTM" and "P" not in inputs:
            cell = "lstm"
        size = _checked(operator, attributes, inputs, self.directions, len(EQUATIONS[cell].gates))
        gate, state = _functions(operator, attributes, self.directions)
        after = operator != "GRU" or bool(attributes.get("linear_before_reset", 0))
        self.equation: Cell | None = None
        self.path, self.reason = "kernels", "the functions are the kernels'"
        options: dict[str, Any] = {}
        if cell == "rnn" and state == "relu":
            options["nonlinearity"] = "relu"
            self.path, self.reason = "torch", "rnn with relu has no kernel of ours"
        elif cell == "peephole":
            if (gate, state) != (GATE, STATE):
                raise ModelFileError(f"peepholes with the functions {gate} and {state} are not offered")
        else:
            why = why_not_kernels(cell, gate, state, after)
            if why is not None:
                self.equation, self.path, self.reason = variant(cell, gate, state, after), "equations", why
        self.layer = CELLS[cell](
            inputs["W"].shape[2], size, bidirectional=self.directions == 2, bias="B" in inputs, **options
        )
        suffixes = ("", "_reverse")[: self.directions]
        weights = layer_weights(cell, inputs, 0, suffixes)
        self.layer.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})

    def forward(
        self, x: Tensor, lengths: Tensor | None = None, h: Tensor | None = None, c: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """X [T, B, D], lengths int [B], states [dirs, B, H] → Y [T, dirs, B, H], Y_h and, of an LSTM, Y_c."""
        if self.batch_first:
            x, h, c = (None if part is None else part.transpose(0, 1) for part in (x, h, c))  # type: ignore[assignment]
            assert x is not None
        turn = _turned(x, lengths) if self.backwards else None
        steps, last = self._run(x if turn is None else x.take_along_dim(turn, 0), lengths, h, c)
        if turn is not None:
            steps = steps.take_along_dim(turn, 0)
        y = steps.unflatten(2, (self.directions, -1)).transpose(1, 2)  # type: ignore[no-untyped-call]
        if not self.batch_first:
            return y, *last
        return y.permute(2, 0, 1, 3), *(part.transpose(0, 1) for part in last)

    def _run(
        self, x: Tensor, lengths: Tensor | None, h: Tensor | None, c: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Hidden states [T, B, dirs·H] and final states [dirs, B, H]."""
        has_cells = EQUATIONS[self.layer.cell].has_cell_state
        if h is None and c is not None:
            h = torch.zeros_like(c)
        if h is not None and c is None and has_cells:
            c = torch.zeros_like(h)
        if self.equation is None:
            state: Any = None if h is None else (h, c) if has_cells else h
            steps, end = self.layer(x, state, lengths=lengths)
            return steps, end if isinstance(end, tuple) else (end,)
        packing = packing_of(lengths, x.shape[1], x.shape[0])
        order, back = (torch.from_numpy(part) for part in (packing.order, packing.positions))  # type: ignore[union-attr]
        weight = {name: self._stacked(name) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        table = reference.linear(
            packed_rows(x, packing, False), weight["weight_ih"].flatten(0, 1), weight["bias_ih"].flatten()
        )
        h, c = (None if part is None else reordered(part, order) for part in (h, c))  # type: ignore[assignment]
        hidden, h_n, c_n, *_ = reference.recurrence(
            self.equation, table, None, packing, weight["weight_hh"], weight["bias_hh"], None, h, c
        )
        last = (h_n, c_n) if has_cells else (h_n,)
        return padded_steps(hidden, packing, x.shape[0], False), tuple(
            part.index_select(1, back) for part in last
        )

    def _stacked(self, name: str) -> Tensor:
        """One parameter of each direction; zeros for a bias that there is not."""
        if name.startswith("bias") and not self.layer.bias:
            rows = len(self.layer.weight_hh_l0)
            return self.layer.weight_hh_l0.new_zeros(self.directions, rows)
        suffixes = ("", "_reverse")[: self.directions]
        return torch.stack([getattr(self.layer, f"{name}_l0{end}") for end in suffixes])


def _turned(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Where [T, B, 1] to find each sequence's steps from its own last one to its first; absent steps stay."""
    steps = torch.arange(x.shape[0]).unsqueeze(1)
    ends = torch.full((x.shape[1],), x.shape[0]) if lengths is None else lengths.long()
    return torch.where(steps < ends, ends - 1 - steps, steps).unsqueeze(2)


def _functions(operator: str, attributes: Mapping[str, Any], directions: int) -> tuple[str, str]:
    """The functions of the gates and of the state, by our names."""
    plain = PLAIN[operator]
    named = list(attributes.get("activations", [])) or plain * directions
    numbers = {key: list(attributes.get(f"activation_{key}", [])) for key in ("alpha", "beta")}
    own = named[: len(plain)]
    known = all(name in FUNCTIONS for name in named)
    if not known or named != own * directions or (operator == "LSTM" and own[1] != own[2]):
        raise ModelFileError(f"the activations {', '.join(map(str, named))} are not offered")
    sixth = False
    if numbers["alpha"] or numbers["beta"]:
        sixth = all(abs(value - 1 / 6) < 1e-6 for value in numbers["alpha"]) and "HardSigmoid" in own
        usual = all(abs(value - 0.2) < 1e-6 for value in numbers["alpha"]) and "HardSigmoid" in own
        if not (sixth or usual) or any(abs(value - 0.5) > 1e-6 for value in numbers["beta"]):
            raise ModelFileError("activation_alpha and activation_beta with these numbers are not offered")
    ours = ["hard_sigmoid_sixth" if sixth and name == "HardSigmoid" else FUNCTIONS[name] for name in own]
    return (GATE, ours[0]) if operator == "RNN" else (ours[0], ours[1])


def _checked(
    operator: str, attributes: Mapping[str, Any], inputs: Mapping[str, Array], directions: int, gates: int
) -> int:
    """H, once all weights are known to fit it."""
    recurrent = inputs["R"]
    size = int(recurrent.shape[-1]) if recurrent.ndim == 3 else 0
    if size < 1 or attributes.get("hidden_size", size) != size:
        raise ModelFileError(
            f"R has the shape {recurrent.shape}, hidden_size is {attributes.get('hidden_size')}"
        )
    rows = gates * size
    expected = {"R": (rows, size), "B": (2 * rows,), "P": (3 * size,), "W": (rows, inputs["W"].shape[-1])}
    for name, array in inputs.items():
        if array.shape != (directions, *expected[name]) or array.dtype.kind != "f":
            raise ModelFileError(
                f"{name} has the shape {array.shape}, an {operator} of this size has "
                f"{(directions, *expected[name])}"
            )
    if inputs["W"].shape[-1] < 1:
        raise DataError("an input of no features")
    return size
