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


def ours(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def model(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    (folder / "vocabulary").mkdir()
    (folder / "vocabulary" / "words.txt").write_text(text)


def seen(folder: Path) -> dict[str, str | None]:
    """Every path under `folder`, hidden ones too, with the text of the files."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in folder.rglob("*")
    }


def save_file(target: Path, text: str | bytes, error: BaseException | None = None) -> None:
    with file_written_aside(target) as aside:
        aside.write_bytes(text if isinstance(text, bytes) else text.encode())
        if error is not None:
            raise error


def save_model(target: Path, text: str, error: BaseException | None = None, weights: bytes = b"") -> None:
    with folder_written_aside(target, ours) as aside:
        model(aside, text)
        (aside / "model.safetensors").write_bytes(weights)
        if error is not None:
            raise error


@pytest.fixture
def umask() -> Iterator[Callable[[int], None]]:
    before = os.umask(0o022)
    yield lambda mask: (os.umask(mask), None)[1]
    os.umask(before)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB; skipped where this process may not mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(disk)],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no mount command here; the failing write below stands in for a full disk")
    if mounted.returncode:
        pytest.skip("not allowed to mount a tmpfs; the failing write below stands in for a full disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


# A write that goes well.


def test_a_new_file_has_the_whole_text_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    """A forgotten partial file would pile up beside the user's own."""
    with file_written_aside(tmp_path / "deep" / "a.txt") as aside:
        aside.write_text("new")
        assert not (tmp_path / "deep" / "a.txt").exists()
    assert seen(tmp_path) == {"deep": None, "deep/a.txt": "new"}


def test_a_new_folder_stands_whole_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    """Nested folders must come along, and the parent is made when it is missing."""
    with folder_written_aside(tmp_path / "runs" / "model", ours) as aside:
        model(aside, "new")
        assert not (tmp_path / "runs" / "model").exists()
    assert seen(tmp_path / "runs") == {
        "model": None,
        "model/config.json": "new",
        "model/vocabulary": None,
        "model/vocabulary/words.txt": "new",
    }


def test_a_folder_of_ours_is_replaced_not_merged(tmp_path: Path) -> None:
    """A file left over from the old model would be read with the new one."""
    target = tmp_path / "model"
    target.mkdir()
    model(target, "old")
    (target / "stale.bin").write_text("old")
    with folder_written_aside(target, ours) as aside:
        model(aside, "new")
        assert (target / "config.json").read_text() == "old"
    assert set(seen(tmp_path)) == {
        "model",
        "model/config.json",
        "model/vocabulary",
        "model/vocabulary/words.txt",
    }
    assert (target / "config.json").read_text() == "new"


@pytest.mark.parametrize(("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_what_was_written_has_the_permissions_of_any_other_file(
    tmp_path: Path, umask: Callable[[int], None], mask: int, file: int, folder: int
) -> None:
    """Temporary files are private; a model that colleagues cannot read is the known fault of this way."""
    umask(mask)
    with file_written_aside(tmp_path / "a.txt") as aside:
        aside.write_text("new")
    with folder_written_aside(tmp_path / "model", ours) as aside:
        model(aside, "new")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == file
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == folder
    assert stat.S_IMODE((tmp_path / "model" / "config.json").stat().st_mode) == file
    assert os.umask(mask) == mask, "the process's own mask was left changed"


def test_the_mask_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read it is to set it, and a file that another thread makes meanwhile is open to everybody."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the process's mask was changed"))
    with file_written_aside(tmp_path / "file") as path:
        path.write_text("text")
    with folder_written_aside(tmp_path / "folder", lambda _: True) as folder:
        (folder / "file").write_text("text")
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "file").read_text() == "text"


def test_an_older_files_permissions_are_kept(tmp_path: Path, umask: Callable[[int], None]) -> None:
    """What somebody hid from others, or opened to a group, must not change with each save."""
    umask(0o022)
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "a.txt").chmod(0o640)
    save_file(tmp_path / "a.txt", "new")
    save_model(tmp_path / "model", "old")
    (tmp_path / "model").chmod(0o750)
    save_model(tmp_path / "model", "new")
    assert (tmp_path / "a.txt").read_text() == (tmp_path / "model" / "config.json").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o750


