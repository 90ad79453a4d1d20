"""What stands on the disk after a write that went well, and after one that did not."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gatelight.files import file_written_aside, folder_written_aside

ROOM = 64 * 1024  # bytes of the tiny disk
both = pytest.mark.parametrize("kind", ["file", "folder"])


def ours(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def save(kind: str, target: Path, text: str, error: BaseException | None = None) -> None:
    if kind == "file":
        with file_written_aside(target) as aside:
            aside.write_text(text)
            if error is not None:
                raise error
        return
    with folder_written_aside(target, ours) as aside:
        (aside / "vocabulary").mkdir()
        for name in ("config.json", "vocabulary/words.txt"):
            (aside / name).write_text(text)
        if error is not None:
            raise error


def seen(folder: Path) -> dict[str, str | None]:
    """Every path under `folder`, hidden ones too, with the text of the files."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in folder.rglob("*")
    }


def whole(kind: str, text: str) -> dict[str, str | None]:
    """What is seen where one `save` to "it" was done."""
    if kind == "file":
        return {"it": text}
    return {"it": None, "it/config.json": text, "it/vocabulary": None, "it/vocabulary/words.txt": text}


@pytest.fixture
def umask() -> Iterator[Callable[[int], None]]:
    before = os.umask(0o022)
    yield lambda mask: (os.umask(mask), None)[1]
    os.umask(before)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB; skipped where this process may not mount one."""
    (disk := tmp_path / "disk").mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("cannot mount a tmpfs here; the failing fsync below stands in for a full disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@both
def test_a_new_one_stands_whole_and_nothing_lies_beside_it(tmp_path: Path, kind: str) -> None:
    """A forgotten partial file would pile up beside the user's own; a missing parent is made."""
    save(kind, tmp_path / "deep" / "it", "new")
    assert seen(tmp_path / "deep") == whole(kind, "new")


def test_a_folder_of_ours_is_replaced_not_merged(tmp_path: Path) -> None:
    """A file left over from the old model would be read with the new one."""
    save("folder", tmp_path / "it", "old")
    (tmp_path / "it" / "stale.bin").write_text("old")
    save("folder", tmp_path / "it", "new")
    assert seen(tmp_path) == whole("folder", "new")


@pytest.mark.parametrize(("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_what_was_written_has_the_permissions_of_any_other_file(
    tmp_path: Path, umask: Callable[[int], None], mask: int, file: int, folder: int
) -> None:
    """Temporary files are private; a model that colleagues cannot read is the known fault of this way."""
    umask(mask)
    save("file", tmp_path / "a.txt", "new")
    save("folder", tmp_path / "model", "new")
    modes = [
        stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "model", "model/config.json")
    ]
    assert modes == [file, folder, file]


def test_the_mask_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read it is to set it, and a file that another thread makes meanwhile is open to everybody."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the process's mask was changed"))
    save("file", tmp_path / "a.txt", "new")
    save("folder", tmp_path / "model", "new")


@both
@pytest.mark.parametrize("mode", [0o640, 0o750])
def test_an_older_ones_permissions_are_kept(tmp_path: Path, kind: str, mode: int) -> None:
    """What somebody hid from others, or opened to a group, must not change with each save."""
    save(kind, tmp_path / "it", "old")
    (tmp_path / "it").chmod(mode if kind == "file" else mode | stat.S_IXUSR)
    before = (tmp_path / "it").stat().st_mode
    save(kind, tmp_path / "it", "new")
    assert seen(tmp_path) == whole(kind, "new")
    assert (tmp_path / "it").stat().st_mode == before


def test_every_file_of_a_folder_is_written_to_the_disk_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nested file that only lies in memory is empty after a power cut, under its final name."""
    written, really = [], os.fsync

    def fsync(handle: int) -> None:
        assert not (tmp_path / "it").exists()
        written.append(os.fstat(handle).st_ino)
        really(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    save("folder", tmp_path / "it", "new")
    files = [path for path in (tmp_path / "it").rglob("*") if path.is_file()]
    assert sorted(written) == sorted(path.stat().st_ino for path in files)


# A write that does not go well leaves what was there.


@both
@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_save_leaves_what_was_there(
    tmp_path: Path, kind: str, old: bool, error: type[BaseException]
) -> None:
    """Ctrl-C must not cost what was saved before, nor leave half a model for the next command to load."""
    if old:
        save(kind, tmp_path / "it", "old")
    with pytest.raises(error):
        save(kind, tmp_path / "it", "half", error())
    assert seen(tmp_path) == (whole(kind, "old") if old else {})


@pytest.mark.parametrize("name", ["photos", "photos/summer.jpg"])
def test_what_is_not_ours_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    """`--out ~` must never replace somebody's home, nor a file of the name."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "summer.jpg").write_text("irreplaceable")
    refused = pytest.raises(FileExistsError, match="gatelight did not write it; choose another name")
    with refused, folder_written_aside(tmp_path / name, ours):
        pytest.fail("the block must not run: an hour of training would be lost at its end")
    assert seen(tmp_path) == {"photos": None, "photos/summer.jpg": "irreplaceable"}


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("moment", ["it", ".partial"])
def test_a_rename_that_fails_or_is_interrupted_leaves_one_whole_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, done: bool
) -> None:
    """Between the two renames the old model has another name: it comes back, or the new one stands."""
    save("folder", tmp_path / "it", "old")
    rename = Path.rename

    def interrupted(self: Path, to: Path) -> Path:
        if self.name.endswith(moment) and not done:
            raise OSError(errno.EIO, "input/output error")
        renamed = rename(self, to)
        if self.name.endswith(moment):
            raise KeyboardInterrupt
        return renamed

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt if done else OSError):
        save("folder", tmp_path / "it", "new")
    assert seen(tmp_path) == whole("folder", "new" if done and moment == ".partial" else "old")


@both
def test_data_that_reach_the_disk_too_late_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """On many disks a full one shows only when the data are really written, after the block's end."""
    save(kind, tmp_path / "it", "old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(kind, tmp_path / "it", "new")
    assert seen(tmp_path) == whole(kind, "old")


@both
def test_a_full_disk_leaves_the_old_one_and_its_room(tiny_disk: Path, kind: str) -> None:
    """A real full disk, not a mocked one."""
    save(kind, tiny_disk / "it", "old")
    with pytest.raises(OSError, match="No space"):
        save(kind, tiny_disk / "it", "x" * 2 * ROOM)
    assert seen(tiny_disk) == whole(kind, "old")
    (tiny_disk / "room.bin").write_bytes(b"x" * (ROOM // 2))


# Links.


@both
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_a_link(tmp_path: Path, kind: str, exists: bool) -> None:
    """Who links a result to a larger disk expects it to land there, also where nothing is there yet."""
    (disk := tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(disk / "it")
    if exists:
        save(kind, disk / "it", "old")
        with pytest.raises(ValueError, match="stop"):
            save(kind, tmp_path / "link", "half", ValueError("stop"))
        assert seen(disk) == whole(kind, "old")
    save(kind, tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert seen(disk) == whole(kind, "new")
