"""The command finds its commands and says what is wrong."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from unipose_ros.cli import main as main_module
from unipose_ros.cli.main import COMMANDS, Command, main


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed and command.summary in printed for name, command in COMMANDS.items())


#: What commands import at once.
NEEDS = {"adapt": "torch", "benchmark": "torch", "collect": "rclpy", "record": "rclpy", "train": "torch"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_exists(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    importlib.import_module(COMMANDS[name].module)
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert "usage" in capsys.readouterr().out


def test_an_unknown_command_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dance"]) == 2
    error = capsys.readouterr().err
    assert "dance" in error
    assert "demo" in error


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "broken", Command("not_there_at_all.cli", ""))
    with pytest.raises(SystemExit, match="not_there_at_all"):
        main(["broken"])


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"unipose_ros {main_module.__version__}\n"


def run(monkeypatch: pytest.MonkeyPatch, job: Callable[[list[str]], int], *arguments: str) -> int:
    """A command that does ``job``."""
    monkeypatch.setitem(COMMANDS, "job", Command("job", ""))
    monkeypatch.setattr(main_module, "_load", lambda module: SimpleNamespace(main=job))
    return main(["job", *arguments])


def raising(error: BaseException) -> Callable[[list[str]], int]:
    def job(arguments: list[str]) -> int:
        raise error

    return job


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x/y"), ("/x/y", "make room")),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "/x/y"), ("/x/y", "read-only")),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x/y"), ("/x/y", "permission")),
        (OSError(errno.ELOOP, os.strerror(errno.ELOOP), "/x"), ("/x", "symbolic links")),
        (MemoryError(), ("out of memory",)),
    ],
)
def test_what_the_system_refuses_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, message: tuple[str, ...]
) -> None:
    assert run(monkeypatch, raising(error)) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("unipose job: ")
    assert printed.count("\n") == 1
    assert all(text in printed for text in message)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_command_alike(monkeypatch: pytest.MonkeyPatch, number: signal.Signals, status: int) -> None:
    closed = []

    def job(arguments: list[str]) -> int:
        try:
            signal.raise_signal(number)
        finally:
            closed.append(True)
        return 0

    before = signal.getsignal(signal.SIGTERM)
    assert run(monkeypatch, job) == status
    assert closed == [True]
    assert signal.getsignal(signal.SIGTERM) is before


def test_names_that_a_terminal_cannot_show_are_printed_all_the_same() -> None:
    script = (
        "import sys; from types import SimpleNamespace; from unipose_ros.cli import main as m\n"
        "m.COMMANDS['job'] = m.Command('job', '')\n"
        "m._load = lambda name: SimpleNamespace(main=lambda a: print(a[0]) or 0)\n"
        "sys.exit(m.main(['job', sys.argv[1]]))"
    )
    for encoding in ("utf-8", "ascii"):
        done = subprocess.run(
            [sys.executable, "-c", script, b"caf\xe9\xff"], env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        assert (done.returncode, "caf" in done.stdout) == (0, True), done.stderr