def test_every_file_of_a_folder_is_written_to_the_disk_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nested file that only lies in memory is empty after a power cut, under its final name."""
    written, really = [], os.fsync

    def fsync(handle: int) -> None:
        assert not (tmp_path / "model").exists()
        written.append(os.fstat(handle).st_ino)
        really(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    save_model(tmp_path / "model", "new")
    files = [path for path in (tmp_path / "model").rglob("*") if path.is_file()]
    assert len(files) == 3
    assert sorted(written) == sorted(path.stat().st_ino for path in files)


# A write that does not go well leaves what was there.


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path, error: type[BaseException]) -> None:
    """Ctrl-C in the middle of a save must not cost the file that was saved before."""
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(error):
        save_file(tmp_path / "a.txt", "half", error())
    assert seen(tmp_path) == {"a.txt": "old"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_folder_leaves_the_old_one(tmp_path: Path, error: type[BaseException]) -> None:
    """The same for a model folder, and no partial folder stays behind."""
    target = tmp_path / "model"
    target.mkdir()
    model(target, "old")
    before = seen(tmp_path)
    with pytest.raises(error):
        save_model(target, "half", error())
    assert seen(tmp_path) == before


def test_an_interrupted_first_save_leaves_nothing(tmp_path: Path) -> None:
    """Half a model under the final name would be loaded by the next command."""
    with pytest.raises(ValueError, match="stop"):
        save_model(tmp_path / "model", "half", ValueError("stop"))
    assert seen(tmp_path) == {}


def test_a_folder_that_is_not_ours_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """`--out ~` must never replace somebody's home."""
    target = tmp_path / "photos"
    target.mkdir()
    (target / "summer.jpg").write_text("irreplaceable")
    refused = pytest.raises(FileExistsError, match="gatelight did not write it; choose another name")
    with refused, folder_written_aside(target, ours):
        pytest.fail("the block must not run: an hour of training would be lost at its end")
    assert seen(tmp_path) == {"photos": None, "photos/summer.jpg": "irreplaceable"}


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    """The name may belong to a file; that is the user's too."""
    (tmp_path / "model").write_text("a file")
    with pytest.raises(FileExistsError), folder_written_aside(tmp_path / "model", ours):
        pytest.fail("the block must not run")
    assert seen(tmp_path) == {"model": "a file"}


@pytest.mark.parametrize("error", [OSError(errno.EIO, "input/output error"), KeyboardInterrupt("Ctrl-C")])
def test_a_rename_that_fails_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Between the two renames the old model stands under another name; it must come back."""
    target = tmp_path / "model"
    target.mkdir()
    model(target, "old")
    before = seen(tmp_path)
    rename = Path.rename

    def failing(self: Path, to: Path) -> Path:
        if self.name.endswith(".partial"):
            raise error
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(type(error), match=str(error.args[-1])):
        save_model(target, "new")
    assert seen(tmp_path) == before


@pytest.mark.parametrize("moment", ["model", ".partial"])
def test_ctrl_c_right_after_a_rename_leaves_one_whole_folder_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """After the first rename the old model must come back, after the second the new one stands."""
    target = tmp_path / "model"
    save_model(target, "old")
    rename = Path.rename

    def interrupted(self: Path, to: Path) -> Path:
        done = rename(self, to)
        if self.name.endswith(moment):
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_model(target, "new")
    assert (target / "config.json").read_text() == ("old" if moment == "model" else "new")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_data_that_reach_the_disk_too_late_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On many disks a full one shows only when the data are really written, after the block's end."""
    (tmp_path / "a.txt").write_text("old")
    target = tmp_path / "model"
    target.mkdir()
    model(target, "old")
    before = seen(tmp_path)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_file(tmp_path / "a.txt", "new")
    with pytest.raises(OSError, match="No space"):
        save_model(target, "new")
    assert seen(tmp_path) == before


def test_a_full_disk_leaves_the_old_file(tiny_disk: Path) -> None:
    """A real full disk, not a mocked one."""
    (tiny_disk / "a.txt").write_text("old")
    with pytest.raises(OSError, match="No space"):
        save_file(tiny_disk / "a.txt", b"x" * 2 * ROOM)
    assert seen(tiny_disk) == {"a.txt": "old"}


def test_a_full_disk_leaves_the_old_folder(tiny_disk: Path) -> None:
    """The old model stays, and the half-written one gives its room back."""
    target = tiny_disk / "model"
    target.mkdir()
    model(target, "old")
    before = seen(tiny_disk)
    with pytest.raises(OSError, match="No space"):
        save_model(target, "new", weights=b"x" * 2 * ROOM)
    assert seen(tiny_disk) == before
    (tiny_disk / "room.bin").write_bytes(b"x" * (ROOM // 2))


# Links.


def test_a_link_to_a_file_is_written_without_harm_to_others(tmp_path: Path) -> None:
    """An interrupted write must leave both the link and what it points to."""
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with pytest.raises(ValueError, match="stop"):
        save_file(tmp_path / "link.txt", "half", ValueError("stop"))
    assert (tmp_path / "link.txt").is_symlink()
    assert seen(tmp_path) == {"real.txt": "old", "link.txt": "old"}


def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    """Who links a result to a larger disk expects the result to land there."""
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with file_written_aside(tmp_path / "link.txt") as aside:
        aside.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_to_a_folder_stays_a_link(tmp_path: Path, exists: bool) -> None:
    """The same for a model folder, also when what the link names is not there yet."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if exists:
        (disk / "model").mkdir()
        model(disk / "model", "old")
    (tmp_path / "model").symlink_to(disk / "model")
    with folder_written_aside(tmp_path / "model", ours) as aside:
        model(aside, "new")
    assert (tmp_path / "model").is_symlink()
    assert (disk / "model" / "config.json").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "model"]
