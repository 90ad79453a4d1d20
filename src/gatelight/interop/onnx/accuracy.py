"""What int8 weights cost: a model beside what was written of it, on the same texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatelight.errors import DataError
from gatelight.estimators.classifier import TextClassifier
from gatelight.estimators.evaluation import Evaluation, measure
from gatelight.estimators.labels import checked_labels
from gatelight.interop.onnx.reading import load


@dataclass(frozen=True)
class Change:
    """Both measured, how many texts have the same answer, and how far probabilities moved at most."""

    before: Evaluation
    after: Evaluation
    same: float  # fraction of the texts
    moved: float

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        return asdict(self)

    def __str__(self) -> str:
        n, before, after = self.before.n, self.before.accuracy, self.after.accuracy
        return (
            f"accuracy {before:.2%} -> {after:.2%} ({100 * (after - before):+.2f} points) on {n:,} texts; "
            f"{self.same:.2%} with the same answer, probabilities moved by {self.moved:.4f} at most"
        )


def accuracy_change(model: TextClassifier, path: Path, texts: Sequence[str], labels: Sequence[Any]) -> Change:
    """Measure labelled texts with `model` and with the ONNX file written of it.

    The file's weights are read back as a runtime sees them, int8 times scale. Raises DataError for texts and
    labels that do not fit the model and for a file that is not of a text classifier.
    """
    written = load(path)
    if not isinstance(written, TextClassifier):
        raise DataError(f"{path} is not of a text classifier; name what was written of this model")
    targets = model.known_classes().targets(checked_labels(labels))
    if len(targets) != len(texts) or not len(texts):
        raise DataError(f"there are {len(texts)} texts and {len(targets)} labels; give one label per text")
    first, second = model.predict_proba(texts), written.predict_proba(texts)
    alike = (
        ((first >= 0.5) == (second >= 0.5)).all(axis=1)
        if model.known_classes().multilabel
        else first.argmax(axis=1) == second.argmax(axis=1)
    )
    return Change(
        measure(first, targets),
        measure(second, targets),
        float(alike.mean()),
        float(np.abs(first - second).max()),
    )
