"""The frames of videos at their own aspect ratio, with their times: for pictures, not for models."""

import dataclasses
import os

from tfvid.core.errors import VideoError
from tfvid.core.sampling import even_indices
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.decode.sample import decode_sample, frame_times

TIME_LIMIT = 60.0  # seconds


class OriginalFrames(VideoDataset):
    """Clips of video files and folders of frames, whose frames keep their aspect ratio and have times.

    It is made for `tfvid.data.decode.worker.DecodePool`, which runs `read` in a child process. It has no samples of its
    own: give `read` those of another data set.
    """

    class_names = ()
    splits = ()

    def samples(self, split: str) -> list[Sample]:
        return []

    def read(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> Clip:
        """Reads the clip of a sample.

        Args:
          sample: of video files or folders of frames.
          num_frames: T; the frames are those that a model gets.
          size: the largest (H, W) in pixels; frames that are smaller keep their size.

        Returns:
          A `Clip` with the `seconds` of its frames; without them for a folder, and for a file without time stamps.

        Raises:
          VideoError: the file cannot be decoded.
        """
        height, width = _frame_size(sample.path)
        scale = min(1.0, size[0] / height, size[1] / width)
        clip = decode_sample(sample, num_frames, (max(1, round(height * scale)), max(1, round(width * scale))))
        return dataclasses.replace(clip, seconds=_seconds(sample, num_frames, clip.decoded))


def _frame_size(path: str) -> tuple[int, int]:
    """The (H, W) of the frames of a file or folder, upright."""
    if os.path.isdir(path):
        from tfvid.data.decode.frames import first_size

        return first_size(path)
    from tfvid.data.decode.reader import VideoReader
    from tfvid.data.decode.video import check_file

    check_file(path)
    with VideoReader(path, TIME_LIMIT) as video:
        for frame in video.frames():
            height, width = video.rgb(frame).shape[:2]
            return height, width
    raise VideoError(path, "no frame can be decoded")


def _seconds(sample: Sample, num_frames: int, decoded: int) -> tuple[float, ...]:
    """When each frame of a clip is shown, in seconds after the first frame of the file; () if that is not known."""
    try:
        times = frame_times(sample.path, TIME_LIMIT)
    except VideoError:  # a folder, or a container without time stamps
        return ()
    if sample.seconds is not None or sample.start + decoded > len(times):
        return ()
    return tuple(times[index] for index in sample.start + even_indices(decoded, num_frames))
