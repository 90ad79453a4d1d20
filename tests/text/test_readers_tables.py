"""Reading CSV, TSV, JSONL and Parquet: which column is what, and rows that are not as they should be."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelight.errors import DataError
from gatelight.text.corpus import Corpus

# csv.writer, the independent half of the round trip, can write neither of the two within one row's meaning.
CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("header", "text", "label"),
    [
        ("movie_name,category,text", "c", "b"),
        ("Review,Sentiment", "a", "b"),
        ("label,something", "b", "a"),  # one column is left, so it is the text
        ("text,comment,label", "a", "c"),  # `text` wins wherever it stands
        ("id,sentence,class", "b", "c"),
    ],
)
def test_obvious_columns(tmp_path: Path, header: str, text: str, label: str) -> None:
    """The wrong column of a common layout would be trained on."""
    path = write(tmp_path / "a.csv", f"{header}\n" + ("a,b,c\n" if header.count(",") == 2 else "a,b\n"))
    corpus = Corpus.read(path)
    assert (corpus.texts, corpus.labels) == ([text], [label])


@pytest.mark.parametrize(
    ("header", "options", "says"),
    [
        ("text,label", {"text_column": "review"}, ["no column 'review'", "'text', 'label'"]),
        ("text,label", {"label_column": "stars"}, ["no column 'stars'", "'text', 'label'"]),
        ("text,label", {"group_column": "film"}, ["no column 'film'"]),
        ("one,two,label", {}, ["no column is obviously the text", "'one', 'two', 'label'"]),
        ("review,comment,label", {}, ["'review', 'comment' all look like the text"]),
        ("text,one", {}, ["no column is obviously the label", "'text', 'one'"]),
        ("text,label,text", {}, ["'text' stands 2 times"]),
        ("text,label", {"text_column": "text", "label_column": "text"}, ["cannot be text and label at once"]),
        ("", {}, ["is empty"]),
    ],
)
def test_columns_that_cannot_be_chosen(
    tmp_path: Path, header: str, options: dict[str, Any], says: list[str]
) -> None:
    """The error would not tell which columns there are, or a wrong one would be taken in silence."""
    path = write(tmp_path / "a.csv", f"{header}\nx,y,z\n")
    with pytest.raises(DataError) as caught:
        Corpus.read(path, **options)
    for part in [str(path), *says]:
        assert part in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(CELLS, st.sampled_from(["pos", "neg"])), min_size=1, max_size=8))
def test_csv_round_trip_with_the_standard_writer(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    """Quoted line breaks, doubled quotes, delimiters, NULs and U+2028 in a text would be mangled."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "label"), *rows])
    path = write(tmp_path_factory.mktemp("csv") / "a.csv", out.getvalue())
    corpus = Corpus.read(path)
    assert corpus.texts == [text for text, _ in rows]
    assert corpus.labels == [label for _, label in rows]


def test_bom_crlf_nul_and_semicolons(tmp_path: Path) -> None:
    """A spreadsheet's file would lose its first column's name, or keep carriage returns in labels."""
    path = write(tmp_path / "a.csv", b'\xef\xbb\xbftext;label\r\n"a\r\nb";pos\r\nc\x00d;neg\r\n\r\n')
    corpus = Corpus.read(path)
    assert corpus.texts == ["a\r\nb", "c\x00d"]
    assert corpus.labels == ["pos", "neg"]


def test_utf16_and_old_macintosh_line_ends(tmp_path: Path) -> None:
    """Encodings whose line ends are not one byte, and lone carriage returns, would not be cut into rows."""
    path = write(tmp_path / "a.csv", "text,label\rgrün,pos\rblau,neg\r".encode("utf-16"))
    assert Corpus.read(path, encoding="utf-16").texts == ["grün", "blau"]


def test_a_field_of_ten_megabytes(tmp_path: Path) -> None:
    """csv's own limit of 131,072 characters would break a long text, or stay lifted for the whole process."""
    csv.field_size_limit(131_072)
    long = "wort " * 2_000_000
    corpus = Corpus.read(write(tmp_path / "a.csv", f'text,label\n"{long}",pos\nshort,neg\n'))
    assert [len(text) for text in corpus.texts] == [10_000_000, 5]
    assert csv.field_size_limit() == 131_072


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("a,pos\nb, with a comma,neg\n", "line 3 has 3 fields, the header 2"),
        ("a,pos\nb\n", "line 3 has 1 fields"),
        ('"a\nb",pos\nc\n', "line 4 has 1 fields"),  # physical lines, as an editor counts them
        ("a,pos\nb,\n", "line 3: the label is missing"),
        ('a,pos\n"never closed,neg\nc,pos\n', "line 3 cannot be read"),
        ('"a" b,pos\n', "line 2 cannot be read"),
    ],
)
def test_rows_that_are_not_as_they_should_be(tmp_path: Path, body: str, says: str) -> None:
    """A shifted row would silently give a text another's label."""
    path = write(tmp_path / "a.csv", "text,label\n" + body)
    with pytest.raises(DataError, match=says):
        Corpus.read(path)
    if "missing" in says:
        assert Corpus.read(path, labelled=False).labels == ["pos", None]


