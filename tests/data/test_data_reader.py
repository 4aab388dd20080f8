"""Which stream of a file is read, how its frames become pictures, and which files are called damaged."""

import importlib
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from fixtures.make import HEIGHT, WIDTH, scene

from tfvid.core.errors import VideoError
from tfvid.data.decode.cut_off import lacks_end_mark, missing_bytes
from tfvid.data.decode.picture import display_matrix, progressive, upright
from tfvid.data.decode.reader import VideoReader
from tfvid.data.decode.video import decode_clip

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
SIZE = (HEIGHT, WIDTH)
HARD = {  # file: its frames, counted by ffmpeg 5.1
    "av1.mp4": 24,
    "cover_first.mkv": 24,
    "hlg.mp4": 24,
    "m.m2ts": 24,
    "m_hflip.mp4": 24,
    "m_transpose.mp4": 24,
    "m_vflip.mp4": 24,
    "opengop.ts": 80,
    "opengop_midcut.ts": 56,
    "p3_srgb.mp4": 24,
    "pixfmt_change_first.avi": 25,
    "plain.mp4": 24,
    "trim_editlist.mp4": 17,
    "truncated.mp4": 5,
    "two_streams_second_default.mp4": 24,
}


def reason(path) -> str:
    with pytest.raises(VideoError) as caught:
        decode_clip(path, 2, SIZE)
    return caught.value.reason


