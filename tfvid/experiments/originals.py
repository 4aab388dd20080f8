"""Draws explanations over the original frames of a video, not over the small, squashed ones that the model received."""

import warnings
from collections.abc import Mapping

from tfvid.core.errors import VideoError
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.decode.worker import DecodePool
from tfvid.data.sources.original_frames import OriginalFrames
from tfvid.report.overlay import LONG_SIDE


class Originals:
    """Reads the original frames of clips, in a child process.

    Args:
      samples: the samples of video files, by id.
      time_limit: seconds to decode a file.
    """

    def __init__(self, samples: Mapping[str, Sample], time_limit: float = 60.0):
        self._samples = samples
        self._pool = DecodePool(OriginalFrames(), 1, time_limit)

    def read(self, id: str, num_frames: int) -> Clip | None:
        """Returns the frames of a clip, at most `LONG_SIDE` pixels long; None, with a warning, if they cannot be read.

        Args:
          id: of the clip.
          num_frames: T.
        """
        try:
            return self._pool.read(self._samples[id], num_frames, (LONG_SIDE, LONG_SIDE))
        except VideoError as error:
            warnings.warn(f"{error}; its film shows the frames that the model received", RuntimeWarning, stacklevel=2)
            return None

    def close(self):
        """Ends the child process."""
        self._pool.close()
