"""Files and folders that a crash, a full disk or a second run cannot spoil.

* :func:`write_atomic`, :func:`atomic_path`: a file is the old one or the new one, never half of it.
* :func:`complete_folder`: a folder is complete or absent.
* :func:`exclusive`: one run at a time works in a folder.
* :func:`remove_files` and :class:`OwnedFolder`: only what this program wrote is ever deleted.
* :func:`describe_os_error`: what the operating system refused, in one line with the remedy.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath

_log = logging.getLogger(__name__)

#: Files that are being written: hidden and of another suffix, so that readers of folders pass over them.
_PARTIAL = re.compile(r"\..+\.\d+\.partial", re.DOTALL)
#: Bytes of a file's name that are kept in that of its partial file; file systems take 255.
_LONGEST_NAME = 220
#: Name of the file that is locked where folders cannot be.
LOCK = ".lock"

_REMEDIES = {
    errno.ENOSPC: "the disk is full; make room and run the same command again",
    errno.EDQUOT: "the disk quota is used up; make room and run the same command again",
    errno.EROFS: "the file system is read-only; name a place that can be written",
    errno.EACCES: "no permission; change its permissions, or name another place",
    errno.EPERM: "no permission; change its permissions, or name another place",
    errno.ENAMETOOLONG: "the name is too long; give a shorter one",
    errno.ELOOP: "its symbolic links go round in a circle; name the file or folder itself",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n)",
    errno.ENFILE: "too many open files on this machine; end other programs",
    errno.EIO: "the disk does not answer; check it (dmesg)",
    errno.ENOTDIR: "a part of this path is a file, not a folder; name another place",
    errno.EISDIR: "this is a folder; name a file",
    errno.EEXIST: "something of that name is in the way; name another place",
    errno.ENOENT: "there is no such file or folder; check the name",
}


class FolderBusyError(OSError):
    """Another run is at work in the folder; the text says what it does there and what to do."""


class NotOursError(OSError):
    """What is in the way was not made by this program, so it is left alone."""


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file at once or not at all, whenever the process or the machine stops; its folder is made.

    Args:
        content: text is stored as UTF-8; what UTF-8 cannot hold (names of files in other encodings) is escaped.

    Raises:
        OSError: it cannot be written; the error names the file, and what was there before is unchanged.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    with atomic_path(path) as part, part.open("wb") as stream:
        stream.write(data)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write to; at the end of the block the file there becomes ``path``.

    For libraries that write files by name; its suffix is another, so name the format to them. After an exception
    ``path`` is as it was and nothing is left beside it. A symbolic link is followed. A device is written to, not
    replaced.

    Raises:
        OSError: it cannot be written, or nothing was; the error names the file.
    """
    device = path.exists() and not path.is_file() and not path.is_dir()
    target = Path(os.path.realpath(path)) if path.is_symlink() and not device else path
    part = target if device else partial_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if not device:
            sync(part)
            part.replace(target)
    except OSError as error:
        # Errors of writing do not name the file, those of opening name the partial one.
        if error.errno is None or (error.filename is not None and str(error.filename) not in map(str, (part, path))):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        if not device:
            with suppress(OSError):
                part.unlink()


def partial_path(path: Path) -> Path:
    """Where the file is kept until it is complete; :func:`remove_partial_files` finds it there."""
    name = os.fsdecode(os.fsencode(path.name)[-_LONGEST_NAME:])
    return path.with_name(f".{name}.{os.getpid()}.partial")


def sync(path: Path) -> None:
    """Have the content on disk before its final name, or a power cut could leave the name without the content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(
    folder: Path, work: str, wait: bool = False, refusal: type[Exception] = FolderBusyError
) -> Iterator[None]:
    """Keep other runs out of a folder, which is made; the lock ends with the process, however that ends.

    What killed runs left half written in the folder itself is removed.

    Args:
        work: what is done there, for the other run's message: "recording into it".
        wait: until the other run has ended, instead of refusing.
        refusal: what is raised then; made of its text.

    Raises:
        FolderBusyError: another run has the lock; or ``refusal`` in its place.
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        try:
            locked = lock_folder(folder, opened, wait)
        except BlockingIOError:
            raise refusal(f"{folder}: another run is {work}; wait for it, or name another folder") from None
        if not locked:
            _log.warning("%s: this file system has no locks; see that no other run is %s", folder, work)
        remove_partial_files(folder)
        yield


