"""The n-gram baseline gives the numbers of its formula."""

from __future__ import annotations

import numpy as np
import pytest

from gatelight.estimators.kneser_ney import KneserNey

ROUNDING = 1e-12  # sums of some ten numbers in float64


def test_a_case_worked_out_by_hand() -> None:
    """The baseline would be a straw man, or one that cannot be beaten."""
    # 1 1 2 1 2 2 after a 0: bigrams 01 11 12 21 12 22, of five kinds; what each id follows:
    # 1 follows {0, 1, 2}, 2 follows {1, 2}. With discount 1/2 and four ids in all:
    # p(1) = (3 - ½)/5 + ½·2/5 · ¼ = 0.55, p(2) = (2 - ½)/5 + 0.05 = 0.35.
    # p(2|1) = (2 - ½)/3 + ½·2/3 · 0.35, p(1|1) = (1 - ½)/3 + ⅓ · 0.55; context 3 was never seen.
    model = KneserNey(np.array([1, 1, 2, 1, 2, 2], np.int32), 4, order=2, begin=0, discount=0.5)
    fractions = model.probabilities(np.array([1, 2, 3, 1], np.int32))
    assert fractions[1] == pytest.approx(0.5 + 0.35 / 3, abs=ROUNDING)
    assert fractions[2] == pytest.approx(0.5 * 2 / 2 * 0.05, abs=ROUNDING)
    assert fractions[3] == pytest.approx(0.55, abs=ROUNDING)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_what_may_follow_adds_up_to_one(order: int) -> None:
    """A baseline whose probabilities leak is beaten by anything."""
    random = np.random.default_rng(0)
    model = KneserNey(random.integers(0, 6, 300).astype(np.int32), 7, order, begin=0)
    for _ in range(20):
        before = random.integers(0, 7, 5)
        total = sum(model.probabilities(np.array([*before, k], np.int32))[-1] for k in range(7))
        assert total == pytest.approx(1, abs=ROUNDING)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long text is predicted in blocks, whose first ids still have what precedes them."""
    random = np.random.default_rng(1)
    stream = random.integers(0, 5, 90).astype(np.int32)
    model = KneserNey(stream, 5, 3, begin=0)
    whole = model.probabilities(stream)
    monkeypatch.setattr("gatelight.estimators.kneser_ney.STREAM_BLOCK", 7)
    np.testing.assert_array_equal(model.probabilities(stream), whole)
    assert KneserNey(stream, 50_000, 5, begin=0).order == 4
