"""Writes the frames of a clip as a video file that browsers play."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from tfvid.core.files import replacing


def write_video(path: str | Path, frames: np.ndarray, fps: float) -> Path:
    """Writes an MP4 file with H.264 video, one frame of the video for each frame of the clip.

    H.264 needs an even height and width: an odd last row or column is repeated.

    Args:
      path: the file, written completely or not at all.
      frames: uint8 `(T, H, W, 3)`, RGB.
      fps: frames per second, > 0.

    Returns:
      The path.
    """
    import av

    _, height, width, _ = frames.shape
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000), options={"crf": "18"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode(None))  # what the encoder still holds
    return Path(path)
