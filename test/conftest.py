"""What all tests share: recorded data where there is some, and a ROS domain of their own."""

from __future__ import annotations

import fcntl
import os
import random
import re
import signal
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

# Before torch is imported, here and in child processes: its threads spin while they wait, which beside other work
# makes small networks many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What the user has deployed must not change what is tested.
os.environ["UNIPOSE_WEIGHTS"] = ""
# A shell that runs us in the background has SIGINT ignored, by us and by the child processes that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Properties are tested, not times: an example may take as long as a busy machine needs.
if find_spec("hypothesis"):
    from hypothesis import settings

    settings.register_profile("any_machine", deadline=None)
    settings.load_profile("any_machine")

ROOT = Path(__file__).resolve().parents[1]
SHARED_MEMORY = Path("/dev/shm")
#: Fast DDS names what it puts into shared memory like this.
SEGMENT_PATTERNS = ("fastrtps_*", "fastdds_*", "sem.fastrtps_*", "sem.fastdds_*")
#: domain_coordinator of ament_cmake_ros holds the same ports for the same purpose.
DOMAIN_PORT_BASE = 22119


#: What an installation may do without; tests of files that import them are skipped there. setup.py names their extras.
OPTIONAL = {
    "anny", "h5py", "hypothesis", "imageio_ffmpeg", "lightning_fabric", "matplotlib", "motmetrics", "onnx", "open3d",
    "pybullet", "rclpy", "rosbags", "safetensors", "tensorboard", "torch", "tqdm", "unipose_training",
}  # fmt: skip


#: Folders whose own conftest.py needs what may be absent.
_NEEDS = {"training": "torch"}
collect_ignore = [folder for folder, module in _NEEDS.items() if find_spec(module) is None]


def pytest_report_header() -> list[str]:
    """What is left out as a whole."""
    return [f"test/{folder} is left out: {_NEEDS[folder]} is not installed" for folder in collect_ignore]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of several test processes (pytest-xdist), one runs all tests over DDS, and each file is run by one."""
    if config.pluginmanager.hasplugin("xdist"):
        # The longest group begins, so that the others fill the other processes meanwhile.
        items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
        for item in items:
            group = "dds" if item.get_closest_marker("e2e") else item.nodeid.partition("::")[0]
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """A file that imports what is not installed is skipped, and says what."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]  # pluggy's Result
    missing = _missing_module(str(report.longrepr)) if report.failed else ""
    if missing in OPTIONAL:
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, f"Skipped: {missing} is not installed")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A test that itself imports what is not installed is skipped; where the package does, it fails."""
    outcome = yield
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in OPTIONAL:
        own = [frame for frame in call.excinfo.traceback if "importlib" not in str(frame.path)]  # type: ignore[union-attr]
        if own and Path(own[-1].path).is_relative_to(ROOT / "test"):
            report = outcome.get_result()  # type: ignore[attr-defined]  # pluggy's Result
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, f"Skipped: {error.name} is not installed")


def _missing_module(text: str) -> str:
    """``ModuleNotFoundError: No module named 'a.b'`` -> ``a``; the last one of a text is the cause."""
    found = re.findall(r"No module named '(\w+)", text)
    return found[-1] if found else ""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings: $UNIPOSE_TEST_DATA, else ``shared/data`` beside the checkout."""
    named = os.environ.get("UNIPOSE_TEST_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no recordings in {folder}; set UNIPOSE_TEST_DATA to the folder that holds them")
    return folder


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch's threads spin while they wait: beside other work two of them take many times as long as one."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def ros_environment() -> Iterator[int]:
    """Keep this run's ROS traffic on this machine and in a domain that no other run uses.

    Yields the domain. Processes started by a test inherit all of it.
    """
    with pytest.MonkeyPatch.context() as patch, _reserve_domain() as reserved:
        domain = reserved.getsockname()[1] - DOMAIN_PORT_BASE
        profile = str(ROOT / "config" / "fastdds.xml")
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        patch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", profile)
        patch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", profile)
        before = set(_segments())
        yield domain
        _remove_segments(set(_segments()) - before)


def _reserve_domain() -> socket.socket:
    """A socket bound to the port that stands for a domain; free again when it is closed."""
    domains = list(range(1, 102))
    random.SystemRandom().shuffle(domains)  # runs that start together should not try the same one first
    for domain in domains:
        reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            reserved.bind(("127.0.0.1", DOMAIN_PORT_BASE + domain))
        except OSError:
            reserved.close()
        else:
            return reserved
    pytest.exit("all ROS domains 1 to 101 are taken by other test runs", returncode=3)


def _segments() -> list[Path]:
    return [path for pattern in SEGMENT_PATTERNS for path in SHARED_MEMORY.glob(pattern)]


def _remove_segments(candidates: set[Path]) -> None:
    """Delete what killed processes left behind; what a living process still uses stays.

    Fast DDS holds a lock on ``<segment>_el`` for as long as the segment's owner lives.
    """
    for path in candidates:
        lock = path if path.name.endswith("_el") else path.with_name(f"{path.name}_el")
        if not _is_locked(lock):
            path.unlink(missing_ok=True)


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
