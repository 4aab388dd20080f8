"""Decode processes: several clips at once, and a time limit that holds whatever a decoder does.

A decoder that hangs or crashes inside a C library cannot be stopped from within its process. So clips are read
in child processes, ``python -m tfvid.data.decode.worker``, which stay for as long as they behave: one that does not
answer in time, takes too much memory or dies is ended and replaced, and its clip is a `VideoError`. The children
are plain commands (nothing of `multiprocessing` that would import the caller's script again, so no ``__main__`` guard
is needed) and do not import TensorFlow, unless tensorflow-io is to decode.

Parent and child talk over a socket pair. First the parent says what reads; then requests (a sample, as JSON)
and replies (JSON) take turns. Frames and boxes lie in a file in memory that both have open: sent through the
socket they took as long as decoding a short MPEG-4 clip does. The child ends when its parent is gone.
"""

import ast
import dataclasses
import importlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from io import FileIO
from multiprocessing.connection import Connection
from typing import Any, Protocol

import cv2
import numpy as np

from tfvid.core.errors import DataError, VideoError, unknown
from tfvid.core.python_file import run_python_file
from tfvid.data.decode import confined
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.decode.sample import decode_sample

GRACE = 2.0  # seconds after the time limit; a decoder that keeps the limit by itself says more about it
LOOK = 0.05  # seconds between two looks at the memory of a child that reads; most clips are there before the first
START_LIMIT = 120.0  # seconds for Python, NumPy, OpenCV and the dataset to load on a busy machine


