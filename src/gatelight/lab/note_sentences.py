"""The note's two sentences: how probable their verb is, and how much of that reaches the subject.

The gradient is that of the verb's log probability by the embedding's rows that the model read, in float64,
so that what is small is not yet nothing.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.language_model import LanguageModel
from gatelight.estimators.token_streams import END
from gatelight.models.language_model import LanguageModel as Network
from gatelight.nn import pack

SENTENCES = (
    "The young woman went to the movies with her friends.",
    "The young woman, having found a free ticket on the ground, went to the movies.",
)
SUBJECT, VERB, WRONG = "woman", "went", "go"

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Reach:
    """What one model makes of one sentence.

    `verb` and `wrong` are the probabilities of the two words where the verb stands, a space behind them
    included where the model reads white space. `gradient` is the 2-norm of what reaches the subject's tokens,
    `fraction` that of all tokens' gradient, `tokens` each token before the verb with its own norm.
    `distance` is the number of tokens from the subject's last to the verb's first.
    """

    sentence: str
    verb: float
    wrong: float
    distance: int
    gradient: float
    fraction: float
    tokens: list[tuple[str, float]]


def reach(model: LanguageModel, sentence: str, *, wrong: str = WRONG) -> Reach:
    """Ask a model for the verb of one of `SENTENCES`, and for a wrong one; DataError for unknown words."""
    before = sentence.partition(VERB)[0]
    start = before.index(SUBJECT)
    prefix = _ids(model, before)
    words = [_continued(model, before, word) for word in (VERB, wrong)]
    (verb, norms), (other, _) = (_log_probability(model, prefix, ids) for ids in words)
    first, last = (len(_ids(model, before[:end])) for end in (start, start + len(SUBJECT)))
    own = float(np.linalg.norm(norms[first:last]))
    return Reach(
        sentence=sentence,
        verb=math.exp(verb),
        wrong=math.exp(other),
        distance=len(prefix) - last + 1,
        gradient=own,
        fraction=own / max(float(np.linalg.norm(norms)), np.finfo(float).tiny),
        tokens=list(zip(model.tokenizer_.tokens(before), norms.tolist(), strict=True)),
    )


def _ids(model: LanguageModel, text: str) -> Ids:
    return model.vocabulary_.ids(model.tokenizer_.tokens(text))


def _continued(model: LanguageModel, before: str, word: str) -> Ids:
    """The ids of a word behind `before`."""
    for token in model.tokenizer_.tokens(before + word):
        if token not in model.vocabulary_:
            raise DataError(
                f"{before + word!r}: the model does not know {token!r}; give another word, or another model"
            )
    return _ids(model, f"{before}{word} ")[len(_ids(model, before)) :]


def _log_probability(model: LanguageModel, prefix: Ids, word: Ids) -> tuple[float, NDArray[np.float64]]:
    """Log probability of the word after the prefix, and the 2-norm of its gradient at each id of that."""
    exact: Network = copy.deepcopy(model.model_).double().eval()
    ids = np.concatenate([[model.vocabulary_.id(END)], prefix, word[:-1]]).astype(np.int64)
    rows = exact.embedding.weight.detach()[torch.from_numpy(ids)].requires_grad_()
    hidden, packing = rows, pack([len(ids)])
    with torch.enable_grad():
        for layer in exact.memory:
            hidden, _ = layer.packed(hidden, packing)  # type: ignore[operator]
        logs = torch.log_softmax(exact.scores(hidden[len(prefix) :]), 1)
        total = logs.gather(1, torch.from_numpy(word.astype(np.int64))[:, None]).sum()
        (gradient,) = torch.autograd.grad(total, rows)
    return float(total.detach()), gradient.norm(dim=1)[1 : len(prefix) + 1].numpy()
