"""Files and folders written aside and then renamed, so that nothing of the user's is ever half-written.

An OSError (full disk, no permission) leaves what was there before.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b, file_digest
from pathlib import Path


@contextmanager
def folder_written_aside(target: Path, replaceable: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield an empty folder beside `target`; when the block ends well it takes `target`'s place.

    A link is followed: what it names is written, and an older folder's permissions are kept.
    `replaceable(target)` says whether an existing folder is one of ours and may be replaced.
    Raises FileExistsError when it is not; any error inside the block leaves `target` as it was.
    """
    given, target = target, Path(os.path.realpath(target))
    if target.exists() and not replaceable(target):
        raise FileExistsError(f"{given} exists and gatelight did not write it; choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    aside, mode = _aside(target), _mode(target)
    aside.mkdir(0o777 if mode is None else mode | stat.S_IRWXU)
    try:
        yield aside
        for path in aside.rglob("*"):
            _to_disk(path)
        if mode is not None:
            aside.chmod(mode)
        if target.exists():
            _exchange(target, aside)
        else:
            aside.rename(target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


@contextmanager
def file_written_aside(target: Path) -> Iterator[Path]:
    """Yield a path beside `target`; when the block ends well its file takes `target`'s place at once.

    A link is followed: what it names is written, and an older file's permissions are kept.
    """
    target = Path(os.path.realpath(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    aside, mode = _aside(target), _mode(target)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    os.close(os.open(aside, flags, 0o666 if mode is None else mode | stat.S_IRUSR | stat.S_IWUSR))
    try:
        yield aside
        _to_disk(aside)
        if mode is not None:
            aside.chmod(mode)
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _exchange(target: Path, aside: Path) -> None:
    old = aside.with_suffix(".old")
    try:
        target.rename(old)
        aside.rename(target)
    except BaseException:  # Ctrl-C may come between the two
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    finally:
        if target.exists() and not aside.exists():  # what is new stands in its place
            shutil.rmtree(old, ignore_errors=True)


def _to_disk(path: Path) -> None:
    # A full disk may only show when the data are really written.
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _aside(target: Path) -> Path:
    """A name beside the target that nobody else takes."""
    return target.with_name(f".{target.name}.{secrets.token_hex(8)}.partial")


def _mode(target: Path) -> int | None:
    """The permissions that what is there has; None: the system gives those of any new file."""
    return stat.S_IMODE(target.stat().st_mode) if target.exists() else None


def fingerprint(*paths: Path) -> str:
    """Return a hash of files, and of every file below folders: their names and their bytes."""
    digest = blake2b(digest_size=16)
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                with file.open("rb") as stream:
                    digest.update(file.name.encode() + file_digest(stream, "blake2b").digest())
    return digest.hexdigest()