def test_undecodable_bytes_are_named_by_offset(tmp_path: Path) -> None:
    """The user could not find the byte; checked beyond the decoder's buffer and against the file itself."""
    content = b"text,label\n" + "größe,pos\n".encode() * 30_000 + b"caf\xe9,neg\n"
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(DataError) as caught:
        Corpus.read(path)
    assert f"{path}: byte {content.index(bytes([0xE9]) + b',neg')} (0xe9)" in str(caught.value)
    corpus = Corpus.read(path, encoding_errors="replace")
    assert corpus.texts[-1] == "caf\ufffd"
    assert Corpus.read(path, encoding="latin-1").texts[-1] == "café"
    with pytest.raises(DataError, match="unknown encoding: utf-9"):
        Corpus.read(path, encoding="utf-9")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16-le", "shift_jis"])
def test_offsets_at_the_very_end_and_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    """A character cut off at the end of a file would be placed wrongly, or pass unseen."""
    good = "text,label\n本,a\n".encode(encoding) * 9000
    cut = "本".encode(encoding)[:-1]
    with pytest.raises(DataError, match=f"byte {len(good)} "):
        Corpus.read(write(tmp_path / "a.csv", good + cut), encoding=encoding, label_column="label")


def test_tsv_whose_quotes_are_text(tmp_path: Path) -> None:
    """An unbalanced quote, common in TSV, would swallow the lines up to the next one."""
    path = write(tmp_path / "a.tsv", 'sentence\tlabel\n"a good film\t1\nthe "best" one\t0\n"say ""hi"""\t1\n')
    corpus = Corpus.read(path)
    assert corpus.texts == ['"a good film', 'the "best" one', 'say "hi"']
    assert corpus.labels == ["1", "0", "1"]


def test_tsv_whose_quotes_quote(tmp_path: Path) -> None:
    """Tabs and line breaks inside quotes would cut a text into pieces."""
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"one\ttwo"\tpos\n"three\nfour"\tneg\n')
    assert Corpus.read(path).texts == ["one\ttwo", "three\nfour"]


def test_jsonl(tmp_path: Path) -> None:
    """Numbers, booleans and lists as labels, other orders of keys, and blank lines would be misread."""
    rows: list[dict[str, Any]] = [
        {"text": "a\nb", "label": 1, "film": 7, "id": "x"},
        {"label": 0.0, "text": "c"},
        {"text": "", "label": True, "more": {"deep": 1}},
    ]
    path = write(tmp_path / "a.jsonl", "\n\n".join(map(json.dumps, rows)))
    corpus = Corpus.read(path)
    assert corpus.texts == ["a\nb", "c", ""]
    assert corpus.labels == ["1", "0", "true"]
    assert corpus.ids == ["x", "3", "5"]
    assert corpus.groups == ["7", "3", "5"]  # a text without a group is a group of its own


def test_jsonl_with_several_labels(tmp_path: Path) -> None:
    """Multi-label data would come out in two shapes, strings and tuples."""
    path = write(
        tmp_path / "a.jsonl",
        '{"text":"a","labels":["x","y"]}\n{"text":"b","labels":[]}\n{"text":"c","labels":"x"}\n',
    )
    corpus = Corpus.read(path)
    assert corpus.labels == [("x", "y"), (), ("x",)]
    assert corpus.multilabel
    assert corpus.classes == ["x", "y"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2 is not JSON"),
        ("[1]", "line 2 is a JSON list"),
        ('{"label":"x"}', "line 2 has no 'text'"),
        ('{"text":1,"label":"x"}', "line 2: the text is int 1"),
        ('{"text":null,"label":"x"}', "line 2: the text is missing"),
        ('{"text":"t"}', "line 2: the label is missing"),
        ('{"text":"t","label":{}}', "line 2: the label is dict"),
        ('{"text":"\\ud83d","label":"x"}', "half of a surrogate pair"),
        ("[" * 100_000, "line 2 is not JSON"),
    ],
)
def test_jsonl_lines_that_are_not_as_they_should_be(tmp_path: Path, line: str, says: str) -> None:
    """A bad line would end in a traceback that does not name it."""
    path = write(tmp_path / "a.jsonl", f'{{"text":"t","label":"x"}}\n{line}\n')
    with pytest.raises(DataError, match=says):
        Corpus.read(path)
    if "surrogate" in says:
        assert Corpus.read(path, encoding_errors="replace").texts[1] == "\ufffd"


