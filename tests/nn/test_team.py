"""torch's own threads as a crew: they come, they go, and only those come whom torch has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from crew_cases import both_meet, exit_code

import gatelight
from gatelight.compiled import compiled
from gatelight.nn import team, threads, workers
from gatelight.nn.calling import CALLED, GO
from gatelight.nn.crew import OPEN, OWNED, Crew, begin, share
from gatelight.nn.threads import (
    LITTLE_WORK,
    SHARED_WORK,
    WAKING_WORK,
    beside_torch,
    expect,
    set_threads,
)
from gatelight.nn.threads import share as shared

pytestmark = pytest.mark.skipif(team._openmp() is None, reason="torch runs on other threads here")


@pytest.fixture(params=[2, 4], autouse=True)
def both(request: pytest.FixtureRequest) -> Iterator[int]:
    """torch and we may use so many threads, more than there are processors too."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    set_threads(request.param)
    yield request.param
    torch.set_num_threads(before)
    set_threads(None)


@pytest.fixture
def nobody_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own threads may not be asked."""

    def refuse(helpers: int, wake: bool) -> Crew:
        raise AssertionError("our own threads were asked")

    monkeypatch.setattr(workers, "crew_of", refuse)


@compiled
def _note(done: Any, refused: int, k: int) -> None:
    if k == refused:
        raise MemoryError("no room")
    done[k] += 1


@compiled
def _notes(done: Any, refused: int, crew: Any, helpers: int) -> int:
    failed = 0
    for _ in range(3):  # a crew that was called stays for the next job of the same call
        failed |= share(_note, (done, refused), crew, helpers, len(done))
    return int(failed)


def _noted(refused: int = -1) -> bool:
    done = np.zeros(100, np.int64)
    beside_torch(shared)(_notes, (done, refused), SHARED_WORK)
    return bool((done == 3).all())


def _multiplied() -> bool:
    ones = torch.ones(300, 300)
    return bool(((ones @ ones) == 300).all())


@pytest.mark.usefixtures("nobody_of_ours")
def test_torchs_threads_work_beside_the_caller_and_for_torch_again() -> None:
    """Red when they are not called, or do not go back."""
    for _ in range(50):
        who = np.zeros(4, np.int64)
        beside_torch(shared)(both_meet, (who,), SHARED_WORK)
        assert who.tolist() == [1, 1, 1, 1]
        assert _noted()
        assert team.here.crew is not None
        assert not team.here.crew[[CALLED, GO]].any()
        assert _multiplied()


@pytest.mark.usefixtures("nobody_of_ours")
def test_they_go_back_when_a_task_fails() -> None:
    for _ in range(5):
        with pytest.raises(MemoryError, match="no memory"):
            _noted(refused=7)
        assert _noted()
        assert _multiplied()


@pytest.mark.usefixtures("nobody_of_ours")
@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_they_stay_from_one_job_to_the_next(error: type[Exception] | None) -> None:
    """Red when they go after each, are not asked for little work once they are there, or stay for good."""

    @beside_torch
    def several() -> None:
        for work in (SHARED_WORK, LITTLE_WORK, SHARED_WORK):
            done = np.zeros(100, np.int64)
            shared(_notes, (done, -1), work)
            assert (done == 3).all()
            assert team.here.crew is not None
            assert team.here.crew[CALLED]
            assert _multiplied()  # torch by itself in between
        if error is not None:
            raise error

    for _ in range(20):
        with nullcontext() if error is None else pytest.raises(error):
            several()
        assert team.here.crew is not None
        assert not team.here.crew[[CALLED, GO]].any()
        assert _multiplied()


@compiled
def _begun(done: Any, refused: int, crew: Any, helpers: int) -> int:
    return int(begin(_note, (done, refused), crew, helpers, len(done)))


@pytest.mark.usefixtures("nobody_of_ours")
@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_a_job_that_has_begun_is_done_before_the_next_and_before_they_go(
    error: type[Exception] | None,
) -> None:
    """Red when it is left undone or done twice, what it was given is let go, or it is done at once."""
    first, last = np.zeros(100, np.int64), np.zeros(100, np.int64)

    @beside_torch
    def several() -> None:
        shared(_begun, (first, -1), SHARED_WORK)
        assert team.here.begun is not None
        assert team.here.begun[1][0] is first
        assert _noted()  # the next, in a call of its own, after which they stay
        assert (first == 1).all()
        assert team.here.begun is None
        assert team.here.crew is not None
        assert team.here.crew[CALLED]
        shared(_begun, (last, -1), SHARED_WORK)
        if error is not None:
            raise error

    for _ in range(20):
        first[:] = last[:] = 0
        with nullcontext() if error is None else pytest.raises(error):
            several()
        assert (last == 1).all()
        assert team.here.begun is None
        assert team.here.crew is not None
        assert not team.here.crew[[CALLED, GO]].any()
        assert _multiplied()


@pytest.mark.usefixtures("nobody_of_ours")
def test_a_job_that_has_begun_is_done_before_a_call_inside_of_another_comes_back() -> None:
    """Red when only the outer one waits for it: what is called for by a hook of torch's is read at once."""

    @beside_torch
    def outer() -> None:
        shared(_notes, (np.zeros(100, np.int64), -1), SHARED_WORK)
        for _ in range(20):
            done = np.zeros(100, np.int64)
            beside_torch(shared)(_begun, (done, -1), SHARED_WORK)
            assert (done == 1).all()
            assert team.here.crew is not None
            assert team.here.crew[CALLED]

    outer()
    assert _multiplied()


