"""Opens a video file with FFmpeg's libraries through PyAV: chooses a stream, gives its frames, and finds damage.

A file is opened only as one of `confined.CONTAINERS`, and FFmpeg cannot open other files for it.

Decoding has one thread. With several, damaged H.264 decodes differently every time; several clips are decoded at once
instead.
"""

import os
import time
from collections.abc import Iterator
from functools import cached_property
from itertools import chain, islice
from typing import Any

import av
import numpy as np
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tfvid.core.errors import VideoError
from tfvid.data.decode.confined import CONTAINERS, MAX_PIXELS
from tfvid.data.decode.cut_off import lacks_end_mark, missing_bytes
from tfvid.data.decode.picture import RgbConverter, progressive

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
_DEFAULT_IS_WORTH = 5_000_000  # pixels of a frame: the weight of the mark "default" in the command `ffmpeg`
_ENCRYPTED_TAGS = ("encv", "drmi")  # in MP4, in place of the tag of the codec
_NO_STREAM = "no video stream that can be opened (not a video, audio only, or a broken header)"
_ENCRYPTED = "is encrypted; it cannot be decoded without its key"
_MARKED = ("gif", "ogg")  # containers with an end mark
_REORDERED = 16  # the largest number of frames that are decoded before a frame that is shown earlier


