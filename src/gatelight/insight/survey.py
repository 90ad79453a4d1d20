"""Texts gone through once: lengths, tokens, fingerprints and oddities, column by column. Judges nothing.

Memory is bounded: some 60 bytes a text, 128 more for each of the first `SKETCHED` texts, and no more than
`MOST_TYPES` distinct tokens. Texts and tokens go to spools, which lie on the disk beyond their bound.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from hashlib import blake2b
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from gatelight.insight.findings import Quote, quoted
from gatelight.text.corpus import Example
from gatelight.text.duplicates import BANDS, sketch
from gatelight.text.languages import MASKS, languages
from gatelight.text.oddities import NOWHERE, ODDITIES, scripts
from gatelight.text.spool import IN_MEMORY, Spool
from gatelight.text.tokens import Tokenizer

MOST_TYPES = 2_000_000  # some 250 MB; prose has as many in a gigabyte or two, mostly slips seen once
SKETCHED = 1_000_000
PIECE = 1 << 20  # characters: a text of a gigabyte is read in pieces
AT_ONCE = 2048  # texts
RUN_BYTES = 1 << 24
NONE = -1
_ID_END = b"\0"


class Types(dict[str, int]):
    """Distinct tokens numbered as they come; 0 stands for all that come after the first `most`."""

    def __init__(self, most: int) -> None:
        super().__init__({"": 0})
        self.most = most
        self.is_word, self.masks = array("b", [0]), array("i", [0])

    def __missing__(self, token: str) -> int:
        if len(self) > self.most:
            return 0
        self[token] = number = len(self)
        self.is_word.append(any(map(str.isalnum, token)))
        self.masks.append(MASKS.get(token.lower(), 0))
        return number


class Survey:
    """What is known of texts, in columns int or bool [n]; use as a context manager, which closes the spools.

    `side` counts `side_names` (the parts of a source, or what it is compared with), `label` and `group`
    count `label_names` and `group_names` (NONE: has none), `chars` and `tokens` are lengths, `words` counts
    tokens that are no signs, `exact` is a hash of the text, `sequence` one of its words, `script` and
    `language` are places in their lists of names, `odd[name]` says which texts have an oddity. `counts` is
    int64 [sides, types].
    """

    def __init__(
        self, tokenizer: Tokenizer, *, most_types: int = MOST_TYPES, in_memory: int = IN_MEMORY
    ) -> None:
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
        self._stack = ExitStack()
        self._texts = self._stack.enter_context(Spool(in_memory))
        self._tokens = self._stack.enter_context(Spool(in_memory))
        self._finished = False

    def __enter__(self) -> Survey:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

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
            self._add(example, side if side is not None else example.part or "")
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
        digest = blake2b(digest_size=8)
        encoded = [example.id.encode("utf-8", "surrogatepass"), _ID_END]
        numbers = array("i")
        for piece in _pieces(text):
            data = piece.encode("utf-8", "surrogatepass")
            digest.update(data)
            encoded.append(data)
            numbers.fromlist(list(map(self.types.__getitem__, self.tokenizer.tokens(piece))))
        self._texts.append(encoded)
        self._tokens.append([numbers.tobytes()])
        columns["tokens"].append(len(numbers))
        columns["exact"].append(int.from_bytes(digest.digest(), "little", signed=True))

    def _number(self, column: str, names: list[str], name: str) -> int:
        numbers = self._numbers[column]
        number = numbers.setdefault(name, len(numbers))
        if number == len(names):
            names.append(name)
        return number

    def finish(self) -> None:
        """Go through the tokens of all texts: sketches, languages, and how often each type occurs where."""
        self.is_word = np.frombuffer(self.types.is_word, np.bool_)
        self.side, self.label, self.group, self.chars, self.tokens, self.exact, self.script = (
            _view(self._columns[name])
            for name in ("side", "label", "group", "chars", "tokens", "exact", "script")
        )
        self.mixed = _view(self._columns["mixed"]).astype(bool)
        self.odd = {name: _view(self._columns[name]).astype(bool) for name in ODDITIES}
        n, sketched = len(self), min(len(self), SKETCHED)
        self.keys = np.zeros((sketched, BANDS), np.uint32)
        self.words, self.sequence = np.zeros(n, np.int32), np.zeros(n, np.uint64)
        self.language = np.zeros(n, np.int8)
        self.counts = np.zeros((len(self.side_names), len(self.types)), np.int64)
        masks = np.frombuffer(self.types.masks, np.int32)
        for first, last, tokens in self.runs():
            lengths = self.tokens[first:last]
            made = sketch(tokens, lengths, self.is_word)
            self.keys[first:last] = made.keys[: max(0, sketched - first)]
            self.words[first:last], self.sequence[first:last] = made.words, made.sequence
            self.language[first:last] = languages(tokens, lengths, masks, self.is_word)
            side_of_token = np.repeat(self.side[first:last], lengths)
            for side in range(len(self.side_names)):
                of_side = tokens[side_of_token == side]
                self.counts[side] += np.bincount(of_side, minlength=len(self.types))

    def runs(self) -> Iterator[tuple[int, int, npt.NDArray[np.int32]]]:
        """Yield first, last + 1 and the token numbers int32 [N] of runs of texts, millions of them each."""
        for first, last, data in self._tokens.runs(RUN_BYTES):
            yield first, last, np.frombuffer(data, np.int32)

    def tokens_of(self, text: int) -> npt.NDArray[np.int32]:
        """Return one text's token numbers, int32 [T]."""
        return np.frombuffer(self._tokens.read(text), np.int32)

    def quote(self, text: int, where: Callable[[str], int] | None = None) -> Quote:
        """Return the beginning of a text with its id, or what stands around the place that `where` finds."""
        name, _, content = self._texts.read(text, PIECE).partition(_ID_END)
        shown = content.decode("utf-8", "replace")  # a long text is cut, perhaps within a character
        return quoted(name.decode("utf-8", "replace"), shown, 0 if where is None else max(0, where(shown)))


def _pieces(text: str) -> Iterator[str]:
    """Cut a text at white space, where there is any, into pieces of about `PIECE` characters."""
    start = 0
    while len(text) - start > PIECE:
        end = max(text.rfind(" ", start, start + PIECE), text.rfind("\n", start, start + PIECE)) + 1
        end = end if end > start else start + PIECE
        yield text[start:end]
        start = end
    yield text[start:]


def _view(column: array[Any]) -> npt.NDArray[Any]:
    return np.frombuffer(column, column.typecode)
