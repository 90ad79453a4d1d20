"""A corpus in memory: columns, parts, classes, and splits that respect groups and classes."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from gatelight.errors import DataError
from gatelight.text import mapped
from gatelight.text.corpus import Corpus, Example, Label


def corpus_of(labels: list[Label], groups: list[str] | None = None) -> Corpus:
    return Corpus([f"text {i}" for i in range(len(labels))], labels, groups, origin="made here")


def test_select_takes_every_column_along() -> None:
    """A column left behind would give texts another's label or film."""
    corpus = Corpus(["a", "b", "c"], ["x", None, "z"], ["f", "g", "h"], ["1", "2", "3"], ["p", "q", "p"])
    assert corpus.select(np.array([2, 0])) == Corpus(
        ["c", "a"], ["z", "x"], ["h", "f"], ["3", "1"], ["p", "p"]
    )
    assert corpus.of_split("p").texts == ["a", "c"]
    assert corpus.labelled().texts == ["a", "c"]
    with pytest.raises(DataError, match="no split 'test'; the splits are p, q"):
        corpus.of_split("test")
    with pytest.raises(DataError, match="it has no splits"):
        Corpus(["a"]).of_split("test")


def test_examples_without_any_value_leave_no_column() -> None:
    """An all-empty column would pass for labels, groups or parts."""
    corpus = Corpus.from_examples([Example("a"), Example("b")])
    assert (corpus.labels, corpus.groups, corpus.splits) == (None, None, None)
    assert corpus.ids == ["1", "2"]
    assert len(Corpus.from_examples([])) == 0


def test_classes() -> None:
    """Unlabelled texts would count as a class, or one class pass for two."""
    assert corpus_of(["b", None, "a", "b"]).require_classes() == ["a", "b"]
    assert corpus_of([("b", "a"), (), ("c",)]).classes == ["a", "b", "c"]
    with pytest.raises(
        DataError, match="made here: only the class 'a'; expected texts of at least 2 classes"
    ):
        corpus_of(["a", "a", None]).require_classes()
    with pytest.raises(DataError, match="no labels"):
        corpus_of([None]).require_classes()


@pytest.mark.parametrize("stratify", [True, False])
@pytest.mark.parametrize("by", ["group", "random"])
@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["x", "y", None]), st.sampled_from("abcdef")), min_size=2, max_size=40
    ),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
def test_a_split_is_a_partition(
    by: str, stratify: bool, rows: list[tuple[Label, str]], fraction: float, seed: int
) -> None:
    """A text would be lost, doubled or moved; a group be on both sides; a seed not fix the split."""
    labels, groups = [label for label, _ in rows], [group for _, group in rows]
    corpus = corpus_of(labels, groups)
    if by == "group" and len(set(groups)) < 2:
        with pytest.raises(DataError, match="one group"):
            corpus.train_test_split(fraction, seed, by=by)
        return
    rest, held = corpus.train_test_split(fraction, seed, by=by, stratify=stratify)
    assert len(rest) >= 1
    assert len(held) >= 1
    assert sorted([*rest.texts, *held.texts]) == sorted(corpus.texts)
    for side in (rest, held):
        positions = [corpus.texts.index(text) for text in side.texts]
        assert positions == sorted(positions)
        assert side == corpus.select(positions)
    if by == "group":
        assert not set(rest.groups or ()) & set(held.groups or ())
    else:
        assert len(held) == min(max(round(len(rows) * fraction), 1), len(rows) - 1)
    assert (rest, held) == corpus.train_test_split(fraction, seed, by=by, stratify=stratify)


def test_the_random_split_draws_four_fifths() -> None:
    """The note's 20,000 and 5,000 would come out otherwise, or a second seed give the same texts."""
    corpus = corpus_of(["pos", "neg"] * 12_500)
    rest, held = corpus.train_test_split(0.2, 1, by="random")
    assert (len(rest), len(held)) == (20_000, 5_000)
    assert Counter(held.labels or ()) == {"pos": 2_500, "neg": 2_500}
    unstratified = corpus.train_test_split(0.2, 1, by="random", stratify=False)[1]
    assert len(unstratified) == 5_000
    assert Counter(unstratified.labels or ())["pos"] != 2_500  # so close to the mean that chance made it
    other = corpus.train_test_split(0.2, 2, by="random")[1]
    shared = len(set(held.texts) & set(other.texts))
    assert abs(shared - 1_000) < 5 * 25.3  # hypergeometric: mean 1,000, standard deviation 25.3


