"""The sensor of each kind of camera, by name."""

from __future__ import annotations

import numpy as np

from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.sensors.active_stereo import ActiveStereo, measure_active_stereo
from unipose_training.synthetic.sensors.effects import IdealView, Image
from unipose_training.synthetic.sensors.structured_light import StructuredLight, measure_structured_light
from unipose_training.synthetic.sensors.time_of_flight import TimeOfFlight, measure_time_of_flight

#: The cameras of :data:`unipose_training.synthetic.variety.cameras.KINDS`, each with its figures.
SENSORS: dict[str, StructuredLight | TimeOfFlight | ActiveStereo] = {
    "kinect_v1": StructuredLight(),
    "astra": StructuredLight(nearest=0.6, edge_loss=0.5, margins=(0.02, 0.0, 0.05, 0.02)),
    "kinect_v2": TimeOfFlight(),
    "azure_kinect": TimeOfFlight(noise=0.0010, flying=0.25, least_light=0.0028, cone=0.72, nearest=0.5, farthest=5.5),
    "femto_bolt": TimeOfFlight(noise=0.0009, flying=0.3, least_light=0.0026, cone=0.75, nearest=0.25, farthest=5.5),
    "d435": ActiveStereo(),
    "d455": ActiveStereo(baseline=0.095, focal_ratio=1.1, to_color=-0.059, nearest=0.5),
    # No projector: nothing helps where the scene has no texture of its own.
    "zed2": ActiveStereo(
        baseline=0.12, focal_ratio=1.0, noise=0.13, window=9.0, fattening=3.0, gaps=0.0, edge_loss=0.15,
        least_light=0.0, to_color=0.0, nearest=0.3, farthest=15.0,
    ),
}  # fmt: skip


def measure_with(camera_kind: str, view: IdealView, rng: np.random.Generator) -> Image:
    """(H, W) meters as that camera measures them, 0 for no reading.

    Raises:
        SyntheticError: there is no such camera.
    """
    if camera_kind not in SENSORS:
        raise SyntheticError(f"camera '{camera_kind}': use one of {', '.join(SENSORS)}")
    sensor = SENSORS[camera_kind]
    if isinstance(sensor, StructuredLight):
        return measure_structured_light(view, sensor, rng)
    if isinstance(sensor, TimeOfFlight):
        return measure_time_of_flight(view, sensor, rng)
    return measure_active_stereo(view, sensor, rng)
