"""Texts gone through once: lengths, tokens, fingerprints and oddities, column by column.

Texts and tokens stay in memory: the UTF-8 text, 4 bytes a token, some 60 bytes a text, 128 more for each of
the first `SKETCHED` texts. No more than `MOST_TYPES` distinct tokens are told apart.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from gatelight.insight.findings import Quote, quoted
from gatelight.text.corpus import Example
from gatelight.text.near_duplicates import sketch
from gatelight.text.oddities import NOWHERE, ODDITIES, scripts
from gatelight.text.tokenizers import Tokenizer

MOST_TYPES = 2_000_000  # some 250 MB; prose has as many in a gigabyte or two, mostly slips seen once
SKETCHED = 1_000_000
AT_ONCE = 2048  # texts
NONE = -1


class Types(dict[str, int]):
    """Distinct tokens numbered as they come; 0 stands for all that come after the first `most`."""

    def __init__(self, most: int) -> None:
        super().__init__({"": 0})
        self.most = most
        self.is_word = array("b", [0])

    def __missing__(self, token: str) -> int:
        if len(self) > self.most:
            return 0
        self[token] = number = len(self)
        self.is_word.append(any(map(str.isalnum, token)))
        return number


class Survey:
    """What is known of texts, in columns int or bool [n].

    `side` counts `side_names` (the parts of a source, or what it is compared with), `label` and `group`
    count `label_names` and `group_names` (NONE: has none), `chars` and `tokens` are lengths, `words` counts
    tokens that are no signs, `exact` is a hash of the text, `sequence` one of its words, `script` is a
    place in `SCRIPT_NAMES`, `odd[name]` says which texts have an oddity. `numbers` int32 [N] are the types of
    all tokens, text after text. `counts` is int64 [sides, types].
    """

    def __init__(self, tokenizer: Tokenizer, *, most_types: int = MOST_TYPES) -> None:
        self.tokenizer = tokenizer
        self.types = Types(most_types)
        self.side_names: list[str] = []
        self.label_names: list[str] = []
        self.group_names: list[str] = []
        self.multilabel = False
        self._numbers: dict[str, dict[str, int]] = {"side": {}, "label": {}, "group": {}}
        self._columns = {
            "side": array("h"), "label": array("i"), "group": array("i"), "chars": array("q"),
            "tokens": array("q"), "exact": array("q"), "script": array("b"), "mixed": array("b"),
            **{name: array("b") for name in ODDITIES},
        }  # fmt: skip
        self._texts: list[tuple[str, bytes]] = []
        self._numbers_read = array("i")

    def __len__(self) -> int:
        return len(self._columns["side"])

    def add(
        self,
        examples: Iterable[Example],
        side: str | None = None,
        on_text: Callable[[int], None] | None = None,
    ) -> None:
        """Go through texts; each is on the side of its part, or on `side` where that is given."""
        for example in examples:
            self._add(example, side if side is not None else example.split or "")
            if on_text is not None and len(self) % AT_ONCE == 0:
                on_text(len(self))

    def _add(self, example: Example, side: str) -> None:
        text, columns = example.text, self._columns
        columns["side"].append(self._number("side", self.side_names, side))
        label = example.label
        if isinstance(label, tuple):
            self.multilabel, label = True, ", ".join(label)
        columns["label"].append(NONE if label is None else self._number("label", self.label_names, label))
        group = example.group
        columns["group"].append(NONE if group is None else self._number("group", self.group_names, group))
        columns["chars"].append(len(text))
        for name, where in ODDITIES.items():
            columns[name].append(where(text) != NOWHERE)
        script, mixed = scripts(text)
        columns["script"].append(script)
        columns["mixed"].append(mixed)
        data = text.encode("utf-8", "surrogatepass")
        numbers = list(map(self.types.__getitem__, self.tokenizer.tokens(text)))
        self._numbers_read.fromlist(numbers)
        self._texts.append((example.id, data))
        columns["tokens"].append(len(numbers))
        digest = blake2b(data, digest_size=8).digest()
        columns["exact"].append(int.from_bytes(digest, "little", signed=True))

    def _number(self, column: str, names: list[str], name: str) -> int:
        numbers = self._numbers[column]
        number = numbers.setdefault(name, len(numbers))
        if number == len(names):
            names.append(name)
        return number

    def finish(self) -> None:
        """Go through the tokens of all texts: sketches, and how often each type occurs where."""
        self.is_word = np.frombuffer(self.types.is_word, np.bool_)
        self.side, self.label, self.group, self.chars, self.tokens, self.exact, self.script = (
            _view(self._columns[name])
            for name in ("side", "label", "group", "chars", "tokens", "exact", "script")
        )
        self.mixed = _view(self._columns["mixed"]).astype(bool)
        self.odd = {name: _view(self._columns[name]).astype(bool) for name in ODDITIES}
        self.numbers: npt.NDArray[np.int32] = np.frombuffer(self._numbers_read, np.int32)
        self._ends = np.cumsum(self.tokens)
        made = sketch(self.numbers, self.tokens, self.is_word)
        self.keys, self.words, self.sequence = made.keys[:SKETCHED], made.words, made.sequence
        side_of_token = np.repeat(self.side, self.tokens)
        self.counts = np.array(
            [
                np.bincount(self.numbers[side_of_token == side], minlength=len(self.types))
                for side in range(len(self.side_names))
            ]
        )

    def tokens_of(self, text: int) -> npt.NDArray[np.int32]:
        """Return one text's token numbers, int32 [T]."""
        return self.numbers[self._ends[text] - self.tokens[text] : self._ends[text]]

    def quote(self, text: int, where: Callable[[str], int] | None = None) -> Quote:
        """Return the beginning of a text with its id, or what stands around the place that `where` finds."""
        name, content = self._texts[text]
        shown = content.decode("utf-8", "replace")
        return quoted(name, shown, 0 if where is None else max(0, where(shown)))


def _view(column: array[Any]) -> npt.NDArray[Any]:
    return np.frombuffer(column, column.typecode)
