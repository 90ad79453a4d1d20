"""Files that the tests of reading write: small copies of each layout, whole and damaged."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

FILMS = {"pos": ["tt0000001", "tt0000001", "tt0000002"], "neg": ["tt0000003", "tt0000004", "tt0000003"]}


def aclimdb_files() -> dict[str, bytes]:
    """Return a miniature of the data set by name: three reviews a class and part, two unlabelled ones."""
    files: dict[str, bytes] = {"README": b"a README", "imdbEr.txt": b"0.1\n0.2\n"}
    for part in ("train", "test"):
        for label, stars in (("pos", 9), ("neg", 2)):
            for number in range(3):
                text = f"{part} {label} {number} Amélie<br />"
                files[f"{part}/{label}/{number}_{stars}.txt"] = text.encode()
            files[f"{part}/urls_{label}.txt"] = urls(FILMS[label])
    files["train/unsup/0_0.txt"] = b"unlabelled 0"
    files["train/unsup/1_0.txt"] = b"unlabelled 1"
    files["train/urls_unsup.txt"] = urls(["tt0000009", "tt0000001"])
    return files


def urls(films: list[str]) -> bytes:
    return "".join(f"http://www.imdb.com/title/{film}/usercomments\n" for film in films).encode()


def write_folder(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def write_tar(path: Path, files: Mapping[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path
