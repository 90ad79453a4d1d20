"""Compiled tasks shared without the interpreter: each is run once, by whoever is there; none is mixed up."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from crew_cases import both_meet, exit_code

from gatelight.compiled import compiled
from gatelight.nn.crew import (
    BEGUN,
    INSIDE,
    OPEN,
    OWNED,
    begin,
    begin_ends,
    finish,
    help_crew,
    new_crew,
    serve,
    share,
    share_ends,
)
from gatelight.nn.signals import new_signal
from gatelight.nn.threads import LITTLE_WORK, SHARED_WORK
from gatelight.nn.threads import share as shared


@compiled
def _note(done: Any, value: int, spin: int, k: int) -> None:
    total = 0
    for number in range(spin):
        total += number * (k + 1)
    done[k] += value + (0 if total >= 0 else 1)


@compiled
def _all_notes(done: Any, value: int, spin: int, crew: Any, helpers: int) -> int:
    return int(share(_note, (done, value, spin), crew, helpers, len(done)))


@compiled
def _begin_notes(done: Any, value: int, spin: int, crew: Any, helpers: int) -> int:
    # Slices have owners of Numba's own, which are gone when this returns.
    return int(begin(_note, (done[:], value, spin), crew, helpers, len(done)))


@compiled
def _all_notes_ends(done: Any, value: int, spin: int, crew: Any, helpers: int) -> int:
    return int(share_ends(_note, (done, value, spin), crew, helpers, len(done)))


@compiled
def _begin_notes_ends(done: Any, value: int, spin: int, crew: Any, helpers: int) -> int:
    return int(begin_ends(_note, (done[:], value, spin), crew, helpers, len(done)))


REGIONS = [_all_notes, _begin_notes, _all_notes_ends, _begin_notes_ends]


@compiled
def _fail(refused: int, k: int) -> None:
    if k == refused:
        raise MemoryError("no room")


@compiled
def _all_fail(refused: int, count: int, crew: Any, helpers: int) -> int:
    return int(share(_fail, (refused,), crew, helpers, count))


@pytest.mark.parametrize("spin", [0, 20_000])
@pytest.mark.parametrize("work", [LITTLE_WORK, SHARED_WORK])
@pytest.mark.parametrize("region", REGIONS)
def test_every_task_is_run_once(several: int, spin: int, work: int, region: Any) -> None:
    """Red when a task is left out, run twice, or still under way when the call comes back."""
    for size in (0, 1, 2, 3, 17, 100) * 30:
        done = np.zeros(size, np.int64)
        shared(region, (done, 5, spin), work)
        assert (done == 5).all()
        time.sleep(0.002 if size == 3 else 0)  # in which threads fall asleep, or not


@pytest.mark.parametrize("region", REGIONS)
def test_calls_from_many_threads_at_once_do_not_mix(several: int, region: Any) -> None:
    """Red when a thread helps with one job by what another one says."""

    def one(number: int) -> bool:
        right = True
        for _ in range(200):
            done = np.zeros(9, np.int64)
            shared(region, (done, number, 2_000), SHARED_WORK)
            right = right and bool((done == number).all())
        return right

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(one, range(1, 7)))


@pytest.mark.parametrize("helpers", [0, 1])
def test_a_job_is_begun_where_somebody_could_help(helpers: int) -> None:
    """Red when it is done before it is finished, or not at all; nobody helps here."""
    crew, done = new_crew(), np.zeros(9, np.int64)
    for _ in range(3):
        done[:] = 0
        state = _begin_notes(done, 5, 0, crew, helpers)
        assert state == (BEGUN if helpers else 0)
        assert (done == (0 if helpers else 5)).all()
        if helpers:
            assert finish(crew) == 0
        assert (done == 5).all()
        assert not crew[[OPEN, OWNED, INSIDE]].any()


@compiled
def _note_turn(turns: Any, k: int) -> None:
    turns[0] += 1
    turns[k + 1] = turns[0]


@compiled
def _begin_turns(turns: Any, ends: bool, crew: Any) -> int:
    if ends:
        return int(begin_ends(_note_turn, (turns[:],), crew, 1, len(turns) - 1))
    return int(begin(_note_turn, (turns[:],), crew, 1, len(turns) - 1))


def test_an_owner_begins_at_the_end_and_others_at_the_beginning() -> None:
    """Red when either takes tasks in another order: a thread would not find what it wrote before."""
    for ends, who, expected in [
        (True, finish, [9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (True, help_crew, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (False, finish, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ]:
        crew, turns = new_crew(), np.zeros(10, np.int64)
        assert _begin_turns(turns, ends, crew) == BEGUN
        who(crew)
        assert turns[1:].tolist() == expected


@compiled
def _much(a: Any, k: int) -> None:
    a[0][k] += 1


@compiled
def _begin_much(a: Any, crew: Any, helpers: int) -> int:
    return int(begin(_much, (a,), crew, helpers, 2))


def test_what_has_no_room_in_a_crew_is_refused() -> None:
    with pytest.raises(TypeError, match="more is given than a crew has room for"):
        _begin_much((np.zeros(2),) * 40, new_crew(), 1)


@pytest.mark.parametrize("refused", [0, 7, 15])
def test_a_task_without_memory_is_an_error_of_the_call(several: int, refused: int) -> None:
    """Red when what fails in compiled code, here or on another thread, passes for done."""
    for _ in range(20):
        with pytest.raises(MemoryError):
            shared(_all_fail, (refused, 16), SHARED_WORK)
    shared(_all_fail, (-1, 16), SHARED_WORK)  # and the next call is none the worse for it


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two processors")
def test_somebody_else_does_help() -> None:
    """Red when all tasks are left to the caller: neither of these two ends before the other begins."""
    crew, told, watched = new_crew(), new_signal(), new_signal()
    other = threading.Thread(target=lambda: serve(crew, told, 0, watched, 0, 10**9))
    both_meet(np.ones(4, np.int64), crew, 0)  # compiled
    other.start()
    try:
        for _ in range(100):
            who = np.zeros(4, np.int64)
            assert both_meet(who, crew, 1) == 0
            assert who.tolist() == [1, 1, 1, 1]
    finally:
        watched[0] = 1
        other.join()
    assert not crew[[OPEN, OWNED, INSIDE]].any()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_crew_of_its_own(several: int) -> None:
    """Red when a child waits for threads that stayed with its parent."""
    done = np.zeros(50, np.int64)
    shared(_all_notes, (done, 1, 10_000), SHARED_WORK)
    child = os.fork()
    if child == 0:
        shared(_all_notes, (done, 1, 10_000), SHARED_WORK)
        os._exit(0 if (done == 2).all() else 1)
    assert exit_code(child) == 0
