"""Video files from strangers: odd kinds, wrong names, bombs, damage. Each has a defined result, and none hurts."""

import importlib
import os
import re
import resource
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from fixtures.make import HEIGHT, WIDTH, scene
from small_videos import frame_numbers, patch, write_video

import tfvid
from tfvid.core.errors import TfvidError, VideoError
from tfvid.data import SkipLog, load_dataset, make_dataset
from tfvid.data.decode import confined
from tfvid.data.decode.clip import Sample
from tfvid.data.decode.resize import area_weights, resize_into
from tfvid.data.decode.worker import DecodePool
from tfvid.data.sources.video_files import VideoFiles

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
SIZE = (HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def pool():
    with DecodePool(VideoFiles([]), 1) as pool:
        yield pool


def read(pool, path, num_frames=4, size=SIZE):
    return pool.read(Sample("", -1, str(path)), num_frames, size)


def reason(pool, path) -> str:
    """The reason in the VideoError for `path`; checks that the message is one line that names it."""
    with pytest.raises(VideoError) as caught:
        read(pool, path)
    assert str(caught.value) == f"{path}: {caught.value.reason}" and "\n" not in str(caught.value)
    return caught.value.reason


def assert_scene(frames: np.ndarray, numbers, grey=False):
    """That these are those frames of the scene, as lossy codecs leave them, away from its edges."""
    for frame, number in zip(frames, numbers, strict=True):
        expected = scene(number)
        if grey:
            expected = np.repeat(cv2.cvtColor(expected, cv2.COLOR_RGB2GRAY)[..., None], 3, -1)
        edges = np.zeros(SIZE, bool)
        edges[8:16] = edges[:, max(0, 4 * number - 4) : 4 * number + 12] = True
        assert np.abs(frame.astype(int) - expected)[~edges].max() <= 24


# --- Kinds of video.


@pytest.mark.parametrize(
    ("name", "decoded"),
    [
        ("plain.mp4", 8),
        ("odd_size.mp4", 8),  # 47 x 63 pixels
        ("ten_bit.mp4", 8),
        ("ten_bit_hevc.mp4", 8),
        ("ten_bit_alpha.mov", 2),  # alpha is left out, colours are as they are stored
        ("alpha.mov", 4),
        ("alpha.webm", 8),
        ("interlaced.mp4", 8),
        ("interlaced.mpg", 8),
        ("variable_rate.mp4", 8),  # frames are counted, whatever their times
        ("variable_rate.mkv", 8),  # no count in its header; fewer frames than its length times its rate
        ("ten_hours.mp4", 11),
        ("ten_hours.mkv", 11),
    ],
)
def test_odd_kinds_give_their_frames(pool, name, decoded):
    clip = read(pool, FIXTURES / name, decoded)
    assert (clip.decoded, clip.damage) == (decoded, "")
    assert_scene(clip.frames, range(decoded))


@pytest.mark.parametrize(("name", "decoded"), [("grey.mp4", 8), ("grey_16_bit.mkv", 4)])
def test_grey_becomes_three_equal_channels(pool, name, decoded):
    clip = read(pool, FIXTURES / name, decoded)
    assert clip.decoded == decoded and (np.ptp(clip.frames.astype(int), -1) <= 1).all()
    assert_scene(clip.frames, range(decoded), grey=True)


@pytest.mark.parametrize(("name", "size"), [("pixel", (1, 1)), ("row", (1, 33)), ("column", (17, 1))])
def test_smallest_frames(pool, name, size):
    frames = read(pool, FIXTURES / f"one_{name}.mov", 2, size).frames
    assert frames.shape == (2, *size, 3) and (np.abs(frames[:, :4].astype(int) - 240) <= 2).all()  # the white band
    larger = read(pool, FIXTURES / f"one_{name}.mov", 2, (20, 40)).frames
    assert larger.shape == (2, 20, 40, 3) and (np.abs(larger[:, :4].astype(int) - 240) <= 2).all()


ONE = 1 << 16
TURNS = {
    "90": ((0, ONE, 0, -ONE, 0, 0, 48 * ONE, 0, 1 << 30), lambda frame: np.rot90(frame, -1)),
    "180": ((-ONE, 0, 0, 0, -ONE, 0, 64 * ONE, 48 * ONE, 1 << 30), lambda frame: np.rot90(frame, 2)),
    "270": ((0, -ONE, 0, ONE, 0, 0, 0, 64 * ONE, 1 << 30), np.rot90),
    "mirrored": ((-ONE, 0, 0, 0, ONE, 0, 64 * ONE, 0, 1 << 30), lambda frame: frame[:, ::-1]),
    "upside down": ((ONE, 0, 0, 0, -ONE, 0, 0, 48 * ONE, 1 << 30), lambda frame: frame[::-1]),
    "transposed": ((0, ONE, 0, ONE, 0, 0, 0, 0, 1 << 30), lambda frame: frame.swapaxes(0, 1)),
    "transposed and turned": (
        (0, -ONE, 0, -ONE, 0, 0, 48 * ONE, 64 * ONE, 1 << 30),
        lambda frame: frame[::-1, ::-1].swapaxes(0, 1),
    ),
    "45": ((46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30), lambda frame: frame),  # not followed
    "nonsense": ((0, 0, 0, 0, 0, 0, 0, 0, 0), lambda frame: frame),
}


@pytest.mark.parametrize("turn", TURNS)
def test_display_matrices(pool, tmp_path, turn):
    matrix, turned = TURNS[turn]
    path = Path(shutil.copy(FIXTURES / "plain.mp4", tmp_path))
    upright = read(pool, path, 2).frames
    patch(path, b"tkhd", 40, ">9i", *matrix)
    expected = np.stack([turned(frame) for frame in upright])
    np.testing.assert_array_equal(read(pool, path, 2, expected.shape[1:3]).frames, expected)


# --- Names and contents that do not go together.


@pytest.mark.parametrize("name", ["a.avi", "a.txt", "a.png", "a", "concat:a|b.mp4", "\n'ü.mp4"])
def test_names_do_not_matter(pool, tmp_path, name):
    path = tmp_path / name
    path.write_bytes((FIXTURES / "plain.mp4").read_bytes())
    assert_scene(read(pool, path, 8).frames, range(8))


def test_what_ffmpeg_would_open_and_is_no_video(pool, tmp_path):
    picture = np.zeros((*SIZE, 3), np.uint8)
    for suffix in ("bmp", "tiff", "webp", "jp2", "ppm"):
        cv2.imwrite(str(tmp_path / f"still.{suffix}"), picture)
    for i in range(2):
        cv2.imwrite(str(tmp_path / f"a{i}.png"), picture)
        (tmp_path / f"a{i}.png").rename(tmp_path / f"a{i}.PNG")
    (tmp_path / "a%d.PNG").write_text("a name that stands for those two\n")
    (tmp_path / "note.txt").write_text("hello\n" * 100)  # drawn, letter by letter
    (tmp_path / "session.sdp").write_text(
        "v=0\r\nc=IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    )
    (tmp_path / "list.mpd").write_text('<?xml version="1.0"?>\n<MPD><BaseURL>plain.mp4</BaseURL></MPD>\n')
    (tmp_path / "list.ffconcat").write_text("# a comment\nffconcat version 1.0\nfile plain.mp4\n")
    shutil.copy(FIXTURES / "plain.mp4", tmp_path)
    for path in sorted(tmp_path.iterdir()):
        if path.name != "plain.mp4":
            assert re.match("no video stream that can be opened|a still image", reason(pool, path)), path.name


def test_a_gif_is_a_video(pool, tmp_path):
    pictures = [np.full((*SIZE, 3), level, np.uint8) for level in (0, 90, 200)]
    from PIL import Image

    frames = [Image.fromarray(picture) for picture in pictures]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(read(pool, tmp_path / "a.gif", 3).frames, pictures, atol=1)


# --- Bombs.


def test_a_hundred_thousand_frames(pool, tmp_path):
    path = tmp_path / "long.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"XVID"), 25.0, (16, 16))
    frame = np.full((16, 16, 3), 90, np.uint8)
    for _ in range(100_000):
        writer.write(frame)
    writer.release()
    clip = read(pool, path)
    assert clip.decoded == 100_000 and not clip.damage and frame_numbers(clip.frames) == [9] * 4


@pytest.fixture
def large_frames(tmp_path):
    """Ten frames of 8192 x 8192 pixels in 755 bytes, which take 400 MB and a second; the header says 32 x 48."""
    path = write_video(tmp_path / "bomb.webm", 10)
    patch(path, b"\x9d\x01\x2a", 0, "<2H", 8192, 8192)
    return path


def test_memory_for_one_clip_is_limited(large_frames, monkeypatch):
    monkeypatch.setattr(confined, "MEMORY", 64 << 20)
    with DecodePool(VideoFiles([]), 1) as pool:
        good = read(pool, FIXTURES / "plain.mp4")
        assert reason(pool, large_frames) == "not read within 0.0625 GiB of memory; its decode process was ended"
        np.testing.assert_array_equal(read(pool, FIXTURES / "plain.mp4").frames, good.frames)


def test_time_for_one_clip_is_limited(large_frames):
    with DecodePool(VideoFiles([]), 1, time_limit=0.1) as pool:
        assert reason(pool, large_frames) == "not decoded within 0.1 s"
        assert read(pool, FIXTURES / "plain.mp4").decoded == 8


@pytest.mark.parametrize("side", [16_000, 16_383])
def test_frames_of_16k(pool, tmp_path, side):
    """Said in the container, or in the first frame of a stream whose container says less: no frame is made."""
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (48, 32))
    for _ in range(3):
        writer.write(np.zeros((32, 48, 3), np.uint8))
    writer.release()
    picture = bytearray(path.read_bytes())
    patch(path, b"\xff\xc0\x00\x11\x08", 0, ">2H", side, side)
    assert re.match("no frame can be decoded|frames of .* pixels; at most|no video stream", reason(pool, path))
    path.write_bytes(picture)
    patch(path, b"strf", 8, "<2i", side, side)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"movi") + 4])
    assert re.match(f"frames of {side} x {side} pixels; at most|no frame can be decoded", reason(pool, path))


