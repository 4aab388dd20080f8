"""Decode processes: they decode several clips at once, with a time limit that holds in any case.

A decoder that hangs or crashes inside a C library cannot be stopped from within its process. So clips are read in child
processes, ``python -m tfvid.data.decode.worker``. A child reads many clips. It is ended and replaced if it does not
answer in time, takes too much memory or dies; its clip is then a `VideoError`. The children are plain commands, which
do not import the script of the caller as `multiprocessing` does, so it needs no ``__main__`` guard. They do not import
TensorFlow, unless tensorflow-io decodes.

Parent and child communicate through a socket pair. The parent first sends a recipe of what reads clips, then a request
(a sample, as JSON) for each reply (JSON). Frames and boxes are passed in a file in memory that both have open, which is
faster than the socket (docs/performance.md). The child ends when its parent is gone.
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

GRACE = 2.0  # seconds after the time limit, so that a decoder that checks the limit can report it
LOOK = 0.05  # seconds between two checks of the memory of a child that reads; most clips need less
START_LIMIT = 120.0  # seconds in which a child loads Python, NumPy, OpenCV and the data set on a busy machine


def one_a_core() -> int:
    """Returns the default number of workers: that of the processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ClipSource(Protocol):
    """What a pool needs to know of a data set; `tfvid.data.base.VideoDataset` describes the attributes."""

    origin: str
    arguments: tuple[tuple, dict]
    reads_files: bool

    def read(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> Clip: ...


class DecodePool:
    """Reads clips of one data set in child processes. Threads may use it at the same time.

    Children are started when they are first needed. They are ended by `close`, at the end of a ``with`` block, when the
    pool is garbage-collected, or at exit.

    Args:
      dataset: the data set of the samples.
      workers: number of child processes, and of `read` calls that run at the same time; others wait.
      time_limit: seconds that reading one clip may take.
      decoder: of video files, a name in `DECODERS`.

    Raises:
      DataError: a data set with its own `read` cannot be made again in another process.
      TfvidError: there is no such decoder, or it cannot be loaded.
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
          VideoError: the clip cannot be read, it takes too much time or memory (`confined.MEMORY`), or it crashes the
            decoder.
          DataError: the children cannot be started, or the pool is closed.
        """
        child = self._idle.get()
        try:
            return child.read(sample, num_frames, size)
        finally:
            self._idle.put(child)

    @property
    def processes(self) -> list[subprocess.Popen]:
        """The child processes that have been started, at most one for each worker."""
        return [child.process for child in self._children if child.process]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class _Child:
    """One child process. It is started when it is first used, and again after it was ended."""

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
        event, seconds = np.array(reply["event"], np.int32), tuple(reply["seconds"])
        return Clip(frames, event, boxes, reply["decoded"], reply["damage"], seconds)

    def _wait(self, name: str, most: int):
        """Waits for a reply; VideoError after the time limit, or if the child has more than `most` bytes of memory."""
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
            # With -P and this PYTHONPATH the child finds the same modules as this process.
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
                stdout=2,  # a library that prints must not write to the output of the command
                env=os.environ | {"PYTHONPATH": path},
            )
        if self.closed:  # after the check above, by a thread that may not have seen the new process
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
    """Opens a file without a name, in memory if the system supports that; it is deleted with its last reference."""
    if hasattr(os, "memfd_create"):
        return FileIO(os.memfd_create("tfvid-clip"), "r+")
    return tempfile.TemporaryFile(buffering=0)


def _transfer(move, file, arrays: list[np.ndarray]):
    """Reads or writes arrays, one after the other, from or to a file; `move` is `os.preadv` or `os.pwritev`."""
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
    """Returns what a child makes its function (sample, num_frames, size, limit) -> Clip from, as a Python literal.

    For a data set that inherits `read` this is the name of the decoder. Others are made again, from the place of their
    class and their arguments.
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
            f"data set {kind} has its own `read`, so each decode process makes it again from its arguments, which must "
            f"be numbers, strings, lists and dicts; got {recipe}"
        ) from None
    if dataset.origin.startswith("__main__:") or "<locals>" in dataset.origin:
        raise DataError(
            f"data set {kind} has its own `read`, so each decode process imports it: define it in a file of its own "
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
    except Exception as error:  # a data set of a user may raise any error; only the clip is bad
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}, []
    reply = {"frames": frames.shape, "boxes": boxes.shape, "event": event}
    reply |= {"decoded": clip.decoded, "damage": clip.damage, "seconds": list(clip.seconds)}
    return reply, [frames, boxes]


def main(argv: list[str]):
    """Runs a child: follows the recipe, then answers requests until its parent closes the socket or dies."""
    # Ctrl-C, and a SIGTERM to the whole job, are for the parent, which then ends its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    cv2.setNumThreads(0)  # one thread for each child, because several children decode at once
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
            # Ends this process if it hangs after its parent was killed.
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
