"""Texts or token lists to flat ids and lengths, cut to a length. Knows nothing of labels or tensors.

A stream of texts is read once; what grows is 4 bytes for each token kept and 24 for each text.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gatelight.errors import DataError
from gatelight.text.characters import code_points
from gatelight.text.numbering import NumberedTexts
from gatelight.text.oov import LEFT_OUT, PLACED_POLICIES, Reader
from gatelight.text.tokenizers import Tokenizer, tokens_of_all
from gatelight.text.vocabulary import UNK_ID, Vocabulary


@dataclass(frozen=True)
class Encoded:
    """B texts as ids: `ids` int32 [N] text after text, `lengths` int64 [B] (may be 0).

    `total` and `unknown`, int64 [B], count all tokens and the unknown ones of each text before it was cut;
    dropped tokens count in both. `beyond` are the tokens with ids beyond the vocabulary (see `Reader`).
    """

    ids: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int64]
    unknown: npt.NDArray[np.int64]
    total: npt.NDArray[np.int64]
    beyond: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """Return B."""
        return len(self.lengths)

    def select(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> Encoded:
        """Return the texts at `indices`, in that order (a copy)."""
        rows = np.asarray(indices, dtype=np.int64)
        lengths = self.lengths[rows]
        starts = (np.cumsum(self.lengths) - self.lengths)[rows]
        # The flat position of every token kept: its text's start plus its place in the text.
        places = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return Encoded(
            self.ids[np.repeat(starts, lengths) + places],
            lengths,
            self.unknown[rows],
            self.total[rows],
            self.beyond,
        )

    def unknown_share(self) -> npt.NDArray[np.float64]:
        """Return the unknown share of each text's tokens, float64 [B]; 0 for a text of no tokens."""
        return self.unknown / np.maximum(self.total, 1)


Numbers = Any  # a list or an array of ids
Cut = Callable[[Numbers, int], Numbers]


def _head(ids: Numbers, length: int) -> Numbers:
    return ids[:length]


def _tail(ids: Numbers, length: int) -> Numbers:
    return ids[len(ids) - length :]


def _head_and_tail(ids: Numbers, length: int) -> Numbers:
    tail = length // 2
    return ids[: length - tail] + ids[len(ids) - tail :]


TRUNCATIONS: dict[str, Cut] = {"head": _head, "tail": _tail, "head+tail": _head_and_tail}


def encode(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    *,
    max_length: int | None = None,
    truncation: str = "head",
    unknown: str = "unk",
    seed: int = 0,
    beyond: Sequence[str] = (),
) -> Encoded:
    """Tokenize `texts` and turn them into ids, cut to `max_length` by `truncation` where that is given.

    "head" keeps the first tokens, "tail" the last, "head+tail" the first half (one more of an odd length) and
    the last half. Unknown tokens become UNK, or what another policy of `UNKNOWN_POLICIES` makes of them,
    before the cut; `seed` and `beyond` are as in `Reader`.
    Tokens that are single code points are looked up in a table, all of a text at once.
    Raises DataError for another truncation or policy, or a `max_length` below 1.
    """
    # Not by isinstance, which goes through a protocol's members at every call.
    spelled = getattr(tokenizer, "spelled", None)
    if spelled is not None and unknown in ("unk", "drop"):
        rows = _spelled_rows(map(spelled, texts), vocabulary, drop=unknown == "drop")
        return _gathered(rows, max_length, truncation)
    return encode_tokens(
        tokens_of_all(tokenizer, texts), vocabulary, max_length=max_length, truncation=truncation,
        unknown=unknown, seed=seed, beyond=beyond,
    )  # fmt: skip


def encode_tokens(
    token_lists: Iterable[Sequence[str]],
    vocabulary: Vocabulary,
    *,
    max_length: int | None = None,
    truncation: str = "head",
    unknown: str = "unk",
    seed: int = 0,
    beyond: Sequence[str] = (),
) -> Encoded:
    """Turn token lists into ids as `encode` does."""
    reader = Reader(vocabulary, unknown, seed=seed, beyond=beyond)
    rows = ((*reader.ids(tokens), len(tokens)) for tokens in token_lists)
    return _gathered(rows, max_length, truncation, reader)


def encode_numbered(
    texts: NumberedTexts,
    vocabulary: Vocabulary,
    *,
    max_length: int | None = None,
    truncation: str = "head",
    unknown: str = "unk",
    seed: int = 0,
    beyond: Sequence[str] = (),
) -> Encoded:
    """Turn numbered words into ids as `encode` does."""
    if unknown in PLACED_POLICIES:
        return encode_tokens(
            texts, vocabulary, max_length=max_length, truncation=truncation, unknown=unknown, seed=seed
        )
    words = texts.words
    reader = Reader(vocabulary, unknown, seed=seed, beyond=beyond)
    table = np.array(reader.places(words)[0], np.int32)
    known = vocabulary.known_ids()
    strange = np.array([unknown != "spelled" and word not in known for word in words], np.bool_)
    leaves_out = bool((table == LEFT_OUT).any())

    def rows() -> Iterator[tuple[array[int], int, int]]:
        begin = 0
        for length in texts.lengths.tolist():
            own = texts.numbers[begin : begin + length]
            begin += length
            ids, count = table[own], int(np.count_nonzero(strange[own]))
            if leaves_out and count:
                ids = ids[ids != LEFT_OUT]
            yield array("i", ids.tobytes()), count, length

    return _gathered(rows(), max_length, truncation, reader)


def _gathered(
    rows: Iterable[tuple[Numbers, int, int]],
    max_length: int | None,
    truncation: str,
    reader: Reader | None = None,
) -> Encoded:
    """Put each text's ids, number of unknown tokens and number of tokens end to end, the ids cut."""
    if truncation not in TRUNCATIONS:
        raise DataError(f"truncation={truncation!r} is not one of: {', '.join(TRUNCATIONS)}")
    if max_length is not None and max_length < 1:
        raise DataError(f"max_length must be at least 1, not {max_length}")
    cut = TRUNCATIONS[truncation]
    flat = array("i")
    lengths, unknowns, totals = array("q"), array("q"), array("q")
    for ids, unknown, total in rows:
        if max_length is not None and len(ids) > max_length:
            ids = cut(ids, max_length)
        flat.extend(ids)
        lengths.append(len(ids))
        unknowns.append(unknown)
        totals.append(total)
    # Views: copying would double the peak on a large corpus.
    return Encoded(
        np.frombuffer(flat, dtype=np.int32),
        np.frombuffer(lengths, dtype=np.int64),
        np.frombuffer(unknowns, dtype=np.int64),
        np.frombuffer(totals, dtype=np.int64),
        [] if reader is None else reader.beyond,
    )


def _spelled_rows(
    texts: Iterable[str], vocabulary: Vocabulary, *, drop: bool
) -> Iterator[tuple[array[int], int, int]]:
    """What `_gathered` takes, for texts every code point of which is a token."""
    known = {ord(token): i for token, i in vocabulary.known_ids().items() if len(token) == 1}
    # The last place of the table stands for all code points beyond the largest known one.
    table = np.full(max(known, default=-1) + 2, UNK_ID, np.int32)
    table[list(known)] = list(known.values())
    for text in texts:
        found = table[np.minimum(code_points(text), len(table) - 1)]
        unknown = int(np.count_nonzero(found == UNK_ID))
        if drop and unknown:
            found = found[found != UNK_ID]
        yield array("i", found.tobytes()), unknown, len(text)