def test_long_rows_are_left_to_opencv():
    """Their weights would fill the decode process's memory."""
    frame = np.arange(3 * 20_000, dtype=np.uint8).reshape(1, 20_000, 3)
    kept = area_weights.cache_info().currsize
    out = np.empty((1, 33, 3), np.uint8)
    resize_into(out, frame)
    np.testing.assert_array_equal(out, cv2.resize(frame, (33, 1), interpolation=cv2.INTER_AREA))
    assert area_weights.cache_info().currsize == kept


# --- What a decode process may do.

GREEDY = """
import os, resource
import numpy as np
from tfvid.data.base import Clip, Sample, VideoDataset

class Greedy(VideoDataset):
    class_names = ("a",)

    def samples(self, split):
        return [Sample(name, 0) for name in ("large", "limits")]

    def read(self, sample, num_frames, size):
        if sample.id == "large":
            np.empty(5 << 30, np.uint8)
        if sample.id == "limits":
            core, options = resource.getrlimit(resource.RLIMIT_CORE), os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"]
            raise ValueError(f"{core} {options}")
        return Clip(np.zeros((num_frames, *size, 3), np.uint8))
"""


@pytest.fixture
def greedy(tmp_path):
    (tmp_path / "my_data.py").write_text(GREEDY)
    return make_dataset(f"{tmp_path / 'my_data.py'}:Greedy")


