"""Which sentence of a minimal pair a language model finds likelier, beside n-grams.

A pair with a word outside the vocabulary is left out, and the word is named: to the model it is any unknown
word. A tie is a mistake, as in Marvin & Linzen (2018).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.evaluation import wilson_interval
from gatelight.estimators.kneser_ney import KneserNey
from gatelight.estimators.language_model import LanguageModel
from gatelight.estimators.texts import checked_texts
from gatelight.estimators.token_streams import END, Encoder, TokenStream
from gatelight.lab.minimal_pairs import MinimalPair
from gatelight.models.language_model import LanguageModel as Network
from gatelight.models.language_model import State
from gatelight.models.predicting import evaluating
from gatelight.nn import pack
from gatelight.text.vocabulary import UNK_ID

MODEL, NGRAMS = "model", "n-grams"
BLOCK = 2048  # sentences read together, which bounds the memory of their states
SCORES = 1 << 23  # scores kept at a time

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class ScoredPairs:
    """The pairs without unknown words, and how many nats likelier the right sentence is to each scorer [P].

    `unknown` counts for each word outside the vocabulary the pairs that it leaves out, `left_out` all those.
    """

    pairs: list[MinimalPair]
    margins: dict[str, NDArray[np.float64]]
    left_out: Counter[str]
    unknown: Counter[str]


@dataclass(frozen=True)
class Accuracy:
    """How many pairs of a group the model or the n-grams have right; `low` and `high` are Wilson's, 95 %."""

    scorer: str
    by: str
    group: str
    pairs: int
    right: int
    accuracy: float
    low: float
    high: float
    left_out: int


def ngrams_of(model: LanguageModel, texts: Iterable[str], order: int | None = None) -> KneserNey:
    """Count n-grams of texts cut as the model cuts them; the order is lowered until they can be numbered."""
    size, order = len(model.vocabulary_), model.order if order is None else order
    while size**order >= 2**63:
        order -= 1
    stream = TokenStream.of(checked_texts(texts), model.tokenizer_, model.vocabulary_)
    return KneserNey(stream.ids, size, order, begin=model.vocabulary_.id(END))


def score_pairs(
    model: LanguageModel,
    pairs: Sequence[MinimalPair],
    ngrams: KneserNey | None = None,
    on_stage: Callable[[str], object] = lambda stage: None,
) -> ScoredPairs:
    """Give each distinct sentence of the pairs its log probability, and each pair its margin.

    Raises DataError where every pair holds an unknown word.
    """
    on_stage("tokenize")
    sentences = list(dict.fromkeys(text for pair in pairs for text in (pair.good, pair.bad)))
    number = {text: k for k, text in enumerate(sentences)}
    encode = Encoder(model.tokenizer_, model.vocabulary_)
    ids = [encode(text) for text in sentences]
    strange = {
        text: [token for token in set(model.tokenizer_.tokens(text)) if token not in model.vocabulary_]
        for text, row in zip(sentences, ids, strict=True)
        if (row == UNK_ID).any()
    }
    kept, left_out, unknown = [], Counter[str](), Counter[str]()
    for pair in pairs:
        words = {*strange.get(pair.good, ()), *strange.get(pair.bad, ())}
        if words:
            left_out[pair.construction] += 1
            unknown.update(words)
        else:
            kept.append(pair)
    if not kept:
        raise DataError(
            f"all {len(pairs)} pairs hold words that the model does not know, like "
            f"{', '.join(repr(word) for word, _ in unknown.most_common(3))}; it cannot be asked about them"
        )
    asked = list(dict.fromkeys(number[text] for pair in kept for text in (pair.good, pair.bad)))
    begin = model.vocabulary_.id(END)
    on_stage(MODEL)
    found = {MODEL: log_probabilities(model.model_, [ids[k] for k in asked], begin)}
    if ngrams is not None:
        on_stage(NGRAMS)
        found[NGRAMS] = ngram_log_probabilities(ngrams, [ids[k] for k in asked], begin)
    place = {k: n for n, k in enumerate(asked)}
    good = np.array([place[number[pair.good]] for pair in kept])
    bad = np.array([place[number[pair.bad]] for pair in kept])
    margins = {name: logs[good] - logs[bad] for name, logs in found.items()}
    return ScoredPairs(kept, margins, left_out, unknown)


