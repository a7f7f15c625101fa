"""The doctor names what is missing and what to do, and never falls over."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from unipose_ros.cli import doctor
from unipose_ros.cli.doctor import Finding
from unipose_ros.cli.options import Purpose, remedy
from unipose_ros.networks.registry import NETWORKS


def test_a_sound_machine_passes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (doctor.check_machine,))
    assert doctor.main([]) == 0
    assert "python" in capsys.readouterr().out


def test_something_necessary_missing_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "PURPOSES", (Purpose("", "all", {"no_such_package": "no-such-package"}),))
    monkeypatch.setattr(doctor, "CHECKS", (doctor.check_packages,))
    assert doctor.main([]) == 1
    assert "no_such_package" in capsys.readouterr().out


def test_a_broken_package_counts_as_absent(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_binary.py").write_text("raise OSError('libfoo.so: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    finding = doctor._import("broken_binary", "warn", "install libfoo")
    assert finding == Finding(
        "warn", "broken_binary", "OSError: libfoo.so: cannot open shared object file; install libfoo"
    )


def test_missing_weights_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path))
    (finding,) = doctor.check_weights()
    assert finding.level == "warn"
    assert "unipose download movenet" in finding.detail


def test_shipped_weights_are_told_with_their_records(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    from unipose_ros import deployment
    from unipose_ros.networks.weights import ModelCard, read_model_card, save_weights
    from unipose_ros.resources import resource_path

    shipped = read_model_card(resource_path("weights", "depth.safetensors"))
    record = ModelCard("depth", shipped.config, "itop15", "windows", "rendered people", "", {"synth MPJPE (mm)": 71.25})
    save_weights(tmp_path / "depth.safetensors", {"a": np.zeros(3)}, record)
    (tmp_path / "rgb.safetensors").write_bytes(b"no weights")
    monkeypatch.setattr(
        deployment,
        "shipped_weights",
        lambda name: path if (path := tmp_path / f"{name}.safetensors").exists() else None,
    )
    findings_by_name = {finding.what: finding for finding in doctor.check_shipped_weights()}
    assert findings_by_name.pop("weights depth").detail == "trained on rendered people; synth MPJPE (mm) 71.25"
    assert {f"weights {name}" for name in [*NETWORKS, "rgbd"] if name != "depth"} == set(findings_by_name)
    assert {finding.level for finding in findings_by_name.values()} == {"warn"}
    assert "rgb.safetensors is no complete" in findings_by_name["weights rgb"].detail


def test_no_network_runtime_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    from unipose_ros import backends

    monkeypatch.setattr(backends, "_serves", lambda backend, device: False)
    (finding,) = doctor.check_weights()
    assert finding.level == "warn"


@pytest.mark.parametrize(("value", "level"), [("", "warn"), ("/nowhere.xml", "warn"), (None, "warn")])
def test_images_get_lost_without_the_profile(monkeypatch: pytest.MonkeyPatch, value, level: str) -> None:
    for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        monkeypatch.delenv(name, raising=False)
    if value is not None:
        monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", value)
    assert next(doctor.check_dds()).level == level


def test_the_profile_is_recognized(monkeypatch: pytest.MonkeyPatch) -> None:
    from unipose_ros.resources import resource_path

    path = str(resource_path("config", "fastdds.xml"))
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", path)
    assert next(doctor.check_dds()) == Finding("ok", "dds profile", path)


def test_a_check_that_falls_over_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check_something() -> Iterator[Finding]:
        raise ModuleNotFoundError("No module named 'h5py'", name="h5py")
        yield

    monkeypatch.setattr(doctor, "CHECKS", (check_something,))
    assert doctor.main([]) == 1
    assert f"'h5py' is missing: {remedy('h5py')}" in capsys.readouterr().out
