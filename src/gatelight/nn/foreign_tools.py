"""PyTorch's exporters, tracers, compilers to TorchScript and quantizers: one error that says what to do.

They would fail in ways that nobody understands, or do something else without a word.
"""

from __future__ import annotations

import torch
from torch.autograd import forward_ad

from gatelight.errors import DataError

RESTORE = "turn them into torch.nn's first: from gatelight.interop.accelerate import restore; restore(model)"


def refuse_tools(x: object) -> None:
    """Raise DataError within `torch.onnx.export`, by either of its two exporters, `jit.trace` and `fx`.

    `x` is what a layer was called with.
    """
    if isinstance(x, torch.fx.Proxy):
        raise DataError(f"torch.fx.symbolic_trace does not know gatelight's layers: {RESTORE}")
    # The last alone is certain, but takes a hundred times as long as the others.
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if (tracing or torch.compiler.is_compiling()) and _in_onnx_export():
        raise DataError(
            f"torch.onnx.export does not know gatelight's layers: {RESTORE}; or write a layer or a text "
            "classifier by gatelight.interop.onnx.to_onnx"
        )
    if tracing:
        raise DataError(
            "torch.jit.trace would keep the lengths of this one batch in gatelight's layers, and be wrong "
            f"for any other: {RESTORE}"
        )


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]  # else it is compiled as False
def _in_onnx_export() -> bool:
    return torch.onnx.is_in_onnx_export()


def transformed() -> bool:
    """Whether a transform of `torch.func` is on, or derivatives are taken forward: kernels know neither."""
    return torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0


class ForeignTools:
    """A layer that says so where `torch.ao.quantization` or `torch.jit.script` comes upon it."""

    def __prepare_scriptable__(self) -> None:
        raise DataError(f"torch.jit.script does not know gatelight's layers: {RESTORE}")

    @property
    def qconfig(self) -> object:
        """Not there: quantization sets it on each module, and then looks for a class that it knows."""
        raise AttributeError("qconfig")

    @qconfig.setter
    def qconfig(self, value: object) -> None:
        raise DataError(
            f"torch.ao.quantization does not know gatelight's layers and would leave them as they are: "
            f"{RESTORE}. To quantize other layers only, quantize before you accelerate"
        )
