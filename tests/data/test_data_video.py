"""Decoding one file: the right frames, and one clear line for every kind of file that is none."""

import os
import wave

import cv2
import numpy as np
import pytest
from small_videos import frame_numbers, patch, set_avi_length, write_video

from tfvid.core.errors import TfvidError, VideoError
from tfvid.data.decode import reader, video
from tfvid.data.decode.video import decode_clip
from tfvid.data.sources.video_files import read_clip

SIZE = (8, 12)


def reason(path, **kwargs) -> str:
    """The reason in the VideoError for `path`; checks that the message is one line that names the file."""
    with pytest.raises(VideoError) as caught:
        decode_clip(path, 4, SIZE, **kwargs)
    message = str(caught.value)
    assert message == f"{path}: {caught.value.reason}"
    assert "\n" not in message
    return caught.value.reason


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".webm", ".mkv"])
def test_evenly_spread_frames(tmp_path, suffix):
    path = write_video(tmp_path / f"a{suffix}", 20)
    clip = decode_clip(path, 4, SIZE)
    assert clip.frames.shape == (4, *SIZE, 3) and clip.frames.dtype == np.uint8
    assert frame_numbers(clip.frames) == [0, 6, 13, 19]
    assert clip.decoded == 20 and not clip.damage
    assert clip.event.tolist() == [-1, -1] and clip.boxes.shape == (4, 0, 4)


def test_range(tmp_path):
    path = write_video(tmp_path / "a.avi", 20)
    clip = decode_clip(path, 4, SIZE, start=5, stop=12)
    assert frame_numbers(clip.frames) == [5, 7, 9, 11]
    assert clip.decoded == 7 and not clip.damage
    assert frame_numbers(decode_clip(path, 3, SIZE, start=15).frames) == [15, 17, 19]
    # A range that goes on behind the end is what there is of it.
    clip = decode_clip(path, 3, SIZE, start=15, stop=100)
    assert frame_numbers(clip.frames) == [15, 17, 19] and clip.decoded == 5


def test_short_clip_repeats_frames(tmp_path):
    path = write_video(tmp_path / "a.avi", 3)
    assert frame_numbers(decode_clip(path, 7, SIZE).frames) == [0, 0, 1, 1, 1, 2, 2]


@pytest.mark.parametrize("claimed", [40, 21, 20, 7, 0])
def test_header_count_is_not_trusted(tmp_path, claimed):
    """Nor is it damage where it is wrong: the file's index counts 20."""
    path = write_video(tmp_path / "a.avi", 20)
    set_avi_length(path, claimed)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    assert claimed in (0, capture.get(cv2.CAP_PROP_FRAME_COUNT))  # the patch took
    clip = decode_clip(path, 4, SIZE)
    assert frame_numbers(clip.frames) == [0, 6, 13, 19]
    assert clip.decoded == 20 and not clip.damage


def test_truncated_file_is_read_as_far_as_it_goes(tmp_path):
    path = write_video(tmp_path / "a.avi", 20)
    data = path.read_bytes()
    path.write_bytes(data[: (data.index(b"movi") + data.index(b"idx1")) // 2])
    clip = decode_clip(path, 4, SIZE)
    assert clip.damage.startswith(f"gives {clip.decoded} of the 20 frames that its header names, is cut off ")
    assert 2 < clip.decoded < 18
    assert frame_numbers(clip.frames)[-1] == clip.decoded - 1


def test_read_clip_is_rgb_in_unit_range(tmp_path):
    path = tmp_path / "red.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (32, 16))
    for _ in range(3):
        writer.write(np.full((16, 32, 3), (0, 0, 255), np.uint8))  # OpenCV writes BGR
    writer.release()
    clip = read_clip(path, 2, (16, 32))
    assert clip.dtype == np.float32
    np.testing.assert_allclose(clip, np.broadcast_to([1, 0, 0], clip.shape), atol=0.03)
    assert clip.max() <= 1 and clip.min() >= 0


def test_area_resize(tmp_path):
    path = tmp_path / "a.avi"
    board = np.indices((32, 32)).sum(0) % 2 * 255  # 1-pixel squares: their mean is grey, any one of them is not
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"FFV1"), 25, (32, 32))
    writer.write(np.repeat(board[..., None], 3, -1).astype(np.uint8))
    writer.release()
    frames = decode_clip(path, 1, (8, 8)).frames
    assert abs(frames.astype(int) - 127).max() <= 2


def test_rotation_mark_is_followed(tmp_path):
    path = tmp_path / "a.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 32))
    frame = np.zeros((32, 64, 3), np.uint8)
    frame[:16] = 255  # the upper half
    for _ in range(4):
        writer.write(frame)
    writer.release()
    one = 1 << 16
    matrix = (0, one, 0, -one, 0, 0, 32 * one, 0, 1 << 30)  # 90 degrees clockwise
    patch(path, b"tkhd", 40, ">9i", *matrix)
    turned = decode_clip(path, 1, (64, 32)).frames[0].mean(-1)
    assert turned[:, 20:].mean() > 240 and turned[:, :12].mean() < 15  # now it is the right half


def test_nothing_global_is_changed(tmp_path):
    threads = cv2.getNumThreads()
    decode_clip(write_video(tmp_path / "a.avi", 3), 2, SIZE)
    assert cv2.getNumThreads() == threads


