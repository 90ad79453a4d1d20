"""Any saved model folder, opened as what it is; knows the kinds there are, nothing of their contents."""

from __future__ import annotations

import json
from pathlib import Path

from gatelight.estimators import folder as text_classifier
from gatelight.estimators import imported
from gatelight.estimators.classifier import TextClassifier
from gatelight.estimators.folder import CONFIG_FILE, MOST_CONFIG_BYTES
from gatelight.estimators.imported import ImportedModel


def load(folder: str | Path) -> TextClassifier | ImportedModel:
    """Read a saved model: a `TextClassifier`, or an `ImportedModel` that came from elsewhere.

    Raises ModelFileError, in one line, for a folder that is missing, incomplete, damaged or of a newer
    format.
    """
    folder = Path(folder)
    if _kind(folder) == imported.KIND:
        return imported.load(folder)
    return text_classifier.load(folder)


def _kind(folder: Path) -> str | None:
    """What a folder says that it is; None where it says nothing readable, which its reader then tells."""
    path = folder / CONFIG_FILE
    try:
        if path.stat().st_size > MOST_CONFIG_BYTES:
            return None
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    kind = config.get("kind") if isinstance(config, dict) else None
    return kind if isinstance(kind, str) else None
