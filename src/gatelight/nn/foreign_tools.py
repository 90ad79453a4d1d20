"""PyTorch's exporters and quantizers, which know no operator of ours: one error that says what to do."""

from __future__ import annotations

import torch

from gatelight.errors import DataError

RESTORE = "turn them into torch.nn's first: from gatelight.interop.accelerate import restore; restore(model)"


def refuse_onnx_export() -> None:
    """Raise DataError within `torch.onnx.export`, by either of its two exporters."""
    # The last alone is certain, but takes a hundred times as long as the others.
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if (tracing or torch.compiler.is_compiling()) and _in_onnx_export():
        raise DataError(
            f"torch.onnx.export does not know gatelight's layers: {RESTORE}; or write a layer or a text "
            "classifier by gatelight.interop.onnx.save"
        )


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]  # else it is compiled as False
def _in_onnx_export() -> bool:
    return torch.onnx.is_in_onnx_export()


class NotQuantized:
    """A layer that `torch.ao.quantization` would pass over without a word, as it goes by a layer's class."""

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
