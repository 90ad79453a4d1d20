"""What int8 weights cost: a model beside what was written of it, judged on the same texts. Knows no graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatelight.errors import DataError
from gatelight.estimators.classifier import TextClassifier
from gatelight.estimators.evaluation import Evaluation, evaluate
from gatelight.interop.onnx.reading import load


@dataclass(frozen=True)
class Change:
    """Both judged, how many texts are judged alike, and how far the probabilities moved at most."""

    before: Evaluation
    after: Evaluation
    same: float  # share of the texts
    moved: float

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        return asdict(self)

    def __str__(self) -> str:
        n, before, after = self.before.n, self.before.accuracy, self.after.accuracy
        return (
            f"accuracy {before:.2%} -> {after:.2%} ({100 * (after - before):+.2f} points) on {n:,} texts; "
            f"{self.same:.2%} judged alike, probabilities moved by {self.moved:.4f} at most"
        )


def accuracy_change(model: TextClassifier, path: Path, texts: Sequence[str], labels: Sequence[Any]) -> Change:
    """Judge labelled texts with `model` and with the ONNX file written of it.

    The file's weights are read back as a runtime sees them, int8 times scale. Raises DataError for texts and
    labels that do not fit the model and for a file that is not of a text classifier.
    """
    written = load(path)
    if not isinstance(written, TextClassifier):
        raise DataError(f"{path} is not of a text classifier; name what was written of this model")
    before, after = (evaluate(judge, texts, labels, baseline=False) for judge in (model, written))
    first, second = model.predict_proba(texts), written.predict_proba(texts)
    alike = (
        ((first >= 0.5) == (second >= 0.5)).all(axis=1)
        if model.known_classes().multilabel
        else first.argmax(axis=1) == second.argmax(axis=1)
    )
    return Change(before, after, float(alike.mean()), float(np.abs(first - second).max()))
