"""Videos to decode in a benchmark: samples that are there, and longer ones, written as the data sets' originals are."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Sample
from tfvid.data.sources.shapes import MovingShapes

# Name: file suffix, encoder, its options, bits a second (None: the encoder's own choice), frames, (H, W), frames a
# second. Something-something v2 has 19.4 GB for 220,847 clips; KTH 1.1 GB for 599 files; Kinetics' are ten seconds.
ORIGINALS = {
    "VP9 webm": (".webm", "libvpx-vp9", {"cpu-used": "4", "deadline": "realtime"}, 185_000, 48, (240, 426), 12),
    "H.264 mp4": (".mp4", "libx264", {}, None, 300, (256, 340), 30),
    "MPEG-4 avi": (".avi", "mpeg4", {}, 800_000, 360, (120, 160), 25),
}
CODECS = {".webm": "VP9 webm", ".mp4": "H.264 mp4", ".avi": "MPEG-4 avi"}


class Files(VideoDataset):
    """Videos as training clips, their classes in turn."""

    class_names, splits = tuple("abcdefgh"), ("train",)

    def __init__(self, files: list[str]):
        self.files = files

    def samples(self, split: str) -> list[Sample]:
        return [Sample(str(i), i % len(self.class_names), file) for i, file in enumerate(self.files)]


def sample_clips(folder: Path, most: int) -> Iterator[tuple[str, list[Path]]]:
    """(what they are, at most `most` files) for each codec found in `folder` or below.

    Files made for tests are left out: those of ``hard_files`` have other codecs than their suffix suggests.
    """
    for suffix, codec in CODECS.items():
        files = [file for file in sorted(folder.rglob(f"*{suffix}")) if "hard_files" not in file.parts][:most]
        if files:
            yield f"{codec}, samples", files


def written_clips(folder: Path, source: Path, count: int) -> Iterator[tuple[str, list[Path]]]:
    """(what they are, `count` files) for each codec, encoded by PyAV into `folder`.

    The pictures are those of a video in `source`, or else drawn shapes.
    """
    pictures = _pictures(source)
    for codec, (suffix, *_, length, (height, width), _) in ORIGINALS.items():
        files = []
        for number in range(count):
            files.append(folder / f"{number}{suffix}")
            first = number * len(pictures) // count
            _encode(files[-1], [pictures[(first + i) % len(pictures)] for i in range(length)], *ORIGINALS[codec][1:])
        yield f"{codec}, {length} frames of {width}x{height}", files


def _pictures(source: Path) -> list[np.ndarray]:
    """uint8 (H, W, 3), RGB; from the folder ``videos`` where there is one: other folders hold made-up pictures, too."""
    source = source / "videos" if (source / "videos").is_dir() else source
    videos = sorted(source.rglob("*.mkv")) + sorted(source.rglob("*.mp4"))
    if not videos:
        shapes = MovingShapes(train=1)
        return list(shapes.read(shapes.samples("train")[0], 48, (240, 426)).frames)
    capture, pictures = cv2.VideoCapture(str(videos[0])), []
    while (read := capture.read())[0]:
        pictures.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return pictures


def _encode(file: Path, pictures, encoder, options, bit_rate, _, size, rate):
    import av

    with av.open(str(file), "w") as container:
        stream = container.add_stream(encoder, Fraction(rate), options=options)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        for picture in pictures:
            picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