def test_limits_of_a_decode_process(greedy, monkeypatch):
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "threads;1")
    with DecodePool(greedy, 1) as pool:
        large, limits = greedy.samples("train")
        with pytest.raises(VideoError, match="^large: .*MemoryError: Unable to allocate 5.00 GiB"):
            pool.read(large, 2, (8, 12))
        with pytest.raises(VideoError, match=r"\(0, 0\) threads;1\|format_whitelist;mov,.*\|protocol_whitelist;file$"):
            pool.read(limits, 2, (8, 12))
    assert "format_whitelist" not in os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"]  # this process is as it was
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY


def test_damage_is_decoded_as_well_as_can_be_without_a_word_on_stderr(tmp_path, capfd):
    data = bytearray((FIXTURES / "seed_h264.mp4").read_bytes())
    for place in range(3000, 7000, 500):
        data[place] ^= 0xFF
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    with DecodePool(VideoFiles([]), 1) as pool:
        clip = read(pool, path, 24)
    assert clip.decoded > 12
    assert re.fullmatch(r"has \d+ damaged (packets?|frames?)(, has \d+ damaged frames?)?", clip.damage)
    assert capfd.readouterr() == ("", "")


# --- The ways in.


def test_read_clip_is_protected(tmp_path, monkeypatch):
    shutil.copy(FIXTURES / "plain.mp4", tmp_path / "a.mp4")
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    expected = tfvid.read_clip("a.mp4", 4, SIZE)
    assert expected.dtype == np.float32 and expected.shape == (4, *SIZE, 3)
    assert_scene((expected * 255).round(), [0, 2, 5, 7])
    monkeypatch.chdir(tmp_path / "elsewhere")  # the decode process stays where it was
    for path in ("../a.mp4", b"../a.mp4", tmp_path / "a.mp4"):
        np.testing.assert_array_equal(tfvid.read_clip(path, np.int64(4), np.array(SIZE)), expected)
    with pytest.raises(VideoError, match=r"^\.\./noise\.mp4: no video stream"):
        tfvid.read_clip("../noise.mp4", 4, SIZE)
    with pytest.raises(TfvidError, match="num_frames must be a whole number, 1 or more, got 0"):
        tfvid.read_clip("../a.mp4", 0, SIZE)
    with ThreadPoolExecutor(4) as threads:
        for clip in threads.map(lambda _: tfvid.read_clip("../a.mp4", 4, SIZE), range(8)):
            np.testing.assert_array_equal(clip, expected)


