"""Files and folders written aside and then renamed, so that nothing of the user's is ever half-written.

Knows nothing of texts or models. An OSError (full disk, no permission) leaves what was there before.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def folder_written_aside(target: Path, replaceable: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield an empty folder beside `target`; when the block ends well it takes `target`'s place.

    `replaceable(target)` says whether an existing folder is one of ours and may be replaced.
    Raises FileExistsError when it is not; any error inside the block leaves `target` as it was.
    """
    target = Path(target)
    if target.exists() and not replaceable(target):
        raise FileExistsError(f"{target} exists and gatelight did not write it; choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        yield aside
        for path in aside.iterdir():
            _to_disk(path)
        aside.chmod(0o777 & ~_umask())
        if target.exists():
            old = aside.with_suffix(".old")
            target.rename(old)
            try:
                aside.rename(target)
            except OSError:
                old.rename(target)
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            aside.rename(target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


@contextmanager
def file_written_aside(target: Path) -> Iterator[Path]:
    """Yield a path beside `target`; when the block ends well its file takes `target`'s place at once."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        _to_disk(aside)
        aside.chmod(0o666 & ~_umask())
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _to_disk(path: Path) -> None:
    # A full disk may only show when the data are really written.
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
