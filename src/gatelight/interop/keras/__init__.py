"""Keras's files of version 1, 2 and 3 in and out, without Keras, and without running any code of theirs."""

from gatelight.interop.keras.export import to_h5, to_json, to_keras
from gatelight.interop.keras.load import load

__all__ = ["load", "to_h5", "to_json", "to_keras"]
