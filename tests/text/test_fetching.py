"""Downloads that resume, are checked, bounded and shown; nothing but the loopback is asked."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_server import BODY, FILE, Server, serving

from gatelight.errors import DataError
from gatelight.text import fetching


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fetching, "_POLL", 0.01)
    with serving() as server:
        yield server


def test_a_download_with_progress(server: Server, tmp_path: Path) -> None:
    """The file would not be what the server has, or the bar not know where it stands."""
    seen: list[tuple[int, int | None]] = []
    fetching.download(
        server.address, tmp_path / "a.bin", FILE, lambda have, total: seen.append((have, total))
    )
    assert (tmp_path / "a.bin").read_bytes() == BODY
    assert seen == sorted(seen)
    assert seen[-1] == (len(BODY), len(BODY))
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_dropped_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    """Each drop would start the download anew, or leave a hole in it."""
    server.drop_after = 300_000
    fetching.download(server.address, tmp_path / "a.bin", FILE)
    assert (tmp_path / "a.bin").read_bytes() == BODY
    assert server.asked == [None, "bytes=300000-", "bytes=600000-"]


def test_a_later_attempt_goes_on(server: Server, tmp_path: Path) -> None:
    """What an interrupted download left would be fetched again; the bar would start from nothing."""
    (tmp_path / "a.bin.partial").write_bytes(BODY[:500_000])
    seen: list[int] = []
    fetching.download(server.address, tmp_path / "a.bin", FILE, lambda have, total: seen.append(have))
    assert server.asked == ["bytes=500000-"]
    assert min(seen) > 500_000
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_ctrl_c_keeps_what_has_come(server: Server, tmp_path: Path) -> None:
    """A stopped download would be lost."""

    def stop(have: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetching.download(server.address, tmp_path / "a.bin", FILE, stop)
    left = (tmp_path / "a.bin.partial").read_bytes()
    assert left
    assert BODY.startswith(left)


def test_a_server_without_ranges_starts_anew(server: Server, tmp_path: Path) -> None:
    """The whole file would be appended to its own beginning."""
    server.ranges = False
    (tmp_path / "a.bin.partial").write_bytes(b"old" * 100)
    fetching.download(server.address, tmp_path / "a.bin", FILE)
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_partial_file_that_is_too_long_is_dropped(server: Server, tmp_path: Path) -> None:
    """A leftover of another file would block every further attempt."""
    (tmp_path / "a.bin.partial").write_bytes(BODY + b"more")
    fetching.download(server.address, tmp_path / "a.bin", FILE)
    assert server.asked == [f"bytes={len(BODY) + 4}-", None]
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_wrong_checksum_is_thrown_away(server: Server, tmp_path: Path) -> None:
    """A page that a proxy sends instead of the file would be kept, and resumed for ever."""
    server.body = b"<html>please log in</html>"
    with pytest.raises(DataError, match=f"SHA-256 {hashlib.sha256(server.body).hexdigest()}, expected"):
        fetching.download(server.address, tmp_path / "a.bin", FILE)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_never_stops(server: Server, tmp_path: Path) -> None:
    """The disk would fill up."""
    server.endless = True
    with pytest.raises(DataError, match="more than twice the 700,000 bytes expected"):
        fetching.download(server.address, tmp_path / "a.bin", FILE)
    assert list(tmp_path.iterdir()) == []


def test_servers_that_refuse_or_are_not_there(server: Server, tmp_path: Path) -> None:
    """Each would be a traceback, and what is here already be lost."""
    (tmp_path / "a.bin.partial").write_bytes(BODY[:10])
    server.status = 404
    with pytest.raises(DataError, match="answers 404"):
        fetching.download(server.address, tmp_path / "a.bin", FILE)
    server.status, server.drop_after = None, 0
    with pytest.raises(DataError, match="connection ends after 10 bytes"):
        fetching.download(server.address, tmp_path / "a.bin", FILE)
    with pytest.raises(DataError, match=r"cannot be fetched .*refused.*after 10 bytes, or give a local copy"):
        fetching.download("http://127.0.0.1:9/a.bin", tmp_path / "a.bin", FILE)
    assert (tmp_path / "a.bin.partial").read_bytes() == BODY[:10]


def test_what_pip_has_fetched_is_weighed_while_pip_moves_it(tmp_path: Path) -> None:
    """Red when a folder that vanishes between being seen and being read is an error."""
    (tmp_path / "stays").write_bytes(b"12345")
    done = threading.Event()

    def move() -> None:
        while not done.is_set():
            for number in range(30):
                (tmp_path / f"{number}" / "inner").mkdir(parents=True)
            for number in range(30):
                shutil.rmtree(tmp_path / f"{number}")

    mover = threading.Thread(target=move)
    mover.start()
    try:
        for _ in range(400):
            assert fetching._weight(tmp_path) == 5
    finally:
        done.set()
        mover.join()
