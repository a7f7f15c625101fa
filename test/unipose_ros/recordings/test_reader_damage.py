"""Recordings that are absent, cut short or broken."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from unipose_ros.recordings import BagReader, RecordingError, RgbdRecording, bounds
from unipose_ros.recordings.messages import CAMERA_INFO, IMAGE, differing_field, message_types
from unipose_ros.recordings.reader import MAGIC, MendedMcap

FRAMES = [float(n) for n in range(300)]


@pytest.fixture
def sound(rgbd_bag: Callable[..., Path]) -> Path:
    """About 1.4 MB, so that the file has several chunks."""
    return rgbd_bag(FRAMES, FRAMES)


def storage_file(bag: Path) -> Path:
    (file,) = [*bag.glob("*.mcap"), *bag.glob("*.db3")]
    return file


def cut(file: Path, share: float) -> int:
    size = file.stat().st_size
    os.truncate(file, int(size * share))
    return size


def test_truncated_mcap_is_read_as_far_as_it_goes(sound: Path, caplog: pytest.LogCaptureFixture) -> None:
    cut(storage_file(sound), 0.8)
    with caplog.at_level(logging.WARNING), BagReader(sound) as reader:
        messages = list(reader.raw())
        assert reader.lost_bytes > 0
        assert str(sound) in str(reader.problem)
    assert 0 < len(messages) < 4 * len(FRAMES)
    assert [m.time_ns for m in messages] == sorted(m.time_ns for m in messages)
    assert f"last {reader.lost_bytes} bytes are lost" in caplog.text


def test_truncated_mcap_gives_frames(sound: Path) -> None:
    file = storage_file(sound)
    cut(file, 0.8)
    with BagReader(file) as reader:
        frames = list(RgbdRecording(reader).frames())
    assert 0 < len(frames) < len(FRAMES)


def test_recorder_that_died_leaves_no_metadata(sound: Path) -> None:
    (sound / "metadata.yaml").unlink()
    with BagReader(sound) as reader:
        assert len(list(reader.raw())) == 4 * len(FRAMES)
        assert reader.problem is None


def test_missing_index_loses_nothing(sound: Path) -> None:
    """Only the closing magic is gone: every record is still whole."""
    file = storage_file(sound)
    os.truncate(file, file.stat().st_size - len(MAGIC))
    with BagReader(sound) as reader:
        assert len(list(reader.raw())) == 4 * len(FRAMES)
        assert reader.problem is not None


def test_zeros_after_a_power_cut(sound: Path) -> None:
    file = storage_file(sound)
    cut(file, 0.8)
    with file.open("ab") as handle:
        handle.write(bytes(5000))
    with BagReader(sound) as reader:
        assert len(list(reader.raw())) > 0
        assert reader.lost_bytes >= 5000


def test_damage_in_the_middle_ends_the_reading_with_a_warning(sound: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = storage_file(sound)
    size = file.stat().st_size
    with file.open("r+b") as handle:
        # A stretch inside the second chunk's messages; the index at the end stays whole.
        handle.seek(int(size * 0.85))
        handle.write(b"\xff" * 2000)
    with caplog.at_level(logging.WARNING), BagReader(sound) as reader:
        count = len(list(reader.raw()))
    assert count < 4 * len(FRAMES)
    assert reader.problem is not None
    assert "lost" in caplog.text


def test_mended_file_reads_like_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.mcap"
    record = b"\x03" + (4).to_bytes(8, "little") + b"abcd"
    file.write_bytes(MAGIC + record + b"\x05" + (100).to_bytes(8, "little") + b"cut")
    mended = MendedMcap(file)
    assert mended.kept_bytes == len(MAGIC + record)
    assert mended.lost_bytes == 12
    with mended.open() as handle:
        whole = handle.read()
        handle.seek(-len(MAGIC), os.SEEK_END)
        assert handle.read() == MAGIC
        handle.seek(8)
        assert handle.read(5) == record[:5]
    assert whole.startswith(MAGIC + record)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda p: None, "there is no such file or folder"),
        (lambda p: p.write_text("x"), "is no rosbag2 storage"),
        (lambda p: p.mkdir(), "this is not a rosbag2 recording"),
    ],
)
def test_what_is_no_recording_is_named(tmp_path: Path, make: Callable[[Path], object], text: str) -> None:
    path = tmp_path / "thing.txt"
    make(path)
    with pytest.raises(RecordingError, match=text) as caught, BagReader(path):
        pass
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["a.mcap", "a.db3"])
def test_rubbish_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"rubbish" * 100)
    with pytest.raises(RecordingError, match=name), BagReader(tmp_path / name):
        pass


def test_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").touch()
    with pytest.raises(RecordingError, match=r"a\.mcap"), BagReader(tmp_path / "a.mcap"):
        pass


def test_storage_file_named_in_metadata_is_absent(sound: Path) -> None:
    storage_file(sound).unlink()
    with pytest.raises(RecordingError, match="cannot be read as a rosbag2 recording"), BagReader(sound):
        pass


def test_truncated_sqlite_is_refused(rgbd_bag: Callable[..., Path]) -> None:
    bag = rgbd_bag(FRAMES, FRAMES, storage="sqlite3")
    cut(storage_file(bag), 0.6)
    with pytest.raises(RecordingError, match="record it again"), BagReader(bag):
        pass


def test_unknown_topic_is_named(sound: Path) -> None:
    with BagReader(sound) as reader, pytest.raises(RecordingError, match=r"no topic '/nope'.*?/color/image"):
        list(reader.raw(["/nope"]))


def test_reading_needs_an_open_recording(sound: Path) -> None:
    with pytest.raises(RecordingError, match="not open"):
        list(BagReader(sound).raw())


def test_metadata_without_a_storage_id_loses_nothing(sound: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As ``ros2 bag reindex`` leaves it (ros2/rosbag2 #2175)."""
    metadata = sound / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("storage_identifier: mcap", 'storage_identifier: ""'))
    with caplog.at_level(logging.WARNING), BagReader(sound) as reader:
        assert len(list(reader.raw())) == 4 * len(FRAMES)
        assert (reader.lost_bytes, reader.problem) == (0, None)
    assert "metadata.yaml does not fit" in caplog.text
    assert "damaged" not in caplog.text


