"""Keras's recurrent layers: gate orders of every version, both directions, steps left out by a mask.

Runs on the kernels where the functions are theirs, else by equations with the layer's own functions. Weights
have the gate order of `nn.equations`, and two bias vectors each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from gatelight.errors import DataError
from gatelight.interop.gate_orders import KERAS, KERAS_1, in_order
from gatelight.interop.keras.architecture import Entry
from gatelight.interop.keras.layers import FUNCTIONS, Array, Form, Layer, Shapes, Signal, Weights
from gatelight.nn import CELLS, Packing, pack, reference
from gatelight.nn.equations import EQUATIONS, Cell

CLASSES = {"SimpleRNN": "rnn", "LSTM": "lstm", "GRU": "gru", "CuDNNLSTM": "lstm", "CuDNNGRU": "gru"}
WRITTEN = {"rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}
TOLD = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
GATE, STATE = "sigmoid", "tanh"  # what the papers, the kernels and torch.nn have
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@dataclass(frozen=True)
class Recurrent(Layer):
    """Steps of rows → hidden states of all steps (`all_steps`) or the last one.

    `merge` None: one direction, and `backwards` reads from the end, its steps coming out in that order; else
    both directions, merged so. At a step that does not count the state stays; what comes out there is the
    state before it, or zeros with `zeros_where_masked`.
    """

    cell: str
    hidden: int
    gate: str = GATE
    state: str = STATE
    reset_after: bool = True
    all_steps: bool = False
    backwards: bool = False
    merge: str | None = None
    zeros_where_masked: bool = False
    kind = "memory"
    classes = (*CLASSES, "Bidirectional")
    words: ClassVar = {
        "hidden": ("units", "output_dim"), "state": ("activation",),
        "gate": ("recurrent_activation", "inner_activation"), "all_steps": ("return_sequences",),
        "backwards": ("go_backwards",), "zeros_where_masked": ("zero_output_for_mask",),
    }  # fmt: skip

    @classmethod
    def of_keras(cls, of: Entry) -> Recurrent:
        """One layer, or the two of Bidirectional, whose defaults depend on Keras's version."""
        if of.kind == "Bidirectional":
            return cls._both_ways(of)
        new = of.version.keras_3 or of.kind.startswith("CuDNN")
        of.get("use_bias", "bias")  # the weights show it
        cell = CLASSES[of.kind]
        gate = of.function(*cls.words["gate"], default=GATE if new else "hard_sigmoid")
        return cls(
            of.name, cell, of.get(*cls.words["hidden"]),
            gate=GATE if cell == "rnn" else gate,
            state=of.function("activation", default=STATE),
            reset_after=bool(of.get("reset_after", default=new)) or cell != "gru",
            all_steps=bool(of.get("return_sequences")),
            backwards=bool(of.get("go_backwards")),
            zeros_where_masked=bool(of.get("zero_output_for_mask")),
        )  # fmt: skip

    @classmethod
    def _both_ways(cls, of: Entry) -> Recurrent:
        one = cls._direction_of(of, of.within())
        if of.get("backward_layer") is not None:
            other = cls._direction_of(of, of.within("backward_layer"))
            zeros = one.zeros_where_masked
            if replace(other, name=one.name, backwards=not other.backwards, zeros_where_masked=zeros) != one:
                raise DataError(f"the layer {of.name!r} has two unlike directions, which is not supported")
        merge = of.get("merge_mode", default="concat")
        if merge is None:
            raise DataError(
                f"the layer {of.name!r} gives two outputs (merge_mode None), which is not supported"
            )
        zeros = one.all_steps if of.version.forces_zeros else one.zeros_where_masked
        return replace(one, name=of.name, merge=merge, zeros_where_masked=zeros)

    @classmethod
    def _direction_of(cls, of: Entry, within: Entry) -> Recurrent:
        if within.kind not in CLASSES:
            raise DataError(f"the layer {of.name!r} wraps {within.kind!r:.60}, which is not supported there")
        layer = cls.of_keras(within)
        within.finish()
        return layer

    def to_keras(self) -> tuple[str, dict[str, Any]]:
        """Settings that all versions have the same default for are left out, so that none meets a new one."""
        kind, (_, config) = WRITTEN[self.cell], super().to_keras()
        if self.cell == "rnn":
            del config["recurrent_activation"]
        elif self.cell == "gru":
            config["reset_after"] = self.reset_after
        if self.merge is not None or not self.zeros_where_masked:
            del config["zero_output_for_mask"]
        if self.merge is None:
            return kind, config
        # Both layers, as Keras writes them: told only of one, Keras 3 copies it for the other direction, and
        # remembers what it copies by its address, which another object may have by then.
        both = {
            key: keras_entry(
                kind, {**config, "name": f"{key}_{self.name}", "go_backwards": self.backwards ^ turned}
            )
            for key, turned in (("layer", False), ("backward_layer", True))
        }
        return "Bidirectional", {**both, "merge_mode": self.merge}

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What ends the weights' names, for each direction."""
        return ("", "_reverse") if self.merge else ("",)

    def shapes(self, form: Form) -> Shapes:
        """As torch.nn's names them, without the layer's number."""
        rows = len(KERAS[self.cell]) * self.hidden
        shapes = ((rows, form.row), (rows, self.hidden), (rows,), (rows,))
        return {
            name + suffix: shape
            for suffix in self.suffixes
            for name, shape in zip(NAMES, shapes, strict=True)
        }

    def of_arrays(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """Kernel [F, G], recurrent kernel [H, G] and bias for each direction, or as Keras 1 and CuDNN."""
        each, rest = divmod(len(arrays), len(self.suffixes))
        if rest:
            raise ValueError("not as many for each direction")
        return {
            name + suffix: array
            for number, suffix in enumerate(self.suffixes)
            for name, array in self._of_one(arrays[number * each : (number + 1) * each]).items()
        }

    def _of_one(self, arrays: Sequence[Array]) -> dict[str, Array]:
        cell, hidden, gates = self.cell, self.hidden, len(KERAS[self.cell])
        if cell != "rnn" and len(arrays) == 3 * gates:
            apart = dict(zip(KERAS_1[cell], np.split(np.arange(3 * gates), gates), strict=True))
            order = [apart[gate] for gate in KERAS[cell]]
            arrays = [np.concatenate([arrays[place[part]] for place in order], axis=-1) for part in range(3)]
        kernel, recurrent, *rest = arrays
        bias = rest[0] if rest else np.zeros(gates * hidden, np.float32)
        if len(rest) > 1 or kernel.ndim != 2 or recurrent.shape != (hidden, gates * hidden):
            raise ValueError("not of this size")
        if cell != "rnn" and bias.shape == (2 * gates * hidden,):
            # CuDNN's layers keep each gate's matrices transposed, and a bias for each of the two products.
            kernel = np.hstack(
                [part.T.reshape(part.shape, order="F") for part in np.split(kernel, gates, axis=1)]
            )
            recurrent = np.hstack([part.T for part in np.split(recurrent, gates, axis=1)])
            bias = bias.reshape(2, -1)
            bias = bias if cell == "gru" else bias.sum(axis=0)
        both = cell == "gru" and bias.shape == (2, gates * hidden)
        if cell == "gru" and rest and both != self.reset_after:
            raise DataError(
                f"the layer {self.name!r} is a GRU with reset_after={self.reset_after}, but its weights are "
                f"of one with reset_after={both}"
            )
        first, second = bias if both else (bias, np.zeros_like(bias))
        if first.shape != (gates * hidden,):
            raise ValueError("a bias of another size")
        ours, theirs = EQUATIONS[cell].gates, KERAS[cell]
        found = (kernel.T, recurrent.T, first, second)
        return {name: in_order(rows, theirs, ours) for name, rows in zip(NAMES, found, strict=True)}

    def to_arrays(self, weights: Mapping[str, Array]) -> list[Array]:
        """Three for each direction."""
        return [array for suffix in self.suffixes for array in self._to_one(weights, suffix)]

    def _to_one(self, weights: Mapping[str, Array], suffix: str) -> Iterator[Array]:
        ours, theirs = EQUATIONS[self.cell].gates, KERAS[self.cell]
        kernel, recurrent, first, second = (in_order(weights[name + suffix], ours, theirs) for name in NAMES)
        yield kernel.T
        yield recurrent.T
        yield np.stack([first, second]) if self.cell == "gru" and self.reset_after else first + second

    def after(self, form: Form) -> Form:
        """`hidden` features, twice as many where directions stand side by side."""
        form.row_in_steps  # noqa: B018  raises for ids and single rows
        features = self.hidden * (2 if self.merge == "concat" else 1)
        return Form(form.steps, features) if self.all_steps else Form(None, features, False)

    def told(self) -> str:
        """The cell and its directions."""
        return TOLD[self.cell] + ("" if self.merge is None else f", both directions, {self.merge}")

    def why_slow(self) -> str | None:
        """The reason in words why no kernel computes it; None: one does."""
        if self.cell == "gru" and not self.reset_after:
            return "the reset gate acts before the recurrent product, the kernels' after it"
        if self.cell != "rnn" and self.gate != GATE:
            return f"the gates are {self.gate}, the kernels' {GATE}"
        return None if self.state == STATE else f"the activation is {self.state}, the kernels' {STATE}"

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Read each direction, then merge."""
        forwards = self._direction(signal, weights, "", self.backwards)
        mask = signal.mask if self.all_steps else None
        if self.merge is None:
            return Signal(forwards, mask)
        backwards = self._direction(signal, weights, "_reverse", not self.backwards)
        if self.all_steps:
            backwards = backwards.flip(1)
        match self.merge:
            case "concat":
                return Signal(torch.cat([forwards, backwards], dim=-1), mask)
            case "sum":
                return Signal(forwards + backwards, mask)
            case "ave":
                return Signal((forwards + backwards) / 2, mask)
        return Signal(forwards * backwards, mask)

    def _direction(self, signal: Signal, weights: Weights, suffix: str, backwards: bool) -> Tensor:
        """[B, T, H] in the order of reading, or [B, H]."""
        values, mask = signal.values, signal.mask
        sequences, steps = values.shape[:2]
        counts = torch.ones(sequences, steps, dtype=torch.bool) if mask is None else mask
        if backwards:
            values, counts = values.flip(1), counts.flip(1)
        # The layer sees the steps that count, in their order, and no others.
        packing = pack(counts.sum(1).numpy())
        order = torch.argsort((~counts).to(torch.int8), dim=1, stable=True)
        flat = order + steps * torch.arange(sequences).unsqueeze(1)
        at = torch.from_numpy(packing.padded_rows(steps, True))
        rows = values.flatten(0, 1).index_select(0, flat.flatten()[at])
        hidden, last = self._packed(rows, packing, {name: weights[name + suffix] for name in NAMES})
        if not self.all_steps:
            state = last[torch.from_numpy(packing.positions)]
            return state * counts[:, -1:] if self.zeros_where_masked else state
        # Step t shows the newest real state: that of as many real steps as there are up to t; else zeros.
        row = torch.zeros(sequences * steps, dtype=torch.int64)
        row[at] = torch.arange(len(at))
        place = counts.cumsum(1) - 1
        newest = row.view(sequences, steps).gather(1, place.clamp(min=0))
        shown = counts if self.zeros_where_masked else place >= 0
        hidden = torch.cat([hidden, hidden.new_zeros(1, self.hidden)])
        return hidden[newest.where(shown, len(at))]

    def _packed(self, x: Tensor, packing: Packing, own: Weights) -> tuple[Tensor, Tensor]:
        """Packed rows [N, D] → hidden [N, H] and last state [B, H] in packed order."""
        if self.why_slow() is not None:
            zeros = x.new_zeros(1, packing.sequences, self.hidden)
            layers = [{name: [weight] for name, weight in own.items()}]
            hidden, h_n, *_ = reference.recurrent(
                self.equations(), x, None, packing, layers, zeros, zeros, []
            )
            return hidden, h_n[0]
        layer = CELLS[self.cell](x.shape[1], self.hidden, device="meta")
        layer.load_state_dict({f"{name}_l0": tensor for name, tensor in own.items()}, assign=True)
        hidden, state = layer.packed(x, packing)
        return hidden, (state[0] if isinstance(state, tuple) else state)[0]

    def equations(self) -> Cell:
        """The cell with these functions: `state` is the candidate's and the output's."""
        gate, state, reset_after = FUNCTIONS[self.gate], FUNCTIONS[self.state], self.reset_after
        Step = tuple[Tensor, Tensor | None, tuple[Tensor, ...]]

        def rnn(Wx: Tensor, h: Tensor, c: Tensor | None, U: Tensor, b: Tensor, p: Tensor | None) -> Step:
            return state(Wx + linear(h, U, b)), None, ()

        def lstm(Wx: Tensor, h: Tensor, c: Tensor | None, U: Tensor, b: Tensor, p: Tensor | None) -> Step:
            assert c is not None
            i, f, g, o = (Wx + linear(h, U, b)).chunk(4, dim=-1)
            c = gate(f) * c + gate(i) * state(g)
            return gate(o) * state(c), c, ()

        def gru(Wx: Tensor, h: Tensor, c: Tensor | None, U: Tensor, b: Tensor, p: Tensor | None) -> Step:
            (r, z, n), (U_r, U_z, U_n), (b_r, b_z, b_n) = Wx.chunk(3, dim=-1), U.chunk(3), b.chunk(3)
            r = gate(r + linear(h, U_r, b_r))
            z = gate(z + linear(h, U_z, b_z))
            # Cho et al. 2014, eq. 8: before the product; as PyTorch has it: after.
            n = state(n + (r * linear(h, U_n, b_n) if reset_after else linear(r * h, U_n, b_n)))
            return (1 - z) * n + z * h, None, ()

        step = {"rnn": rnn, "lstm": lstm, "gru": gru}[self.cell]
        return replace(EQUATIONS[self.cell], step=step, saved=())


def keras_entry(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """A layer or model as Keras writes it; `module` is for Keras 3."""
    return {"module": "keras.layers", "class_name": kind, "config": dict(config), "registered_name": None}
