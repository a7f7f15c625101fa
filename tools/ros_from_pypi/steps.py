"""Steps that are done once, and again when what they are made from has changed."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from console import Console
from place import Place


class Missing(Exception):  # noqa: N818 - it is a finding, not a fault of this program
    """The machine lacks something; the text says what, what does not work now, and the remedy."""


@dataclass(frozen=True)
class Step:
    """One step of the set-up.

    Attributes:
        name: for the stamp file and for ``needs``.
        title: what the user reads; empty for what is too quick to mention.
        run: does the work; raises :class:`Missing` when the machine cannot.
        inputs: files and folders whose content decides whether the step must run again.
        needs: earlier steps without which this one is pointless; redone when they are.
        always: cheap and without a stamp, or with one of its own: runs every time.
    """

    name: str
    title: str
    run: Callable[[Place, Console], None]
    inputs: tuple[Path, ...] = ()
    needs: tuple[str, ...] = ()
    always: bool = False


@dataclass
class Runner:
    """Runs steps in order, skipping what is done and what has become pointless."""

    place: Place
    console: Console
    digests: dict[str, str] = field(default_factory=dict)

    def run(self, steps: Sequence[Step]) -> None:
        """Run all steps.

        Raises:
            SetupError: a step failed that should have worked.
        """
        for step in steps:
            if all(name in self.digests for name in step.needs):
                self._run(step)

    def _run(self, step: Step) -> None:
        digest = self._digest(step)
        stamp = self.place.venv / "stamps" / step.name
        if step.always or not stamp.is_file() or stamp.read_text() != digest:
            stamp.unlink(missing_ok=True)  # half done is not done
            try:
                self._work(step)
            except Missing as missing:
                self.console.note(str(missing))
                return
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.write_text(digest)
        self.digests[step.name] = digest

    def _work(self, step: Step) -> None:
        if not step.title:
            step.run(self.place, self.console)
        else:
            with self.console.step(step.title):
                step.run(self.place, self.console)

    def _digest(self, step: Step) -> str:
        digest = hashlib.sha256(sys.version.encode())
        for name in step.needs:
            digest.update(self.digests[name].encode())
        for path in _files(step.inputs):
            digest.update(str(path).encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()


def _files(paths: Iterable[Path]) -> list[Path]:
    files = []
    for path in paths:
        files += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return files