def one_a_core() -> int:
    """Workers where none are asked for: the processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ClipSource(Protocol):
    """What a pool reads clips of: a `tfvid.data.base.VideoDataset`.

    Attributes:
      origin: where its class is, ``module:Class`` or ``my_file.py:Class``.
      arguments: what it was made with, positional and by name.
      reads_files: whether its `read` decodes the file of a sample and does nothing else.
    """

    origin: str
    arguments: tuple[tuple, dict]
    reads_files: bool

    def read(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> Clip: ...


class DecodePool:
    """Reads clips of one dataset in child processes; safe to share between threads.

    Children are started when they are first needed, and ended by `close`, by leaving a ``with`` block, when the
    pool is collected, or at exit.

    Args:
      dataset: whose samples are read.
      workers: child processes; that many `read` calls run at once, more wait.
      time_limit: seconds that reading one clip may take.
      decoder: of video files, a name in `DECODERS`.

    Raises:
      DataError: a dataset that draws its own clips cannot be built again in another process.
      TfvidError: a decoder that does not exist, or does not load here.
    """

    def __init__(self, dataset: ClipSource, workers: int, time_limit: float = 60.0, decoder: str = "pyav"):
        recipe = _recipe(dataset, decoder)
        self._children = [_Child(recipe, time_limit) for _ in range(workers)]
        self._idle: queue.LifoQueue = queue.LifoQueue()
        for child in self._children:
            self._idle.put(child)
        self.close = weakref.finalize(self, _end_all, self._children)

    def read(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> Clip:
        """Reads one clip, as `VideoDataset.read` does.

        Raises:
          VideoError: the clip cannot be read, or not in time, or not in `confined.MEMORY`, or it crashed the decoder.
          DataError: the children cannot be started, or the pool is closed.
        """
        child = self._idle.get()
        try:
            return child.read(sample, num_frames, size)
        finally:
            self._idle.put(child)

    @property
    def processes(self) -> list[subprocess.Popen]:
        """The child processes that have been started, one for each worker at most."""
        return [child.process for child in self._children if child.process]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class _Child:
    """One child process, started on first use and again after it had to be ended."""

    def __init__(self, recipe: str, time_limit: float):
        self.recipe, self.limit = recipe, time_limit
        self.process: Any = None  # a subprocess.Popen, from the first use on
        self.closed = False

    def read(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> Clip:
        name = sample.path or sample.id
        if self.process is None or self.process.poll() is not None:
            self._start()
        request = {
            "sample": dataclasses.asdict(sample),
            "num_frames": num_frames,
            "size": size,
            "limit": self.limit,
            "alarm": self.limit + 5 * GRACE,
        }
        try:
            most = confined.held(self.process.pid) + confined.allowance(num_frames, size)
            self.pipe.send_bytes(json.dumps(request).encode())
            self._wait(name, most)
            reply = json.loads(self.pipe.recv_bytes())
            if "error" in reply:
                raise VideoError(name, reply["error"])
            frames, boxes = np.empty(reply["frames"], np.uint8), np.empty(reply["boxes"], np.float32)
            _transfer(os.preadv, self.memory, [frames, boxes])
        except (EOFError, OSError):
            raise self._death(name) from None
        return Clip(frames, np.array(reply["event"], np.int32), boxes, reply["decoded"], reply["damage"])

    def _wait(self, name: str, most: int):
        """Returns when there is a reply; VideoError after the time limit, or when more than `most` bytes are held."""
        deadline = time.monotonic() + self.limit + GRACE
        while not self.pipe.poll(LOOK):
            if time.monotonic() > deadline:
                self.end()
                raise VideoError(name, f"not read within {self.limit:g} s; its decode process was ended")
            if confined.held(self.process.pid) > most:
                self.end()
                memory = f"{confined.MEMORY / 2**30:g} GiB"
                raise VideoError(name, f"not read within {memory} of memory; its decode process was ended")

    def end(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _start(self):
        if self.closed:
            raise _ended()
        ours, theirs = socket.socketpair()
        self.memory = _memory()
        with theirs:
            # -P and this PYTHONPATH: the child finds exactly the modules that this process finds.
            path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "tfvid.data.decode.worker",
                    str(theirs.fileno()),
                    str(self.memory.fileno()),
                ],
                pass_fds=[theirs.fileno(), self.memory.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,  # a library that prints must not write into the command's output
                env=os.environ | {"PYTHONPATH": path},
            )
        if self.closed:  # since the look above; whoever closed the pool may not have seen this process
            self.end()
            raise _ended()
        self.pipe = Connection(ours.detach())
        try:
            self.pipe.send_bytes(self.recipe.encode())
            if not self.pipe.poll(START_LIMIT):
                self.end()
                raise DataError(f"a decode process did not start within {START_LIMIT:g} s")
            problem = self.pipe.recv_bytes().decode()
        except (EOFError, OSError):
            self.end()
            raise DataError(f"a decode process cannot start: {_exit(self.process.returncode)}") from None
        if problem:
            self.end()
            raise DataError(f"a decode process cannot start: {problem}")

    def _death(self, name: str) -> DataError:
        self.end()
        if self.closed:
            return _ended()
        return VideoError(name, f"its decode process died: {_exit(self.process.returncode)}")


def _memory() -> FileIO:
    """A file without a name, in memory where the system has that; it is gone with its last reference."""
    if hasattr(os, "memfd_create"):
        return FileIO(os.memfd_create("tfvid-clip"), "r+")
    return tempfile.TemporaryFile(buffering=0)


def _transfer(move, file, arrays: list[np.ndarray]):
    """Moves arrays, one behind the other, from or to a file; `move` is `os.preadv` or `os.pwritev`."""
    place = 0
    for array in arrays:
        left = array.reshape(-1).view(np.uint8).data
        while left:
            moved = move(file.fileno(), [left], place)
            if not moved:
                raise EOFError
            left, place = left[moved:], place + moved


def _end_all(children: list[_Child]):
    for child in children:
        child.closed = True
    for child in children:
        child.end()


def _ended() -> DataError:
    return DataError("the decode processes have been ended")


def _exit(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def _recipe(dataset: ClipSource, decoder: str) -> str:
    """What a child makes its function (sample, num_frames, size, limit) -> Clip from, as a Python literal.

    A dataset of video files inherits `read`: the name of the decoder is enough. Others are built again, from
    where their class is and the arguments they were given.
    """
    if decoder not in DECODERS:
        raise DataError(unknown("decoder", decoder, DECODERS))
    if decoder == "tfio":
        from tfvid.data.decode import tfio

        tfio.require_decoder()
    if dataset.reads_files:
        return repr(decoder)
    args, kwargs = dataset.arguments
    plain = ([_plain(value) for value in args], {name: _plain(value) for name, value in kwargs.items()})
    recipe = repr((dataset.origin, *plain))
    kind = type(dataset).__name__
    try:
        if ast.literal_eval(recipe) != (dataset.origin, *plain):
            raise ValueError
    except (ValueError, SyntaxError):
        raise DataError(
            f"dataset {kind} reads its own clips, so each decode process builds it again, from arguments that are "
            f"numbers, strings, lists and dicts; got {recipe}"
        ) from None
    if dataset.origin.startswith("__main__:") or "<locals>" in dataset.origin:
        raise DataError(
            f"dataset {kind} reads its own clips, so each decode process imports it: put it in a file of its own "
            f"and name it 'that_file.py:{kind}'"
        )
    return recipe


def _plain(value):
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _build(recipe: str):
    recipe = ast.literal_eval(recipe)
    if isinstance(recipe, str):
        return DECODERS[recipe]
    origin, args, kwargs = recipe
    module, _, name = origin.rpartition(":")
    cls = getattr(run_python_file(module) if module.endswith(".py") else importlib.import_module(module), name)
    dataset = cls(*args, **kwargs)
    return lambda sample, num_frames, size, limit: dataset.read(sample, num_frames, size)


def _pyav(sample: Sample, num_frames: int, size: tuple[int, int], limit: float) -> Clip:
    return decode_sample(sample, num_frames, size, limit)


def _tfio(sample: Sample, num_frames: int, size: tuple[int, int], limit: float) -> Clip:
    from tfvid.data.decode import tfio

    return decode_sample(sample, num_frames, size, limit, tfio.decode_clip)


DECODERS = {"pyav": _pyav, "tfio": _tfio}


def _answer(read, request: dict) -> tuple[dict, list[np.ndarray]]:
    try:
        sample, size = Sample(**request["sample"]), tuple(request["size"])
        clip = read(sample, request["num_frames"], size, request["limit"])
        frames = np.ascontiguousarray(clip.frames, np.uint8)
        boxes = np.ascontiguousarray(clip.boxes, np.float32)
        event = [int(frame) for frame in clip.event]
    except VideoError as error:
        return {"error": error.reason}, []
    except Exception as error:  # a dataset may raise anything; the clip is bad, the process is not
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}, []
    reply = {"frames": frames.shape, "boxes": boxes.shape, "event": event}
    return reply | {"decoded": clip.decoded, "damage": clip.damage}, [frames, boxes]


def main(argv: list[str]):
    """The child: builds what reads, then answers until its parent closes the socket or dies."""
    # Ctrl-C, and a SIGTERM to all of a job, are for the parent, which then ends its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    cv2.setNumThreads(0)  # here, where it is nobody else's setting: cores are shared out by clip
    pipe, memory = Connection(int(argv[0])), FileIO(int(argv[1]), "r+")
    confined.confine()
    try:
        try:
            read = _build(pipe.recv_bytes().decode())
        except Exception as error:
            pipe.send_bytes(f"{type(error).__name__}: {' '.join(str(error).split())}".encode())
            return
        pipe.send_bytes(b"")
        while True:
            request = json.loads(pipe.recv_bytes())
            # Should the parent be killed while this process hangs, nobody else is left to end it.
            signal.setitimer(signal.ITIMER_REAL, request["alarm"])
            confined.limit_memory(2 * confined.allowance(request["num_frames"], request["size"]))
            reply, arrays = _answer(read, request)
            signal.setitimer(signal.ITIMER_REAL, 0)
            _transfer(os.pwritev, memory, arrays)
            pipe.send_bytes(json.dumps(reply).encode())
    except (EOFError, OSError):
        return


if __name__ == "__main__":
    main(sys.argv[1:])
