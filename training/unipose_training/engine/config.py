"""Configurations: YAML and ``key=value`` into nested frozen dataclasses, strictly, and back."""

from __future__ import annotations

import dataclasses
import reprlib
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from unipose_ros.documents import DocumentError, parse_yaml

# What goes wrong when training.


class TrainingError(RuntimeError):
    """A run cannot begin or go on; the text names the cause and the remedy."""


class ConfigError(TrainingError):
    """A configuration is wrong; the text names file, key, value and what is allowed."""


# How a run is driven, whatever it trains.


#: Marks a field of a configuration that does not change what is learned: a run may go on with another value.
RESUME_SAFE: dict[str, Any] = {"free": True}


@dataclass(frozen=True)
class RunSettings:
    """How a run is driven.

    Attributes:
        steps: batches of the whole run.
        batch: samples per step, over all processes together.
        seed: of everything random.
        optimizer: ``adamw``, or ``muon`` for the large matrices, which learn faster so.
        learning_rate: the highest one.
        muon_lr_scale: Muon's learning rate as a multiple of that.
        weight_decay: on matrices and filters only.
        warmup_steps: steps in which the learning rate grows to its height.
        schedule: what follows: down to zero along a cosine, or no change.
        gradient_clip: the longest gradient; 0 for any.
        precision: of the arithmetic: 32 bits, or mixed with bfloat16 (32 bits on a CPU without it) or float16 (GPU
            only).
        max_consecutive_nonfinite: so many batches in a row without a finite loss and gradient end the run.
        accelerator: what computes.
        devices: of each machine.
        nodes: machines.
        strategy: how several devices work together; ``auto`` is ``ddp`` for more than one.
        threads: CPU threads of each process; 0 leaves them to torch.
        workers: processes that read samples; 0 reads them between the steps.
        log_every, validate_every, checkpoint_every: steps; 0 validates at the end only.
        max_minutes: stop after so long, with a checkpoint to go on from; 0 for no limit.

    Raises:
        ValueError: a value is out of range.
    """

    steps: int = 10_000
    batch: int = 32
    seed: int = 0
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 1e-3
    muon_lr_scale: float = 3.0
    weight_decay: float = 0.01
    warmup_steps: int = 200
    schedule: Literal["cosine", "constant"] = "cosine"
    gradient_clip: float = 1.0
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    max_consecutive_nonfinite: int = 20
    accelerator: Literal["auto", "cpu", "gpu"] = field(default="auto", metadata=RESUME_SAFE)
    devices: int = field(default=1, metadata=RESUME_SAFE)
    nodes: int = field(default=1, metadata=RESUME_SAFE)
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = field(default="auto", metadata=RESUME_SAFE)
    threads: int = field(default=0, metadata=RESUME_SAFE)
    workers: int = field(default=0, metadata=RESUME_SAFE)
    log_every: int = field(default=20, metadata=RESUME_SAFE)
    validate_every: int = field(default=500, metadata=RESUME_SAFE)
    checkpoint_every: int = field(default=200, metadata=RESUME_SAFE)
    max_minutes: float = field(default=0.0, metadata=RESUME_SAFE)

    def __post_init__(self) -> None:
        positive = (
            "steps",
            "batch",
            "learning_rate",
            "muon_lr_scale",
            "max_consecutive_nonfinite",
            "devices",
            "nodes",
            "log_every",
        )
        for name in (*positive, "checkpoint_every"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)}: must be positive")
        for name in ("seed", "weight_decay", "warmup_steps", "gradient_clip", "threads", "workers", "max_minutes"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 0")
        if self.validate_every < 0:
            raise ValueError(f"validate_every = {self.validate_every}: give steps, or 0 for the end only")
        if self.batch % (self.devices * self.nodes):
            raise ValueError(
                f"batch = {self.batch}: must be a multiple of devices x nodes = {self.devices * self.nodes}"
            )


T = TypeVar("T")
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother, _REPR.maxlong = 2, 100, 100, 40


def load_config(kind: type[T], file: Path | None = None, overrides: Sequence[str] = ()) -> T:
    """Read a configuration.

    Args:
        kind: dataclass; fields are bool, int, float, str, Path, Literal, tuples of them, dictionaries
            by name, one of these or None, or dataclasses again.
        file: YAML with the fields that differ from the defaults.
        overrides: ``key=value`` or ``section.key=value``, the value in YAML.

    Raises:
        ConfigError: the file cannot be read, a key is unknown, missing or given without a value, a
            value has the wrong type, or the dataclass refuses it.
    """
    values = _read(file) if file else {}
    for override in overrides:
        _put(values, override)
    source = " and ".join([str(file)] * bool(file) + ["the command line"] * bool(overrides)) or "the defaults"
    try:
        built: T = _dataclass(kind, values, "")
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
    except (ArithmeticError, RecursionError, TypeError, ValueError) as error:  # numbers and texts beyond all sense
        raise ConfigError(f"{source}: a value cannot be used ({error})") from error
    return built


def as_mapping(config: Any) -> dict[str, Any]:
    """A configuration as YAML's own types, all fields in their order."""
    plain = _plain(config)
    assert isinstance(plain, dict)
    return plain


def to_yaml(config: Any) -> str:
    """A configuration as :func:`load_config` reads it, with all fields."""
    return str(yaml.safe_dump(as_mapping(config), sort_keys=False, allow_unicode=True))


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); name an existing YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is no YAML ({error})") from error
    values = _from_yaml(text, f"{file}: is no YAML")
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: give 'key: value' lines, not {_shown(values)}")
    return values


