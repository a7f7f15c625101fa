from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest

from unipose_training.engine.config import RESUME_SAFE, ConfigError, RunSettings, TrainingError, load_config, to_yaml
from unipose_training.engine.run_folder import CHECKPOINT, CONFIG, prepare_run_dir


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    kind: Literal["a", "b", "32"] = "a"
    minutes: float = field(default=0.0, metadata=RESUME_SAFE)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError(f"rate = {self.rate}: must be at least 0")


@dataclass(frozen=True)
class Outer:
    folder: Path
    count: int = 3
    sure: bool = False
    name: str = "x"
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[float, float] = (0.0, 1.0)
    shares: dict[str, float] = field(default_factory=dict)
    limit: float | None = None
    inner: Inner = field(default_factory=Inner)


def test_file_and_command_line_together(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("folder: data\ncount: 5\ninner:\n  rate: 1e-3\n  kind: 32\nshares: {a: 1}\n")
    given = load_config(Outer, file, ["count=7", "inner.rate=2", "sizes=[4]", "limit=.5", "sure=true", "pair=[1, 2]"])
    inner = Inner(rate=2.0, kind="32")
    assert given == Outer(Path("data"), 7, True, "x", (4,), (1.0, 2.0), {"a": 1.0}, 0.5, inner)
    assert load_config(Outer, file).inner.rate == 1e-3


def test_yaml_brings_everything_back(tmp_path: Path) -> None:
    config = Outer(Path("data"), shares={"a": 0.5}, limit=1e-7, inner=Inner(1e-5, "32"))
    (tmp_path / "b.yaml").write_text(to_yaml(config))
    assert load_config(Outer, tmp_path / "b.yaml") == config
    (tmp_path / "c.yaml").write_text(to_yaml(RunSettings()))
    assert load_config(RunSettings, tmp_path / "c.yaml") == RunSettings()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cuont=3", r"the command line: 'cuont' is unknown; the configuration has folder, count,"),
        ("inner.rat=3", r"'inner.rat' is unknown; inner has rate, kind, minutes"),
        ("count=many", r"count = 'many': give a whole number"),
        ("count=1.5", r"count = 1.5: give a whole number"),
        ("count=true", r"count = True: give a whole number"),
        ("sure=1", r"sure = 1: give true or false"),
        ("inner.rate=fast", r"inner.rate = 'fast': give a number"),
        ("inner.rate=-1", r"inner.rate = -1.0: must be at least 0"),
        ("inner.kind=c", r"inner.kind = 'c': give one of a, b, 32"),
        ("name=3", r"name = 3: give a text"),
        ("sizes=[a]", r"sizes\[0\] = 'a': give a whole number"),
        ("pair=[1]", r"pair = \[1\]: give a list of 2, each a number"),
        ("shares.a=b", r"shares.a = 'b': give a number"),
        ("limit=b", r"limit = 'b': give a number"),
        ("inner=3", r"inner = 3: it has keys of its own: rate"),
        ("count", r"'count': give key=value"),
        ("count=[", r"'count=\[': its value is no YAML"),
    ],
)
def test_mistakes_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(Outer, None, ["folder=x", override])


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match="the defaults: 'folder' is missing; give a path"):
        load_config(Outer)


@pytest.mark.parametrize(("text", "message"), [("- 1", "give 'key: value' lines"), ("a: [", "is no YAML")])
def test_files_that_are_no_configuration(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(Outer, file)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(Outer, tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("name", "value"), [("steps", 0), ("learning_rate", float("nan")), ("max_minutes", -1), ("log_every", 0)]
)
def test_settings_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        replace(RunSettings(), **{name: value})  # type: ignore[arg-type]


def test_batches_are_shared_evenly() -> None:
    with pytest.raises(ValueError, match="multiple of devices x nodes = 6"):
        RunSettings(batch=32, devices=3, nodes=2)


def test_a_folder_belongs_to_one_configuration(tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = Outer(tmp_path)
    prepare_run_dir(run, config)
    prepare_run_dir(run, replace(config, count=4))  # nothing has been learned yet
    (run / CHECKPOINT).touch()
    prepare_run_dir(run, replace(config, count=4, inner=Inner(minutes=5.0)))
    with pytest.raises(TrainingError, match=r"another configuration: count was 4, is 9; name another --output"):
        prepare_run_dir(run, replace(config, count=9))
    prepare_run_dir(run, replace(config, count=9), changed=True)
    assert load_config(Outer, run / CONFIG).count == 9


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match="cannot be used"):
        prepare_run_dir(tmp_path / "file" / "run", Outer(tmp_path))
