"""A model that was trained elsewhere: sequences, or texts where its vocabulary is known, in, its outputs out.

Knows no foreign file format: `interop` reads those. Saved as a folder of plain files: `config.json` the
layers and the reading, `model.safetensors` the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.saving import (
    IMPORTED,
    MODEL_FILE,
    check_shapes,
    read_arrays,
    read_config,
    save_model,
    told_in_one_line,
    write_arrays,
)
from gatelight.interop.keras.as_classifier import classifier_of
from gatelight.interop.keras.feedforward import Embedding
from gatelight.interop.keras.reading import ForeignReading
from gatelight.interop.keras.sequential import Array, Blueprint, Chain
from gatelight.models.classifier import Classifier
from gatelight.models.prediction import Predictor
from gatelight.models.summary import Summary


class ImportedModel:
    """A chain of layers with fixed weights, and how it reads texts, where that is known.

    `chain` computes; `reading` and `classes` may be None.
    """

    def __init__(
        self, chain: Chain, reading: ForeignReading | None = None, classes: Sequence[str] | None = None
    ) -> None:
        """Raises DataError when there are not as many classes as outputs (two for one sigmoid)."""
        outputs = chain.blueprint.output.row
        if classes is not None and len(classes) != max(outputs, 2):
            raise DataError(f"{len(classes)} classes came for {outputs} outputs; expected {max(outputs, 2)}")
        self.chain, self.reading = chain, reading
        self.classes = None if classes is None else list(classes)

    @cached_property
    def network(self) -> Classifier | None:
        """The same model as a classifier with all that gatelight can do with one; None where it is none."""
        return classifier_of(self.chain)

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
            return np.zeros((0, self.chain.blueprint.output.row), np.float32)
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
        return self.chain.summary()

    def paths(self) -> list[tuple[str, str, str]]:
        """For each memory its name, who computes it ("kernels" or "equations") and why."""
        return self.chain.paths()

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder of plain files; an older model there is replaced at once.

        Raises FileExistsError when something else is there, OSError when the disk refuses.
        """
        config = {
            "blueprint": self.chain.blueprint.to_dict(),
            "reading": None if self.reading is None else self.reading.to_dict(),
            "classes": self.classes,
        }
        save_model(
            folder, IMPORTED, config, lambda aside: write_arrays(aside / MODEL_FILE, self.chain.weights)
        )

    def _array(self, sequence: Any, number: int) -> NDArray[Any]:
        form = self.chain.blueprint.input
        try:
            array = np.asarray(sequence)
        except ValueError:
            array = np.array(None)
        whole = array.dtype.kind in "iu" or not array.size
        if form.features is None:
            if array.ndim != 1 or not whole:
                raise DataError(f"sequence {number} is no list of ids, which this model takes")
            return array.astype(np.int64)
        if form.in_steps and array.ndim == 1 and array.size and form.features == 1:
            array = array[:, None]
        elif form.in_steps and array.ndim == 1 and array.size and whole:
            if array.min() < 0 or array.max() >= form.features:
                raise DataError(
                    f"sequence {number} has ids from {array.min()} to {array.max()}; one-hot rows of this "
                    f"model stand for 0 to {form.features - 1}"
                )
            rows = np.zeros((len(array), form.features), np.float32)
            rows[np.arange(len(array)), array] = 1
            return rows
        if array.dtype.kind not in "iuf" or array.ndim != (2 if form.in_steps else 1):
            raise DataError(
                f"sequence {number} is not made of rows of {form.features} numbers, as this model takes"
            )
        if not np.isfinite(array).all():
            raise DataError(f"sequence {number} holds infinite or undefined numbers")
        return array.astype(np.float32)

    def _run(self, batch: NDArray[Any]) -> Array:
        if self.network is None or not batch.shape[1]:
            return self.chain.run(batch)
        self.chain.check(batch)
        first = self.chain.blueprint.layers[0]
        masks = isinstance(first, Embedding) and first.masks
        counts = batch != 0 if masks else np.ones_like(batch, np.bool_)
        return self._predictor.probabilities(batch[counts].astype(np.int32), counts.sum(axis=1))

    @cached_property
    def _predictor(self) -> Predictor:
        assert self.network is not None
        return Predictor(self.network)


def load(folder: Path) -> ImportedModel:
    """Read what `ImportedModel.save` wrote; ModelFileError for a folder that is incomplete or damaged."""
    config = read_config(folder, IMPORTED)
    path = folder / MODEL_FILE
    with told_in_one_line(folder):
        plan = Blueprint.from_dict(config["blueprint"])
        reading = None if config["reading"] is None else ForeignReading.from_dict(config["reading"])
        check_shapes(path, plan.shapes())  # before anything is allocated
        return ImportedModel(Chain(plan, read_arrays(path)[0]), reading, config["classes"])