def write_frames(path, codec: str, pixels: str, frames, **colours):
    """Writes planar YUV frames, each uint8 `(H * 3 / 2, W)`; `colours` are attributes of the encoder."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, Fraction(25))
        stream.height, stream.width, stream.pix_fmt = frames[0].shape[0] * 2 // 3, frames[0].shape[1], pixels
        for name, value in colours.items():
            setattr(stream.codec_context, name, value)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=pixels)))
        container.mux(stream.encode())
    return path


# --- Against the command ffmpeg.


@pytest.mark.skipif(not shutil.which("ffmpeg") or not shutil.which("ffprobe"), reason="ffmpeg is not installed")
def test_frames_are_those_of_ffmpeg(shared_data, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    sys.modules.pop("zoo", None)  # tests/zoo may be there as a package without a file
    zoo = importlib.import_module("zoo")
    zoo.main([str(shared_data / "hard_files"), "--frames", "4"])  # raises where a file differs
    assert "16 files: 15 equal, 1 refused" in capsys.readouterr().out


@pytest.mark.parametrize("name", HARD)
def test_hard_files(shared_data, name):
    clip = decode_clip(shared_data / "hard_files" / name, 4, (96, 128))
    assert clip.decoded == HARD[name]
    assert bool(clip.damage) == (name == "truncated.mp4")


def test_a_truncated_file_says_so(shared_data):
    damage = decode_clip(shared_data / "hard_files" / "truncated.mp4", 4, (96, 128)).damage
    assert damage.startswith("gives 5 of the 80 frames that its header names, is cut off 60339 bytes before its end")


# --- Which stream.


def test_sound_with_a_cover_is_no_video(shared_data):
    assert reason(shared_data / "hard_files" / "audio_cover.mp4") == "audio only, with a cover picture, not a video"


def _two_streams(path, dispositions, sizes):
    """A Matroska file of two video streams of five frames: the first is black, the second white."""
    with av.open(str(path), "w") as container:
        streams = []
        for disposition, (height, width) in zip(dispositions, sizes, strict=True):
            stream = container.add_stream("mjpeg", Fraction(25))
            stream.height, stream.width, stream.pix_fmt, stream.disposition = height, width, "yuvj420p", disposition
            streams.append(stream)
        for _ in range(5):
            for stream, level in zip(streams, (0, 255), strict=True):
                picture = np.full((stream.height, stream.width, 3), level, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture).reformat(format="yuvj420p")))
        for stream in streams:
            container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("dispositions", "sizes", "level"),
    [
        ((Disposition(0), Disposition.default), ((64, 64), (32, 32)), 255),  # the one marked as default
        ((Disposition.default, Disposition(0)), ((32, 32), (64, 64)), 0),
        ((Disposition(0), Disposition(0)), ((32, 32), (64, 64)), 255),  # otherwise the larger one
        ((Disposition(0), Disposition(0)), ((32, 32), (32, 32)), 0),  # otherwise the first
    ],
)
def test_which_of_two_streams(tmp_path, dispositions, sizes, level):
    clip = decode_clip(_two_streams(tmp_path / "two.mkv", dispositions, sizes), 2, SIZE)
    assert clip.decoded == 5 and abs(clip.frames.astype(int) - level).max() <= 2


def test_encrypted_files_are_refused():
    assert reason(FIXTURES / "encrypted.mp4") == "is encrypted; it cannot be decoded without its key"


@pytest.mark.parametrize(
    ("brand", "kind"), [(b"heic", "a still image"), (b"avif", "a still image"), (b"M4A ", "audio only")]
)
def test_relatives_of_mp4_that_are_no_video(tmp_path, brand, kind):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\x18ftyp" + brand + bytes(100))
    assert reason(path) == f"{kind}, not a video"


# --- From a frame to a picture.


def _matrix(red: float, blue: float) -> np.ndarray:
    """RGB of (Y, Cb, Cr), each from -1 to 1: from the weights of red and blue in Y (ITU-R BT.601, BT.709, BT.2020)."""
    green = 1 - red - blue
    cb, cr = 2 * (1 - blue), 2 * (1 - red)
    return np.array([[1, 0, cr], [1, -cb * blue / green, -cr * red / green], [1, cb, 0]])


@pytest.mark.parametrize(
    ("tags", "weights", "full"),
    [
        ({}, (0.299, 0.114), False),  # untagged: BT.601
        ({"colorspace": 5, "color_range": 2}, (0.299, 0.114), True),
        ({"colorspace": 1, "color_primaries": 1, "color_trc": 1}, (0.2126, 0.0722), False),
        ({"colorspace": 1, "color_primaries": 12, "color_trc": 13}, (0.2126, 0.0722), False),  # Display P3
        ({"colorspace": 9, "color_primaries": 9, "color_trc": 18}, (0.2627, 0.0593), False),  # HLG
        ({"colorspace": 9, "color_primaries": 9, "color_trc": 16}, (0.2627, 0.0593), False),  # PQ
    ],
)
def test_the_tags_for_matrix_and_range_are_followed_and_no_others(tmp_path, tags, weights, full):
    yuv = np.array([120, 90, 160])
    frame = np.full((48, 32), yuv[0], np.uint8)
    frame[32:40], frame[40:] = yuv[1], yuv[2]
    path = write_frames(tmp_path / "a.mkv", "ffv1", "yuv420p", [frame] * 2, **tags)
    scale, least = (255.0, 0) if full else (219.0, 16)
    values = np.array([yuv[0] - least, *(yuv[1:] - 128) * (1 if full else 219 / 224)]) / scale
    expected = 255 * _matrix(*weights) @ values
    np.testing.assert_allclose(decode_clip(path, 1, (32, 32)).frames[0, 16, 16], expected, atol=2.5)


def test_av1():
    clip = decode_clip(FIXTURES / "av1.mp4", 8, SIZE)
    assert clip.decoded == 8 and not clip.damage
    for number, frame in enumerate(clip.frames):
        away = np.abs(frame.astype(int) - scene(number)).mean()
        assert away < 12  # its edges are blurred
        assert away < np.abs(frame.astype(int) - scene((number + 4) % 8)).mean()


def _comb(frames: np.ndarray) -> float:
    """How much each row differs from the mean of its neighbours, on the mean over float `(T, H, W, 3)`."""
    return np.abs(frames[:, 1:-1] - (frames[:, :-2] + frames[:, 2:]) / 2).mean()


def test_interlaced_frames_are_deinterlaced():
    with av.open(str(FIXTURES / "seed_interlaced.mp4")) as container:
        woven = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(float)
    clip = decode_clip(FIXTURES / "seed_interlaced.mp4", 24, SIZE)
    assert clip.decoded == len(woven) == 24  # one frame for each frame
    assert _comb(clip.frames.astype(float)) < 0.5 * _comb(woven)
    for number in range(2, 22):  # the right one: it is nearer to what it is made of than to its neighbours
        away = np.abs(woven[number - 2 : number + 3, ::2] - clip.frames[number, ::2]).mean((1, 2, 3))
        assert away.argmin() == 2


def test_other_frames_are_not_deinterlaced():
    with av.open(str(FIXTURES / "seed_h264.mp4")) as container:
        frames = list(container.decode(video=0))
        assert list(progressive(frames)) == frames


MATRICES = [((a, 0), (0, d)) for a in (1, -1) for d in (1, -1)] + [((0, b), (c, 0)) for b in (1, -1) for c in (1, -1)]


@pytest.mark.parametrize("matrix", MATRICES)
def test_display_matrices(matrix):
    """Where each pixel goes, one by one."""
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    matrix = np.array(matrix) << 16
    places = {(x, y): np.array([x - 1.5, y - 0.5]) @ np.sign(matrix) for x in range(4) for y in range(2)}
    turned = upright(picture, matrix)
    height, width = turned.shape[:2]
    for (x, y), (to_x, to_y) in places.items():
        np.testing.assert_array_equal(turned[int(to_y + height / 2), int(to_x + width / 2)], picture[y, x])


@pytest.mark.parametrize("matrix", [((46341, 46341), (-46341, 46341)), ((0, 0), (0, 0)), ((65536, 0), (0, 0))])
def test_other_matrices_are_not_followed(matrix):
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert upright(picture, np.array(matrix)) is picture


@pytest.mark.parametrize(("rotation", "quarters"), [(0, 0), (-90, -1), (180, 2), (-180, 2), (90, 1)])
def test_rotation_of_a_frame_with_side_data_of_an_unknown_kind(rotation, quarters):
    class Frame:
        @property
        def side_data(self):
            raise ValueError("99 is not a valid Type")  # as PyAV does

    Frame.rotation = rotation  # counter-clockwise, as PyAV gives it
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.testing.assert_array_equal(upright(picture, display_matrix(Frame())), np.rot90(picture, quarters))


# --- Damage.


def _mp4_with_its_index_first(path):
    options = {"movflags": "faststart"}
    with av.open(str(FIXTURES / "seed_h264.mp4")) as source, av.open(str(path), "w", options=options) as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    return path


def test_a_cut_off_mp4(tmp_path):
    path = _mp4_with_its_index_first(tmp_path / "a.mp4")
    assert decode_clip(path, 4, SIZE).damage == "" and missing_bytes(path) == 0
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size * 2 // 3])
    clip = decode_clip(path, 4, SIZE)
    assert 4 < clip.decoded < 20
    words = (
        f"gives {clip.decoded} of the 24 frames that its header names, is cut off {size - size * 2 // 3} bytes before"
    )
    assert clip.damage.startswith(words)
    assert decode_clip(path, 4, SIZE, 0, 4).damage == ""  # what is read is whole
    path.write_bytes((FIXTURES / "seed_h264.mp4").read_bytes()[:5000])  # its index comes last
    assert reason(path).startswith("no video can be opened: the file is cut off, ")


@pytest.mark.parametrize("name", ["seed_vp9.webm", "grey_16_bit.mkv", "seed_mpeg4.avi", "seed_h264.mp4"])
@pytest.mark.parametrize("less", [0, 1, 200])
def test_missing_bytes(tmp_path, name, less):
    data = (FIXTURES / name).read_bytes()
    end = data.index(b"idx1") if name.endswith(".avi") else len(data)  # an AVI's frames end before its index
    path = tmp_path / name
    path.write_bytes(data[: end - less])
    assert missing_bytes(path) == less


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"RIFF", b"RIFF\0\0\0\0AVI ", b"RIFF\xff\xff\xff\xffWAVE", b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\0"),
        b"\x1a\x45\xdf\xa3\x81a\x18\x53\x80\x67\xff" + bytes(9),  # a live recording: the size is left open
        b"\x1a\x45\xdf\xa3\x81a\x18\x53\x80\x67\x01" + b"\xff" * 7 + bytes(9),  # so is this one, in eight bytes
        b"\x1a\x45\xdf\xa3\x01" + b"\xff" * 6 + b"\xfe" + bytes(9),  # a header of 2^56 - 2 bytes
        b"\0\0\0\x08ftyp\0\0\0\0mdat" + bytes(50),  # a box that goes on to the end
        b"\0\0\0\x08ftyp\xff\xff\xff\xffjunk" + bytes(50),
        b"G" + bytes(500),
        *(b"OggS", b"OggX" + bytes(50), b"YUV4MPEG2 ", b"YUV4MPEG2 W4 H4\n", b"YUV4MPEG2 W0 H0\nFRAME\n1"),
        b"YUV4MPEG2 W4 H4 C999\nFRAME\n1",  # a pixel format that is not known
    ],
)
def test_no_file_is_called_cut_off_without_reason(tmp_path, data):
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    assert missing_bytes(path) == 0


def _written(path, codec: str, pixels: str, size=(48, 64), rate=25):
    """A file of six frames in which the scene moves."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, Fraction(rate))
        stream.height, stream.width, stream.pix_fmt = *size, pixels
        for number in range(6):
            frame = av.VideoFrame.from_ndarray(scene(number))
            container.mux(stream.encode(frame.reformat(*size[::-1], format=pixels)))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "size", "rate"),
    [
        ("a.y4m", "wrapped_avframe", "yuv420p", (48, 64), 25),
        ("a.y4m", "wrapped_avframe", "yuv422p", (47, 63), 25),
        ("a.y4m", "wrapped_avframe", "gray", (48, 64), 25),
        ("a.dv", "dvvideo", "yuv420p", (576, 720), 25),
        ("a.dv", "dvvideo", "yuv411p", (480, 720), Fraction(30000, 1001)),
        ("a.ogv", "libvpx", "yuv420p", (48, 64), 25),
    ],
)
def test_cut_off_files_whose_end_their_parts_tell(tmp_path, name, codec, pixels, size, rate):
    path = _written(tmp_path / name, codec, pixels, size, rate)
    assert decode_clip(path, 2, SIZE).damage == "" and missing_bytes(path) == 0 and not lacks_end_mark(path)
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    assert missing_bytes(path) == 30
    assert "is cut off 30 bytes before its end" in decode_clip(path, 2, SIZE).damage


