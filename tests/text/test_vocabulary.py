"""The vocabulary: order, counts, unknown tokens, and a file that brings every token back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelight.errors import DataError, ModelFileError
from gatelight.text.vocabulary import PAD, UNK, Vocabulary

ANY_TOKEN = st.text(st.characters(exclude_categories=()), max_size=8)
TOKEN_LISTS = st.lists(
    st.lists(ANY_TOKEN | st.sampled_from([PAD, UNK, "a", "b", "c"]), max_size=12), max_size=8
)


def test_order_counts_and_limits_by_hand() -> None:
    """An order that depends on the order of the texts would give the same model other ids."""
    lists = [["b", "a", "c"], ["a", "b"], ["a", "d"], []]
    every = Vocabulary.build(lists)
    assert every.tokens == [PAD, UNK, "a", "b", "c", "d"]
    assert every.counts.tolist() == [0, 0, 3, 2, 1, 1]
    assert len(every) == 6
    frequent = Vocabulary.build(iter(reversed(lists)), min_count=2)
    assert (frequent.tokens[2:], frequent.counts.tolist()) == (["a", "b"], [0, 2, 3, 2])
    small = Vocabulary.build(lists, max_size=3)
    assert (small.tokens[2:], small.counts.tolist()) == (["a", "b", "c"], [0, 1, 3, 2, 1])
    assert Vocabulary.build([]).tokens == [PAD, UNK]


@given(TOKEN_LISTS, st.integers(1, 3), st.none() | st.integers(1, 5))
@settings(deadline=None)
def test_build_keeps_the_most_frequent(lists: list[list[str]], least: int, most: int | None) -> None:
    """Ids beyond the embedding's rows, or counts that lose tokens, would follow from a slip here."""
    counter = Counter(token for tokens in lists for token in tokens)
    order = sorted((-n, token) for token, n in counter.items() if n >= least and token not in (PAD, UNK))[
        :most
    ]
    made = Vocabulary.build(lists, min_count=least, max_size=most)
    assert made.tokens[2:] == [token for _, token in order]
    assert made.counts[2:].tolist() == [-n for n, _ in order]
    assert made.counts.sum() == counter.total()


def test_unknown_tokens() -> None:
    """UNK's or PAD's own spelling in a text must not turn into padding, nor shift what follows."""
    made = Vocabulary.build([["good", "good", "film"]])
    tokens = ["good", "dont", PAD, "film", UNK]
    assert made.ids(tokens).tolist() == [2, 1, 1, 3, 1]
    assert made.ids([]).dtype == np.int32
    assert made.id("film") == 3
    assert made.id("dont") == 1
    assert ["good" in made, "dont" in made, PAD in made, UNK in made] == [True, False, False, False]


@pytest.mark.parametrize("limit", [{"min_count": 0}, {"max_size": 0}, {"max_size": -1}])
def test_limits_below_one_are_refused(limit: dict[str, int]) -> None:
    """A negative size would be a slice that drops the rarest words without a word."""
    with pytest.raises(DataError, match="must be at least 1"):
        Vocabulary.build([["a"]], **limit)


@given(TOKEN_LISTS)
@settings(max_examples=30, deadline=None)
def test_any_token_survives_the_file(
    tmp_path_factory: pytest.TempPathFactory, lists: list[list[str]]
) -> None:
    """A line separator or a lone surrogate in one token would shift or lose all ids behind it."""
    folder = tmp_path_factory.mktemp("vocabulary")
    made = Vocabulary.build(lists)
    made.save(folder)
    again = Vocabulary.load(folder)
    assert again == made
    assert again.ids(made.tokens[2:]).tolist() == list(range(2, len(made)))


def _save_lines(folder: Path, *entries: object) -> None:
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    (folder / "vocabulary.jsonl").write_text("\n".join(lines) + "\n", encoding="latin-1")


START = ([PAD, 0], [UNK, 0])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((*START, ["a", 1], ["a", 1]), "holds 'a' twice"),
        ((*START, ["a", 1], [UNK, 1]), "holds '<unk>' twice"),
        ((*START, '["a", 1'), "line 3: not JSON"),
        ((*START, "[" * 100_000), "line 3: not JSON"),
        ((*START, '["a"', '1], ["b", 2]'), "line 3: not JSON"),
        ((*START, ["a"]), "line 3: expected"),
        ((*START, ["a", "1"]), "line 3: expected"),
        ((*START, ["a", True]), "line 3: expected"),
        ((*START, ["a", -1]), "line 3: expected"),
        ((*START, ["a", 10**30]), "line 3: expected"),
        ((*START, [1, 1]), "line 3: expected"),
        ((*START, {"a": 1}), "line 3: expected"),
        ((*START, '["é", 1]'), "is damaged: .* at byte"),
        ((["a", 1],), "begins with '<pad>' and '<unk>'"),
        ((), "line 1: not JSON"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, lines: tuple[object, ...], message: str) -> None:
    """A vocabulary read wrongly gives confident nonsense; it must be one clear error."""
    _save_lines(tmp_path, *lines)
    with pytest.raises(ModelFileError, match=message):
        Vocabulary.load(tmp_path)


def test_a_missing_or_empty_file_is_refused(tmp_path: Path) -> None:
    """An incomplete model folder must be called that."""
    with pytest.raises(ModelFileError, match=r"vocabulary\.jsonl is missing"):
        Vocabulary.load(tmp_path)
    (tmp_path / "vocabulary.jsonl").write_text("")
    with pytest.raises(ModelFileError, match="begins with"):
        Vocabulary.load(tmp_path)
