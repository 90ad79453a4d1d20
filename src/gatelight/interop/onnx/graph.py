"""Another maker's ONNX graph that runs here, its recurrent operators on our kernels; knows no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from gatelight.errors import DataError
from gatelight.interop.onnx.functions import FUNCTIONS
from gatelight.interop.onnx.recurrent import Recurrent


@dataclass(frozen=True)
class Step:
    """One node: an operator, the values it reads and makes ("": left out), and its attributes."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    recurrent: int | None = None  # which of `Graph.recurrent` runs it


class Graph(nn.Module):
    """`graph(x, …)` takes the inputs in their order or by name and gives the output, or a tuple of several.

    Recurrent weights are parameters, other weights are buffers. `inputs` and `outputs` hold the names.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        outputs: Sequence[str],
        steps: Sequence[Step],
        constants: Mapping[str, Tensor],
        recurrent: Sequence[Recurrent],
        opset: int,
    ) -> None:
        super().__init__()
        self.inputs, self.outputs, self.opset = tuple(inputs), tuple(outputs), opset
        self.steps = tuple(steps)
        self.recurrent = nn.ModuleList(recurrent)
        self._constants = {name: f"constant_{number}" for number, name in enumerate(constants)}
        for name, tensor in constants.items():
            self.register_buffer(self._constants[name], tensor)

    def forward(self, *given: Tensor, **named: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Run the graph; raises DataError when an input is missing or strange, or does not fit."""
        values: dict[str, Tensor] = {name: getattr(self, key) for name, key in self._constants.items()}
        if len(given) > len(self.inputs) or set(named) - set(self.inputs):
            raise DataError(f"the graph takes {', '.join(self.inputs)}")
        values |= dict(zip(self.inputs, given, strict=False)) | named
        missing = [name for name in self.inputs if name not in values]
        if missing:
            raise DataError(f"the input {missing[0]!r} is missing; the graph takes {', '.join(self.inputs)}")
        for step in self.steps:
            inputs = [values[name] if name else None for name in step.inputs]
            try:
                made = self._run(step, inputs)
            except (RuntimeError, ValueError, IndexError, KeyError, TypeError) as error:
                raise DataError(f"the node {step.name!r} ({step.operator}) cannot be run: {error}") from error
            values.update({name: value for name, value in zip(step.outputs, made, strict=False) if name})
        found = tuple(values[name] for name in self.outputs)
        return found[0] if len(found) == 1 else found

    def paths(self) -> list[tuple[str, str, str]]:
        """Of each recurrent node its name, who computes it ("kernels", "torch", "equations"), and why."""
        found = []
        for step in self.steps:
            if step.recurrent is not None:
                layer = self.recurrent[step.recurrent]
                found.append((step.name, str(layer.path), str(layer.reason)))
        return found

    def extra_repr(self) -> str:
        """What goes in and out."""
        return f"{', '.join(self.inputs)} → {', '.join(self.outputs)}"

    def _run(self, step: Step, inputs: list[Tensor | None]) -> tuple[Tensor, ...]:
        if step.recurrent is None:
            made = FUNCTIONS[step.operator](inputs, step.attributes, self.opset)
            return (made,) if isinstance(made, Tensor) else made
        found: tuple[Tensor, ...] = self.recurrent[step.recurrent](*inputs)
        return found
