"""Any saved model folder, opened as what it is; knows the kinds there are, nothing of their contents."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from gatelight.estimators.folder import kind_of
from gatelight.estimators.folder import load as load_classifier
from gatelight.estimators.folder import load_judge as load_judge_of_texts

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.estimators.judging import Judge
    from gatelight.estimators.language import LanguageModel
    from gatelight.interop.keras.imported import ImportedModel


IMPORTED = "gatelight imported model"
"""The kind of a folder that holds an `ImportedModel`."""
LANGUAGE = "gatelight language model"
"""The kind of a folder that holds a `LanguageModel`."""


def load(folder: str | Path) -> TextClassifier | ImportedModel | LanguageModel:
    """Read a saved model: a `TextClassifier`, a `LanguageModel`, or an `ImportedModel` from elsewhere.

    Raises ModelFileError, in one line, for a folder that is missing, incomplete, damaged or of a newer
    format.
    """
    folder = Path(folder)
    kind = kind_of(folder)
    if kind == LANGUAGE:
        return load_language_model(folder)
    return _load_imported(folder) if kind == IMPORTED else load_classifier(folder)


def load_language_model(folder: str | Path) -> LanguageModel:
    """Read a saved `LanguageModel`; ModelFileError for any other model too."""
    from gatelight.estimators import language_folder

    return language_folder.load(Path(folder))


def load_judge(folder: str | Path) -> Judge | ImportedModel:
    """Read a saved model as far as judging needs it, without scikit-learn; raises as `load`."""
    folder = Path(folder)
    return _load_imported(folder) if kind_of(folder) == IMPORTED else load_judge_of_texts(folder)


def _load_imported(folder: Path) -> ImportedModel:
    # By name, since what reads other programs' models stands above the estimators.
    found: ImportedModel = import_module("gatelight.interop.keras.imported").load(folder)
    return found
