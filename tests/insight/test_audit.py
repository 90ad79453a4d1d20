"""An audit finds every defect that was planted, with its number, and invents none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from planted_texts import PLANTED, changed, clean, in_two_parts

from gatelight import Corpus, WordVectors
from gatelight.errors import DataError
from gatelight.estimators.settings import preset
from gatelight.insight.audit import Audit, audit
from gatelight.insight.lengths import measure
from gatelight.text.corpus import Example
from gatelight.text.lengths import LengthStatistics
from gatelight.text.tokenizers import tokenizer

DEFAULT = preset("default")
IMDB = Path(__file__).parents[3] / "shared" / "data" / "aclImdb_v1.tar.gz"


def counts(found: Audit) -> dict[str, int]:
    return {finding.name: finding.count for finding in found.findings}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_defect_is_found_and_no_other(kind: str) -> None:
    """A check that is blind, or one that cries wolf, would be found out here."""
    make, expected = PLANTED[kind]
    found = audit(make(), DEFAULT)
    assert counts(found) == expected
    for finding in found.findings:
        assert 0 < finding.fraction <= 1
        assert finding.says
        assert finding.advice
        assert len(finding.examples) > 0 or "unknown" in finding.name or "length" in finding.name


@pytest.mark.parametrize("texts", [clean(), in_two_parts(), clean(400, 3)])
def test_clean_texts_are_left_in_peace(texts: list[Example]) -> None:
    """An audit that always finds something is soon read by nobody."""
    assert counts(audit(texts, DEFAULT)) == {}


def test_other_texts_are_compared_with_the_data() -> None:
    """A test set with training texts in it flatters, whatever files the two lie in."""
    rows = clean()
    other = clean(50, 7)
    other = changed(other, 10, text=rows[30].text)
    found = audit(rows, DEFAULT, against=("other.csv", iter(other)))
    (leakage,) = found.findings
    assert (leakage.name, leakage.count, leakage.of) == ("leakage", 1, 50)
    assert found.lengths.statistics.padded == len(rows)  # the lengths are those of DATA


def test_words_without_a_vector_are_told() -> None:
    """The note's `dont`: without a vector a negation falls out, and the text says its opposite."""
    rows = [row._replace(text=f"I dont know. {row.text}") for row in clean()]
    words = {token for row in rows for token in tokenizer().tokens(row.text)}

    def read(wanted: object) -> WordVectors:
        assert words <= set(wanted)  # type: ignore[call-overload]
        known = sorted((words - {"dont"}) | {"don't"})
        return WordVectors(known, np.ones((len(known), 2), np.float32), "made up")

    found = audit(rows, DEFAULT, read_vectors=read)
    assert counts(found) == {"unknown negations": 1}
    (word,) = found.unknown[1].negations
    assert (word.word, word.count, word.near) == ("dont", len(rows), "don't")


def test_lengths_by_hand() -> None:
    """The curve decides what people cut at."""
    tokens = np.array([1, 2, 3, 4, 10])
    found = measure(tokens, tokens * 5, np.array([0, 0, 1, 1, 1], np.int32), ["a", "b"], 4, "head")
    assert found.statistics == LengthStatistics(4, padded=3, equal=1, truncated=1, average=4.0)
    point = next(point for point in found.curve if point.maxlen == 4)
    assert (point.whole, point.kept, point.padding) == (0.8, 14 / 20, 1 - 14 / 20)
    assert found.padding == point.padding
    assert found.classes == [["a", 2, 0, 1.5], ["b", 3, 1, pytest.approx(17 / 3)]]
    assert found.dense_bytes == 5 * 4 * 4
    assert found.packed_bytes == 14 * 4 + 5 * 8
    assert (found.recommended, found.mean_characters) == (9, 20.0)


def test_nothing_at_all_is_an_error() -> None:
    """An audit of nothing that finds nothing would look like a clean bill."""
    with pytest.raises(DataError, match="empty"):
        audit([], DEFAULT)
    with pytest.raises(DataError, match=r"other\.csv: is empty"):
        audit(clean(), DEFAULT, against=("other.csv", []))


@pytest.mark.slow
@pytest.mark.skipif(not IMDB.exists(), reason="the IMDB archive is not beside the checkout")
def test_the_large_movie_review_dataset() -> None:
    """The note's figures, and what is known of the archive: 123 reviews of the test part are in train too."""
    corpus = Corpus.read(IMDB, splits=["train", "test"])
    columns = (corpus.texts, corpus.labels or (), corpus.groups or (), corpus.ids, corpus.splits or ())
    examples = [Example(*row) for row in zip(*columns, strict=True)]
    found = audit(examples[:25_000], DEFAULT, against=("test", examples[25_000:]))
    assert round(found.lengths.mean_characters, 2) == 1325.07
    copied = set(corpus.texts[:25_000])
    assert counts(found)["leakage"] == sum(text in copied for text in corpus.texts[25_000:]) == 123
    assert 1 <= counts(found)["near leakage"] <= 5
    assert counts(found)["markup"] == 29_204
