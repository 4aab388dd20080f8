"""Optional use of tensorflow-io: ``s3://``, ``az://`` and ``http://`` paths for shards, and its video decoder.

``pip install tfvid[io]`` installs it with a TensorFlow that it works with. Its last release, 0.37.1, loads its native
code only with TensorFlow 2.16 and 2.17. With a newer one the import only warns, and every operation fails later. So
tfvid checks it before each use, and never imports it by default.
"""

import importlib.util
import warnings

import cv2
import numpy as np

from tfvid.core.errors import TfvidError, VideoError, message_line
from tfvid.core.sampling import even_indices
from tfvid.data.decode.clip import Clip
from tfvid.data.decode.video import check_file, check_range

WORKS_WITH = ("2.16", "2.17")
_INSTALL = "pip install tfvid[io], with TensorFlow 2.16"


def available() -> tuple[bool, str]:
    """Loads tensorflow-io; returns whether that succeeded, and, if not, the reason in one line."""
    if importlib.util.find_spec("tensorflow_io") is None:
        return False, f"tensorflow-io is not installed ({_INSTALL})"
    import tensorflow as tf

    if not tf.__version__.startswith(tuple(f"{version}." for version in WORKS_WITH)):
        versions = " and ".join(WORKS_WITH)
        return False, f"tensorflow-io loads only with TensorFlow {versions}, this is {tf.__version__} ({_INSTALL})"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            import tensorflow_io  # noqa: F401  (registers the file systems)
        except Exception as error:  # a broken native library raises errors of any type
            return False, f"tensorflow-io cannot be imported: {message_line(error)}"
    failures = [str(warning.message) for warning in said if "unable to load" in str(warning.message)]
    return (False, f"tensorflow-io: {message_line(failures[0])}") if failures else (True, "")


def decoder_available() -> tuple[bool, str]:
    """Like `available` for its video decoder, which also needs the shared libraries of FFmpeg 4 (or 3.4, or 2.8)."""
    ok, reason = available()
    if not ok:
        return ok, reason
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from tensorflow_io.python.ops import ffmpeg_ops  # noqa: F401
        except NotImplementedError:
            return False, "tensorflow-io's decoder finds no FFmpeg 4 (libavformat.so.58, libswscale.so.5)"
    return True, ""


def require():
    """Loads tensorflow-io, so that TensorFlow reads ``s3://``, ``az://`` and ``http://``.

    Raises:
      TfvidError: tensorflow-io cannot be loaded.
    """
    _require(*available())


def require_decoder():
    """Checks that the video decoder of tensorflow-io can be loaded.

    Raises:
      TfvidError: it cannot.
    """
    _require(*decoder_available())


def decode_clip(path, num_frames: int, size: tuple[int, int], start: int = 0, stop: int | None = None) -> Clip:
    """Decodes a clip like `tfvid.data.decode.video.decode_clip`, with tensorflow-io.

    The whole file is decoded into memory, rotation is ignored, and damage is not detected. A file may crash the process
    (a width of 426 does), so use ``load_dataset(..., decoder="tfio")``, which calls this function in a decode process.

    Raises:
      VideoError: the file cannot be decoded.
    """
    import tensorflow as tf
    from tensorflow_io.python.experimental.ffmpeg_ops import decode_video

    check_range(path, num_frames, size, start, stop)
    check_file(path)
    try:
        frames = decode_video(tf.io.read_file(str(path))).numpy()
    except tf.errors.OpError as error:
        raise VideoError(path, f"no video stream that can be decoded ({message_line(error.message)})") from None
    count = len(frames)
    if count <= start:
        raise VideoError(path, f"it has {count} frames, the clip starts at frame {start}")
    frames = frames[start:stop]
    picked = [
        cv2.resize(frames[i], (size[1], size[0]), interpolation=cv2.INTER_AREA)
        for i in even_indices(len(frames), num_frames)
    ]
    return Clip(np.stack(picked), decoded=len(frames))


def _require(ok: bool, reason: str):
    if not ok:
        raise TfvidError(reason)
