"""Damaged videos by the thousand through the decode processes: does anything crash, hang or take too much memory?

    python benchmarks/fuzz_video.py                            # 20,000 files, 6 to 10 minutes on 2 cores
    python benchmarks/fuzz_video.py --files 300 --seed 7
    python benchmarks/fuzz_video.py --only 1234 --keep /dir    # one of them again; it is left in /dir

Whole VP9, H.264, HEVC, AV1 and MPEG-4 files, some of them interlaced or with a display matrix (tests/fixtures, and what
is small among --videos), are damaged as AFL does in its "havoc" stage: one to eight changes each, bits, bytes, telling
numbers, blocks that are cut out, doubled, swapped or taken from another file, ends cut off. In a third of the files all
changes hit the first or last 900 bytes, where containers keep their headers and indexes, in a third none does. A file
is a function of --seed and its number.

Each is read as `tfvid.read_clip` reads it, by one decode process that stays until it has to be replaced; every tenth
that gives a clip is read twice and must give the same one. Exits with 1 where one did not, where reading took over ten
seconds, or where memory passed its limit.
"""

import argparse
import collections
import os
import random
import re
import struct
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402

from tfvid.core.errors import TfvidError, VideoError, command  # noqa: E402
from tfvid.data.decode import confined  # noqa: E402
from tfvid.data.decode.clip import Sample  # noqa: E402
from tfvid.data.decode.worker import GRACE, DecodePool  # noqa: E402
from tfvid.data.sources.video_files import VideoFiles  # noqa: E402

KINDS = {
    "VP9 webm": (".webm",),
    "H.264 mp4": (".mp4",),  # and HEVC, AV1, interlaced, turned and encrypted ones
    "MPEG-4 avi": (".avi",),
    "others": (".mkv", ".mov", ".mpg", ".ts", ".m2ts"),  # FFV1, H.264; PNG, ProRes; MPEG-2; H.264, MPEG-2
}
LARGEST = 100_000  # bytes of a file to start from
EDGE = 900  # bytes at either end
LONGEST = 10.0  # seconds that reading one file may take, its decode process ended in time
TELLING = (0, 1, -1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62)
OUTCOMES = ("clip", "damaged clip", "refused", "out of time", "out of memory", "crashed")
FRAMES, SIZE = 8, (64, 64)


