"""Texts alike are found as a comparison of every two of them would find them."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from gatelight.text.near_duplicates import (
    LEAST_WORDS,
    Sketch,
    candidates,
    likeness,
    sketch,
)

TYPES = 500


def texts_in_families(seed: int) -> list[list[int]]:
    """Random texts, each followed by versions of it with more and more words changed."""
    draw = np.random.default_rng(seed)
    out = []
    for _ in range(40):
        words = draw.integers(1, TYPES, draw.integers(20, 120))
        out.append(words.tolist())
        for changes in (1, 3, 8):
            other = words.copy()
            other[draw.choice(len(words), changes, replace=False)] = draw.integers(1, TYPES, changes)
            out.append(other.tolist())
    return out


def sketched(texts: list[list[int]], is_word: np.ndarray) -> Sketch:
    lengths = np.array([len(text) for text in texts])
    return sketch(np.concatenate([np.array(t, np.int32) for t in texts]), lengths, is_word)


def exact(one: list[int], other: list[int]) -> float:
    a, b = set(pairwise(one)), set(pairwise(other))
    return len(a & b) / len(a | b)


@pytest.mark.parametrize("seed", range(3))
def test_every_pair_alike_is_found_and_measured_exactly(seed: int) -> None:
    """A pair that no band brings together is never seen."""
    texts = texts_in_families(seed)
    is_word = np.ones(TYPES, bool)
    made = sketched(texts, is_word)
    pairs = candidates(made.keys, made.words >= LEAST_WORDS)
    fractions = likeness(pairs, lambda i: np.array(texts[i], np.int32), is_word)
    expected = {(i, j): exact(texts[i], texts[j]) for i, j in combinations(range(len(texts)), 2)}
    for (i, j), fraction in zip(pairs.tolist(), fractions, strict=True):
        assert fraction == expected[i, j]
    found = {tuple(pair) for pair in pairs.tolist()}
    alike = {pair for pair, fraction in expected.items() if fraction >= 0.7}
    assert len(alike) > 50
    assert alike <= found
    assert len(found) < 0.1 * len(expected)  # or every two texts would be compared


def test_signs_do_not_count_and_order_does() -> None:
    """ "Great film!!" is "great film"; the same words in another order are another text."""
    is_word = np.array([False, True, True, True, True, False])
    made = sketched([[1, 2, 3, 4], [1, 5, 2, 5, 3, 4, 5], [4, 3, 2, 1], [1, 2]], is_word)
    assert made.words.tolist() == [4, 4, 4, 2]
    assert made.sequence[0] == made.sequence[1]
    assert len(set(made.sequence.tolist())) == 3
    assert (made.keys[0] == made.keys[1]).all()
    assert not (made.keys[0] == made.keys[2]).any()


def test_many_equal_texts_cost_no_square() -> None:
    """A template that comes 5,000 times has 12 million pairs, which nobody wants to wait for."""
    keys = np.zeros((5000, 32), np.uint32)
    pairs = candidates(keys, np.ones(5000, bool))
    assert len(pairs) < 5000 * 9
    reached = {0}
    for one, other in pairs.tolist():
        if one in reached:
            reached.add(other)
    assert len(reached) == 5000