@pytest.mark.parametrize(("name", "codec", "pixels"), [("a.gif", "gif", "rgb8"), ("a.ogv", "libvpx", "yuv420p")])
def test_files_without_their_end_mark(tmp_path, name, codec, pixels):
    path = _written(tmp_path / name, codec, pixels)
    data = path.read_bytes()
    path.write_bytes(data + b"\n\0" if name == "a.gif" else data)  # some programs pad the end
    assert decode_clip(path, 2, SIZE).damage == "" and not lacks_end_mark(path)
    cut = data[:-1] if name == "a.gif" else data[: data.rindex(b"OggS")]  # the trailer; the last page
    path.write_bytes(cut)
    assert missing_bytes(path) == 0 and lacks_end_mark(path)
    assert decode_clip(path, 2, SIZE).damage == "has no end mark, so frames at its end may be missing"


def test_damaged_packets_and_frames_are_counted(tmp_path):
    data = bytearray((FIXTURES / "seed_mpeg4.avi").read_bytes())
    with av.open(str(FIXTURES / "seed_mpeg4.avi")) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    place, size = data.index(packets[5]), len(packets[5])
    data[place : place + size] = bytes(size)
    path = tmp_path / "a.avi"
    path.write_bytes(data)
    assert decode_clip(path, 4, SIZE).damage == "has 1 damaged packet"
    data[:] = (FIXTURES / "seed_mpeg4.avi").read_bytes()
    place, size = data.index(packets[0]), len(packets[0])
    data[place + size // 2 : place + size] = b"\xff" * (size - size // 2)
    path.write_bytes(data)
    assert decode_clip(path, 4, SIZE).damage.endswith("1 damaged frame")


# --- Going to a part.


@pytest.mark.parametrize(
    "name", ["seed_open_gop.mp4", "refreshed.mp4", "seed_h264.mp4", "seed_mpeg4.avi", "seed_vp9.webm"]
)
def test_seeking_gives_the_same_frames(name):
    """Also where frames that are shown before a keyframe are stored behind it, and cannot be decoded from there.

    In refreshed.mp4 only the first frame can be decoded alone; from a later keyframe on, the decoder leaves out frames.
    """
    expected = decode_clip(FIXTURES / name, 60, (24, 32)).frames
    count = decode_clip(FIXTURES / name, 1, (24, 32)).decoded
    expected = expected if count == 60 else decode_clip(FIXTURES / name, count, (24, 32)).frames
    for start in range(0, count, 7):
        clip = decode_clip(FIXTURES / name, 3, (24, 32), start, start + 3, seek=True)
        np.testing.assert_array_equal(clip.frames[: clip.decoded], expected[start : start + 3][: clip.decoded])


def test_seeking_does_not_decode_from_the_start():
    with VideoReader(FIXTURES / "seed_open_gop.mp4", 60) as video:
        assert video.seek(55) and 10 <= video.first <= 30
    with VideoReader(FIXTURES / "seed_open_gop.mp4", 60) as video:
        assert video.seek(20) and video.first == 0


def test_seeking_in_a_transport_stream(shared_data):
    path = shared_data / "hard_files" / "opengop.ts"
    expected = decode_clip(path, 80, (24, 32)).frames
    for start in (0, 25, 50):
        clip = decode_clip(path, 5, (24, 32), start, start + 5, seek=True)
        np.testing.assert_array_equal(clip.frames, expected[start : start + 5])
