"""Weights, and what users write: YAML of trainings, calibrations, poses and the node."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml
from tiny_networks import write_weights

from fuzzing.files import as_json, spoil_json
from fuzzing.mutation import (
    flip_bits,
    mutate_bytes,
    mutate_text,
    mutate_tree,
    nested,
    odd_scalar,
    odd_text,
    pack,
    unpack,
)
from fuzzing.surface import Surface
from unipose_ros.backends import BackendError
from unipose_ros.detection.onnx_keypoints import read_pose_config
from unipose_ros.modalities.calibration import read_calibrations, recorded_calibration
from unipose_ros.networks.registry import load_network
from unipose_ros.networks.weights import WeightsError, read_model_card
from unipose_training.engine.config import ConfigError, load_config
from unipose_training.errors import DataError, EvaluationError
from unipose_training.evaluation.metrics.cross_view import read_camera_poses
from unipose_training.ordinal_depth.command import read_keypoint_images
from unipose_training.ordinal_depth.files import read_orders
from unipose_training.recipes.command import RECIPES, get_recipe

ROOT = Path(__file__).resolve().parents[3]


class Weights(Surface):
    """Safetensors: bytes, header, tensors and record, with and without the right checksums."""

    name, about = "weights", "safetensors: bytes, header, tensors, record and its checksum; loaded and built"
    refusals = (WeightsError,)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.data = write_weights(folder, "points").read_bytes()
        self.state = self._loaded(self.data)

    def generate(self, rng: random.Random) -> bytes:
        pick = rng.random()
        if pick < 0.25:
            return pack([("damaged", flip_bits(rng, self.data))])
        if pick < 0.4:
            return pack([("damaged", mutate_bytes(rng, self.data))])
        length = struct.unpack("<Q", self.data[:8])[0]
        header, tensors = json.loads(self.data[8 : 8 + length]), self.data[8 + length :]
        if pick < 0.6:
            text = spoil_json(rng, json.dumps(header).encode())
        else:
            header["__metadata__"] = self._odd_record(rng, header["__metadata__"])
            text = json.dumps(header).encode()
        if pick > 0.9:
            tensors = mutate_bytes(rng, tensors)
        size = len(text) if rng.random() < 0.97 else rng.choice((0, 2**31, 2**63, 2**64 - 1))
        return pack([("rewritten", struct.pack("<Q", size) + text + tensors)])

    def _odd_record(self, rng: random.Random, metadata: dict[str, str]) -> dict[str, str]:
        record = mutate_tree(rng, json.loads(metadata["unipose"]))
        text = as_json(record) if rng.random() < 0.95 else nested(rng)
        return {"unipose": text, "unipose_sha256": hashlib.sha256(text.encode()).hexdigest()}

    def read(self, case: bytes) -> None:
        for how, data in unpack(case):
            state = self._loaded(data)
            if how == "damaged":
                same = state.keys() == self.state.keys() and all(
                    np.array_equal(state[name], self.state[name]) for name in state
                )
                assert same, "damaged weights were taken for good"

    def _loaded(self, data: bytes) -> dict[str, np.ndarray]:
        path = self.folder / "points.safetensors"
        path.write_bytes(data)
        read_model_card(path)
        recorded_calibration(path)
        module, _ = load_network(path, "points")
        return {name: value.numpy() for name, value in module.state_dict().items()}


class Configurations(Surface):
    """YAML and JSON that users write, and ``key=value`` of the command line."""

    name = "configurations"
    about = "YAML of trainings with overrides, calibrations, camera poses, networks; JSON of keypoints and orders"
    refusals = (ConfigError, WeightsError, EvaluationError, BackendError, DataError)
    _POSES = yaml.safe_dump({"front": np.eye(4).tolist(), "rear": np.eye(4).ravel().tolist()})
    _NETWORK = yaml.safe_dump({"layout": "simcc", "input_size": [192, 256], "min_score": 0.3, "mean": [1.0, 2.0, 3.0]})
    _PERSON: ClassVar[dict[str, Any]] = {
        "id": 1, "image_id": 7, "category_id": 1, "iscrowd": 0, "area": 10.0, "bbox": [1, 2, 3, 4],
        "keypoints": [3.0, 4.0, 2] * 17, "num_keypoints": 17,
    }  # fmt: skip

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.kinds = {name: get_recipe(name).load()[0] for name in RECIPES}
        shipped = {name: ROOT / "config" / "training" / f"{name}.yaml" for name in RECIPES}
        self.texts = {name: path.read_text() if path.exists() else "{}" for name, path in shipped.items()}
        self.texts["calibrations"] = (ROOT / "config" / "calibration.yaml").read_text()
        self.texts |= {"poses": self._POSES, "network": self._NETWORK}
        pair = {"a": [1, 0], "b": [1, 5], "r": 1, "w": 0.5}
        image = {"id": 7, "file_name": "a.jpg", "width": 64, "height": 48, "ordinal_depth": [pair]}
        category = {"id": 1, "name": "person", "keypoints": ["nose"] * 17}
        orders = {"images": [image], "annotations": [self._PERSON], "categories": [category]}
        person = {"joints": [[1.0, 2.0]] * 16, "joints_vis": [1] * 16, "image": "a.jpg", "center": [1, 2], "scale": 1.0}
        self.texts |= {"orders": json.dumps(orders), "mpii": json.dumps([person])}

    def generate(self, rng: random.Random) -> bytes:
        name = rng.choice(sorted(self.texts))
        parts = [(name, self._spoiled(rng, name))]
        for _ in range(rng.choice((0, 0, 1, 2)) if name in self.kinds else 0):
            key = rng.choice(("run.steps", "run", "run.learning_rate", "x", "..", "run.precision", "points.points", ""))
            text = key + rng.choice(("=", "", "==")) + (odd_text(rng) if rng.random() < 0.97 else nested(rng))
            parts.append(("override", text.encode("utf-8", "surrogatepass")))
        return pack(parts)

    def _spoiled(self, rng: random.Random, name: str) -> bytes:
        text = self.texts[name]
        if name in ("orders", "mpii"):
            return spoil_json(rng, text.encode())
        pick = rng.random()
        if pick < 0.15:
            return mutate_bytes(rng, text.encode())
        if pick < 0.45:
            return mutate_text(rng, text).encode("utf-8", "surrogatepass")
        if pick < 0.48:
            return (text + "\nx: " + nested(rng)[:3000]).encode()
        if pick < 0.51:  # references that double, level by level
            return ("a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(25))).encode()
        if pick < 0.53:
            return rng.choice(
                (b"2001-13-45", b"!!python/object:os.system {}", b"? [a]\n: b", b"\xff\xfe", b"- " * 2000)
            )
        made = mutate_tree(rng, yaml.safe_load(text))
        try:
            return yaml.safe_dump(made, allow_unicode=True).encode("utf-8", "surrogatepass")
        except (ValueError, yaml.YAMLError):
            return b"a: " + b"1" * 5000

    def read(self, case: bytes) -> None:
        (name, data), *rest = unpack(case)
        path = self.folder / ("case.json" if name in ("orders", "mpii") else "case.yaml")
        path.write_bytes(data)
        if name in self.kinds:
            load_config(self.kinds[name], path, [text.decode("utf-8", "surrogateescape") for _, text in rest])
        elif name == "network":
            read_pose_config(path.with_suffix(".onnx"), {})
        elif name == "orders":
            read_orders(path)
        elif name == "mpii":
            read_keypoint_images(path, self.folder)
        else:
            (read_calibrations if name == "calibrations" else read_camera_poses)(path)


class NodeParameters(Surface):
    """Parameters of the pose node: files, overrides at the start, and changes while it runs."""

    name, about = "node_parameters", "parameters of the node: files, overrides at the start, changes while it runs"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import rclpy
        from rclpy._rclpy_pybind11 import RCLError
        from rclpy.exceptions import ParameterException

        from unipose_ros.ros.parameters import NodeConfig, ParameterError, Parameters

        type(self).refusals = (ParameterError, ParameterException, RCLError)
        self._rclpy, self._parameters, self._config = rclpy, Parameters, NodeConfig()
        self.text = (ROOT / "config" / "unipose.yaml").read_text()
        self.context = rclpy.Context()
        rclpy.init(context=self.context, args=[])
        self.live = self._node(self.context)
        declared = self.live.get_parameters_by_prefix("")
        self.names = sorted(declared)
        self.usual = {name: parameter.value for name, parameter in declared.items()}

    def _node(self, context: Any, overrides: Any = None) -> Any:
        from rclpy.node import Node

        node = Node("unipose", context=context, start_parameter_services=False, parameter_overrides=overrides)
        try:
            self._parameters(node, self._config)
        except BaseException:
            node.destroy_node()
            raise
        return node

    def close(self) -> None:
        self._rclpy.shutdown(context=self.context)

    def generate(self, rng: random.Random) -> bytes:
        if rng.random() < 0.04:
            return pack([("file", self._file(rng))])
        names = rng.sample(self.names, rng.choice((1, 1, 1, 2, 5)))
        how = "live" if rng.random() < 0.85 else "start"
        return pack([(how, json.dumps({name: self._value(rng, name) for name in names}).encode())])

    def _value(self, rng: random.Random, name: str) -> Any:
        value = odd_scalar(rng) if rng.random() < 0.6 else mutate_tree(rng, self.usual[name])
        try:
            return value if len(json.dumps(value)) < 1500 else "x"
        except (TypeError, ValueError):
            return str(type(value))

    def _file(self, rng: random.Random) -> bytes:
        if rng.random() < 0.4:
            return mutate_text(rng, self.text).encode("utf-8", "surrogatepass")
        made = mutate_tree(rng, yaml.safe_load(self.text), rng.choice((1, 2, 5)))
        return yaml.dump(made).encode("utf-8", "surrogatepass")

    def read(self, case: bytes) -> None:
        from rclpy.parameter import Parameter

        ((how, data),) = unpack(case)
        if how == "file":
            self._start_with_file(data)
            return
        given = []
        for name, value in json.loads(data).items():
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                continue
            try:
                given.append(Parameter(name, value=value))
            except (AttributeError, TypeError, ValueError, OverflowError):
                continue  # there is no such message
        try:
            for each in given:
                each.to_parameter_msg()
        except (AssertionError, TypeError, ValueError, OverflowError, UnicodeError):
            return
        if how == "live":
            self.live.set_parameters(given)
        else:
            self._node(self.context, given).destroy_node()

    def _start_with_file(self, data: bytes) -> None:
        path = self.folder / "case.yaml"
        path.write_bytes(data)
        context = self._rclpy.Context()
        try:
            self._rclpy.init(context=context, args=["x", "--ros-args", "--params-file", str(path)])
            self._node(context).destroy_node()
        finally:
            if context.ok():
                self._rclpy.shutdown(context=context)


SURFACES = (Weights, Configurations, NodeParameters)
