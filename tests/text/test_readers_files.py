"""Reading aclImdb, folders per class, fastText files, plain lines and standard input."""

from __future__ import annotations

import io
import sys
import tracemalloc
from pathlib import Path

import pytest
from text_files import aclimdb_files, urls, write_folder, write_tar

from gatelight.errors import DataError
from gatelight.text.corpus import Corpus, read_examples

ARCHIVE = Path(__file__).parents[2].parent / "shared" / "data" / "aclImdb_v1.tar.gz"
archive_needed = pytest.mark.skipif(not ARCHIVE.exists(), reason="the IMDB archive is not in ../shared/data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "aclImdb", aclimdb_files())


def test_aclimdb_folder(folder: Path) -> None:
    """Labels, stars, parts and films each have their own place in the layout; a mix-up would go unseen."""
    corpus = Corpus.read(folder)
    assert len(corpus) == 14
    one = corpus.ids.index("test/pos/2_9")
    assert corpus.texts[one] == "test pos 2 Amélie<br />"
    assert corpus.labels is not None
    assert corpus.groups is not None
    assert corpus.splits is not None
    row = (corpus.labels[one], corpus.groups[one], corpus.splits[one])
    assert row == ("pos", "tt0000002", "test")
    assert [corpus.groups[corpus.ids.index(f"train/neg/{i}_2")] for i in range(3)] == [
        "tt0000003",
        "tt0000004",
        "tt0000003",
    ]
    assert corpus.classes == ["neg", "pos"]
    unlabelled = corpus.of_split("unsup")
    assert unlabelled.labels == [None, None]
    assert unlabelled.groups == ["tt0000009", "tt0000001"]
    assert len(corpus.labelled()) == 12


@pytest.mark.parametrize("films_last", [True, False])
@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar", "a.tar.bz2", "a.tar.xz"])
def test_aclimdb_archive_equals_the_folder(folder: Path, tmp_path: Path, name: str, films_last: bool) -> None:
    """Films that come after their reviews in the archive would be lost; the order of a copy would matter."""
    files = {f"aclImdb/{key}": content for key, content in aclimdb_files().items()}
    order = sorted(files, key=lambda key: ("urls" in key) == films_last)
    modes = {".gz": "w:gz", ".tgz": "w:gz", ".tar": "w", ".bz2": "w:bz2", ".xz": "w:xz"}
    path = write_tar(tmp_path / name, {key: files[key] for key in order}, modes[Path(name).suffix])
    expected, got = Corpus.read(folder), Corpus.read(path)
    for column in ("texts", "labels", "groups", "ids", "splits"):
        assert getattr(got, column) == getattr(expected, column), column
    assert Corpus.from_examples(read_examples(path)).groups == expected.groups


def test_aclimdb_parts(folder: Path, tmp_path: Path) -> None:
    """A part not asked for would cost its memory, or an absent one would be an empty corpus."""
    assert set(Corpus.read(folder, splits=["train", "unsup"]).splits or ()) == {"train", "unsup"}
    assert {example.split for example in read_examples(folder, splits=["test"])} == {"test"}
    only_train = Corpus.read(folder / "train")
    assert sorted(set(only_train.splits or ())) == ["train", "unsup"]
    assert only_train.groups is not None
    with pytest.raises(DataError, match="no texts in the split 'valid'"):
        Corpus.read(folder, splits=["valid"])
    write_folder(tmp_path / "c", {"a/1.txt": b"x", "b/1.txt": b"y"})
    with pytest.raises(DataError, match="no texts in the split 'test'; it has no splits"):
        Corpus.read(tmp_path / "c", splits=["test"])


def test_aclimdb_without_or_with_too_few_films(tmp_path: Path) -> None:
    """A missing address would shift the films, or stop the reading."""
    files = aclimdb_files()
    files["train/urls_pos.txt"] = urls(["tt0000001"])
    corpus = Corpus.read(write_folder(tmp_path / "few", files))
    assert corpus.groups is not None
    assert corpus.groups[corpus.ids.index("train/pos/1_9")] == "train/pos/1_9"
    without = {name: content for name, content in files.items() if "urls" not in name}
    assert Corpus.read(write_folder(tmp_path / "none", without)).groups is None


def test_an_undecodable_review_is_named(tmp_path: Path) -> None:
    """Which of 100,000 files has the bad byte would stay unknown."""
    path = write_folder(tmp_path / "aclImdb", aclimdb_files() | {"test/neg/1_2.txt": b"caf\xe9"})
    with pytest.raises(DataError, match=r"test/neg/1_2\.txt: byte 3 \(0xe9\)"):
        Corpus.read(path)
    assert "caf\ufffd" in Corpus.read(path, encoding_errors="replace").texts


@archive_needed
def test_the_imdb_archive_whole() -> None:
    """It would differ from the data set that the field knows."""
    corpus = Corpus.read(ARCHIVE)
    train, test, unsup = (corpus.of_split(name) for name in ("train", "test", "unsup"))
    assert (len(train), len(test), len(unsup), len(corpus.labelled())) == (25_000, 25_000, 50_000, 50_000)
    assert (sum(map(len, train.texts)), sum(map(len, test.texts))) == (33_126_741, 32_344_810)
    # Its README says that no film is in both; `grep` on the urls files finds this one.
    assert set(train.groups or ()) & set(test.groups or ()) == {"tt0406816"}


def test_one_folder_per_class(tmp_path: Path) -> None:
    """Class names, README files and hidden files would become classes or texts."""
    files = {
        "README.txt": b"no text",
        "sport/1.txt": b"goal",
        "sport/deep/2.txt": b"match",
        "politics/1": b"vote",
        "politics/.hidden": b"\xff",
        ".git/config": b"x",
        "empty/.keep": b"",
    }
    corpus = Corpus.read(write_folder(tmp_path / "news", files))
    assert corpus.ids == ["politics/1", "sport/1.txt", "sport/deep/2.txt"]
    assert corpus.labels == ["politics", "sport", "sport"]
    assert corpus.texts == ["vote", "goal", "match"]
    assert corpus.splits is None


@pytest.mark.parametrize("around", ["", "news/", "./news/"])
def test_class_folders_in_an_archive_with_parts(tmp_path: Path, around: str) -> None:
    """The folder that archives wrap around everything, or a part, would be taken for a class."""
    files = {
        f"{around}train/a/1.txt": b"one",
        f"{around}train/b/1.txt": b"two",
        f"{around}test/a/1.txt": b"three",
    }
    corpus = Corpus.read(write_tar(tmp_path / "news.tar.gz", files))
    assert corpus.labels == ["a", "b", "a"]
    assert corpus.splits == ["train", "train", "test"]
    assert corpus.of_split("test").texts == ["three"]


@pytest.mark.parametrize("files", [{}, {"README": b"x"}, {"a/.hidden": b"x"}])
def test_a_folder_without_texts(tmp_path: Path, files: dict[str, bytes]) -> None:
    """An empty or mistaken folder would be an empty corpus."""
    (tmp_path / "f").mkdir()
    with pytest.raises(DataError, match="no texts found"):
        Corpus.read(write_folder(tmp_path / "f", files))


def test_fasttext(tmp_path: Path) -> None:
    """One label and several, and a prefix inside the text, would be mixed up."""
    path = tmp_path / "train.txt"
    path.write_bytes("__label__pos a fine\u2028film\r\n\n__label__neg\tnot __label__pos\r\n".encode())
    corpus = Corpus.read(path)
    assert corpus.texts == ["a fine\u2028film", "not __label__pos"]
    assert corpus.labels == ["pos", "neg"]
    path.write_text("__label__a __label__b  text\n__label__c\n", encoding="utf-8")
    corpus = Corpus.read(path)
    assert corpus.labels == [("a", "b"), ("c",)]
    assert corpus.texts == ["text", ""]


@pytest.mark.parametrize(
    ("line", "says"), [("no label", "line 2 starts with no"), ("__label__ x", "no name")]
)
def test_fasttext_lines_without_a_label(tmp_path: Path, line: str, says: str) -> None:
    """An unlabelled line would silently be left out, as fastText itself does."""
    path = tmp_path / "train.txt"
    path.write_text(f"__label__a x\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=says):
        Corpus.read(path)


def test_lines(tmp_path: Path) -> None:
    """Blank lines would be lost, so that answers stand beside the wrong lines; U+0085 would cut a line."""
    path = tmp_path / "a.txt"
    path.write_bytes("\ufefffirst\x85line\r\n\nthird\x00".encode())
    corpus = Corpus.read(path, labelled=False)
    assert corpus.texts == ["first\x85line", "", "third\x00"]
    assert corpus.labels is None
    with pytest.raises(DataError, match="plain lines carry no labels"):
        Corpus.read(path)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.ft"])
def test_streaming_is_bounded_in_memory(tmp_path: Path, name: str) -> None:
    """A file larger than the memory could not be read text by text."""
    text, n = "word " * 200, 6_000  # 6 MB in all
    row = {
        "a.csv": f"{text},x\n",
        "a.jsonl": f'{{"text":"{text}","label":"x"}}\n',
        "a.ft": f"__label__x {text}\n",
    }
    path = tmp_path / name
    path.write_text(("text,label\n" if name == "a.csv" else "") + row[name] * n, encoding="utf-8")
    tracemalloc.start()
    assert sum(1 for _ in read_examples(path)) == n
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "name", ["a.csv", "a.tsv", "a.jsonl", "a.txt", "a.parquet", "a.csv.gz", "a.tar.gz", "a.zip"]
)
def test_empty_files(tmp_path: Path, name: str) -> None:
    """An empty file would be an empty corpus, or a traceback."""
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=name):
        Corpus.read(tmp_path / name, labelled=False)


