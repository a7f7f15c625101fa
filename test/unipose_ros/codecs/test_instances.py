"""Points of people who stand close together are told apart by rough skeletons."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from unipose_ros.camera import Camera, unproject
from unipose_ros.codecs import instances
from unipose_ros.codecs.instances import RoughBody, body_index, is_own, neighbors, own_points, to_segments
from unipose_ros.codecs.windows import DepthImageConfig, encode_depth
from unipose_ros.compiled import ENABLED
from unipose_ros.frame import RgbdFrame
from unipose_ros.joint_sets import ITOP15

CAMERA = Camera(500, 500, 319.5, 239.5, 640, 480)


def standing_at(x: float, z: float) -> NDArray[np.float64]:
    """(15, 3) a person with hanging arms."""
    places = {
        "head": (-0.6, 0), "neck": (-0.4, 0), "torso": (-0.15, 0), "shoulder": (-0.4, 0.17), "elbow": (-0.12, 0.2),
        "hand": (0.12, 0.2), "hip": (0.1, 0.1), "knee": (0.5, 0.1), "foot": (0.9, 0.1),
    }  # fmt: skip
    rows = []
    for name in ITOP15.joints:
        y, side = places[name.removeprefix("left_").removeprefix("right_")]
        rows.append((x + (side if name.startswith("left_") else -side), y, z))
    return np.array(rows)


def test_each_keeps_the_points_around_their_own_bones() -> None:
    people = np.stack([standing_at(0.0, 2.0), standing_at(0.35, 2.1)])
    own = own_points(people)
    around = [person[None] + np.array([[[0, 0, -0.05]], [[0, 0, 0.02]]]) for person in people]
    for mine, theirs in ((0, 1), (1, 0)):
        keeps = own[mine]
        assert keeps is not None
        assert keeps(around[mine].reshape(-1, 3).astype(np.float32)).all()
        trunk = [ITOP15.index(name) for name in ("head", "neck", "torso")]
        assert not keeps(around[theirs][:, trunk].reshape(-1, 3).astype(np.float32)).any()


def test_who_stands_alone_keeps_everything() -> None:
    assert own_points(np.stack([standing_at(0.0, 2.0), standing_at(3.0, 2.0)])) == [None, None]
    assert neighbors(np.stack([standing_at(0.0, 2.0), standing_at(0.5, 2.0)])) == [[1], [0]]


def test_distances_to_segments_are_those_to_their_nearest_points() -> None:
    rng = np.random.default_rng(0)
    points, ends = rng.normal(0, 0.5, (300, 3)) + [0, 0, 5], rng.normal(0, 0.5, (17, 2, 3)) + [0, 0, 5]
    ends[3, 1] = ends[3, 0]  # a segment without length
    points[0] = ends[4, 0]
    steps = np.linspace(0, 1, 2001)[:, None, None]
    along = ends[:, 0] * (1 - steps) + ends[:, 1] * steps
    for point, found in zip(points, to_segments(points, ends), strict=True):
        assert np.allclose(found, np.linalg.norm(along - point, axis=-1).min(axis=0), atol=2e-3)
    assert to_segments(points[:1], ends)[0, 4] < 1e-6
    assert to_segments(points, ends[:0]).shape == (300, 0)


def test_without_any_known_joint_no_point_is_given_away() -> None:
    unknown = RoughBody.of_joints(np.full((15, 3), np.nan))
    points = standing_at(0.0, 2.0).astype(np.float32)
    assert len(unknown) == 0
    assert is_own(points, unknown, [RoughBody.of_joints(standing_at(0.0, 2.0))]).all()


def test_a_depth_window_loses_what_is_the_other_persons() -> None:
    depth = np.full((480, 640), 4.0, np.float32)
    depth[100:400, 280:330], depth[100:400, 340:390] = 2.0, 2.1
    frame = RgbdFrame(1, "camera", CAMERA, depth=depth)
    box = np.array([280, 100, 330, 400], np.float32)

    def left_of_the_gap(points: NDArray[np.float32]) -> NDArray[np.bool_]:
        middle = unproject(CAMERA, np.array([335.0, 240.0]), np.array(2.0))
        return np.asarray(points[:, 0] < middle[0])

    config = DepthImageConfig()
    image = encode_depth(frame, box, 2.0, config, left_of_the_gap).image[0]
    everything = encode_depth(frame, box, 2.0, config).image[0]
    own, others = np.abs(everything) < 0.01, np.abs(everything - 0.1 / config.unit) < 0.01
    assert own.sum() > 500
    assert others.sum() > 500
    np.testing.assert_array_equal(image[own], everything[own])
    assert (image[others] == config.clip).all(), "removed readings are holes"


def test_each_pixel_shows_whose_skin_it_is_on() -> None:
    people = np.stack([standing_at(-0.3, 2.0), standing_at(0.2, 2.6), standing_at(5.0, 2.0)])
    depth = np.full((480, 640), 3.5, np.float32)
    depth[:, :50] = np.nan
    for person in people[1::-1]:  # the nearer one hides the other
        for joint in person:
            u, v = np.rint([500 * joint[0] / joint[2] + 319.5, 500 * joint[1] / joint[2] + 239.5]).astype(int)
            depth[v - 3 : v + 4, u - 3 : u + 4] = joint[2] - 0.05
    index = body_index(CAMERA, depth, people, [0, 1, 2])
    assert index.dtype == np.uint8
    assert set(np.unique(index)) == {0, 1, 2}  # the third is outside of the image
    for number, person in enumerate(people[:2], start=1):
        head = person[ITOP15.index("head")]
        u, v = int(500 * head[0] / head[2] + 319.5), int(500 * head[1] / head[2] + 239.5)
        assert (index[v - 1 : v + 2, u - 1 : u + 2] == number).all()
    assert not index[depth == 3.5].any()  # what is behind
    assert set(np.unique(body_index(CAMERA, depth, people, [1]))) == {0, 2}  # numbers are those of the message
    nowhere = np.full((1, 15, 3), np.nan)
    assert not body_index(CAMERA, depth, nowhere, [0]).any()
    behind = people[:1] - np.array([0, 0, 4.0])
    assert not body_index(CAMERA, depth, behind, [0]).any()


@pytest.mark.skipif(not ENABLED, reason="without Numba the reference is all there is")
@pytest.mark.parametrize("seed", range(5))
def test_the_loop_tells_points_apart_as_its_reference_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = (rng.normal(0, 1, (4000, 3)) * [0.4, 0.8, 0.2]).astype(np.float32)
    own, other = (RoughBody.of_joints(standing_at(x, 0.1 * x) + rng.normal(0, 0.1, (15, 3))) for x in (0.0, 0.4))
    parts = (own.ends, own.radii, other.ends, other.radii)
    wanted = instances.nearer_to_own_by_numpy(points, *parts)
    assert 0.1 < wanted.mean() < 0.9
    # The reference is in single precision: points on the border may go either way.
    assert np.count_nonzero(instances._nearer_to_own(points, *parts) != wanted) <= 2
