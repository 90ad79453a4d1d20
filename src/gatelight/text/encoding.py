"""Texts or token lists to flat ids and lengths, cut to a length. Knows nothing of labels or tensors.

A stream of texts is read once; what grows is 4 bytes for each token kept and 24 for each text.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gatelight.errors import DataError
from gatelight.text.tokens import Tokenizer
from gatelight.text.unknown import Reader
from gatelight.text.vocabulary import Vocabulary


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


Cut = Callable[[list[int], int], list[int]]


def _head(ids: list[int], length: int) -> list[int]:
    return ids[:length]


def _tail(ids: list[int], length: int) -> list[int]:
    return ids[len(ids) - length :]


def _head_and_tail(ids: list[int], length: int) -> list[int]:
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
    Raises DataError for another truncation or policy, or a `max_length` below 1.
    """
    return encode_tokens(
        map(tokenizer.tokens, texts),
        vocabulary,
        max_length=max_length,
        truncation=truncation,
        unknown=unknown,
        seed=seed,
        beyond=beyond,
    )


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
    if truncation not in TRUNCATIONS:
        raise DataError(f"truncation={truncation!r} is not one of: {', '.join(TRUNCATIONS)}")
    if max_length is not None and max_length < 1:
        raise DataError(f"max_length must be at least 1, not {max_length}")
    cut = TRUNCATIONS[truncation]
    reader = Reader(vocabulary, unknown, seed=seed, beyond=beyond)
    flat = array("i")
    lengths, unknowns, totals = array("q"), array("q"), array("q")
    for tokens in token_lists:
        ids, unknown_tokens = reader.ids(tokens)
        if max_length is not None and len(ids) > max_length:
            ids = cut(ids, max_length)
        flat.fromlist(ids)
        lengths.append(len(ids))
        unknowns.append(unknown_tokens)
        totals.append(len(tokens))
    # Views: copying would double the peak on a large corpus.
    return Encoded(
        np.frombuffer(flat, dtype=np.int32),
        np.frombuffer(lengths, dtype=np.int64),
        np.frombuffer(unknowns, dtype=np.int64),
        np.frombuffer(totals, dtype=np.int64),
        reader.beyond,
    )
