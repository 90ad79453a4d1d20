"""Texts gone through once: lengths, tokens, fingerprints and oddities, column by column.

Texts and tokens stay in memory: the text, 4 bytes a token, some 200 bytes a text.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from gatelight.insight.findings import EXAMPLES, Finding, Quote, quoted
from gatelight.text.corpus import Example
from gatelight.text.near_duplicates import sketch
from gatelight.text.oddities import NOWHERE, ODDITIES, scripts
from gatelight.text.tokenizers import Tokenizer

AT_ONCE = 2048  # texts
NONE = -1

Mask = npt.NDArray[np.bool_]


class Survey:
    """What is known of n texts; after `finish` in columns int64 or bool [n].

    `side` counts `side_names` (the parts of a source, or what it is compared with), `label` and `group`
    count `label_names` and `group_names` (NONE: has none), `chars` and `tokens` are lengths, `words` counts
    tokens that are no signs, `exact` tells texts apart, `sequence` is a hash of a text's words, `script` is a
    place in `SCRIPT_NAMES`, `odd[name]` says which texts have an oddity. `numbers` int32 [N] are the types
    (distinct tokens, `type_names`) of all tokens, text after text. `counts` is int64 [sides, types].
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.multilabel = False
        self._sides, self._labels, self._groups, self._types, self._distinct = (_numbered() for _ in range(5))
        self._texts: list[tuple[str, str]] = []
        self._rows: list[tuple[int, ...]] = []
        self._odd: list[list[bool]] = []
        self._read = array("i")

    def __len__(self) -> int:
        return len(self._texts)

    def add(
        self,
        examples: Iterable[Example],
        side: str | None = None,
        on_text: Callable[[int], None] | None = None,
    ) -> None:
        """Go through texts; each is on the side of its part, or on `side` where that is given."""
        for example in examples:
            text, label, group = example.text, example.label, example.group
            if isinstance(label, tuple):
                self.multilabel, label = True, ", ".join(label)
            script, mixed = scripts(text)
            numbers = list(map(self._types.__getitem__, self.tokenizer.tokens(text)))
            self._read.fromlist(numbers)
            self._texts.append((example.id, text))
            self._odd.append([where(text) != NOWHERE for where in ODDITIES.values()])
            self._rows.append(
                (
                    self._sides[side if side is not None else example.split or ""],
                    NONE if label is None else self._labels[label],
                    NONE if group is None else self._groups[group],
                    len(text), len(numbers), self._distinct[text], script, mixed,
                )
            )  # fmt: skip
            if on_text is not None and len(self) % AT_ONCE == 0:
                on_text(len(self))

    @property
    def side_names(self) -> list[str]:
        """The sides so far."""
        return list(self._sides)

    def finish(self) -> None:
        """Make the columns, the texts' sketches, and count each type on each side."""
        self.label_names, self.group_names = list(self._labels), list(self._groups)
        self.type_names = list(self._types)
        columns = np.array(self._rows, np.int64).T
        self.side, self.label, self.group, self.chars, self.tokens, self.exact, self.script, mixed = columns
        self.mixed = mixed.astype(bool)
        self.odd = dict(zip(ODDITIES, np.array(self._odd).T, strict=True))
        self.is_word = np.array([any(map(str.isalnum, name)) for name in self.type_names], np.bool_)
        self.numbers: npt.NDArray[np.int32] = np.frombuffer(self._read, np.int32)
        self._ends = np.cumsum(self.tokens)
        made = sketch(self.numbers, self.tokens, self.is_word)
        self.keys, self.words, self.sequence = made.keys, made.words, made.sequence
        side_of_token = np.repeat(self.side, self.tokens)
        self.counts = np.array(
            [
                np.bincount(self.numbers[side_of_token == side], minlength=len(self.type_names))
                for side in range(len(self._sides))
            ]
        )

    def tokens_of(self, text: int) -> npt.NDArray[np.int32]:
        """Return one text's token numbers, int32 [T]."""
        return self.numbers[self._ends[text] - self.tokens[text] : self._ends[text]]

    def quote(self, text: int, where: Callable[[str], int] | None = None) -> Quote:
        """Return the beginning of a text with its id, or what stands around the place that `where` finds."""
        name, shown = self._texts[text]
        return quoted(name, shown, 0 if where is None else max(0, where(shown)))

    def finding(
        self,
        name: str,
        which: Mask,
        says: str,
        advice: str,
        *,
        of: Mask | None = None,
        pairs: npt.NDArray[np.int64] | None = None,
        where: Callable[[str], int] | None = None,
    ) -> list[Finding]:
        """Return a finding on the texts `which` among `of`, none where there are none.

        Its examples are the first of these texts, or of `pairs` int64 [n, 2], as `quote` shows them.
        """
        first = np.flatnonzero(which)[:EXAMPLES]
        chosen = first if pairs is None or not len(pairs) else pairs[:EXAMPLES].ravel()
        examples = tuple(self.quote(text, where) for text in chosen.tolist())
        among = len(self) if of is None else int(of.sum())
        return [Finding(name, says, int(which.sum()), among, advice, examples)] if which.any() else []


def _numbered() -> defaultdict[str, int]:
    """Names numbered as they come."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    return numbers
