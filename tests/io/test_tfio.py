"""tensorflow-io's video decoder: what it reads as OpenCV does, and what it costs where it crashes."""

import numpy as np
import pytest
from small_videos import frame_numbers, write_video

from tfvid.core.errors import VideoError
from tfvid.data.decode import tfio, video
from tfvid.data.decode.clip import Sample
from tfvid.data.decode.worker import DecodePool
from tfvid.data.pipeline import load_dataset
from tfvid.data.sources.folder import ClassFolders

SIZE = (8, 12)


def test_frames(decoder, tmp_path):
    path = write_video(tmp_path / "a.avi", 20)
    clip = tfio.decode_clip(path, 4, SIZE)
    assert clip.frames.shape == (4, *SIZE, 3) and clip.frames.dtype == np.uint8
    assert frame_numbers(clip.frames) == [0, 6, 13, 19] and clip.decoded == 20
    assert frame_numbers(tfio.decode_clip(path, 4, SIZE, start=5, stop=12).frames) == [5, 7, 9, 11]


@pytest.mark.parametrize(
    "name",
    [
        "ssv2_sample/20bn-something-something-v2/18593.webm",
        "kth_sample/boxing/person17_boxing_d2_uncomp.avi",
        "videos/arm_wrestling.mp4",
    ],
)
def test_real_clips_as_opencv_reads_them(decoder, shared_data, name):
    ours = video.decode_clip(shared_data / name, 8, (56, 56))
    theirs = tfio.decode_clip(shared_data / name, 8, (56, 56))
    assert theirs.decoded == ours.decoded
    # Another FFmpeg converts colours a little differently.
    assert np.abs(theirs.frames.astype(int) - ours.frames).mean() < 2


def test_what_is_no_video(decoder, tmp_path):
    (tmp_path / "text.mp4").write_text("hello\n" * 100)
    with pytest.raises(VideoError, match="text.mp4: no video stream that can be decoded") as caught:
        tfio.decode_clip(tmp_path / "text.mp4", 4, SIZE)
    assert "\n" not in str(caught.value)
    with pytest.raises(VideoError, match="no such file"):
        tfio.decode_clip(tmp_path / "none.mp4", 4, SIZE)
    with pytest.raises(VideoError, match="it has 3 frames, the clip starts at frame 3"):
        tfio.decode_clip(write_video(tmp_path / "a.avi", 3), 4, SIZE, start=3)


def test_in_the_pipeline(decoder, tmp_path):
    for i in range(4):
        write_video(tmp_path / "train" / "a" / f"{i}.avi", 6, first=i)
    options = {"root": tmp_path, "num_frames": 4, "size": (16, 24), "batch_size": 4, "workers": 1}
    theirs = next(iter(load_dataset("folder", "train", decoder="tfio", **options)))
    ours = next(iter(load_dataset("folder", "train", **options)))
    assert theirs["id"].numpy().tolist() == ours["id"].numpy().tolist()
    np.testing.assert_allclose(theirs["clip"], ours["clip"], atol=0.02)


def test_a_file_that_crashes_it_costs_one_clip(decoder, shared_data, tmp_path):
    """It writes beyond its buffer where the width is 426; what that does to the process differs."""
    good = Sample("good", 0, str(write_video(tmp_path / "a" / "a.avi", 6)))
    crash = Sample("crash", 0, str(shared_data / "videos" / "flipping_a_pancake.mkv"))
    with DecodePool(ClassFolders(tmp_path, validation_share=0), 1, decoder="tfio") as pool:
        for _ in range(3):
            try:
                pool.read(crash, 4, SIZE)
            except VideoError as error:
                assert error.reason.startswith("its decode process died: SIG")
        assert frame_numbers(pool.read(good, 4, SIZE).frames) == [0, 2, 3, 5]
