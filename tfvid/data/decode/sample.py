"""The clip of a sample: from a video file or from a folder of frames, of a range in frames or in seconds."""

import os

from tfvid.core.errors import VideoError
from tfvid.core.sampling import frames_between
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.decode.video import check_file, decode_clip


def decode_sample(
    sample: Sample, num_frames: int, size: tuple[int, int], time_limit: float = 60.0, decode_video=None
) -> Clip:
    """Decodes `num_frames` frames spread evenly over `sample`, resized to `size` = (H, W).

    Args:
      sample: its path is a video file or a folder of frames.
      time_limit: seconds.
      decode_video: what decodes video files, called with path, num_frames, size, start and stop; None for
        `tfvid.data.decode.video.decode_clip`.

    Raises:
      VideoError: it cannot be decoded, or its range is in seconds and its frames have no times.
    """
    is_folder = os.path.isdir(sample.path)
    start, stop = sample.start, sample.stop
    if sample.seconds is not None:
        if is_folder:
            raise VideoError(sample.path, "a folder of frames has no frame rate; the list must give it, as 'fps'")
        start, stop = frames_between(*sample.seconds, frame_times(sample.path, time_limit))
    if is_folder:
        from tfvid.data.decode.frames import decode_frames  # Pillow loads only where it is used

        return decode_frames(sample.path, num_frames, size, start, stop, time_limit)
    if decode_video is not None:
        return decode_video(sample.path, num_frames, size, start, stop)
    return decode_clip(sample.path, num_frames, size, start, stop, time_limit)


def frame_times(path, time_limit: float) -> list[float]:
    """When each frame of a video file is first on screen, in seconds after the first one.

    Raises:
      VideoError: it cannot be opened, or its packets have no time stamps.
    """
    from tfvid.data.decode.reader import VideoReader  # only processes that decode load FFmpeg's libraries

    check_file(path)
    with VideoReader(path, time_limit) as video:
        times = video.frame_times()
    if not times:
        raise VideoError(path, "its frames have no times; the list must give its frame rate, as 'fps'")
    return times
