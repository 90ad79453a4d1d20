"""The files of one Keras model: which is which, what they hold, in bounded memory; knows no layer's meaning.

An architecture may come as JSON, in an `.h5` or in a `.keras` archive; weights in an `.h5` or in the archive.
"""

from __future__ import annotations

import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatelight.errors import DataError, ModelFileError
from gatelight.interop.keras.architecture import MOST_BYTES, Architecture, Entry, architecture, inner, parsed
from gatelight.interop.keras.hdf5 import MAGIC, RATIO, SMALL, Group, opened
from gatelight.interop.keras.layers import CELLS
from gatelight.interop.keras.weights import Array

ZIP = b"PK\x03\x04"
DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError, ValueError,
    OSError, KeyError, IndexError, struct.error,
)  # fmt: skip
WITH_WEIGHTS = {
    *CELLS,
    "Bidirectional",
    "Embedding",
    "Dense",
    "TimeDistributedDense",
    "Conv1D",
    "Convolution1D",
}
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


@dataclass(frozen=True)
class Parts:
    """What was found: the architecture, and the group that holds the weights."""

    architecture: Architecture
    weights: Group
    name: str

    def arrays(self) -> dict[str, list[Array]]:
        """The arrays of each layer in Keras's order, by its name in the architecture."""
        legacy = self.weights.group("model_weights") or self.weights
        if legacy.chunked_words("layer_names") is not None:
            return _legacy(legacy, self.architecture, self.name)
        layers = self.weights.group("layers") or self.weights.group("_layer_checkpoint_dependencies")
        if layers is None:
            raise ModelFileError(f"{self.name} holds no weights of Keras (neither layer_names nor layers)")
        return _of_keras_3(layers, self.architecture)


def read(files: Sequence[Path]) -> Parts:
    """Read one `.keras`, one whole `.h5`, or an architecture and weights in two files.

    Raises DataError when the files do not make up one model, ModelFileError when one is missing or damaged.
    """
    if not 1 <= len(files) <= 2:
        raise DataError(
            f"{len(files)} files came; expected one model file, or an architecture and its weights"
        )
    found: Architecture | None = None
    weights: list[tuple[Group, str]] = []
    for path in sorted(files, key=lambda path: _kind(path) != "json"):
        kind, name = _kind(path), str(path)
        if kind == "json":
            if found is not None:
                raise DataError(f"{path} is a second architecture; expected an architecture and weights")
            found = architecture(parsed(_bounded(path), name), name)
        elif kind == "zip":
            own, packed = _archive(path)
            found, name = found or own, f"{path}, {WEIGHTS}"
            weights.append((opened(packed, name), name))
        else:
            root = opened(path, name)
            found = found or _held_architecture(root, name)
            weights.append((root, name))
    if found is None:
        raise DataError(
            f"{files[0]} holds weights only; give the architecture too, as JSON (model.to_json())"
        )
    if len(weights) != 1:
        raise DataError(
            f"{len(weights)} of the files hold weights; expected one"
            + ("" if weights else ": give the .h5 or .keras file beside the JSON")
        )
    root, name = weights[0]
    return Parts(found, root, name)


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


def _bounded(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise ModelFileError(f"{path} has {path.stat().st_size:,} bytes; no architecture in JSON is so large")
    return path.read_bytes()


def _held_architecture(root: Group, name: str) -> Architecture | None:
    config = root.chunked_words("model_config")
    version = root.words("keras_version")
    if config is None:
        return None
    if not config:
        raise ModelFileError(f"{name}: its model_config is empty; save the model again")
    held = parsed(config[0], f"{name}, model_config")
    return architecture(held, name, version[0] if version else None)


def _archive(path: Path) -> tuple[Architecture, bytes]:
    """A `.keras` archive's architecture and the bytes of its weights; nothing is unpacked onto the disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            for name in members:
                if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or ":" in name:
                    raise ModelFileError(
                        f"{path} holds {name!r:.80}, which leads outside: not made in good faith"
                    )
            for name in (CONFIG, WEIGHTS):
                if name not in members:
                    raise ModelFileError(f"{path} holds no {name}: it is no .keras archive, or incomplete")
            most = path.stat().st_size * RATIO + SMALL
            metadata = METADATA in members and parsed(
                _member(archive, members[METADATA], MOST_BYTES), METADATA
            )
            version = metadata.get("keras_version") if metadata else None
            config = parsed(_member(archive, members[CONFIG], MOST_BYTES), f"{path}, {CONFIG}")
            return architecture(config, str(path), version), _member(archive, members[WEIGHTS], most)
    except DAMAGED as error:
        if isinstance(error, (DataError, ModelFileError)):
            raise
        raise ModelFileError(f"{path} is a damaged archive ({error!s:.100}); copy it again") from None


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    """The bytes of a member, never more than `most`."""
    with archive.open(member) as file:
        held = file.read(most + 1)
    if len(held) > most:
        raise ModelFileError(f"{member.filename} unpacks to more than {most:,} bytes; no model does")
    return held


def _legacy(group: Group, found: Architecture, name: str) -> dict[str, list[Array]]:
    """Keras 1, 2 and Keras 3's `.h5`: a group for each layer with its arrays' names in order."""
    held: dict[str, list[Array]] = {}
    for called in group.chunked_words("layer_names") or []:
        layer = group.group(called)
        names = layer.chunked_words("weight_names") if layer is not None else None
        if layer is None or names is None:
            raise ModelFileError(f"{name}: the layer {called!r:.60} is told of, but is not there")
        if names:
            held[called] = [layer.array(weight) for weight in names]
    wanted = [entry.name for entry in found.listed if entry.name in held]
    if len(wanted) == len(held):
        return held
    # Other names, as a model has that was built anew: then the order tells, as in Keras.
    order = [entry.name for entry in found.listed if _has_weights(entry)]
    if len(order) != len(held):
        raise DataError(
            f"{name} holds weights of {len(held)} layers, the architecture has {len(order)} with weights: "
            "they are of different models"
        )
    return dict(zip(order, held.values(), strict=True))


def _has_weights(entry: Entry) -> bool:
    within = inner(entry.config).kind if entry.kind == "TimeDistributed" else entry.kind
    return within in WITH_WEIGHTS


def _of_keras_3(layers: Group, found: Architecture) -> dict[str, list[Array]]:
    """Keras 3 (and 2.12 on): groups named after the class, in lower case, and numbered."""
    seen: dict[str, int] = {}
    held: dict[str, list[Array]] = {}
    for entry in found.listed:
        called = snake_case(entry.kind)
        number = seen.get(called, 0)
        seen[called] = number + 1
        group = layers.group(f"{called}_{number}" if number else called)
        if group is not None and (arrays := list(_variables(group, entry))):
            held[entry.name] = arrays
    return held


def _variables(group: Group, entry: Entry) -> list[Array]:
    inside: Any = {
        "Bidirectional": ("forward_layer/cell/vars", "backward_layer/cell/vars"),
        "TimeDistributed": ("layer/vars",),
    }.get(entry.kind, ("cell/vars", "vars"))
    arrays: list[Array] = []
    for path in inside:
        variables = group.group(path)
        if variables is not None:
            arrays += variables.numbered()
    return arrays


def snake_case(kind: str) -> str:
    """Return a class's name as Keras 3 names groups: SimpleRNN → simple_rnn."""
    kind = re.sub(r"\W+", "", kind)
    kind = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub("([a-z])([A-Z])", r"\1_\2", kind).lower()
