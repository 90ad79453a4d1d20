"""Tokens to ids and back, with counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gatelight.errors import DataError, ModelFileError
from gatelight.text.spellings import SpellingIndex

PAD = "<pad>"
UNK = "<unk>"
PAD_ID = 0
UNK_ID = 1
SPECIALS = (PAD, UNK)
FILE_NAME = "vocabulary.jsonl"


class Vocabulary:
    """Tokens and their ids: PAD is 0, UNK is 1, real tokens follow from 2 by falling count.

    `tokens` is the list from id to token, `counts` int64 [V] how often each was seen; UNK's count is that of
    all occurrences that found no place. It never changes after it is made.
    """

    def __init__(self, tokens: Sequence[str], counts: Sequence[int] | npt.NDArray[np.int64]) -> None:
        """Take real tokens and specials in id order; use `build`, `from_counts` or `load` to make one.

        Raises DataError when the specials are not first, a token comes twice or the lengths differ.
        """
        self.tokens = list(tokens)
        self.counts: npt.NDArray[np.int64] = np.array(counts, dtype=np.int64)
        self.counts.setflags(write=False)
        if tuple(self.tokens[:2]) != SPECIALS:
            raise DataError(f"a vocabulary begins with {PAD!r} and {UNK!r}, not with {self.tokens[:2]!r}")
        if len(self.tokens) != len(self.counts):
            raise DataError(f"{len(self.tokens)} tokens came with {len(self.counts)} counts")
        # Without the specials: a text that holds the very characters "<pad>" must not turn into padding.
        self._ids = dict(zip(self.tokens[2:], range(2, len(self.tokens)), strict=True))
        if len(self._ids) != len(self.tokens) - 2 or PAD in self._ids or UNK in self._ids:
            twice = [token for token, times in Counter(self.tokens).items() if times > 1]
            raise DataError(f"the vocabulary holds {twice[0]!r} twice")

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], *, min_count: int = 1, max_size: int | None = None
    ) -> Vocabulary:
        """Keep tokens seen `min_count` times or more, of these the `max_size` most frequent (PAD, UNK aside).

        Order is by falling count, then by token, so that it never depends on the order of the texts.
        Raises DataError when `min_count` or `max_size` is below 1.
        """
        for name, value in (("min_count", min_count), ("max_size", max_size)):
            if value is not None and value < 1:
                raise DataError(f"{name} must be at least 1, not {value}")
        kept = [pair for pair in counts.items() if pair[1] >= min_count and pair[0] not in SPECIALS]
        kept.sort(key=lambda pair: (-pair[1], pair[0]))
        kept = kept[:max_size]
        lost = sum(counts.values()) - sum(count for _, count in kept)
        return cls([PAD, UNK, *(token for token, _ in kept)], [0, lost, *(count for _, count in kept)])

    @classmethod
    def build(
        cls, token_lists: Iterable[Sequence[str]], *, min_count: int = 1, max_size: int | None = None
    ) -> Vocabulary:
        """Count an iterable of token lists (read once, never held) and keep tokens as `from_counts` does."""
        counts = Counter(chain.from_iterable(token_lists))
        return cls.from_counts(counts, min_count=min_count, max_size=max_size)

    def __len__(self) -> int:
        """Return V: real tokens and the two specials."""
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        """Say whether `token` is a real token with an id of its own."""
        return token in self._ids

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self.tokens == other.tokens and bool(np.array_equal(self.counts, other.counts))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Vocabulary({len(self) - 2:,} tokens)"

    def id(self, token: str) -> int:
        """Return the id of `token`, UNK's when it has none."""
        return self._ids.get(token, UNK_ID)

    def ids(self, tokens: Sequence[str]) -> npt.NDArray[np.int32]:
        """Return the ids of `tokens`, int32 [T]; unknown ones become UNK (other ways: `text.oov`)."""
        return np.fromiter(map(self._ids.get, tokens, repeat(UNK_ID)), np.int32, len(tokens))

    def known_ids(self) -> Mapping[str, int]:
        """Return the real tokens with their ids; not a copy."""
        return self._ids

    def nearest(self, token: str) -> int | None:
        """Return the id of the known word that is closest to `token` within one edit, or None.

        See `SpellingIndex.nearest`; of equally close words the most frequent one, then the first by alphabet.
        The index of spellings is made when it is first asked for (0.3 s for 50,000 words).
        """
        number = self._spellings.nearest(token)
        return None if number is None else number + len(SPECIALS)

    @cached_property
    def _spellings(self) -> SpellingIndex:
        return SpellingIndex(self.tokens[len(SPECIALS) :])

    def known_counts(self) -> dict[str, int]:
        """Return the real tokens with their counts."""
        return dict(zip(self.tokens[2:], self.counts[2:].tolist(), strict=True))

    def save(self, folder: Path) -> None:
        """Write `vocabulary.jsonl` into the folder: one `["token", count]` a line, in id order, in ASCII."""
        with (Path(folder) / FILE_NAME).open("w", encoding="ascii", newline="\n") as file:
            # Escaped to ASCII, so that any token survives: line separators, lone surrogates, quotes.
            file.writelines(
                json.dumps([token, count]) + "\n"
                for token, count in zip(self.tokens, self.counts.tolist(), strict=True)
            )

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """Read what `save` wrote; raises ModelFileError, naming the line, when it is missing or damaged."""
        path = Path(folder) / FILE_NAME
        try:
            with path.open(encoding="ascii", newline="\n") as file:
                entries = _entries(path, file.readlines())
        except FileNotFoundError as error:
            raise ModelFileError(f"{path} is missing: the model folder is incomplete") from error
        except UnicodeDecodeError as error:
            raise ModelFileError(f"{path} is damaged: {error.reason} at byte {error.start}") from error
        try:
            return cls([token for token, _ in entries], [count for _, count in entries])
        except DataError as error:
            raise ModelFileError(f"{path} is damaged: {error}") from error


def _entries(path: Path, lines: list[str]) -> list[tuple[str, int]]:
    """All lines' tokens and counts, read as one list, which takes a third of the time of one by one."""
    try:
        entries: list[Any] = json.loads(f"[{','.join(lines)}]")
    except (ValueError, RecursionError):
        entries = []
    plain = all(
        type(entry) is list and [type(part) for part in entry] == [str, int] and 0 <= entry[1] < 2**63
        for entry in entries
    )
    # An entry may neither share a line with another nor go on in the next.
    if plain and len(entries) == len(lines) and all(line.startswith("[") for line in lines):
        return entries
    return [_entry(path, number, line) for number, line in enumerate(lines, start=1)]


def _entry(path: Path, number: int, line: str) -> tuple[str, int]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}, line {number}: not JSON ({line[:40]!r})") from error
    match entry:
        case [str(token), int(count)] if not isinstance(count, bool) and 0 <= count < 2**63:
            return token, count
    raise ModelFileError(f'{path}, line {number}: expected ["token", count], found {line[:40]!r}')
