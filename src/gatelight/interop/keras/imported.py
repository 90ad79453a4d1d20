"""A model that Keras trained: sequences, or texts where its vocabulary is known, in, its outputs out.

Computes what Keras computes, to rounding, masks included. Saved as a folder of plain files: `config.json` the
layers and the reading, `model.safetensors` the weights. Legend: B sequences, T steps, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.saving import (
    IMPORTED,
    MODEL_FILE,
    read_config,
    save_model,
    told_in_one_line,
)
from gatelight.interop.keras.blueprint import Blueprint
from gatelight.interop.keras.layers import Array, Embedding, Signal
from gatelight.interop.keras.reading import ForeignReading
from gatelight.interop.keras.recurrent import Recurrent
from gatelight.models.summary import Summary
from gatelight.models.weight_files import read_arrays, write_arrays

BATCH_ROWS = 1 << 15  # steps of a batch: what bounds its memory, a single longer sequence aside


class ImportedModel:
    """Layers one after another with fixed weights float32, and how they read texts, where that is known."""

    def __init__(
        self,
        blueprint: Blueprint,
        weights: Mapping[str, Array],
        reading: ForeignReading | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        """Take weights by the names and shapes of `blueprint.shapes()`.

        Raises DataError when they do not fit, or there are not as many classes as outputs (two for one
        sigmoid).
        """
        expected = blueprint.shapes()
        found = {name: tuple(array.shape) for name, array in weights.items()}
        for name in {**expected, **found}:
            if expected.get(name) != found.get(name):
                number, _, weight = name.partition(".")
                whose = blueprint.layers[int(number)].name if number.isdigit() else name
                raise DataError(
                    f"the weights {weight} of the layer {whose!r} have the shape {found.get(name)}; its "
                    f"settings ask for {expected.get(name)}"
                )
        outputs = blueprint.output.row
        if classes is not None and len(classes) != max(outputs, 2):
            raise DataError(f"{len(classes)} classes came for {outputs} outputs; expected {max(outputs, 2)}")
        self.blueprint, self.reading = blueprint, reading
        self.weights = {name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}
        self.classes = None if classes is None else list(classes)

    def of_layer(self, number: int) -> dict[str, Array]:
        """The weights of one layer."""
        prefix = f"{number}."
        return {
            name.removeprefix(prefix): array
            for name, array in self.weights.items()
            if name.startswith(prefix)
        }

    def predict(self, sequences: Any) -> Array | list[Array]:
        """What the model gives for each sequence, float32 [n, outputs], as Keras's `predict`.

        A sequence is a list of ids, or of rows of numbers [T, features]. Of a model that takes rows a list of
        whole numbers means one-hot rows, and of a model that takes rows of one number any list of numbers is
        a series. Texts may come where the reading is known. Lengths may differ, unless the model has a fixed
        number of steps; each is then computed as if alone. A model that gives a row for each step gives
        [n, T, outputs], or a list of [T, outputs] when lengths differ.
        Raises DataError for what the model cannot take.
        """
        given = [sequences] if isinstance(sequences, str) else list(sequences)
        if given and isinstance(given[0], str):
            if self.reading is None:
                raise DataError(
                    "texts came, but this model's vocabulary is not known: give lists of ids, or import it "
                    "again with its vocabulary"
                )
            given = list(self.reading.encode(given))
        arrays = [self._array(sequence, number) for number, sequence in enumerate(given, 1)]
        if not arrays:
            return np.zeros((0, self.blueprint.output.row), np.float32)
        lengths = [len(array) for array in arrays]
        out: list[Array] = [np.zeros(0, np.float32)] * len(arrays)
        for length in sorted(set(lengths)):
            places = [place for place, own in enumerate(lengths) if own == length]
            rows = self._run(np.stack([arrays[place] for place in places]))
            for place, row in zip(places, rows, strict=True):
                out[place] = row
        return np.stack(out) if len({row.shape for row in out}) == 1 else out

    def labels_of(self, rows: Array) -> list[str] | None:
        """The likeliest class of each row of outputs; None where the classes are not known."""
        if self.classes is None or rows.ndim != 2:
            return None
        best = (rows[:, 0] >= 0.5).astype(int) if rows.shape[1] == 1 else rows.argmax(axis=1)
        return [self.classes[number] for number in best.tolist()]

    def summary(self) -> Summary:
        """The layer table."""
        return self.blueprint.summary()

    def paths(self) -> list[tuple[str, str, str]]:
        """For each recurrent layer its name, who computes it ("kernels" or "equations") and why."""
        found = []
        for layer in self.blueprint.layers:
            if isinstance(layer, Recurrent):
                reason = layer.why_slow()
                fast = ("kernels", "the functions are the kernels'")
                found.append((layer.name, *(fast if reason is None else ("equations", reason))))
        return found

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder of plain files; an older model there is replaced at once.

        Raises FileExistsError when something else is there, OSError when the disk refuses.
        """
        config = {
            "blueprint": self.blueprint.to_dict(),
            "reading": None if self.reading is None else self.reading.to_dict(),
            "classes": self.classes,
        }
        save_model(folder, IMPORTED, config, lambda aside: write_arrays(aside / MODEL_FILE, self.weights))

    def _array(self, sequence: Any, number: int) -> NDArray[Any]:
        """Ids int64 [T], rows float32 [T, F] or one row [F]; DataError for what the model cannot take."""
        form, first, what = self.blueprint.input, self.blueprint.layers[0], f"sequence {number}"
        try:
            array = np.asarray(sequence)
        except ValueError:
            array = np.array(None)
        whole = array.dtype.kind in "iu" or not array.size
        if form.features is None:
            if array.ndim != 1 or not whole:
                raise DataError(f"{what} is no list of ids, which this model takes")
            array = array.astype(np.int64)
        elif form.in_steps and array.ndim == 1 and array.size and form.features == 1:
            array = array[:, None]
        elif form.in_steps and array.ndim == 1 and array.size and whole:
            if array.min() < 0 or array.max() >= form.features:
                raise DataError(
                    f"{what} has ids from {array.min()} to {array.max()}; one-hot rows of this model stand "
                    f"for 0 to {form.features - 1}"
                )
            ids, array = array, np.zeros((len(array), form.features), np.float32)
            array[np.arange(len(ids)), ids] = 1
        expected = form.shape()
        if array.ndim != len(expected) or array.dtype.kind not in "iuf":
            raise DataError(f"{what} is not made of rows of {form.features} numbers, as this model takes")
        fits = all(side in ("T", own) for side, own in zip(expected, array.shape, strict=True))
        if not fits or not len(array):
            told = ", ".join(map(str, expected))
            raise DataError(
                f"{what} has the shape {list(array.shape)}; the model takes [{told}], T from 1 on"
            )
        if not np.isfinite(array).all():
            raise DataError(f"{what} holds infinite or undefined numbers")
        if isinstance(first, Embedding) and not 0 <= array.min() <= array.max() < first.vocabulary:
            wrong = array.min() if array.min() < 0 else array.max()
            raise DataError(f"the id {wrong} is outside of the table; expected 0 to {first.vocabulary - 1}")
        return array if form.features is None else array.astype(np.float32)

    def _run(self, batch: NDArray[Any]) -> Array:
        """Ids int64 [B, T], rows float32 [B, T, F] or [B, F] → the last layer's output, float32 [B, …]."""
        layers = [
            (layer, {name: torch.from_numpy(array) for name, array in self.of_layer(number).items()})
            for number, layer in enumerate(self.blueprint.layers)
        ]
        at_once = max(1, BATCH_ROWS // max(batch.shape[1] if batch.ndim > 1 else 1, 1))
        parts = []
        with torch.no_grad():
            for start in range(0, max(len(batch), 1), at_once):
                signal = Signal(torch.from_numpy(np.ascontiguousarray(batch[start : start + at_once])))
                for layer, weights in layers:
                    signal = layer.run(signal, weights)
                parts.append(signal.values.numpy())
        return np.ascontiguousarray(np.concatenate(parts), np.float32)


def load(folder: Path) -> ImportedModel:
    """Read what `ImportedModel.save` wrote; ModelFileError for a folder that is incomplete or damaged."""
    config = read_config(folder, IMPORTED)
    path = folder / MODEL_FILE
    with told_in_one_line(folder):
        plan = Blueprint.from_dict(config["blueprint"])
        reading = None if config["reading"] is None else ForeignReading.from_dict(config["reading"])
        return ImportedModel(plan, read_arrays(path, plan.shapes())[0], reading, config["classes"])
