"""What a trace tells: how long units remember, which gates stand open, what each word wrote and wiped.

Knows traces and what a model says of the beginnings of a text; computes no gate itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage

from gatelight.errors import DataError
from gatelight.estimators.tracing import Trace

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier

SHUT, OPEN = 0.1, 0.9
Floats = NDArray[np.float64]
KEEPING = {"lstm": "forget_gate", "peephole": "forget_gate", "gru": "update_gate"}


def half_lives(trace: Trace, layer: int = 0, direction: int = 0) -> Floats:
    """Return after how many tokens half of what a unit holds is left, [H]; inf where nothing is forgotten.

    From the mean of log f over all tokens of the trace: ln ½ ÷ mean, f being the forget gate, or a GRU's
    update gate. 0 where f was 0 at some token. Raises DataError for a cell without such a gate.
    """
    logs = np.zeros(trace.hidden_size)
    with np.errstate(divide="ignore"):
        for text in range(len(trace)):
            kept = trace.gate(_keeping(trace), text, layer, direction)
            logs += np.log(kept.astype(np.float64)).sum(axis=0)
        tokens = sum(map(len, trace.steps))
        lives: Floats = np.log(0.5) / np.minimum(logs / max(tokens, 1), -0.0)
    return np.abs(lives)


def saturation(trace: Trace, layer: int = 0, direction: int = 0) -> dict[str, tuple[Floats, Floats]]:
    """Return for each gate the shares of tokens where it was shut (< 0.1) and open (> 0.9), each [H]."""
    found = {}
    tokens = max(sum(map(len, trace.steps)), 1)
    for name in trace.names:
        if name.endswith("_gate"):
            gates = [trace.gate(name, text, layer, direction) for text in range(len(trace))]
            shut, opened = (
                np.sum([(gate < SHUT).sum(axis=0) for gate in gates], axis=0) / tokens,
                np.sum([(gate > OPEN).sum(axis=0) for gate in gates], axis=0) / tokens,
            )
            found[name] = shut, opened
    return found


def written_and_wiped(
    trace: Trace, text: int = 0, layer: int = 0, direction: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how much each token wrote into each unit and how much it wiped of what was there, each [T, H].

    |i·g| and |(1 − f)·c(t−1)|; in a GRU |(1 − z)·n| and |(1 − z)·h(t−1)|. In direction 1 the step before a
    token is the one after it in the text. Raises DataError for a cell without such gates.
    """
    keep = trace.gate(_keeping(trace), text, layer, direction)
    held = "cell_state" if "cell_state" in trace.names else "hidden_state"
    state = trace.gate(held, text, layer, direction)
    before = np.zeros_like(state)
    if direction:
        before[:-1] = state[1:]
    else:
        before[1:] = state[:-1]
    candidate = trace.gate("candidate", text, layer, direction)
    let_in = 1 - keep if trace.cell == "gru" else trace.gate("input_gate", text, layer, direction)
    return np.abs(let_in * candidate), np.abs((1 - keep) * before)


@dataclass(frozen=True)
class Turn:
    """The token that changed a text's judgement most: the probability of `target` before and after it."""

    place: int
    token: str
    target: Any
    before: float
    after: float


def turning_point(model: TextClassifier, text: str, target: Any = None) -> Turn:
    """Return the token at which the probability of a class moved most; `target` None: the one judged last.

    Raises DataError for a text of no tokens and a class that there is not.
    """
    tokens, names = model.tokenizer_.tokens(text), model.classes_.tolist()
    if not tokens:
        raise DataError("the text has no token; give one with words")
    if target is not None and target not in names:
        raise DataError(f"there is no class {target!r}; the model has {', '.join(map(str, names[:9]))}")
    shares = np.concatenate([model.predict_proba([""]), model.running_proba(text)]).astype(np.float64)
    number = int(shares[-1].argmax()) if target is None else names.index(target)
    path = shares[:, number]
    place = int(np.abs(np.diff(path)).argmax())
    return Turn(place, tokens[place], names[number], float(path[place]), float(path[place + 1]))


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


def _keeping(trace: Trace) -> str:
    if trace.cell not in KEEPING:
        raise DataError(f"a {trace.cell} has no gate that keeps: it writes all over at every step")
    return KEEPING[trace.cell]
