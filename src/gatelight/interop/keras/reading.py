"""How a model from elsewhere reads texts: tokens → its own ids, cut and padded.

Its vocabulary is any mapping of tokens to ids, unlike `Vocabulary`, whose first two ids are PAD and UNK. As
one JSON mapping (the docs) it lies in the vocabulary file beside a model of Keras's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gatelight.errors import DataError
from gatelight.text.encoding import TRUNCATIONS, truncated
from gatelight.text.tokenizers import Tokenizer, tokenizer

PADDINGS = ("pre", "post", None)
KERAS = "keras"
KIND, FORMAT, ENDING = "gatelight vocabulary", 1, ".vocabulary.json"


@dataclass(frozen=True)
class KerasTokenizer:
    """What `keras.preprocessing.text.Tokenizer` does: signs become separators, then the text is split."""

    filters: str
    lowercase: bool = True
    split: str = " "
    characters: bool = False

    def settings(self) -> dict[str, Any]:
        """As JSON-able values, with the kind."""
        return {"kind": KERAS, **asdict(self)}

    def tokens(self, text: str) -> list[str]:
        """Cut a text."""
        if self.lowercase:
            text = text.lower()
        if self.characters:
            return list(text)
        text = text.translate({ord(sign): self.split for sign in self.filters})
        return [token for token in text.split(self.split) if token]


@dataclass(frozen=True)
class ForeignReading:
    """A tokenizer, ids, and what becomes of unknown tokens, long texts and short ones."""

    tokenizer: Tokenizer
    ids: Mapping[str, int]
    unknown: int | None = None  # the id of unknown tokens; None: they are left out
    length: int | None = None
    truncation: str = "head"
    padding: str | None = None  # zeros before or after, up to `length`

    def encode(self, texts: Iterable[str]) -> list[list[int]]:
        """The ids of each text."""
        return [self._one(self.tokenizer.tokens(text)) for text in texts]

    def _one(self, tokens: list[str]) -> list[int]:
        ids = (self.ids.get(token, self.unknown) for token in tokens)
        found = [number for number in ids if number is not None]
        if self.length is not None:
            if len(found) > self.length:
                found = truncated(found, self.length, self.truncation)
            zeros = [0] * (self.length - len(found))
            if self.padding is not None:
                return zeros + found if self.padding == "pre" else found + zeros
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {
            "tokenizer": self.tokenizer.settings(),
            "tokens": dict(self.ids),
            "unknown": self.unknown,
            "length": self.length,
            "truncation": self.truncation,
            "padding": self.padding,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ForeignReading:
        """What `to_dict` gave; `tokens` may also be a list, whose places are the ids. DataError otherwise."""
        settings = values.get("tokenizer", {})
        if not isinstance(settings, dict):
            raise DataError(f"tokenizer is {settings!r:.60}; expected its settings")
        settings = dict(settings)
        cut: Tokenizer
        if settings.get("kind") == KERAS:
            settings.pop("kind")
            cut = KerasTokenizer(**settings)
            if not (isinstance(cut.split, str) and cut.split and isinstance(cut.filters, str)):
                raise DataError("the tokenizer's filters and split must be strings")
        else:
            cut = tokenizer(**settings)
        made = cls(
            cut, _ids(values["tokens"]), values.get("unknown"), values.get("length"),
            values.get("truncation", "head"), values.get("padding"),
        )  # fmt: skip
        for name, number, least in (("unknown", made.unknown, 0), ("length", made.length, 1)):
            if number is not None and (type(number) is not int or number < least):
                raise DataError(f"{name} is {number!r:.60}; expected a whole number from {least} on, or null")
        if made.truncation not in TRUNCATIONS or made.padding not in PADDINGS:
            raise DataError(
                f"truncation is {made.truncation!r:.60}, padding {made.padding!r:.60}; expected one of "
                f"{', '.join(TRUNCATIONS)} and pre, post or null"
            )
        return made


def _ids(tokens: Any) -> dict[str, int]:
    if isinstance(tokens, list):
        tokens = {token: number for number, token in enumerate(tokens) if isinstance(token, str)}
    if not isinstance(tokens, dict) or not tokens:
        raise DataError("tokens must be a list of tokens or a mapping of tokens to ids, and not empty")
    strange = next((number for number in tokens.values() if type(number) is not int or number < 0), None)
    if strange is not None:
        raise DataError(f"a token has the id {strange!r:.60}; expected whole numbers from 0 on")
    return tokens


def of_keras(values: Mapping[str, Any], length: int | None) -> ForeignReading:
    """The reading of `Tokenizer.to_json()`; long and short texts as `pad_sequences` has them by default."""
    config = values["config"]
    words = json.loads(config["word_index"])
    known = config.get("num_words")
    mark = config.get("oov_token")
    ids = {word: number for word, number in _ids(words).items() if known is None or number < known}
    cut = KerasTokenizer(
        config.get("filters", ""), bool(config.get("lower", True)), config.get("split", " "),
        bool(config.get("char_level", False)),
    )  # fmt: skip
    return ForeignReading(cut, ids, words[mark] if mark else None, length, "tail", "pre" if length else None)
