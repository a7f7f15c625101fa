"""SIGTERM ends a process as Ctrl-C does, and workers never outlive the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from unipose_ros.termination import Terminated, WorkerPool, exit_status, sigterm_as_ctrl_c

#: Runs a script with arguments until its two workers are at work: the process and their numbers.
Start = Callable[..., tuple[subprocess.Popen[str], list[int]]]

#: A process with two workers, which sleep, and write their numbers first.
POOL = """
import os, sys, time
from pathlib import Path
from unipose_ros.termination import WorkerPool, exit_status, sigterm_as_ctrl_c

def work(number):
    Path(sys.argv[1], f"worker{number}").write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    try:
        with sigterm_as_ctrl_c(), WorkerPool(2) as pool:
            for future in [pool.submit(work, number) for number in range(6)]:
                future.result()
    except KeyboardInterrupt as interruption:
        print("ended in order", flush=True)
        sys.exit(exit_status(interruption))
"""
#: The same with the readers of a DataLoader, which are started by a fork or a fork server.
LOADER = """
import os, sys, time
from pathlib import Path
from torch.utils.data import DataLoader
from unipose_ros.termination import start_reader

class Slow:
    def __len__(self):
        return 100

    def __getitem__(self, number):
        Path(sys.argv[1], f"worker{os.getpid()}").write_text(str(os.getpid()))
        time.sleep(600 if number > 3 else 0)
        return number

if __name__ == "__main__":
    for batch in DataLoader(Slow(), 2, num_workers=2, worker_init_fn=start_reader, multiprocessing_context=sys.argv[2]):
        pass
"""


def eventually(what: Callable[[], object], seconds: float = 180) -> bool:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def alive(process: int) -> bool:
    """A process that no person has asked for its status is not alive any more."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def start(tmp_path: Path) -> Start:
    def start(script: str, *arguments: str) -> tuple[subprocess.Popen[str], list[int]]:
        (tmp_path / "script.py").write_text(script)
        command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)

        def workers() -> list[int]:
            return [int(path.read_text() or 0) for path in tmp_path.glob("worker*")]

        assert eventually(lambda: len(workers()) == 2 and all(workers()))
        return process, workers()

    return start


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("whole_group", [False, True])
def test_a_signal_ends_the_pool_with_its_workers(
    start: Start, number: signal.Signals, status: int, whole_group: bool
) -> None:
    process, workers = start(POOL)
    (os.killpg if whole_group else os.kill)(process.pid, number)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (status, "ended in order\n")
    assert not any(alive(worker) for worker in workers)


def test_workers_end_when_their_pool_is_killed(start: Start) -> None:
    process, workers = start(POOL)
    process.kill()
    assert eventually(lambda: not any(alive(worker) for worker in workers), 10)
    process.communicate(timeout=10)


@pytest.mark.slow  # workers load torch
@pytest.mark.parametrize("context", ["fork", "forkserver"])
def test_readers_end_when_their_loader_is_killed(start: Start, context: str) -> None:
    process, workers = start(LOADER, context)
    process.kill()
    assert eventually(lambda: not any(alive(worker) for worker in workers), 10)
    process.communicate(timeout=10)


@pytest.mark.slow  # workers load torch
def test_readers_leave_signals_to_their_loader(start: Start) -> None:
    process, workers = start(LOADER, "fork")
    for worker in workers:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            os.kill(worker, number)
    time.sleep(0.5)
    assert all(alive(worker) for worker in workers)
    for worker in workers:
        os.kill(worker, signal.SIGTERM)
    assert eventually(lambda: not any(alive(worker) for worker in workers), 20)
    process.kill()
    process.communicate(timeout=10)


def test_sigterm_is_a_keyboard_interrupt_of_its_own_status() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated) as caught, sigterm_as_ctrl_c():
        signal.raise_signal(signal.SIGTERM)
    assert exit_status(caught.value) == 143
    assert exit_status(KeyboardInterrupt()) == 130
    assert signal.getsignal(signal.SIGTERM) is before


def test_results_come_from_other_processes() -> None:
    with WorkerPool(2) as pool:
        found = {pool.submit(os.getpid).result() for _ in range(3)}
    assert os.getpid() not in found


#: A process that does not heed its signals; the second one has closed its block before the signal comes.
DEAF = """
import os, signal, sys, time
from unipose_ros.termination import ended_in_time

signal.signal(signal.SIGINT, lambda *_: None)
signal.signal(signal.SIGTERM, lambda *_: None)
with ended_in_time(*map(int, sys.argv[1:])):
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(600)
    print(child, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(("number", "arguments", "status"), [(signal.SIGTERM, (), 143), (signal.SIGINT, ("0",), 0)])
def test_a_process_that_does_not_heed_its_signal_is_ended(
    number: signal.Signals, arguments: tuple[str, ...], status: int
) -> None:
    command = [sys.executable, "-c", f"import unipose_ros.termination as t; t._PATIENCE_S = 0.2\n{DEAF}", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        child = int(process.stdout.readline())
        try:
            time.sleep(1)
            assert process.poll() is None  # the signal of a forked process is not its own
            process.send_signal(number)
            assert process.wait(60) == status
            assert "amid a step" in process.stderr.readline()
        finally:
            os.kill(child, signal.SIGKILL)
            process.kill()


def test_a_block_that_ends_in_time_has_no_consequences() -> None:
    script = """
import signal, time
import unipose_ros.termination as t
t._PATIENCE_S = 0.2
try:
    with t.sigterm_as_ctrl_c(), t.ended_in_time():
        signal.raise_signal(signal.SIGTERM)
except t.Terminated:
    assert signal.set_wakeup_fd(-1) == -1
    time.sleep(0.5)
    print("in time")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "in time\n", "")


def test_a_process_whose_interpreter_is_kept_busy_is_ended_by_the_kernel() -> None:
    # PyDLL calls keep the lock of the interpreter: no other thread of Python runs.
    script = """
import ctypes, signal, threading, time
import unipose_ros.termination as t
t._PATIENCE_S, t._LAST_S = 0.5, 0.5
signal.signal(signal.SIGTERM, lambda *_: None)
with t.ended_in_time():
    print("ready", flush=True)
    time.sleep(600)
"""
    hold = "threading.Timer(0.2, lambda: ctypes.PyDLL(None).sleep(600)).start()\n    time.sleep(600)"
    script = script.replace("time.sleep(600)", f"signal.raise_signal(signal.SIGTERM)\n    {hold}")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.wait(60) == -signal.SIGALRM
        finally:
            process.kill()
