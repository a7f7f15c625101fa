"""YAML and JSON of any content are read, or refused with one kind of error."""

from __future__ import annotations

from pathlib import Path

import pytest

from unipose_ros.documents import DocumentError, parse_json_object, parse_yaml, read_yaml

DEEP = "[" * 20_000


@pytest.mark.parametrize("text", ["[", DEEP, "a: 2001-13-45", "!!python/object:os.system {}", "a: " + "1" * 5000, "\0"])
def test_what_is_no_yaml_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(DocumentError):
        read_yaml(tmp_path / "a.yaml")


def test_what_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="No such file"):
        read_yaml(tmp_path / "nowhere")
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DocumentError, match="codec"):
        read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize("text", ["", "{", DEEP, "[]", "null", '"x"', "1" * 5000, b"\xff"])
def test_only_json_objects_are_taken(text: str | bytes) -> None:
    with pytest.raises(DocumentError):
        parse_json_object(text)


def test_sound_ones_are_read() -> None:
    assert parse_yaml("a: [1, x]") == {"a": [1, "x"]}
    assert parse_json_object(b'{"a": null}') == {"a": None}
