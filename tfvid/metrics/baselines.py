"""Maps that do not depend on the model. Compare the measures of a method with those of these maps.

Two of them do not use the clip either: `random_map` and `centre_prior`. The others show what moves or stands out in the
clip: `frame_difference`, `optical_flow` and `edges`. A method has learned something from the network only where it is
better than all of them.
"""

import cv2
import numpy as np


def random_map(shape: tuple, seed: int = 0) -> np.ndarray:
    """Returns a map of uniform random numbers in [0, 1), the same for all clips of a batch.

    Args:
      shape: `(B, T, H, W)`.
      seed: of the random numbers.

    Returns:
      Float32 `(B, T, H, W)`.
    """
    return np.tile(np.random.default_rng(seed).random(shape[1:], np.float32), (shape[0], 1, 1, 1))


def centre_prior(shape: tuple) -> np.ndarray:
    """Returns a Gaussian at the centre of the clip in time and space; its standard deviation is a quarter of each side.

    Objects are mostly at the centre of the frame, and events in the middle of the clip.

    Args:
      shape: `(B, T, H, W)`.

    Returns:
      Float32 `(B, T, H, W)` in (0, 1].
    """
    t, y, x = (_bell(size) for size in shape[1:])
    return np.tile(t[:, np.newaxis, np.newaxis] * y[:, np.newaxis] * x, (shape[0], 1, 1, 1)).astype(np.float32)


def frame_difference(clips) -> np.ndarray:
    """Returns how much each voxel differs from the same place in the frames next to it.

    The mean of |x[t] - x[t - 1]| and |x[t + 1] - x[t]| over the channels; the first and last frame have one of them.

    Args:
      clips: float `(B, T, H, W, C)`.

    Returns:
      Float32 `(B, T, H, W)`, 0 or more; zeros for clips of one frame.
    """
    clips = np.asarray(clips, np.float32)
    return _of_both_sides(np.abs(np.diff(clips, axis=1)).mean(axis=-1), clips.shape)


def optical_flow(clips) -> np.ndarray:
    """Returns the length of the optical flow: by how many pixels each voxel moves between neighbouring frames.

    Dense inverse search (Kroeger, Timofte, Dai & Van Gool, ECCV 2016) of OpenCV, on grey frames. A frame has the mean
    of the flow before and after it; the first and last frame have one of them.

    Args:
      clips: float `(B, T, H, W, C)`; each clip is scaled from its own range to 0 to 255.

    Returns:
      Float32 `(B, T, H, W)` in pixels, 0 or more; zeros for clips of one frame.
    """
    grey = _grey(clips)
    low, high = (extreme(grey, axis=(1, 2, 3), keepdims=True) for extreme in (np.min, np.max))
    frames = (255 * (grey - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)
    flows = np.zeros((len(frames), max(frames.shape[1] - 1, 0), *frames.shape[2:]), np.float32)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    for clip, place in np.ndindex(flows.shape[:2]):
        flows[clip, place] = _flow(search, frames[clip, place], frames[clip, place + 1])
    return _of_both_sides(flows, grey.shape)


def edges(clips) -> np.ndarray:
    """Returns the length of the spatial gradient of each frame in grey, by Sobel's filter of 3 x 3.

    Args:
      clips: float `(B, T, H, W, C)`.

    Returns:
      Float32 `(B, T, H, W)`, 0 or more.
    """
    grey = _grey(clips)
    flat = grey.reshape(-1, *grey.shape[2:])
    return np.stack([np.hypot(*(cv2.Sobel(f, cv2.CV_32F, *way) for way in ((1, 0), (0, 1)))) for f in flat]).reshape(
        grey.shape
    )


BASELINES = {
    "random": lambda clips, seed: random_map(clips.shape[:4], seed),
    "centre": lambda clips, seed: centre_prior(clips.shape[:4]),
    "frame_difference": lambda clips, seed: frame_difference(clips),
    "optical_flow": lambda clips, seed: optical_flow(clips),
    "edges": lambda clips, seed: edges(clips),
}  # name to a function (clips, seed) -> maps


def _grey(clips) -> np.ndarray:
    """The mean of the channels: float32 `(B, T, H, W)`."""
    return np.ascontiguousarray(np.asarray(clips, np.float32).mean(axis=-1))


def _of_both_sides(steps: np.ndarray, shape: tuple) -> np.ndarray:
    """From a value for each step between two frames, `(B, T - 1, H, W)`, to the mean of those beside each frame."""
    maps = np.zeros(tuple(shape[:4]), np.float32)
    if steps.shape[1]:
        maps[:, :-1] += steps
        maps[:, 1:] += steps
        maps[:, 1:-1] /= 2
    return maps


SMALLEST = 16  # pixels: the search has patches of 8 on a pyramid and fails on smaller frames


def _flow(search, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The length of the flow between two frames; a frame that is too small is enlarged first."""
    height, width = first.shape
    scale = max(1, -(-SMALLEST // min(height, width)))
    if scale > 1:
        first, second = (cv2.resize(f, (width * scale, height * scale)) for f in (first, second))
    length = np.hypot(*np.moveaxis(search.calc(first, second, None), -1, 0)) / scale
    return cv2.resize(length, (width, height), interpolation=cv2.INTER_AREA) if scale > 1 else length


def _bell(size: int) -> np.ndarray:
    """A Gaussian at the centre of `size` places, with a standard deviation of a quarter of them."""
    distance = np.arange(size) - (size - 1) / 2
    return np.exp(-0.5 * (distance / (size / 4)) ** 2)