@pytest.mark.usefixtures("nobody_of_ours")
def test_an_interrupt_leaves_no_job_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when the next ones find their crew owned, or others run what is left of it without its arrays."""

    class Interrupted:
        def __eq__(self, other: object) -> bool:
            raise KeyboardInterrupt

    done = np.zeros(100, np.int64)
    for _ in range(3):
        with monkeypatch.context() as patched:
            patched.setattr(threads, "BEGUN", Interrupted())
            with pytest.raises(KeyboardInterrupt):
                beside_torch(shared)(_begun, (done, -1), SHARED_WORK)
        assert team.here.crew is not None
        assert not team.here.crew[[OWNED, OPEN, CALLED]].any()
        assert (done == 1).all()
        done[:] = 0
        assert _noted()


@pytest.mark.usefixtures("nobody_of_ours")
def test_a_begun_job_that_fails_is_an_error_at_its_end() -> None:
    for _ in range(5):
        with pytest.raises(MemoryError, match="no memory"):
            beside_torch(shared)(_begun, (np.zeros(100, np.int64), 7), SHARED_WORK)
        assert team.here.begun is None
        assert _noted()
        assert _multiplied()


@pytest.mark.usefixtures("nobody_of_ours")
def test_they_come_when_work_is_expected_that_is_worth_it() -> None:
    """Red when only a job calls them, so that what is copied before it stays on one thread."""

    @beside_torch
    def called(work: int) -> bool:
        expect(work)
        return team.here.crew is not None and bool(team.here.crew[CALLED])

    for _ in range(5):
        assert not called(WAKING_WORK - 1)
        assert called(WAKING_WORK)
        assert _multiplied()


def test_torch_has_its_threads_between_the_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when dropout runs on one thread, because the others wait for the next layer."""
    layer, seen = gatelight.LSTM(32, 64, 2, dropout=0.5), []

    def dropout(x: torch.Tensor, p: float) -> torch.Tensor:
        assert team.here.crew is not None
        seen.append(bool(team.here.crew[CALLED]))
        return x

    monkeypatch.setattr(torch.nn.functional, "dropout", dropout)
    _noted()
    layer(torch.randn(20, 30, 32))
    assert seen == [False]


@pytest.mark.usefixtures("nobody_of_ours")
def test_each_thread_that_calls_has_a_crew_of_its_own() -> None:
    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(lambda _: all(_noted() and _multiplied() for _ in range(50)), range(3)):
            assert found


def test_others_than_torchs_number_are_ours(both: int) -> None:
    """Another number would let OpenMP end threads and start them anew at every turn."""
    assert team.may_help(both)
    assert not team.may_help(both + 1)
    assert not team.may_help(1)
    torch.set_num_threads(1)
    assert beside_torch(team.present)(True) is None
    torch.set_num_threads(both)
    assert team.present(True) is None  # outside of the block


@pytest.mark.parametrize(
    "layer", [gatelight.LSTM(16, 64, 2, bidirectional=True, batch_first=True), gatelight.GRU(16, 256)]
)
def test_a_layer_has_the_same_bits_whoever_helps(
    layer: Any, monkeypatch: pytest.MonkeyPatch, both: int
) -> None:
    """Red when layers do not call torch's threads, or a result depends on it."""
    x = torch.randn(20, 30, 16, requires_grad=True)
    lengths = torch.randint(1, 20, (20 if layer.batch_first else 30,))

    def results() -> list[bytes]:
        x.grad = None
        layer.zero_grad()
        hidden, _ = layer(x, lengths=lengths)
        (hidden * hidden).sum().backward()
        gradients = [p.grad for p in (x, *layer.parameters())]
        return [t.detach().numpy().tobytes() for t in (hidden, *gradients) if t is not None]

    set_threads(1)
    alone = results()
    set_threads(both)
    torch.set_num_threads(1)
    assert results() == alone
    torch.set_num_threads(both)
    monkeypatch.setattr(team.here, "crew", None)
    assert results() == alone
    assert team.here.crew is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_threads_that_stayed_with_its_parent() -> None:
    assert _noted()
    child = os.fork()
    if child == 0:
        os._exit(0 if _noted() and team.present(True) is None else 1)
    assert exit_code(child) == 0
    assert _noted()
