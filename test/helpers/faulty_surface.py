"""A surface with everything that must not be."""

from __future__ import annotations

import os
import random
import signal

from fuzzing.surface import Surface


class Faulty(Surface):
    """Its inputs say what is to happen."""

    name, about, refusals = "faulty", "everything that must not be", (ValueError,)

    def generate(self, rng: random.Random) -> bytes:
        return bytes([rng.randrange(6)])

    def read(self, case: bytes) -> None:
        what = case[0]
        if what == 1:
            raise ValueError("refused")
        if what == 2:
            raise KeyError("a traceback")
        if what == 3:
            bytearray(5 << 30)
        if what == 4:
            os.kill(os.getpid(), signal.SIGSEGV)
        while what == 5:
            pass


class Silent(Surface):
    """Makes no inputs."""

    name, about, refusals = "silent", "nothing", ()

    def generate(self, rng: random.Random) -> bytes:
        raise NotImplementedError

    def read(self, case: bytes) -> None:
        pass
