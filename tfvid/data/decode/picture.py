"""Converts a decoded frame of FFmpeg to an upright RGB picture, as the command ``ffmpeg`` does.

* Colours: the tags for the YUV matrix and the value range are applied, as in ``ffmpeg``. The tags for primaries and
  transfer are ignored: nothing is tone-mapped, so HDR video (HLG, PQ) gives its stored values, which look flat.
* Display matrix: rotations by 90, 180 and 270 degrees, mirrors, transpositions and their combinations are applied.
  Other angles are ignored.
* Interlaced frames are deinterlaced by FFmpeg's filter ``bwdif``, one frame for each frame.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

_SMALLEST = 3  # smallest height and width that `bwdif` accepts


class RgbConverter:
    """Converts the frames of one video. It keeps FFmpeg's converter, which is slow to set up, for all of them."""

    def __init__(self):
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        """Returns the frame as uint8 `(H, W, 3)`, RGB, upright.

        Raises:
          av.FFmpegError: FFmpeg cannot convert the pixel format.
        """
        rgb = self._reformatter.reformat(frame, format="rgb24", interpolation=Interpolation.BICUBIC, threads=1)
        plane = rgb.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)  # rows may be padded
        return upright(rows[:, : 3 * plane.width].reshape(plane.height, plane.width, 3), display_matrix(frame))


def display_matrix(frame: VideoFrame) -> np.ndarray | None:
    """Returns the display matrix, int32 `(2, 2)`: a stored (x, y) is shown at (x, y) @ matrix; None if it has none."""
    try:
        side_data: Any = frame.side_data  # by its type in PyAV, only text is a key
        stored = side_data.get(Type.DISPLAYMATRIX) if len(side_data) else None
    except ValueError:  # PyAV does not know the kind of side data; then it gives rotations only
        quarters = round(frame.rotation / -90) % 4
        return np.linalg.matrix_power(
            np.array([[0, 1], [-1, 0]]), quarters
        )  # turned clockwise by 90 degrees, `quarters` times
    return None if stored is None else np.frombuffer(stored, np.int32).reshape(3, 3)[:2, :2]


def upright(picture: np.ndarray, matrix: np.ndarray | None) -> np.ndarray:
    """Turns and mirrors a picture `(H, W, 3)` by a display matrix, see `display_matrix`."""
    if matrix is None:
        return picture
    size = np.abs(matrix.astype(float))
    straight, crossed = size.diagonal(), size[::-1].diagonal()
    if crossed.max() < 0.02 * straight.min():  # within one degree
        x_to_x, y_to_y = matrix.diagonal()
        return np.ascontiguousarray(picture[:: -1 if y_to_y < 0 else 1, :: -1 if x_to_x < 0 else 1])
    if straight.max() < 0.02 * crossed.min():
        x_to_y, y_to_x = matrix[0, 1], matrix[1, 0]
        turned = picture.swapaxes(0, 1)
        return np.ascontiguousarray(turned[:: -1 if x_to_y < 0 else 1, :: -1 if y_to_x < 0 else 1])
    return picture


def progressive(frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
    """Deinterlaces frames; yields as many frames as it receives, in the same order.

    Frames that are marked as progressive, and frames of fewer than three rows or columns, are not changed.
    """
    graph, layout = None, None
    for frame in frames:
        if graph is not None and layout != _layout(frame):  # the filter is made for one size and pixel format
            yield from _flush(graph)
            graph = None
        if graph is None and frame.interlaced_frame and min(frame.height, frame.width) >= _SMALLEST:
            graph, layout = _deinterlacer(frame), _layout(frame)
        if graph is None:
            yield frame
        else:
            graph.vpush(frame)
            yield from _ready(graph)
    if graph is not None:
        yield from _flush(graph)


def _layout(frame: VideoFrame) -> tuple[str, int, int]:
    return frame.format.name, frame.width, frame.height


def _deinterlacer(frame: VideoFrame) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 1000)
    )
    graph.link_nodes(source, graph.add("bwdif", mode="send_frame", deint="interlaced"), graph.add("buffersink"))
    graph.configure()
    return graph


def _ready(graph: Graph) -> Iterator[VideoFrame]:
    """Yields the frames that the filter has finished; it needs the frame after each."""
    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return


def _flush(graph: Graph) -> Iterator[VideoFrame]:
    graph.vpush(None)
    yield from _ready(graph)
