"""Reads every video file of a folder with tfvid and with the command `ffmpeg`, and compares their frames.

    python benchmarks/zoo.py FOLDER             # ffmpeg and ffprobe must be installed
    python benchmarks/zoo.py FOLDER --frames 64 # more frames of each file

tfvid reads each file in a decode process, as `tfvid.read_clip` does, at the file's own size: 16 frames, spread evenly.
The same frames are taken from `ffmpeg -i FILE -f image2pipe -c:v ppm -`, which turns frames by their display matrix; of
files with interlaced frames those that its filter bwdif gives. "largest" and "mean" are differences between the two,
of 255.

A file is equal where both give the same number of frames and these differ by at most 2 on the mean, which is what two
releases of FFmpeg may differ by. A file that tfvid refuses by design (encrypted video, a picture, sound with a cover
picture) is no fault; nor is one that neither can read. Exits with 1 where there is any other file.
"""

import argparse
import json
import mimetypes
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from tfvid.core.errors import TfvidError, VideoError, command  # noqa: E402
from tfvid.core.sampling import even_indices  # noqa: E402
from tfvid.data.decode.clip import Sample  # noqa: E402
from tfvid.data.decode.worker import DecodePool  # noqa: E402
from tfvid.data.sources.video_files import VideoFiles  # noqa: E402

SUFFIXES = (
    ".ts",
    ".m2ts",
    ".mts",
    ".mkv",
    ".ogv",
    ".ogg",
    ".y4m",
    ".ivf",
    ".vob",
    ".mxf",
    ".h264",
    ".hevc",
    ".obu",
    ".rm",
    ".rmvb",
    ".gif",
)
BY_DESIGN = ("is encrypted", "audio only", "a still image", "a playlist")
TOLERANCE = 2.0


@dataclass
class Row:
    """What became of one file.

    Attributes:
      codec: by ffprobe's name.
      frames: how many ffmpeg gives, and tfvid; None where that is not known.
      largest, mean: differences between the frames, of 255; None where they were not compared.
      damage: what tfvid says of the file's damage.
      verdict: "equal", "refused: ...", "neither reads it: ...", or "differs: ...".
    """

    codec: str
    frames: tuple[int | None, int | None]
    verdict: str
    largest: int | None = None
    mean: float | None = None
    damage: str = ""

    @property
    def good(self) -> bool:
        return (
            self.verdict == "equal"
            or self.verdict.startswith("neither reads it")
            or any(reason in self.verdict for reason in BY_DESIGN)
        )


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="whose files are read, and those of the folders in it")
    parser.add_argument("--frames", type=int, default=16, help="of each file that are compared (%(default)s)")
    args = parser.parse_args(argv)

    files = find_videos(args.folder)
    if not files:
        raise TfvidError(f"{args.folder}: no video files in it")
    rows = {}
    line = "{:44.44} {:12.12} {:>7} {:>7} {:>8} {:>7}  {}".format
    print(line("file", "codec", "ffmpeg", "tfvid", "largest", "mean", "verdict"))
    with DecodePool(VideoFiles([]), 1) as pool:
        for file in files:
            row = rows[file] = compare(pool, file, args.frames)
            numbers = [_shown(value) for value in (*row.frames, row.largest, row.mean)]
            damage = f" (damage: {row.damage})" if row.damage else ""
            print(line(str(file.relative_to(args.folder)), row.codec, *numbers, row.verdict + damage), flush=True)
    print_totals(list(rows.values()))
    if bad := [str(file) for file, row in rows.items() if not row.good]:
        raise TfvidError(f"{len(bad)} of {len(files)} files differ: {', '.join(bad)}")


def find_videos(folder: Path) -> list[Path]:
    """Files in `folder` and below whose name is a video's."""

    def is_video(name: str) -> bool:
        kind = mimetypes.guess_type(name)[0] or ""
        return kind.startswith("video/") or name.lower().endswith(SUFFIXES)

    return sorted(file for file in folder.rglob("*") if file.is_file() and is_video(file.name))


def compare(pool: DecodePool, file: Path, num_frames: int) -> Row:
    """Reads one file both ways."""
    codec, interlaced = probe(file)
    expected = ffmpeg_frames(file, interlaced)
    first = next(expected, None)
    try:
        clip = pool.read(
            Sample(file.name, -1, str(file.resolve())), num_frames, first.shape[:2] if first is not None else (8, 8)
        )
    except VideoError as error:
        count = None if first is None else 1 + sum(1 for _ in expected)
        if first is None:
            return Row(codec, (0, None), f"neither reads it: {error.reason}")
        return Row(codec, (count, None), f"refused: {error.reason}")
    if first is None:
        return Row(codec, (0, clip.decoded), "differs: ffmpeg gives no frame", damage=clip.damage)
    wanted = even_indices(clip.decoded, num_frames).tolist()
    differences, count = [], 0
    for number, frame in enumerate(_with_first(first, expected)):
        count += 1
        if number in wanted and frame.shape == clip.frames.shape[1:]:
            read = clip.frames[wanted.index(number)].astype(np.int16)
            differences.append(np.abs(read - frame))
    largest = max((int(difference.max()) for difference in differences), default=None)
    mean = max((float(difference.mean()) for difference in differences), default=None)
    verdict = "equal"
    if count != clip.decoded:
        verdict = "differs: number of frames"
    elif mean is None or mean > TOLERANCE:
        verdict = "differs: pictures"
    return Row(codec, (count, clip.decoded), verdict, largest, mean, clip.damage)


def probe(file: Path) -> tuple[str, bool]:
    """The codec of the file's first video stream that is no cover picture; whether it has interlaced frames."""
    words = ["ffprobe", "-v", "quiet", "-of", "json", "-select_streams", "v", "-show_streams", "-show_frames"]
    words += ["-read_intervals", "%+#30", "-show_entries", "frame=interlaced_frame:stream=codec_name,disposition"]
    found = json.loads(subprocess.run([*words, str(file)], capture_output=True).stdout or b"{}")
    streams = [stream for stream in found.get("streams", []) if not stream["disposition"].get("attached_pic")]
    interlaced = any(frame.get("interlaced_frame") for frame in found.get("frames", []))
    return streams[0].get("codec_name", "unknown") if streams else "none", interlaced


def ffmpeg_frames(file: Path, interlaced: bool = False) -> Iterator[np.ndarray]:
    """The frames that the command ffmpeg gives, each uint8 `(H, W, 3)`, RGB."""
    words = ["ffmpeg", "-v", "quiet", "-nostdin", "-threads", "1", "-i", str(file)]
    words += ["-vf", "bwdif=mode=send_frame:deint=interlaced"] if interlaced else []
    words += ["-fps_mode", "passthrough", "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        while process.stdout.readline() == b"P6\n":
            width, height = map(int, process.stdout.readline().split())
            process.stdout.readline()  # 255
            yield np.frombuffer(process.stdout.read(3 * width * height), np.uint8).reshape(height, width, 3)


def _with_first(first: np.ndarray, others: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from others


def _shown(value) -> str:
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def print_totals(rows: list[Row]):
    """One line for each kind of verdict, and how many files are called damaged."""
    kinds = Counter(row.verdict.split(":")[0] for row in rows)
    print(f"\n{len(rows)} files: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    for codec, count in Counter(row.codec for row in rows).most_common():
        equal = sum(row.verdict == "equal" for row in rows if row.codec == codec)
        print(f"  {codec}: {equal} of {count} equal")
    print(f"  damaged, as tfvid says: {sum(bool(row.damage) for row in rows)}")


if __name__ == "__main__":
    command(main)
