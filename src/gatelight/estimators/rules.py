"""What the settings become that were left open: a rule each, from what the data are. All rules are here.

They were chosen on held-out parts of the training texts of seven sets of 3,000 to 16,000 short texts and of
IMDB. They keep the number of updates up where texts are few: a hundred steps teach a recurrent model nothing.
"""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Any

from gatelight.notices import tell

AUTO = "auto"
CORPUS = "corpus"
PRETRAINED = "glove-6b-100d"
"""The data set of word vectors that English texts begin with."""

SHORT = 400  # characters of a text on average; above, n-grams of characters cost more than they tell
MANY_CHARACTERS = 5_000_000  # from here words that come once are left out
ENOUGH_FOR_VECTORS = 5_000_000  # characters that word2vec learns usable vectors from
SEEN = 60_000  # texts that training reads, epochs together
VALIDATED = 100  # texts below which an accuracy or a weight of the sum is chance
MOST_VALIDATED = 5_000
RARE = 0.05
SAMPLE = 1_000  # texts whose script and language are looked at
ENGLISH_WORDS = frozenset(
    "the of and to for that with it at be by this from are his you not but they or which their have who will "  # noqa: SIM905
    "my your she its if when what all there just about than into our out been would no up".split()
)
"""Of the commonest English words those that are none in the languages beside it."""
ENGLISH = 0.12  # fraction of the words that are among these; of other languages it is a twentieth
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
)
"""Letters of Thai, Lao, Burmese, Khmer, Japanese and Chinese."""
WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Data:
    """What the rules look at; the defaults stand for data that are not known yet."""

    texts: int = 10_000
    characters: float = 200.0  # of a text, on average
    classes: int = 2
    multilabel: bool = False
    rarest: float = 0.5  # fraction of the texts that have the rarest class
    spaced: bool = True  # whether the script puts spaces between words
    english: bool = False
    unlabelled: int = 0

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        labels: Iterable[Any] = (),
        classes: int = 2,
        multilabel: bool = False,
        unlabelled: int = 0,
    ) -> Data:
        """Look at texts and, where given, at their labels: a tuple for each text where there are several."""
        counts = Counter(chain.from_iterable(labels) if multilabel else labels)
        sample = texts[:: max(1, len(texts) // SAMPLE)]
        return cls(
            texts=len(texts),
            characters=sum(map(len, texts)) / max(len(texts), 1),
            classes=classes,
            multilabel=multilabel,
            rarest=min(counts.values(), default=0) / max(len(texts), 1),
            spaced=has_spaces(sample),
            english=is_english(sample),
            unlabelled=unlabelled,
        )

    @property
    def all_characters(self) -> float:
        """Characters of all texts, taking the unlabelled ones to be as long as the others."""
        return (self.texts + self.unlabelled) * self.characters

    @property
    def short(self) -> bool:
        """Whether the texts are short: a sentence or a few."""
        return self.characters <= SHORT


def has_spaces(texts: Iterable[str]) -> bool:
    """Say whether the script of the texts puts spaces between words, by most of their letters."""
    sample = "".join(texts)
    return 2 * len(UNSPACED.findall(sample)) < max(sum(map(str.isalpha, sample)), 1)


def is_english(texts: Iterable[str]) -> bool:
    """Say whether the texts are English, by the fraction of their words that are its commonest ones."""
    words = WORD.findall(" ".join(texts).lower())
    return sum(word in ENGLISH_WORDS for word in words) >= max(ENGLISH * len(words), 1)


def _epochs(data: Data) -> int:
    return max(3, min(15, round(SEEN / max(data.texts, 1))))


def _validation_fraction(data: Data) -> float:
    """A twentieth, up to a tenth where that makes enough texts to choose by, and no more than are of use."""
    wanted = min(0.1, max(0.05, VALIDATED / max(data.texts, 1)))
    return min(wanted, MOST_VALIDATED / max(data.texts, 1))


RULES: Mapping[str, Callable[[Data], Any]] = MappingProxyType(
    {
        "epochs": _epochs,
        "batch_size": lambda data: 32 if data.texts <= 50_000 else 64,
        "hidden_size": lambda data: 128,
        "embedding_dim": lambda data: 128,
        "embedding_dropout": lambda data: 0.5 if data.spaced else 0.3,
        "min_count": lambda data: 1 if data.all_characters <= MANY_CHARACTERS else 2,
        "validation_fraction": _validation_fraction,
    }
)
"""The settings that may be left open (None), as `best_by` may be, and what they become."""


def by_rules(
    settings: Mapping[str, Any], rules: Mapping[str, Callable[[Any], Any]], seen: Any
) -> dict[str, Any]:
    """Return the settings, in place of each that is open what its rule, if there is one, makes of `seen`."""
    return {
        name: rules[name](seen) if name in rules and value is None else value
        for name, value in settings.items()
    }


def settled(settings: Mapping[str, Any], data: Data | None = None) -> dict[str, Any]:
    """Return settings none of which is open; without data those that a middling set would have.

    Then vectors may be open still.
    """
    found = by_rules(settings, RULES, data or Data())
    if settings["best_by"] is None:  # the step size ends at nothing: the last epoch is as good as any
        found["best_by"] = "last" if settings["patience"] is None else "valid_accuracy"
    if is_auto(settings.get("vectors")):
        found["vectors"] = _vectors(settings, data)
    return found


def is_auto(vectors: Any) -> bool:
    """Say whether the choice of word vectors is left open."""
    return isinstance(vectors, str) and vectors == AUTO


def wants_pretrained(settings: Mapping[str, Any], data: Data) -> bool:
    """Say whether vectors that are left open should be the pretrained ones, here or yet to be fetched."""
    fits = settings["tokenizer"] in ("word", "treebank") and settings["lowercase"]
    of_words = settings["unknown"] != "ngrams" and settings.get("from_lm") is None
    # A size that was asked for is not that of any pretrained vectors.
    given = settings["embedding_dim"] is not None
    own = data.unlabelled and _trainable(data)
    return is_auto(settings["vectors"]) and data.english and fits and of_words and not given and not own


def _trainable(data: Data) -> bool:
    """Whether there is text enough to learn word vectors from, and what learns them."""
    enough = data.spaced and data.all_characters >= ENOUGH_FOR_VECTORS
    return enough and importlib.util.find_spec("gensim") is not None


def _vectors(settings: Mapping[str, Any], data: Data | None) -> str | None:
    """Own ones of enough texts where unlabelled ones are among them, else pretrained ones, else own ones."""
    if settings["tokenizer"] not in ("word", "treebank") or settings["unknown"] == "ngrams":
        return None
    if settings.get("from_lm") is not None:
        return None
    if data is None:
        return AUTO
    if wants_pretrained(settings, data):
        from gatelight.text.datasets import cached

        if cached(PRETRAINED) is not None:
            return PRETRAINED
        tell(
            f"these English texts would profit from the word vectors {PRETRAINED}, which are not here: "
            f"`gatelight data get {PRETRAINED}` fetches them; vectors=None leaves them out"
        )
    return CORPUS if _trainable(data) else None


@dataclass(frozen=True)
class Plan:
    """What training is about to do: the data and the settings, none of them open."""

    data: Data
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        """Return it as one line for people."""
        data, settings = self.data, self.settings
        rare = f", the rarest with {100 * data.rarest:.1f} % of the texts" if data.rarest < RARE else ""
        vectors, dim = settings["vectors"], settings["embedding_dim"]
        words = f"random vectors of {dim}" if vectors is None else f"vectors {vectors}"
        if isinstance(vectors, str) and vectors == CORPUS:
            words = f"vectors of {dim} learned from the texts"
        elif vectors is not None and not isinstance(vectors, str):
            words = "the vectors given"
        beside = f", n-grams beside the {settings['cell'].upper()}" if settings["wide"] else ""
        if data.unlabelled:
            beside += f", then again with the surest of {data.unlabelled:,} unlabelled texts"
        return (
            f"{data.texts:,} {'short' if data.short else 'long'} texts, {data.classes} "
            f"{'labels' if data.multilabel else 'classes'}{rare}: {settings['epochs']} epochs of "
            f"{settings['batch_size']}, {words}{beside}"
        )