def test_what_is_no_file(tmp_path):
    (tmp_path / "empty.mp4").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "away.mp4").symlink_to("nowhere.mp4")
    assert reason(tmp_path / "none.mp4") == "no such file"
    assert reason(tmp_path / "away.mp4") == "no such file"
    assert reason(tmp_path) == "is a directory, not a video file"
    assert reason(tmp_path / "pipe.mp4") == "is not a regular file"
    assert reason(tmp_path / "empty.mp4") == "the file is empty"


def test_what_is_no_video(tmp_path):
    (tmp_path / "text.mp4").write_text("hello\n" * 100)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setnchannels(1), sound.setsampwidth(2), sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    for name in ("text.mp4", "noise.mp4", "sound.wav"):
        assert reason(tmp_path / name).startswith("no video stream")
    # These FFmpeg would open: covers and stills as videos of one frame, playlists as what they name.
    (tmp_path / "cover.mp3").write_bytes(b"ID3\x04" + bytes(100))
    cv2.imwrite(str(tmp_path / "still.png"), np.zeros((8, 8, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "still.jpg"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile other.avi\n")
    assert reason(tmp_path / "cover.mp3") == "audio only, not a video"
    assert reason(tmp_path / "still.png") == "a still image, not a video"
    assert reason(tmp_path / "still.jpg") == "a still image, not a video"
    assert reason(tmp_path / "list.mp4") == "a playlist, not a video"


def test_zero_frames(tmp_path):
    path = write_video(tmp_path / "a.avi", 5)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"movi") + 4])
    assert reason(path) == "no frame can be decoded"


def test_start_behind_the_end(tmp_path):
    path = write_video(tmp_path / "a.avi", 5)
    assert reason(path, start=5) == "it has 5 frames, the clip starts at frame 5"
    assert reason(path, start=70, stop=90) == "it has 5 frames, the clip starts at frame 70"


def test_arguments(tmp_path):
    path = write_video(tmp_path / "a.avi", 5)
    assert reason(path, start=3, stop=3) == "no frames in the range from 3 to 3"
    assert reason(path, start=-1) == "no frames in the range from -1 to None"
    with pytest.raises(TfvidError, match="num_frames and size must be 1 or more"):
        decode_clip(path, 0, SIZE)


def test_huge_frames_are_refused_before_they_are_decoded(tmp_path):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"XVID"), 25, (48, 32))
    writer.write(np.zeros((32, 48, 3), np.uint8))
    writer.release()
    patch(path, b"strf", 4 + 4, "<2i", 16000, 16000)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"movi") + 4])  # no frame that would correct the header
    assert "frames of 16000 x 16000 pixels" in reason(path)


def test_cap_is_on_the_area(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.avi", 2, size=(32, 64))
    monkeypatch.setattr(reader, "MAX_PIXELS", 32 * 64)
    assert decode_clip(path, 2, SIZE).decoded == 2
    monkeypatch.setattr(reader, "MAX_PIXELS", 32 * 64 - 1)
    assert reason(path) == "frames of 32 x 64 pixels; at most 2047 are decoded"


def test_time_limit_between_frames(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.avi", 10)
    clock = iter(range(0, 10000, 20))  # 20 s pass at each look
    monkeypatch.setattr(video.time, "monotonic", lambda: next(clock))
    assert reason(path, time_limit=60) == "not decoded within 60 s"


@pytest.mark.parametrize(
    ("name", "decoded"),
    [
        ("ssv2_sample/20bn-something-something-v2/18593.webm", 16),
        ("kth_sample/boxing/person17_boxing_d2_uncomp.avi", 32),
        ("videos/arm_wrestling.mp4", 280),
        ("videos/flipping_a_pancake.mkv", 310),  # its header gives a duration that makes 311
    ],
)
def test_real_clips(shared_data, name, decoded):
    clip = decode_clip(shared_data / name, 16, (56, 56))
    assert clip.decoded == decoded and not clip.damage
    assert clip.frames.std() > 10
    # Frame by frame, the plain way.
    capture, frames = cv2.VideoCapture(str(shared_data / name), cv2.CAP_FFMPEG), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    for frame, index in zip(clip.frames, np.round(np.linspace(0, decoded - 1, 16)).astype(int), strict=True):
        expected = cv2.resize(frames[index], (56, 56), interpolation=cv2.INTER_AREA)[..., ::-1]
        np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize(
    "name",
    [
        "ssv2_sample/20bn-something-something-v2/18593.webm",
        "kth_sample/boxing/person17_boxing_d2_uncomp.avi",
        "videos/arm_wrestling.mp4",
    ],
)
def test_mutated_real_clips_decode_alike_or_say_why(shared_data, tmp_path, name):
    original = (shared_data / name).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / name.split("/")[-1]
    outcomes = []
    for trial in range(6):
        data = bytearray(original if trial % 2 else original[: rng.integers(len(original) // 10, len(original))])
        for place in rng.integers(0, len(data), 30):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        outcomes.append(_outcome(path))
        assert _outcome(path) == outcomes[-1]  # one thread: damage looks the same every time
    assert any(isinstance(outcome, bytes) for outcome in outcomes)


def _outcome(path):
    try:
        clip = decode_clip(path, 4, SIZE)
    except VideoError as error:
        assert "\n" not in str(error)
        return str(error)
    assert clip.frames.shape == (4, *SIZE, 3)
    return clip.frames.tobytes()


def test_an_empty_path_is_not_the_current_folder():
    with pytest.raises(VideoError, match="^'': expected the path of a video file or a folder of frames"):
        read_clip("", 2, (8, 8))
