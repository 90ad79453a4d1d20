"""Models as ONNX files, for any runtime. Needs the extra `onnx`.

The graphs are put together from ONNX's own LSTM, GRU and RNN operators, peepholes included; nothing is
traced.
"""

from gatelight.errors import MissingExtraError

try:
    import onnx  # noqa: F401
except ImportError as error:
    raise MissingExtraError("onnx", "onnx", "writing ONNX files") from error

from gatelight.interop.onnx.writing import to_onnx

__all__ = ["to_onnx"]
