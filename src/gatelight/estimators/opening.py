"""Any saved model folder, opened as what it is."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from gatelight.estimators.predictor import Predictor
from gatelight.estimators.saving import IMPORTED, LANGUAGE, SEQUENCES, kind_of

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.estimators.language_model import LanguageModel
    from gatelight.estimators.sequence_classifier import SequenceClassifier
    from gatelight.interop.keras.imported import ImportedModel


def load(folder: str | Path) -> TextClassifier | SequenceClassifier | ImportedModel | LanguageModel:
    """Read a saved model: a classifier, a `LanguageModel`, or an `ImportedModel` from elsewhere.

    Raises ModelFileError, in one line, for a folder that is missing, incomplete, damaged or of a newer
    format.
    """
    kind = kind_of(Path(folder))
    if kind == IMPORTED:
        return _load_imported(folder)
    if kind == LANGUAGE:
        from gatelight.estimators.language_model import LanguageModel

        return LanguageModel.load(folder)
    if kind == SEQUENCES:
        from gatelight.estimators.sequence_classifier import SequenceClassifier

        return SequenceClassifier.load(folder)
    from gatelight.estimators.classifier import TextClassifier

    return TextClassifier.load(folder)


def load_predictor(folder: str | Path) -> Predictor | ImportedModel:
    """Read a saved model as far as predicting needs it, without scikit-learn; raises as `load`."""
    return _load_imported(folder) if kind_of(Path(folder)) == IMPORTED else Predictor.load(folder)


def _load_imported(folder: str | Path) -> ImportedModel:
    # By name, since what reads other programs' models stands above the estimators.
    found: ImportedModel = import_module("gatelight.interop.keras.imported").load(Path(folder))
    return found
