"""Sessions of classifiers, and many sessions at once: any pieces give the bits of the whole text."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_reviews import TINY, make_reviews
from scipy.special import softmax

import gatelight
from gatelight import LanguageModel, TextClassifier
from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.sessions import Session, feed_all

ONE_WAY = {"bidirectional": False, "epochs": 1}
# What can go on: every pool but attention, every kind of token, every way of cutting, layers, classes.
RUNNING: dict[str, dict[str, Any]] = {
    "last": {"pool": "last", "max_length": None},
    "max": {"pool": "max", "max_length": 9, "truncation": "head"},
    "mean of drops": {"pool": "mean", "unknown": "drop", "cell": "gru", "layers": 2},
    "both, ngrams": {"pool": "max+mean", "unknown": "ngrams", "max_length": 12},
    "subword tail": {"pool": "last", "unknown": "subword", "truncation": "tail", "max_length": 7},
    "flat": {"pool": "flatten", "max_length": 30, "truncation": "head", "tokenizer": "note-char"},
    "flat tail": {"pool": "flatten", "max_length": 5, "truncation": "tail"},
    "peephole": {"pool": "max", "cell": "peephole", "tokenizer": "char", "lowercase": False},
    "bytes": {"pool": "last", "tokenizer": "byte", "cell": "rnn", "labels": "several"},
}
ANEW: dict[str, dict[str, Any]] = {
    "both directions": {"bidirectional": True, "max_length": 6},
    "attention": {"pool": "attention"},
    "drawn": {"unknown": "random"},
    "treebank": {"tokenizer": "treebank"},
}
# Tags, entities, marks, letters that depend on the next, and what no model knows.
ALPHABET = [
    "the ", "film", " is", "not ", "dull", "!", "<br />", "<", "&amp;", "&", ";", " ", "é", "e\u0301", "Σ",
    "\u0e33", "🇫🇷", "\ud800", "\r", "\n", "7/10", "xyzzy", "_", "'", "great",
]  # fmt: skip
PIECES = st.lists(st.lists(st.sampled_from(ALPHABET), max_size=6).map("".join), max_size=7)


@cache
def model(name: str) -> TextClassifier:
    how = {**TINY, **ONE_WAY, **{**RUNNING, **ANEW}[name]}
    reviews = make_reviews(60, 2)
    kind = how.pop("labels", None)
    labels: list[Any] = reviews.labels
    if kind is not None:
        labels = [len(text) % 3 for text in reviews.texts]
    if kind == "several":
        labels = [("long",) if number else ("long", "odd")[:number] for number in labels]
        labels[0] = ("long", "odd")
    return TextClassifier(**how).fit(reviews.texts, labels)


@pytest.mark.parametrize("name", [*RUNNING, *ANEW])
@settings(max_examples=10, deadline=None)
@given(pieces=PIECES)
def test_any_pieces_give_what_the_whole_text_gives(name: str, pieces: list[str]) -> None:
    """A running prediction that depends on how fast one types, or differs from the prediction in the end."""
    estimator = model(name)
    session, text = estimator.session(), ""
    assert session.incremental == (name in RUNNING)
    for piece in ["", *pieces]:
        text += piece
        np.testing.assert_array_equal(session.feed(piece), estimator.predict_proba([text])[0])
    np.testing.assert_array_equal(session.probabilities(), estimator.predict_proba([text])[0])


@pytest.mark.parametrize("name", [*RUNNING, *ANEW])
def test_the_running_probability_is_that_of_each_beginning(name: str) -> None:
    """A curve over the tokens that shows other predictions than the model gives of these beginnings."""
    estimator = model(name)
    text = "the film is not xyzzy dull the plot isn't a mess great great the music is great"
    tokens = estimator.tokenizer_.tokens(text)
    joined = "" if estimator.tokenizer in ("char", "byte", "note-char") else " "
    if estimator.tokenizer in ("word", "treebank"):
        text = joined.join(tokens)
    beginnings = [joined.join(tokens[: k + 1]) for k in range(len(tokens))]
    found = estimator.running_proba(text)
    np.testing.assert_array_equal(found, estimator.predict_proba(beginnings))
    assert estimator.running_proba("").shape == (0, len(estimator.classes_))


def test_a_text_beyond_the_cut_is_read_anew_only_where_its_end_counts() -> None:
    """Without a cut, or with its head alone, an endless stream must stay cheap."""
    for name, stays in (("last", True), ("max", True), ("subword tail", False)):
        session = model(name).session()
        session.feed("the film is great " * 5)
        assert session.incremental == stays


@settings(max_examples=8, deadline=None)
@given(texts=st.lists(PIECES, min_size=2, max_size=5))
@pytest.mark.parametrize("name", ["mean of drops", "both, ngrams", "subword tail", "both directions"])
def test_sessions_fed_together_do_not_touch_each_other(name: str, texts: list[list[str]]) -> None:
    """One reader's text would change another's prediction."""
    together = [model(name).session() for _ in texts]
    alone = [model(name).session() for _ in texts]
    for step in range(max(map(len, texts))):
        pieces = [own[step] if step < len(own) else "" for own in texts]
        found = feed_all(together, pieces)
        for fractions, session, piece in zip(found, alone, pieces, strict=True):
            np.testing.assert_array_equal(fractions, session.feed(piece))


@cache
def writer() -> LanguageModel:
    how: dict[str, Any] = {"hidden_size": 8, "embedding_dim": 5, "layers": 2, "batch_size": 4, "steps": 5}
    return LanguageModel(tokenizer="word", min_count=1, epochs=1, **how).fit(make_reviews(60, 2).texts)


def test_language_sessions_are_fed_together() -> None:
    """As classifiers': of unequal lengths, with half a word in the end, some with nothing to read."""
    together, alone = [[writer().session() for _ in range(4)] for _ in range(2)]
    for pieces in (["the film", "this", "", "every scene is gre"], [" is", "", "a", "at"]):
        for fractions, session, piece in zip(feed_all(together, pieces), alone, pieces, strict=True):
            np.testing.assert_array_equal(fractions, session.feed(piece))
    with pytest.raises(DataError, match="different models"):
        feed_all([writer().session(), model("max").session()], ["", ""])


