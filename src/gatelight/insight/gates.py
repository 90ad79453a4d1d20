"""What gates do: how long units remember, which move most or alike, what a clamped gate costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage

from gatelight.errors import DataError
from gatelight.estimators.evaluation import is_right
from gatelight.estimators.labels import checked_labels
from gatelight.estimators.tracing import Trace
from gatelight.insight.paired import Difference, paired_difference

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier

MEAN_TEXTS = 200  # texts over whose tokens a gate's mean is taken
Floats = NDArray[np.float64]
KEEPING = {"lstm": "forget_gate", "peephole": "forget_gate", "gru": "update_gate"}


def half_lives(trace: Trace, layer: int = 0, direction: int = 0) -> Floats:
    """Return after how many tokens half of what a unit holds is left, [H]; inf where nothing is forgotten.

    From the mean of log f over all tokens of the trace: ln ½ ÷ mean, f being the forget gate, or a GRU's
    update gate. 0 where f was 0 at some token. Raises DataError for a cell without such a gate.
    """
    if trace.cell not in KEEPING:
        raise DataError(f"a {trace.cell} has no gate that keeps: it writes all over at every step")
    logs = np.zeros(trace.hidden_size)
    with np.errstate(divide="ignore"):
        for text in range(len(trace)):
            kept = trace.gate(KEEPING[trace.cell], text, layer, direction)
            logs += np.log(kept.astype(np.float64)).sum(axis=0)
        tokens = sum(map(len, trace.steps))
        lives: Floats = np.log(0.5) / np.minimum(logs / max(tokens, 1), -0.0)
    return np.abs(lives)


def activity_order(trace: Trace, text: int = 0, layer: int = 0, direction: int = 0) -> NDArray[np.int64]:
    """Return the units [H], those whose hidden state moves most over the text first."""
    moved = trace.gate("hidden_state", text, layer, direction)
    return np.argsort(-moved.std(axis=0) if len(moved) else np.zeros(moved.shape[1]), kind="stable")


def similar_order(trace: Trace, text: int = 0, layer: int = 0, direction: int = 0) -> NDArray[np.int64]:
    """Return the units [H] so that those that go alike stand together: leaves of average linkage on 1 − r."""
    states = trace.gate("hidden_state", text, layer, direction).astype(np.float64)
    size = states.shape[1]
    if len(states) < 2 or size < 3:
        return np.arange(size)
    centred = states - states.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=0)
    centred /= np.where(lengths > 0, lengths, 1)
    apart = np.clip(1 - centred.T @ centred, 0, 2)
    tree = linkage(apart[np.triu_indices(size, 1)], "average")
    order: NDArray[np.int64] = leaves_list(tree).astype(np.int64)
    return order


@dataclass(frozen=True)
class Clamped:
    """The accuracy with a gate of a layer clamped "open", "shut" or at its "mean", and its change.

    `same` is the fraction of texts classified as without.
    """

    gate: str
    layer: int
    at: str
    accuracy: float
    change: Difference
    same: float


def ablate(
    model: TextClassifier, texts: Sequence[str], labels: Sequence[Any], *, seed: int = 0
) -> list[Clamped]:
    """Classify labelled texts with each gate of each layer clamped open, shut, and at each unit's own mean.

    The mean is over the tokens of the first 200 texts. Intervals are of the paired bootstrap over texts.
    Empty for a cell without gates. Raises DataError for no text or labels that are none of the model's.
    """
    targets = model.known_classes().targets(checked_labels(labels))
    if not texts or len(texts) != len(targets):
        raise DataError(f"there are {len(texts)} texts and {len(targets)} labels; give one per text")
    whole = model.predict_proba(texts)
    right, predicted = is_right(whole, targets), whole.argmax(axis=1)
    found: list[Clamped] = []
    for (gate, layer), mean in gate_means(model, texts[:MEAN_TEXTS]).items():
        for at, values in (("open", np.ones_like(mean)), ("shut", np.zeros_like(mean)), ("mean", mean)):
            clamped = model
            for direction, of_units in enumerate(values):
                value: dict[str, Any] = {gate: of_units}
                clamped = clamped.with_gates(layer=layer, direction=direction, **value)
            columns = clamped.predict_proba(texts)
            now = is_right(columns, targets)
            change = paired_difference(now[None], right[None], seed=seed)
            same = float((columns.argmax(axis=1) == predicted).mean())
            found.append(Clamped(gate, layer, at, float(now.mean()), change, same))
    return found


def gate_means(model: TextClassifier, texts: Sequence[str]) -> dict[tuple[str, int], Floats]:
    """Return each gate's mean over all tokens of the texts, by layer: [directions, H]."""
    totals: dict[tuple[str, int], Floats] = {}
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
