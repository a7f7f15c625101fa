"""Files are whole or absent, folders have one user at a time, and only our own files are ever removed."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unipose_ros.files import (
    FolderBusyError,
    NotOursError,
    OwnedFolder,
    atomic_path,
    complete_folder,
    describe_os_error,
    exclusive,
    partial_path,
    readable_text,
    remove_files,
    remove_made_folder,
    remove_partial_files,
    write_atomic,
)
from unipose_ros.images import decode_compressed_color, write_image


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def _write_half(path: Path) -> None:
    with atomic_path(path) as part:
        part.write_text("half")
        (path.parent / "elsewhere").read_text()


def test_a_file_is_the_old_one_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "made" / "a.txt"
    write_atomic(path, "old")
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        _write_half(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["made", "made/a.txt"]
    with atomic_path(path) as part:
        assert (part.parent, part.suffix) == (path.parent, ".partial")
        part.write_text("new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["made", "made/a.txt"]


def test_a_full_disk_leaves_the_old_file_and_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomic(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]
    message = describe_os_error(caught.value)
    assert str(path) in message
    assert "make room" in message
    assert "\n" not in message


def test_nothing_written_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, atomic_path(tmp_path / "a.png"):
        pass
    assert caught.value.filename == str(tmp_path / "a.png")


def test_links_are_followed_and_devices_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    real, link, pipe = tmp_path / "there" / "real", tmp_path / "link", tmp_path / "pipe"
    real.write_text("old")
    link.symlink_to(real)
    write_atomic(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    write_atomic(pipe, "through")
    assert reader.communicate(timeout=30)[0] == b"through"
    assert pipe.is_fifo()


def test_long_names_and_names_in_other_encodings(tmp_path: Path) -> None:
    long = tmp_path / ("n" * 250 + ".json")
    write_atomic(long, "x")
    assert long.read_text() == "x"
    latin = tmp_path / os.fsdecode(b"caf\xe9.txt")
    write_atomic(latin, f"name: {latin.name}")
    assert latin.read_bytes() == b"name: caf\\udce9.txt"
    assert readable_text(latin.name) == "caf\ufffd.txt"
    assert readable_text("café") == "café"


def test_a_second_run_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with exclusive(folder, "recording"):
        with pytest.raises(FolderBusyError, match=r"store: another run is recording"), exclusive(folder, "recording"):
            pass
        other = f"import pathlib, unipose_ros.files as f\nwith f.exclusive(pathlib.Path({str(folder)!r}), 'x'): pass"
        done = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, timeout=60, check=False)
        assert "FolderBusyError" in done.stderr
    with exclusive(folder, "recording"):
        pass


def test_a_killed_run_gives_the_folder_free_and_its_partial_files_go(tmp_path: Path) -> None:
    killed = (
        "import os, pathlib, signal, unipose_ros.files as f\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "with f.exclusive(folder, 'x'), f.atomic_path(folder / 'a.json') as part:\n"
        "    part.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", killed], timeout=60, check=False)
    (part,) = tmp_path.glob("*.partial")
    assert part.name.startswith(".a.json.")
    (tmp_path / ".mine.partial").write_text("precious")
    with exclusive(tmp_path, "x"):
        assert names(tmp_path) == [".mine.partial"]


def test_partial_files_below(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    part = partial_path(tmp_path / "a" / "x.npz")
    part.write_text("half")
    remove_partial_files(tmp_path)
    assert part.exists()
    remove_partial_files(tmp_path, below=True)
    assert names(tmp_path) == ["a"]


def test_only_the_named_files_are_removed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("a/b/one", "a/b/two", "a/mine", "c/three", "four"):
        write_atomic(root / name, "x")
    remove_files(root, ["a/b/one", "a/b/two", "c/three", "absent/five", "four"])
    assert names(root) == ["a", "a/mine"]
    remove_files(root, ["a/mine"])
    assert root.is_dir()
    assert names(root) == []


@pytest.mark.parametrize("name", ["../outside", "/outside", "link/file", "folder", "a/../../outside", ""])
def test_nothing_outside_is_removed(tmp_path: Path, name: str) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    write_atomic(tmp_path / "outside", "precious")
    write_atomic(elsewhere / "file", "precious")
    write_atomic(root / "folder" / "file", "precious")
    (root / "link").symlink_to(elsewhere)
    before = names(tmp_path)
    with pytest.raises(NotOursError):
        remove_files(root, [name])
    assert names(tmp_path) == before


def test_a_folder_is_replaced_only_where_the_command_made_it(tmp_path: Path) -> None:
    folder = tmp_path / "output"
    with OwnedFolder(folder, "unipose demo").claimed(["a", "logs/b"], empty=True):
        write_atomic(folder / "a", "1")
        write_atomic(folder / "logs" / "b", "1")
    write_atomic(folder / "logs" / "mine", "precious")
    again = OwnedFolder(folder, "unipose demo")
    with again.claimed(["a", "c"], empty=True):
        again.remove_earlier()
        assert names(folder) == [OwnedFolder.MANIFEST, "logs", "logs/mine"]
    with (
        pytest.raises(NotOursError, match="unipose evaluate"),
        OwnedFolder(folder, "unipose evaluate").claimed(["x"], empty=True),
    ):
        pass


@pytest.mark.parametrize("manifest", [None, "", "[]", '{"command": "unipose demo"}', "[" * 100_000, '{"files": [1]}'])
def test_a_folder_of_another_one_is_left_as_it_was(tmp_path: Path, manifest: str | None) -> None:
    write_atomic(tmp_path / "logs" / "thesis.txt", "precious")
    if manifest is not None:
        write_atomic(tmp_path / OwnedFolder.MANIFEST, manifest)
    before = names(tmp_path)
    owned = OwnedFolder(tmp_path, "unipose demo")
    with pytest.raises(NotOursError, match="not empty"), owned.claimed(["a"], empty=True):
        pass
    with pytest.raises(NotOursError, match="thesis"), owned.claimed(["logs/thesis.txt"]):
        pass
    assert names(tmp_path) == before


def test_one_earlier_file_can_be_removed(tmp_path: Path) -> None:
    with OwnedFolder(tmp_path, "c").claimed(["a", "b"]):
        write_atomic(tmp_path / "a", "1")
        write_atomic(tmp_path / "b", "1")
    again = OwnedFolder(tmp_path, "c")
    with again.claimed(["a"]):
        again.remove_earlier("b")
    assert not (tmp_path / "b").exists()
    assert set(json.loads((tmp_path / OwnedFolder.MANIFEST).read_text())["files"]) == {"a"}


def test_an_earlier_file_that_was_changed_is_not_removed(tmp_path: Path) -> None:
    with OwnedFolder(tmp_path, "c").claimed(["a", "b"]):
        write_atomic(tmp_path / "a", "1")
        write_atomic(tmp_path / "b", "1")
    (tmp_path / "b").write_text("precious")
    again = OwnedFolder(tmp_path, "c")
    with pytest.raises(NotOursError, match=r"b: it has changed"), again.claimed(["a"]):
        again.remove_earlier()
    assert names(tmp_path) == [OwnedFolder.MANIFEST, "a", "b"]


def test_a_run_that_was_killed_leaves_what_the_next_one_may_replace(tmp_path: Path) -> None:
    killed = (
        "import os, pathlib, signal, unipose_ros.files as f\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "with f.OwnedFolder(folder, 'c').claimed(['a', 'b']):\n"
        "    f.write_atomic(folder / 'a', 'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", killed], timeout=60, check=False)
    again = OwnedFolder(tmp_path, "c")
    with again.claimed(["a"], empty=True):
        again.remove_earlier()
    assert names(tmp_path) == [OwnedFolder.MANIFEST]


def test_a_whole_output_is_removed_but_for_what_was_added(tmp_path: Path) -> None:
    for name in ("kept", "gone", "other"):
        with OwnedFolder(tmp_path / name, "c").claimed(["a/b"]):
            write_atomic(tmp_path / name / "a" / "b", "1")
    write_atomic(tmp_path / "kept" / "a" / "mine", "precious")
    for name in ("kept", "gone", "never"):
        OwnedFolder(tmp_path / name, "c").remove()
    OwnedFolder(tmp_path / "other", "another command").remove()
    assert names(tmp_path) == [
        *("kept", "kept/a", "kept/a/mine"),
        *("other", f"other/{OwnedFolder.MANIFEST}", "other/a", "other/a/b"),
    ]


FILES = re.compile(r"a|sub/\d+\.txt")


def test_a_folder_is_complete_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "clip"
    with complete_folder(path, FILES) as partial:
        assert (partial.name, partial == path) == ("clip", False)
        write_atomic(partial / "a", "1")
        write_atomic(partial / "sub" / "1.txt", "1")
        assert not path.exists()
    assert names(tmp_path) == ["clip", "clip/a", "clip/sub", "clip/sub/1.txt"]
    with pytest.raises(FileExistsError), complete_folder(path, FILES):
        pass


def _stopped(path: Path) -> None:
    with complete_folder(path, FILES) as partial:
        write_atomic(partial / "sub" / "1.txt", "1")
        raise KeyboardInterrupt


def test_a_folder_that_was_broken_off_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _stopped(tmp_path / "clip")
    assert names(tmp_path) == []
    (tmp_path / "clip").mkdir()  # an empty one is no obstacle
    with complete_folder(tmp_path / "clip", FILES) as partial:
        write_atomic(partial / "a", "1")
    assert names(tmp_path) == ["clip", "clip/a"]


def test_what_a_killed_run_left_of_a_folder_is_removed_but_for_other_files(tmp_path: Path) -> None:
    left = tmp_path / ".clip.partial" / "clip"
    write_atomic(left / "sub" / "1.txt", "half")
    write_atomic(left / "sub" / "mine", "precious")
    with complete_folder(tmp_path / "clip", FILES) as partial:
        assert names(partial) == ["sub", "sub/mine"]
        write_atomic(partial / "a", "1")
    assert (tmp_path / "clip" / "sub" / "mine").read_text() == "precious"


def test_a_folder_is_made_by_one_run(tmp_path: Path) -> None:
    with complete_folder(tmp_path / "clip", FILES) as partial:
        partial.mkdir()
        with pytest.raises(FolderBusyError), complete_folder(tmp_path / "clip", FILES):
            pass


def test_a_file_system_without_locks_of_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = fcntl.flock

    def of_files_alone(stream: Any, how: int) -> None:
        if isinstance(stream, int):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        really(stream, how)

    monkeypatch.setattr(fcntl, "flock", of_files_alone)
    with exclusive(tmp_path, "recording"):
        assert names(tmp_path) == [".lock"]
        with pytest.raises(FolderBusyError), exclusive(tmp_path, "recording"):
            pass


def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(stream: Any, how: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(fcntl, "flock", none)
    with exclusive(tmp_path, "recording"):
        assert "no locks" in caplog.text


@pytest.mark.parametrize("name", ["a.png", "caf\udce9.jpg", "ünï.png"])
def test_images_are_written_under_any_name(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / "made" / name, np.full((4, 5, 3), (200, 0, 0), np.uint8))
    assert tuple(decode_compressed_color((tmp_path / "made" / name).read_bytes())[2, 2] > 100) == (True, False, False)


def test_images_that_cannot_be_written_are_errors(tmp_path: Path) -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    for path in (tmp_path / "a.nothing", tmp_path / "noend"):
        with pytest.raises(ValueError, match=r"use \.png or \.jpg"):
            write_image(path, image)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"exists|directory"):
        write_image(tmp_path / "file" / "a.png", image)
    assert names(tmp_path) == ["file"]


def test_a_folder_that_was_made_is_removed_with_all_its_files(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept")
    made = tmp_path / "made"
    (made / "a" / "empty").mkdir(parents=True)
    (made / "a" / "file").write_text("x")
    (made / "link").symlink_to(outside)
    remove_made_folder(made)
    assert not made.exists()
    assert outside.read_text() == "kept"
