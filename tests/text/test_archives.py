"""Untrusted archives: what leads outside, links, is bomb-like, damaged or cut is refused."""

from __future__ import annotations

import gzip
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
from text_files import aclimdb_files, write_folder, write_tar

from gatelight.errors import DataError
from gatelight.text import archives
from gatelight.text.corpus import Corpus
from gatelight.text.readers import streams, tables

GOOD = {f"aclImdb/{name}": content for name, content in aclimdb_files().items()}


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


OUTSIDE = ["../evil.txt", "/etc/evil.txt", "a/../../evil.txt", "..", "c:/evil.txt", "..\\evil.txt"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("first", [True, False])
def test_names_that_lead_outside(tmp_path: Path, name: str, first: bool) -> None:
    """A hostile archive would be used as if nothing were wrong with it."""
    files = {name: b"x", **GOOD} if first else {**GOOD, name: b"x"}
    for path in (write_tar(tmp_path / "a.tar.gz", files), write_zip(tmp_path / "a.zip", files)):
        with pytest.raises(DataError, match="points outside"):
            Corpus.read(path)
    assert not (tmp_path.parent / "evil.txt").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices(tmp_path: Path, kind: bytes) -> None:
    """A link would let an archive read a file of the user's as one of its texts."""
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo("train/pos/0_9.txt")
        entry.type, entry.linkname = kind, "/etc/passwd"
        tar.addfile(entry)
    with pytest.raises(DataError, match="a link or a device"):
        list(archives.members(path))
    link = zipfile.ZipInfo("train/pos/0_9.txt")
    link.external_attr = 0o120777 << 16  # zip's Unix mode bits
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        list(archives.members(tmp_path / "a.zip"))


def test_bombs_stop_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few kilobytes would fill the memory; trusted data would have no way past the bound."""
    monkeypatch.setattr(archives, "RATIO_FLOOR", 1 << 17)
    zeros = bytes(1 << 20)
    bombs = [
        write_tar(tmp_path / "a.tar.gz", {"train/pos/0_9.txt": zeros}),
        write_zip(tmp_path / "a.zip", {"train/pos/0_9.txt": zeros}),
        tmp_path / "a.csv.gz",
    ]
    bombs[2].write_bytes(gzip.compress(b"text,label\n" + b"a,b\n" * (1 << 18)))
    for path in bombs:
        with pytest.raises(DataError, match="if you trust it"):
            Corpus.read(path)
        with pytest.raises(DataError, match="if you trust it"):
            Corpus.read(path, max_bytes=1 << 19)
    assert len(Corpus.read(bombs[0], max_bytes=1 << 30).texts[0]) == len(zeros)
    assert len(Corpus.read(bombs[2], max_bytes=1 << 30)) == 1 << 18


@pytest.mark.parametrize("size", [1 << 40, (8 << 30) + 1])
def test_a_member_that_claims_too_much(tmp_path: Path, size: int) -> None:
    """A header alone would make the reader reserve the memory it claims."""
    entry = tarfile.TarInfo("train/pos/0_9.txt")
    entry.size = size
    path = tmp_path / "a.tar"
    path.write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(DataError, match="claims"):
        list(archives.members(path))


def test_a_negative_size(tmp_path: Path) -> None:
    """A header that steps backwards would be read for ever."""
    entry = tarfile.TarInfo("train/pos/0_9.txt")
    header = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"  # −256 in base 256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(DataError):
        list(archives.members(path))


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tar", "a.tar.bz2", "a.zip"])
def test_cut_archives_are_never_taken_for_whole(tmp_path: Path, name: str) -> None:
    """An interrupted download would be trained on as if it were all: cut at every kind of place."""
    files = {f"pos/{i}.txt": random.Random(i).randbytes(400 + 200 * i) for i in range(8)}
    path = tmp_path / name
    if name.endswith("zip"):
        write_zip(path, files)
    else:
        write_tar(path, files, "w:" + name.split(".")[2] if name.count(".") == 2 else "w")
    whole = path.read_bytes()
    assert dict(archives.members(path)) == files
    # A tar ends with a filling of zeros, of which it may lose all but some.
    end = len(whole) if name != "a.tar" else len(whole.rstrip(b"\0")) // 512 * 512 + 512
    for cut in {*range(0, end, 97), *range(512, end, 512), end - 1} - {end}:
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError):
            list(archives.members(path))


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tar", "a.zip"])
def test_damaged_archives_give_one_clear_error_or_are_read(tmp_path: Path, name: str) -> None:
    """Flipped bits would end in a traceback of tarfile, zipfile or zlib (seeded; 300 mutations a kind)."""
    path = tmp_path / name
    files = {f"pos/{i}.txt": b"a text\n" * (1 + 40 * i) for i in range(4)}
    whole = (
        write_zip(path, files)
        if name.endswith("zip")
        else write_tar(path, files, "w:gz" if "gz" in name else "w")
    )
    content, dice, refused = whole.read_bytes(), random.Random(name), 0
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(dice.randint(1, 4)):
            damaged[dice.randrange(min(len(damaged), 4096))] = dice.randrange(256)
        path.write_bytes(damaged)
        try:
            list(archives.members(path))
        except DataError:
            refused += 1
    assert refused > 30


def test_other_zips(tmp_path: Path) -> None:
    """An encrypted member, or a file that is no archive, would be a traceback."""
    path = write_zip(tmp_path / "a.zip", {"pos/1.txt": b"secret"})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1  # both flags that say "encrypted"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip"):
        list(archives.members(path))
    nameless = bytearray(write_zip(path, {"x": b"y"}).read_bytes())
    directory = nameless.index(b"PK\x01\x02")
    nameless[directory + 28] = 0  # the length of the name
    nameless[directory + 30] = 1  # its byte becomes an extra field
    path.write_bytes(nameless)
    with pytest.raises(DataError, match=r"a\.zip"):
        list(archives.members(path))
    path.write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"a\.zip"):
        list(archives.members(path))


def sparse_tar(path: Path, size: int, kind: str) -> Path:
    """A tar of some 10 kB whose one member is `size` bytes of holes, as GNU tar writes it."""
    if kind == "pax":
        entry = tarfile.TarInfo("pos/1.txt")
        entry.pax_headers = {
            "GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "pos/1.txt",
            "GNU.sparse.size": str(size), "GNU.sparse.numblocks": "1", "GNU.sparse.map": f"{size},0",
        }  # fmt: skip
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            tar.addfile(entry)
        return path
    header = bytearray(tarfile.TarInfo("pos/1.txt").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:410] = b"%011o\0%011o\0" % (size, 0)  # one piece of nothing, at the very end
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    path.write_bytes(bytes(header) + bytes(9728))
    return path


@pytest.mark.parametrize("kind", ["gnu", "pax"])
def test_a_sparse_member_is_refused(tmp_path: Path, kind: str) -> None:
    """Ten kilobytes would become 314 MB of zeros, or up to 8 GiB."""
    path = sparse_tar(tmp_path / "a.tar", 314_000_000, kind)
    assert path.stat().st_size <= 10_240
    for max_bytes in (None, 1 << 40):
        with pytest.raises(DataError, match=r"'pos/1\.txt' is a sparse file"):
            list(archives.members(path, max_bytes=max_bytes))


def test_one_text_is_bounded_wherever_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of one endless line would fill the memory, where the same line on standard input is refused."""
    for module in (archives, streams, tables):
        monkeypatch.setattr(module, "LONGEST_TEXT", 1000)
    long, files = "x" * 1001, {"pos/1.txt": b"x" * 1001, "neg/1.txt": b"y"}
    for name, content in {
        "a.txt": long, "a.csv": f"text,label\n{long},a\n", "b.csv": 'text,label\n"' + "x\n" * 600 + '",a\n',
        "a.tsv": f"text\tlabel\n{long}\ta\n", "a.jsonl": f'{{"text": "{long}"}}\n',
        "a.ft": f"__label__a {long}\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=rf"{name}: .*(longer than 1,000|larger than field limit)"):
            Corpus.read(tmp_path / name, labelled=False)
    for source in (
        write_tar(tmp_path / "a.tar", files, "w"),
        write_zip(tmp_path / "a.zip", files),
        write_folder(tmp_path / "folder", files),
    ):
        with pytest.raises(DataError, match=r"1\.txt' claims 1,001 bytes"):
            Corpus.read(source)
        assert len(Corpus.read(source, max_bytes=100_000)) == 2


def test_no_bytes_at_all_means_the_same_everywhere(tmp_path: Path) -> None:
    """`--max-bytes 0` was 8 GiB for a zip, and nothing for anything else."""
    files = {"pos/1.txt": b"x", "neg/1.txt": b"y"}
    (tmp_path / "a.csv").write_text("text,label\na,b\n")
    for source in (
        write_tar(tmp_path / "a.tar.gz", files), write_zip(tmp_path / "a.zip", files), tmp_path / "a.csv",
    ):  # fmt: skip
        with pytest.raises(DataError, match="max_bytes must be at least 1, not 0"):
            Corpus.read(source, max_bytes=0)
        with pytest.raises(DataError, match=r"if you trust it, read it with .*max_bytes"):
            Corpus.read(source, max_bytes=1)
