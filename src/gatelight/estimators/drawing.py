"""Texts drawn from a language model piece by piece, never half a character."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.sessions import Position
from gatelight.estimators.token_streams import END
from gatelight.models.config import check_number, check_whole
from gatelight.models.generation import Reader
from gatelight.nn.kernels.sampling import Drawing
from gatelight.text.detokenizer import Detokenizer, graphemes
from gatelight.text.tokenizers import Tokenizer
from gatelight.text.vocabulary import PAD_ID, UNK_ID, Vocabulary

READ_AT_ONCE = 1 << 26  # weights read, for token after token, between two pieces of text: a few milliseconds
MOST_AT_ONCE = 1024  # tokens
MOST_MORE = 32  # tokens drawn past the length to end a character


def written(
    reader: Reader,
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    at: Position,
    begun: bool,
    length: int,
    how: Drawing,
    random: np.random.Generator,
) -> Iterator[str]:
    """Yield a text of `length` tokens from a place on, piece by piece; `begun`: a text stands before."""
    end, tokens = vocabulary.id(END), vocabulary.tokens
    allowed = np.ones(len(tokens), np.bool_)
    allowed[[PAD_ID, UNK_ID]] = False
    assert at.place is not None
    scores, state = at.answer, at.place.state
    writer = Detokenizer(tokenizer, begun)

    def draw(count: int) -> NDArray[np.int32]:
        nonlocal scores, state
        ids, scores, state = reader.write(scores, state, allowed, how, random.random(count), end)
        return ids

    weights = sum(parameter.numel() for parameter in reader.model.parameters())
    at_once = max(1, min(MOST_AT_ONCE, READ_AT_ONCE // weights))
    for begin in range(0, length, at_once):
        ids = draw(min(at_once, length - begin))
        ended = ids[-1] == end
        yield writer.add(tokens[k] for k in ids.tolist() if k != end)
        if ended:
            yield writer.end()
            return
    for _ in range(0 if writer.words else MOST_MORE):
        ids = draw(1)
        certain = "" if ids[0] == end else writer.add([tokens[int(ids[0])]])
        if certain or ids[0] == end:
            yield certain or writer.end()
            return
    yield writer.end()


def checked_drawing(
    length: int, temperature: float, top_k: int, top_p: float, seed: int, stop: str | None
) -> Drawing:
    """Return how to draw; raises DataError for the first number that cannot be."""
    for name, value, least in (("length", length, 1), ("top_k", top_k, 0), ("seed", seed, 0)):
        check_whole(name, value, least)
    check_number("temperature", float(temperature), least=0.0)
    if not 0 < top_p <= 1:
        raise DataError(f"top_p is {top_p!r}; expected a fraction above 0, up to 1 (all)")
    if stop == "":
        raise DataError("stop is an empty text, which stands everywhere; give some characters")
    return Drawing(float(temperature), top_k, float(top_p))


def until(pieces: Iterator[str], stop: str) -> Iterator[str]:
    """Yield what precedes `stop`, holding back what may be its beginning; no character is cut."""
    held = ""
    for piece in pieces:
        held += piece
        borders = [0, *accumulate(map(len, graphemes(held)))]
        found = next((at for at in borders if held.startswith(stop, at) and at < len(held)), None)
        if found is not None:
            yield held[:found]
            return
        sure = max(at for at in borders if at <= max(0, len(held) - len(stop) + 1))
        yield held[:sure]
        held = held[sure:]
    yield held
