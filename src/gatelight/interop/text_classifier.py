"""A text classifier as the parts that other formats can carry: configuration, vocabulary, weights."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import ModelFileError
from gatelight.estimators import saving
from gatelight.estimators.classifier import TextClassifier


def config_of(model: TextClassifier) -> dict[str, Any]:
    """What the model folder's configuration says, without the baseline, which stays behind."""
    start = {"kind": saving.CLASSIFIER, "format": saving.FORMAT}
    return {**start, **model.saved_config(), "baseline": False}


def from_parts(
    config: Mapping[str, Any], vocabulary: str, weights: Mapping[str, NDArray[np.float32]]
) -> TextClassifier:
    """The model of `config_of`, the lines of its vocabulary file, and its weights by the network's names.

    Raises ModelFileError when they do not fit together.
    """
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        (folder / saving.CONFIG_FILE).write_text(json.dumps({**config, "baseline": False}), encoding="ascii")
        (folder / saving.VOCABULARY_FILE).write_text(vocabulary, encoding="ascii")
        saving.write_arrays(folder / saving.MODEL_FILE, weights)
        try:
            return TextClassifier.load(folder)
        except ModelFileError as error:
            raise ModelFileError(str(error).replace(f"{folder}/", "").replace(aside, "it")) from None
