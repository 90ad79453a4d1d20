"""How probable whole sentences are to a language model or to n-grams; knows no grammar.

A sentence's beginning is read once however many sentences share it: minimal pairs are made of few words, so
of their sentences' tokens few are new. Legend: P beginnings, S sentences, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gatelight.estimators.ngrams import KneserNey
from gatelight.models.language_model import LanguageModel, State
from gatelight.models.predicting import judging
from gatelight.nn import pack

Ids = NDArray[np.int32]
BLOCK = 2048  # sentences read together, which bounds the memory of their states
SCORES = 1 << 23  # scores held at a time


def log_probabilities(model: LanguageModel, sentences: Sequence[Ids], begin: int) -> NDArray[np.float64]:
    """Log probability in nats of each sentence's ids after the id `begin`, float64 [S]; none of its end."""
    order = sorted(range(len(sentences)), key=lambda k: sentences[k].astype(">i4").tobytes())
    total = np.zeros(len(sentences))
    with judging(model):
        for first in range(0, len(order), BLOCK):
            block = order[first : first + BLOCK]
            total[block] = _of_block(model, [sentences[k] for k in block], begin)
    return total


def _of_block(model: LanguageModel, sentences: list[Ids], begin: int) -> NDArray[np.float64]:
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
    model: LanguageModel, hidden: torch.Tensor, row: NDArray[np.int64], token: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The log probability of each token after the hidden row of that number."""
    found = np.empty(len(row))
    height = max(1, SCORES // model.config.vocabulary_size)
    for begin in range(0, len(hidden), height):
        chosen = np.flatnonzero((row >= begin) & (row < begin + height))
        shares = torch.log_softmax(model.scores(hidden[begin : begin + height]).double(), 1).numpy()
        found[chosen] = shares[row[chosen] - begin, token[chosen]]
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