@dataclass
class Tally:
    """What became of the files of one kind."""

    outcomes: collections.Counter = field(default_factory=collections.Counter)
    reasons: collections.Counter = field(default_factory=collections.Counter)
    slowest: tuple[float, int] = (0.0, -1)  # seconds, file
    largest: tuple[int, int] = (0, -1)  # bytes the decode process held at most, Python and OpenCV included; file
    crashes: dict[int, str] = field(default_factory=dict)
    changed: list[int] = field(default_factory=list)  # read twice, gave two clips

    @property
    def good(self) -> bool:
        return not self.changed and self.slowest[0] <= LONGEST and self.largest[0] <= most_memory()


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000, help="damaged files (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (%(default)s)")
    parser.add_argument("--only", type=int, help="the number of one file")
    parser.add_argument("--keep", type=Path, help="folder that --only leaves its file in")
    parser.add_argument("--videos", type=Path, default=ROOT.parent / "shared" / "data", help="more files to start from")
    args = parser.parse_args(argv)

    seeds = find_seeds(args.videos)
    numbers = range(args.files) if args.only is None else [args.only]
    if args.only is None:
        from machine import describe_machine

        print(describe_machine())
        print("started from", ", ".join(f"{len(files)} {kind}" for kind, files in seeds.items()), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        tallies = campaign(seeds, numbers, args.seed, args.keep or Path(folder))
    print_table(tallies)
    print(f"\n{len(numbers)} files in {time.monotonic() - begun:.0f} s")
    if not all(tally.good for tally in tallies.values()):
        raise TfvidError("some files took over ten seconds, too much memory, or were not read twice alike: see above")


def find_seeds(videos: Path) -> dict[str, list[bytes]]:
    """Whole files, by kind."""
    files = [*sorted((ROOT / "tests" / "fixtures").iterdir()), *sorted(videos.rglob("*"))]
    small = [file for file in files if file.is_file() and file.stat().st_size <= LARGEST]
    return {kind: [file.read_bytes() for file in small if file.suffix in suffixes] for kind, suffixes in KINDS.items()}


def campaign(seeds: dict[str, list[bytes]], numbers, seed: int, folder: Path) -> dict[str, Tally]:
    """Damages and reads files; those of all kinds in turn."""
    tallies = {kind: Tally() for kind in seeds}
    # A decoder that keeps the time limit by itself still has GRACE, after which it is ended.
    with DecodePool(VideoFiles([]), 1, time_limit=LONGEST - GRACE - 0.5) as pool:
        for number in numbers:
            kind = list(seeds)[number % len(seeds)]
            path = folder / f"{number}{KINDS[kind][0]}"
            path.write_bytes(damaged(random.Random(f"{seed} {number}"), seeds[kind]))
            read(pool, path, number, tallies[kind])
            if len(numbers) > 1:
                path.unlink()
    return tallies


def read(pool: DecodePool, path: Path, number: int, tally: Tally):
    """Reads one file and notes what became of it."""
    forget_most_held(pool)
    begun = time.monotonic()
    try:
        clip = pool.read(Sample(path.name, -1, str(path)), FRAMES, SIZE)
    except VideoError as error:
        outcome = outcome_of(error.reason)
        tally.reasons[re.sub(r"\d+", "N", error.reason)] += 1
        if outcome == "crashed":
            tally.crashes[number] = error.reason
    else:
        outcome = "damaged clip" if clip.damage else "clip"
    tally.outcomes[outcome] += 1
    tally.slowest = max(tally.slowest, (time.monotonic() - begun, number))
    if outcome == "out of memory":
        tally.largest = max(tally.largest, (confined.MEMORY, number))
    tally.largest = max(tally.largest, (most_held(pool), number))
    if outcome in OUTCOMES[:2] and number % 10 == 0:
        again = pool.read(Sample(path.name, -1, str(path)), FRAMES, SIZE)
        if not np.array_equal(again.frames, clip.frames):
            tally.changed.append(number)


def outcome_of(reason: str) -> str:
    if "decode process died" in reason:
        return "crashed"
    if "of memory; its decode process" in reason or reason == "not enough memory":
        return "out of memory"
    return "out of time" if reason.startswith(("not read within", "not decoded within")) else "refused"


def forget_most_held(pool: DecodePool):
    process = pool._children[0].process
    if process is not None and process.poll() is None:
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def most_held(pool: DecodePool) -> int:
    """Bytes that the decode process held at most, since that was forgotten."""
    try:
        status = Path(f"/proc/{pool._children[0].process.pid}/status").read_text()
    except FileNotFoundError:  # it has been ended
        return 0
    peak = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(peak[1]) * 1024 if peak else 0


def most_memory() -> int:
    """Bytes a decode process may hold: the limit for one clip, 200 MiB it holds anyway, 100 MiB between two looks."""
    return confined.MEMORY + (300 << 20)


def damaged(rng: random.Random, seeds: list[bytes]) -> bytes:
    """One of the files, with one to eight changes."""
    data = bytearray(rng.choices(seeds, [len(seed) for seed in seeds])[0])  # most of the smallest is headers
    where = rng.choice((_anywhere, _at_an_end, _between))
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        if len(data) < 16:
            break
        rng.choice(CHANGES)(rng, data, seeds, where)
    return bytes(data)


# Where a change of some bytes begins, if the last place for it is `last`.


def _anywhere(rng: random.Random, last: int) -> int:
    return rng.randint(0, last)


def _at_an_end(rng: random.Random, last: int) -> int:
    edge = min(EDGE, last)
    return rng.choice((rng.randint(0, edge), rng.randint(last - edge, last)))


def _between(rng: random.Random, last: int) -> int:
    edge = min(EDGE, last // 3)
    return rng.randint(edge, last - edge)


def _block(rng: random.Random, data: bytearray, where) -> tuple[int, int]:
    length = min(len(data) // 2, int(2 ** rng.uniform(1, 11)))
    begin = where(rng, len(data) - length)
    return begin, begin + length


def _flip_bit(rng, data, seeds, where):
    data[where(rng, len(data) - 1)] ^= 1 << rng.randrange(8)


def _set_byte(rng, data, seeds, where):
    data[where(rng, len(data) - 1)] = rng.randrange(256)


def _set_number(rng, data, seeds, where):
    form = rng.choice("<>") + rng.choice("HIQ")
    length = struct.calcsize(form)
    place = where(rng, len(data) - length)
    value = rng.choice((*TELLING, rng.getrandbits(64), rng.randrange(1 << 14)))
    struct.pack_into(form, data, place, value % (1 << 8 * length))


def _noise(rng, data, seeds, where):
    begin, end = _block(rng, data, where)
    data[begin:end] = rng.randbytes(end - begin)


def _zeros(rng, data, seeds, where):
    begin, end = _block(rng, data, where)
    data[begin:end] = bytes(end - begin)


def _cut_out(rng, data, seeds, where):
    begin, end = _block(rng, data, where)
    del data[begin:end]


def _double(rng, data, seeds, where):
    begin, end = _block(rng, data, where)
    place = where(rng, len(data) - 1)
    data[place:place] = data[begin:end] * rng.choice((1, 1, 4))


def _swap(rng, data, seeds, where):
    begin, end = _block(rng, data, where)
    other = where(rng, max(0, len(data) - (end - begin)))
    data[begin:end], data[other : other + end - begin] = data[other : other + end - begin], data[begin:end]


def _from_another(rng, data, seeds, where):
    other = bytearray(rng.choice(seeds))
    begin, end = _block(rng, other, where)
    place = where(rng, max(0, len(data) - (end - begin)))
    data[place : place + end - begin] = other[begin:end]


def _cut_off(rng, data, seeds, where):
    del data[rng.randint(len(data) // 4, len(data)) :]


CHANGES = (
    *(_flip_bit, _set_byte, _set_number, _set_number, _noise, _zeros),
    *(_cut_out, _double, _swap, _from_another, _cut_off),
)


def print_table(tallies: dict[str, Tally]):
    row = "  {:12}{:>8}{:>14}{:>9}{:>13}{:>15}{:>9}{:>16}{:>12}".format
    print(row("", *OUTCOMES, "slowest, s", "most MiB"))
    for kind, tally in tallies.items():
        (seconds, slow), (memory, large) = tally.slowest, tally.largest
        counts = [tally.outcomes[outcome] for outcome in OUTCOMES]
        print(row(kind, *counts, f"{seconds:.2f} (#{slow})", f"{memory >> 20} (#{large})"))
    for kind, tally in tallies.items():
        for reason, count in tally.reasons.most_common():
            print(f"  {kind}: {count} x {reason}")
        for number, reason in tally.crashes.items():
            print(f"  {kind}: file {number}: {reason}")
        if tally.changed:
            print(f"  {kind}: read twice, two clips: files {tally.changed}")


if __name__ == "__main__":
    command(main)