def test_a_path_that_is_not_there_and_a_format_that_is_not(tmp_path: Path) -> None:
    """Each would be a traceback."""
    with pytest.raises(DataError, match="no such file or folder"):
        Corpus.read(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="no such file or folder"):
        Corpus.read(tmp_path / "nowhere.csv", format="csv")
    with pytest.raises(DataError, match="no format 'xls'; the formats are aclimdb"):
        Corpus.read(tmp_path, format="xls")
    with pytest.raises(DataError, match="standard input cannot be read as parquet"):
        Corpus.read("-", format="parquet")


class _Stdin:
    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


@pytest.mark.parametrize("source", ["-", Path("-")])
def test_standard_input(monkeypatch: pytest.MonkeyPatch, source: str | Path) -> None:
    """Standard input would be taken for a file of that name, or be closed after reading."""
    stdin = _Stdin(b"text,label\na,x\n")
    monkeypatch.setattr(sys, "stdin", stdin)
    assert Corpus.read(source, format="csv").labels == ["x"]
    assert not stdin.buffer.closed
    monkeypatch.setattr(sys, "stdin", _Stdin(b"ok\ncaf\xe9\n"))
    with pytest.raises(DataError, match="standard input: byte 6 "):
        list(read_examples(source, labelled=False))
    monkeypatch.setattr(sys, "stdin", _Stdin(b""))
    assert list(read_examples(source, labelled=False)) == []