def lock_folder(folder: Path, opened: ExitStack, wait: bool = False) -> bool:
    """Lock a folder; closing ``opened``, or the end of the process, frees it.

    The lock is on the folder itself, which needs no file; on a file in it where the file system, as NFS, does not
    lock folders.

    Returns:
        Whether it could be locked: some file systems have no locks.

    Raises:
        BlockingIOError: it is locked by others.
        OSError: the folder cannot be opened, or the file be made.
    """
    how = fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)
    descriptor = os.open(folder, os.O_RDONLY)
    opened.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        raise
    except OSError:
        stream = opened.enter_context((folder / LOCK).open("a"))
        try:
            fcntl.flock(stream, how)
        except BlockingIOError:
            raise
        except OSError:
            return False
    return True


def remove_partial_files(folder: Path, below: bool = False) -> None:
    """Remove what :func:`atomic_path` left when it was killed; only with the folder's lock, or they may be in use.

    Args:
        below: also in the folders within it.
    """
    for path in list(folder.rglob(".*.partial") if below else folder.iterdir()):
        if _PARTIAL.fullmatch(path.name) and path.is_file():
            with suppress(OSError):
                path.unlink()


@contextmanager
def complete_folder(path: Path, ours: re.Pattern[str]) -> Iterator[Path]:
    """A folder to be made and filled; at the end of the block it becomes ``path``, complete or not at all.

    It lies in a hidden folder beside ``path``, under its own name, for what is in it may be named after it. After an
    exception nothing is left; what a run that was killed left is removed by the next one.

    Args:
        path: must not exist, or be an empty folder.
        ours: matches the names, relative to the folder, of the files that are written there.

    Raises:
        FolderBusyError: another run is making the same folder.
        OSError: ``path`` exists, or cannot be written.
    """
    if os.path.lexists(path) and (path.is_symlink() or not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    scratch = path.with_name(f".{path.name}.partial")
    made = scratch / path.name
    with exclusive(scratch, "making it"):
        _clear(scratch, made, ours)
        try:
            yield made
            for file in made.rglob("*"):
                if file.is_file():
                    sync(file)
            made.rename(path)
        finally:
            _clear(scratch, made, ours)
            remove_files(scratch, [LOCK])
            with suppress(OSError):  # something else lies there
                scratch.rmdir()


def _clear(scratch: Path, made: Path, ours: re.Pattern[str]) -> None:
    """Remove what of ``made`` is ours."""
    if not made.is_dir():
        return
    found = [file for file in made.rglob("*") if file.is_symlink() or not file.is_dir()]
    names = [file.relative_to(made).as_posix() for file in found]
    mine = [name for name in names if ours.fullmatch(name) or _PARTIAL.fullmatch(PurePosixPath(name).name)]
    remove_files(scratch, [f"{made.name}/{name}" for name in mine])
    for folder in sorted((each for each in made.rglob("*") if each.is_dir() and not each.is_symlink()), reverse=True):
        with suppress(OSError):
            folder.rmdir()
    with suppress(OSError):
        made.rmdir()


def remove_files(root: Path, names: Iterable[str]) -> None:
    """Remove files below a folder by their names, then the folders in it that this left empty.

    Whatever else lies there stays. Nothing is followed that leads out of the folder: not a name with ``..``, not a
    symbolic link in place of a folder.

    Args:
        names: relative to ``root``, with ``/`` between folders.

    Raises:
        NotOursError: a name leads out of ``root``, or is that of a folder.
        OSError: a file cannot be removed.
    """
    emptied: set[Path] = set()
    for name in names:
        path = _within(root, name)
        if path is None:
            continue
        if path.is_dir() and not path.is_symlink():
            raise NotOursError(f"{path}: a folder is where a file was written; it is left alone, move it away")
        path.unlink(missing_ok=True)
        emptied.update(parent for parent in path.parents if root in parent.parents)
    for folder in sorted(emptied, key=lambda each: len(each.parts), reverse=True):
        with suppress(OSError):  # not empty: something else lies there
            folder.rmdir()


def remove_made_folder(folder: Path) -> None:
    """Remove a folder that this program made, with all its files; the caller knows it by its mark or its name.

    Raises:
        NotOursError: a symbolic link leads out of it in place of a folder.
        OSError: a file cannot be removed.
    """
    found = sorted(folder.rglob("*"))
    files = [each for each in found if each.is_symlink() or not each.is_dir()]
    remove_files(folder.parent, [each.relative_to(folder.parent).as_posix() for each in files])
    for each in (*reversed(found), folder):
        if each.is_dir() and not each.is_symlink():
            each.rmdir()


def _within(root: Path, name: str) -> Path | None:
    """The path of a name below a folder; ``None`` where its folder is not there."""
    parts = PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts:
        raise NotOursError(f"{root}: '{name}' leads out of it; nothing there is removed")
    folder = root
    for part in parts[:-1]:
        folder = folder / part
        if folder.is_symlink():
            raise NotOursError(f"{folder}: a symbolic link is where a folder was made; it is left alone, remove it")
        if not folder.is_dir():
            return None
    return folder / parts[-1]


class OwnedFolder:
    """An output folder with a list of the files that a command wrote into it, which it may therefore replace.

    Args:
        folder: of the output.
        command: whose output it is, e.g. ``unipose demo``; another command's list does not count.

    Attributes:
        files: SHA-256 by name, relative to the folder, of the files of earlier runs; "" where a run was killed
            before it could tell. ``None`` where there was no earlier run.
    """

    MANIFEST = ".unipose_files.json"

    def __init__(self, folder: Path, command: str) -> None:
        self.folder, self._command = folder, command
        self.files = self._read()

    @contextmanager
    def claimed(self, names: Sequence[str], empty: bool = False) -> Iterator[None]:
        """Have the folder alone, and keep the list of the files that are written there; nothing is removed yet.

        Args:
            names: relative to the folder.
            empty: the folder must hold nothing else, unless it is an earlier run's.

        Raises:
            NotOursError: something in the folder was not made by the command.
            FolderBusyError: another run is at work in it.
            OSError: it cannot be written.
        """
        self._refuse_others(names, empty)  # before anything is written there
        with exclusive(self.folder, f"writing the output of '{self._command}'"):
            self.files = self._read()
            self._refuse_others(names, empty)
            earlier = self.files or {}
            # Noted before they are written, so that a run that is killed leaves nothing that no one may replace.
            self._write({**earlier, **{name: "" for name in names if name not in earlier}})
            try:
                yield
            finally:
                there = {*earlier, *names}
                with suppress(OSError):  # why the run failed matters more; the names stay noted
                    self._write({name: file_sha256(path) for name in sorted(there) if (path := self._ours(name))})

    def remove_earlier(self, *names: str) -> None:
        """Remove files that earlier runs wrote: those named, or all.

        Raises:
            NotOursError: one has been changed since; nothing was removed.
            OSError: one cannot be removed.
        """
        chosen = [name for name in self.files or {} if name in names or not names]
        for name in chosen:
            path, wanted = self._ours(name), (self.files or {})[name]
            if path and wanted and file_sha256(path) != wanted:
                raise NotOursError(
                    f"{path}: it has changed since '{self._command}' wrote it; move it away, or name another --output"
                )
        remove_files(self.folder, chosen)

    def remove(self) -> None:
        """Remove what earlier runs wrote, and the folder if that was all; errors as :meth:`remove_earlier`."""
        if self.files is not None:
            self.remove_earlier()
            remove_files(self.folder, [self.MANIFEST, LOCK])
            with suppress(OSError):  # something else lies there
                self.folder.rmdir()

    def _ours(self, name: str) -> Path | None:
        path = _within(self.folder, name)
        return path if path is not None and path.is_file() else None

    def _write(self, files: Mapping[str, str]) -> None:
        record = json.dumps({"command": self._command, "files": files}, indent=1) + "\n"
        write_atomic(self.folder / self.MANIFEST, record)

    def _read(self) -> dict[str, str] | None:
        try:
            record = json.loads((self.folder / self.MANIFEST).read_text(encoding="utf-8"))
            files = record["files"]
            if record["command"] == self._command and all(isinstance(value, str) for value in files.values()):
                return dict(files)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        return None

    def _refuse_others(self, names: Sequence[str], empty: bool) -> None:
        remedy = f"no output of '{self._command}'; name another --output, or move it away"
        if empty and self.files is None and self.folder.is_dir():
            others = sorted(path.name for path in self.folder.iterdir() if path.name != LOCK)
            if others:
                raise NotOursError(f"{self.folder}: it is not empty ({others[0]}), and {remedy}")
        for name in names:
            if name not in (self.files or {}) and os.path.lexists(self.folder / name):
                raise NotOursError(f"{self.folder / name}: it is {remedy}")


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's contents."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def same_text(name: str) -> str:
    """A file's name as UTF-8 has it, whatever the locale is: labels made in one must be found in another."""
    return _stored_name(name).decode("utf-8", "surrogateescape")


def readable_text(text: str) -> str:
    """Text that every encoding can hold: bytes of file names that are no UTF-8 become U+FFFD."""
    return _stored_name(text).decode("utf-8", "replace")


def _stored_name(text: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:  # not from the file system, or from one of another locale
        return text.encode("utf-8", "surrogateescape")


def describe_os_error(error: OSError) -> str:
    """One line that names the file, the reason and the remedy."""
    if error.errno is None:
        return str(error)
    place = f"{readable_text(str(error.filename))}: " if error.filename else ""
    remedy = _REMEDIES.get(error.errno)
    return f"{place}{error.strerror}" + (f" ({remedy})" if remedy else "")
