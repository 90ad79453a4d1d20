"""Texts gone through once: lengths, tokens, fingerprints and oddities, column by column.

Texts and tokens stay in memory: the text, 4 bytes a token, some 200 bytes a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from gatelight.insight.findings import EXAMPLES, Finding, Quote, quoted
from gatelight.text.corpus import Example
from gatelight.text.encoding import NumberedTexts
from gatelight.text.near_duplicates import sketch
from gatelight.text.oddities import NOWHERE, ODDITIES, scripts
from gatelight.text.tokenizers import Tokenizer

AT_ONCE = 2048  # texts
NONE = -1

Mask = npt.NDArray[np.bool_]


class Survey:
    """What is known of n texts, in columns int64 or bool [n].

    `side` counts `side_names` (the parts of a source, or what it is compared with), `label` and `group`
    count `label_names` and `group_names` (NONE: has none), `chars` and `tokens` are lengths, `words` counts
    tokens that are no signs, `exact` tells texts apart, `sequence` is a hash of a text's words, `script` is a
    place in `SCRIPT_NAMES`, `mixed` says if it has two, `odd[name]` which texts have an oddity. `numbers`
    int32 [N] are the types (distinct tokens, `type_names`) of all tokens, text after text. `counts` is int64
    [sides, types].
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        sources: Iterable[tuple[str | None, Iterable[Example]]],
        on_text: Callable[[int], None] | None = None,
    ) -> None:
        """Go through texts; each is on its source's side or, where that is None, on its part's."""
        self._texts: list[Example] = []
        sides: list[str | None] = []

        def texts() -> Iterator[str]:
            for side, examples in sources:
                for example in examples:
                    self._texts.append(example)
                    sides.append(side if side is not None else example.split or "")
                    yield example.text
                    if on_text is not None and len(self) % AT_ONCE == 0:
                        on_text(len(self))

        read = NumberedTexts.of(texts(), tokenizer)
        self.numbers, self.tokens, self.type_names = read.numbers, read.lengths, read.words
        labels = [example.label for example in self._texts]
        self.multilabel = any(isinstance(label, tuple) for label in labels)
        self.side_names, self.side = _numbered(sides)
        self.label_names, self.label = _numbered(
            [", ".join(label) if isinstance(label, tuple) else label for label in labels]
        )
        self.group_names, self.group = _numbered([example.group for example in self._texts])
        own = [example.text for example in self._texts]
        self.chars, self.exact = np.array(list(map(len, own)), np.int64), _numbered(own)[1]
        self.script, mixed = np.array(list(map(scripts, own)), np.int64).reshape(-1, 2).T
        self.mixed = mixed.astype(bool)
        self.odd = {
            name: np.array([where(text) != NOWHERE for text in own], np.bool_)
            for name, where in ODDITIES.items()
        }
        self.is_word = np.array([any(map(str.isalnum, name)) for name in self.type_names], np.bool_)
        self._ends = np.cumsum(self.tokens)
        made = sketch(self.numbers, self.tokens, self.is_word)
        self.keys, self.words, self.sequence = made.keys, made.words, made.sequence
        side_of_token = np.repeat(self.side, self.tokens)
        self.counts = np.array(
            [
                np.bincount(self.numbers[side_of_token == side], minlength=len(self.type_names))
                for side in range(len(self.side_names))
            ]
        )

    def __len__(self) -> int:
        return len(self._texts)

    def tokens_of(self, text: int) -> npt.NDArray[np.int32]:
        """Return one text's token numbers, int32 [T]."""
        return self.numbers[self._ends[text] - self.tokens[text] : self._ends[text]]

    def quote(self, text: int, where: Callable[[str], int] | None = None) -> Quote:
        """Return the beginning of a text with its id, or what stands around the place that `where` finds."""
        shown = self._texts[text].text
        return quoted(self._texts[text].id, shown, 0 if where is None else max(0, where(shown)))

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


def _numbered(values: Sequence[str | None]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The distinct values in the order in which they come, and the number of each; None has NONE."""
    numbers = {
        value: number for number, value in enumerate(dict.fromkeys(v for v in values if v is not None))
    }
    return list(numbers), np.array([NONE if v is None else numbers[v] for v in values], np.int64)
