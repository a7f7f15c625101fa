"""Label files: what is written is read, what is wrong is named, and sources become one set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from unipose_ros.frame import JointStatus
from unipose_ros.joint_sets import COCO17
from unipose_training.datasets.coco import CocoImages
from unipose_training.errors import DataError
from unipose_training.ordinal_depth.command import MPII_JOINTS, main, read_keypoint_images
from unipose_training.ordinal_depth.files import read_orders

_CROWDPOSE = (
    "left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip right_hip left_knee "
    "right_knee left_ankle right_ankle top_head neck"
)
CROWDPOSE = _CROWDPOSE.split()


def flat(pixels: Any, v: int = 2) -> list[float]:
    return [float(value) for u, w in pixels for value in (u, w, v)]


@pytest.fixture
def poses(body: Any, photograph: Any) -> list[Any]:
    """Two people: the first nearer than the second."""
    return [photograph(body, (-0.5, 0, 2.5)), photograph(body, (0.5, 0, 5))]


def write(path: Path, record: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))
    return path


def coco_file(path: Path, poses: list[Any], names: list[str] | None = None, **changes: Any) -> Path:
    names = names or list(COCO17.joints)
    chosen = [[pose[COCO17.index(name)] if name in COCO17.joints else (1, 1) for name in names] for pose in poses]
    people = [
        {
            "id": 70 + n,
            "image_id": 9,
            "category_id": 1,
            "iscrowd": 0,
            "area": 1,
            "bbox": [0, 0, 1, 1],
            "keypoints": flat(pose),
        }
        for n, pose in enumerate(chosen)
    ]
    images = [{"id": 9, "file_name": "nine.png", "width": 640, "height": 480}, {"id": 10, "file_name": "empty.png"}]
    record = {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person", "keypoints": names}]}
    return write(path, record | changes)


def mpii_file(path: Path, poses: list[Any]) -> Path:
    def person(pose: Any) -> dict[str, Any]:
        joints = [list(pose[COCO17.index(j)] + 1) if j in COCO17.joints else [-1, -1] for j in MPII_JOINTS]
        return {"image": "ten.png", "joints": joints, "joints_vis": [int(j in COCO17.joints) for j in MPII_JOINTS]}

    return write(path, [person(pose) for pose in poses])


@pytest.fixture
def made(tmp_path: Path, poses: list[Any], capsys: pytest.CaptureFixture[str]) -> Path:
    coco = coco_file(tmp_path / "coco" / "labels.json", poses)
    crowd = coco_file(tmp_path / "crowd.json", poses, CROWDPOSE)
    mpii = mpii_file(tmp_path / "mpii.json", poses)
    out = tmp_path / "out" / "orders.json"
    images = tmp_path / "images"
    sources = [f"coco={coco}:{images}", f"crowdpose={crowd}:{images}", f"mpii={mpii}:{images}"]
    assert main([*sources, "--output", str(out)]) == 0
    assert "3 images are in" in capsys.readouterr().out
    return out


def test_several_sources_become_one_set(made: Path, poses: list[Any], tmp_path: Path) -> None:
    images = read_orders(made)
    assert [image.source for image in images] == [("coco", "9"), ("crowdpose", "9"), ("mpii", "ten.png")]
    assert [image.size for image in images] == [(640, 480), (640, 480), None]
    assert images[0].path.resolve() == (tmp_path / "images" / "nine.png").resolve()
    record = json.loads(made.read_text())
    assert [person["id"] for person in record["annotations"]] == [1, 2, 3, 4, 5, 6]
    assert [person["image_id"] for person in record["annotations"]] == [1, 1, 2, 2, 3, 3]
    shoulder = COCO17.index("left_shoulder")
    for image in images:
        np.testing.assert_allclose(image.people.pixels[:, shoulder], [pose[shoulder] for pose in poses], atol=0.01)
        across = image.pairs.select(image.pairs.across)
        assert len(across) == 4
        assert (across.order == 1).all()
    assert (images[1].people.status[:, : COCO17.index("left_shoulder")] == JointStatus.MISSING).all()


def test_coco_readers_take_the_file(made: Path) -> None:
    (made.parent / "annotations").mkdir()
    (made.parent / "annotations" / "person_keypoints_all.json").write_text(
        made.read_text().replace('"file_name": "../images/ten.png"', '"width": 1, "height": 1, "file_name": "ten.png"')
    )
    assert [len(image.people) for image in CocoImages(made.parent, "all")] == [2, 2, 2]


@pytest.mark.parametrize(("key", "value", "text"), [
    ("a", [99, 5], "'a' of"), ("b", [1, 17], "'b' of"), ("b", [1, -1], "'b' of"), ("a", 7, "'a' of"),
    ("r", 2, "bad r or w"), ("r", 0.5, "bad r or w"), ("w", 0.0, "bad r or w"), ("w", None, "bad r or w"),
])  # fmt: skip
def test_wrong_pairs_are_named(made: Path, key: str, value: Any, text: str) -> None:
    record = json.loads(made.read_text())
    record["images"][0]["ordinal_depth"][0][key] = value
    with pytest.raises(DataError, match=f"image 1: .*{text}"):
        read_orders(write(made, record))


def test_a_keypoint_that_is_not_labeled_has_no_order(made: Path) -> None:
    record = json.loads(made.read_text())
    person, joint = record["images"][0]["ordinal_depth"][0]["a"]
    record["annotations"][person - 1]["keypoints"][3 * joint + 2] = 0
    with pytest.raises(DataError, match="no labeled keypoint"):
        read_orders(write(made, record))


def test_a_keypoint_is_not_nearer_than_itself(made: Path) -> None:
    record = json.loads(made.read_text())
    pair = record["images"][0]["ordinal_depth"][0]
    pair["b"] = pair["a"]
    with pytest.raises(DataError, match="one keypoint twice"):
        read_orders(write(made, record))


def test_files_without_orders_and_of_other_kinds_are_refused(tmp_path: Path, poses: list[Any]) -> None:
    with pytest.raises(DataError, match="ordinal_depth"):
        read_orders(coco_file(tmp_path / "a.json", poses))
    with pytest.raises(DataError, match="neither COCO's layout"):
        read_keypoint_images(write(tmp_path / "b.json", {"people": []}), tmp_path)
    with pytest.raises(DataError, match="'categories' names no keypoints"):
        read_keypoint_images(coco_file(tmp_path / "c.json", poses, categories=[{"id": 1}]), tmp_path)


def test_crowds_and_empty_people_are_left_out(tmp_path: Path, poses: list[Any]) -> None:
    path = coco_file(tmp_path / "a.json", [*poses, poses[0], np.full_like(poses[0], 1)])
    record = json.loads(path.read_text())
    record["annotations"][2]["iscrowd"] = 1
    record["annotations"][3]["keypoints"] = [0] * 51
    images = read_keypoint_images(write(path, record), tmp_path)
    assert [image.people.ids for image in images] == [("70", "71"), ()]


@pytest.mark.parametrize(("kinds", "visibility"), [((1, 2), True), ((1, 1), False), ((2, 2), False)])
def test_hidden_is_known_only_where_a_file_tells_both(
    tmp_path: Path, poses: list[Any], kinds: tuple[int, int], visibility: bool
) -> None:
    path = coco_file(tmp_path / "a.json", poses)
    record = json.loads(path.read_text())
    for person, v in zip(record["annotations"], kinds, strict=True):
        person["keypoints"][2::3] = [v] * 17
    first, _ = read_keypoint_images(write(path, record), tmp_path)
    assert first.visibility is visibility
    hidden = JointStatus.INFERRED if visibility else JointStatus.MEASURED
    assert first.people.status[:, 0].tolist() == [hidden, JointStatus.MEASURED]


def test_the_command_says_what_is_wrong(tmp_path: Path, poses: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.json")
    source = f"a={coco_file(tmp_path / 'a.json', poses)}:{tmp_path}"
    assert main([source, source, "--output", out]) == 1
    assert "two sources have the same name" in capsys.readouterr().err
    assert main([f"a={tmp_path / 'none.json'}:{tmp_path}", "--output", out]) == 1
    assert "none.json: not found" in capsys.readouterr().err
    assert main([source, "--output", out, "--set", "nearer=2"]) == 1
    assert "nearer = 2.0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["nothing", "--output", out])


def test_limits_can_be_set(tmp_path: Path, poses: list[Any]) -> None:
    out = tmp_path / "out.json"
    source = f"a={coco_file(tmp_path / 'a.json', poses)}:{tmp_path}"
    assert main([source, "--output", str(out), "--set", "nearer=1.0"]) == 0
    assert not read_orders(out)[0].pairs.across.any()


def test_windows_of_a_label_file(tmp_path: Path, made: Path) -> None:
    from unipose_training.ordinal_depth.windows import ImageOrders, joined

    (tmp_path / "images").mkdir()
    for name in ("nine.png", "ten.png"):
        cv2.imwrite(str(tmp_path / "images" / name), np.full((480, 640, 3), 7, np.uint8))
    windows = ImageOrders(read_orders(made), 64)
    assert len(windows) == 6
    batch = joined([windows[0], windows[1]])
    assert batch.image.shape == (2, 3, 64, 64)
    known = batch.pixels[batch.pixels.isfinite().all(-1)]
    assert ((known > -0.5) & (known < 63.5)).all()
    assert set(batch.window.tolist()) <= {0, 1}
    assert not batch.own.all()  # the nearer person's window shows the other one as well
