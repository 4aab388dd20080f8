"""Decodes the clip of a sample: a video file or a folder of frames, with a range in frames or in seconds."""

import os

from tfvid.core.errors import VideoError
from tfvid.core.sampling import frames_between
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.decode.video import check_file, decode_clip


def decode_sample(
    sample: Sample, num_frames: int, size: tuple[int, int], time_limit: float = 60.0, decode_video=None
) -> Clip:
    """Decodes the clip of a sample.

    Args:
      sample: its path is a video file or a folder of frames.
      num_frames: T; frames are spread evenly over the sample, and repeated if it has fewer.
      size: (H, W) in pixels; the aspect ratio is not kept.
      time_limit: seconds.
      decode_video: a function of path, num_frames, size, start and stop that decodes video files; None for
        `tfvid.data.decode.video.decode_clip`.

    Raises:
      VideoError: the sample cannot be decoded, or its range is in seconds and its frames have no times.
    """
    is_folder = os.path.isdir(sample.path)
    start, stop = sample.start, sample.stop
    if sample.seconds is not None:
        if is_folder:
            raise VideoError(
                sample.path, "a folder of frames has no frame rate; give it in the list, in the column 'fps'"
            )
        start, stop = frames_between(*sample.seconds, frame_times(sample.path, time_limit))
    if is_folder:
        from tfvid.data.decode.frames import decode_frames  # Pillow is loaded when it is needed

        return decode_frames(sample.path, num_frames, size, start, stop, time_limit)
    if decode_video is not None:
        return decode_video(sample.path, num_frames, size, start, stop)
    return decode_clip(sample.path, num_frames, size, start, stop, time_limit)


def frame_times(path, time_limit: float) -> list[float]:
    """Returns when each frame of a video file is first shown, in seconds after the first frame.

    Raises:
      VideoError: the file cannot be opened, or its packets have no time stamps.
    """
    from tfvid.data.decode.reader import VideoReader  # FFmpeg is loaded when it is needed

    check_file(path)
    with VideoReader(path, time_limit) as video:
        times = video.frame_times()
    if not times:
        raise VideoError(path, "its frames have no times; give its frame rate in the list, in the column 'fps'")
    return times
