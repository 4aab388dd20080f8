"""Reads ``finalAnnots.mat`` of UCF101-24 in a child process: ``python -m tfvid.data.sources.matlab <file>``.

SciPy trusts the sizes in a MATLAB file. A damaged file can crash the process that reads it, or make it allocate all
memory. So a child process reads it, and prints the result as JSON.
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

SECONDS = 300  # the published file takes some seconds
MEMORY = 8 << 30  # bytes of address space; the libraries need most of it

_NAME = re.compile(r"v_[A-Za-z]+_g\d\d_c\d\d")


def read_tubes(file: Path) -> dict[str, list[tuple[int, list]]]:
    """Reads the tubes of each video, by its name, e.g. "v_Basketball_g01_c01".

    Returns:
      For each tube its first frame, 0-based, and a row (top, left, bottom, right) for each frame from there on.

    Raises:
      DataError: the file cannot be read or is not as published; one line that names it, and the video.
    """
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    command = [sys.executable, "-P", "-m", "tfvid.data.sources.matlab", os.fspath(file)]
    try:
        child = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONPATH": path}, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise DataError(f"{file}: not read within {SECONDS} s") from None
    if child.returncode:
        code = child.returncode
        ended = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise DataError(f"{file}: expected a MATLAB 5 file with a struct 'annot'; reading it ended with {ended}")
    answer = json.loads(child.stdout)
    if "error" in answer:
        raise DataError(f"{file}: {answer['error']}")
    return answer["tubes"]


def main(argv: list[str]):
    """Runs the child process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        answer = {"tubes": _read(argv[0])}
    except DataError as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


def _read(file: str) -> dict[str, list[tuple[int, list]]]:
    from scipy.io import loadmat

    try:
        videos = _several(loadmat(file, simplify_cells=True)["annot"])
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})") from None
    except Exception as error:  # SciPy raises errors of any type for a broken file
        raise DataError(f"expected a MATLAB 5 file with a struct 'annot' ({type(error).__name__}: {error})") from None
    found = {}
    for number, video in enumerate(videos, 1):
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
