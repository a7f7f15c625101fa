"""package.xml, setup.py and CMakeLists.txt say what the code needs, and one version."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from unipose_ros import resources
from unipose_ros.networks.registry import NETWORKS
from unipose_ros.networks.weights import load_weights
from unipose_ros.resources import __version__

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ElementTree.parse(ROOT / "package.xml")
#: Where the name of a Python module is not the key of its ROS package.
KEYS = {"tf2_ros": "tf2_ros_py"}
ROS_PACKAGES = {
    "ament_index_python", "builtin_interfaces", "cv_bridge", "diagnostic_msgs", "diagnostic_updater", "geometry_msgs",
    "launch", "launch_ros", "lifecycle_msgs", "message_filters", "rcl_interfaces", "rclpy", "rosidl_runtime_py",
    "sensor_msgs", "sensor_msgs_py", "std_msgs", "std_srvs", "tf2_msgs", "tf2_ros", "tf_transformations",
    "visualization_msgs",
}  # fmt: skip


def imported(folder: str) -> set[str]:
    modules: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.split(".")[0])
    return modules


def test_every_imported_ros_package_is_a_dependency() -> None:
    wanted = {KEYS.get(name, name) for name in (imported("unipose_ros") | imported("launch")) & ROS_PACKAGES}
    stated = {element.text for tag in ("depend", "exec_depend") for element in MANIFEST.iter(tag)}
    assert wanted <= stated


def test_every_message_is_generated() -> None:
    listed = set(re.findall(r'"(msg/\w+\.msg)"', (ROOT / "CMakeLists.txt").read_text()))
    assert listed == {f"msg/{path.name}" for path in (ROOT / "msg").iterdir()}


def test_every_executable_has_its_module() -> None:
    modules = re.findall(r"install_executable\(\w+ ([\w.]+)\)", (ROOT / "CMakeLists.txt").read_text())
    assert modules
    for module in modules:
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module


def test_every_folder_with_python_is_a_package() -> None:
    """setup.py finds packages by their __init__.py."""
    for top in ("unipose_ros", "training"):
        folders = {path.parent for path in (ROOT / top).rglob("*.py")}
        assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


def test_the_version_is_that_of_package_xml() -> None:
    assert __version__ == MANIFEST.findtext("version")
    stated = subprocess.run(
        [sys.executable, "setup.py", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert stated[-1] == __version__


def test_a_checkout_finds_its_own_files() -> None:
    assert resources.resource_path("config", "fastdds.xml") == ROOT / "config" / "fastdds.xml"


def test_weights_are_shipped_small_and_whole() -> None:
    shipped = {path.stem: path for path in (ROOT / "weights").glob("*.safetensors")}
    variants = {"rgbd": "points", "points_weak": "points", "points_xs": "points"}
    assert {"points", "depth", "person_detector", "lifter"} <= shipped.keys() <= NETWORKS.keys() | variants.keys()
    for name, path in shipped.items():
        assert resources.resource_path("weights", path.name) == path
        assert path.stat().st_size <= 12_000_000
        # Modality rgbd has a points network that sees painted keypoints; points_weak is one of 2D supervision, and
        # points_xs one of another size.
        _, record = load_weights(path, variants.get(name, name))
        assert record.training_data
        assert record.license


def test_weights_and_the_other_resources_are_installed_every_way() -> None:
    installed = (ROOT / "CMakeLists.txt").read_text()
    (folders,) = re.findall(r"install\(DIRECTORY (.+) DESTINATION share/\$\{PROJECT_NAME\}\s", installed)
    packed = re.findall(r"^graft (\w+)$", (ROOT / "MANIFEST.in").read_text(), re.MULTILINE)
    code = "from setuptools import distutils; made = distutils.core.run_setup('setup.py', stop_after='init'); "
    code += "print(*[file for _, files in made.data_files for file in files])"
    listed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for folder in ("config", "demo", "launch", "msg", "rviz", "weights"):
        assert folder in folders.split()
        assert folder in packed
        files = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert {file for file in files if "__pycache__" not in file} <= set(listed.split())


@pytest.mark.parametrize("library", ["lib/python3.12/site-packages", "local/lib/python3.10/dist-packages"])
def test_an_installation_finds_the_files_of_its_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    share = tmp_path / "share" / "unipose_ros"
    share.mkdir(parents=True)
    (share / "package.xml").touch()
    (share / "unipose.yaml").touch()
    monkeypatch.setattr(resources, "_HERE", tmp_path / library / "unipose_ros" / "resources.py")
    assert resources.resource_path("unipose.yaml") == share / "unipose.yaml"


def test_a_missing_file_is_named_with_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_HERE", tmp_path / "lib" / "unipose_ros" / "resources.py")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(resources.ResourceError, match=r"weights/points\.safetensors.*install the package again"):
        resources.resource_path("weights", "points.safetensors")


def test_extras_are_what_the_doctor_names() -> None:
    """An extra holds the packages of its purpose, and those that training needs hold those of evaluation."""
    from unipose_ros.cli.options import PURPOSES

    code = "from setuptools import distutils; made = distutils.core.run_setup('setup.py', stop_after='init'); "
    code += "import json; print(json.dumps({'': made.install_requires, **made.extras_require}))"
    listed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    extras = {
        name: {re.split(r"[<>=; \[]", requirement)[0] for requirement in requirements}
        for name, requirements in json.loads(listed.splitlines()[-1]).items()
    }
    for purpose in PURPOSES:
        assert set(purpose.packages.values()) <= extras[purpose.extra], purpose.summary
    assert extras["run"] <= extras["eval"] <= extras["train"]
    assert {"run", "eval", "train", "viz", "dev"} <= extras.keys()


def test_colcon_leaves_launchs_pytest_plugins_out() -> None:
    """Their import of launch keeps log messages from caplog."""
    stated = (ROOT / "CMakeLists.txt").read_text()
    for plugin in ("launch_testing", "launch_pytest", "launch_ros", "launch_testing_ros_pytest_entrypoint"):
        assert f"-p no:{plugin}" in stated


@pytest.mark.parametrize("name", ["python", "ros"])
def test_what_is_required_is_locked(name: str) -> None:
    """Else the set-up installs neither it nor what it needs; ``make lock`` adds it."""
    folder = ROOT / "tools" / "ros_from_pypi" / "requirements"
    asked, lock = ((folder / f"{name}{end}").read_text(encoding="utf-8") for end in (".txt", ".lock.txt"))
    required = re.findall(r"^([A-Za-z0-9][A-Za-z0-9_.-]*)", asked, re.MULTILINE)
    locked = re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==", lock, re.MULTILINE)
    missing = {_normalized(each) for each in required} - {_normalized(each) for each in locked} - {"torch"}
    assert not missing


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
