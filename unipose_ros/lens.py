"""What a lens does to viewing directions, and how to undo it: the distortion models of ``sensor_msgs/CameraInfo``.

Everything is on the plane z = 1 of the optical frame. A distortion polynomial holds in the middle of the image and
turns back somewhere farther out; beyond that place it describes no image, and has no inverse.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Coefficients of each model, in OpenCV's order. The polynomial models share one order, k1 k2 p1 p2 k3 k4 k5 k6
#: s1 s2 s3 s4 tau_x tau_y, where fewer mean that the others are zero; ``equidistant`` (OpenCV's fisheye) is k1 to k4.
MODEL_LENGTHS: dict[str, tuple[int, ...]] = {
    "": (),
    "none": (),
    "plumb_bob": (4, 5, 8, 12, 14),
    "rational_polynomial": (4, 5, 8, 12, 14),
    "equidistant": (4,),
}
#: The most that ``plumb_bob`` has by its definition; drivers send more under that name, and OpenCV takes them.
_PLUMB_BOB = 5
#: Directions farther off the axis than this are not inverted: they have hardly a place on the plane z = 1.
_WIDEST = np.radians(88.0)
#: Places at which the radial function is known; Newton's method starts between them.
_SAMPLES = 4096
#: From there two or three steps are enough, but near the edge of the invertible region.
_MOST_STEPS = 25
#: A solution as good as this on the plane z = 1 is left as it is: a thousandth of a pixel and less.
_EXACT = 1e-6


class LensError(ValueError):
    """Coefficients that fit no model; the text names the values and the remedy."""


def fitting_coefficients(model: str, values: tuple[float, ...]) -> tuple[str, tuple[float, ...]]:
    """Model and coefficients without what a driver sends too much of.

    Surplus coefficients that are zero change nothing. ``plumb_bob`` with the further coefficients of the same order is
    what ``rational_polynomial`` names, and both are what OpenCV takes them for.

    Args:
        model: a key of :data:`MODEL_LENGTHS`.
        values: D of ``CameraInfo``.

    Raises:
        LensError: there is no such order of coefficients.
    """
    used = max((place + 1 for place, value in enumerate(values) if value), default=0)
    if not used:
        return model, ()
    lengths = MODEL_LENGTHS[model]
    length = min((n for n in lengths if used <= n <= len(values)), default=0)
    if not length:
        takes = f"{', '.join(map(str, lengths))} coefficients" if lengths else "none"
        raise LensError(
            f"D has {len(values)} coefficients, {used} without the zeros at its end, and distortion_model = '{model}' "
            f"takes {takes}; correct the driver's calibration, or use rectified topics and input.rectified"
        )
    renamed = "rational_polynomial" if model == "plumb_bob" and length > _PLUMB_BOB else model
    return renamed, values[:length]


class Lens:
    """One lens, with what is needed to undo it; :func:`lens_of` makes each only once.

    Args:
        model: ``plumb_bob``, ``rational_polynomial`` or ``equidistant``.
        coefficients: as :func:`fitting_coefficients` gives them, not empty.

    Attributes:
        limit: radius on the plane z = 1 up to which the lens can be undone.
    """

    def __init__(self, model: str, coefficients: tuple[float, ...]) -> None:
        self._is_fisheye = model == "equidistant"
        self._k = np.zeros(14)
        self._k[: len(coefficients)] = coefficients
        self._tilt = np.eye(3) if self._is_fisheye else _tilt(self._k[12], self._k[13])
        angles = np.linspace(0.0, self._last_angle(), _SAMPLES)
        self._radii = np.tan(angles)
        self._images = self._radial(self._radii)
        self.limit = float(self._radii[-1])

    @np.errstate(all="ignore")  # beyond its range a model may have any value; what comes of it is compared
    def distort(self, points: FloatArray) -> FloatArray:
        """(..., 2) directions on the plane z = 1 -> where the lens shows them; NaN beyond :attr:`limit`."""
        x, y = points[..., 0], points[..., 1]
        squared = x * x + y * y
        if self._is_fisheye:
            radius = np.sqrt(squared)
            scale = np.divide(self._radial(radius), radius, out=np.ones_like(radius), where=radius > 0)
            shown = points * scale[..., None]
        else:
            shown = np.stack(self._bent(x, y, squared), axis=-1)
        shown = _through(self._tilt, shown)
        shown[~(squared <= self.limit**2)] = np.nan
        return shown

    @np.errstate(all="ignore")
    def undistort(self, shown: FloatArray, tolerance: float) -> FloatArray:
        """Where the lens shows directions -> (..., 2) directions on the plane z = 1.

        Args:
            tolerance: what may be left of the difference to ``shown`` when the result is distorted again.

        Returns:
            NaN where there is no such direction: the model shows nothing there.
        """
        target = np.asarray(shown, np.float64).reshape(-1, 2)
        if not len(target):
            return np.array(shown, np.float64)
        if self._is_fisheye:
            found = self._straight(target)
        else:
            # OpenCV's few steps are quick, and enough for most lenses; what they leave is solved with care.
            found = np.asarray(cv2.undistortPoints(target[:, None], np.eye(3), self._k)[:, 0], np.float64)
        residual = self._residual(found, target)
        if not self._is_fisheye:
            left = ~(residual <= min(tolerance, _EXACT))
            found[left] = self._solve(target[left])
            residual[left] = self._residual(found[left], target[left])
        found[~(residual <= tolerance)] = np.nan
        return found.reshape(shown.shape)

    def _residual(self, found: FloatArray, target: FloatArray) -> FloatArray:
        """(N,) how far from ``target`` the lens shows what was found; NaN for what it does not show."""
        return np.asarray(np.linalg.norm(self.distort(found) - target, axis=-1))

    def _straight(self, target: FloatArray) -> FloatArray:
        """Undo a fisheye: Newton's method on the angle off the axis."""
        k, radius = self._k, np.hypot(target[:, 0], target[:, 1])
        angle = np.interp(radius, self._images, np.arctan(self._radii))
        for _ in range(2):
            s = angle * angle
            value = angle * (1 + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3]))))
            slope = 1 + s * (3 * k[0] + s * (5 * k[1] + s * (7 * k[2] + s * 9 * k[3])))
            angle = np.clip(angle - (value - radius) / np.where(slope > 0, slope, 1.0), 0.0, np.arctan(self.limit))
        scale = np.divide(np.tan(angle), radius, out=np.ones_like(radius), where=radius > 0)
        return np.asarray(target * scale[:, None])

    def _solve(self, target: FloatArray) -> FloatArray:
        """Undo a polynomial model: Newton's method in two dimensions, from what the radial terms alone say."""
        target = _through(np.linalg.inv(self._tilt), target)
        radius = np.hypot(target[:, 0], target[:, 1])
        # Beyond the last place the start is the last place: tangential terms may still lead to a solution.
        start = np.interp(radius, self._images, self._radii)
        found = target * np.divide(start, radius, out=np.ones_like(radius), where=radius > 0)[:, None]
        found[self._refine(found, target)] = np.nan
        return found

    def _refine(self, found: FloatArray, target: FloatArray) -> NDArray[np.bool_]:
        """The steps of :meth:`_solve`, in place; returns where the model is folded over.

        A positive Jacobian says that a solution hangs together with the middle of the image.
        """
        folded = np.zeros(len(found), np.bool_)
        left = np.flatnonzero(np.isfinite(found).all(axis=1))
        for _ in range(_MOST_STEPS):
            if not len(left):
                break
            x, y = found[left].T
            squared = x * x + y * y
            error = np.stack(self._bent(x, y, squared), axis=-1) - target[left]
            xx, xy, yx, yy = self._jacobian(x, y, squared)
            determinant = xx * yy - xy * yx
            folded[left] = ~(determinant > 0)
            safe = np.where(np.abs(determinant) > 1e-12, determinant, 1.0)
            step = np.stack([yy * error[:, 0] - xy * error[:, 1], xx * error[:, 1] - yx * error[:, 0]], axis=-1)
            found[left] -= step / safe[:, None]
            radius = np.hypot(found[left, 0], found[left, 1])
            found[left] *= np.minimum(1.0, self.limit / np.maximum(radius, 1e-300))[:, None]
            left = left[~(np.abs(error).max(axis=1) < 1e-10)]
        return folded

    def _radial(self, radius: FloatArray) -> FloatArray:
        """Radius on the plane z = 1 -> radius as shown, by the radial terms alone."""
        k = self._k
        if self._is_fisheye:
            angle = np.arctan(radius)
            s = angle * angle
            return np.asarray(angle * (1 + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3])))))
        return np.asarray(radius * self._factor(radius * radius)[0])

    def _factor(self, s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The polynomial models' radial factor of the squared radius, and its derivative."""
        k = self._k
        upper = 1 + s * (k[0] + s * (k[1] + s * k[4]))
        lower = 1 + s * (k[5] + s * (k[6] + s * k[7]))
        upper_slope = k[0] + s * (2 * k[1] + s * 3 * k[4])
        lower_slope = k[5] + s * (2 * k[6] + s * 3 * k[7])
        return upper / lower, (upper_slope * lower - upper * lower_slope) / (lower * lower)

    def _bent(self, x: FloatArray, y: FloatArray, s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Radial, tangential and thin-prism terms."""
        k, factor = self._k, self._factor(s)[0]
        return (
            x * factor + 2 * k[2] * x * y + k[3] * (s + 2 * x * x) + s * (k[8] + s * k[9]),
            y * factor + k[2] * (s + 2 * y * y) + 2 * k[3] * x * y + s * (k[10] + s * k[11]),
        )

    def _jacobian(
        self, x: FloatArray, y: FloatArray, s: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Of :meth:`_bent`, row by row."""
        k, (factor, slope) = self._k, self._factor(s)
        across = 2 * x * y * slope + 2 * k[2] * x + 2 * k[3] * y
        prism_x, prism_y = k[8] + 2 * s * k[9], k[10] + 2 * s * k[11]
        return (
            factor + 2 * x * x * slope + 2 * k[2] * y + 6 * k[3] * x + 2 * x * prism_x,
            across + 2 * y * prism_x,
            across + 2 * x * prism_y,
            factor + 2 * y * y * slope + 6 * k[2] * y + 2 * k[3] * x + 2 * y * prism_y,
        )

    def _last_angle(self) -> float:
        """Angle off the axis at which the radial function turns back, or has a pole."""
        k = self._k
        if self._is_fisheye:
            turns = _first_root(Polynomial([1, 3 * k[0], 5 * k[1], 7 * k[2], 9 * k[3]]))
            return float(min(np.sqrt(turns), _WIDEST))
        upper, lower = Polynomial([1, k[0], k[1], k[4]]), Polynomial([1, k[5], k[6], k[7]])
        s = Polynomial([0, 1])
        slope = (upper + 2 * s * upper.deriv()) * lower - 2 * s * upper * lower.deriv()
        return float(min(np.arctan(np.sqrt(min(_first_root(slope), _first_root(lower)))), _WIDEST))


#: Smaller leading coefficients bend no ray by a pixel, and what is divided by them overflows.
_NO_COEFFICIENT = 1e-15


@lru_cache(maxsize=64)
def lens_of(model: str, coefficients: tuple[float, ...]) -> Lens:
    """The lens of a camera that has one; see :class:`Lens`."""
    return Lens(model, coefficients)


def _first_root(polynomial: Polynomial) -> float:
    """The least positive real root; infinite without one."""
    roots = polynomial.trim(_NO_COEFFICIENT).roots()
    real = roots.real[(np.abs(roots.imag) <= 1e-9 * np.maximum(np.abs(roots), 1.0)) & (roots.real > 0)]
    return float(real.min()) if len(real) else float("inf")


def _tilt(around_x: float, around_y: float) -> FloatArray:
    """Homography of a tilted sensor, as OpenCV's ``computeTiltProjectionMatrix`` defines it."""
    (sx, sy), (cx, cy) = np.sin([around_x, around_y]), np.cos([around_x, around_y])
    turn = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    onto = np.array([[turn[2, 2], 0, -turn[0, 2]], [0, turn[2, 2], -turn[1, 2]], [0, 0, 1]])
    return np.asarray(onto @ turn)


def _through(homography: NDArray[Any], points: FloatArray) -> FloatArray:
    """(..., 2) points through a homography; always new ones."""
    if np.array_equal(homography, np.eye(3)):
        return np.array(points, np.float64)
    mapped = points @ homography[:, :2].T + homography[:, 2]
    return np.asarray(mapped[..., :2] / mapped[..., 2:])
