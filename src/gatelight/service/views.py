"""What the page shows of a text, as JSON-able values: tokens, running predictions, contributions, traces.

The service sends these one by one, a report holds them all. Arrays stay NumPy's; who writes JSON turns them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from gatelight.estimators.classifier import TextClassifier
from gatelight.estimators.language_model import LanguageModel
from gatelight.estimators.token_streams import END
from gatelight.text.vocabulary import UNK_ID

MOST_NGRAMS = 30  # those that contribute most
AT_ONCE = 64  # tokens whose scores, one for each word of the vocabulary, are kept at a time


def running(model: Any, text: str) -> dict[str, Any]:
    """Return a text's tokens, each with what becomes of it, and what the model says after each.

    Of a classifier: the probability of each class, after each token by its recurrent side alone. Of a
    language model: what each token costs, in bits, and no classes.
    """
    if isinstance(model, LanguageModel):
        return _surprise(model, text)
    (understood,) = model.understand([text])
    columns, (unknown,) = model.proba_and_unknown_fraction([text])
    classes = model.known_classes()
    ((label, _),) = classes.answers(columns)
    return {
        "tokens": [token._asdict() for token in understood.tokens],
        "classes": classes.plain(),
        "multilabel": classes.multilabel,
        "before": model.recurrent_proba([""])[0],
        "running": model.running_proba(text),
        "probabilities": columns[0],
        "label": label,
        "unknown": float(unknown),
        "bits": None,
    }


def _surprise(model: LanguageModel, text: str) -> dict[str, Any]:
    tokens, vocabulary = model.tokenizer_.tokens(text), model.vocabulary_
    ids = vocabulary.ids([END, *tokens])
    state, bits = model.model_.initial(1), np.zeros(len(tokens))
    for begin in range(0, len(tokens), AT_ONCE):
        before = ids[begin : min(begin + AT_ONCE, len(tokens))]
        scores, state = model.reader_.read(before, state)
        logs = log_softmax(scores.astype(np.float64), axis=1)
        end = begin + len(before)
        bits[begin:end] = logs[np.arange(len(before)), ids[begin + 1 : end + 1]] / -np.log(2)
    known = [token in vocabulary for token in tokens]
    return {
        "tokens": [
            {"text": token, "known": is_known, "read_as": token if is_known else vocabulary.tokens[UNK_ID]}
            for token, is_known in zip(tokens, known, strict=True)
        ],
        "classes": [],
        "multilabel": False,
        "before": [],
        "running": [],
        "probabilities": [],
        "label": None,
        "unknown": known.count(False) / max(len(known), 1),
        "bits": bits,
    }


def explanation(model: TextClassifier, text: str, method: str, target: Any = None) -> dict[str, Any]:
    """Return what each token contributed to the model's answer, or to the class `target`."""
    found = model.explain(text, method, target=target)
    told = found.to_dict()
    return {
        "method": found.method,
        "target": told["target"],
        "probability": float(found.probability),
        "score": float(found.score),
        "base": None if found.base is None else float(found.base),
        "baseline": found.baseline,
        "gap": None if found.gap is None else float(found.gap),
        "tokens": found.steps.tokens,
        "places": found.steps.places,
        "contributions": found.contributions,
        "ngrams": [{"ngram": n, "contribution": part} for n, part in (found.ngrams or ())[:MOST_NGRAMS]],
    }


def trace(model: Any, text: str, layer: int = 0, direction: int = 0, units: int = 32) -> dict[str, Any]:
    """Return every gate and state of the most active units at every token, [tokens, units] each.

    `units` come most active first; `half_lives` in tokens (None: forever; of an RNN there are none). Raises
    DataError for a layer or direction that there is not.
    """
    from gatelight.insight.gates import activity_order, half_lives

    traced = model.trace([text])
    values = {name: traced.gate(name, 0, layer, direction) for name in traced.names}
    chosen = activity_order(traced, 0, layer, direction)[:units]
    lives = np.zeros(0) if traced.cell == "rnn" else half_lives(traced, layer, direction)
    return {
        "cell": traced.cell,
        "names": list(traced.names),
        "layer": layer,
        "direction": direction,
        "layers": traced.layers,
        "directions": traced.directions,
        "all_units": traced.hidden_size,
        "tokens": traced.steps[0].tokens,
        "places": traced.steps[0].places,
        "units": chosen.tolist(),
        "half_lives": [float(life) if np.isfinite(life) else None for life in lives[chosen[: len(lives)]]],
        "values": {name: np.ascontiguousarray(rows[:, chosen]) for name, rows in values.items()},
    }


def clamped(model: Any, layer: int, gates: Mapping[str, float]) -> Any:
    """Return the model with some gates clamped to a value; the model itself where none are."""
    return model.with_gates(layer=layer, **gates) if gates else model


def generated(model: LanguageModel, prompt: str, units: int, **how: Any) -> Iterator[dict[str, Any]]:
    """Yield pieces of a text as they are generated, each with its tokens and the last layer's hidden states.

    Of the first `units` of them, float32 [tokens, units].
    """
    session = model.session() if units else None
    if session is not None and prompt:
        session.feed(prompt)
    for piece in model.pieces(prompt, **how):
        tokens = _chunks(model, piece)
        states = []
        if session is not None:
            for token in tokens:
                session.feed(token)
                place = session.position().place
                if place is not None:
                    states.append(place.state[-1][0].numpy()[0, 0, :units].copy())
        if piece:
            yield {"text": piece, "tokens": tokens, "states": states}


def _chunks(model: LanguageModel, piece: str) -> list[str]:
    if model.tokenizer_.settings()["kind"] in ("word", "treebank"):
        return re.findall(r"\s*\S+|\s+", piece)
    return list(piece)


def plain(value: Any) -> Any:
    """Return a view with arrays as lists of numbers that are no longer than they need to be."""
    if isinstance(value, np.ndarray):
        return _short(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _short(array: NDArray[Any]) -> Any:
    # Five decimals: more than a picture shows, in half of the bytes.
    return np.round(array.astype(np.float64), 5).tolist()
