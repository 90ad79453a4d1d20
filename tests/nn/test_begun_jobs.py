"""Jobs that threads of ours do while Python goes on: done once, in time, and nobody's memory is let go."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from crew_cases import exit_code

from gatelight.compiled import compiled
from gatelight.nn import team, threads, workers
from gatelight.nn.crew import BEGUN, INSIDE, OPEN, OWNED, serve
from gatelight.nn.crew import begin as begin_job
from gatelight.nn.signals import look, new_signal
from gatelight.nn.threads import SHARED_WORK, begin, finish, run, share, together, using


@compiled
def _note(done: Any, wait: Any, k: int) -> None:
    looks = 0
    while look(wait) != 0 and looks < 10**9:  # some seconds, should nobody else be at it
        looks += 1
    if done[k] < 0:
        raise MemoryError("no room")
    done[k] += 1


@compiled
def _notes(done: Any, wait: Any, opened: Any, crew: Any, helpers: int) -> int:
    state = begin_job(_note, (done, wait), crew, helpers, len(done))
    opened[0] = state == BEGUN
    return int(state)


@compiled
def _little(done: Any, crew: Any, helpers: int) -> int:
    done[0] += 1
    return 0


def _start(done: Any, wait: int = 0) -> Any:
    waits = np.array([wait])
    begin(_notes, (done, waits), SHARED_WORK)
    return waits


def _started_and_finished(done: Any) -> None:
    _start(done)
    finish()


def _is_free() -> bool:
    return team.here.begun is None and not workers.crew_of(0, False)[[OWNED, OPEN, INSIDE]].any()


def _next_share() -> None:
    share(_little, (np.zeros(1),), 1)


NEXT: dict[str, Callable[[], object]] = {
    "finish": finish,
    "share": _next_share,
    "run": lambda: run([], SHARED_WORK),
    "together": lambda: together([list], list),
    "begin": lambda: _started_and_finished(np.zeros(1, np.int64)),
}


@pytest.mark.parametrize("then", NEXT)
@pytest.mark.parametrize("size", [0, 1, 2, 30])
@pytest.mark.parametrize("count", [1, 2])
def test_a_job_is_done_once_before_this_threads_next(count: int, size: int, then: str) -> None:
    """Half a batch, or one made twice over another, would be learnt from."""
    with using(count):
        for _ in range(10):
            done = np.zeros(size, np.int64)
            _start(done)
            NEXT[then]()
            assert (done == 1).all()
            assert _is_free()


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two processors")
def test_python_goes_on_while_somebody_else_does_it(several: int) -> None:
    """Red when it is done at once, or when one task alone is left to who begins it."""
    told, watched = new_signal(), new_signal()
    other = threading.Thread(
        target=lambda: serve(workers.crew_of(0, False), told, 0, watched, 0, 10**9), daemon=True
    )
    other.start()
    for size in (1, 3):
        done = np.zeros(size, np.int64)
        wait = _start(done, 1)
        somebody, until = False, time.monotonic() + 20
        while not somebody and time.monotonic() < until:
            time.sleep(0.001)
            somebody = workers.crew_of(0, False)[INSIDE] > 0
        undone = not done.any()
        wait[0] = 0
        finish()
        assert somebody
        assert undone
        assert (done == 1).all()
        assert _is_free()
    watched[0] = 1
    other.join()


def test_what_it_was_given_lives_until_it_is_done(several: int) -> None:
    """Others would write to memory that is somebody else's by now."""
    done = np.zeros(3, np.int64)
    alive, wait = weakref.ref(done), _start(done, 1)
    del done
    kept = alive() is not None
    wait[0] = 0
    finish()
    assert kept
    assert alive() is None


@pytest.mark.parametrize("count", [1, 2])
def test_a_task_that_finds_no_memory_is_an_error_where_it_is_waited_for(count: int) -> None:
    with using(count):
        for _ in range(5):
            with pytest.raises(MemoryError, match="no memory"):
                _started_and_finished(np.full(3, -1))
            assert _is_free()


def test_another_thread_is_not_kept_waiting(several: int) -> None:
    """Its own work must not wait for a job of somebody who may be long about other things."""
    done = np.zeros(3, np.int64)
    wait = _start(done, 1)
    other = np.zeros(4, np.int64)
    thread = threading.Thread(target=_started_and_finished, args=(other,), daemon=True)
    thread.start()
    thread.join(20)
    ended = not thread.is_alive()
    wait[0] = 0
    finish()
    assert ended
    assert (other == 1).all()
    assert (done == 1).all()
    assert _is_free()


def test_an_interrupt_leaves_no_job_open(several: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when nobody knows any more of what is open, or somebody else's job is taken for one's own."""

    class Interrupted:
        def __eq__(self, other: object) -> bool:
            raise KeyboardInterrupt

    for _ in range(5):
        done = np.zeros(3, np.int64)
        with monkeypatch.context() as patched:
            patched.setattr(threads, "BEGUN", Interrupted())
            with pytest.raises(KeyboardInterrupt):
                _start(done)
        finish()
        assert (done == 1).all()
        assert _is_free()


def test_an_interrupt_before_a_job_is_open_finishes_nobody_elses(
    several: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: Any) -> int:
        raise KeyboardInterrupt

    taken = workers.crew_of(0, False)
    taken[OWNED] = 1  # by another thread
    try:
        with pytest.raises(KeyboardInterrupt):
            begin(interrupted, (), SHARED_WORK)
        finish()
        assert taken[OWNED] == 1
    finally:
        taken[OWNED] = 0
    assert _is_free()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_waits_for_no_job_of_its_parents(several: int) -> None:
    """Red when it looks for the end of a task whose thread it does not have."""
    wait = _start(np.zeros(3, np.int64), 1)
    child = os.fork()
    if child == 0:
        _next_share()
        os._exit(0 if team.here.begun is None else 1)
    code = exit_code(child)
    wait[0] = 0
    finish()
    assert code == 0
    assert _is_free()
