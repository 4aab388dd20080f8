"""How fast 16 frames of 224x224 come out of a video file: tfvid beside OpenCV, PyAV and decord, and from shards.

    pip install -e '.[bench]'               # decord, a peer that the project itself does not use
    python benchmarks/decode.py             # about 5 minutes
    python benchmarks/decode.py --rounds 3 --clips 2 --frames 8 --size 112

Every reader does the same job: it decodes the file from the first frame to the last, takes the same frames, evenly
spread over those decoded, and gives them as uint8 RGB of one size. Frames that differ from tfvid's by more than
their resizers do are refused. "One core": a clip at a time, one decoding thread. "Own threads": a clip at a time,
as many threads as the reader takes by default. "A clip a core": as many clips at a time as there are cores, one
thread each; tfvid's are read by its decode processes, as when it trains, the others' by Python threads. "CPU ms":
processor time a clip on one core, which others on the machine disturb least.

Readers take turns, round after round, so that whoever else uses the machine slows all of them; a figure is the
median over the rounds with the least and the most, and a ratio is taken within each round first.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from clips import Files, sample_clips, written_clips  # noqa: E402
from machine import describe_machine  # noqa: E402

from tfvid.core.errors import command  # noqa: E402
from tfvid.core.sampling import even_indices  # noqa: E402
from tfvid.data.decode.video import decode_clip  # noqa: E402
from tfvid.data.decode.worker import DecodePool, one_a_core  # noqa: E402
from tfvid.data.records import Records, write_records  # noqa: E402
from tfvid.data.skipped import SkipLog  # noqa: E402

CORES = one_a_core()
MODES = ("one core", "own threads", "a clip a core")
# Mean difference from tfvid's frames, of 255, that resizing in YUV or RGB, bicubic or by area, can explain.
TOLERANCE = 4.0

Job = tuple[str, str]  # reader, mode


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="(%(default)s)")
    parser.add_argument("--clips", type=int, default=4, help="files of each kind (%(default)s)")
    parser.add_argument("--frames", type=int, default=16, help="(%(default)s)")
    parser.add_argument("--size", type=int, default=224, help="height and width, pixels (%(default)s)")
    parser.add_argument("--readers", nargs="+", default=list(PEERS), choices=list(PEERS), help="beside tfvid")
    parser.add_argument("--videos", type=Path, default=ROOT.parent / "shared" / "data", help="folder with samples")
    args = parser.parse_args(argv)

    peers = [name for name in args.readers if find_spec(PEERS[name][1])]
    print(describe_machine())
    print("readers     " + ", ".join(f"{name} {_version(name)}" for name in args.readers))
    print(f"\n{args.frames}x{args.size}x{args.size}, clips a second: median of {args.rounds} rounds (least-most)")
    with tempfile.TemporaryDirectory() as folder:
        kinds = list(sample_clips(args.videos, args.clips))
        if find_spec("av"):
            kinds += written_clips(Path(folder), args.videos, args.clips)
        for number, (title, files) in enumerate(kinds):
            compare(title, files, peers, args, Path(folder) / f"shards-{number}")


def compare(title: str, files: list[Path], peers: list[str], args, shards: Path):
    """Times every reader on `files` and prints the table."""
    size = (args.size, args.size)
    print(f"\n{title} ({len(files)} files)")
    peers = [name for name in peers if all(_agrees(name, file, args.frames, size) for file in files)]
    dataset = Files([str(file) for file in files])
    write_records(dataset, "train", shards, num_frames=args.frames, size=size, workers=CORES)
    with DecodePool(dataset, CORES) as pool, ThreadPoolExecutor(CORES) as threads:
        jobs = {("tfvid", "one core"): partial(_each, files, _tfvid, args.frames, size, 1)}
        jobs["tfvid", "a clip a core"] = lambda: len(
            list(threads.map(lambda sample: pool.read(sample, args.frames, size), dataset.samples("train") * CORES))
        )
        for name in peers:
            read = PEERS[name][0]
            jobs[name, "one core"] = partial(_each, files, read, args.frames, size, 1)
            jobs[name, "own threads"] = partial(_each, files, read, args.frames, size, None)
            jobs[name, "a clip a core"] = lambda read=read: len(
                list(threads.map(lambda file: read(file, args.frames, size, 1), files * CORES))
            )
        jobs["shards", "one core"] = _shard_reader(shards, 1)
        jobs["shards", "a clip a core"] = _shard_reader(shards, CORES)
        print_table(rates(jobs, args.rounds))


def rates(jobs: dict[Job, Callable[[], int]], rounds: int) -> dict[Job, np.ndarray]:
    """Clips a second of each job in each round, `(rounds,)`; a job returns how many clips it read.

    Of jobs on one core there is also (reader, "CPU ms"), this process's processor time a clip.
    """
    found = {job: [] for job in jobs} | {(reader, "CPU ms"): [] for reader, mode in jobs if mode == "one core"}
    for number in range(rounds + 1):
        order = list(jobs) if number % 2 else list(jobs)[::-1]
        for job in order:
            cv2.setNumThreads(-1 if job[1] == "own threads" else 1)  # -1: OpenCV's default
            begun, begun_cpu = time.perf_counter(), time.process_time()
            clips = jobs[job]()
            seconds, cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
            if number:  # the first round starts processes and fills caches
                found[job].append(clips / seconds)
                if job[1] == "one core":
                    found[job[0], "CPU ms"].append(1000 * cpu / clips)
    return {job: np.array(values) for job, values in found.items()}


def print_table(found: dict[Job, np.ndarray]):
    readers = list(dict.fromkeys(reader for reader, _ in found))
    best = {r: max((found[job] for job in found if job[0] == r and job[1] in MODES), key=np.median) for r in readers}
    fastest = max((reader for reader in readers if reader != "shards"), key=lambda reader: np.median(best[reader]))
    row = "  {:8}{:>19}{:>21}{:>21}{:>21}   {}".format
    print(row("", "CPU ms", *MODES, "how many times faster, best mode against best mode; in CPU ms"))
    for reader in readers:
        cells = [_spread(found[reader, mode], 1) if (reader, mode) in found else "" for mode in ("CPU ms", *MODES)]
        over, under = ("shards", fastest) if reader == "shards" else ("tfvid", reader)
        wall, cpu = best[over] / best[under], found[under, "CPU ms"] / found[over, "CPU ms"]
        ratio = "" if reader == "tfvid" else f"{over} / {under} {_spread(wall, 2)}, CPU {_spread(cpu, 2)}"
        print(row(reader, *cells, ratio).rstrip(), flush=True)


def _spread(values: np.ndarray, digits: int) -> str:
    return f"{np.median(values):.{digits}f} ({values.min():.{digits}f}-{values.max():.{digits}f})"


def _agrees(name: str, file: Path, num_frames: int, size) -> bool:
    """Whether a peer gives the frames that tfvid gives; says so where it does not."""
    expected = _tfvid(file, num_frames, size, 1).astype(np.int16)
    for threads in (1, None):
        try:
            frames = PEERS[name][0](file, num_frames, size, threads)
        except Exception as error:  # each has its own kinds
            print(f"  {name} is left out, it cannot read {file.name}: {' '.join(str(error).split())[:200]}")
            return False
        difference = np.abs(frames - expected).mean((1, 2, 3)).max()
        if difference > TOLERANCE:
            print(f"  {name} is left out, it gives other frames (mean difference {difference:.1f} of 255)")
            return False
    return True


def _version(name: str) -> str:
    package = PEERS[name][1]
    return version(PEERS[name][2]) if find_spec(package) else f"not installed (pip install {PEERS[name][2]})"


def _shard_reader(folder: Path, workers: int) -> Callable[[], int]:
    """Reads the clips of a folder of shards 16 times, as uint8: what a decoder gives, too."""
    records, log, epoch = Records(folder), SkipLog(), tf.Variable(0, dtype=tf.int64, trainable=False)
    clips = records.stream("train", epoch, None, workers, log).repeat(16)
    log.total = len(records.samples("train"))
    options = tf.data.Options()
    options.threading.private_threadpool_size = workers
    clips = clips.with_options(options)
    return lambda: sum(1 for _ in clips)


def _each(files, read, num_frames, size, threads) -> int:
    for file in files:
        read(file, num_frames, size, threads)
    return len(files)


# The readers: (file, T, (H, W), threads or None for their own choice) -> uint8 (T, H, W, 3), RGB.


def _tfvid(file, num_frames, size, threads):
    return decode_clip(file, num_frames, size).frames


def _opencv(file, num_frames, size, threads):
    capture = cv2.VideoCapture(str(file), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads] if threads else [])
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    chosen = [cv2.cvtColor(frames[i], cv2.COLOR_BGR2RGB) for i in even_indices(len(frames), num_frames)]
    return np.stack([cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA) for frame in chosen])


def _pyav(file, num_frames, size, threads):
    import av

    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        if threads:
            stream.codec_context.thread_count = threads
        else:
            stream.thread_type = "AUTO"
        frames = list(container.decode(stream))
        chosen = [frames[i] for i in even_indices(len(frames), num_frames)]
        return np.stack([f.reformat(*size[::-1], "rgb24", interpolation="AREA").to_ndarray() for f in chosen])


def _decord(file, num_frames, size, threads):
    import decord

    reader = decord.VideoReader(str(file), width=size[1], height=size[0], num_threads=threads or 0)
    return reader.get_batch(even_indices(len(reader), num_frames)).asnumpy()


# Name: reader, module, package.
PEERS = {
    "opencv": (_opencv, "cv2", "opencv-python-headless"),
    "pyav": (_pyav, "av", "av"),
    "decord": (_decord, "decord", "decord"),
}

if __name__ == "__main__":
    command(main)
