"""Word vectors: every format against gensim or a hand-made file, clear faults, bounded memory, the table."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from codecs import BOM_UTF8
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from gensim.models import KeyedVectors
from pyarrow import parquet

from gatelight.errors import DataError
from gatelight.text.vectors import WordVectors
from gatelight.text.vocabulary import Vocabulary

WORDS = ["the", "película", "12", "don't", "电影", "zoo"]
MATRIX = np.random.default_rng(7).standard_normal((6, 5)).astype(np.float32)
EXACT_IN_TEXT = 0.0  # nine digits bring back every float32
GENSIM_TEXT = 1e-6  # gensim writes fewer digits


def _of_gensim() -> KeyedVectors:
    made = KeyedVectors(5)
    made.add_vectors(WORDS, MATRIX)
    return made


def _check(vectors: WordVectors, tolerance: float = 0.0) -> None:
    assert vectors.words == WORDS
    np.testing.assert_allclose(vectors.matrix, MATRIX, rtol=0, atol=tolerance)
    assert vectors.matrix.dtype == np.float32


@pytest.mark.parametrize("binary", [True, False])
def test_gensims_files_are_read(tmp_path: Path, binary: bool) -> None:
    """word2vec's two formats as others write them; the ending says nothing."""
    path = tmp_path / "vectors.anything"
    _of_gensim().save_word2vec_format(str(path), binary=binary)
    _check(WordVectors.read(path), GENSIM_TEXT)
    some = WordVectors.read(path, ["zoo", "absent", "12", "<pad>"])
    assert some.words == ["12", "zoo"]
    np.testing.assert_allclose(some["zoo"], MATRIX[5], atol=GENSIM_TEXT)
    assert ["zoo" in some, "the" in some, some.dim, len(some)] == [True, False, 5, 2]


@pytest.mark.parametrize("ending", [".bin", ".txt", ".vec", ".npy"])
def test_our_files_come_back_and_gensim_reads_them(tmp_path: Path, ending: str) -> None:
    """`vectors train` writes files for other programs too, and to the last bit for ourselves."""
    path = tmp_path / f"vectors{ending}"
    WordVectors(WORDS, MATRIX).save(path)
    _check(WordVectors.read(path), EXACT_IN_TEXT)
    some = WordVectors.read(path, ["zoo", "12", "unheard"])  # `rows` are places in the file: ranks
    assert (some.words, some.rows.tolist()) == (["12", "zoo"], [2, 5])
    np.testing.assert_array_equal(some.matrix, MATRIX[[2, 5]])
    if ending != ".npy":
        read = KeyedVectors.load_word2vec_format(str(path), binary=ending == ".bin")
        assert read.index_to_key == WORDS
        np.testing.assert_array_equal(read.vectors, MATRIX)


def _text(separator: str = " ", end: str = "\n", header: str = "", words: list[str] = WORDS) -> bytes:
    rows = (
        separator.join([word, *map(repr, row.tolist())]) + end
        for word, row in zip(words, MATRIX, strict=True)
    )
    return (header + "".join(rows)).encode()


def _binary(end: bytes, words: list[str] = WORDS) -> bytes:
    rows = (word.encode() + b" " + row.tobytes() + end for word, row in zip(words, MATRIX, strict=True))
    return b"6 5\n" + b"".join(rows)


