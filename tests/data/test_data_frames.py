"""Folders of frames."""

import os
import warnings

import numpy as np
import pytest
from PIL import Image
from small_videos import STEP, frame_numbers, write_video

import tfvid
from tfvid.core.errors import VideoError
from tfvid.core.sampling import even_indices
from tfvid.data.decode.clip_files import frame_series, restarted
from tfvid.data.decode.frames import decode_frames
from tfvid.data.sources.video_files import VIDEOS, VideoFiles

SIZE = (8, 12)


def write(folder, names, first=0, size=SIZE):
    """Pictures of one grey each, which says the place of its name among `names`."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names, first):
        Image.fromarray(np.full((*size, 3), STEP * place, np.uint8)).save(folder / name)
    return folder


def reason(folder, **kwargs) -> str:
    """Why a folder is refused; checks that the message is one line that names it."""
    with pytest.raises(VideoError) as caught:
        decode_frames(folder, 4, SIZE, **kwargs)
    assert str(caught.value) == f"{folder}: {caught.value.reason}" and "\n" not in str(caught.value)
    return caught.value.reason


def only_pixel(folder, picture: Image.Image, name="0.png", **options) -> list[int]:
    """The first pixel of a clip of one frame."""
    folder.mkdir(exist_ok=True)
    for file in (name, name.replace("0.", "1.")):
        picture.save(folder / file, **options)
    return decode_frames(folder, 1, picture.size[::-1]).frames[0, 0, 0].tolist()


def test_frames_are_in_the_order_of_their_numbers(tmp_path):
    names = [f"frame_{i}.png" for i in range(1, 13)]  # by their letters, frame_10 is before frame_2
    clip = decode_frames(write(tmp_path / "clip", names), 12, SIZE)
    assert frame_numbers(clip.frames) == list(range(12))
    assert clip.frames.shape == (12, 8, 12, 3) and clip.frames.dtype == np.uint8
    assert clip.decoded == 12 and clip.damage == ""


def test_parts_and_sampling_are_those_of_videos(tmp_path):
    folder = write(tmp_path / "clip", [f"{i:05d}.png" for i in range(1, 21)])
    assert frame_numbers(decode_frames(folder, 4, SIZE).frames) == even_indices(20, 4).tolist() == [0, 6, 13, 19]
    clip = decode_frames(folder, 4, SIZE, start=5, stop=12)
    assert frame_numbers(clip.frames) == [5, 7, 9, 11] and clip.decoded == 7
    assert frame_numbers(decode_frames(folder, 3, SIZE, start=18, stop=99).frames) == [18, 18, 19]
    assert reason(folder, start=20) == "it has 20 frames, the clip starts at frame 20"
    assert reason(folder, start=3, stop=3) == "no frames in the range from 3 to 3"
    assert reason(folder, time_limit=0.0) == "not decoded within 0 s"


def test_pictures_are_resized_as_video_frames_are(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (17, 31, 3), dtype=np.uint8)
    (tmp_path / "clip").mkdir()
    for name in ("0.png", "1.png"):
        Image.fromarray(pixels).save(tmp_path / "clip" / name)
    import cv2

    expected = cv2.resize(pixels, (12, 8), interpolation=cv2.INTER_AREA)
    assert np.abs(decode_frames(tmp_path / "clip", 1, SIZE).frames[0].astype(int) - expected).max() <= 1


def test_real_frames(shared_data):
    folder = shared_data / "jester_sample" / "thumb_down"
    clip = decode_frames(folder, 37, (100, 176))
    assert clip.decoded == 37 and clip.damage == ""
    for place in (0, 36):
        with Image.open(folder / f"{place + 1:05d}.jpg") as picture:
            np.testing.assert_array_equal(clip.frames[place], np.asarray(picture))


# --- Damage.


def test_missing_numbers_are_said(tmp_path):
    folder = write(tmp_path / "clip", [f"{i}.png" for i in range(1, 21) if i not in (4, 9)])
    clip = decode_frames(folder, 18, SIZE)
    assert frame_numbers(clip.frames) == list(range(18)) and clip.decoded == 18
    assert clip.damage == "lacks 2 pictures between its first and its last (the first: number 4)"


@pytest.mark.parametrize(
    ("numbers", "damage"),
    [
        ((0, 5, 10, 15), ""),  # every fifth frame
        ((0, 5, 15, 20), "lacks 1 picture between its first and its last (the first: number 10)"),
        ((33, 67, 100, 133), ""),  # times in milliseconds
        ((7, 8, 10**40), ""),
    ],
)
def test_numbers_in_steps(tmp_path, numbers, damage):
    folder = write(tmp_path / "clip", [f"{i}.png" for i in numbers])
    assert decode_frames(folder, 2, SIZE).damage == damage


def test_a_frame_that_was_cut_off_is_left_out(tmp_path):
    for suffix in ("jpg", "png", "webp", "bmp", "tif"):
        folder = write(tmp_path / suffix, [f"{i}.{suffix}" for i in range(10)], size=(32, 32))
        last = folder / f"9.{suffix}"
        last.write_bytes(last.read_bytes()[:-50])
        clip = decode_frames(folder, 2, SIZE)
        assert frame_numbers(clip.frames) == [0, 8] and clip.decoded == 9
        assert clip.damage.startswith(f"has 1 picture that cannot be read (the first: 9.{suffix}: ")
        (folder / f"0.{suffix}").write_bytes(b"")
        clip = decode_frames(folder, 2, SIZE)
        assert frame_numbers(clip.frames) == [1, 8] and "has 2 pictures" in clip.damage


def test_a_link_to_nothing_is_a_frame_that_cannot_be_read(tmp_path):
    folder = write(tmp_path / "clip", ["1.png", "2.png", "3.png"])
    (folder / "4.png").symlink_to("elsewhere.png")
    clip = decode_frames(folder, 2, SIZE)
    assert clip.decoded == 3 and clip.damage.startswith("has 1 picture that cannot be read (the first: 4.png: ")


def test_no_frame_can_be_read(tmp_path):
    folder = write(tmp_path / "clip", ["1.png", "2.png", "3.png"])
    for file in folder.iterdir():
        file.write_bytes(b"no picture")
    assert reason(folder).startswith("none of its pictures can be read; the first: 1.png: cannot identify image file")


def test_frames_of_different_sizes_are_refused(tmp_path):
    folder = write(tmp_path / "clip", ["1.png", "2.png"])
    write(folder, ["3.png"], size=(16, 12))
    assert reason(folder) == (
        "pictures of different sizes: 1.png has 8 x 12 pixels, 3.png has 16 x 12; the frames of a clip have one size"
    )


def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path):
    folder = write(tmp_path / "clip", ["1.png", "2.png"])
    for side in (9000, 30000):  # the second is beyond Pillow's own limit
        for file in folder.iterdir():
            data = bytearray(file.read_bytes())
            data[16:24] = side.to_bytes(4) * 2
            import zlib

            data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4)
            file.write_bytes(data)
        assert "67108864" in reason(folder)


# --- Kinds of picture.


def test_exif_orientation(tmp_path):
    """Orientation 6: the picture is stored with its left side up, and shown turned clockwise."""
    stored = np.zeros((4, 6, 3), np.uint8)
    stored[0] = 200  # the first row becomes the last column
    (tmp_path / "clip").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("0.png", "1.png"):
        Image.fromarray(stored).save(tmp_path / "clip" / name, exif=exif)
    frame = decode_frames(tmp_path / "clip", 1, (6, 4)).frames[0]
    assert frame[:, -1].min() == 200 and frame[:, :-1].max() == 0


def test_depths_and_channels(tmp_path):
    deep = np.full((2, 2), 0x1234, np.uint16)
    assert only_pixel(tmp_path / "grey", Image.fromarray(np.full((2, 2), 77, np.uint8))) == [77] * 3
    assert only_pixel(tmp_path / "deep", Image.fromarray(deep)) == [0x12] * 3
    assert only_pixel(tmp_path / "bits", Image.fromarray(np.array([[True, False]]))) == [255] * 3
    assert only_pixel(tmp_path / "alpha", Image.new("RGBA", (2, 2), (10, 20, 30, 0))) == [10, 20, 30]
    assert only_pixel(tmp_path / "grey_alpha", Image.new("LA", (2, 2), (50, 0))) == [50] * 3
    palette = Image.new("RGB", (2, 2), (10, 20, 30)).quantize(2)
    assert only_pixel(tmp_path / "palette", palette) == [10, 20, 30]
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # red
    pixel = only_pixel(tmp_path / "cmyk", cmyk, "0.jpg", quality=100)
    assert pixel[0] > 250 and max(pixel[1:]) < 5
    refused = tmp_path / "float"
    refused.mkdir()
    for name in ("0.tif", "1.tif"):
        Image.fromarray(np.zeros((2, 2), np.float32)).save(refused / name)
    assert "floating-point values" in reason(refused)


# --- Which folders are refused.


def test_what_is_no_folder_of_frames(tmp_path):
    empty = write(tmp_path / "empty", [])
    assert reason(empty).startswith("a folder without frames: expected two or more numbered pictures (.bmp, ")
    assert reason(write(tmp_path / "one", ["1.png", "cover.png"])).startswith("a folder without frames")
    assert reason(tmp_path / "none") == "cannot be read (No such file or directory)"
    flow = write(tmp_path / "flow", [f"{kind}_{i}.png" for kind in ("flow_x", "flow_y", "img") for i in range(3)])
    assert reason(flow) == (
        "pictures of 3 series (3 like flow_x_0.png, 3 like flow_y_0.png, 3 like img_0.png); "
        "keep one in a folder of its own"
    )
    both = write(tmp_path / "both", ["1.png", "2.png"])
    (both / "a.mp4").touch()
    assert reason(both) == "a folder with videos (a.mp4) beside 2 pictures; name one of the videos"


def test_what_systems_leave_is_no_frame(tmp_path):
    folder = write(tmp_path / "clip", ["1.png", "2.png", "cover.png"])
    for name in ("._1.png", "._2.png", ".DS_Store", "Thumbs.db"):
        (folder / name).write_bytes(b"x")
    os.mkfifo(folder / "3.png")
    assert decode_frames(folder, 2, SIZE).decoded == 2


def test_series():
    assert frame_series(["b10.JPG", "b9.jpg", "a.jpg", "c1.png"]) == [["b9.jpg", "b10.JPG"]]
    assert frame_series(["1.jpg", "2.jpg", "1.png", "2.png", "3.png"])[0] == ["1.png", "2.png", "3.png"]
    assert frame_series(["2020-01-10_2.jpg", "2020-01-09_7.jpg", "2020-01-10_1.jpg"]) == [
        ["2020-01-09_7.jpg", "2020-01-10_1.jpg", "2020-01-10_2.jpg"]
    ]


# --- The ways to a clip.


def test_read_clip_reads_a_folder(tmp_path):
    folder = write(tmp_path / "clip", [f"{i}.png" for i in range(5)])
    clip = tfvid.read_clip(folder, 3, SIZE)
    assert clip.dtype == np.float32 and frame_numbers(clip * 255) == [0, 2, 4]
    assert frame_numbers(tfvid.read_clip(f"{folder}/", 2, SIZE, start=1, stop=3) * 255) == [1, 2]
    with pytest.raises(VideoError, match="empty: a folder without frames"):
        tfvid.read_clip(write(tmp_path / "empty", []), 2, SIZE)


def test_video_files_reads_folders(tmp_path):
    folder = write(tmp_path / "all" / "clip.v1", [f"{i}.png" for i in range(5)])
    video = write_video(tmp_path / "all" / "b.avi", 3)
    (tmp_path / "all" / "notes.txt").touch()

    def samples(*paths):
        return VideoFiles(list(map(str, paths))).samples(VIDEOS)

    [sample] = samples(folder)
    assert sample.path == str(folder) and sample.id.startswith("clip.v1-")
    with pytest.warns(RuntimeWarning, match=r"ignored files that are not videos \(1\): notes.txt"):
        assert [sample.path for sample in samples(tmp_path / "all")] == [str(video), str(folder)]
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folder / "5.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert samples(folder)[0].id != sample.id  # a run that goes on does not take the old clip's record for it


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["1_1.jpg", "1_2.jpg", "2_1.jpg", "2_2.jpg"], 2),  # two views
        (["cam1-007.png", "cam1-008.png", "cam2-007.png", "cam2-008.png", "cam2-009.png"], 2),
        (["v1_1.jpg", "v1_2.jpg", "v1_3.jpg"], 0),
        (["2020-01-09_7.jpg", "2020-01-10_1.jpg", "2020-01-10_2.jpg"], 0),
        (["1_1.jpg", "2_1.jpg", "3_1.jpg"], 0),  # the first number counts
        # Two views that start at different numbers.
        (["1_1.jpg", "1_2.jpg", "2_2.jpg", "2_3.jpg"], 2),
        (["1_5.jpg", "1_6.jpg", "1_7.jpg", "2_1.jpg", "2_2.jpg"], 2),
        (["1_10.jpg", "1_20.jpg", "1_30.jpg", "2_20.jpg", "2_30.jpg", "2_40.jpg"], 2),  # every tenth frame
        (["1_1.jpg", "1_8.jpg", "1_50.jpg", "1_99.jpg", "2_1.jpg", "2_8.jpg", "2_50.jpg", "2_99.jpg"], 2),
        # One view.
        (["shot1_1.jpg", "shot1_2.jpg", "shot2_3.jpg", "shot2_4.jpg"], 0),
        (["1305031102.175304.png", "1305031102.211214.png", "1305031103.011183.png", "1305031103.043227.png"], 0),
    ],
)
def test_series_whose_last_number_starts_again(names, parts):
    assert len(restarted(names)) == parts


@pytest.mark.parametrize("first", [1, 2])
def test_two_views_in_one_folder_are_refused(tmp_path, first):
    write(tmp_path, ["1_1.png", "1_2.png", f"2_{first}.png", f"2_{first + 1}.png"])
    said = reason(tmp_path)
    assert said.startswith(f"the last number in the names starts again (2 like 1_1.png, 2 like 2_{first}.png); keep")


@pytest.mark.parametrize(
    "name",
    [
        "frame_{:04d}.png",
        "img_1_{}.png",
        "{:05d}.png",  # Jester
        "frame_{:010d}.png",  # EPIC-KITCHENS
        "{:06d}.png",  # Something-something
        "v_Biking_g01_c02_{}.png",  # UCF101
        "{0}_of_12.png",
        "{0}_{0}.png",
    ],
)
def test_the_names_of_ordinary_folders(tmp_path, name):
    folder = write(tmp_path / "clip", [name.format(i) for i in range(1, 13)])
    clip = decode_frames(folder, 12, SIZE)
    assert frame_numbers(clip.frames) == list(range(12)) and clip.damage == ""
