"""The note's two sentences: how probable their verb is, and how much of that reaches the subject.

The gradient is that of the verb's log probability by the rows of the embedding that the
model read, in float64, so that what is small is not yet nothing.
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
from gatelight.estimators.token_streams import END, Encoder
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


def reach(
    model: LanguageModel, sentence: str, *, subject: str = SUBJECT, verb: str = VERB, wrong: str = WRONG
) -> Reach:
    """Ask a model for the verb of a sentence, and for a wrong one; DataError for what it cannot read."""
    before, _, behind = sentence.partition(verb)
    start = before.find(subject)
    if start < 0 or not behind:
        raise DataError(
            f"{sentence!r} does not hold {subject!r} and then {verb!r}; give a sentence that does"
        )
    encode = Encoder(model.tokenizer_, model.vocabulary_)
    prefix = encode(before)
    asked = [_continued(model, encode, before, prefix, word) for word in (verb, wrong)]
    first, last = (len(encode(before[:end])) for end in (start, start + len(subject)))
    begin = model.vocabulary_.id(END)
    right, norms = _asked(model.model_, begin, prefix, asked[0])
    norms = norms[1 : len(prefix) + 1]
    own = float(np.linalg.norm(norms[first:last]))
    known = model.tokenizer_.tokens(before)
    return Reach(
        sentence=sentence,
        verb=math.exp(right),
        wrong=math.exp(_asked(model.model_, begin, prefix, asked[1])[0]),
        distance=len(prefix) - last + 1,
        gradient=own,
        fraction=own / max(float(np.linalg.norm(norms)), np.finfo(float).tiny),
        tokens=list(zip(known, norms.tolist(), strict=True)),
    )


def _continued(model: LanguageModel, encode: Encoder, before: str, prefix: Ids, word: str) -> Ids:
    """The ids of a word behind `before`."""
    whole = encode(f"{before}{word} ")
    strange = [token for token in model.tokenizer_.tokens(before + word) if token not in model.vocabulary_]
    if strange or len(whole) <= len(prefix) or (whole[: len(prefix)] != prefix).any():
        why = f"does not know {strange[0]!r}" if strange else "does not read the two as tokens of their own"
        raise DataError(f"{before + word!r}: the model {why}; give other words, or another model")
    return whole[len(prefix) :]


def _asked(model: Network, begin: int, prefix: Ids, word: Ids) -> tuple[float, NDArray[np.float64]]:
    """Log probability of the word, and the 2-norm of its gradient at each id read, `begin` first."""
    exact = copy.deepcopy(model).double().eval()
    ids = np.concatenate([[begin], prefix, word[:-1]])
    weight: torch.Tensor = exact.embedding.weight  # type: ignore[assignment]
    rows = weight.detach()[torch.from_numpy(ids.astype(np.int64))].requires_grad_()
    hidden, packing = rows, pack([len(ids)])
    with torch.enable_grad():
        for layer in exact.memory:
            hidden, _ = layer.packed(hidden, packing)  # type: ignore[operator]
        logs = torch.log_softmax(exact.scores(hidden[len(prefix) :]), 1)
        total = logs.gather(1, torch.from_numpy(word.astype(np.int64))[:, None]).sum()
        (gradient,) = torch.autograd.grad(total, rows)
    return float(total.detach()), gradient.norm(dim=1).numpy()