def test_read_clip_warns_once_of_a_damaged_file(tmp_path):
    for name in ("a.avi", "b.avi"):
        write_video(tmp_path / name, 20)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: (whole.index(b"movi") + whole.index(b"idx1")) // 2])
    for name, times in (("a.avi", 2), ("b.avi", 1)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(times):
                assert tfvid.read_clip(tmp_path / name, 4, SIZE).shape == (4, *SIZE, 3)
        (warning,) = caught
        assert str(warning.message).startswith(f"{tmp_path / name} is damaged: ") and "\n" not in str(warning.message)
        assert warning.filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tfvid.read_clip(FIXTURES / "plain.mp4", 4, SIZE)


def test_read_clip_after_a_fork():
    code = f"""
import os, numpy as np
from tfvid.data.sources.video_files import read_clip
path = {str(FIXTURES / "plain.mp4")!r}
first = read_clip(path, 4, (8, 12))
if (child := os.fork()) == 0:
    os._exit(0 if np.array_equal(read_clip(path, 4, (8, 12)), first) else 1)
assert np.array_equal(read_clip(path, 4, (8, 12)), first)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=os.environ | {"PYTHONPATH": str(ROOT)})


def test_a_dataset_of_bad_files_lists_them(tmp_path):
    for name in ("interlaced.mp4", "plain.mp4", "ten_bit.mp4"):
        (tmp_path / "train" / "a").mkdir(parents=True, exist_ok=True)
        shutil.copy(FIXTURES / name, tmp_path / "train" / "a")
    (tmp_path / "train" / "a" / "text.mp4").write_text("hello\n" * 100)
    skipped = SkipLog()
    clips = load_dataset(
        "folder", "train", root=tmp_path, num_frames=4, size=(8, 12), batch_size=1, max_bad_share=1.0, skipped=skipped
    )
    good = {batch["id"].numpy()[0].decode() for batch in clips}
    assert {"train/a/plain.mp4", "train/a/ten_bit.mp4"} <= good
    assert skipped.reasons["train/a/text.mp4"].startswith("no video stream")


# --- Damage, in short; the long form is benchmarks/fuzz_video.py.


def test_damaged_files_in_short(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    fuzz = importlib.import_module("fuzz_video")
    seeds = fuzz.find_seeds(tmp_path)
    assert all(seeds.values())
    tallies = fuzz.campaign(seeds, range(240), 0, tmp_path)
    fuzz.print_table(tallies)
    printed = capsys.readouterr().out
    assert all(tally.good for tally in tallies.values()), printed
    for kind, tally in tallies.items():
        assert tally.outcomes.total() == 60 and kind in printed
        assert tally.outcomes["refused"] and tally.outcomes["clip"] + tally.outcomes["damaged clip"], printed
    again = fuzz.campaign(seeds, [7], 0, tmp_path)  # one of them again: the same file
    assert again["others"].outcomes.total() == 1 and not again["H.264 mp4"].outcomes
    assert (tmp_path / "7.mkv").stat().st_size
