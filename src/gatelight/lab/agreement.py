"""Which sentence of a minimal pair a language model finds likelier, beside n-grams. Reads no file.

A pair with a word outside the vocabulary is left out, and the word is named: to the model it is any unknown
word. A tie is a mistake, as in Marvin & Linzen (2018).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.evaluation import wilson_interval
from gatelight.estimators.language import LanguageModel
from gatelight.estimators.ngrams import KneserNey
from gatelight.estimators.texts import checked_texts
from gatelight.estimators.token_streams import END, Encoder, TokenStream
from gatelight.lab.minimal_pairs import MinimalPair
from gatelight.lab.sentence_scores import log_probabilities, ngram_log_probabilities
from gatelight.text.vocabulary import UNK_ID

MODEL, NGRAMS = "model", "n-grams"


@dataclass(frozen=True)
class Judged:
    """The pairs without unknown words, and how many nats likelier the right sentence is to each judge [P].

    `unknown` counts for each word outside the vocabulary the pairs that it leaves out, `left_out` all those.
    """

    pairs: list[MinimalPair]
    margins: dict[str, NDArray[np.float64]]
    left_out: Counter[str]
    unknown: Counter[str]


@dataclass(frozen=True)
class Share:
    """How many of the pairs of a group a judge has right, with Wilson's 95 % interval; NaN of none."""

    judge: str
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


def judge(
    model: LanguageModel,
    pairs: Sequence[MinimalPair],
    ngrams: KneserNey | None = None,
    on_stage: Callable[[str], object] = lambda stage: None,
) -> Judged:
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
    return Judged(kept, margins, left_out, unknown)


def shares(judged: Judged) -> list[Share]:
    """Accuracies of each judge: of all pairs, by construction, by distance and by nouns between."""
    found: list[Share] = []
    for by, group_of in _GROUPS.items():
        groups = np.array([group_of(pair) for pair in judged.pairs], object)
        left_out = judged.left_out if by == "construction" else Counter[str]()
        if by == "all":
            left_out = Counter({"all": judged.left_out.total()})
        names = sorted({*groups.tolist(), *left_out} - {None}, key=_order)
        found += [
            _share(judge, by, name, margins[groups == name] > 0, left_out[name])
            for name in names
            for judge, margins in judged.margins.items()
        ]
    return found


def _share(judge: str, by: str, group: str, right: NDArray[np.bool_], left_out: int) -> Share:
    pairs, hits = len(right), int(right.sum())
    low, high = wilson_interval(hits, pairs) if pairs else (np.nan, np.nan)
    return Share(judge, by, group, pairs, hits, hits / pairs if pairs else np.nan, low, high, left_out)


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
