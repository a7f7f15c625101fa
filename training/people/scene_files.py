"""Scenes on disk: reading a clip's images takes longer than all else that is done to make a scene of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from unipose_training.data.errors import DataError
from unipose_training.data.whole_files import write_whole
from unipose_training.people.scenes import Scene

_ARRAYS = tuple(field.name for field in fields(Scene) if field.name != "source")


def write_scenes(path: Path, scenes: Sequence[Scene], made_with: str) -> None:
    """Write the scenes of a clip; the file appears when it is complete.

    Args:
        made_with: all settings that the scenes depend on, in words.
    """
    buffer = io.BytesIO()
    arrays = {f"{name}_{number}": getattr(scene, name) for number, scene in enumerate(scenes) for name in _ARRAYS}
    sources = np.array([scene.source for scene in scenes], "U")
    np.savez(buffer, made_with=made_with, sources=sources, **arrays)
    write_whole(path, buffer.getvalue())


def read_scene_file(path: Path, made_with: str) -> list[Scene] | None:
    """The scenes of a file; ``None`` when it is not there or they were made with other settings.

    Raises:
        DataError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["made_with"]) != made_with:
                return None
            sources = stored["sources"].tolist()
            return [
                Scene(**{name: stored[f"{name}_{number}"] for name in _ARRAYS}, source=source)
                for number, source in enumerate(sources)
            ]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: no readable scenes ({error}); delete it, it is made again") from error
