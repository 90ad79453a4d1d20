"""W10, from an aclImdb archive to ids: ours, scikit-learn's CountVectorizer, NLTK's Treebank rules."""

from __future__ import annotations

import re
import tarfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from nltk.tokenize import TreebankWordTokenizer
from sklearn.feature_extraction.text import CountVectorizer

from benchmarks.agreement import DisagreementError
from benchmarks.note_models import WORDS
from benchmarks.note_ours import OurNote
from benchmarks.review_files import archive, whole_archive
from benchmarks.turns import in_turns
from benchmarks.workload import Contestant, Finding, Goal, Options, Outcome, Prepared, Tell, Workload
from gatelight.text.corpus import Corpus
from gatelight.text.encoding import Encoded, NumberedTexts, encode_tokens
from gatelight.text.tokenizers import tokenizer
from gatelight.text.vocabulary import Vocabulary

QUICK = 500  # reviews
FULL_TURNS, QUICK_TURNS = 2, 1
EPOCHS = 2  # of the note's models
TREEBANK = "NLTK's TreebankWordTokenizer and a dict"


def run(options: Options, tell: Tell) -> Iterator[Finding]:
    """Reading in turns, then the time of training on as many reviews."""
    tell("preparing, and comparing tokens")
    path = archive(QUICK) if options.quick else whole_archive()
    turns = options.turns or (QUICK_TURNS if options.quick else FULL_TURNS)
    warm = archive(100)
    found = in_turns(prepare(path, warm), turns, options, tell)
    mine = next(t for t in found.timings if t.ours)
    seconds = training_seconds() * len(by_ours("word", path))
    what = f"of the {EPOCHS} epochs of training after it"
    outcome = Outcome(what, mine.median / seconds, 1.0, at_most=True)
    yield Finding(**{**vars(found), "outcomes": [*found.outcomes, outcome]})


def prepare(path: Path, warm: Path) -> Prepared:
    """Contestants that read the same archive, and the check that ids stand for the same tokens."""
    ways = {
        "gatelight": partial(by_ours, "word"),
        "gatelight, treebank": partial(by_ours, "treebank"),
        "scikit-learn's CountVectorizer": by_counting,
        TREEBANK: by_nltk,
    }
    return Prepared(
        [
            Contestant(name, partial(way, path), partial(way, warm), ours=name == "gatelight")
            for name, way in ways.items()
        ],
        [same_tokens(warm)],
        [Goal(3.0, "NLTK", (TREEBANK,))],
        measured=f"{path.name} → ids",
        facts={"archive": f"{path.stat().st_size / 1e6:.0f} MB; only its part train is taken"},
    )


def by_ours(kind: str, path: Path) -> Encoded:
    """As `TextClassifier` reads: texts, tokens, vocabulary, ids."""
    corpus = Corpus.read(path, splits=("train",))
    tokens = NumberedTexts.of(corpus.texts, tokenizer(kind))
    return encode_tokens(tokens, Vocabulary.from_counts(tokens.counts()))


def members(path: Path) -> Iterator[str]:
    """The training reviews of an archive, as anybody would read them."""
    review = re.compile(r"(?:.*/)?train/(?:pos|neg)/\d+_\d+\.txt")
    with tarfile.open(path) as tar:
        for entry in tar:
            if review.fullmatch(entry.name) and (file := tar.extractfile(entry)):
                yield file.read().decode("utf-8")


def by_counting(path: Path) -> object:
    """Words of two letters and more, counted: no order, so less than ids."""
    return CountVectorizer().fit_transform(members(path))


def by_nltk(path: Path) -> list[np.ndarray]:
    """Treebank tokens and their numbers."""
    cut, number = TreebankWordTokenizer().tokenize, {}  # type: ignore[var-annotated]
    return [
        np.array([number.setdefault(token, len(number)) for token in cut(_plain(text))], np.int32)
        for text in members(path)
    ]


def _plain(text: str) -> str:
    return text.replace("<br />", " ").lower()


def same_tokens(path: Path) -> str:
    """Say that ours' Treebank tokens are NLTK's, and as many; raises DisagreementError where they are not."""
    ours, nltk = by_ours("treebank", path), by_nltk(path)
    total = sum(map(len, nltk))
    pairs = zip(sorted(ours.lengths), sorted(map(len, nltk)), strict=True)
    differing = sum(int(a != b) for a, b in pairs)
    if differing > 0.05 * len(nltk):  # white space, entities and rarer tags are cleaned more thoroughly
        raise DisagreementError(f"{differing} of {len(nltk)} reviews have other numbers of Treebank tokens")
    words = by_ours("word", path)
    return (
        f"{len(nltk)} reviews: {total:,} Treebank tokens of NLTK, {int(ours.lengths.sum()):,} of ours, "
        f"{int(words.lengths.sum()):,} words of ours"
    )


def training_seconds() -> float:
    """Seconds that training of the note's word model takes for one review, all its epochs."""
    every = WORDS.reviews()
    part = every.select(every.spread(10 * 32))
    ours = OurNote(WORDS, WORDS.weights(every.vocabulary_size))
    ours.epoch(part)
    began = time.perf_counter()
    ours.epoch(part)
    return EPOCHS * (time.perf_counter() - began) / len(part)


WORKLOAD = Workload(name="W10", title="reading: an archive in aclImdb's layout → ids", run=run)
