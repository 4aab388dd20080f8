"""Reads MATLAB files in a child process: ``python -m tfvid.data.sources.matlab <kind> <file>``.

SciPy trusts the sizes in a MATLAB file. A damaged file can crash the process that reads it, or make it allocate all
memory. So a child process reads it. It prints one line of JSON and, for masks, their bits.
"""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from tfvid.core.errors import DataError

SECONDS = 300  # the published files take some seconds
MEMORY = 8 << 30  # bytes of address space; the libraries need most of it

_NAME = re.compile(r"v_[A-Za-z]+_g\d\d_c\d\d")
_STRUCTS = {"tubes": "annot", "masks": "original_masks"}


def read_tubes(file: Path) -> dict[str, list[tuple[int, list]]]:
    """Reads the tubes of each video of ``finalAnnots.mat`` of UCF101-24, by its name, e.g. "v_Basketball_g01_c01".

    Returns:
      For each tube its first frame, 0-based, and a row (top, left, bottom, right) for each frame from there on.

    Raises:
      DataError: the file cannot be read or is not as published; one line that names it, and the video.
    """
    return _read_in_child("tubes", file)[0]


def read_masks(file: Path) -> dict[str, tuple[tuple[int, int, int], np.ndarray]]:
    """Reads the silhouettes of ``classification_masks.mat`` of the Weizmann actions, by name, e.g. "daria_bend".

    Returns:
      The shape (T, H, W) of each, and its bits, uint8 `(T, ceil(H * W / 8))`: ``numpy.packbits`` of the pixels of each
      frame.

    Raises:
      DataError: the file cannot be read or is not as published; one line that names it, and the sequence.
    """
    shapes, bits = _read_in_child("masks", file)
    masks, place = {}, 0
    for name, (frames, height, width) in shapes.items():
        row = -(-height * width // 8)
        masks[name] = (frames, height, width), bits[place : place + frames * row].reshape(frames, row)
        place += frames * row
    return masks


def _read_in_child(kind: str, file: Path):
    """Returns the value that the child prints as JSON, and the bytes after it, uint8 `(n,)`."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    command = [sys.executable, "-P", "-m", "tfvid.data.sources.matlab", kind, os.fspath(file)]
    try:
        child = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONPATH": path}, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise DataError(f"{file}: not read within {SECONDS} s") from None
    if child.returncode:
        code = child.returncode
        ended = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        struct = _STRUCTS[kind]
        raise DataError(f"{file}: expected a MATLAB 5 file with a struct {struct!r}; reading it ended with {ended}")
    line, _, rest = child.stdout.partition(b"\n")
    answer = json.loads(line)
    if "error" in answer:
        raise DataError(f"{file}: {answer['error']}")
    return answer["value"], np.frombuffer(rest, np.uint8)


def main(argv: list[str]):
    """Runs the child process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    kind, file = argv
    bits: list[np.ndarray] = []
    try:
        struct = _struct(file, _STRUCTS[kind])
        value, bits = (_tubes(struct), []) if kind == "tubes" else _masks(struct)
        answer = {"value": value}
    except DataError as error:
        answer = {"error": str(error)}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    for part in bits:
        sys.stdout.buffer.write(part.tobytes())


def _struct(file: str, name: str):
    from scipy.io import loadmat

    try:
        return loadmat(file, simplify_cells=True, variable_names=[name])[name]
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})") from None
    except Exception as error:  # SciPy raises errors of any type for a broken file
        raise DataError(f"expected a MATLAB 5 file with a struct {name!r} ({type(error).__name__}: {error})") from None


def _masks(struct) -> tuple[dict[str, tuple[int, ...]], list[np.ndarray]]:
    """Returns the shape (T, H, W) of each sequence, and its bits."""
    if not isinstance(struct, dict) or not struct:
        raise DataError(f"expected a struct with a field for each sequence, got {type(struct).__name__}")
    shapes, bits = {}, []
    for name, mask in struct.items():
        mask = np.asarray(mask)
        mask = mask[..., None] if mask.ndim == 2 else mask  # SciPy drops the last axis of a single frame
        if mask.ndim != 3 or mask.dtype.kind not in "bui" or not mask.size:
            raise DataError(f"{name}: expected whole numbers (height, width, frames), got {mask.dtype} {mask.shape}")
        frames = np.moveaxis(mask, 2, 0)
        shapes[name] = tuple(map(int, frames.shape))
        bits.append(np.packbits(frames.reshape(len(frames), -1) != 0, axis=1))
    return shapes, bits


def _tubes(struct) -> dict[str, list[tuple[int, list]]]:
    found = {}
    for number, video in enumerate(_several(struct), 1):
        try:
            name = str(video["name"]).rpartition("/")[2]
            if not _NAME.fullmatch(name):
                raise ValueError(f"name {name!r} is not v_<Class>_gNN_cNN")
            found[name] = [_tube(tube) for tube in _several(video["tubes"])]
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            problem = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(f"annot({number}): {problem}") from None
    return found


def _several(value) -> list:
    """Returns a struct array as a list: `simplify_cells` gives a single struct without a list."""
    return [value] if isinstance(value, dict) else list(value)


def _tube(tube: dict) -> tuple[int, list]:
    first, last = int(tube["sf"]), int(tube["ef"])
    boxes = np.atleast_2d(np.asarray(tube["boxes"], np.float64))
    if boxes.shape != (last - first + 1, 4) or first < 1 or not np.isfinite(boxes).all():
        raise ValueError(f"frames {first} to {last} with boxes of shape {boxes.shape}; expected (ef - sf + 1, 4)")
    left, top, width, height = (boxes - [1, 1, 0, 0]).T
    return first - 1, np.stack([top, left, top + height, left + width], axis=1).tolist()


if __name__ == "__main__":
    main(sys.argv[1:])
