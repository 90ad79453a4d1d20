"""How a fitted model reads: text → tokens → ids, and how much was unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gatelight.models.subwords import Subwords
from gatelight.text.encoding import Encoded, NumberedTexts, encode, truncated
from gatelight.text.oov import LEFT_OUT, Indexer
from gatelight.text.tokenizers import Tokenizer
from gatelight.text.vocabulary import Vocabulary


class ReadToken(NamedTuple):
    """A token, whether it is known, and what is read in its place (None: nothing, it is left out)."""

    text: str
    known: bool
    read_as: str | None


@dataclass(frozen=True)
class Understood:
    """What a model makes of one text, before any cut."""

    tokens: list[ReadToken]

    @property
    def unknown(self) -> list[tuple[str, str | None]]:
        """Each unknown token in order, and what is read in its place."""
        return [(token.text, token.read_as) for token in self.tokens if not token.known]

    @property
    def read(self) -> list[str]:
        """The text as the model reads it, a word for each token."""
        return [token.read_as for token in self.tokens if token.read_as is not None]

    @property
    def unknown_fraction(self) -> float:
        """The unknown fraction of the tokens; 0 for a text of none."""
        return len(self.unknown) / max(len(self.tokens), 1)


@dataclass(frozen=True)
class Reading:
    """A tokenizer, a vocabulary, and what becomes of long texts and unknown tokens."""

    tokenizer: Tokenizer
    vocabulary: Vocabulary
    max_length: int | None
    truncation: str
    unknown: str
    seed: int = 0

    def encode(self, texts: Iterable[str] | NumberedTexts, oov: Sequence[str] = ()) -> Encoded:
        """Turn texts into flat ids and lengths; `oov` as in `text.oov.Indexer`."""
        numbered = texts if isinstance(texts, NumberedTexts) else NumberedTexts.of(texts, self.tokenizer)
        return self.encode_tokens(numbered, oov)

    def encode_tokens(self, token_lists: Iterable[Sequence[str]], oov: Sequence[str] = ()) -> Encoded:
        """Turn token lists into flat ids and lengths."""
        return encode(token_lists, self.vocabulary, oov=oov, **self._cut())

    def subwords(self, oov: Sequence[str], buckets: int, *, whole: bool = False) -> Subwords | None:
        """Return the n-grams of the out-of-vocabulary words `oov`, with `whole` of its own words too.

        `buckets` is the number of the model's rows for them. None where words are not made of n-grams.
        """
        if self.unknown not in ("subword", "ngrams"):
            return None
        from gatelight.text.subwords import subwords

        size = len(self.vocabulary)
        whole = whole and self.unknown == "subword"  # "ngrams" knows no words, only UNK for dropped ones
        words = [*self.vocabulary.tokens, *oov] if whole else oov
        return Subwords(size if whole else 2 * size, *subwords(words, buckets))

    def understand(self, text: str) -> Understood:
        """Say which tokens of a text are unknown, and what is read in their place."""
        indexer = Indexer(self.vocabulary, self.unknown, seed=self.seed)
        size, words = len(self.vocabulary), self.vocabulary.tokens
        tokens = []
        for place, token in enumerate(self.tokenizer.tokens(text)):
            number = indexer.id(token, place)
            # What is read by its n-grams is read as it stands.
            word = None if number == LEFT_OUT else token if number >= size else words[number]
            tokens.append(ReadToken(token, not indexer.is_unknown(token), word))
        return Understood(tokens)

    def steps(self, tokens: Sequence[str]) -> list[int]:
        """Return the places of the tokens that are read, a step each: neither left out nor cut off."""
        left_out = self.unknown == "drop"
        places = [k for k, token in enumerate(tokens) if not left_out or token in self.vocabulary]
        if self.max_length is None or len(places) <= self.max_length:
            return places
        return list(truncated(places, self.max_length, self.truncation))

    def settings(self) -> dict[str, Any]:
        """Return everything but the vocabulary as JSON-able values."""
        return {"tokenizer": self.tokenizer.settings(), **self._cut()}

    def _cut(self) -> dict[str, Any]:
        return {
            "max_length": self.max_length,
            "truncation": self.truncation,
            "unknown": self.unknown,
            "seed": self.seed,
        }
