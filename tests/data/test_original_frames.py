"""The original frames of videos: their aspect ratio and their times."""

import numpy as np
import pytest
from small_videos import frame_numbers, write_frames, write_video

from tfvid.core.errors import VideoError
from tfvid.data.decode.clip import Sample
from tfvid.data.decode.worker import DecodePool
from tfvid.data.sources.original_frames import OriginalFrames


@pytest.fixture(scope="module")
def pool():
    with DecodePool(OriginalFrames(), 1) as pool:
        yield pool


@pytest.mark.parametrize(("most", "size"), [((360, 360), (32, 48)), ((24, 24), (16, 24)), ((8, 360), (8, 12))])
def test_frames_keep_their_aspect_ratio_and_are_not_enlarged(pool, tmp_path, most, size):
    file = write_video(tmp_path / "plain.mp4", 20)
    clip = pool.read(Sample("a", -1, str(file)), 4, most)
    assert clip.frames.shape == (4, *size, 3)
    assert frame_numbers(clip.frames) == [0, 6, 13, 19]
    np.testing.assert_allclose(clip.seconds, np.array([0, 6, 13, 19]) / 25, atol=1e-6)


def test_a_part_of_a_file_has_the_times_of_the_file(pool, tmp_path):
    file = write_video(tmp_path / "plain.mp4", 20)
    clip = pool.read(Sample("a", -1, str(file), start=5, stop=9), 3, (360, 360))
    assert frame_numbers(clip.frames) == [5, 7, 8]
    np.testing.assert_allclose(clip.seconds, np.array([5, 7, 8]) / 25, atol=1e-6)


def test_a_folder_of_frames_has_no_times(pool, tmp_path):
    folder = write_frames(tmp_path / "frames", range(1, 6))
    clip = pool.read(Sample("a", -1, str(folder)), 3, (360, 24))
    assert clip.frames.shape == (3, 16, 24, 3) and clip.seconds == ()
    assert frame_numbers(clip.frames) == [1, 3, 5]


def test_what_is_no_video_is_refused(pool, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    with pytest.raises(VideoError, match="no video stream"):
        pool.read(Sample("a", -1, str(tmp_path / "bad.mp4")), 3, (24, 24))
