"""Run the real node over DDS for a long time and look at its memory, threads, file handles and latency.

    make soak                                20,000 frames
    SOAK_FRAMES=600 make soak                a short form
    python benchmarks/soak.py --frames 600 --output soak_output --phase walk 4K

Frames of a recording go to ``pose_node`` one after the other, each as soon as the one before was answered. Phases:
people who walk, people who come and go, 4K images, publishers that are killed and made anew, stamps that jump,
malformed messages, parameters and the life cycle stirred. Good frames follow every phase, and all phases come round
every 5,000 frames. First a new node for each phase is ended by SIGTERM in the middle of it. The output, written after
every round, is ``soak.png``, ``soak.csv`` and ``summary.json``.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import SetBool

from unipose_ros.camera import Camera
from unipose_ros.images import to_millimeters
from unipose_ros.msg import SkeletonArray
from unipose_ros.recordings import BagReader, RgbdRecording
from unipose_ros.termination import signal_on_parent_end

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "helpers"))
from fuzzing.messages import Messages  # noqa: E402

FRAME = "camera_optical"
SECOND = 1_000_000_000
PATIENCE_S = 8.0
#: Good frames after each phase, and frames of a phase in the middle of which a node is ended.
AFTERWARDS, BEFORE_THE_END = 10, 12
LARGE = (3840, 2160)
ROUND = 5000


@dataclass(frozen=True)
class Shot:
    """A depth image that is ready to be sent, and its calibration."""

    camera: Camera
    data: Any

    @classmethod
    def of(cls, camera: Camera, millimeters: np.ndarray) -> Shot:
        """Of (H, W) millimeters."""
        return cls(camera, array("B", np.ascontiguousarray(millimeters).tobytes()))


@dataclass
class Record:
    """What was measured."""

    samples: list[dict[str, Any]] = field(default_factory=list)
    latencies: list[tuple[float, str, float]] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    processed: dict[str, int] = field(default_factory=dict)


class CameraRig:
    """Sends depth images and waits for the people in them."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.patience_s = PATIENCE_S
        self.node = rclpy.create_node("soak")
        self._processed = threading.Condition()
        self._stamps: set[int] = set()
        self.node.create_subscription(SkeletonArray, "unipose/skeletons", self._receive, 50)
        executor = SingleThreadedExecutor()
        executor.add_node(self.node)
        threading.Thread(target=executor.spin, daemon=True).start()
        self._messages = Messages()
        self.depth = self.node.create_publisher(Image, "depth/image", 5)
        self.info = self.node.create_publisher(CameraInfo, "depth/camera_info", 5)

    def make_publishers(self) -> None:
        """As a driver that starts."""
        self.depth = self.node.create_publisher(Image, "depth/image", 5)
        self.info = self.node.create_publisher(CameraInfo, "depth/camera_info", 5)
        self.await_subscriptions()

    def await_subscriptions(self) -> None:
        """Until the node listens."""
        end = time.monotonic() + 20
        while not (self.depth.get_subscription_count() and self.info.get_subscription_count()):
            if time.monotonic() > end:
                break
            time.sleep(0.05)

    def kill_publishers(self) -> None:
        """As a driver that dies."""
        for publisher in (self.depth, self.info):
            self.node.destroy_publisher(publisher)

    def _receive(self, message: Any) -> None:
        with self._processed:
            self._stamps.add(message.header.stamp.sec * SECOND + message.header.stamp.nanosec)
            self._processed.notify_all()

    def send(self, shot: Shot, stamp_ns: int | None = None) -> int:
        """Publish one image; returns its stamp."""
        stamp = time.time_ns() if stamp_ns is None else stamp_ns
        c = shot.camera
        info = CameraInfo(width=c.width, height=c.height, k=[float(x) for x in c.K.ravel()])
        image = Image(width=c.width, height=c.height, encoding="16UC1", step=2 * c.width, data=shot.data)
        for message in (info, image):
            message.header.frame_id = FRAME
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, SECOND)
        self.info.publish(info)
        self.depth.publish(image)
        return stamp

    def send_malformed(self, rng: random.Random) -> None:
        """Publish a calibration and an image that are wrong in one of many ways, or bytes that are no message."""
        self.info.publish(self._messages.info(rng))
        image = self._messages.image(rng, color=False)
        self.depth.publish(image if rng.random() < 0.8 else image[: rng.randrange(4, len(image))])

    def submit(self, phase: str, shot: Shot, stamp_ns: int | None = None) -> bool:
        """Publish one image and wait for its people."""
        began = time.monotonic()
        stamp = self.send(shot, stamp_ns)
        with self._processed:
            good = self._processed.wait_for(lambda: stamp in self._stamps, self.patience_s)
            self._stamps.clear()
        self.record.sent[phase] = self.record.sent.get(phase, 0) + 1
        if good:
            self.record.processed[phase] = self.record.processed.get(phase, 0) + 1
            self.record.latencies.append((time.time(), phase, 1e3 * (time.monotonic() - began)))
        return good

    def call(self, kind: type, service: str, request: Any) -> None:
        """Call a service of the node; a reply that does not come is no failure of the run."""
        client = self.node.create_client(kind, service)
        if client.wait_for_service(10.0):
            done = threading.Event()
            client.call_async(request).add_done_callback(lambda _: done.set())
            done.wait(20.0)
        self.node.destroy_client(client)

    def transition(self, number: int) -> None:
        """Ask for a lifecycle transition."""
        request = ChangeState.Request()
        request.transition.id = number
        self.call(ChangeState, "unipose/change_state", request)

    def set_parameters(self, **values: Any) -> None:
        """Set parameters; dots are written as double underscores."""
        parameters = [
            Parameter(name.replace("__", "."), value=value).to_parameter_msg() for name, value in values.items()
        ]
        self.call(SetParameters, "unipose/set_parameters", SetParameters.Request(parameters=parameters))


