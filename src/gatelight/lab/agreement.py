"""Which sentence of a minimal pair a language model finds likelier, beside n-grams.

A pair with a word outside the vocabulary is left out, and the word is named: to the model it is any unknown
word. A tie is a mistake, as in Marvin & Linzen (2018).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.evaluation import wilson_interval
from gatelight.estimators.kneser_ney import KneserNey
from gatelight.estimators.language_model import LanguageModel
from gatelight.estimators.texts import checked_texts
from gatelight.estimators.token_streams import END, TokenStream
from gatelight.lab.minimal_pairs import MinimalPair
from gatelight.models.batches import Sequences
from gatelight.models.predicting import score_documents

MODEL, NGRAMS = "model", "n-grams"


@dataclass(frozen=True)
class ScoredPairs:
    """The pairs without unknown words, and how many nats likelier the right sentence is to each scorer [P].

    `unknown` counts for each word outside the vocabulary the pairs that it leaves out, `left_out` all those
    by construction.
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


def ngrams_of(model: LanguageModel, texts: Iterable[str]) -> KneserNey:
    """Count n-grams of texts cut as the model cuts them."""
    vocabulary = model.vocabulary_
    stream = TokenStream.of_texts(checked_texts(texts), model.tokenizer_, vocabulary)
    return KneserNey(stream.ids, len(vocabulary), model.order, begin=vocabulary.id(END))


def score_pairs(
    model: LanguageModel, pairs: Sequence[MinimalPair], ngrams: KneserNey | None = None
) -> ScoredPairs:
    """Give each pair the log probability of its right sentence less that of the wrong one.

    Raises DataError where every pair holds an unknown word.
    """
    kept, left_out, unknown = [], Counter[str](), Counter[str]()
    for pair in pairs:
        words = {word for text in (pair.good, pair.bad) for word in model.tokenizer_.tokens(text)}
        strange = [word for word in words if word not in model.vocabulary_]
        if strange:
            left_out[pair.construction] += 1
            unknown.update(strange)
        else:
            kept.append(pair)
    if not kept:
        raise DataError(
            f"all {len(pairs)} pairs hold words that the model does not know, like "
            f"{', '.join(repr(word) for word, _ in unknown.most_common(3))}; it cannot be asked about them"
        )
    texts = [text for pair in kept for text in (pair.good, pair.bad)]
    sentences = [model.vocabulary_.ids(model.tokenizer_.tokens(text)) for text in texts]
    begin = model.vocabulary_.ids([END])
    read = [ids for sentence in sentences for ids in (begin, sentence)]
    documents = Sequences.of(np.concatenate(read), [1 + len(ids) for ids in sentences])
    found = {MODEL: -score_documents(model.model_, documents)[0]}
    if ngrams is not None:
        found[NGRAMS] = np.array([np.log(ngrams.probabilities(ids)).sum() for ids in sentences])
    return ScoredPairs(
        kept, {scorer: logs[::2] - logs[1::2] for scorer, logs in found.items()}, left_out, unknown
    )


def accuracies(scored: ScoredPairs) -> list[Accuracy]:
    """Accuracies of all pairs, by construction and by distance; NaN of none."""
    found = _accuracies(scored, "all", ["all"] * len(scored.pairs), Counter(all=scored.left_out.total()))
    found += _accuracies(
        scored, "construction", [pair.construction for pair in scored.pairs], scored.left_out
    )
    return found + _accuracies(scored, "distance", [pair.distance for pair in scored.pairs], Counter())


def _accuracies(
    scored: ScoredPairs, by: str, groups: Sequence[str | int | None], left_out: Counter[str]
) -> list[Accuracy]:
    found = []
    for group in sorted({*groups, *left_out} - {None}):  # type: ignore[type-var]
        here = np.array([it == group for it in groups], np.bool_)
        for scorer, margins in scored.margins.items():
            pairs, right = int(here.sum()), int((margins[here] > 0).sum())
            low, high = wilson_interval(right, pairs) if pairs else (np.nan, np.nan)
            accuracy = right / pairs if pairs else np.nan
            out = left_out[str(group)]
            found.append(Accuracy(scorer, by, str(group), pairs, right, accuracy, low, high, out))
    return found
