"""`gatelight import` and `export`: models from and for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from gatelight.cli.options import JSON, MODEL, argument, option
from gatelight.cli.output import emit, say
from gatelight.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Format:
    """A format: who reads it, its files, of which the first is named, and the function that writes them."""

    about: str
    endings: tuple[str, ...]
    module: str  # imported only when the format is asked for
    function: str


_KERAS, _VOCABULARY = "gatelight.interop.keras", ".vocabulary.json"
FORMATS = {
    ".onnx": Format("ONNX Runtime", (".onnx",), "gatelight.interop.onnx", "to_onnx"),
    ".keras": Format("Keras 3", (".keras", _VOCABULARY), _KERAS, "to_keras"),
    ".h5": Format("Keras 2 and 3", (".h5", _VOCABULARY), _KERAS, "to_h5"),
    ".json": Format("Keras 2 and 3, weights in .h5", (".json", ".h5", _VOCABULARY), _KERAS, "to_json"),
}
"""By the ending of the file that is named."""
OFFERED = ", ".join(f"{ending} ({format.about})" for ending, format in FORMATS.items())


@dataclass(kw_only=True)
class Import:
    """Make a saved model of one that was trained elsewhere.

    What is not supported is named, and nothing written. Give one Keras model (.keras, .h5), or an
    architecture (.json) and its weights (.h5).
    """

    files: list[Path] = argument("the model's files", "FILE")
    out: Path = option("folder for the model", metavar="MODEL", short="o", required=True)
    vocabulary: Path | None = option(
        "its vocabulary, to read texts by: gatelight's, Keras's Tokenizer.to_json(), or JSON of tokens to ids"
    )
    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        from gatelight.cli.reports import path_lines, print_layers
        from gatelight.interop import keras

        model = keras.load(*self.files, vocabulary=self.vocabulary)
        model.save(self.out)
        paths = path_lines(model)
        if self.json:
            emit({"model": str(self.out), **model.summary().to_dict(), "paths": paths})
            return
        print_layers(to, model.summary(), paths)
        say(to, f"imported model saved in {self.out}")


@dataclass(kw_only=True)
class Export:
    """Write a saved model for another program.

    What that has no layer for is refused with the reason. The ending of --out says the format: .onnx, .keras,
    .h5, or .json: an architecture, its weights beside it.
    """

    model: str = argument(MODEL, "MODEL")
    out: Path = option(f"file to write: {OFFERED}", short="o", required=True)
    overwrite: bool = option("replace files that are there", False)
    without_wide: bool = option("leave the n-grams of a wide model out: the recurrent side alone", False)
    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        chosen = FORMATS.get(self.out.suffix)
        if chosen is None:
            raise DataError(f"--out {self.out} has no ending that says the format; expected {OFFERED}")
        for ending in chosen.endings:
            path = self.out.with_suffix(ending)
            if path.exists() and not (self.overwrite and path.is_file()):
                raise DataError(f"{path} is there already; choose another --out, or give --overwrite")
        from gatelight.estimators.classifier import TextClassifier
        from gatelight.estimators.language_model import LanguageModel
        from gatelight.estimators.opening import load

        found = load(self.model)
        if isinstance(found, LanguageModel):
            raise DataError(
                f"{self.model} is a language model, which no format here can hold; name a classifier"
            )
        if self.without_wide:
            if not isinstance(found, TextClassifier):
                raise DataError(f"{self.model} has no n-grams beside it; leave out --without-wide")
            found = found.without_wide()
        write = getattr(import_module(chosen.module), chosen.function)
        files = write(found, self.out.with_suffix(""))
        if self.json:
            emit({"format": self.out.suffix[1:], "files": [str(path) for path in files]})
            return
        for path in files:
            say(to, f"{path}: {path.stat().st_size:,} bytes")