def test_small_classes_keep_their_share() -> None:
    """A rare class would by rounding be missing on one side, and the total be missed."""
    labels: list[Label] = ["a"] * 90 + ["b"] * 7 + ["c"] * 3
    held = corpus_of(labels).train_test_split(0.35, 0, by="random")[1]
    assert Counter(held.labels or ()) == {"a": 32, "b": 2, "c": 1}  # of 31.5, 2.45 and 1.05, 35 in all


def test_group_split_is_as_good_as_scikit_learns() -> None:
    """Film-disjoint splits would be lopsided in size or classes, beside StratifiedGroupKFold's."""
    random = np.random.default_rng(7)
    sizes = np.minimum(random.geometric(0.15, size=600), 30)  # at most 30 reviews a film, as in IMDB
    groups = [f"film {i}" for i, size in enumerate(sizes) for _ in range(size)]
    liking = {f"film {i}": random.beta(0.5, 0.5) for i in range(600)}  # a film's reviews agree
    labels: list[Label] = ["pos" if random.random() < liking[group] else "neg" for group in groups]

    def badness(held: list[int]) -> float:
        fraction = len(held) / len(groups)
        mean = np.mean([labels[i] == "pos" for i in held])
        return max(abs(fraction - 0.2), abs(float(mean) - np.mean([label == "pos" for label in labels])))

    corpus = corpus_of(labels, groups)
    position = {text: i for i, text in enumerate(corpus.texts)}
    held = [corpus.train_test_split(0.2, seed)[1].texts for seed in range(10)]
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(corpus.texts, labels, groups)
    ours = [badness([position[text] for text in texts]) for texts in held]
    assert max(ours) <= max(0.01, *(badness(list(rows)) for _, rows in folds))
    assert len(set(map(tuple, held))) == 10


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1, 2, float("nan")])
def test_fractions_that_leave_a_side_empty(fraction: float) -> None:
    """Nothing would be left to train on or to validate with."""
    with pytest.raises(DataError, match="made here: a fraction of"):
        corpus_of(["a", "b"]).train_test_split(fraction, 0, by="random")


def test_splits_that_cannot_be_made() -> None:
    """Each would be a traceback or a silent split of another kind."""
    with pytest.raises(DataError, match="no groups to split by"):
        corpus_of(["a", "b"]).train_test_split(0.5, 0)
    with pytest.raises(DataError, match="all texts are of one group"):
        corpus_of(["a", "b"], ["f", "f"]).train_test_split(0.5, 0)
    with pytest.raises(DataError, match="1 text cannot be split"):
        corpus_of(["a"]).train_test_split(0.5, 0, by="random")
    with pytest.raises(DataError, match="split by 'film'"):
        corpus_of(["a", "b"]).train_test_split(0.5, 0, by="film")  # type: ignore[arg-type]


@given(texts=st.lists(st.text(st.characters(), max_size=5), max_size=12), data=st.data())
@settings(max_examples=30, deadline=None)
def test_texts_on_disk_are_the_texts(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], data: st.DataObject
) -> None:
    """One text would be taken for another, or a strange character lost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "BLOCK_TEXTS", 3)
        corpus = Corpus.from_examples(map(Example, texts), on_disk=tmp_path_factory.getbasetemp() / "texts")
        rows = data.draw(st.lists(st.integers(0, len(texts) - 1))) if texts else []
        part = data.draw(st.slices(len(rows)))
        chosen = corpus.select(rows).texts
        assert list(corpus.texts) == texts
        assert [corpus.texts[k - len(texts)] for k in range(len(texts))] == texts
        assert list(chosen) == [texts[k] for k in rows]
        assert list(chosen[part]) == [texts[k] for k in rows[part]]


def test_texts_on_disk_take_little_memory(tmp_path: Path) -> None:
    """A corpus larger than memory could not be read."""
    tracemalloc.start()
    corpus = Corpus.from_examples((Example(f"{k} " * 50_000) for k in range(1_000)), on_disk=tmp_path)
    characters = sum(map(len, corpus.texts))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert characters > 1e8
    assert peak < 7e7