def _from_yaml(text: str, what: str) -> Any:
    try:
        return parse_yaml(text)
    except DocumentError as error:
        raise ConfigError(f"{what} ({error})") from error


def _shown(value: object) -> str:
    """A value in an error: YAML's references make things of any size out of a few lines."""
    return _REPR.repr(value)


def _put(values: dict[str, Any], override: str) -> None:
    """Enter one ``section.key=value``."""
    key, equals, text = override.partition("=")
    if not equals or not all(part for part in key.split(".")):
        raise ConfigError(f"'{override}': give key=value or section.key=value")
    if text == text.encode("utf-8", "replace").decode():
        value = _from_yaml(text, f"'{override[:100]}': its value is no YAML")
    else:
        value = text  # the name of a file that is no UTF-8, which YAML cannot hold
    *sections, last = key.split(".")
    for section in sections:
        values[section] = dict(values[section]) if isinstance(values.get(section), dict) else {}
        values = values[section]
    values[last] = value


def _dataclass(kind: Any, values: Any, place: str) -> Any:
    where = place or "the configuration"
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} = {_shown(values)}: it has keys of its own: {_names(kind)}")
    unknown = [key for key in values if key not in {field.name for field in dataclasses.fields(kind)}]
    if unknown:
        raise ConfigError(f"'{_join(place, unknown[0])}' is unknown; {where} has {_names(kind)}")
    hints = get_type_hints(kind)
    given = {name: _value(hints[name], value, _join(place, name)) for name, value in values.items()}
    missing = [field.name for field in dataclasses.fields(kind) if field.name not in given and _is_required(field)]
    if missing:
        raise ConfigError(f"'{_join(place, missing[0])}' is missing; give {_expected(hints[missing[0]])}")
    try:
        return kind(**given)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"{place}.{error}" if place else str(error)) from error


def _value(kind: Any, value: Any, place: str) -> Any:
    """``value`` as a ``kind``."""
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, place)
    if origin in (Union, types.UnionType):
        return None if value is None else _value(next(a for a in arguments if a is not type(None)), value, place)
    if origin is tuple and isinstance(value, list | tuple):
        return _tuple(kind, value, place)
    if origin is dict and isinstance(value, Mapping):
        return {str(key): _value(arguments[1], each, _join(place, str(key))) for key, each in value.items()}
    converted = _scalar(kind, value)
    if converted is None:
        raise ConfigError(f"{place} = {_shown(value)}: give {_expected(kind)}")
    return converted


def _tuple(kind: Any, values: Sequence[Any], place: str) -> tuple[Any, ...]:
    kinds = get_args(kind)
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(values)
    if len(kinds) != len(values):
        raise ConfigError(f"{place} = {_shown(values)}: give {_expected(kind)}")
    return tuple(_value(k, value, f"{place}[{i}]") for i, (k, value) in enumerate(zip(kinds, values, strict=True)))


def _scalar(kind: Any, value: Any) -> Any:
    """The value as a plain type, or None when it is not one."""
    if get_origin(kind) is Literal:
        # YAML reads precision: 32 as a number.
        plain = value if isinstance(value, str | bool | int | float) else None
        return next((choice for choice in get_args(kind) if plain is not None and choice in (plain, str(plain))), None)
    if kind is float:
        return _exponent(value)
    if kind in (str, Path):
        return kind(value) if isinstance(value, str) else None
    return value if type(value) is kind else None


def _exponent(value: Any) -> float | None:
    """YAML takes 1e-3 for a word; only 1.0e-3 is a number to it."""
    try:
        return float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        return None


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _expected(kind: Any) -> str:
    """What to write for a type, in words."""
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return f"a section with {_names(kind)}"
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_expected(a) for a in arguments)
    if origin is tuple:
        count = "" if arguments[-1] is Ellipsis else f" of {len(arguments)}"
        return f"a list{count}, each {_expected(arguments[0])}"
    if origin is dict:
        return f"names with {_expected(arguments[1])} each"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}
    return words.get(kind, "nothing (null)")


def _names(kind: Any) -> str:
    return ", ".join(field.name for field in dataclasses.fields(kind))


def _join(place: str, name: Any) -> str:
    return f"{place}.{name}" if place else str(name)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value