class VideoReader:
    """A video file; its frames are read in the order in which they are shown.

    Args:
      path: the file.
      time_limit: seconds after which `frames` raises an error. It is checked between packets and while the file is
        read.
      begun: the value of `time.monotonic` at which the time begins; None for now.

    Attributes:
      promised: number of frames by the container, or, if it has none, by duration times frame rate. It may be wrong; 0
        if it is not known.
      first: number of the first of `frames`, 0-based.

    Raises:
      VideoError: no video can be read from the file, it is encrypted, or its frames are above `MAX_PIXELS`.
    """

    def __init__(self, path, time_limit: float, begun: float | None = None):
        self._path, self._time_limit = path, time_limit
        self._deadline = (time.monotonic() if begun is None else begun) + time_limit
        self._container = self._open()
        try:
            self._stream = self._choose()
            self._open_decoder()
        except VideoError:
            self.close()
            raise
        self._samples, self.promised = self._count()
        self.first = 0
        self._rgb = RgbConverter()
        self._read = 0  # packets, counted from the first one of the file
        self._damaged_packets = self._damaged_frames = 0
        self._ended = False
        self._ahead: list = []
        self._first_time: int | None = None
        self._begun: Iterator | None = None  # the decoded frames, if `seek` has read the first

    def close(self):
        """Closes the file."""
        self._container.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def frames(self) -> Iterator[VideoFrame]:
        """Decodes the frames up to the end of the readable part, and deinterlaces interlaced ones.

        As the command ``ffmpeg`` does, it leaves out packets that the decoder refuses and continues with the next.

        Raises:
          VideoError: the time limit has passed, memory is used up, or FFmpeg cannot deinterlace the frames.
        """
        frames = self._begun or self._decoded()
        for frame in frames:
            if frame.interlaced_frame:
                break
            yield frame
        else:
            return
        try:
            yield from progressive(chain([frame], frames))
        except av.FFmpegError as error:
            raise VideoError(self._path, f"its interlaced frames cannot be deinterlaced ({_why(error)})") from None

    def rgb(self, frame: VideoFrame) -> np.ndarray:
        """Returns one of the frames as uint8 `(H, W, 3)`, RGB, upright.

        Raises:
          VideoError: FFmpeg cannot convert it.
        """
        try:
            return self._rgb(frame)
        except (av.FFmpegError, MemoryError) as error:
            raise VideoError(
                self._path, f"a frame of pixel format {frame.format.name} cannot be converted ({_why(error)})"
            ) from None

    def frame_times(self) -> list[float]:
        """Returns when each frame is first shown, in seconds after the first frame, in order.

        These are the time stamps of the packets: the file is read to its end, but not decoded. The reader has no frames
        afterwards.

        Returns:
          One time for each frame that has a time stamp; [] if the container has none.
        """
        packets = [
            (packet.pts, packet.is_keyframe, packet.is_discard) for packet in self._packets() if packet.pts is not None
        ]
        first = next((pts for pts, is_key, _ in packets if is_key), 0)  # frames before a keyframe cannot be decoded
        stamps = sorted(pts for pts, _, is_left_out in packets if pts >= first and not is_left_out)  # by an edit list
        time_base: Any = self._stream.time_base
        return [float((stamp - stamps[0]) * time_base) for stamp in stamps]

    def seek(self, start: int) -> bool:
        """Moves to a frame at or before the frame `start`, 0-based, and sets `first` to its exact number.

        In MP4 and MOV files this is a keyframe near `start`, because their index lists every frame; in other files it
        is the first frame. Call it before `frames`.

        Returns:
          Whether it succeeded; if not, this reader cannot be used any more.
        """
        entries = self._stream.index_entries
        if not self._is_mov or not self._samples == self.promised == len(entries):  # an edit list leaves out frames
            return True
        key = next((i for i in range(min(start, len(entries)) - _REORDERED, 0, -1) if entries[i].is_keyframe), 0)
        if key == 0:
            return True
        try:
            self._container.seek(entries[key].timestamp, stream=self._stream)
        except av.FFmpegError:
            return False
        # All frames before a keyframe in decoding order are shown before it. So may be some frames after it: they are
        # counted, but cannot be decoded from here.
        self._ahead = [packet for packet in islice(self._packets(), 2 * _REORDERED) if packet.size]
        times = [packet.pts for packet in self._ahead]
        if None in times or not times:
            return False
        landed = entries.search_timestamp(self._ahead[0].dts or 0, any_frame=True)
        if landed < 0 or entries[landed].pos != self._ahead[0].pos:
            return False
        self._read, self._first_time = landed, times[0]
        self.first = landed + sum(time < times[0] for time in times)
        if self.first > start:
            return False
        # With H.264's intra refresh a keyframe is not a whole picture, and the decoder leaves out frames after it.
        frames = self._decoded()
        frame = next(frames, None)
        if frame is None or frame.pts != self._first_time:
            return False
        self._begun = chain([frame], frames)
        return True

    def damage(self, decoded: int) -> str:
        """Returns the damage that was found so far, as words that follow the name of the file; "" if none was found.

        Args:
          decoded: number of frames that `frames` gave, and those before the place to which `seek` moved.
        """
        found = []
        if self._ended and self._read < self._samples:
            found.append(f"gives {decoded} of the {self.promised} frames that its header names")
        if self._ended and self._missing:
            found.append(f"is cut off {self._missing} bytes before its end")
        elif self._ended and self._container.format.name in _MARKED and lacks_end_mark(self._path):
            found.append("has no end mark, so frames at its end may be missing")
        for count, what in ((self._damaged_packets, "packet"), (self._damaged_frames, "frame")):
            if count:
                found.append(f"has {count} damaged {what}{'s' if count > 1 else ''}")
        return ", ".join(found)

    @cached_property
    def _missing(self) -> int:
        """The number of bytes that are missing at the end of the file."""
        return missing_bytes(self._path)

    @property
    def _is_mov(self) -> bool:
        return self._container.format.name.startswith("mov")

    def _open(self):
        options = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file"}
        path = os.path.abspath(
            os.fsdecode(self._path)
        )  # an absolute path cannot be taken for a protocol ("concat:...")
        try:
            return av.open(path, options=options, metadata_errors="replace", timeout=self._time_limit)
        except (av.ExitError, MemoryError) as error:
            raise self._given_up(error) from None
        except av.FFmpegError:
            if self._missing:
                raise VideoError(
                    self._path, f"no video can be opened: the file is cut off, {self._missing} bytes before its end"
                ) from None
            raise VideoError(self._path, _NO_STREAM) from None

    def _choose(self) -> VideoStream:
        """Returns the default stream of the command ``ffmpeg``; cover pictures and thumbnails do not count."""
        streams = self._container.streams.video
        moving = [stream for stream in streams if not stream.disposition & _PICTURES]
        if not moving:
            if self._container.streams.audio:
                raise VideoError(self._path, f"audio only{', with a cover picture' if streams else ''}, not a video")
            raise VideoError(self._path, _NO_STREAM)
        decodable = [stream for stream in moving if stream.codec_context is not None]
        if not decodable:
            raise VideoError(self._path, "FFmpeg has no decoder for its video stream")

        def worth(stream: VideoStream) -> int:
            marked = bool(stream.disposition & Disposition.default)
            return _DEFAULT_IS_WORTH * marked + stream.codec_context.height * stream.codec_context.width

        return max(decodable, key=worth)

    def _open_decoder(self):
        decoder = self._stream.codec_context
        if self._stream.codec_tag in _ENCRYPTED_TAGS or "enc_key_id" in self._stream.metadata:
            raise VideoError(self._path, _ENCRYPTED)
        if decoder.height * decoder.width > MAX_PIXELS:
            raise VideoError(
                self._path, f"frames of {decoder.height} x {decoder.width} pixels; at most {MAX_PIXELS} are decoded"
            )
        decoder.thread_type, decoder.thread_count = "NONE", 1
        decoder.options = {"max_pixels": str(MAX_PIXELS)}  # in the stream, whose size may differ from the header's
        try:
            decoder.open(strict=False)
        except (av.FFmpegError, MemoryError) as error:
            raise VideoError(self._path, f"its {decoder.name} stream cannot be decoded ({_why(error)})") from None

    def _count(self) -> tuple[int, int]:
        """Returns the number of packets by the index or header of the container, 0 if unknown; that of frames."""
        stream, entries = self._stream, self._stream.index_entries
        # The index of a cut-off AVI is lost; FFmpeg then makes one for the rest.
        listed = self._is_mov or (self._container.format.name == "avi" and not self._missing)
        if listed and stream.frames and len(entries):
            # An entry of size 0 repeats the frame before it; an edit list may leave out frames.
            left_out = [entry.is_discard for entry in entries if entry.size]
            return len(left_out), left_out.count(False)
        if stream.frames > 0:
            return stream.frames - 1, stream.frames  # some writers count one too many
        duration = self._container.duration
        seconds = duration / av.time_base if duration else float((stream.duration or 0) * (stream.time_base or 0))
        return 0, max(0, round(seconds * float(stream.guessed_rate or 0)))

    def _packets(self) -> Iterator[Packet]:
        """Yields the packets of the stream, up to its end or to an error, as the command ``ffmpeg`` does."""
        try:
            yield from self._container.demux(self._stream)
        except (av.ExitError, MemoryError) as error:
            raise self._given_up(error) from None
        except (av.FFmpegError, IndexError):  # IndexError: PyAV reaches the end of a file with streams that began late
            return

    def _decoded(self) -> Iterator[VideoFrame]:
        """Yields the decoded frames from the time `_first_time` on; counts damaged packets and frames.

        The loop uses few attributes and calls, because a frame of a small video takes some 30 microseconds.
        """
        decode, now, deadline = self._stream.codec_context.decode, time.monotonic, self._deadline
        first_time, begun = self._first_time, False
        for packet in chain(self._ahead, self._packets(), [None]):
            if now() > deadline:
                raise self._given_up()
            if packet is None:
                self._ended = True
            elif packet.size:
                begun = begun or self._begins_with(packet)
                self._read += 1
            else:  # an empty packet tells the decoder that the stream has ended
                continue
            try:
                frames = decode(packet)
            except MemoryError as error:
                raise self._given_up(error) from None
            except av.FFmpegError:
                self._damaged_packets += begun
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self._damaged_frames += begun
                if first_time is None or (frame.pts is not None and frame.pts >= first_time):
                    yield frame

    def _begins_with(self, packet: Packet) -> bool:
        """Whether a packet is a keyframe. Errors before the first one are not damage: recordings begin anywhere."""
        if self._read == 0 and packet.has_sidedata("encryption_info"):
            raise VideoError(self._path, _ENCRYPTED)
        return packet.is_keyframe

    def _given_up(self, error: Exception | None = None) -> VideoError:
        full = isinstance(error, MemoryError)
        return VideoError(self._path, "not enough memory" if full else f"not decoded within {self._time_limit:g} s")


def _why(error: Exception) -> str:
    """Returns FFmpeg's message of an error, without the call that raised it."""
    return getattr(error, "strerror", None) or "not enough memory"
