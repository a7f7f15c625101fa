"""Models of depth sensors: what a camera makes of the true depth."""

from unipose_training.synthetic.sensors.active_stereo import ActiveStereo, measure_active_stereo
from unipose_training.synthetic.sensors.choose import SENSORS, measure_with
from unipose_training.synthetic.sensors.effects import IdealView
from unipose_training.synthetic.sensors.structured_light import StructuredLight, measure_structured_light
from unipose_training.synthetic.sensors.time_of_flight import TimeOfFlight, measure_time_of_flight

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
