"""Models of depth sensors: what a camera makes of the true depth."""

from unipose_training.synthetic.sensors.effects import IdealView
from unipose_training.synthetic.sensors.models import (
    SENSORS,
    ActiveStereo,
    StructuredLight,
    TimeOfFlight,
    measure_active_stereo,
    measure_structured_light,
    measure_time_of_flight,
    measure_with,
)

__all__ = [
    "SENSORS",
    "ActiveStereo",
    "IdealView",
    "StructuredLight",
    "TimeOfFlight",
    "measure_active_stereo",
    "measure_structured_light",
    "measure_time_of_flight",
    "measure_with",
]
