"""Command lines: words that do not belong together, files that are none, numbers beyond all sense."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
from pathlib import Path
from typing import ClassVar

from fuzzing.mutation import mutate_text
from fuzzing.recordings import write_bag
from fuzzing.surface import Surface
from unipose_ros.cli.main import main

_PATHS = (
    "nowhere", ".", "", "text.txt", "empty", "bad.mcap", "bad.db3", "folder", "folder/x", "loop", "/dev/null",
    "/proc/self/mem", "x" * 300, "a/b/c", "é\u202e", "b\udcff\udcfeg", "-", "--", "*", "bad.npz", "bad.json", "bad.pkl",
    "bad.safetensors", "bad.yaml", "bad.npy",
)  # fmt: skip
_OUTPUTS = ("out", "a/b/out", "text.txt", "text.txt/out", "/proc/out", "x" * 300, "b\udcff", "", "loop", "folder")
_NUMBERS = ("0", "-1", "1", "1e9", "nan", "inf", "x", "", "99999999999999999999", "0x10", "1.5", "9" * 5000)
_WORDS = ("points", "auto", "nothing", "cpu", "cuda:99", "onnx", "", "points,depth", "POINTS", "\x00x", "é")


class CommandLines(Surface):
    """``unipose COMMAND ...``, run here; a command that goes on to work is given nothing to work on."""

    name, about, refusals = "command_lines", "command lines of every command", (SystemExit,)  # type: ignore[assignment]
    _OPTIONS: ClassVar[dict[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
        "adapt": (
            ("--output", _OUTPUTS), ("--modality", _WORDS), ("--budget", (*_NUMBERS, "3min")), ("--rate", _NUMBERS),
            ("--held-out", _NUMBERS), ("--replay", _NUMBERS), ("--source", _PATHS), ("--seed", _NUMBERS),
        ),
        "benchmark": (("--page", _OUTPUTS), ("--modality", _WORDS), ("--people", _NUMBERS)),
        "calibrate": (
            ("--root", _PATHS), ("--clips", _PATHS), ("--modality", _WORDS), ("--every", _NUMBERS),
            ("--clip-frames", _NUMBERS), ("--weights", ("points=nowhere", "=", "x", "points=bad.safetensors")),
            ("--output", _OUTPUTS),
        ),
        "data": (
            ("check", ("",)), ("--dataset", ("itop", "coco", "ntu", "3dpw", "panoptic", "human36m", "x")),
            ("--root", _PATHS), ("--output", _OUTPUTS), ("--samples", _NUMBERS),
        ),
        "demo": (("--output", _OUTPUTS), ("--modality", _WORDS), ("--depth", _PATHS), ("--color", _PATHS)),
        "doctor": (("--help", ("",)), ("x", ("",)), ("--quiet", ("",))),
        "evaluate": (
            ("--modality", _WORDS), ("--output", _OUTPUTS), ("--limit", _NUMBERS), ("--joint-set", ("coco17", "x")),
            ("--camera-poses", _PATHS), ("--no-video", ("",)), ("--device", _WORDS), ("--backend", _WORDS),
            ("--detector", _WORDS), ("--weights", ("points=nowhere", "=", "points=bad.safetensors")),
            ("--depth", _PATHS), ("--dataset", ("itop", "coco", "3dpw", "real-frames", "x")), ("--root", _PATHS),
            ("--subset", _WORDS), ("--predictions", _PATHS), ("--coordinates", ("pixels", "x")),
        ),
        "export": (("--weights", ("nowhere", "text.txt", "bad.safetensors", "folder", "")), ("--output", _OUTPUTS)),
        "download": (("nothing", ("",)), ("--quiet", ("",)), ("", ("",))),
        "import-frames": (
            ("--to", ("bag", "folder", "x")), ("--rate", _NUMBERS), ("--count", _NUMBERS), ("--raw", ("",)),
            ("--storage", ("mcap", "sqlite3", "x")),
        ),
        "pseudo-label": (
            ("--dataset", ("itop", "x")), ("--root", _PATHS), ("--output", _OUTPUTS), ("--workers", ("0", "-1", "x")),
            ("--every", _NUMBERS), ("--device", _WORDS), ("--render-depth", ("",)),
        ),
        "record-synthetic": (
            ("--seed", _NUMBERS), ("--storage", ("mcap", "x")), ("--rate", _NUMBERS), ("--frames", ("0", "-1", "x")),
            ("--format", ("bag", "shard", "x")), ("--workers", ("0", "-1", "x")), ("--clothes", _PATHS),
        ),
        "ordinal-depth": (("--output", _OUTPUTS), ("--set", ("nearer=0.2", "x", "=", "nearer=nan", "nearer=x"))),
        "crops": (
            ("--labels", _PATHS), ("--boxes", ("ground-truth", "x")), ("--output", _OUTPUTS),
            ("--set", ("x", "=", "a=1")), ("--mounting", _NUMBERS),
            ("--workers", ("0", "-1", "x")), ("--dataset", ("itop", "x")), ("--root", _PATHS),
        ),
        "view": (("--modality", _WORDS), ("--output", _OUTPUTS), ("--limit", _NUMBERS), ("--depth", _PATHS)),
        "train": (("--config", _PATHS), ("--output", _OUTPUTS), ("--allow-config-change", ("",))),
    }  # fmt: skip

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.place = folder / "place"
        self.place.mkdir()
        (self.place / "folder").mkdir()
        (self.place / "folder" / "x.txt").write_text("x")
        (self.place / "empty").write_text("")
        (self.place / "loop").symlink_to("loop")
        (self.place / "text.txt").write_text("a: 1\n")
        for suffix in ("mcap", "db3", "npz", "json", "pkl", "safetensors", "yaml", "npy"):
            (self.place / f"bad.{suffix}").write_bytes(b"\x89MCAP0\r\n" + bytes(range(256)))
        write_bag(self.place / "bag", "mcap")
        # Imports every library, which take more than a gigabyte of addresses: the bound is one for inputs.
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            main(["doctor"])

    def generate(self, rng: random.Random) -> bytes:
        # Commands that record, adapt on a robot or put weights in place are left out: they act on what is outside.
        command = rng.choice(
            sorted(set(self._OPTIONS) | {"nothing"}) if rng.random() < 0.97 else ["--version", "-h", ""]
        )
        words = [command]
        for option, values in self._OPTIONS.get(command, ()):
            if rng.random() < 0.35:
                value = rng.choice(values)
                words += [option, value] if value or rng.random() < 0.3 else [option]
        words += self._positional(rng, command)
        if rng.random() < 0.15:
            at = rng.randrange(len(words))
            words[at] = mutate_text(rng, words[at].encode("utf-8", "replace").decode())
        if rng.random() < 0.1:
            rng.shuffle(words[1:])
        # Commands take the words of the operating system, in which there is no zero byte.
        return json.dumps([word.replace("\x00", "") for word in self._harmless(command, words)]).encode()

    def _positional(self, rng: random.Random, command: str) -> list[str]:
        some = [rng.choice(_PATHS) for _ in range(rng.choice((0, 1, 1, 2)))]
        if command == "import-frames":
            return [
                rng.choice(("bag", "dih", "folder", "lmb", "pcd", "uva", "x")),
                rng.choice(_PATHS),
                rng.choice(_OUTPUTS),
            ]
        if command == "train":
            wrong = rng.choice(("run.steps=x", "nothing=1", "=", "run=3", "run.batch=-1", "run.devices=nan", "x"))
            return [rng.choice(("points", "detector", "wsp", "distill", "nothing")), wrong]
        if command == "export":
            return [rng.choice(("points", "depth", "nothing"))]
        if command == "ordinal-depth":
            return [rng.choice(("x", "a=b:c", "=", "a=bad.json:folder", "a=text.txt:.", ":", "a=nowhere:nowhere"))]
        return some if command in ("adapt", "evaluate", "pseudo-label", "crops", "nothing") else []

    def _harmless(self, command: str, words: list[str]) -> list[str]:
        """Nothing that takes long or reaches out: no demo, training, rendering or download gets what it needs."""
        if command == "benchmark":
            return [*words, "--from-results", "--output", "nowhere"]
        if command == "demo":
            return [*words, "--bag", "nowhere"]
        if command == "view":
            return [*words, "nowhere"]
        if command == "record-synthetic":
            return [*words, "--motions", "nowhere"]
        if command == "export":
            return [*words, "--weights", "nowhere"]
        if command == "download":
            return [word for word in words if word != "movenet"]
        return words

    def read(self, case: bytes) -> None:
        words, printed = json.loads(case), io.StringIO()
        before = Path.cwd()
        os.chdir(self.place)
        try:
            with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(io.StringIO()):
                status = main(words)
        finally:
            os.chdir(before)
        text = printed.getvalue()
        assert "Traceback" not in text, text
        if status:
            assert text.strip(), f"status {status} without a word"
            raise SystemExit(status)


SURFACES = (CommandLines,)
