"""Installs a wheel beside the versions of distributions, without ROS and without torch, and tests it there.

    python tools/test_matrix.py [NAME ...] [-- pytest's arguments]

An environment whose interpreter is not on this machine is skipped, and found at the end. uv is used where it is
installed; it can bring interpreters, too (UV_PYTHON_DOWNLOADS).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv" / "matrix"
#: What needs neither ROS nor torch; files whose imports are not installed are skipped by test/conftest.py.
TESTS = (
    "test/packaging/test_minimal_environment.py", "test/unipose_ros/backends", "test/unipose_ros/cli",
    "test/unipose_ros/codecs", "test/unipose_ros/detection", "test/unipose_ros/fusion", "test/unipose_ros/geometry",
    "test/unipose_ros/lookup", "test/unipose_ros/test_compiled.py", "test/unipose_ros/test_joint_frames.py",
    "test/unipose_ros/test_png16.py",
    "test/unipose_ros/modalities", "test/unipose_ros/networks", "test/unipose_ros/recordings",
    "test/unipose_ros/tracking",
)  # fmt: skip
MARKS = "not slow and not e2e and not ros and not weights"
TOOLS = ("hypothesis", "pytest")


@dataclass(frozen=True)
class Environment:
    """Versions that belong together.

    Attributes:
        python: version of the interpreter.
        packages: what is installed before the wheel.
        extra: of the wheel.
    """

    python: str
    packages: tuple[str, ...] = ()
    extra: str = "eval"


ENVIRONMENTS = {
    # apt's versions, and an onnxruntime of that time for their NumPy.
    "jammy": Environment(
        "3.10",
        ("numpy==1.21.5", "opencv-python-headless==4.5.4.60", "scipy==1.8.0", "onnxruntime==1.12.1",
         "matplotlib==3.5.1", "pandas==1.3.5", "protobuf<4", "numba==0.55.1"),
    ),
    "noble": Environment(
        "3.12",
        ("numpy==1.26.4", "opencv-python-headless==4.6.0.66", "scipy==1.11.4", "PyYAML==6.0.1", "numba==0.58.1"),
    ),
    "newest": Environment("3.13", ("numba",)),
}  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Make and test the environments; 1 when a test or an installation fails."""
    split = list(arguments).index("--") if "--" in arguments else len(arguments)
    names, options = list(arguments[:split]) or list(ENVIRONMENTS), list(arguments[split + 1 :])
    if unknown := set(names) - ENVIRONMENTS.keys():
        raise SystemExit(f"no environment {', '.join(sorted(unknown))}; there are {', '.join(ENVIRONMENTS)}")
    results: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        wheel = _build_wheel(Path(folder))
        for name in names:
            results[name] = _try(name, ENVIRONMENTS[name], wheel, options)
    for name, result in results.items():
        print(f"{name:<8} Python {ENVIRONMENTS[name].python}: {result}")
    return int(any(result.startswith("failed") for result in results.values()))


def _build_wheel(folder: Path) -> Path:
    """From a copy, for setuptools leaves its build folder in the source."""
    copy = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True,
        check=True,
    ).stdout.decode()  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if not name.startswith("test/") and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    _run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(copy)])
    return next(folder.glob("*.whl"))


def _try(name: str, environment: Environment, wheel: Path, options: Sequence[str]) -> str:
    python = _interpreter(environment.python)
    if python is None:
        return "skipped: no such interpreter (apt, pyenv or uv can bring it)"
    print(f"== {name}: {python}", flush=True)
    folder = HOME / name
    try:
        ours = _make(folder, python)
        # Together, so that what the wheel brings leaves these versions alone.
        _install(ours, [*environment.packages, *TOOLS, f"{wheel}[{environment.extra}]"])
        _run_evaluation(folder)
        _run([str(folder / "bin" / "pytest"), "-q", "-m", MARKS, *(options or TESTS)])
    except subprocess.CalledProcessError as error:
        return f"failed: {' '.join(map(str, error.cmd[:4]))} ... ended with {error.returncode}"
    return "passed"


def _interpreter(version: str) -> str | None:
    for candidate in _candidates(version):
        found = subprocess.run([candidate, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"],
                              capture_output=True, text=True, check=False)  # fmt: skip
        if found.stdout.strip() == version:
            return candidate
    return None


def _candidates(version: str) -> Iterator[str]:
    if found := shutil.which(f"python{version}"):
        yield found
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from (str(path) for path in sorted(root.glob(f"versions/{version}.*/bin/python"), reverse=True))
    if uv := shutil.which("uv"):
        found = subprocess.run([uv, "python", "find", version], capture_output=True, text=True, check=False)
        if found.returncode == 0:
            yield found.stdout.strip()


def _make(folder: Path, python: str) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run([python, "-m", "venv", str(folder)])
    return folder / "bin" / "python"


def _install(python: Path, packages: Sequence[str]) -> None:
    uv = shutil.which("uv")
    installer = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    _run([*installer, "-q", *packages])


def _run_evaluation(folder: Path) -> None:
    """The demo recording of the installed wheel through the installed command, as a user would."""
    unipose = str(folder / "bin" / "unipose")
    _run([unipose, "doctor"])
    walk = str(folder / "share" / "unipose_ros" / "demo" / "walk")
    _run([unipose, "evaluate", walk, "--modality", "points", "--limit", "10", "--output", str(folder / "evaluation")])


def _run(command: Sequence[str]) -> None:
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    subprocess.run(command, cwd=ROOT, env=clean, check=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
