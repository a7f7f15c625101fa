"""A module's tests lie where the module does: ``test_<module>.py`` or ``test_<module>_<aspect>.py`` in its folder."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MIRRORED = {"test/unipose_ros": "unipose_ros", "test/training": "training/unipose_training"}
#: What several modules do together, or the folder's package as a whole.
TOGETHER = {
    "test/unipose_ros": {"public_api", "png16"},
    "test/unipose_ros/cli": {"processes"},
    "test/unipose_ros/codecs": {"codecs_real_people"},
    "test/unipose_ros/detection": {"columns"},
    "test/unipose_ros/modalities": {"estimator", "estimator_real_people", "real_people_in_depth", "rgb"},
    "test/unipose_ros/ros": {"launch_file", "live_input", "older_recordings"},
    "test/unipose_ros/tracking": {"config", "ids", "tracking_sides"},
    "test/unipose_ros/visualization": {"visualization"},
    "test/training/datasets": {"evaluate_data_sets", "prediction_units"},
    "test/training/evaluation": {"clips", "joint_sets"},
    "test/training/ordinal_depth": {"wsp_recipe"},
    # The bank's tests share the scenes of those that render it.
    "test/training/synthetic/batch": {"bank_baking", "bank_crowd", "bank_posing", "bank_store"},
}


def test_tests_are_named_and_placed_as_what_they_test() -> None:
    astray = []
    for tests, package in MIRRORED.items():
        for path in sorted((ROOT / tests).rglob("test_*.py")):
            folder = path.parent.relative_to(ROOT / tests)
            source, name = ROOT / package / folder, path.stem.removeprefix("test_")
            modules = {each.stem for each in source.glob("*") if each.suffix in (".py", "")} | {source.name}
            known = any(name == module or name.startswith(f"{module}_") for module in modules)
            if not known and name not in TOGETHER.get((Path(tests) / folder).as_posix(), ()):
                astray.append(str(path.relative_to(ROOT)))
    assert astray == []


def test_exceptions_are_still_there() -> None:
    gone = [f"{folder}/test_{name}.py" for folder, names in TOGETHER.items() for name in names]
    assert [path for path in gone if not (ROOT / path).is_file()] == []