def accuracies(scored: ScoredPairs) -> list[Accuracy]:
    """Accuracies of all pairs, by construction, by distance and by nouns between; NaN of none."""
    found: list[Accuracy] = []
    for by, group_of in _GROUPS.items():
        groups = np.array([group_of(pair) for pair in scored.pairs], object)
        left_out = scored.left_out if by == "construction" else Counter[str]()
        if by == "all":
            left_out = Counter({"all": scored.left_out.total()})
        names = sorted({*groups.tolist(), *left_out} - {None}, key=_order)
        found += [
            _accuracy(scorer, by, name, margins[groups == name] > 0, left_out[name])
            for name in names
            for scorer, margins in scored.margins.items()
        ]
    return found


def _accuracy(scorer: str, by: str, group: str, right: NDArray[np.bool_], left_out: int) -> Accuracy:
    pairs, hits = len(right), int(right.sum())
    low, high = wilson_interval(hits, pairs) if pairs else (np.nan, np.nan)
    return Accuracy(scorer, by, group, pairs, hits, hits / pairs if pairs else np.nan, low, high, left_out)


def _count(value: int | None) -> str | None:
    return None if value is None else str(value)


def _order(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdigit() else (0, name)


_GROUPS: dict[str, Callable[[MinimalPair], str | None]] = {
    "all": lambda pair: "all",
    "construction": lambda pair: pair.construction,
    "distance": lambda pair: _count(pair.distance),
    "nouns between": lambda pair: _count(pair.nouns),
}


def log_probabilities(model: Network, sentences: Sequence[Ids], begin: int) -> NDArray[np.float64]:
    """Log probability in nats of each sentence's ids after the id `begin`, float64 [S]; none of its end."""
    order = sorted(range(len(sentences)), key=lambda k: sentences[k].astype(">i4").tobytes())
    total = np.zeros(len(sentences))
    with evaluating(model):
        for first in range(0, len(order), BLOCK):
            block = order[first : first + BLOCK]
            total[block] = _of_block(model, [sentences[k] for k in block], begin)
    return total


def _of_block(model: Network, sentences: list[Ids], begin: int) -> NDArray[np.float64]:
    lengths = np.array([len(ids) for ids in sentences])
    padded = np.zeros((len(sentences), max(1, lengths.max(initial=0))), np.int64)
    for row, ids in zip(padded, sentences, strict=True):
        row[: len(ids)] = ids
    total, place = np.zeros(len(sentences)), np.zeros(len(sentences), np.int64)
    hidden, state = model.hidden(np.array([begin], np.int32), pack([1]), model.initial(1))
    for step in range(padded.shape[1]):
        here = np.flatnonzero(lengths > step)
        total[here] += _asked(model, hidden, place[here], padded[here, step])
        here = here[lengths[here] > step + 1]
        if not len(here):
            break
        key = place[here] * model.config.vocabulary_size + padded[here, step]
        beginnings, place[here] = np.unique(key, return_inverse=True)
        parent, token = np.divmod(beginnings, model.config.vocabulary_size)
        before: State = [
            tuple(part.index_select(1, torch.from_numpy(parent)) for part in layer) for layer in state
        ]
        ones = pack(np.ones(len(token), np.int64))
        hidden, state = model.hidden(token.astype(np.int32), ones, before)
    return total


def _asked(
    model: Network, hidden: torch.Tensor, row: NDArray[np.int64], token: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The log probability of each token after the hidden row of that number."""
    found = np.empty(len(row))
    height = max(1, SCORES // model.config.vocabulary_size)
    for begin in range(0, len(hidden), height):
        chosen = np.flatnonzero((row >= begin) & (row < begin + height))
        logs = torch.log_softmax(model.scores(hidden[begin : begin + height]).double(), 1).numpy()
        found[chosen] = logs[row[chosen] - begin, token[chosen]]
    return found


def ngram_log_probabilities(model: KneserNey, sentences: Sequence[Ids], begin: int) -> NDArray[np.float64]:
    """The same of n-grams; each distinct n-gram is looked up once."""
    total = np.zeros(len(sentences))
    mark = np.full(model.order - 1, begin, np.int64)
    powers = model.size ** np.arange(model.order - 1, -1, -1)
    for first in range(0, len(sentences), BLOCK):
        block = sentences[first : first + BLOCK]
        marked = [np.concatenate([mark, ids]) for ids in block if len(ids)]
        windows = [sliding_window_view(ids, model.order) @ powers for ids in marked]
        numbers, which = np.unique(np.concatenate([np.zeros(0, np.int64), *windows]), return_inverse=True)
        grams = (numbers[:, None] // powers % model.size).astype(np.int32)
        logs = np.log(model.probabilities(grams.ravel())[model.order - 1 :: model.order])[which]
        owner = np.repeat(np.arange(len(block)), [len(ids) for ids in block])
        total[first : first + BLOCK] = np.bincount(owner, logs, len(block))
    return total
