"""Child processes end, whatever they do."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from unipose_ros import termination
from unipose_ros.termination import ProcessError, Processes

SCRIPTS = {
    "says": "print('hello', flush=True)",
    "fails": "raise SystemExit(3)",
    "polite": "import signal, time\ntry:\n    print('up', flush=True)\n    time.sleep(60)\n"
    "except KeyboardInterrupt:\n    print('bye', flush=True)",
    "deaf": "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "print('up', flush=True)\ntime.sleep(60)",
}


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, text in SCRIPTS.items():
        (tmp_path / f"script_{name}.py").write_text(text)
    monkeypatch.setattr(termination, "GRACE", 20.0)  # a busy machine takes its time to end a process
    with Processes(tmp_path / "logs", {"PYTHONPATH": str(tmp_path)}) as group:
        yield group


def wait_until_up(child) -> None:
    deadline = time.monotonic() + 20
    while "up" not in child.output and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "up" in child.output


def test_output_goes_to_the_log(runner: Processes) -> None:
    child = runner.start_module("greeter", "script_says", [])
    runner.wait(child, 20)
    assert child.output == "hello\n"


def test_a_failure_names_the_process_and_its_status(runner: Processes) -> None:
    child = runner.start_module("broken", "script_fails", [])
    with pytest.raises(ProcessError, match="broken failed with status 3"):
        runner.wait(child, 20)


def test_waiting_is_bounded(runner: Processes) -> None:
    child = runner.start_module("slow", "script_polite", [])
    with pytest.raises(ProcessError, match=r"slow did not end within 0 s"):
        runner.wait(child, 0.0)


def test_the_death_of_another_is_noticed(runner: Processes) -> None:
    slow = runner.start_module("slow", "script_polite", [])
    runner.start_module("broken", "script_fails", [])
    with pytest.raises(ProcessError, match="broken died with status 3"):
        runner.wait(slow, 20)


def test_ctrl_c_comes_first(runner: Processes) -> None:
    child = runner.start_module("polite", "script_polite", [])
    wait_until_up(child)
    assert runner.stop(child) == 0
    assert "bye" in child.output


def test_the_deaf_are_killed_on_leaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(termination, "GRACE", 0.2)
    (tmp_path / "script_deaf.py").write_text(SCRIPTS["deaf"])
    with Processes(tmp_path / "logs", {"PYTHONPATH": str(tmp_path)}) as group:
        child = group.start_module("deaf", "script_deaf", [])
        wait_until_up(child)
    assert child.process.returncode == -9


def test_the_same_python_is_used(tmp_path: Path) -> None:
    (tmp_path / "script_which.py").write_text("import sys; print(sys.executable)")
    with Processes(tmp_path / "logs", {"PYTHONPATH": str(tmp_path)}) as group:
        child = group.start_module("which", "script_which", [])
        group.wait(child, 20)
    assert child.output.strip() == sys.executable


def test_children_hear_ctrl_c_where_their_parent_does_not(runner: Processes) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = runner.start_module("polite", "script_polite", [])
    finally:
        signal.signal(signal.SIGINT, before)
    wait_until_up(child)
    assert runner.stop(child) == 0
