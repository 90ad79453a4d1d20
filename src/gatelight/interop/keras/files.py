"""The files of one Keras model: which is which, what they hold, in bounded memory.

An architecture may come as JSON, in an `.h5` or in a `.keras` archive; weights in an `.h5` or in the archive.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gatelight.errors import DataError, ModelFileError
from gatelight.interop.keras.architecture import MOST_BYTES, Architecture, Entry, architecture, parsed
from gatelight.interop.keras.hdf5 import MAGIC, RATIO, SMALL, Array, Group, opened
from gatelight.text import archives

ZIP = b"PK\x03\x04"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# Where Keras 3 keeps a layer's arrays: its own, or those of the layers within.
VARIABLES = {
    "Bidirectional": ("forward_layer/cell/vars", "backward_layer/cell/vars"),
    "TimeDistributed": ("layer/vars",),
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), ("cell/vars",)),
}


@dataclass(frozen=True)
class Parts:
    """What was found: the architecture, and the root of the weights' file."""

    architecture: Architecture
    weights: Group

    def arrays(self, with_weights: Collection[str]) -> dict[str, list[Array]]:
        """The arrays of each layer in Keras's order, by its name in the architecture.

        `with_weights`: the classes of Keras that have any.
        """
        root = self.weights
        legacy = root.group("model_weights") or root
        if legacy.words("layer_names") is not None:
            return _legacy(legacy, self.architecture, with_weights)
        layers = root.group("layers") or root.group("_layer_checkpoint_dependencies")
        if layers is None:
            raise ModelFileError(f"{root.file} holds no weights of Keras (neither layer_names nor layers)")
        return {
            entry.name: arrays
            for entry, place in keras_3_groups(self.architecture.listed)
            if (arrays := _variables(layers, place, entry.kind))
        }


def read(files: Sequence[Path]) -> Parts:
    """Read one `.keras`, one whole `.h5`, or an architecture and weights in two files.

    Raises DataError when the files do not make up one model, ModelFileError when one is missing or damaged.
    """
    if not 1 <= len(files) <= 2:
        raise DataError(
            f"{len(files)} files came; expected one model file, or an architecture and its weights"
        )
    found: Architecture | None = None
    weights: list[Group] = []
    for path in sorted(files, key=lambda path: _kind(path) != "json"):
        kind = _kind(path)
        if kind == "json":
            if found is not None:
                raise DataError(f"{path} is a second architecture; expected an architecture and weights")
            with path.open("rb") as file:
                found = architecture(parsed(file.read(MOST_BYTES + 1), str(path)), str(path))
        elif kind == "zip":
            own, root = _archive(path)
            found = found or own
            weights.append(root)
        else:
            weights.append(opened(path, str(path)))
            found = found or _held_architecture(weights[-1])
    if found is None:
        raise DataError(
            f"{files[0]} holds weights only; give the architecture too, as JSON (model.to_json())"
        )
    if len(weights) != 1:
        raise DataError(
            f"{len(weights)} of the files hold weights; expected one"
            + ("" if weights else ": give the .h5 or .keras file beside the JSON")
        )
    return Parts(found, weights[0])


def _kind(path: Path) -> str:
    if path.is_dir():
        raise ModelFileError(
            f"{path} is a folder (TensorFlow's SavedModel?); expected .keras, .h5 or JSON files"
        )
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except FileNotFoundError:
        raise ModelFileError(f"{path} does not exist; expected a .keras, .h5 or JSON file of Keras") from None
    if start == MAGIC:
        return "hdf5"
    return "zip" if start.startswith(ZIP) else "json"


def _held_architecture(root: Group) -> Architecture | None:
    config, version = root.words("model_config"), root.words("keras_version")
    if config is None:
        return None
    if not config:
        raise ModelFileError(f"{root.file}: its model_config is empty; save the model again")
    held = parsed(config[0], f"{root.file}, model_config")
    return architecture(held, root.file, version[0] if version else None)


def _archive(path: Path) -> tuple[Architecture, Group]:
    """A `.keras` archive's architecture and weights; nothing is unpacked onto the disk."""
    most = path.stat().st_size * RATIO + SMALL
    try:
        members = dict(archives.members(path, (CONFIG, METADATA, WEIGHTS).__contains__, most))
    except DataError as error:
        raise ModelFileError(f"{str(error).partition(';')[0]}; copy it again") from None
    for name in (CONFIG, WEIGHTS):
        if name not in members:
            raise ModelFileError(f"{path} holds no {name}: it is no .keras archive, or incomplete")
    metadata = parsed(members.get(METADATA, b"{}"), f"{path}, {METADATA}")
    config = parsed(members[CONFIG], f"{path}, {CONFIG}")
    found = architecture(config, str(path), metadata.get("keras_version"))
    return found, opened(members[WEIGHTS], f"{path}, {WEIGHTS}")


def _legacy(group: Group, found: Architecture, with_weights: Collection[str]) -> dict[str, list[Array]]:
    """Keras 1, 2 and Keras 3's `.h5`: a group for each layer with its arrays' names in order."""
    held: dict[str, list[Array]] = {}
    for called in group.words("layer_names") or []:
        layer = group.group(called)
        names = layer.words("weight_names") if layer is not None else None
        if layer is None or names is None:
            raise ModelFileError(f"{group.file}: the layer {called!r:.60} is told of, but is not there")
        if names:
            held[called] = [layer.array(weight) for weight in names]
    if held.keys() <= {entry.name for entry in found.listed}:
        return held
    # Other names, as a model has that was built anew: then the order tells, as in Keras.
    order = [
        entry.name
        for entry in found.listed
        if (entry.within().kind if entry.kind == "TimeDistributed" else entry.kind) in with_weights
    ]
    if len(order) != len(held):
        raise DataError(
            f"{group.file} holds weights of {len(held)} layers, the architecture has {len(order)} with "
            "weights: they are of different models"
        )
    return dict(zip(order, held.values(), strict=True))


def keras_3_groups(layers: Sequence[Entry]) -> Iterator[tuple[Entry, str]]:
    """Yield layers with their groups: Keras 3 (and 2.12 on) names them after the class and numbers them."""
    seen: dict[str, int] = {}
    for entry in layers:
        called = snake_case(entry.kind)
        number = seen.get(called, 0)
        seen[called] = number + 1
        yield entry, f"{called}_{number}" if number else called


def _variables(layers: Group, place: str, kind: str) -> list[Array]:
    inside = [layers.group(f"{place}/{path}") for path in VARIABLES.get(kind, ("vars",))]
    return [array for group in inside if group is not None for array in group.numbered()]


def snake_case(kind: str) -> str:
    """Return a class's name as Keras 3 names groups: SimpleRNN → simple_rnn."""
    kind = re.sub(r"\W+", "", kind)
    kind = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub("([a-z])([A-Z])", r"\1_\2", kind).lower()
