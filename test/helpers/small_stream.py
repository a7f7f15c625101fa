"""Few and small rendered scenes of the test bank, to train on for some steps."""

from __future__ import annotations

from pathlib import Path

from unipose_training.synthetic.batch.draw import DrawSettings
from unipose_training.synthetic.stream.settings import StreamSettings

ROOT = Path(__file__).resolve().parents[2]
STREAM = StreamSettings(
    bank=ROOT / "test" / "data" / "body_bank.npz",
    draw=DrawSettings(width=128, height=96, people=3),
    frames=4,
    batches=2,
    interleave=1,
    min_pixels=80,
    validation_people=4,
)
