"""What a model's accuracy loses when a gate is held open, shut or at its mean: "why forget?".

Knows estimators and labels; the holding is in `memory`, in the kernels that judge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.evaluation import judged_right
from gatelight.estimators.labels import checked_labels
from gatelight.insight.paired import paired_difference

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier

OPEN, SHUT, MEAN = "open", "shut", "mean"
MEAN_TEXTS = 200  # texts over whose tokens a gate's mean is taken

Means = dict[tuple[str, int], NDArray[np.float64]]  # gate and layer → [directions, H]


@dataclass(frozen=True)
class Ablated:
    """The accuracy with a gate of a layer held, and its change, with a 95 % interval."""

    gate: str
    layer: int
    held: str
    accuracy: float
    change: float
    low: float
    high: float
    agreement: float  # share of texts judged as by the model itself


@dataclass(frozen=True)
class Ablation:
    """A model's accuracy on n texts, and with each gate held; none for a cell that has none."""

    cell: str
    texts: int
    accuracy: float
    held: list[Ablated]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        return asdict(self)


def ablate(
    model: TextClassifier,
    texts: Sequence[str],
    labels: Sequence[Any],
    *,
    seed: int = 0,
    on_done: Callable[[int, int], object] = lambda done, all_: None,
) -> Ablation:
    """Judge labelled texts with each gate of each layer held open, shut, and at each unit's own mean.

    The mean is over the tokens of the first 200 texts. Intervals are of the paired bootstrap over texts.
    Raises DataError for no text or labels that are none of the model's classes.
    """
    texts = list(texts)
    targets = model.known_classes().targets(checked_labels(labels))
    if not texts or len(texts) != len(targets):
        raise DataError(f"there are {len(texts)} texts and {len(targets)} labels; give one per text")
    whole = model.predict_proba(texts)
    right, answers = judged_right(whole, targets), whole.argmax(axis=1)
    means = gate_means(model, texts[:MEAN_TEXTS])
    found: list[Ablated] = []
    for (gate, layer), mean in means.items():
        for held in (OPEN, SHUT, MEAN):
            changed = model
            if held == MEAN:
                for direction, values in enumerate(mean):
                    value: dict[str, Any] = {gate: values}
                    changed = changed.with_gates(layer=layer, direction=direction, **value)
            else:
                value = {gate: float(held == OPEN)}
                changed = model.with_gates(layer=layer, **value)
            shares = changed.predict_proba(texts)
            now = judged_right(shares, targets)
            gain = paired_difference(now[None], right[None], seed=seed)
            alike = float((shares.argmax(axis=1) == answers).mean())
            found.append(Ablated(gate, layer, held, float(now.mean()), gain.mean, gain.low, gain.high, alike))
            on_done(len(found), 3 * len(means))
    return Ablation(model.model_.config.cell, len(texts), float(right.mean()), found)


def gate_means(model: TextClassifier, texts: Sequence[str]) -> Means:
    """Return each gate's mean over all tokens of the texts, by layer: [directions, H]."""
    totals: Means = {}
    tokens = 0
    for trace in model.traces(texts):
        tokens += sum(map(len, trace.steps))
        for name in trace.names:
            if name.endswith("_gate"):
                for text in range(len(trace)):
                    values = trace.of_text(text)[name].sum(axis=0, dtype=np.float64)
                    for layer in range(trace.layers):
                        totals[name, layer] = totals.get((name, layer), 0) + values[layer]
    if not tokens:
        raise DataError("no text holds a token that the model reads; give texts with words")
    return {place: total / tokens for place, total in totals.items()}
