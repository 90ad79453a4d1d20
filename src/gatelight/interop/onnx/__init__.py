"""Models as ONNX files, for any runtime, and back: `save`, `load`. Knows no command line.

The graphs are put together from ONNX's own LSTM, GRU and RNN operators, peepholes included; nothing is
traced. Needs the extra `onnx`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight.errors import MissingExtraError

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.models.classifier import Classifier
    from gatelight.nn.layers import Layer

__all__ = ["load", "save", "to_onnx"]


def save(model: TextClassifier | Classifier | Layer, path: str | Path, quantize: bool = False) -> None:
    """Write a fitted estimator, a network or a recurrent layer as one ONNX file.

    What goes in and comes out is said in docs/interop.md and in the file itself. `quantize`: matrices as int8
    with a scale for each row. Raises DataError for what ONNX cannot hold, MissingExtraError without the
    package onnx.
    """
    _needed()
    from gatelight.interop.onnx.writing import save as write

    write(model, Path(path), quantize)


def to_onnx(model: Any, place: Path, quantize: bool = False) -> list[Path]:
    """Write PLACE.onnx as `save` does, and return it, as `gatelight export` wants it."""
    path = place.with_name(f"{place.name}.onnx")
    save(model, path, quantize)
    return [path]


def load(path: str | Path) -> TextClassifier | Classifier | Layer:
    """Read an ONNX file that `save` wrote; it becomes what it was. Nothing in the file is executed.

    Raises ModelFileError for a file that is damaged or of another maker, MissingExtraError without the
    package onnx.
    """
    _needed()
    from gatelight.interop.onnx.reading import load as read

    return read(Path(path))


def _needed() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx", "reading or writing ONNX files") from error