def load_shots(bag: Path) -> tuple[list[Shot], Shot, Shot]:
    """People who walk, the room without them, and a 4K image."""
    with BagReader(bag) as reader:
        frames = list(RgbdRecording(reader).frames())
    camera = frames[0].camera
    walk = [Shot.of(camera, to_millimeters(frame.depth)) for frame in frames if frame.depth is not None]
    room = np.max([frame.depth for frame in frames], axis=0)
    large = cv2.resize(to_millimeters(frames[len(frames) // 2].depth), LARGE, interpolation=cv2.INTER_NEAREST)
    return walk, Shot.of(camera, to_millimeters(room)), Shot.of(camera.scaled(*LARGE), large)


def phases(rig: CameraRig, bag: Path) -> list[tuple[str, float, Callable[[int], None]]]:
    """Name, fraction of the frames, and what is done with a number of them."""
    walk, room, large = load_shots(bag)

    def walking(count: int) -> None:
        for k in range(count):
            rig.submit("walk", walk[k % len(walk)])

    def coming_and_going(count: int) -> None:
        for k in range(count):
            rig.submit("come and go", walk[k % len(walk)] if k // 30 % 2 else room)

    def four_k(count: int) -> None:
        for _ in range(count):
            rig.submit("4K", large)

    def killed(count: int) -> None:
        for k in range(count):
            if k % 50 == 25:
                rig.kill_publishers()
                rig.make_publishers()
            rig.submit("publishers killed", walk[k % len(walk)])

    def jumping(count: int) -> None:
        for k in range(count):
            odd = {7: -1_000_000, 17: 60 * SECOND, 27: -5 * SECOND}.get(k % 40)
            if odd:
                rig.send(walk[k % len(walk)], time.time_ns() + odd)
            rig.submit("stamps jump", walk[k % len(walk)])

    def stirred(count: int) -> None:
        for k in range(count):
            if k % 60 == 20:
                rig.set_parameters(track__max_age=0.5 + k % 7 / 10, tf__mode=("off", "root", "joints")[k % 3])
            if k % 120 == 60:
                rig.call(SetBool, "unipose/enable", SetBool.Request(data=False))
                rig.call(SetBool, "unipose/enable", SetBool.Request(data=True))
                rig.await_subscriptions()
            if k % 240 == 120:
                rig.transition(Transition.TRANSITION_DEACTIVATE)
                rig.transition(Transition.TRANSITION_ACTIVATE)
                rig.await_subscriptions()
            rig.submit("stirred", walk[k % len(walk)])

    def malformed(count: int) -> None:
        rng = random.Random(0)
        for k in range(count):
            rig.send_malformed(rng)
            rig.submit("malformed", walk[k % len(walk)])

    return [
        ("walk", 0.25, walking),
        ("come and go", 0.25, coming_and_going),
        ("4K", 0.02, four_k),
        ("publishers killed", 0.1, killed),
        ("stamps jump", 0.15, jumping),
        ("malformed", 0.1, malformed),
        ("stirred", 0.1, stirred),
        ("come and go", 0.03, coming_and_going),
    ]


def watch(process: subprocess.Popen[bytes], record: Record, phase: list[str], stop: threading.Event) -> None:
    """Sample the node's memory, threads and file handles."""
    folder = Path("/proc") / str(process.pid)
    while not stop.wait(1.0):
        try:
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
            sample = {
                "time": time.time(),
                "phase": phase[0],
                "rss_mb": int(status["VmRSS"].split()[0]) / 1024,
                "threads": int(status["Threads"]),
                "files": len(list((folder / "fd").iterdir())),
                "load": os.getloadavg()[0],
            }
        except (OSError, KeyError):
            return
        record.samples.append(sample)


def draw(record: Record, path: Path) -> None:
    """Memory, threads and handles, latency and load over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    begin = record.samples[0]["time"]
    figure, axes = pyplot.subplots(4, 1, sharex=True, figsize=(11, 10))
    minutes = [(sample["time"] - begin) / 60 for sample in record.samples]
    for row, keys in enumerate((("rss_mb",), ("threads", "files"))):
        for key in keys:
            axes[row].plot(minutes, [sample[key] for sample in record.samples], label=key)
        axes[row].legend(loc="upper left")
    axes[2].plot([(at - begin) / 60 for at, _, _ in record.latencies], [ms for _, _, ms in record.latencies], ",")
    axes[2].set_yscale("log")
    axes[2].set_ylabel("round trip (ms)")
    axes[3].plot(minutes, [sample["load"] for sample in record.samples])
    axes[3].set_ylabel("load of the machine")
    axes[3].set_xlabel("minutes")
    before = ""
    for minute, sample in zip(minutes, record.samples, strict=True):
        if sample["phase"] != before:
            before = sample["phase"]
            for axis in axes:
                axis.axvline(minute, color="0.8", zorder=0)
            axes[0].text(minute, axes[0].get_ylim()[1], before, rotation=30, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def summarize(record: Record, ends: list[End]) -> dict[str, Any]:
    """Figures by phase, and how the nodes ended."""
    by_phase: dict[str, Any] = {}
    for name in record.sent:
        mine = [sample for sample in record.samples if sample["phase"] == name]
        latencies = [ms for _, phase, ms in record.latencies if phase == name]
        by_phase[name] = {
            "sent": record.sent[name],
            "processed": record.processed.get(name, 0),
            "round_trip_ms": [round(float(x), 1) for x in np.percentile(latencies, (50, 95))] if latencies else None,
            "rss_mb": [round(f(sample["rss_mb"] for sample in mine), 1) for f in (min, max)] if mine else None,
            "threads": sorted({sample["threads"] for sample in mine}),
            "files": sorted({sample["files"] for sample in mine}),
        }
    return {"phases": by_phase, "ends": [vars(end) for end in ends]}


@dataclass
class End:
    """How a node ended after SIGTERM.

    Attributes:
        phase: in the middle of which.
        seconds: from the signal to its end.
        code: exit status.
        load: of the machine.
    """

    phase: str
    seconds: float
    code: int
    load: float


def start_node(log: Path) -> subprocess.Popen[bytes]:
    """A pose node with its parameters as they are by default."""
    with log.open("ab") as stream:
        program = [sys.executable, "-m", "unipose_ros.nodes.pose_node"]
        # One that outlived a run would answer in the next one.
        return subprocess.Popen(
            program,
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            preexec_fn=lambda: signal_on_parent_end(signal.SIGKILL),
        )


def end_node(node: subprocess.Popen[bytes], phase: str) -> End:
    """SIGTERM, and SIGKILL after half a minute."""
    began = time.monotonic()
    if node.poll() is None:
        node.send_signal(signal.SIGTERM)
    try:
        code = node.wait(30)
    except subprocess.TimeoutExpired:
        node.kill()
        code = node.wait()
    return End(phase, round(time.monotonic() - began, 2), code, round(os.getloadavg()[0], 1))


def soak(rig: CameraRig, options: argparse.Namespace, log: Path, ends: list[End]) -> End:
    """All phases with one node, again and again; what there is by then is written after each round."""
    node, phase, stop = start_node(log), ["start"], threading.Event()
    threading.Thread(target=watch, args=(node, rig.record, phase, stop), daemon=True).start()
    walk, _, _ = load_shots(options.bag)
    try:
        rig.await_subscriptions()
        for frames in [ROUND] * (options.frames // ROUND) + [options.frames % ROUND]:
            for name, fraction, run in phases(rig, options.bag) if frames else ():
                if options.phase and name not in options.phase:
                    continue
                phase[0] = name
                run(max(int(fraction * frames), 1))
                for k in range(AFTERWARDS):
                    rig.submit(f"after {name}", walk[k])
                processed, sent = rig.record.processed, rig.record.sent
                after = f"after {name}"
                print(
                    f"{name}: {processed.get(name, 0)} of {sent[name]}, then {processed.get(after, 0)} of "
                    f"{sent[after]}; {rig.record.samples[-1]['rss_mb']:.0f} MB",
                    flush=True,
                )
                if node.poll() is not None:
                    return end_node(node, name)
            if frames:
                write(rig.record, ends, options.output)
    finally:
        stop.set()
        ended = end_node(node, "after all")
    return ended


def write(record: Record, ends: list[End], folder: Path) -> dict[str, Any]:
    """The plot, the samples and the summary, which is returned."""
    record = replace(record, samples=list(record.samples))  # another thread adds to them
    summary = summarize(record, ends)
    (folder / "summary.json").write_text(json.dumps(summary, indent=2))
    with (folder / "soak.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(record.samples[0]))
        writer.writeheader()
        writer.writerows(record.samples)
    draw(record, folder / "soak.png")
    return summary


def end_in_each(rig: CameraRig, options: argparse.Namespace, log: Path) -> list[End]:
    """A new node for each phase, ended while its frames come."""
    ends: list[End] = []
    for name, _, run in {phase[0]: phase for phase in phases(rig, options.bag)}.values():
        if options.phase and name not in options.phase:
            continue
        node = start_node(log)
        rig.await_subscriptions()
        run(BEFORE_THE_END)
        sending = threading.Thread(target=run, args=(BEFORE_THE_END,), daemon=True)
        sending.start()
        time.sleep(0.2)
        ends.append(end_node(node, name))
        print(f"ended in {name}: {ends[-1].seconds} s, status {ends[-1].code}", flush=True)
        rig.patience_s = 0.0  # no process is left to reply
        sending.join()
        rig.patience_s = PATIENCE_S
    return ends


def main() -> int:
    """Run the phases; 0 when the node lived through all of them and ended as it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=int(os.environ.get("SOAK_FRAMES", "20000")))
    parser.add_argument("--bag", type=Path, default=ROOT / "demo" / "walk")
    parser.add_argument("--output", type=Path, default=Path("soak_output"))
    parser.add_argument("--phase", nargs="*", help="these alone; default: all")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    profile = str(ROOT / "config" / "fastdds.xml")
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", profile)
    os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", profile)
    rclpy.init()
    record, log = Record(), options.output / "node.log"
    log.unlink(missing_ok=True)
    rig = CameraRig(Record())
    time.sleep(2)  # for discovery
    if rig.depth.get_subscription_count():
        raise SystemExit(f"another node listens in domain {os.environ['ROS_DOMAIN_ID']}")
    ends = end_in_each(rig, options, log)
    rig.record = record
    ends.append(soak(rig, options, log, ends))
    print(json.dumps(write(record, ends, options.output), indent=2))
    lived = all(record.processed.get(name, 0) for name in record.sent)
    os._exit(0 if lived and all(end.code == 0 and end.seconds < 5 for end in ends) else 1)


if __name__ == "__main__":
    sys.exit(main())
