"""How well texts are predicted, by a language model or by n-grams: perplexity and bits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gatelight.estimators.kneser_ney import KneserNey
from gatelight.estimators.token_streams import TokenStream
from gatelight.models.language_model import LanguageModel
from gatelight.models.predicting import score_documents, score_stream


@dataclass(frozen=True)
class Likelihood:
    """The negative log-likelihood `nats` of `tokens` tokens, ends of texts included, of so many characters.

    An unknown token counts as what it is read as, so where `unknown` is large the figures flatter.
    """

    nats: float
    tokens: int
    characters: int
    unknown: int

    @property
    def perplexity(self) -> float:
        """Per token."""
        return math.exp(min(self.nats / self.tokens, 700.0))  # above that a float overflows

    @property
    def bits_per_token(self) -> float:
        """Mean over the tokens."""
        return self.nats / self.tokens / math.log(2)

    @property
    def bits_per_character(self) -> float:
        """All bits, those of the texts' ends too, over the code points of the texts."""
        return self.nats / max(self.characters, 1) / math.log(2)

    def to_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return {
            "perplexity": self.perplexity,
            "bits_per_token": self.bits_per_token,
            "bits_per_character": self.bits_per_character,
            "tokens": self.tokens,
            "characters": self.characters,
            "unknown": self.unknown,
        }


def likelihood(model: LanguageModel, stream: TokenStream, documents: bool) -> Likelihood:
    """Measure a model on a stream, or with `documents` on each text from the zero state."""
    if documents:
        texts = stream.documents(None)
        nats, tokens = float(score_documents(model, texts)[0].sum()), int(texts.lengths.sum()) - len(texts)
    else:
        nats, tokens = score_stream(model, stream.ids)[0], len(stream.ids) - 1
    return Likelihood(nats, tokens, stream.characters, stream.unknown)


def baseline_of(learned: TokenStream, measured: TokenStream, size: int, order: int) -> Likelihood:
    """Measure n-grams of one stream on another."""
    model = KneserNey(learned.ids, size, order, begin=int(learned.ids[0]))
    return Likelihood(model.nats(measured.ids), len(measured.ids) - 1, measured.characters, measured.unknown)
