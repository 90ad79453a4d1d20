"""How many threads may be used: who says so, and what is refused."""

from __future__ import annotations

import pytest

from gatelight.errors import DataError
from gatelight.memory.threads import available, set_threads, threads


@pytest.mark.parametrize("wish", ["abc", "0", "-1", "1.5", " 2"])
def test_a_variable_that_is_no_number_is_the_users_mistake(
    wish: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red when a slip in the environment ends in a traceback, or is passed over in silence."""
    monkeypatch.setenv("GATELIGHT_THREADS", wish)
    with pytest.raises(DataError, match=r"GATELIGHT_THREADS is .*expected a positive whole number"):
        threads()


def test_the_call_goes_before_the_variable_and_that_before_the_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Red when a number that was asked for is not the one that is used."""
    monkeypatch.setenv("GATELIGHT_THREADS", "3")
    try:
        assert threads() == 3
        set_threads(2)
        assert threads() == 2
        with pytest.raises(DataError, match="0 threads were asked for"):
            set_threads(0)
        assert threads() == 2
    finally:
        set_threads(None)
    monkeypatch.delenv("GATELIGHT_THREADS")
    assert threads() == available()