def test_sessions_that_cannot_be_fed_together_are_refused() -> None:
    """A session that came twice would lose one of its pieces."""
    session = model("max").session()
    assert feed_all([], []) == []
    with pytest.raises(DataError, match="twice"):
        feed_all([session, session], ["a", "b"])
    with pytest.raises(DataError, match="1 sessions and 2 pieces"):
        feed_all([session], ["a", "b"])


@pytest.mark.parametrize("name", ["both, ngrams", "flat", "subword tail", "both directions", "writer"])
def test_a_session_is_copied_saved_and_gone_on_with(name: str, tmp_path: Path) -> None:
    """A copy that shared its state, or a file that lost half a word, would predict another text."""
    estimator: Any = writer() if name == "writer" else model(name)
    estimator.save(tmp_path / "model")
    again: Any = gatelight.load(tmp_path / "model")
    expected = estimator.session().feed("the film is great, not dull at all")
    session: Session = estimator.session()
    session.feed("the film is gre")
    session.copy().feed("y")
    session.save(tmp_path / "place")
    other = again.session()
    other.restore(tmp_path / "place")
    for one in (session, other):
        np.testing.assert_array_equal(one.feed("at, not dull at all"), expected)
    stranger = model("last").session()
    for damage in (b"no", (tmp_path / "place").read_bytes().replace(b'"at"', b'"ad"')):
        (tmp_path / "damaged").write_bytes(damage)
        with pytest.raises(ModelFileError):
            other.restore(tmp_path / "damaged")
    with pytest.raises(ModelFileError, match="no session of this model"):
        stranger.restore(tmp_path / "place")
    np.testing.assert_array_equal(stranger.feed(""), model("last").predict_proba([""])[0])


def test_a_copy_with_clamped_gates_reads_with_them() -> None:
    """A session that was made before would lend the copy its reader, and with it other gates."""
    before = writer().session().feed("the film")
    clamped = writer().with_gates(forget_gate=1.0)
    found = clamped.session().feed("the film")
    assert not np.array_equal(found, before)
    ids = clamped.vocabulary_.ids(["<end>", "the", "film"])
    scores = clamped.reader_.read(ids, clamped.model_.initial(1))[0][-1].astype(np.float64)
    np.testing.assert_array_equal(found, softmax(scores))
