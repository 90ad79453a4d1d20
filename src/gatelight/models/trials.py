"""Many trainings, each remembered in a file of its own, several at a time.

A trial is known by its settings and by what it is made on: whoever asks for it again, after a stop or with
more trials beside it, gets what was found before.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from gatelight.errors import DataError, GatelightError
from gatelight.files import file_written_aside
from gatelight.nn.threads import available, set_threads

Settings = Mapping[str, Any]
Record = dict[str, Any]
Work = Callable[[Any, Settings], Record]

MOST_JOBS = 8
"""Each takes some 0.5 GB and a copy of the texts."""
_FOLDER = "runs"
_ERROR = "error"


def run_trials(
    trials: Sequence[Settings],
    work: Work,
    material: Any,
    identity: Callable[[Settings], str],
    folder: Path,
    *,
    jobs: int | None = None,
    on_done: Callable[[Settings, Record, bool], None] | None = None,
) -> list[Record]:
    """Return what `work(material, trial)` finds for each trial (JSON-able), made now or found in `folder`.

    `identity` of a trial says what its result depends on besides its settings, such as the material: with
    another, what was found before does not count. Several trials run at a time in processes of one thread
    each, which is faster than one on several threads; `jobs` says how many (None: one for each processor, at
    most MOST_JOBS). `work` must be a function of a module, and `material` such that it can be sent to a
    process. on_done(trial, record, found before) is called for each.

    Raises DataError for a record that is damaged and, naming the trial, for what `work` cannot do; what other
    trials found stays. OSError where nothing can be written.
    """
    if jobs is not None and jobs < 1:
        raise DataError(f"jobs is {jobs}; expected 1 or more, or none to choose by the processors")
    told = on_done or (lambda trial, record, before: None)
    paths = [folder / _FOLDER / f"{_name(trial, identity(trial))}.json" for trial in trials]
    records: dict[int, Record] = {}
    for number, (trial, path) in enumerate(zip(trials, paths, strict=True)):
        if path.exists():
            records[number] = _read(path, trial)
            told(trial, records[number], True)
    left = [number for number in range(len(trials)) if number not in records]
    at_once = min(jobs or min(available(), MOST_JOBS), len(left))
    (folder / _FOLDER).mkdir(parents=True, exist_ok=True)
    todo = [(number, trials[number]) for number in left]
    for number, found in _made(todo, work, material, at_once):
        if _ERROR in found:
            raise DataError(f"{describe(trials[number])}: {found[_ERROR]}")
        _write(paths[number], trials[number], found)
        records[number] = found
        told(trials[number], found, False)
    return [records[number] for number in range(len(trials))]


def describe(trial: Settings) -> str:
    """Return a trial's settings as people read them: "hidden=64 seed=1"."""
    return " ".join(f"{name}={'none' if value is None else value}" for name, value in trial.items())


def _made(
    todo: Sequence[tuple[int, Settings]], work: Work, material: Any, at_once: int
) -> Iterator[tuple[int, Record]]:
    """Yield (number, record) as they come."""
    if at_once <= 1:
        for number, trial in todo:
            yield number, _tried(work, material, trial)
        return
    with _processes(at_once, work, material) as pool:
        running = {pool.submit(_in_process, dict(trial)): number for number, trial in todo}
        for done in as_completed(running):
            yield running[done], done.result()


@contextmanager
def _processes(count: int, work: Work, material: Any) -> Iterator[ProcessPoolExecutor]:
    # Not forked: threads of torch and Numba that are under way would be missing in the child.
    spawned = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, spawned, initializer=_begin, initargs=(work, material))
    others = set(multiprocessing.active_children())
    try:
        yield pool
    except BrokenProcessPool:
        raise DataError(
            "a process that trained was ended from outside, as systems do that run out of memory; what "
            "others found is kept: go on with fewer jobs"
        ) from None
    except BaseException:
        # Ctrl-C, a full disk, a trial that cannot be: nobody waits for the minutes that others would take.
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_here: list[Any] = []


def _begin(work: Work, material: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C, and ends its children
    set_threads(1)
    _here[:] = [work, material]


def _in_process(trial: Settings) -> Record:
    work, material = _here
    return _tried(work, material, trial)


def _tried(work: Work, material: Any, trial: Settings) -> Record:
    try:
        return work(material, trial)
    except GatelightError as error:
        from gatelight.models.history import Interrupted

        if isinstance(error, Interrupted):
            raise
        return {_ERROR: str(error)}  # some errors cannot be sent from one process to another


def _name(trial: Settings, identity: str) -> str:
    whole = json.dumps([dict(trial), identity], sort_keys=True, default=str)
    return blake2b(whole.encode(), digest_size=10).hexdigest()


def _write(path: Path, trial: Settings, record: Record) -> None:
    with file_written_aside(path) as aside:
        aside.write_text(json.dumps({"trial": dict(trial), "found": record}, default=str) + "\n", "utf-8")


def _read(path: Path, trial: Settings) -> Record:
    try:
        found = json.loads(path.read_bytes())["found"]
        if not isinstance(found, dict):
            raise TypeError("no record")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(
            f"{path}, what was found for {describe(trial)}, is damaged ({error}); delete it, and it is made "
            "again"
        ) from None
    return found