def test_a_renamed_file_loses_nothing(sound: Path) -> None:
    storage_file(sound).rename(sound / "monday.mcap")
    with BagReader(sound) as reader:
        assert len(list(reader.raw())) == 4 * len(FRAMES)
        assert (reader.lost_bytes, reader.problem) == (0, None)


@pytest.mark.parametrize("metadata", [True, False], ids=["with metadata", "alone"])
@pytest.mark.parametrize("harm", [lambda b: b + bytes(5000), lambda b: b[:-10], lambda b: b[:-8] + b"x" * 8])
def test_an_index_that_is_damaged_loses_nothing(
    sound: Path, metadata: bool, harm: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """Zeros behind the file, as disks leave them, or an end that was cut: the messages are all there."""
    file = storage_file(sound)
    file.write_bytes(harm(file.read_bytes()))
    if not metadata:
        (sound / "metadata.yaml").unlink()
    with BagReader(sound) as reader:
        assert len(list(reader.raw())) == 4 * len(FRAMES)
        assert reader.lost_bytes == 0
        assert "nothing is lost" in str(reader.problem)
    assert "nothing is lost" in caplog.text


def test_a_recording_of_ros_1_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "x.bag").write_bytes(b"#ROSBAG V2.0\n" + bytes(100))
    with pytest.raises(RecordingError, match=r"rosbags-convert --src x\.bag"):
        BagReader(tmp_path / "x.bag").__enter__()


def test_a_missing_file_of_several_is_named(sound: Path) -> None:
    metadata = sound / "metadata.yaml"
    name = storage_file(sound).name
    metadata.write_text(metadata.read_text().replace(f"- {name}", f"- {name}\n  - later.mcap", 1))
    with BagReader(sound) as reader:
        assert len(list(reader.raw())) == 4 * len(FRAMES)
        assert "later.mcap" in str(reader.problem)