def test_json_that_is_no_json_lines(tmp_path: Path) -> None:
    """A JSON array would be taken for lines of text."""
    with pytest.raises(DataError, match="one object a line"):
        Corpus.read(write(tmp_path / "a.json", '[{"text": "a"}]'), labelled=False)
    assert Corpus.read(write(tmp_path / "b.json", '{"text": "a", "label": "x"}\n')).labels == ["x"]


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet(tmp_path: Path) -> None:
    """Dictionary columns, numbers as labels and several batches would be misread."""
    n = 10_000
    path = parquet(
        tmp_path / "a.parquet",
        text=pa.array([f"text {i}" for i in range(n)]).dictionary_encode(),
        label=pa.array([i % 3 for i in range(n)]),
        split=["train", "test"] * (n // 2),
        unread=pa.array([[i] for i in range(n)]),
    )
    corpus = Corpus.read(path)
    assert corpus.texts[9_999] == "text 9999"
    assert corpus.labels is not None
    assert corpus.labels[:4] == ["0", "1", "2", "0"]
    assert corpus.of_split("test").ids[:2] == ["2", "4"]
    assert len(Corpus.read(path, splits=["train"])) == n // 2


def test_parquet_class_names(tmp_path: Path) -> None:
    """Classes written by the `datasets` library would be called 0 and 1, and its −1 would be a class."""
    features = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}
    table = pa.table({"text": ["a", "b", "c"], "label": [1, 0, -1]}).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert Corpus.read(tmp_path / "a.parquet", labelled=False).labels == ["pos", "neg", None]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"text": ["a", "b"], "label": ["a", None]}, "row 2: the label is missing"),
        ({"text": [b"a"], "label": ["a"]}, "row 1: the text is bytes"),
        ({"one": ["a"], "two": ["b"], "label": ["a"]}, "the columns are 'one', 'two', 'label'"),
    ],
)
def test_parquet_of_wrong_types(tmp_path: Path, columns: dict[str, Any], says: str) -> None:
    """A wrong column would come through as text."""
    with pytest.raises(DataError, match=says):
        Corpus.read(parquet(tmp_path / "a.parquet", **columns))


def test_damaged_parquet(tmp_path: Path) -> None:
    """A truncated or foreign file would end in pyarrow's traceback."""
    whole = parquet(tmp_path / "a.parquet", text=["a"] * 999, label=["b"] * 999).read_bytes()
    for content in (whole[:-20], b"text,label\n", whole[:60] + b"\0" * 60 + whole[120:]):
        with pytest.raises(DataError, match=r"a\.parquet"):
            Corpus.read(write(tmp_path / "a.parquet", content))


def test_parquet_whose_strings_are_no_utf8(tmp_path: Path) -> None:
    """A file of a careless writer would be a traceback."""
    parquet(
        tmp_path / "a.parquet", text=pa.array([b"caf\xe9"]).cast(pa.binary()).view(pa.string()), label=["x"]
    )
    with pytest.raises(DataError, match="not UTF-8"):
        Corpus.read(tmp_path / "a.parquet")


def test_compressed_files(tmp_path: Path) -> None:
    """Compressed files would be taken for text, or a cut one would silently give fewer rows."""
    content = b"text,label\n" + b"".join(b"text %d,pos\n" % i for i in range(20_000))
    gz = write(tmp_path / "a.csv.gz", gzip.compress(content))
    bz = write(tmp_path / "a.csv.bz2", bz2.compress(content))
    assert Corpus.read(gz).texts == Corpus.read(bz).texts
    for path in (gz, bz):
        write(path, path.read_bytes()[:-1000])
        with pytest.raises(DataError, match="damaged or incomplete"):
            Corpus.read(path)
    with pytest.raises(DataError, match="damaged or incomplete"):
        Corpus.read(write(tmp_path / "b.csv.gz", b"not gzip at all"))