@pytest.mark.parametrize(
    "data",
    {
        "GloVe": _text(),
        "GloVe, no last line end": _text()[:-1],
        "a byte order mark": BOM_UTF8 + _text(),
        "a byte order mark before a header": BOM_UTF8 + _text(header="6 5\n"),
        "Windows line ends": _text(end="\r\n"),
        "tabs": _text(separator="\t"),
        "fastText, a space before each line end": _text(header="6 5\n", end=" \n"),
        "original word2vec, a line feed after each vector": _binary(b"\n"),
        "no line feeds": _binary(b""),
    }.items(),
    ids=lambda item: item[0],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_dialects(tmp_path: Path, data: tuple[str, bytes], compressed: bool) -> None:
    """Each program that writes such files has its own habits; a slip would shift all rows."""
    path = tmp_path / "vectors"
    path.write_bytes(gzip.compress(data[1]) if compressed else data[1])
    _check(WordVectors.read(path))
    assert WordVectors.read(path, {"电影"}).words == ["电影"]


def test_words_with_spaces_and_odd_line_separators(tmp_path: Path) -> None:
    """GloVe 840B has ". . ." and words of U+0085; splitting from the left or by Unicode lines loses rows."""
    words = [". . .", "a\u0085b", "at name@example.com", "\u2028", "1", "\u00a0"]
    path = tmp_path / "glove.txt"
    path.write_bytes(_text(words=words))
    read = WordVectors.read(path)
    assert read.words == words
    np.testing.assert_array_equal(read.matrix, MATRIX)
    assert WordVectors.read(path, [". . .", "1"]).words == [". . .", "1"]


def test_of_a_word_that_comes_twice_the_first_counts(tmp_path: Path) -> None:
    """Two rows for one word would leave the choice to chance."""
    words = ["a", "b", "a", "c", "b", "d"]
    for data in (_text(words=words), _binary(b"", words=words)):
        (path := tmp_path / "vectors").write_bytes(data)
        for wanted in (None, words):
            read = WordVectors.read(path, wanted)
            assert read.words == ["a", "b", "c", "d"]
            np.testing.assert_array_equal(read.matrix, MATRIX[[0, 1, 3, 5]])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f8"])
@pytest.mark.parametrize("listed", ["vectors.words.txt", "other.parquet"])
def test_arrays_with_word_lists(tmp_path: Path, order: str, dtype: str, listed: str) -> None:
    """The GloVe wheel's form: the array, and beside it a Parquet list under another name."""
    array = np.asarray(MATRIX, dtype=dtype, order=order)  # type: ignore[call-overload]
    np.save(tmp_path / "vectors.npy", array)
    if listed.endswith(".txt"):
        (tmp_path / listed).write_text("\n".join(WORDS) + "\n", encoding="utf-8-sig")
    else:
        number = list(range(6))
        parquet.write_table(pyarrow.table({"number": number, "index": WORDS}), tmp_path / listed)
    for read in (
        WordVectors.read(tmp_path),
        WordVectors.read(tmp_path / "vectors.npy", word_list=tmp_path / listed),
    ):
        assert read.words == WORDS
        np.testing.assert_array_equal(read.matrix, array.astype(np.float32))
    some = WordVectors.read(tmp_path, ["zoo", "电影", "película"])
    assert some.words == ["película", "电影", "zoo"]
    np.testing.assert_array_equal(some.matrix, array.astype(np.float32)[[1, 4, 5]])


# --- faults ---------------------------------------------------------------------------------------


def _npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


LINES = _text().decode().splitlines()
FAULTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "blank": (b"\n\n", "is empty"),
    "prose": (b"What a film this is\nand so on\n", "no word and vector"),
    "header of zero words": (b"0 5\n", "the header is"),
    "header of zero length": (b"5 0\n", "the header is"),
    "header of a huge length": (b"5 999999999\nx", "the header is"),
    "header only": (b"6 5\n", "promises 6 words .* ends in word 1"),
    "header of another file": (_text(header="9 5\n"), "promises 9 words, the file has 6: it is cut short"),
    "header of fewer words": (_text(header="4 5\n"), "promises 4 words, the file has 6: header and rows"),
    "binary cut short": (_binary(b"\n")[:-9], "ends in word 6: it is cut short"),
    "binary that lost a byte": (_binary(b"\n")[:20] + _binary(b"\n")[21:], "the file is damaged"),
    "binary with more": (_binary(b"\n") + b"more", "more data follow the 6 words"),
    "binary without words": (b"6 5\n" + b"\xff" * 5_000_000, "the word has no end"),
    "a column less": (
        "\n".join([*LINES[:3], "x 1 2 3 4"]).encode(),
        "line 4: 4 numbers after 'x', expected 5",
    ),
    "a column more": (
        "\n".join([*LINES[:3], "x 1 2 3 4 5 6"]).encode(),
        "line 4: 6 numbers after 'x', expected 5",
    ),
    "no number": ("\n".join([*LINES[:3], "x 1 2 3 4 five"]).encode(), "line 4: expected 5 numbers after 'x'"),
    "NaN": ("\n".join([*LINES[:3], "x 1 2 3 nan 5"]).encode(), "the vector of 'x' holds NaN"),
    "infinity": ("\n".join([*LINES[:3], "x 1 2 3 1e99 5"]).encode(), "the vector of 'x' holds NaN or inf"),
    "gzip cut short": (gzip.compress(_text() * 50)[:-20], "compressed data are damaged or cut short"),
    "no gzip inside": (b"\x1f\x8b\x08\x00nonsense-nonsense", "compressed data are damaged or cut short"),
    "zip": (b"PK\x03\x04....", "a zip archive"),
    "pickle": (b"\x80\x04\x95....", "a Python pickle"),
    "fastText model": (b"\xba\x16\x4f\x2f....", r"give the \.vec"),
    "array without list": (_npy(MATRIX), "no word list was found"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(tmp_path: Path, fault: str) -> None:
    """A damaged file must be one clear sentence, never rows of garbage or a traceback."""
    data, message = FAULTS[fault]
    (path := tmp_path / "vectors").write_bytes(data)
    with pytest.raises(DataError, match=message):
        WordVectors.read(path)


@pytest.mark.parametrize("kind", ["text", "binary", "gzip", "array"])
def test_mutated_files_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    """Whatever bytes a file holds, the answer is vectors or one DataError (400 seeded mutations)."""
    data = {
        "text": _text(header="6 5\n"),
        "binary": _binary(b"\n"),
        "gzip": gzip.compress(_text()),
        "array": _npy(MATRIX),
    }
    (tmp_path / "vectors.words.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    rng = np.random.default_rng(11)
    refused = 0
    for _ in range(400):
        mutated = bytearray(data[kind])
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(len(mutated) // 2 if rng.random() < 0.5 else min(len(mutated), 90)))
            mutated[place : place + int(rng.integers(3))] = rng.bytes(int(rng.integers(3)))
        (path := tmp_path / "vectors.npy").write_bytes(bytes(mutated))
        try:
            assert WordVectors.read(path).dim >= 1
        except DataError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_npy(MATRIX)[:-3], "is cut short"),
        (_npy(MATRIX[:5]), "lists 6 words, vectors.npy has 5 rows"),
        (_npy(MATRIX[0]), r"expected floating-point numbers \[words, length\]"),
        (_npy(MATRIX.astype(int)), "holds int64"),
        (_npy(np.array([[{}]], dtype=object), allow_pickle=True), "no readable .npy array"),
        (_npy(MATRIX[:0]), "at least one"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': nonsen", "no readable .npy array"),
        (b"\x93NUMPY\x09\x00\x10\x00", "version"),
        (_npy(np.where(np.isin(MATRIX, MATRIX[3, 2]), np.nan, MATRIX)), 'the vector of "don\'t" holds NaN'),
    ],
)
def test_faults_of_arrays_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    """An array that does not fit its word list would give every word another's vector."""
    (tmp_path / "vectors.npy").write_bytes(data)
    (tmp_path / "vectors.words.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        WordVectors.read(tmp_path / "vectors.npy")


@pytest.mark.parametrize(
    ("name", "word", "message"),
    [
        ("v.bin", "two words", "cannot hold the word 'two words'"),
        ("v.txt", "", "cannot hold the word ''"),
        ("v.npy", "a\nb", "cannot hold"),
        ("v.csv", "a", r"choose one of these endings"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path: Path, name: str, word: str, message: str) -> None:
    """A word with a space would shift every number behind it; nothing may be left half-written."""
    with pytest.raises(DataError, match=message):
        WordVectors(["ok", word], MATRIX[:2]).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


PROBE = """
import re, sys
from pathlib import Path
from gatelight.text.vectors import WordVectors
import pyarrow
# Of a mapped array the pages that were looked at are no memory that anybody else lacks.
kind = "RssAnon" if sys.argv[1].endswith(".npy") else "VmHWM"
peak = lambda: int(re.search(kind + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before = peak()
vectors = WordVectors.read(sys.argv[1], [f"w{i:07d}" for i in range(0, 100_000, 250)])
print(len(vectors), float(vectors["w0050000"][0]), peak() - before)
"""


# Not getrusage: its peak is inherited from the process that made the file.
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory as Linux tells it")
@pytest.mark.parametrize("ending", [".bin", ".npy"])
def test_a_large_file_costs_only_the_wanted_rows(tmp_path: Path, ending: str) -> None:
    """A 3.6 GB file must never cost 3.6 GB: of 120 MB 400 rows of 1.2 kB are asked for."""
    path, count, dim = tmp_path / f"big{ending}", 100_000, 300
    names = [f"w{i:07d}" for i in range(count)]
    if ending == ".bin":
        rows = np.zeros(count, dtype=[("word", "S9"), ("vector", "<f4", dim)])
        rows["word"] = [name + " " for name in names]
        rows["vector"][:, 0] = np.arange(count)
        path.write_bytes(f"{count} {dim}\n".encode() + rows.tobytes())
    else:
        matrix = np.zeros((count, dim), dtype=np.float32)
        matrix[:, 0] = np.arange(count)
        np.save(path, matrix)
        (tmp_path / "big.words.txt").write_text("\n".join(names) + "\n")
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    found, value, grown = done.stdout.split()
    assert (int(found), float(value)) == (400, 50_000)
    assert float(grown) < 30


# --- the table ------------------------------------------------------------------------------------


def _table_case() -> tuple[WordVectors, Vocabulary]:
    matrix = np.random.default_rng(3).normal(0.5, 2.0, (400, 64)).astype(np.float32)
    counts = Counter({f"w{i}": 1_000 - i for i in range(0, 800, 2)}) + Counter({"rare": 1, "last": 1})
    return WordVectors([f"w{i}" for i in range(400)], matrix), Vocabulary.from_counts(counts, min_count=2)


def test_known_rows_are_the_vectors_and_padding_is_zero() -> None:
    """A table off by one row trains on the vectors of other words."""
    vectors, vocabulary = _table_case()
    table, coverage = vectors.table(vocabulary, seed=5)
    assert (table.shape, table.dtype) == ((len(vocabulary), 64), np.float32)
    assert not table[0].any()
    for word in ("w0", "w200", "w398"):
        np.testing.assert_array_equal(table[vocabulary.id(word)], vectors[word])
    seen = {word: 1_000 - int(word[1:]) for word in vocabulary.tokens[2:]}
    known = {word: count for word, count in seen.items() if int(word[1:]) < 400}
    assert (coverage.known, coverage.types) == (200, 0.5)
    assert coverage.tokens == pytest.approx(sum(known.values()) / (sum(seen.values()) + 2))
    assert coverage.missing[:3] == ("w400", "w402", "w404")


def test_absent_words_get_rows_as_large_as_known_ones() -> None:
    """Rows far larger than the known ones would drown them, zeros would make unknown words padding."""
    vectors, vocabulary = _table_case()
    table, _ = vectors.table(vocabulary, seed=5)
    absent = table[[1, *(i for i, token in enumerate(vocabulary.tokens) if token not in vectors and i > 1)]]
    known = vectors.matrix[::2]
    assert absent.std() == pytest.approx(known.std(), rel=0.03)
    assert abs(absent.mean()) < 0.05
    assert len(np.unique(absent, axis=0)) == 201
    np.testing.assert_array_equal(table, vectors.table(vocabulary, seed=5)[0])
    assert not np.array_equal(table[1], vectors.table(vocabulary, seed=6)[0][1])


def test_vectors_of_another_language_are_refused() -> None:
    """With no word in common the table would be noise under the name of pretrained vectors."""
    with pytest.raises(DataError, match=r"no vector for any of the vocabulary's 2 words \('gut'"):
        WordVectors(WORDS, MATRIX).table(Vocabulary.build([["gut", "gut", "schlecht"]]))
    with pytest.raises(DataError, match="6 words came with"):
        WordVectors(WORDS, MATRIX[:5])
    with pytest.raises(DataError, match="two vectors"):
        WordVectors(["a", "a"], MATRIX[:2])