def test_a_renamed_and_cut_file_is_read_as_far_as_it_goes(sound: Path) -> None:
    cut(storage_file(sound), 0.8)
    storage_file(sound).rename(sound / "monday.mcap")
    with BagReader(sound) as reader:
        assert 0 < len(list(reader.raw())) < 4 * len(FRAMES)
        assert reader.lost_bytes > 0
        assert reader.problem is not None


@pytest.mark.parametrize("whole_folder", [True, False])
@pytest.mark.parametrize(
    ("name", "remedy"),
    [("walk.mcap.zstd", "zstd -d walk.mcap.zstd', or give the folder"), ("walk.db3.zst", "zstd -d walk.db3.zst'"),
     ("walk.mcap.gz", "gunzip -k walk.mcap.gz'"), ("walk.mcap.lz4", "lz4 -d walk.mcap.lz4'"),
     ("walk.tar.xz", "tar -xf walk.tar.xz'"), ("walk.zip", "unzip walk.zip'")],
)  # fmt: skip
def test_a_file_that_is_compressed_as_a_whole_is_named_with_the_remedy(
    tmp_path: Path, name: str, remedy: str, whole_folder: bool
) -> None:
    file = tmp_path / name
    file.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    with (
        pytest.raises(RecordingError, match=re.escape(remedy)),
        BagReader(tmp_path if whole_folder else file),
    ):
        pass


@pytest.mark.parametrize(
    ("mode", "storage"),
    [("FILE", "SQLITE3"), ("FILE", "MCAP"), ("MESSAGE", "SQLITE3"), ("MESSAGE", "MCAP"), ("STORAGE", "MCAP")],
)
def test_what_grows_beyond_measure_when_unpacked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, storage: str
) -> None:
    bag = tmp_path / "bag"
    writer = Writer(bag, version=9, storage_plugin=StoragePlugin[storage])
    writer.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection("/image", IMAGE, typestore=message_types())
        writer.write(connection, 1, bytes(4_000_000))
    assert sum(file.stat().st_size for file in bag.iterdir()) < 100_000

    def read() -> str:
        try:
            with BagReader(bag) as reader:
                assert [len(raw.data) for raw in reader.raw()] in ([4_000_000], [])
                return str(reader.problem)
        except RecordingError as error:
            return str(error)

    assert read() == "None"
    monkeypatch.setattr(bounds, "MOST_UNPACKED", 1_000_000)
    monkeypatch.setattr(bounds, "_MOST_FILE", 1_000_000)
    monkeypatch.setattr(bounds, "_MOST_RATIO", 2)
    assert "when unpacked" in read()


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(RecordingError, match="/a: "), BagReader(tmp_path / "a"):
        pass


def test_what_is_neither_file_nor_folder_is_refused() -> None:
    with pytest.raises(RecordingError, match="/dev/null"), BagReader("/dev/null"):
        pass


def test_a_count_that_is_no_number_is_no_count(sound: Path) -> None:
    metadata = sound / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("message_count: 300", "message_count: [1, 2]"))
    with BagReader(sound) as reader:
        assert set(reader.topics) == {"/color/camera_info", "/color/image", "/depth/camera_info", "/depth/image"}
        assert len(list(reader.raw())) == 4 * len(FRAMES)


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        (("string distortion_model", "string distortion_mode1"), f"{CAMERA_INFO}.distortion_model"),
        (("float64[9] k", "float32[9] k"), f"{CAMERA_INFO}.k"),
        (("string frame_id", "string frame"), "std_msgs/msg/Header.frame_id"),
        (("float64[9] k", "float64[9] k\nuint8 more"), ""),
    ],
)
def test_a_type_that_a_recording_defines_otherwise_is_named(change: tuple[str, str], differing: str) -> None:
    text, _ = message_types().generate_msgdef(CAMERA_INFO, ros_version=2)
    assert change[0] in text
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(text.replace(*change), CAMERA_INFO))
    assert differing_field(store, CAMERA_INFO) == differing
